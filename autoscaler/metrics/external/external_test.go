package external_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"
	externalfake "k8s.io/metrics/pkg/client/external_metrics/fake"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/external"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var now = time.Date(2026, 1, 1, 12, 0, 10, 0, time.UTC)

// series is one, measured some seconds ago; at no time if that is negative.
func series(quantity string, secondsAgo int) v1beta1.ExternalMetricValue {
	v := v1beta1.ExternalMetricValue{MetricName: "depth", MetricLabels: map[string]string{"queue": "a"}, Value: resource.MustParse(quantity)}
	if secondsAgo >= 0 {
		v.Timestamp = metav1.NewTime(now.Add(-time.Duration(secondsAgo) * time.Second))
	}
	return v
}

func query(namespace, metric string, selector *metav1.LabelSelector) source.Query {
	return source.Query{Namespace: namespace, Spec: &v1alpha1.MetricSpec{External: &autoscalingv2.ExternalMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: metric, Selector: selector},
	}}}
}

func answering(err error, values ...v1beta1.ExternalMetricValue) *externalfake.FakeExternalMetricsClient {
	client := &externalfake.FakeExternalMetricsClient{}
	client.AddReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		if err != nil {
			return true, nil, err
		}
		return true, &v1beta1.ExternalMetricValueList{Items: values}, nil
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

func TestValues(t *testing.T) {
	group := schema.GroupResource{Group: "external.metrics.k8s.io", Resource: "depth"}
	for name, c := range map[string]struct {
		client *externalfake.FakeExternalMetricsClient
		want   scaling.Metric
	}{
		"one series": {answering(nil, series("1500m", 5)), scaling.Metric{Value: 1.5, At: now.Add(-5 * time.Second)}},
		"series are added up, and are as old as the oldest": {
			answering(nil, series("1", 5), series("2500m", 60), series("3", 0), series("4", -1)),
			scaling.Metric{Value: 10.5, At: now.Add(-time.Minute)},
		},
		"nobody says when":               {answering(nil, series("1", -1)), scaling.Metric{Value: 1}},
		"a sum beyond int64":             {answering(nil, series("9P", 5), series("9P", 5)), scaling.Metric{Value: 18e15, At: now.Add(-5 * time.Second)}},
		"a negative series spoils a sum": {answering(nil, series("5", 5), series("-2", 5)), source.Unknown(scaling.ReasonNegative, "the value of series map[queue:a] is -2")},
		"no series is no data":           {answering(nil), source.Unknown(scaling.ReasonNoData, "external.metrics.k8s.io has no series of the metric")},
		"a metric that the API does not know is no data": {
			answering(apierrors.NewNotFound(group, "depth")), source.Unknown(scaling.ReasonNoData, `list external metric depth: depth.external.metrics.k8s.io "depth" not found`),
		},
		"an API that is not there is unreadable": {
			answering(apierrors.NewGenericServerResponse(404, "get", group, "", "404 page not found", 0, true)),
			source.Unknown(scaling.ReasonUnreadable, "list external metric depth: external.metrics.k8s.io is not served, or not available: the server could not find the requested resource (get depth.external.metrics.k8s.io)"),
		},
		"an API that does not answer is unreadable": {
			answering(errors.New("no route")), source.Unknown(scaling.ReasonUnreadable, "list external metric depth: no route"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, read(t, t.Context(), external.New(c.client), query("ns", "depth", nil))[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEqualQueriesAreAskedOnce(t *testing.T) {
	a, b := &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "a"}}, &metav1.LabelSelector{MatchLabels: map[string]string{"queue": "b"}}
	client := answering(nil, series("1", 0))
	queries := []source.Query{query("ns", "depth", a), query("ns", "depth", a), query("ns", "depth", b), query("ns", "depth", nil), query("other", "depth", a), query("ns", "age", a)}
	for _, m := range read(t, t.Context(), external.New(client), queries...) {
		if m.Value != 1 {
			t.Errorf("got %+v", m)
		}
	}
	got := map[string]int{}
	for _, action := range client.Actions() {
		list := action.(clienttesting.ListAction)
		got[list.GetNamespace()+"/"+list.GetResource().Resource+"{"+list.GetListRestrictions().Labels.String()+"}"]++
	}
	want := map[string]int{"ns/depth{queue=a}": 1, "ns/depth{queue=b}": 1, "ns/depth{}": 1, "other/depth{queue=a}": 1, "ns/age{queue=a}": 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnInvalidSelectorIsNamed(t *testing.T) {
	bad := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "queue", Operator: "Like"}}}
	want := source.Unknown(scaling.ReasonUnreadable, `list external metric depth: external.metric.selector: "Like" is not a valid label selector operator`)
	if diff := cmp.Diff(want, read(t, t.Context(), external.New(answering(nil)), query("ns", "depth", bad))[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAClientThatHangs hangs on one metric for far longer than anybody waits.
func TestAClientThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := external.New(hanging{})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			start := time.Now()
			m := read(t, ctx, s, query("ns", "hangs", nil), query("ns", "depth", nil))
			cancel()
			if took := time.Since(start); took != 5*time.Second {
				t.Errorf("took %s", took)
			}
			if diff := cmp.Diff(source.Unknown(scaling.ReasonUnreadable, "list external metric hangs: no answer in time"), m[0]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m[1].Value != 1 {
				t.Errorf("the other: %+v", m[1])
			}
		}
		time.Sleep(time.Hour) // what was left behind returns
	})
}

// hanging is a client that hangs on one metric.
type hanging struct{}

// NamespacedMetrics implements externalclient.ExternalMetricsClient.
func (h hanging) NamespacedMetrics(string) externalclient.MetricsInterface { return h }

// List implements externalclient.MetricsInterface.
func (hanging) List(metric string, _ labels.Selector) (*v1beta1.ExternalMetricValueList, error) {
	if metric == "hangs" {
		time.Sleep(time.Hour)
	}
	return &v1beta1.ExternalMetricValueList{Items: []v1beta1.ExternalMetricValue{series("1", 0)}}, nil
}
