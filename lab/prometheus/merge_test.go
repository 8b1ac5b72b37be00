package prometheus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The values of labels are such as regular expressions and separators go wrong
// with.
var (
	mergeNow   = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	namespaces = []string{"shop", "shop-2", "shop.2", "a", "ab", "b"}
	apps       = []string{"web", "web.1", "web|api", "api", "we(b", `back\slash`, "new\nline", "ünï"}
)

// TestMergedQueriesAnswerAsEachAlone asks a real engine random queries of many
// workloads at once, and each alone: the answers must be the same.
func TestMergedQueriesAnswerAsEachAlone(t *testing.T) {
	engine := startEngine(t, 1)
	together, alone := engine.source(t), engine.source(t)
	random := rand.New(rand.NewPCG(2, 3))
	var known, asked, merged int
	for range 400 {
		g := generator{random}
		template, perPod := g.vector(3), random.IntN(3) == 0
		if !perPod && random.IntN(4) > 0 {
			template = g.one(2)
		}
		queries := workloads(template, perPod)
		before := engine.count.Load()
		got := readUntilFound(t, together, queries)
		merged += len(queries)
		asked += int(engine.count.Load() - before)
		for i, q := range queries {
			want := readAll(t, alone, queries[i:i+1])[0]
			if !isSameMetric(got[i], want) {
				t.Fatalf("%s in namespace %s, perPod %v:\nmerged %+v\n alone %+v", q.Spec.Prometheus.Query, q.Namespace, perPod, got[i], want)
			}
			if !want.Unknown.Set() {
				known++
			}
		}
	}
	t.Logf("%d answers, %d of them known, from %d queries", merged, known, asked)
	if known < merged/10 {
		t.Errorf("only %d of %d answers are known: nothing is compared", known, merged)
	}
	if asked > merged*3/4 {
		t.Errorf("%d answers took %d queries: nothing is merged", merged, asked)
	}
}

// readUntilFound reads until it has been found out whose queries cannot be merged:
// what that may cost in one period is bounded.
func readUntilFound(t *testing.T, s source.Source, queries []source.Query) (answers []scaling.Metric) {
	t.Helper()
	for range 10 {
		answers = readAll(t, s, queries)
		if !slices.ContainsFunc(answers, func(m scaling.Metric) bool { return strings.Contains(m.Unknown.Message, "no time to ask for each") }) {
			return answers
		}
	}
	t.Fatalf("%s: not everyone is answered after 10 periods", queries[0].Spec.Prometheus.Query)
	return nil
}

// TestTheUsualQueriesAreMerged says how many queries all workloads cost, once it
// is known that one namespace has a histogram among its gauges.
func TestTheUsualQueriesAreMerged(t *testing.T) {
	engine := startEngine(t, 1)
	for _, c := range []struct {
		template string
		perPod   bool
		queries  int64
	}{
		{`sum(rate(requests_total{app=$app}[2m]))`, false, 1},
		{`sum(rate(requests_total{app=$app}[2m])) or vector(0)`, false, 1},
		{`histogram_quantile(0.9, sum by (le) (rate(latency_bucket{app=$app}[2m])))`, false, 1},
		{`sum(rate(requests_total{app=$app,code="500"}[2m])) / sum(rate(requests_total{app=$app}[2m]))`, false, 1},
		{`max_over_time(sum(rate(requests_total{app=$app}[1m]))[5m:30s])`, false, 1},
		{`quantile(0.5, rate(requests_total{app=$app}[2m])) * 100`, false, 1},
		{`sum by (pod) (rate(requests_total{app=$app}[2m]))`, true, 1},
		{`avg(queue{app=$app})`, false, 4},
		{`sum(queue{app=$app}) or vector(0)`, false, 4},
		{`queue{app=$app}`, true, 2},
	} {
		queries, s := workloads(c.template, c.perPod), engine.source(t)
		readAll(t, s, queries)
		before := engine.count.Load()
		readAll(t, s, queries)
		if n := engine.count.Load() - before; n != c.queries {
			t.Errorf("%s: %d workloads took %d queries, want %d", c.template, len(queries), n, c.queries)
		}
	}
}

// TestConfinedQueriesSeeTheirOwnNamespaceOnly takes the other namespaces away:
// no answer may change.
func TestConfinedQueriesSeeTheirOwnNamespaceOnly(t *testing.T) {
	all, own := startEngine(t, 1), startEngine(t, 1, "shop")
	random := rand.New(rand.NewPCG(4, 5))
	known := 0
	for range 400 {
		g := generator{random}
		q := []source.Query{newQuery("shop", strings.ReplaceAll(g.vector(3), "$app", strconv.Quote(apps[random.IntN(len(apps))])), random.IntN(2) == 0)}
		got, want := readAll(t, all.source(t), q)[0], readAll(t, own.source(t), q)[0]
		if !isSameMetric(got, want) {
			t.Fatalf("%s:\nwith the others %+v\n       without %+v", q[0].Spec.Prometheus.Query, got, want)
		}
		if !got.Unknown.Set() {
			known++
		}
	}
	if known == 0 {
		t.Error("no answer is known: nothing is compared")
	}
}

// workloads are the queries of one template, of every app in every namespace.
func workloads(template string, perPod bool) (queries []source.Query) {
	for _, namespace := range namespaces {
		for _, app := range append([]string{"missing"}, apps...) {
			queries = append(queries, newQuery(namespace, strings.ReplaceAll(template, "$app", strconv.Quote(app)), perPod))
		}
	}
	return queries
}

func newQuery(namespace, text string, perPod bool) source.Query {
	q := source.Query{Namespace: namespace, Spec: &v1alpha1.MetricSpec{
		Type:       v1alpha1.PrometheusMetricSourceType,
		Prometheus: &v1alpha1.PrometheusMetricSource{Query: text, ServerName: "default", PerPod: perPod},
	}}
	for i := range 3 {
		q.Pods = append(q.Pods, &pods.Pod{Pod: scaling.Pod{Name: fmt.Sprintf("pod-%d", i)}, Namespace: namespace})
	}
	return q
}

// generator makes queries with $app in place of an app's name, mergeable and not.
type generator struct{ *rand.Rand }

func (g generator) pick(of ...string) string { return of[g.IntN(len(of))] }

// matchers compare with the app nearly always.
func (g generator) matchers(more ...string) string {
	list := append([]string{`app=$app`}, more...)
	switch g.IntN(12) {
	case 0:
		list[0] = `app=~"web.*"`
	case 1:
		list = append(list, `app!="api"`)
	case 2, 3:
		list = append(list, `pod=~"pod-[01]"`)
	case 4:
		list = append(list, `pod="pod-0"`)
	case 5:
		list = list[1:]
	}
	return "{" + strings.Join(list, ",") + "}"
}

func (g generator) gauge() string {
	return "queue" + g.matchers() + g.pick("", "", "", "", " offset 1m")
}

func (g generator) counter() string {
	if g.IntN(3) == 0 {
		return "requests_total" + g.matchers(`code="500"`)
	}
	return "requests_total" + g.matchers()
}

func (g generator) leaf() string {
	switch g.IntN(8) {
	case 0:
		return g.gauge()
	case 1:
		return g.pick("max", "avg", "count", "last") + "_over_time(" + g.gauge() + "[3m])"
	case 2:
		return "timestamp(" + g.gauge() + ")"
	case 3:
		return "histogram_quantile(0.9, sum by (le" + g.pick("", ", pod", ", app") + ") (rate(latency_bucket" + g.matchers() + "[3m])))"
	case 4:
		return "{__name__=~\"queue|requests_total\"," + g.matchers()[1:]
	}
	return g.pick("rate", "increase", "irate", "delta") + "(" + g.counter() + "[3m])"
}

func (g generator) grouping() string {
	return g.pick("", "", " by (pod)", " by (app, pod)", " by (code)", " by (namespace)", " without (pod)", " without (app, code)", " without (namespace, pod, code)")
}

// vector is any expression, of a depth.
func (g generator) vector(depth int) string {
	if depth == 0 {
		return g.leaf()
	}
	inner := g.vector(depth - 1)
	switch g.IntN(16) {
	case 0:
		return g.pick("abs", "ceil", "-", "sqrt", "sort") + "(" + inner + ")"
	case 1:
		return "(" + inner + g.pick(" * 2", " + time()", " > 1", " >= bool 1", " / scalar(sum(queue))") + ")"
	case 2, 3, 4:
		return "(" + inner + " " + g.pick("+", "/", "*", ">", "and", "or", "unless") + g.pick("", "", " on (app)", " on (pod)", " on (namespace, app)", " ignoring (code)", " on ()", " ignoring (app, code)") + " " + g.vector(depth-1) + ")"
	case 5:
		return "(" + inner + " / " + g.pick("on (pod)", "on (app, pod)", "ignoring (code)", "on (namespace)") + " " + g.pick("group_left", "group_right", "group_left (app)") + " " + g.vector(depth-1) + ")"
	case 6:
		return "max_over_time((" + inner + ")[5m:1m])"
	case 7:
		return g.pick("absent("+inner+")", "label_replace("+inner+`, "app", "web", "", "")`, "topk(1, "+inner+")", `count_values("value", `+inner+")",
			`label_join(`+inner+`, "pod", "-", "pod", "app")`, "("+inner+" or vector(0))", `quantile(0.5, `+inner+`)`, "absent_over_time(queue"+g.matchers()+"[1m])")
	}
	return g.one2(g.grouping(), inner)
}

// one is an expression that has one result more often than not.
func (g generator) one(depth int) string {
	e := g.one2(g.pick("", "", "", " by (app)", " by (namespace)"), g.vector(depth-1))
	switch g.IntN(4) {
	case 0:
		return e + " or vector(0)"
	case 1:
		return e + " / " + g.one2("", g.vector(depth-1))
	}
	return e
}

func (g generator) one2(grouping, inner string) string {
	return g.pick("sum", "sum", "avg", "min", "max", "count", "group", "stddev") + grouping + " (" + inner + ")"
}

func readAll(t *testing.T, s source.Source, queries []source.Query) []scaling.Metric {
	t.Helper()
	var mu sync.Mutex
	answers, count := make([]scaling.Metric, len(queries)), make([]int, len(queries))
	s.Read(t.Context(), mergeNow, queries, func(i int, m scaling.Metric) {
		mu.Lock()
		defer mu.Unlock()
		answers[i], count[i] = m, count[i]+1
	})
	for i, n := range count {
		if n != 1 {
			t.Fatalf("query %d has been answered %d times", i, n)
		}
	}
	return answers
}

// isSameMetric lets the order of a sum differ, and which of several results are
// given as examples.
func isSameMetric(a, b scaling.Metric) bool {
	if a.Unknown.Reason != b.Unknown.Reason || a.PerPod != b.PerPod || !a.At.Equal(b.At) || len(a.Pods) != len(b.Pods) || !isNear(a.Value, b.Value) {
		return false
	}
	for i, p := range a.Pods {
		o := b.Pods[i]
		if p.Pod != o.Pod || p.Sampled != o.Sampled || !p.At.Equal(o.At) || !isNear(float64(p.UsageMilli), float64(o.UsageMilli)) {
			return false
		}
	}
	return true
}

func isNear(a, b float64) bool { return math.Abs(a-b) <= 1e-9*math.Max(math.Abs(a), math.Abs(b)) }

// engine evaluates queries as a server does, and counts them.
type engine struct {
	url   string
	count atomic.Int64
}

// startEngine has the series of the namespaces; without any, of all.
func startEngine(t *testing.T, seed uint64, only ...string) *engine {
	t.Helper()
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	random := rand.New(rand.NewPCG(seed, 1))
	for _, namespace := range namespaces {
		fill(t, db, random, namespace, len(only) == 0 || namespace == only[0])
	}
	ng := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return 15_000 }, Parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: true}),
	})
	e := &engine{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.count.Add(1)
		evaluate(w, r, ng, db)
	}))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

func (e *engine) source(t *testing.T) *prometheus.Source {
	t.Helper()
	s, err := prometheus.New([]prometheus.Server{{Name: "default", URL: e.url}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// fill draws the same numbers whether they are kept or not.
func fill(t *testing.T, db *tsdb.DB, random *rand.Rand, namespace string, kept bool) {
	t.Helper()
	appender := db.Appender(context.Background())
	add := func(at time.Time, v float64, pairs ...string) {
		if !kept {
			return
		}
		if _, err := appender.Append(0, labels.FromStrings(append(pairs, "namespace", namespace)...), at.UnixMilli(), v); err != nil {
			t.Fatal(err)
		}
	}
	for _, app := range apps {
		if random.IntN(4) == 0 {
			continue // absent
		}
		for pod := range 1 + random.IntN(3) {
			fillPod(random, add, app, fmt.Sprintf("pod-%d", pod))
		}
	}
	if namespace == "ab" && kept { // floats and histograms in one sum: a warning
		h := &histogram.FloatHistogram{Count: 3, Sum: 4}
		if _, err := appender.AppendHistogram(0, labels.FromStrings("__name__", "queue", "namespace", namespace, "app", "api", "pod", "pod-9"), mergeNow.Add(-time.Second).UnixMilli(), nil, h); err != nil {
			t.Fatal(err)
		}
	}
	if err := appender.Commit(); err != nil {
		t.Fatal(err)
	}
}

func fillPod(random *rand.Rand, add func(at time.Time, v float64, pairs ...string), app, pod string) {
	last := mergeNow.Add(-time.Duration(random.IntN(200)) * time.Second)
	rate, level := random.Float64()*10, random.Float64()*100
	odd := []float64{math.NaN(), math.Inf(1), -3}[random.IntN(3)]
	isOdd := random.IntN(10) == 0
	for at := mergeNow.Add(-10 * time.Minute); !at.After(last); at = at.Add(15 * time.Second) {
		n := at.Sub(mergeNow.Add(-10*time.Minute)).Seconds() * rate
		for i, code := range []string{"200", "500"} {
			add(at, math.Floor(n/float64(1+4*i)), "__name__", "requests_total", "app", app, "pod", pod, "code", code)
		}
		for i, le := range []string{"0.1", "1", "+Inf"} {
			add(at, math.Floor(n*float64(i+1)/3), "__name__", "latency_bucket", "app", app, "pod", pod, "le", le)
		}
		if isOdd {
			level = odd
		}
		add(at, level, "__name__", "queue", "app", app, "pod", pod)
	}
}

// evaluate is /api/v1/query.
func evaluate(w http.ResponseWriter, r *http.Request, ng *promql.Engine, db *tsdb.DB) {
	q, err := ng.NewInstantQuery(r.Context(), db, nil, r.FormValue("query"), mergeNow)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"status": "error", "errorType": "bad_data", "error": err.Error()})
		return
	}
	defer q.Close()
	result := q.Exec(r.Context())
	if result.Err != nil {
		answer(w, http.StatusUnprocessableEntity, map[string]any{"status": "error", "errorType": "execution", "error": result.Err.Error()})
		return
	}
	warnings, infos := result.Warnings.AsStrings(r.FormValue("query"), 10, 10)
	answer(w, http.StatusOK, map[string]any{
		"status": "success", "data": map[string]any{"resultType": result.Value.Type(), "result": values(result.Value)},
		"warnings": warnings, "infos": infos,
	})
}

func values(value parser.Value) any {
	switch v := value.(type) {
	case promql.Scalar:
		return []any{float64(v.T) / 1000, fmt.Sprint(v.V)}
	case promql.Vector:
		vector := model.Vector{}
		for _, s := range v {
			sample := &model.Sample{Metric: model.Metric{}, Timestamp: model.Time(s.T), Value: model.SampleValue(s.F)}
			s.Metric.Range(func(l labels.Label) { sample.Metric[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
			if s.H != nil {
				sample.Histogram = &model.SampleHistogram{Count: model.FloatString(s.H.Count), Sum: model.FloatString(s.H.Sum)}
			}
			vector = append(vector, sample)
		}
		return vector
	}
	return nil
}

func answer(w http.ResponseWriter, code int, body any) {
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		panic(err)
	}
}
