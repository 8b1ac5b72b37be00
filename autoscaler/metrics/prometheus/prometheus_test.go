package prometheus_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// read asks a server that answers with handler.
func read(t *testing.T, handler http.HandlerFunc) scaling.Metric {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return ask(t, prometheus.Server{Name: "default", URL: server.URL})
}

func ask(t *testing.T, server prometheus.Server) scaling.Metric {
	t.Helper()
	s, err := prometheus.New([]prometheus.Server{server}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return readOne(context.Background(), s, query("default"))
}

// readOne reads one metric.
func readOne(ctx context.Context, s *prometheus.Source, q source.Query) scaling.Metric {
	return readAll(ctx, s, now, q)[0]
}

// readAll reads metrics at once and sees to it that each is answered once.
func readAll(ctx context.Context, s *prometheus.Source, at time.Time, queries ...source.Query) []scaling.Metric {
	var mu sync.Mutex
	answers := make([]scaling.Metric, len(queries))
	count := make([]int, len(queries))
	s.Read(ctx, at, queries, func(i int, m scaling.Metric) {
		mu.Lock()
		defer mu.Unlock()
		answers[i] = m
		count[i]++
	})
	for i, n := range count {
		if n != 1 {
			panic(fmt.Sprintf("query %d has been answered %d times", i, n))
		}
	}
	return answers
}

func query(serverName string) source.Query {
	q := promQL("shop", "sum(rate(requests_total[1m]))")
	q.Spec.Prometheus.ServerName = serverName
	return q
}

func promQL(namespace, text string) source.Query {
	return source.Query{Namespace: namespace, Spec: &v1alpha1.MetricSpec{
		Type:       v1alpha1.PrometheusMetricSourceType,
		Prometheus: &v1alpha1.PrometheusMetricSource{Query: text, ServerName: "default"},
	}}
}

func body(format string, args ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, format, args...)
	}
}

// sample is one of a vector.
func sample(labels, value string) string {
	return fmt.Sprintf(`{"metric":{%s},"value":[%d,"%s"]}`, labels, now.Unix(), value)
}

func vector(samples ...string) http.HandlerFunc {
	return body(`{"status":"success","data":{"resultType":"vector","result":[%s]}}`, strings.Join(samples, ","))
}

func TestReadOneNumber(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"a vector of one sample": vector(sample(`"app":"web"`, "12.5")),
		"a scalar":               body(`{"status":"success","data":{"resultType":"scalar","result":[%d,"12.5"]}}`, now.Unix()),
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, handler)
			if m.Unknown.Set() || m.Value != 12.5 || !m.At.Equal(now) {
				t.Errorf("got %+v, want 12.5 at %v", m, now)
			}
		})
	}
}

func TestTheQueryIsAskedForTheTimeOfTheEvaluation(t *testing.T) {
	var form string
	read(t, func(w http.ResponseWriter, r *http.Request) {
		form = r.URL.Path + " " + r.FormValue("query") + " " + r.FormValue("time")
		vector(sample("", "1"))(w, r)
	})
	if want := fmt.Sprintf("/api/v1/query sum(rate(requests_total{namespace=\"shop\"}[1m])) %d", now.Unix()); form != want {
		t.Errorf("asked %q, want %q", form, want)
	}
}

func TestFaultsAreUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		reason  string
		message string
	}{
		"an empty vector": {vector(), scaling.ReasonNoData, "the query has no result"},
		"two series": {
			vector(sample(`"pod":"a"`, "1"), sample(`"pod":"b"`, "2")), scaling.ReasonManyValues, `the query has 2 results where one is wanted, for example {pod="a"} and {pod="b"}`,
		},
		"NaN":             {vector(sample("", "NaN")), scaling.ReasonNotANumber, "the value is NaN"},
		"infinity":        {vector(sample("", "+Inf")), scaling.ReasonNotANumber, "the value is +Inf"},
		"a negative":      {vector(sample("", "-2")), scaling.ReasonNegative, "the value is -2"},
		"a string":        {body(`{"status":"success","data":{"resultType":"string","result":[%d,"12"]}}`, now.Unix()), scaling.ReasonUnreadable, `unexpected value type "string"`},
		"a range":         {body(`{"status":"success","data":{"resultType":"matrix","result":[]}}`), prometheus.ReasonWrongType, "matrix"},
		"a histogram":     {vector(fmt.Sprintf(`{"metric":{},"histogram":[%d,{"count":"1","sum":"1","buckets":[]}]}`, now.Unix())), prometheus.ReasonWrongType, "histogram"},
		"a warning":       {body(`{"status":"success","warnings":["store down"],"data":{"resultType":"vector","result":[%s]}}`, sample("", "1")), prometheus.ReasonPartial, "store down"},
		"no JSON":         {body("<html>"), scaling.ReasonUnreadable, `query server "default"`},
		"half an answer":  {truncated, scaling.ReasonUnreadable, "unexpected EOF"},
		"a huge answer":   {huge, scaling.ReasonUnreadable, "longer than 1048576 bytes"},
		"a server error":  {status(http.StatusInternalServerError, "boom"), scaling.ReasonUnreadable, "server error: 500"},
		"a refused query": {status(http.StatusBadRequest, `{"status":"error","errorType":"bad_data","error":"parse error"}`), scaling.ReasonUnreadable, "parse error"},
		"a redirect to another host": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.invalid/api/v1/query", http.StatusTemporaryRedirect)
		}, scaling.ReasonUnreadable, "redirected to another host, elsewhere.invalid"},
		"redirects without end": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, scaling.ReasonUnreadable, "redirected more than 3 times"},
		"no connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, scaling.ReasonUnreadable, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			m := read(t, c.handler)
			if m.Unknown.Reason != c.reason || !strings.Contains(m.Unknown.Message, c.message) {
				t.Errorf("got %+v, want reason %s and %q", m, c.reason, c.message)
			}
			if m.Value != 0 {
				t.Errorf("unknown, but has the value %v", m.Value)
			}
		})
	}
}

func truncated(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	fmt.Fprint(w, `{"status":"success","data":{`)
}

func huge(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, `{"status":"success","data":{"resultType":"string","result":[1,"`)
	chunk := strings.Repeat("x", 1<<16)
	for range 20 {
		fmt.Fprint(w, chunk)
	}
	fmt.Fprint(w, `"]}}`)
}

func status(code int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		fmt.Fprint(w, text)
	}
}

func TestAnEndedContextEndsTheRead(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if m := readOne(ctx, s, query("default")); m.Unknown.Reason != scaling.ReasonUnreadable {
		t.Errorf("got %+v", m)
	}
}

func TestTheBearerTokenIsReadForEveryQuery(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization"))
		vector(sample("", "1"))(w, r)
	}))
	defer server.Close()
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL, BearerTokenFile: file}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if m := readOne(context.Background(), s, query("default")); !strings.Contains(m.Unknown.Message, "read bearer token") {
		t.Errorf("without a file: %+v", m)
	}
	for _, token := range []string{"one", "two\n"} {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
		if m := readOne(context.Background(), s, query("default")); m.Unknown.Set() {
			t.Errorf("token %q: %+v", token, m.Unknown)
		}
	}
	if want := "[Bearer one Bearer two]"; fmt.Sprint(got) != want {
		t.Errorf("tokens %v, want %s", got, want)
	}
}

func TestAServerNobodyConfiguredIsUnknown(t *testing.T) {
	s, err := prometheus.New([]prometheus.Server{{Name: "a", URL: "http://a"}, {Name: "b", URL: "https://b/path"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := readOne(context.Background(), s, query("default"))
	if m.Unknown.Reason != prometheus.ReasonUnknownServer || !strings.Contains(m.Unknown.Message, "there are: a, b") {
		t.Errorf("got %+v", m.Unknown)
	}
}

func TestNewRejects(t *testing.T) {
	for name, c := range map[string]struct {
		servers []prometheus.Server
		want    string
	}{
		"no name":            {[]prometheus.Server{{URL: "http://a"}}, "prometheusServers[0].name"},
		"a name twice":       {[]prometheus.Server{{Name: "a", URL: "http://a"}, {Name: "a", URL: "http://b"}}, `prometheusServers[1].name: Duplicate value: "a"`},
		"no scheme":          {[]prometheus.Server{{Name: "a", URL: "prometheus:9090"}}, "must be http://host or https://host"},
		"another scheme":     {[]prometheus.Server{{Name: "a", URL: "ftp://a"}}, "must be http://host or https://host"},
		"no host":            {[]prometheus.Server{{Name: "a", URL: "http:///x"}}, "must be http://host or https://host"},
		"a password":         {[]prometheus.Server{{Name: "a", URL: "http://u:secret@a"}}, `"http://u:xxxxx@a": must not have user information`},
		"a query":            {[]prometheus.Server{{Name: "a", URL: "http://a?x=1"}}, "must not have user information, a query or a fragment"},
		"no URL to speak of": {[]prometheus.Server{{Name: "a", URL: "http://a b"}}, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := prometheus.New(c.servers, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}
