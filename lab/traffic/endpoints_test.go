package traffic

import (
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	corev1 "k8s.io/api/core/v1"

	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// get asks one of the driver's endpoints.
func (w *world) get(path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.driver.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
	return answer
}

// scrape parses what an endpoint serves with Prometheus' own parser.
func (w *world) scrape(path string) map[string]*dto.MetricFamily {
	w.t.Helper()
	answer := w.get(path)
	if answer.Code != http.StatusOK {
		w.t.Fatalf("%s: status %d", path, answer.Code)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		w.t.Fatalf("%s: %v", path, err)
	}
	return families
}

// nodeCPU is the CPU that a node says it has used, in core seconds.
func (w *world) nodeCPU(node string) float64 {
	w.t.Helper()
	return w.scrape(nodes.ResourceMetricsPath(node))["node_cpu_usage_seconds_total"].Metric[0].Counter.GetValue()
}

func label(metric *dto.Metric, name string) string {
	for _, pair := range metric.Label {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}

func TestANodeShowsItsPodsAsAKubeletDoes(t *testing.T) {
	w := newWorld(t, 1, web(60))
	w.add(w.pods, readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "alive-000"))
	w.step(time.Second)
	w.step(time.Second)
	families := w.scrape(nodes.ResourceMetricsPath("alive-000"))

	for name, kind := range map[string]dto.MetricType{
		"container_cpu_usage_seconds_total":  dto.MetricType_COUNTER,
		"container_memory_working_set_bytes": dto.MetricType_GAUGE,
		"container_start_time_seconds":       dto.MetricType_GAUGE,
	} {
		family := families[name]
		if family.GetType() != kind {
			t.Errorf("%s: type %v, want %v", name, family.GetType(), kind)
		}
		var got []string
		for _, metric := range family.GetMetric() {
			got = append(got, label(metric, "namespace")+"/"+label(metric, "pod")+"/"+label(metric, "container"))
			if metric.GetTimestampMs() != w.now.UnixMilli() {
				t.Errorf("%s: timestamp %d, want the step's %d", name, metric.GetTimestampMs(), w.now.UnixMilli())
			}
		}
		if diff := cmp.Diff([]string{"default/a/server", "default/c/server"}, got); diff != "" {
			t.Errorf("%s (-want +got) %s", name, diff)
		}
	}

	// A pod serves 20 of its 50 requests per second on 0.5 cores, of which 0.02 are idle use.
	const podCores = 0.02 + 0.48*20/50
	for _, metric := range families["container_cpu_usage_seconds_total"].GetMetric() {
		if got := metric.Counter.GetValue(); math.Abs(got-2*podCores) > 1e-6 {
			t.Errorf("CPU of pod %s after 2 s: got %v core seconds, want %v", label(metric, "pod"), got, 2*podCores)
		}
	}
	if got, want := w.nodeCPU("alive-000"), 2*(systemCores+2*podCores); math.Abs(got-want) > 1e-6 {
		t.Errorf("CPU of the node after 2 s: got %v core seconds, want %v", got, want)
	}
	var memory float64 = systemMemoryBytes
	for _, metric := range families["container_memory_working_set_bytes"].GetMetric() {
		memory += metric.Gauge.GetValue()
	}
	if got := families["node_memory_working_set_bytes"].Metric[0].Gauge.GetValue(); got != memory {
		t.Errorf("memory of the node: got %v, want system and pods: %v", got, memory)
	}
	if got := families["container_start_time_seconds"].Metric[0].Gauge.GetValue(); got != float64(start().Unix()) {
		t.Errorf("start of the container: got %v, want %v", got, start().Unix())
	}
}

func TestANodesCPUCounterNeverFalls(t *testing.T) {
	w := newWorld(t, 1, web(60))
	leaving := readyPod("b", "alive-000")
	w.add(w.pods, readyPod("a", "alive-000"), leaving)
	w.step(time.Second)
	before := w.nodeCPU("alive-000")

	if err := w.pods.Delete(leaving); err != nil {
		t.Fatal(err)
	}
	w.step(time.Second)
	after := w.nodeCPU("alive-000")
	if after < before+systemCores {
		t.Errorf("counter was %v, is %v after a pod left; want it to grow by %v at least", before, after, systemCores)
	}

	// The node fails for a while and comes back.
	node, _, err := w.nodes.GetByKey("alive-000")
	if err != nil {
		t.Fatal(err)
	}
	failed := node.(*corev1.Node).DeepCopy()
	failed.Labels = nil
	w.add(w.nodes, failed)
	w.step(time.Second)
	if got := w.get(nodes.ResourceMetricsPath("alive-000")).Code; got != http.StatusServiceUnavailable {
		t.Errorf("a failed node answers %d, want 503", got)
	}
	w.add(w.nodes, node)
	w.step(time.Second)
	if got := w.nodeCPU("alive-000"); got < after+systemCores {
		t.Errorf("counter was %v before the node failed, is %v after; want it to grow by %v at least", after, got, systemCores)
	}
}

func TestEndpointsThatDoNotAnswer(t *testing.T) {
	w := newWorld(t, 1, web(60))
	w.add(w.pods,
		readyPod("running", "alive-000"), readyPod("stranded", "dead"),
		readyPod("pending", "alive-000", phase(corev1.PodPending)), readyPod("done", "alive-000", phase(corev1.PodSucceeded)),
	)
	w.step(time.Second)
	for _, tc := range []struct {
		name string
		path string
		want int
	}{
		{"a node that runs", "/nodes/alive-000/metrics/resource", http.StatusOK},
		{"a node that has failed", "/nodes/dead/metrics/resource", http.StatusServiceUnavailable},
		{"a node that does not exist", "/nodes/none/metrics/resource", http.StatusServiceUnavailable},
		{"a pod that runs", "/pods/default/running/metrics", http.StatusOK},
		{"a pod on a failed node", "/pods/default/stranded/metrics", http.StatusServiceUnavailable},
		{"a pod that is pending", "/pods/default/pending/metrics", http.StatusServiceUnavailable},
		{"a pod that has finished", "/pods/default/done/metrics", http.StatusServiceUnavailable},
		{"a pod that does not exist", "/pods/default/none/metrics", http.StatusServiceUnavailable},
		{"a pod in another namespace", "/pods/other/running/metrics", http.StatusServiceUnavailable},
		{"any other path", "/", http.StatusNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := w.get(tc.path).Code; got != tc.want {
				t.Errorf("%s: status %d, want %d", tc.path, got, tc.want)
			}
		})
	}
}

func TestAPodShowsTheModelsCounters(t *testing.T) {
	w := newWorld(t, 1, web(60))
	w.add(w.pods, readyPod("a", "alive-000"))
	for range 12 {
		w.step(time.Second) // 60 a second on a pod that serves 50; its queue holds 2 s of that
	}
	got := map[string]float64{}
	for _, metric := range w.scrape("/pods/default/a/metrics")["http_requests_total"].GetMetric() {
		if label(metric, "namespace") != "default" || label(metric, "pod") != "a" || label(metric, "app") != "web" {
			t.Errorf("labels: got %v", metric.Label)
		}
		got[label(metric, "code")] = metric.Counter.GetValue()
	}
	want := map[string]float64{"200": 600, "503": 20}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func TestTargetsAreTheRunningPodsThatAskForIt(t *testing.T) {
	w := newWorld(t, 1, web(60))
	w.add(w.pods,
		readyPod("b", "alive-001", annotated), readyPod("a", "alive-000", annotated),
		readyPod("quiet", "alive-000"),
		readyPod("refuses", "alive-000", func(p *corev1.Pod) { p.Annotations = map[string]string{ScrapeAnnotation: "false"} }),
		readyPod("pending", "alive-000", annotated, phase(corev1.PodPending)),
		readyPod("terminating", "alive-000", annotated, terminating),
		readyPod("stranded", "dead", annotated),
	)
	if got := w.driver.Targets("127.0.0.1:80"); len(got) != 0 {
		t.Errorf("before the first step: got %d targets, want none", len(got))
	}
	w.step(time.Second)
	groups := w.driver.Targets("127.0.0.1:80")
	var got []string
	for _, group := range groups {
		got = append(got, group.Source)
	}
	if diff := cmp.Diff([]string{"default/a", "default/b", "default/stranded", "default/terminating"}, got); diff != "" {
		t.Fatal("targets, by name (-want +got)", diff)
	}
	wantTarget := model.LabelSet{
		model.AddressLabel: "127.0.0.1:80", model.MetricsPathLabel: "/pods/default/a/metrics", model.InstanceLabel: "10.0.0.7:8080",
	}
	if diff := cmp.Diff([]model.LabelSet{wantTarget}, groups[0].Targets); diff != "" {
		t.Error("target (-want +got)", diff)
	}
	wantLabels := model.LabelSet{"namespace": "default", "pod": "a", "app": "web", "node": "alive-000"}
	if diff := cmp.Diff(wantLabels, groups[0].Labels); diff != "" {
		t.Error("labels (-want +got)", diff)
	}
}
