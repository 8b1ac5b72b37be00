package prometheus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/plimsoll-k8s/plimsoll/lab/prometheus"
)

const interval = 100 * time.Millisecond

// start runs a Prometheus until the test ends and returns it with client_golang's client of it,
// which is the referee of what it answers.
func start(t *testing.T, lookback time.Duration) (*prometheus.Server, promv1.API) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	server, err := prometheus.Start(ctx, prometheus.Config{Dir: t.TempDir(), ScrapeInterval: interval, LookbackDelta: lookback})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := server.Wait(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return server, client(t, server)
}

func client(t *testing.T, server *prometheus.Server) promv1.API {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := promapi.NewClient(promapi.Config{Address: server.URL, RoundTripper: transport})
	if err != nil {
		t.Fatal(err)
	}
	return promv1.NewAPI(c)
}

// app is a target with a counter that grows by 1 a scrape.
func app(t *testing.T) (target *httptest.Server, scrapes *atomic.Int64) {
	t.Helper()
	scrapes = &atomic.Int64{}
	target = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total{namespace=\"shop\",path=%q} %d\n", r.URL.Path, scrapes.Add(1))
	}))
	t.Cleanup(target.Close)
	return target, scrapes
}

// at is the target with the label pod and the namespace "default", which the target's own
// label overrules.
func at(target *httptest.Server, pod string) prometheus.Targets {
	return prometheus.Targets{{
		Source:  pod,
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(target.Listener.Addr().String()), model.MetricsPathLabel: "/custom"}},
		Labels:  model.LabelSet{"pod": model.LabelValue(pod), "namespace": "default"},
	}}
}

func setTargets(t *testing.T, server *prometheus.Server, targets prometheus.Targets) {
	t.Helper()
	if err := server.SetTargets(t.Context(), targets); err != nil {
		t.Fatal(err)
	}
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		return condition(), nil
	})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// vector asks an instant query that has to succeed.
func vector(t *testing.T, api promv1.API, query string) model.Vector {
	t.Helper()
	value, _, _, err := api.Query(t.Context(), query, time.Now())
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	v, ok := value.(model.Vector)
	if !ok {
		t.Fatalf("%s: got a %v, want a vector", query, value.Type())
	}
	return v
}

func TestATargetIsScrapedAndQueried(t *testing.T) {
	server, api := start(t, 0)
	target, scrapes := app(t)
	setTargets(t, server, at(target, "a"))
	begin := time.Now()
	eventually(t, "20 scrapes", func() bool { return scrapes.Load() >= 20 })
	t.Logf("20 scrapes at an interval of %v took %v", interval, time.Since(begin))

	t.Run("an instant query gives the value with labels of target and metric", func(t *testing.T) {
		got := vector(t, api, "http_requests_total")
		if len(got) != 1 {
			t.Fatalf("got %v, want one series", got)
		}
		want := model.Metric{
			model.MetricNameLabel: "http_requests_total", "job": prometheus.JobName, "pod": "a", "namespace": "shop", "path": "/custom",
			"instance": model.LabelValue(target.Listener.Addr().String()),
		}
		if diff := cmp.Diff(want, got[0].Metric); diff != "" {
			t.Error("labels (-want +got)", diff)
		}
		if got[0].Value < 1 || int64(got[0].Value) > scrapes.Load() {
			t.Errorf("got %v after %d scrapes", got[0].Value, scrapes.Load())
		}
	})
	t.Run("a rate over the last second is the scrape rate", func(t *testing.T) {
		// The counter says how often it was scraped: its rate is the scrape rate itself.
		eventually(t, "a rate of 10 a second, within a fifth", func() bool {
			got := vector(t, api, "rate(http_requests_total[1s])")
			return len(got) == 1 && math.Abs(float64(got[0].Value)-10) < 2
		})
	})
	t.Run("a range query gives a point a step", func(t *testing.T) {
		end := time.Now()
		value, _, _, err := api.QueryRange(t.Context(), "http_requests_total", promv1.Range{Start: end.Add(-time.Second), End: end, Step: interval})
		if err != nil {
			t.Fatal(err)
		}
		matrix, ok := value.(model.Matrix)
		if !ok || len(matrix) != 1 || len(matrix[0].Values) != 11 {
			t.Fatalf("got %v, want one series of 11 points", value)
		}
		points := matrix[0].Values
		for i := 1; i < len(points); i++ {
			if points[i].Value < points[i-1].Value || points[i].Timestamp.Sub(points[i-1].Timestamp) != interval {
				t.Errorf("points %v and %v: want a step of %v and a counter that does not fall", points[i-1], points[i], interval)
			}
		}
		if points[10].Value <= points[0].Value {
			t.Errorf("the counter did not grow: %v", points)
		}
	})
	t.Run("labels and their values are listed", func(t *testing.T) {
		names, _, _, err := api.LabelNames(t.Context(), []string{"http_requests_total"}, begin, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(model.LabelNames{"__name__", "instance", "job", "namespace", "path", "pod"}, names); diff != "" {
			t.Error("(-want +got)", diff)
		}
		values, _, _, err := api.LabelValues(t.Context(), "pod", nil, begin, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(model.LabelValues{"a"}, values); diff != "" {
			t.Error("(-want +got)", diff)
		}
	})
	t.Run("targets are listed with their health", func(t *testing.T) {
		targets, err := api.Targets(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(targets.Active) != 1 || targets.Active[0].Health != promv1.HealthGood || targets.Active[0].ScrapePool != prometheus.JobName {
			t.Errorf("got %+v, want one healthy target of pool %s", targets.Active, prometheus.JobName)
		}
	})
	t.Run("the server describes itself", func(t *testing.T) {
		if _, err := api.Runtimeinfo(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := api.Buildinfo(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := api.Config(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestQueriesThatPrometheusRefuses(t *testing.T) {
	_, api := start(t, 0)
	for _, tc := range []struct {
		name  string
		query string
		want  string
	}{
		{"a query that does not parse", "sum(rate(http_requests_total[1m])", "parse error: unclosed left parenthesis"},
		{"an unknown function", "forecast(http_requests_total)", `unknown function with name "forecast"`},
		{"a rate of an instant vector", "rate(http_requests_total)", "expected type range vector"},
		{"nothing", "", "no expression found in input"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			value, _, _, err := api.Query(t.Context(), tc.query, time.Now())
			var refused *promv1.Error
			if !errors.As(err, &refused) {
				t.Fatalf("got %v and error %v, want an error of the API", value, err)
			}
			if refused.Type != promv1.ErrBadData || !strings.Contains(refused.Msg, tc.want) {
				t.Errorf("got %s: %s; want %s with %q", refused.Type, refused.Msg, promv1.ErrBadData, tc.want)
			}
		})
	}
}

func TestATargetThatVanishesGoesStale(t *testing.T) {
	server, api := start(t, time.Hour) // samples stay that long, unless they are marked as stale
	for _, tc := range []struct {
		name   string
		vanish func(t *testing.T, target *httptest.Server)
		wantUp string // of the target itself, afterwards
	}{
		{
			"a target that is no longer given leaves with its up series",
			func(t *testing.T, _ *httptest.Server) { setTargets(t, server, prometheus.Targets{}) },
			"",
		},
		{
			"a target that no longer answers is down",
			func(_ *testing.T, target *httptest.Server) { target.Close() },
			"0",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			target, _ := app(t)
			setTargets(t, server, at(target, "a"))
			eventually(t, "the series of the target", func() bool { return len(vector(t, api, "http_requests_total")) == 1 })
			tc.vanish(t, target)
			eventually(t, "no series of the target", func() bool { return len(vector(t, api, "http_requests_total")) == 0 })
			eventually(t, "up", func() bool {
				up := ""
				for _, sample := range vector(t, api, "up") {
					up += sample.Value.String()
				}
				return up == tc.wantUp
			})
			setTargets(t, server, prometheus.Targets{})
			eventually(t, "no target", func() bool { return len(vector(t, api, "up")) == 0 })
		})
	}
}

func TestStopLeavesNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for _, tc := range []struct {
		name    string
		targets bool
	}{
		{"with a target", true},
		{"once more in the same process", true},
		{"before it was given a target", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			dir := t.TempDir()
			server, err := prometheus.Start(ctx, prometheus.Config{Dir: dir, ScrapeInterval: interval})
			if err != nil {
				t.Fatal(err)
			}
			target, scrapes := app(t)
			if tc.targets {
				setTargets(t, server, at(target, "a"))
				eventually(t, "a scrape", func() bool { return scrapes.Load() > 0 })
			}
			cancel()
			if err := server.Wait(); err != nil {
				t.Errorf("stop: %v", err)
			}
			if err := server.SetTargets(t.Context(), nil); err == nil {
				t.Error("SetTargets after the stop: want an error")
			}
			address, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			if conn, err := net.Dial("tcp", address.Host); err == nil {
				conn.Close()
				t.Errorf("%s still accepts connections", address.Host)
			}
			target.Close()
			goleak.VerifyNone(t, before, goleak.IgnoreTopFunction("testing.(*T).Run"))
		})
	}
}

func TestStartRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  func(dir string) prometheus.Config
		want string
	}{
		{"no directory", func(string) prometheus.Config { return prometheus.Config{} }, "directory of Prometheus"},
		{
			"a directory that does not exist",
			func(dir string) prometheus.Config { return prometheus.Config{Dir: filepath.Join(dir, "none")} },
			"directory of Prometheus",
		},
		{
			"a scrape interval below 10 ms",
			func(dir string) prometheus.Config {
				return prometheus.Config{Dir: dir, ScrapeInterval: 9 * time.Millisecond}
			},
			"scrape interval: 9ms is below 10ms",
		},
		{
			"a negative scrape interval",
			func(dir string) prometheus.Config { return prometheus.Config{Dir: dir, ScrapeInterval: -time.Second} },
			"scrape interval: -1s is below 10ms",
		},
		{
			"a negative lookback",
			func(dir string) prometheus.Config { return prometheus.Config{Dir: dir, LookbackDelta: -time.Second} },
			"lookback: -1s is negative",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			server, err := prometheus.Start(ctx, tc.cfg(t.TempDir()))
			cancel()
			if err == nil {
				t.Fatalf("started; want an error with %q (its end: %v)", tc.want, server.Wait())
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
