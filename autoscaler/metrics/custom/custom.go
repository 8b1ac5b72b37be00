// Package custom reads metrics of custom.metrics.k8s.io: one of each pod of a
// workload, or one of an object.
package custom

import (
	"context"
	"fmt"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/failure"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/inflight"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/quantity"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const (
	api = "custom.metrics.k8s.io"
	// Concurrency is how many requests are in flight at most, for pods and for
	// objects together.
	Concurrency = 8
	// DefaultWindow is the window of a sample that does not say its own, as for
	// the HorizontalPodAutoscaler.
	DefaultWindow = time.Minute
)

// Reader asks the API. Its Pods and Object are the sources.
type Reader struct {
	client customclient.CustomMetricsClient
	calls  *inflight.Calls
}

// New returns a reader that asks through client, which maps kinds to resources.
// The client takes no context: set a timeout in its configuration, or what it
// hangs on keeps one of the requests in flight for as long.
func New(client customclient.CustomMetricsClient) *Reader {
	return &Reader{client: client, calls: inflight.New(Concurrency)}
}

// Pods returns the source of metrics of type Pods.
func (r *Reader) Pods() source.Source { return podsSource{r} }

// Object returns the source of metrics of type Object.
func (r *Reader) Object() source.Source { return objectSource{r} }

// request is what is asked for; equal requests are made once.
type request struct {
	namespace, metric, selector string
	// pods selects the pods; empty for an object.
	pods string
	// kind and name are the object's; empty for pods.
	kind schema.GroupKind
	name string
}

func requestOf(q *source.Query, metric *autoscalingv2.MetricIdentifier) request {
	return request{namespace: q.Namespace, metric: metric.Name, selector: metav1.FormatLabelSelector(metric.Selector)}
}

type podsSource struct{ *Reader }

// Name implements source.Source.
func (podsSource) Name() string { return string(v1alpha1.PodsMetricSourceType) }

// Read implements source.Source. A pod without a value is in the answer without
// a sample.
func (s podsSource) Read(ctx context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	groups := inflight.Groups(len(queries), func(i int) request {
		r := requestOf(&queries[i], &queries[i].Spec.Pods.Metric)
		r.pods = queries[i].Selector.String()
		return r
	})
	inflight.Do(ctx, s.calls, len(groups),
		func(i int) (map[string]scaling.PodReading, error) { return s.samples(&queries[groups[i][0]]) },
		func(i int, samples map[string]scaling.PodReading, err error) {
			for _, q := range groups[i] {
				answer(q, ofPods(&queries[q], samples, err))
			}
		})
}

// samples are the readings by the name of the pod. It is empty, not nil, if there
// are values and none is a measurement.
func (s podsSource) samples(q *source.Query) (map[string]scaling.PodReading, error) {
	metric := &q.Spec.Pods.Metric
	selector, err := selectorOf(metric)
	if err != nil {
		return nil, fmt.Errorf("pods.metric.selector: %w", err)
	}
	list, err := s.client.NamespacedMetrics(q.Namespace).GetForObjects(schema.GroupKind{Kind: "Pod"}, q.Selector, metric.Name, selector)
	if err != nil {
		return nil, err
	}
	if list == nil || len(list.Items) == 0 {
		return nil, nil
	}
	samples := make(map[string]scaling.PodReading, len(list.Items))
	for i := range list.Items {
		item := &list.Items[i]
		if milli, valid := quantity.Milli(&item.Value); valid {
			samples[item.DescribedObject.Name] = scaling.PodReading{
				Pod: item.DescribedObject.Name, Sampled: true, UsageMilli: milli, At: item.Timestamp.Time, Window: window(item),
			}
		}
	}
	return samples, nil
}

func window(v *v1beta2.MetricValue) time.Duration {
	if v.WindowSeconds == nil {
		return DefaultWindow
	}
	return time.Duration(*v.WindowSeconds) * time.Second
}

func ofPods(q *source.Query, samples map[string]scaling.PodReading, err error) scaling.Metric {
	switch {
	case err != nil:
		return failure.Of(api, fmt.Sprintf("get metric %s of pods", q.Spec.Pods.Metric.Name), err)
	case samples == nil:
		return source.Unknown(scaling.ReasonNoData, api+" has no value of the metric for any of the pods")
	}
	m := scaling.Metric{PerPod: true, Pods: make([]scaling.PodReading, len(q.Pods))}
	for i, pod := range q.Pods {
		m.Pods[i] = samples[pod.Name]
		m.Pods[i].Pod = pod.Name
	}
	return m
}

type objectSource struct{ *Reader }

// Name implements source.Source.
func (objectSource) Name() string { return string(v1alpha1.ObjectMetricSourceType) }

// Read implements source.Source.
func (s objectSource) Read(ctx context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	groups := inflight.Groups(len(queries), func(i int) request {
		object := queries[i].Spec.Object
		r := requestOf(&queries[i], &object.Metric)
		r.kind, r.name = kindOf(object), object.DescribedObject.Name
		if isNamespace(r.kind) {
			r.name = ""
		}
		return r
	})
	inflight.Do(ctx, s.calls, len(groups),
		func(i int) (*v1beta2.MetricValue, error) { return s.value(&queries[groups[i][0]]) },
		func(i int, v *v1beta2.MetricValue, err error) {
			m := ofObject(queries[groups[i][0]].Spec.Object, v, err)
			for _, q := range groups[i] {
				answer(q, m)
			}
		})
}

// value asks for the metric of the object. A namespace's is that of the
// workload's own, whatever its name says: nobody reads those of others.
func (s objectSource) value(q *source.Query) (*v1beta2.MetricValue, error) {
	object := q.Spec.Object
	selector, err := selectorOf(&object.Metric)
	if err != nil {
		return nil, fmt.Errorf("object.metric.selector: %w", err)
	}
	kind, name := kindOf(object), object.DescribedObject.Name
	scope := s.client.NamespacedMetrics
	if isNamespace(kind) {
		name = q.Namespace
		scope = func(string) customclient.MetricsInterface { return s.client.RootScopedMetrics() }
	}
	return scope(q.Namespace).GetForObject(kind, name, object.Metric.Name, selector)
}

func kindOf(object *autoscalingv2.ObjectMetricSource) schema.GroupKind {
	return schema.FromAPIVersionAndKind(object.DescribedObject.APIVersion, object.DescribedObject.Kind).GroupKind()
}

func isNamespace(kind schema.GroupKind) bool { return kind == schema.GroupKind{Kind: "Namespace"} }

func ofObject(o *autoscalingv2.ObjectMetricSource, v *v1beta2.MetricValue, err error) scaling.Metric {
	switch {
	case err != nil:
		return failure.Of(api, fmt.Sprintf("get metric %s of %s %s", o.Metric.Name, o.DescribedObject.Kind, o.DescribedObject.Name), err)
	case v == nil:
		return source.Unknown(scaling.ReasonNoData, api+" has no value of the metric")
	}
	return quantity.Reading(quantity.Value(&v.Value), v.Timestamp.Time)
}

// selectorOf selects among the series of a metric: all of them by default.
func selectorOf(metric *autoscalingv2.MetricIdentifier) (labels.Selector, error) {
	if metric.Selector == nil {
		return labels.Everything(), nil
	}
	return metav1.LabelSelectorAsSelector(metric.Selector)
}
