package custom_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	customfake "k8s.io/metrics/pkg/client/custom_metrics/fake"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/custom"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var (
	now     = time.Date(2026, 1, 1, 12, 0, 10, 0, time.UTC)
	sampled = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func value(name, quantity string) v1beta2.MetricValue {
	return v1beta2.MetricValue{
		DescribedObject: corev1.ObjectReference{Kind: "Pod", Name: name},
		Timestamp:       metav1.NewTime(sampled), Value: resource.MustParse(quantity),
	}
}

func windowed(v v1beta2.MetricValue, seconds int64) v1beta2.MetricValue {
	v.WindowSeconds = &seconds
	return v
}

func pod(name string) *pods.Pod {
	return pods.From(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}})
}

func identifier(metric string, selector *metav1.LabelSelector) autoscalingv2.MetricIdentifier {
	return autoscalingv2.MetricIdentifier{Name: metric, Selector: selector}
}

func podsQuery(metric string, selector *metav1.LabelSelector, pods ...*pods.Pod) source.Query {
	return source.Query{
		Namespace: "ns", Selector: labels.SelectorFromSet(labels.Set{"app": "web"}), Pods: pods,
		Spec: &v1alpha1.MetricSpec{Pods: &autoscalingv2.PodsMetricSource{Metric: identifier(metric, selector)}},
	}
}

func objectQuery(apiVersion, kind, name string, selector *metav1.LabelSelector) source.Query {
	return source.Query{
		Namespace: "ns", Selector: labels.Everything(),
		Spec: &v1alpha1.MetricSpec{Object: &autoscalingv2.ObjectMetricSource{
			Metric:          identifier("requests", selector),
			DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: apiVersion, Kind: kind, Name: name},
		}},
	}
}

// answering is a client that answers every request the same.
func answering(err error, values ...v1beta2.MetricValue) *customfake.FakeCustomMetricsClient {
	client := &customfake.FakeCustomMetricsClient{}
	client.AddReactor("get", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		if err != nil {
			return true, nil, err
		}
		return true, &v1beta2.MetricValueList{Items: values}, nil
	})
	return client
}

func read(t *testing.T, ctx context.Context, s source.Source, queries ...source.Query) []scaling.Metric {
	t.Helper()
	var mu sync.Mutex
	metrics, answers := make([]scaling.Metric, len(queries)), make([]int, len(queries))
	s.Read(ctx, now, queries, func(i int, m scaling.Metric) {
		mu.Lock()
		defer mu.Unlock()
		metrics[i] = m
		answers[i]++
	})
	for i, n := range answers {
		if n != 1 {
			t.Errorf("query %d was answered %d times", i, n)
		}
	}
	return metrics
}

func TestPods(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, "requests")
	readings := func(r ...scaling.PodReading) scaling.Metric { return scaling.Metric{PerPod: true, Pods: r} }
	for name, c := range map[string]struct {
		client *customfake.FakeCustomMetricsClient
		want   scaling.Metric
	}{
		"a value is the pod's of that name": {
			answering(nil, value("b", "1500m"), windowed(value("a", "2"), 30)),
			readings(
				scaling.PodReading{Pod: "a", Sampled: true, UsageMilli: 2000, At: sampled, Window: 30 * time.Second},
				scaling.PodReading{Pod: "b", Sampled: true, UsageMilli: 1500, At: sampled, Window: time.Minute},
			),
		},
		"an instantaneous value has a window of nothing": {
			answering(nil, windowed(value("a", "2"), 0)),
			readings(scaling.PodReading{Pod: "a", Sampled: true, UsageMilli: 2000, At: sampled}, scaling.PodReading{Pod: "b"}),
		},
		"a pod without a value has no sample": {
			answering(nil, value("other", "1")), readings(scaling.PodReading{Pod: "a"}, scaling.PodReading{Pod: "b"}),
		},
		"neither a negative value nor one beyond int64 is a sample": {
			answering(nil, value("a", "-1"), value("b", "10P")), readings(scaling.PodReading{Pod: "a"}, scaling.PodReading{Pod: "b"}),
		},
		"no value at all is no data": {
			answering(nil), source.Unknown(scaling.ReasonNoData, "custom.metrics.k8s.io has no value of the metric for any of the pods"),
		},
		"a metric that the API does not know is no data": {
			answering(notFound), source.Unknown(scaling.ReasonNoData, `get metric requests of pods: pods "requests" not found`),
		},
		"an API that does not answer is unreadable": {
			answering(errors.New("no route")), source.Unknown(scaling.ReasonUnreadable, "get metric requests of pods: no route"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, t.Context(), custom.New(c.client).Pods(), podsQuery("requests", nil, pod("a"), pod("b")))[0]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestObject(t *testing.T) {
	notFound := apierrors.NewNotFound(schema.GroupResource{Group: "networking.k8s.io", Resource: "ingresses"}, "requests")
	undated := value("main", "1")
	undated.Timestamp = metav1.Time{}
	for name, c := range map[string]struct {
		client *customfake.FakeCustomMetricsClient
		want   scaling.Metric
	}{
		"a value":                        {answering(nil, value("main", "2500m")), scaling.Metric{Value: 2.5, At: sampled}},
		"a value that says no time":      {answering(nil, undated), scaling.Metric{Value: 1}},
		"a value beyond int64":           {answering(nil, value("main", "10P")), scaling.Metric{Value: 1e16, At: sampled}},
		"a negative value is no reading": {answering(nil, value("main", "-1")), source.Unknown(scaling.ReasonNegative, "the value is -1")},
		"two values are not one": {
			answering(nil, value("main", "1"), value("main", "2")),
			source.Unknown(scaling.ReasonUnreadable, "get metric requests of Ingress main: the custom metrics API server returned 2 results when we asked for exactly one"),
		},
		"a metric that the API does not know is no data": {
			answering(notFound), source.Unknown(scaling.ReasonNoData, `get metric requests of Ingress main: ingresses.networking.k8s.io "requests" not found`),
		},
		"an API that does not answer is unreadable": {
			answering(errors.New("no route")), source.Unknown(scaling.ReasonUnreadable, "get metric requests of Ingress main: no route"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, t.Context(), custom.New(c.client).Object(), objectQuery("networking.k8s.io/v1", "Ingress", "main", nil))[0]
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// transport records requests and answers with one value.
type transport struct {
	mu   sync.Mutex
	urls []string
}

// RoundTrip implements http.RoundTripper.
func (r *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.urls = append(r.urls, strings.TrimPrefix(request.URL.String(), "http://api/apis/custom.metrics.k8s.io/v1beta2/"))
	body := `{"kind":"MetricValueList","apiVersion":"custom.metrics.k8s.io/v1beta2","items":[{"describedObject":{"kind":"Pod","name":"a"},` +
		`"metric":{"name":"requests"},"timestamp":"2026-01-01T12:00:00Z","value":"3"}]}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// TestRequests asks through Kubernetes' own client.
func TestRequests(t *testing.T) {
	get := &metav1.LabelSelector{MatchLabels: map[string]string{"verb": "GET"}}
	for name, c := range map[string]struct {
		pods, objects []source.Query
		want          []string
	}{
		"pods are selected as the workload selects them": {
			[]source.Query{podsQuery("requests", nil, pod("a"))}, nil, []string{"namespaces/ns/pods/%2A/requests?labelSelector=app%3Dweb"},
		},
		"series are selected": {
			[]source.Query{podsQuery("requests", get, pod("a"))},
			nil,
			[]string{"namespaces/ns/pods/%2A/requests?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET"},
		},
		"equal queries are asked once": {
			[]source.Query{podsQuery("requests", get, pod("a")), podsQuery("requests", get, pod("a"))},
			nil,
			[]string{"namespaces/ns/pods/%2A/requests?labelSelector=app%3Dweb&metricLabelSelector=verb%3DGET"},
		},
		"an object": {
			nil,
			[]source.Query{objectQuery("networking.k8s.io/v1", "Ingress", "main", get), objectQuery("networking.k8s.io/v1", "Ingress", "main", get)},
			[]string{"namespaces/ns/ingresses.networking.k8s.io/main/requests?metricLabelSelector=verb%3DGET"},
		},
		"a namespace is the object's own, whatever the name": {
			nil,
			[]source.Query{objectQuery("v1", "Namespace", "kube-system", nil), objectQuery("v1", "Namespace", "", nil)},
			[]string{"namespaces/ns/metrics/requests"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Version: "v1"}, {Group: "networking.k8s.io", Version: "v1"}})
			mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: "Pod"}, meta.RESTScopeNamespace)
			mapper.AddSpecific(schema.GroupVersionKind{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
				schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
				schema.GroupVersionResource{Group: "networking.k8s.io", Version: "v1", Resource: "ingress"}, meta.RESTScopeNamespace)
			api := &transport{}
			client, err := customclient.NewForVersionForConfig(&rest.Config{Host: "http://api", QPS: -1, Transport: api}, mapper, v1beta2.SchemeGroupVersion)
			if err != nil {
				t.Fatal(err)
			}
			reader := custom.New(client)
			for _, m := range append(read(t, t.Context(), reader.Pods(), c.pods...), read(t, t.Context(), reader.Object(), c.objects...)...) {
				if m.Unknown.Set() || m.Value != 3 && (!m.PerPod || m.Pods[0].UsageMilli != 3000) {
					t.Errorf("got %+v", m)
				}
			}
			if diff := cmp.Diff(c.want, api.urls); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestAKindWithoutResourceIsUnreadable has a mapper that knows no kind.
func TestAKindWithoutResourceIsUnreadable(t *testing.T) {
	client, err := customclient.NewForVersionForConfig(&rest.Config{Host: "http://api", Transport: &transport{}}, meta.NewDefaultRESTMapper(nil), v1beta2.SchemeGroupVersion)
	if err != nil {
		t.Fatal(err)
	}
	m := read(t, t.Context(), custom.New(client).Object(), objectQuery("example.com/v1", "Queue", "main", nil))[0]
	if m.Unknown.Reason != scaling.ReasonUnreadable || !strings.Contains(m.Unknown.Message, "unable to map kind Queue.example.com") {
		t.Errorf("got %+v", m.Unknown)
	}
}

func TestAnInvalidSelectorIsNamed(t *testing.T) {
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "verb", Operator: "Like"}}}
	reader := custom.New(answering(nil, value("a", "1")))
	for want, m := range map[string]scaling.Metric{
		`get metric requests of pods: pods.metric.selector: "Like" is not a valid label selector operator`:           read(t, t.Context(), reader.Pods(), podsQuery("requests", bad, pod("a")))[0],
		`get metric requests of Ingress main: object.metric.selector: "Like" is not a valid label selector operator`: read(t, t.Context(), reader.Object(), objectQuery("v1", "Ingress", "main", bad))[0],
	} {
		if diff := cmp.Diff(source.Unknown(scaling.ReasonUnreadable, want), m); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestAClientThatHangs hangs on some metrics, for far longer than anybody waits.
func TestAClientThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader := custom.New(hanging{})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start := time.Now()
			m := read(t, ctx, reader.Pods(), podsQuery("hangs", nil, pod("a")), podsQuery("requests", nil, pod("a")))
			cancel()
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("took %s", took)
			}
			if diff := cmp.Diff(source.Unknown(scaling.ReasonUnreadable, "get metric hangs of pods: no answer in time"), m[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m[1].Unknown.Set() {
				t.Errorf("the other: %+v", m[1].Unknown)
			}
		}
		time.Sleep(time.Hour) // what was left behind returns
	})
}

// hanging is a client that hangs on one metric.
type hanging struct {
	customclient.CustomMetricsClient
	customclient.MetricsInterface
}

// NamespacedMetrics implements customclient.CustomMetricsClient.
func (h hanging) NamespacedMetrics(string) customclient.MetricsInterface { return h }

// GetForObjects implements customclient.MetricsInterface.
func (hanging) GetForObjects(_ schema.GroupKind, _ labels.Selector, metric string, _ labels.Selector) (*v1beta2.MetricValueList, error) {
	if metric == "hangs" {
		time.Sleep(time.Hour)
		return nil, fmt.Errorf("too late")
	}
	return &v1beta2.MetricValueList{Items: []v1beta2.MetricValue{value("a", "1")}}, nil
}
