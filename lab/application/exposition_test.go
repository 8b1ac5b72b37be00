package application_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
)

func busyPod(t testing.TB) application.PodState {
	t.Helper()
	model := mustNew(t, application.DefaultParams())
	var state application.State
	for range 10 {
		state, _ = mustStep(t, model, state, 66.6667, ready("web-1"), 1770*time.Millisecond)
	}
	return state.Pods[0]
}

func parse(t *testing.T, text []byte) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return families
}

func TestMetricsReadAsWritten(t *testing.T) {
	pod := application.PodState{
		InFlight: 2.5, Served: requests(1234.5), Lost: 1_000_001, CPUSeconds: 12.75,
		Latency: application.Histogram{SumSeconds: 61.5},
	}
	for i := range pod.Latency.Buckets {
		pod.Latency.Buckets[i] = requests(80.5 * float64(i+1))
	}
	compare(t, "testdata/metrics.txt", string(application.AppendMetrics(nil,
		application.Labels{Namespace: "shop", Pod: "web-1", App: "web"}, pod)))
}

func TestMetricsParseToTheirValues(t *testing.T) {
	pod := busyPod(t)
	if pod.Lost == 0 {
		t.Fatal("the pod lost nothing, so its 503 would not show")
	}
	labels := application.Labels{Namespace: `a "quoted" name`, Pod: `back\slash`, App: "two\nlines"}
	families := parse(t, application.AppendMetrics(nil, labels, pod))
	if len(families) != 4 {
		t.Errorf("%d metrics, want 4", len(families))
	}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			got := map[string]string{}
			for _, pair := range metric.GetLabel() {
				got[pair.GetName()] = pair.GetValue()
			}
			if got["namespace"] != labels.Namespace || got["pod"] != labels.Pod || got["app"] != labels.App {
				t.Errorf("%s has labels %q", name, got)
			}
			if name == "http_requests_total" {
				want := map[string]application.Requests{"200": pod.Served, "503": pod.Lost}[got["code"]].Float()
				if value := metric.GetCounter().GetValue(); value != want {
					t.Errorf("code %s: %v, want %v", got["code"], value, want)
				}
			}
		}
	}
	if got := len(families["http_requests_total"].GetMetric()); got != 2 {
		t.Errorf("%d codes, want 2", got)
	}
	if got := families["http_requests_in_flight"].GetMetric()[0].GetGauge().GetValue(); got != pod.InFlight {
		t.Errorf("in flight %v, want %v", got, pod.InFlight)
	}
	if got := families["process_cpu_seconds_total"].GetMetric()[0].GetCounter().GetValue(); got != pod.CPUSeconds {
		t.Errorf("CPU seconds %v, want %v", got, pod.CPUSeconds)
	}
	checkHistogram(t, families["http_request_duration_seconds"].GetMetric()[0].GetHistogram(), pod)
}

func checkHistogram(t *testing.T, got *dto.Histogram, pod application.PodState) {
	t.Helper()
	// The parser turns a histogram with fractions into its float form.
	if got.GetSampleCountFloat() != pod.Served.Float() || got.GetSampleSum() != pod.Latency.SumSeconds {
		t.Errorf("count %v, sum %v; want %v, %v", got.GetSampleCountFloat(), got.GetSampleSum(), pod.Served.Float(), pod.Latency.SumSeconds)
	}
	bounds := application.LatencyBounds()
	if len(got.GetBucket()) != len(bounds)+1 {
		t.Fatalf("%d buckets, want %d", len(got.GetBucket()), len(bounds)+1)
	}
	for i, bucket := range got.GetBucket()[:len(bounds)] {
		if bucket.GetUpperBound() != bounds[i] || bucket.GetCumulativeCountFloat() != pod.Latency.Buckets[i].Float() {
			t.Errorf("bucket %v is %v, want %v is %v",
				bucket.GetUpperBound(), bucket.GetCumulativeCountFloat(), bounds[i], pod.Latency.Buckets[i].Float())
		}
	}
}

func TestMetricsOfANewPodParse(t *testing.T) {
	families := parse(t, application.AppendMetrics(nil, application.Labels{Pod: "web-1"}, application.PodState{Name: "web-1"}))
	if got := families["http_request_duration_seconds"].GetMetric()[0].GetHistogram(); got.GetSampleCount() != 0 || len(got.GetBucket()) != 15 {
		t.Errorf("histogram %v", got)
	}
}

func TestAScrapeAllocatesNothing(t *testing.T) {
	pod := busyPod(t)
	labels := application.Labels{Namespace: "shop", Pod: "web-7d4b9c5f6d-x2x4z", App: "web"}
	buf := application.AppendMetrics(nil, labels, pod)
	if got := testing.AllocsPerRun(100, func() { buf = application.AppendMetrics(buf[:0], labels, pod) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func TestAppendMetricsDatesEachSample(t *testing.T) {
	labels := application.Labels{Namespace: "shop", Pod: "web-1", App: "web", At: time.UnixMilli(1_700_000_000_123)}
	text := string(application.AppendMetrics(nil, labels, application.PodState{Name: "web-1", Served: application.Request / 2}))
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasSuffix(line, " 1700000000123\n") {
			t.Errorf("%q has no timestamp", line)
		}
	}
	for name, family := range parse(t, []byte(text)) {
		for _, metric := range family.GetMetric() {
			if metric.GetTimestampMs() != labels.At.UnixMilli() {
				t.Errorf("%s: timestamp %d, want %d", name, metric.GetTimestampMs(), labels.At.UnixMilli())
			}
		}
	}
}

// Compare with benchstat: go test -run '^$' -bench AppendMetrics -count 10 ./application/
func BenchmarkAppendMetrics(b *testing.B) {
	pod := busyPod(b)
	labels := application.Labels{Namespace: "shop", Pod: "web-7d4b9c5f6d-x2x4z", App: "web"}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = application.AppendMetrics(buf[:0], labels, pod)
	}
	if !bytes.Contains(buf, []byte(`http_requests_total{namespace="shop",pod="web-7d4b9c5f6d-x2x4z",app="web",code="200"} `)) {
		b.Fatalf("no counter in\n%s", buf)
	}
}
