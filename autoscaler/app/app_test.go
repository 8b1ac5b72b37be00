package app_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestTheDefaultsAreValid(t *testing.T) {
	if err := app.DefaultOptions().Validate(); err != nil {
		t.Error(err)
	}
}

func TestBadFlagsAreOneClearLineEach(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a flag that does not exist":     {[]string{"--sync"}, "unknown flag: --sync"},
		"an argument":                    {[]string{"now"}, `unknown command "now" for "plimsoll-autoscaler"`},
		"a period that is none":          {[]string{"--sync-period", "15"}, `invalid argument "15" for "--sync-period" flag: time: missing unit in duration "15"`},
		"a period too short":             {[]string{"--sync-period", "49ms"}, "--sync-period 49ms: must be from 50ms to 1h0m0s"},
		"a period too long":              {[]string{"--sync-period", "61m"}, "--sync-period 1h1m0s: must be from 50ms to 1h0m0s"},
		"no worker":                      {[]string{"--concurrent-syncs", "0"}, "--concurrent-syncs 0: must be from 1 to 1000"},
		"too many workers":               {[]string{"--concurrent-syncs", "1001"}, "--concurrent-syncs 1001: must be from 1 to 1000"},
		"a negative initialization":      {[]string{"--cpu-initialization-period", "-1s"}, "--cpu-initialization-period -1s: must be from 0s to 24h0m0s"},
		"a negative readiness delay":     {[]string{"--initial-readiness-delay", "-1s"}, "--initial-readiness-delay -1s: must be from 0s to 24h0m0s"},
		"a negative sample age":          {[]string{"--max-sample-age", "-1s"}, "--max-sample-age -1s: must be from 0s to 24h0m0s"},
		"a negative window":              {[]string{"--downscale-stabilization", "-1s"}, "--downscale-stabilization -1s: must be from 0s to 1h0m0s"},
		"a tolerance of all":             {[]string{"--tolerance", "1.1"}, "--tolerance 1.1: must be from 0 to 1"},
		"a status never refreshed":       {[]string{"--status-refresh", "2h"}, "--status-refresh 2h0m0s: must be from 0s to 1h0m0s"},
		"a file that is not there":       {[]string{"--config", "/does/not/exist"}, "--config /does/not/exist: read configuration: open /does/not/exist: no such file or directory"},
		"no requests":                    {[]string{"--kube-api-qps", "0"}, "--kube-api-qps 0: must be more than 0"},
		"no burst":                       {[]string{"--kube-api-burst", "0"}, "--kube-api-burst 0: must be 1 or more"},
		"no metrics address":             {[]string{"--metrics-bind-address", ""}, `--metrics-bind-address "": must be host:port, or "0" for none`},
		"a server that is no URL":        {[]string{"--prometheus-server", "prometheus:9090"}, `--prometheus-server: prometheusServers[0].url: Invalid value: "prometheus:9090": must be http://host or https://host, with a port and a path if need be`},
		"a server named without URL":     {[]string{"--prometheus-server", "main="}, `--prometheus-server: prometheusServers[0].url: Invalid value: "": must be http://host or https://host, with a port and a path if need be`},
		"two servers of one name":        {[]string{"--prometheus-server", "http://a", "--prometheus-server", "default=http://b"}, `--prometheus-server: prometheusServers[1].name: Duplicate value: "default"`},
		"a kubeconfig that is not there": {[]string{"--kubeconfig", "/does/not/exist"}, `find the API server (--kubeconfig "/does/not/exist"): stat /does/not/exist: no such file or directory`},
		"two things wrong, on two lines": {[]string{"--kube-api-burst", "0", "--concurrent-syncs", "0"}, "--concurrent-syncs 0: must be from 1 to 1000\n--kube-api-burst 0: must be 1 or more"},
		"a query in the URL has no name": {[]string{"--prometheus-server", "http://a/?x=y"}, `--prometheus-server: prometheusServers[0].url: Invalid value: "http://a/?x=y": must not have user information, a query or a fragment`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := app.New()
			cmd.SetArgs(c.args)
			var out bytes.Buffer
			cmd.SetOut(&out)
			cmd.SetErr(&out)
			err := cmd.ExecuteContext(context.Background())
			if err == nil || err.Error() != c.want {
				t.Errorf("error %v\nwant  %s", err, c.want)
			}
			if out.Len() > 0 {
				t.Errorf("prints besides: %s", out.String())
			}
		})
	}
}

func TestTheREADMEListsEveryFlag(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	usages := app.New().Flags().FlagUsages()
	flags := regexp.MustCompile(`--[a-z-]+`).FindAllString(usages, -1)
	if len(flags) < 10 {
		t.Fatalf("found only %q in\n%s", flags, usages)
	}
	for _, flag := range flags {
		if !strings.Contains(string(readme), "`"+flag+"`") {
			t.Errorf("README.md does not have %s", flag)
		}
	}
}

func TestWhatIsAddedMustBeNew(t *testing.T) {
	o := app.DefaultOptions()
	o.MetricsBindAddress, o.HealthProbeBindAddress, o.LeaderElect, o.Shadow = "0", "0", false, true
	factory := func([]byte) (scaling.Policy, error) { return nil, nil }
	for want, options := range map[string][]app.Option{
		`policy "Target": there is one of that name already`:     {app.WithPolicy("Target", factory)},
		`policy "Mine": given twice`:                             {app.WithPolicy("Mine", factory), app.WithPolicy("Mine", factory)},
		`source "Prometheus": there is one of that name already`: {app.WithSource(named("Prometheus"))},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := app.Run(ctx, plainAPIServer(t), o, options...); err == nil || err.Error() != "set up: "+want {
			t.Errorf("error %v\nwant  set up: %s", err, want)
		}
		cancel()
	}
}

// named is a source that has a name and nothing else.
type named string

func (n named) Name() string { return string(n) }

func (named) Read(context.Context, time.Time, []source.Query, func(int, scaling.Metric)) {}

// plainAPIServer answers for pods, and for nothing of ours.
func plainAPIServer(t *testing.T) *rest.Config {
	t.Helper()
	answers := map[string]string{
		"/api":    `{"kind":"APIVersions","versions":["v1"]}`,
		"/apis":   `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`,
		"/api/v1": `{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"pods","namespaced":true,"kind":"Pod","verbs":["list","watch"]}]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, found := answers[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL}
}

func TestWithoutItsAPIItSaysSoInsteadOfWaiting(t *testing.T) {
	o := app.DefaultOptions()
	o.MetricsBindAddress, o.HealthProbeBindAddress, o.LeaderElect = "127.0.0.1:0", "127.0.0.1:0", false
	for range 2 { // several times in one process
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		err := app.Run(ctx, plainAPIServer(t), o)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "is its CustomResourceDefinition installed?") {
			t.Errorf("error %v", err)
		}
	}
}
