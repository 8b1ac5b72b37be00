package metrics_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	metricsfake "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1/fake"
	customfake "k8s.io/metrics/pkg/client/custom_metrics/fake"
	externalfake "k8s.io/metrics/pkg/client/external_metrics/fake"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var types = []string{"ContainerResource", "External", "Object", "Pods", "Prometheus", "Resource"}

func TestWithoutClientsMetricsSayWhatIsMissing(t *testing.T) {
	sources := metrics.New(metrics.Clients{})
	if diff := cmp.Diff(types, slices.Sorted(maps.Keys(sources))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for name, api := range map[string]string{
		"Resource": "metrics.k8s.io", "ContainerResource": "metrics.k8s.io", "Pods": "custom.metrics.k8s.io", "Object": "custom.metrics.k8s.io",
		"External": "external.metrics.k8s.io", "Prometheus": "Prometheus",
	} {
		answers := map[int]scaling.Metric{}
		sources[name].Read(t.Context(), time.Time{}, make([]source.Query, 2), func(i int, m scaling.Metric) { answers[i] = m })
		want := source.Unknown(scaling.ReasonUnreadable, "this autoscaler has no client for "+api)
		if diff := cmp.Diff(map[int]scaling.Metric{0: want, 1: want}, answers); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func TestWithClientsEveryTypeIsRead(t *testing.T) {
	sources := metrics.New(metrics.Clients{
		PodMetrics: &metricsfake.FakeMetricsV1beta1{},
		Custom:     &customfake.FakeCustomMetricsClient{},
		External:   &externalfake.FakeExternalMetricsClient{},
		Prometheus: metrics.New(metrics.Clients{})["Prometheus"],
	})
	if diff := cmp.Diff(types, slices.Sorted(maps.Keys(sources))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	missing := metrics.New(metrics.Clients{})
	for name, s := range sources {
		if s.Name() != name {
			t.Errorf("%s is called %s", name, s.Name())
		}
		if name != "Prometheus" && s == missing[name] {
			t.Errorf("%s is still missing", name)
		}
	}
}

// roundTripper is an API server without any group but external.metrics.k8s.io.
type roundTripper struct {
	requests int
}

// RoundTrip implements http.RoundTripper.
func (r *roundTripper) RoundTrip(request *http.Request) (*http.Response, error) {
	code := http.StatusOK
	var body string
	switch request.URL.Path {
	case "/apis/external.metrics.k8s.io/v1beta1/namespaces/ns/depth":
		body = `{"kind":"ExternalMetricValueList","apiVersion":"external.metrics.k8s.io/v1beta1","items":[{"metricName":"depth","value":"3"}]}`
	case "/api":
		body = `{"kind":"APIVersions","apiVersion":"v1","versions":["v1"]}`
	case "/apis":
		body = `{"kind":"APIGroupList","apiVersion":"v1","groups":[]}`
	default:
		code, body = http.StatusNotFound, "404 page not found"
	}
	r.requests++
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestConnect reads from an API server that has one of the metrics APIs.
func TestConnect(t *testing.T) {
	server := &roundTripper{}
	clients, err := metrics.Connect(&rest.Config{Host: "http://api", QPS: -1, Transport: server}, &http.Client{Transport: server},
		meta.NewDefaultRESTMapper(nil), func() time.Time { return time.Time{}.Add(time.Hour) })
	if err != nil {
		t.Fatal(err)
	}
	if server.requests != 0 {
		t.Errorf("%d requests were made to connect", server.requests)
	}
	metric := autoscalingv2.MetricIdentifier{Name: "depth"}
	q := source.Query{Namespace: "ns", Selector: labels.Everything(), Pods: []*pods.Pod{pods.From(&corev1.Pod{})}, Spec: &v1alpha1.MetricSpec{
		Resource: &autoscalingv2.ResourceMetricSource{Name: "cpu"},
		Pods:     &autoscalingv2.PodsMetricSource{Metric: metric},
		External: &autoscalingv2.ExternalMetricSource{Metric: metric},
	}}
	got := map[string]scaling.Metric{}
	for name, s := range metrics.New(clients) {
		if name == "External" || name == "Pods" || name == "Resource" {
			s.Read(t.Context(), time.Time{}, []source.Query{q}, func(_ int, m scaling.Metric) { got[name] = m })
		}
	}
	want := map[string]scaling.Metric{
		"External": {Value: 3},
		"Pods":     source.Unknown(scaling.ReasonUnreadable, "get metric depth of pods: no custom metrics API (custom.metrics.k8s.io) registered"),
		"Resource": source.Unknown(scaling.ReasonUnreadable, "list pod metrics: metrics.k8s.io is not served, or not available: the server could not find the requested resource (get pods.metrics.k8s.io)"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
