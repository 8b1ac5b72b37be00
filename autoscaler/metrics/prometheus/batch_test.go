package prometheus_test

import (
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	prom "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// script answers queries by their text and remembers them; what it does not know
// has no result.
type script struct {
	answers map[string]http.HandlerFunc

	mu    sync.Mutex
	asked []string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text := r.FormValue("query")
	s.mu.Lock()
	s.asked = append(s.asked, text)
	s.mu.Unlock()
	if answer, found := s.answers[text]; found {
		answer(w, r)
		return
	}
	vector()(w, r)
}

// queries are those since the last call, in alphabetical order.
func (s *script) queries() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	slices.Sort(asked)
	return asked
}

// start returns a source that asks handler, and what more is configured.
func start(t *testing.T, handler http.Handler, config prometheus.Server) *prometheus.Source {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config.Name, config.URL = "default", server.URL
	s, err := prometheus.New([]prometheus.Server{config}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func perPod(q source.Query, names ...string) source.Query {
	q.Spec.Prometheus.PerPod = true
	for _, name := range names {
		q.Pods = append(q.Pods, &pods.Pod{Pod: scaling.Pod{Name: name}, Namespace: q.Namespace})
	}
	return q
}

func TestWorkloadsThatDifferInLabelsShareAQuery(t *testing.T) {
	server := &script{answers: map[string]http.HandlerFunc{
		`sum by (app, namespace) (rate(x{app=~"v|w",namespace=~"a|b"}[1m]))`: vector(
			sample(`"app":"v","namespace":"a"`, "1"),
			sample(`"app":"w","namespace":"a"`, "2"),
			sample(`"app":"w","namespace":"b"`, "NaN"),
			sample(`"app":"v","namespace":"c"`, "7"), // asked for by nobody
		),
	}}
	s := start(t, server, prometheus.Server{})
	answers := readAll(t.Context(), s, now,
		promQL("a", `sum(rate(x{app="v"}[1m]))`), promQL("a", `sum(rate(x{app="w"}[1m]))`),
		promQL("b", `sum(rate(x{app="v"}[1m]))`), promQL("b", `sum(rate(x{app="w"}[1m]))`),
		promQL("a", `sum( rate(x{app="v"}[1m]) )`), promQL("b", `sum(rate(x{app="v"}[1m])) or vector(0)`),
	)
	var got []string
	for _, m := range answers {
		got = append(got, fmt.Sprint(m.Value, m.Unknown.Reason))
	}
	if diff := cmp.Diff([]string{"1", "2", "0NoData", "0NotANumber", "1", "0"}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if !answers[5].At.Equal(now) {
		t.Errorf("the default is of %v, want %v", answers[5].At, now)
	}
	if n := len(server.queries()); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

func TestLabelsThatAQueryDropsStayDroppedWhenMerged(t *testing.T) {
	server := &script{answers: map[string]http.HandlerFunc{
		`sum by (pod) (rate(x{namespace="a",pod=~"v|w"}[1m]))`: vector(sample(`"pod":"v"`, "1"), sample(`"pod":"w"`, "2")),
	}}
	s := start(t, server, prometheus.Server{})
	for i, m := range readAll(t.Context(), s, now, perPod(promQL("a", `sum(rate(x{pod="v"}[1m]))`), "v"), perPod(promQL("a", `sum(rate(x{pod="w"}[1m]))`), "w")) {
		if m.Unknown.Reason != prometheus.ReasonNoPodLabel || strings.Contains(m.Unknown.Message, "\"v\"") {
			t.Errorf("workload %d: %+v, want it as if asked alone: without the label", i, m)
		}
	}
	if n := len(server.queries()); n != 1 {
		t.Errorf("%d queries, want 1", n)
	}
}

// one adds up what each of the namespaces asks for, when merged and alone.
func one(namespaces ...string) string {
	if len(namespaces) == 1 {
		return fmt.Sprintf(`sum(rate(x{namespace=%q}[1m]))`, namespaces[0])
	}
	return fmt.Sprintf(`sum by (namespace) (rate(x{namespace=~%q}[1m]))`, strings.Join(namespaces, "|"))
}

func of(namespaces ...string) (queries []source.Query) {
	for _, namespace := range namespaces {
		queries = append(queries, promQL(namespace, "sum(rate(x[1m]))"))
	}
	return queries
}

func each(namespaces ...string) http.HandlerFunc {
	var samples []string
	for _, namespace := range namespaces {
		samples = append(samples, sample(fmt.Sprintf(`"namespace":%q`, namespace), "1"))
	}
	return vector(samples...)
}

func TestAMergedQueryThatFailsIsAskedInParts(t *testing.T) {
	for name, fault := range map[string]struct {
		handler http.HandlerFunc
		reason  string
	}{
		"refused":    {status(http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"too many samples"}`), scaling.ReasonUnreadable},
		"broken":     {status(http.StatusInternalServerError, "boom"), scaling.ReasonUnreadable},
		"incomplete": {body(`{"status":"success","warnings":["store down"],"data":{"resultType":"vector","result":[]}}`), prometheus.ReasonPartial},
		"too long":   {huge, scaling.ReasonUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			server := &script{answers: map[string]http.HandlerFunc{
				one("a", "b", "c", "d"): fault.handler,
				one("a", "b"):           each("a", "b"),
				one("c", "d"):           fault.handler,
				one("c"):                vector(sample("", "1")),
				one("d"):                fault.handler,
				one("a", "b", "c"):      each("a", "b", "c"),
			}}
			s := start(t, server, prometheus.Server{MaxResponseBytes: 64 << 10})
			wantQueries := []string{one("a", "b", "c", "d"), one("a", "b"), one("c", "d"), one("c"), one("d")}
			for _, at := range []time.Time{now, now.Add(15 * time.Second), now.Add(6 * time.Minute)} {
				answers := readAll(t.Context(), s, at, of("a", "b", "c", "d")...)
				for i, m := range answers[:3] {
					if m.Unknown.Set() || m.Value != 1 {
						t.Errorf("workload %d: %+v", i, m)
					}
				}
				if answers[3].Unknown.Reason != fault.reason {
					t.Errorf("the cause: %+v, want %s", answers[3].Unknown, fault.reason)
				}
				slices.Sort(wantQueries)
				if diff := cmp.Diff(wantQueries, server.queries()); diff != "" {
					t.Errorf("queries at %v (-want +got):\n%s", at, diff)
				}
				// What was found out is remembered for five minutes.
				wantQueries = []string{one("a", "b", "c"), one("d")}
				if at.After(now) {
					wantQueries = []string{one("a", "b", "c", "d"), one("a", "b"), one("c", "d"), one("c"), one("d")}
				}
			}
		})
	}
}

func TestWhatSplittingCostsIsBounded(t *testing.T) {
	server := &script{}
	refuse := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.ServeHTTP(httptest.NewRecorder(), r)
		status(http.StatusUnprocessableEntity, `{"status":"error","errorType":"execution","error":"namespace ns-7 is secret"}`)(w, r)
	})
	s := start(t, refuse, prometheus.Server{})
	var namespaces []string
	for i := range 300 {
		namespaces = append(namespaces, fmt.Sprintf("ns-%d", i))
	}
	for i, m := range readAll(t.Context(), s, now, of(namespaces...)...) {
		if m.Unknown.Reason != scaling.ReasonUnreadable {
			t.Fatalf("workload %d: %+v", i, m)
		}
	}
	if n := len(server.queries()); n > 65 {
		t.Errorf("%d queries in one period, want at most 65", n)
	}
}

func TestASlowNamespaceIsKeptApartWithinTwoPeriods(t *testing.T) {
	release := make(chan struct{})
	var slow, asked atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := r.FormValue("query")
		asked.Add(1)
		if strings.Contains(text, "ns-07") {
			slow.Add(1)
			<-release
			return
		}
		var samples []string
		for i := range 40 {
			if namespace := fmt.Sprintf("ns-%02d", i); strings.Contains(text, namespace) {
				samples = append(samples, sample(fmt.Sprintf(`"namespace":%q`, namespace), "1"))
			}
		}
		vector(samples...)(w, r)
	})
	s := start(t, handler, prometheus.Server{Timeout: metav1.Duration{Duration: 300 * time.Millisecond}})
	t.Cleanup(func() { close(release) }) // before the server is closed
	var queries []source.Query
	for i := range 40 {
		queries = append(queries, promQL(fmt.Sprintf("ns-%02d", i), "sum(rate(x[1m]))"))
	}
	other := promQL("other", "absent(y)") // the server is there for others
	for period, want := range []struct{ unknown, slow int64 }{{40, 3}, {1, 1}, {1, 1}} {
		slow.Store(0)
		unknown := int64(0)
		for _, m := range readAll(t.Context(), s, now.Add(time.Duration(period)*15*time.Second), append(queries, other)...)[:40] {
			if m.Unknown.Set() {
				unknown++
			}
		}
		if unknown > want.unknown || slow.Load() > want.slow {
			t.Errorf("period %d: %d unknown and %d slow queries, want at most %d and %d", period, unknown, slow.Load(), want.unknown, want.slow)
		}
	}
	if n := asked.Load(); n > 40 {
		t.Errorf("%d queries in three periods", n)
	}
}

func TestAnOutageIsNotBlamedOnQueries(t *testing.T) {
	server := &script{answers: map[string]http.HandlerFunc{one("a", "b", "c", "d"): each("a", "b", "c", "d")}}
	var up atomic.Bool
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			panic(http.ErrAbortHandler)
		}
		server.ServeHTTP(w, r)
	}), prometheus.Server{})
	readAll(t.Context(), s, now, of("a", "b", "c", "d")...)
	up.Store(true)
	readAll(t.Context(), s, now.Add(15*time.Second), of("a", "b", "c", "d")...)
	if diff := cmp.Diff([]string{one("a", "b", "c", "d")}, server.queries()); diff != "" {
		t.Errorf("queries afterwards (-want +got):\n%s", diff)
	}
}

func TestEachPodHasItsReading(t *testing.T) {
	query := `sum by (pod) (rate(x{namespace="shop"}[1m]))`
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		empty  v1alpha1.EmptyResult
		want   []string // UsageMilli of a, b and c, "-" without a sample
		reason string
	}{
		"a sample for each":        {answer: vector(sample(`"pod":"a"`, "1.5"), sample(`"pod":"b"`, "0"), sample(`"pod":"c"`, "2")), want: []string{"1500", "0", "2000"}},
		"another workload's pods":  {answer: vector(sample(`"pod":"a"`, "1"), sample(`"pod":"z"`, "9"), sample(`"pod":"z"`, "9")), want: []string{"1000", "-", "-"}},
		"another namespace's pods": {answer: vector(sample(`"pod":"a","namespace":"shop"`, "1"), sample(`"pod":"a","namespace":"other"`, "9")), want: []string{"1000", "-", "-"}},
		"one is NaN":               {answer: vector(sample(`"pod":"a"`, "NaN"), sample(`"pod":"b"`, "1")), want: []string{"-", "1000", "-"}},
		"one is negative":          {answer: vector(sample(`"pod":"a"`, "-1"), sample(`"pod":"b"`, "1")), want: []string{"-", "1000", "-"}},
		"one is beyond 64 bits":    {answer: vector(sample(`"pod":"a"`, "1e30"), sample(`"pod":"b"`, "1")), want: []string{"-", "1000", "-"}},
		"all are infinite":         {answer: vector(sample(`"pod":"a"`, "+Inf"), sample(`"pod":"b"`, "-Inf")), reason: scaling.ReasonNotANumber},
		"two for one pod":          {answer: vector(sample(`"pod":"a","x":"1"`, "1"), sample(`"pod":"a","x":"2"`, "1")), reason: scaling.ReasonManyValues},
		"no label":                 {answer: vector(sample(`"instance":"a"`, "1")), reason: prometheus.ReasonNoPodLabel},
		"a scalar":                 {answer: body(`{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}`), reason: prometheus.ReasonWrongType},
		"nothing":                  {answer: vector(), reason: scaling.ReasonNoData},
		"nothing, which is zero":   {answer: vector(), empty: v1alpha1.EmptyResultZero, want: []string{"0", "0", "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, &script{answers: map[string]http.HandlerFunc{query: c.answer}}, prometheus.Server{})
			q := perPod(promQL("shop", `sum by (pod) (rate(x[1m]))`), "a", "b", "c")
			q.Spec.Prometheus.EmptyResult = c.empty
			m := readOne(t.Context(), s, q)
			if m.Unknown.Reason != c.reason || m.PerPod == m.Unknown.Set() {
				t.Fatalf("got %+v, want reason %q", m, c.reason)
			}
			var got []string
			for _, r := range m.Pods {
				if !r.Sampled {
					got = append(got, "-")
					continue
				}
				got = append(got, fmt.Sprint(r.UsageMilli))
				if !r.At.Equal(now) {
					t.Errorf("pod %s: of %v, want %v", r.Pod, r.At, now)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("readings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnEmptyResultMayMeanZero(t *testing.T) {
	s := start(t, &script{}, prometheus.Server{})
	q := query("default")
	q.Spec.Prometheus.EmptyResult = v1alpha1.EmptyResultZero
	if m := readOne(t.Context(), s, q); m.Unknown.Set() || m.Value != 0 || !m.At.Equal(now) {
		t.Errorf("got %+v", m)
	}
}

func TestTheAgeOfAGaugeIsItsOldestSamples(t *testing.T) {
	const value, age = `avg(x{namespace="shop"})`, `min(timestamp(x{namespace="shop"}))`
	oldest := now.Add(-4 * time.Minute)
	server := &script{answers: map[string]http.HandlerFunc{
		value: vector(sample("", "3")), age: vector(sample("", fmt.Sprint(oldest.Unix()))),
		`x{namespace="shop"}`:                           vector(sample(`"pod":"a"`, "1"), sample(`"pod":"b"`, "2")),
		`min by (pod) (timestamp(x{namespace="shop"}))`: vector(sample(`"pod":"a"`, fmt.Sprint(oldest.Unix()))),
	}}
	s := start(t, server, prometheus.Server{})
	if m := readOne(t.Context(), s, promQL("shop", "avg(x)")); m.Value != 3 || !m.At.Equal(oldest) {
		t.Errorf("got %+v, want 3 of %v", m, oldest)
	}
	m := readOne(t.Context(), s, perPod(promQL("shop", "x"), "a", "b"))
	if len(m.Pods) != 2 || !m.Pods[0].At.Equal(oldest) || m.Pods[1].Sampled {
		t.Errorf("of a the age is known, of b not: %+v", m)
	}
	server.answers[age] = status(http.StatusInternalServerError, "boom")
	if m := readOne(t.Context(), s, promQL("shop", "avg(x)")); m.Unknown.Reason != scaling.ReasonUnreadable || !strings.Contains(m.Unknown.Message, "the age of the samples: ") {
		t.Errorf("without the age: %+v", m)
	}
	delete(server.answers, age)
	if m := readOne(t.Context(), s, promQL("shop", "avg(x)")); m.Unknown.Reason != scaling.ReasonNoData {
		t.Errorf("with an age of nothing: %+v", m)
	}
}

func TestUnconfinedNamespacesAreTheOperatorsException(t *testing.T) {
	server := &script{}
	s := start(t, server, prometheus.Server{UnconfinedNamespaces: []string{"platform"}})
	readAll(t.Context(), s, now, promQL("platform", `sum(rate(x{namespace="other"}[1m]))`), promQL("shop", `sum(rate(y[1m]))`))
	want := []string{`sum(rate(x{namespace="other"}[1m]))`, `sum(rate(y{namespace="shop"}[1m]))`}
	if diff := cmp.Diff(want, server.queries()); diff != "" {
		t.Errorf("queries (-want +got):\n%s", diff)
	}
	m := readOne(t.Context(), s, promQL("shop", `x{namespace="other"}`))
	if m.Unknown.Reason != prometheus.ReasonForeignNamespace || len(server.queries()) > 0 {
		t.Errorf("got %+v, want it refused without a query", m)
	}
}

// distinct are queries that cannot be merged.
func distinct(serverName string, n int) (queries []source.Query) {
	for i := range n {
		q := promQL(fmt.Sprintf("ns-%d", i), fmt.Sprintf("absent(x%d)", i))
		q.Spec.Prometheus.ServerName = serverName
		queries = append(queries, q)
	}
	return queries
}

func TestAHungServerIsLeftAloneAndHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	var mu sync.Mutex
	hung, asked := true, 0
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked++
		wait := hung
		mu.Unlock()
		if wait {
			<-release
		}
		vector(sample("", "1"))(w, r)
	}))
	defer slow.Close()
	defer close(release)
	fine := httptest.NewServer(vector(sample("", "1")))
	defer fine.Close()
	registry := prom.NewRegistry()
	timeout := metav1.Duration{Duration: 250 * time.Millisecond}
	s, err := prometheus.New([]prometheus.Server{{Name: "slow", URL: slow.URL, Timeout: timeout, Concurrency: 2}, {Name: "fine", URL: fine.URL}}, registry)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// read answers how many were unknown for which reason, and how often the
	// slow server was asked.
	read := func(at time.Time) (map[string]int, int) {
		mu.Lock()
		before := asked
		mu.Unlock()
		reasons := map[string]int{}
		for i, m := range readAll(t.Context(), s, at, append(distinct("slow", 20), distinct("fine", 5)...)...) {
			if i >= 20 && m.Unknown.Set() {
				t.Errorf("the other server's: %+v", m)
			}
			if i < 20 {
				reasons[m.Unknown.Reason]++
			}
		}
		mu.Lock()
		defer mu.Unlock()
		return reasons, asked - before
	}
	reasons, _ := read(now)
	if reasons[prometheus.ReasonCircuitOpen] < 14 || reasons[scaling.ReasonUnreadable] < 5 {
		t.Errorf("first %v, want 5 or 6 Unreadable and then CircuitOpen", reasons)
	}
	if reasons, n := read(now.Add(4 * time.Second)); reasons[prometheus.ReasonCircuitOpen] != 20 || n != 0 {
		t.Errorf("open: %v after %d queries, want all at once without one", reasons, n)
	}
	if got := gauge(t, registry, "plimsoll_autoscaler_prometheus_circuit_open", "slow"); got != 1 {
		t.Errorf("circuit_open is %v, want 1", got)
	}
	if reasons, n := read(now.Add(6 * time.Second)); reasons[prometheus.ReasonCircuitOpen] != 19 || n != 1 {
		t.Errorf("half open: %v after %d queries, want one to try", reasons, n)
	}
	mu.Lock()
	hung = false
	mu.Unlock()
	if reasons, _ := read(now.Add(14 * time.Second)); reasons[prometheus.ReasonCircuitOpen] != 20 {
		t.Errorf("open for twice as long: %v", reasons)
	}
	if reasons, n := read(now.Add(17 * time.Second)); reasons[""] != 20 || n != 20 {
		t.Errorf("recovered: %v after %d queries", reasons, n)
	}
	if got := gauge(t, registry, "plimsoll_autoscaler_prometheus_circuit_open", "slow"); got != 0 {
		t.Errorf("circuit_open is %v, want 0", got)
	}
}

func gauge(t *testing.T, registry *prom.Registry, name, server string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == server {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s of server %s", name, server)
	return 0
}

func TestWhatIsNotAskedInTimeDoesNotOpenTheCircuit(t *testing.T) {
	s := start(t, vector(sample("", "1")), prometheus.Server{})
	ended, cancel := context.WithDeadline(t.Context(), now) // long ago
	defer cancel()
	for i, m := range readAll(ended, s, now, distinct("default", 20)...) {
		if m.Unknown.Reason != scaling.ReasonUnreadable {
			t.Errorf("query %d: %+v", i, m)
		}
	}
	for i, m := range readAll(t.Context(), s, now, distinct("default", 20)...) {
		if m.Unknown.Set() {
			t.Errorf("query %d in time: %+v", i, m)
		}
	}
}

func TestRejectedQueriesDoNotOpenTheCircuit(t *testing.T) {
	s := start(t, status(http.StatusBadRequest, `{"status":"error","errorType":"bad_data","error":"parse error"}`), prometheus.Server{})
	for i, m := range readAll(t.Context(), s, now, distinct("default", 20)...) {
		if m.Unknown.Reason != scaling.ReasonUnreadable {
			t.Errorf("query %d: %+v", i, m)
		}
	}
}

func TestMetrics(t *testing.T) {
	server := httptest.NewServer(&script{answers: map[string]http.HandlerFunc{one("a", "b"): each("a", "b")}})
	defer server.Close()
	registry := prom.NewRegistry()
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL}}, registry)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	readAll(t.Context(), s, now, of("a", "b")...)
	want := `
# HELP plimsoll_autoscaler_prometheus_merged_workloads Queries of workloads that were answered by another's or a merged query when they were last read.
# TYPE plimsoll_autoscaler_prometheus_merged_workloads gauge
plimsoll_autoscaler_prometheus_merged_workloads{server="default"} 1
# HELP plimsoll_autoscaler_prometheus_queries_total Queries to Prometheus servers by result: answered, partial, rejected, failed.
# TYPE plimsoll_autoscaler_prometheus_queries_total counter
plimsoll_autoscaler_prometheus_queries_total{result="answered",server="default"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "plimsoll_autoscaler_prometheus_merged_workloads", "plimsoll_autoscaler_prometheus_queries_total"); err != nil {
		t.Error(err)
	}
	if err := s.Update(nil); err != nil {
		t.Fatal(err)
	}
	if n, err := testutil.GatherAndCount(registry); err != nil || n != 0 {
		t.Errorf("%d series (%v) of a server that is gone", n, err)
	}
	if _, err := prometheus.New(nil, registry); err == nil {
		t.Error("metrics are registered twice")
	}
}

func TestWhoIsAskingIsReadFromFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var got []string
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		got = append(got, strings.Join([]string{user, password, r.Header.Get("X-Scope-Orgid"), r.Header.Get("X-Key")}, " "))
		vector(sample("", "1"))(w, r)
	}), prometheus.Server{
		BasicAuth: &prometheus.BasicAuth{Username: "reader", PasswordFile: write("password", "one\n")},
		Headers:   map[string]string{"X-Scope-OrgID": "tenant"}, HeadersFromFiles: map[string]string{"X-Key": write("key", "k")},
	})
	readOne(t.Context(), s, query("default"))
	write("password", "two")
	readOne(t.Context(), s, query("default"))
	if diff := cmp.Diff([]string{"reader one tenant k", "reader two tenant k"}, got); diff != "" {
		t.Errorf("asked by (-want +got):\n%s", diff)
	}
	for _, content := range []string{"", "a\nb"} {
		write("password", content)
		if m := readOne(t.Context(), s, query("default")); !strings.Contains(m.Unknown.Message, "must have one line, not empty") {
			t.Errorf("password %q: %+v", content, m)
		}
	}
}

func TestAuthoritiesAreReadAgainWhenTheyChange(t *testing.T) {
	server := httptest.NewUnstartedServer(vector(sample("", "1")))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that are meant to fail
	server.StartTLS()
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	trust := func(certificate []byte) {
		content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
		if err := os.WriteFile(file+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL, TLS: &prometheus.TLS{CAFile: file, ServerName: "example.com"}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		change  func()
		message string
	}{
		{func() {}, "no such file"},
		{func() { trust(somebody(t)) }, "certificate signed by unknown authority"},
		{func() { trust(server.Certificate().Raw) }, ""},
		{func() { trust(nil) }, "has no certificate in PEM"},
	} {
		c.change()
		m := readOne(t.Context(), s, query("default"))
		if m.Unknown.Set() != (c.message != "") || !strings.Contains(m.Unknown.Message, c.message) {
			t.Errorf("got %+v, want %q", m, c.message)
		}
	}
}

func TestARedirectInTheClearIsRefused(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL, TLS: &prometheus.TLS{InsecureSkipVerify: true}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if m := readOne(t.Context(), s, query("default")); !strings.Contains(m.Unknown.Message, "redirected from https to http") {
		t.Errorf("got %+v", m)
	}
}

func TestACompressedAnswerIsAsLongAsItUnfoldsTo(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		zeros := make([]byte, 1<<16)
		for range 1 << 8 {
			if _, err := z.Write(zeros); err != nil {
				return
			}
		}
	}), prometheus.Server{})
	if m := readOne(t.Context(), s, query("default")); !strings.Contains(m.Unknown.Message, "longer than 1048576 bytes") {
		t.Errorf("got %+v", m)
	}
}

// somebody is a certificate of nobody we know.
func somebody(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "somebody"}, IsCA: true, BasicConstraintsValid: true}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const configText = `
apiVersion: autoscaling.plimsoll.dev/v1alpha1
kind: AutoscalerConfiguration
prometheusServers:
- name: default
  url: https://prometheus.monitoring:9090
  tls: {caFile: /etc/ca.pem}
  bearerTokenFile: /var/run/token
  timeout: 3s
`

func TestLoadConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	load := func(text string) ([]prometheus.Server, error) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return prometheus.LoadConfig(path)
	}
	servers, err := load(configText)
	want := []prometheus.Server{{
		Name: "default", URL: "https://prometheus.monitoring:9090", TLS: &prometheus.TLS{CAFile: "/etc/ca.pem"},
		BearerTokenFile: "/var/run/token", Timeout: metav1.Duration{Duration: 3 * time.Second},
	}}
	if diff := cmp.Diff(want, servers); err != nil || diff != "" {
		t.Errorf("error %v, servers (-want +got):\n%s", err, diff)
	}
	for name, c := range map[string]struct{ line, want string }{
		"a misspelt field":               {"  timeOut: 1s", `unknown field "prometheusServers[0].timeOut"`},
		"a field given twice":            {"  name: again", `key "name" already set`},
		"too patient":                    {"- {name: b, url: http://b, timeout: 31s}", `prometheusServers[1].timeout: Invalid value: "31s": must be from 1ms to 30s`},
		"a negative timeout":             {"- {name: b, url: http://b, timeout: -1s}", `must be from 1ms to 30s`},
		"answers too long":               {"  maxResponseBytes: 67108865", `prometheusServers[0].maxResponseBytes: Invalid value: "67108865": must be from 1024 to 67108864`},
		"too many samples":               {"  maxSamples: -1", `prometheusServers[0].maxSamples: Invalid value: "-1": must be from 1 to 5000000`},
		"queries too long":               {"  maxQueryLength: 10", `prometheusServers[0].maxQueryLength`},
		"too many at once":               {"  concurrency: 257", `prometheusServers[0].concurrency: Invalid value: "257": must be from 1 to 256`},
		"no label":                       {"  namespaceLabel: a-b", `prometheusServers[0].namespaceLabel`},
		"a pod label with a digit first": {"  podLabel: 1a", `prometheusServers[0].podLabel`},
		"no namespace":                   {`  unconfinedNamespaces: [""]`, `prometheusServers[0].unconfinedNamespaces[0]`},
		"two identities":                 {"  basicAuth: {username: u, passwordFile: /p}", `prometheusServers[0].bearerTokenFile`},
		"no password":                    {"  basicAuth: {username: u}", `prometheusServers[0].basicAuth.passwordFile: Required`},
		"a token in a header":            {"  headers: {authorization: x}", `prometheusServers[0].headers[authorization]: Invalid value: "authorization": must be set by bearerTokenFile or basicAuth`},
		"a header of two lines":          {`  headers: {X-A: "a\nb"}`, "must be one line"},
		"no header":                      {`  headers: {"a b": c}`, "must be the name of a header"},
		"a header twice":                 {"  headers: {X-A: b}\n  headersFromFiles: {x-a: /f}", "is set twice"},
		"the host":                       {"  headers: {host: b}", "is not for configuration to set"},
		"half a certificate":             {"- {name: b, url: https://b, tls: {certFile: /c}}", "prometheusServers[1].tls.certFile"},
		"trust in vain":                  {"- {name: b, url: https://b, tls: {caFile: /c, insecureSkipVerify: true}}", "prometheusServers[1].tls.insecureSkipVerify"},
		"TLS without https":              {"- {name: b, url: http://b, tls: {caFile: /c}}", "prometheusServers[1].tls"},
		"a name twice":                   {"- {name: default, url: http://b}", `prometheusServers[1].name: Duplicate value: "default"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(configText + c.line + "\n")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
	for _, text := range []string{"kind: X", "apiVersion: autoscaling.plimsoll.dev/v2\nkind: AutoscalerConfiguration"} {
		if _, err := load(text); err == nil || !strings.Contains(err.Error(), "supported values") {
			t.Errorf("%s: error %v", text, err)
		}
	}
}

func TestWatchKeepsTheOldConfigurationOnErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yaml")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var events []string
		var refuse error
		write := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan struct{})
		write(configText)
		go func() {
			defer close(done)
			prometheus.Watch(ctx, path, 5*time.Second, func(servers []prometheus.Server) error {
				events = append(events, fmt.Sprint(len(servers)))
				return refuse
			}, func(err error) { events = append(events, err.Error()) })
		}()
		pass := func() {
			time.Sleep(11 * time.Second) // of the bubble's time: two looks
			synctest.Wait()
		}
		pass()
		write(configText + "- {name: b, url: 'ftp://b'}\n")
		pass()
		write(configText + "- {name: b, url: 'http://b'}\n")
		pass()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		pass()
		refuse = os.ErrPermission
		write("apiVersion: autoscaling.plimsoll.dev/v1alpha1\nkind: AutoscalerConfiguration\n")
		synctest.Wait()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		cancel()
		<-done
		want := []string{"1", "prometheusServers[1].url", "2", "no such file", "0", "permission denied"}
		if len(events) != len(want) {
			t.Fatalf("events %q", events)
		}
		for i := range want {
			if !strings.Contains(events[i], want[i]) {
				t.Errorf("event %d is %q, want %q", i, events[i], want[i])
			}
		}
	})
}

func TestUpdateReplacesServersOrNothing(t *testing.T) {
	s := start(t, vector(sample("", "1")), prometheus.Server{})
	if err := s.Update([]prometheus.Server{{Name: "other", URL: "ftp://x"}}); err == nil {
		t.Error("a wrong server is taken")
	}
	if m := readOne(t.Context(), s, query("default")); m.Unknown.Set() {
		t.Errorf("after a wrong update: %+v", m)
	}
	if err := s.Update([]prometheus.Server{{Name: "other", URL: "http://x"}}); err != nil {
		t.Error(err)
	}
	if m := readOne(t.Context(), s, query("default")); m.Unknown.Reason != prometheus.ReasonUnknownServer {
		t.Errorf("after the update: %+v", m)
	}
}

func TestTheExampleOfTheReadmeLoads(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "## Servers\n\n")
	example, _, found := strings.Cut(after, "\n\n")
	if !found || !strings.HasPrefix(example, "    apiVersion") {
		t.Fatal("no example in README.md")
	}
	example = strings.ReplaceAll(example, "\n    ", "\n")[4:]
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	servers, err := prometheus.LoadConfig(path)
	if err != nil || len(servers) != 2 {
		t.Errorf("%d servers, error %v", len(servers), err)
	}
}

// BenchmarkRead reads 5,000 workloads, whose 10 apps are in 500 namespaces.
func BenchmarkRead(b *testing.B) {
	samples := map[string][]string{}
	var queries []source.Query
	for i := range 5000 {
		namespace, app := fmt.Sprintf("namespace-%03d", i/10), fmt.Sprintf("app-%d", i%10)
		samples[namespace] = append(samples[namespace], sample(fmt.Sprintf(`"namespace":%q,"app":%q`, namespace, app), "1"))
		queries = append(queries, promQL(namespace, fmt.Sprintf(`sum(rate(requests_total{app=%q}[2m]))`, app)))
	}
	asked, answers := 0, map[string]http.HandlerFunc{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		text := r.FormValue("query")
		if answers[text] == nil {
			var matching []string
			for namespace, of := range samples {
				if strings.Contains(text, namespace) {
					matching = append(matching, of...)
				}
			}
			answers[text] = vector(matching...)
		}
		answers[text](w, r)
	}))
	defer server.Close()
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: server.URL, Concurrency: 1}}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		for i, m := range readAll(b.Context(), s, now, queries...) {
			if m.Value != 1 {
				b.Fatalf("workload %d: %+v", i, m)
			}
		}
	}
	b.ReportMetric(float64(asked)/float64(b.N), "queries/op")
}
