package hpa

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
	"unsafe"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// namespace is that of everything in a case.
const namespace = "shop"

// Upstream answers a case with upstream's ReplicaCalculator. A negative number
// counts as 0, as in the HorizontalController.
func Upstream(c adapter.Case) adapter.Answer {
	calculator := podautoscaler.NewReplicaCalculator(answering{&c.Reading}, podList(c.Pods), adapter.CPUInitialization, adapter.InitialReadinessDelay)
	replicas, err := calculate(calculator, c)
	if err != nil {
		return adapter.Answer{Why: err.Error()}
	}
	return adapter.Answer{Known: true, Replicas: max(replicas, 0), Why: "upstream"}
}

// calculate calls the method that the HorizontalController calls for the metric.
func calculate(r *podautoscaler.ReplicaCalculator, c adapter.Case) (replicas int32, err error) {
	ctx, tolerances, all := context.Background(), upstreamTolerances(c.Tolerance), labels.Everything()
	resource := func(name corev1.ResourceName, container string, target autoscalingv2.MetricTarget) {
		if target.AverageValue != nil {
			replicas, _, _, err = r.GetRawResourceReplicas(ctx, c.SpecReplicas, target.AverageValue.MilliValue(), name, tolerances, namespace, all, container)
			return
		}
		replicas, _, _, _, err = r.GetResourceReplicas(ctx, c.SpecReplicas, *target.AverageUtilization, name, tolerances, namespace, all, container)
	}
	switch m := c.Metric; {
	case m.Resource != nil:
		resource(m.Resource.Name, "", m.Resource.Target)
	case m.ContainerResource != nil:
		resource(m.ContainerResource.Name, m.ContainerResource.Container, m.ContainerResource.Target)
	case m.Pods != nil:
		replicas, _, _, err = r.GetMetricReplicas(c.SpecReplicas, m.Pods.Target.AverageValue.MilliValue(), m.Pods.Metric.Name, tolerances, namespace, all, labels.Everything())
	case m.Object != nil && m.Object.Target.Value != nil:
		replicas, _, _, err = r.GetObjectMetricReplicas(c.SpecReplicas, m.Object.Target.Value.MilliValue(), m.Object.Metric.Name, tolerances, namespace, &m.Object.DescribedObject, all, labels.Everything())
	case m.Object != nil:
		replicas, _, _, err = r.GetObjectPerPodMetricReplicas(c.StatusReplicas, m.Object.Target.AverageValue.MilliValue(), m.Object.Metric.Name, tolerances, namespace, &m.Object.DescribedObject, labels.Everything())
	case m.External.Target.AverageValue != nil:
		replicas, _, _, err = r.GetExternalPerPodMetricReplicas(c.StatusReplicas, m.External.Target.AverageValue.MilliValue(), m.External.Metric.Name, tolerances, namespace, nil)
	default:
		replicas, _, _, err = r.GetExternalMetricReplicas(c.SpecReplicas, m.External.Target.Value.MilliValue(), m.External.Metric.Name, tolerances, namespace, nil, all)
	}
	return replicas, err
}

// upstreamTolerances makes a value whose two fields, first down, then up, cannot
// be set from outside of its package. CheckTolerances says whether that is still
// how they are laid out.
func upstreamTolerances(t scaling.Tolerance) podautoscaler.Tolerances {
	fields := [2]float64{t.Down, t.Up}
	return *(*podautoscaler.Tolerances)(unsafe.Pointer(&fields))
}

// CheckTolerances fails if upstream's Tolerances are no longer laid out as this
// package assumes: nothing it says would be true.
func CheckTolerances() error {
	if size := unsafe.Sizeof(podautoscaler.Tolerances{}); size != unsafe.Sizeof([2]float64{}) {
		return fmt.Errorf("podautoscaler.Tolerances has %d bytes, not those of two float64", size)
	}
	const want = "[down:12.5%, up:50.0%]"
	if got := upstreamTolerances(scaling.Tolerance{Up: 0.5, Down: 0.125}).String(); got != want {
		return fmt.Errorf("podautoscaler.Tolerances is %s, not %s", got, want)
	}
	return nil
}

// answering is a metrics client that answers every question with one reading.
type answering struct{ reading *adapter.Reading }

var _ metrics.MetricsClient = answering{}

func (a answering) GetResourceMetric(context.Context, corev1.ResourceName, string, labels.Selector, string) (metrics.PodMetricsInfo, time.Time, error) {
	return a.pods()
}

func (a answering) GetRawMetric(string, string, labels.Selector, labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return a.pods()
}

// pods answers with a copy: the calculator adds to what it gets and deletes from
// it. No samples at all are an error, as with upstream's own client.
func (a answering) pods() (metrics.PodMetricsInfo, time.Time, error) {
	switch {
	case a.reading.Err != nil:
		return nil, time.Time{}, a.reading.Err
	case len(a.reading.Pods) == 0:
		return nil, time.Time{}, errors.New("no metrics returned")
	}
	return maps.Clone(a.reading.Pods), time.Now(), nil
}

func (a answering) GetObjectMetric(string, string, *autoscalingv2.CrossVersionObjectReference, labels.Selector) (int64, time.Time, error) {
	if a.reading.Err != nil {
		return 0, time.Time{}, a.reading.Err
	}
	return a.reading.Values[0], time.Now(), nil
}

func (a answering) GetExternalMetric(string, string, labels.Selector) ([]int64, time.Time, error) {
	if a.reading.Err != nil {
		return nil, time.Time{}, a.reading.Err
	}
	return a.reading.Values, time.Now(), nil
}

// podList lists its pods in whatever namespace; all of them match.
type podList []*corev1.Pod

var (
	_ corelisters.PodLister          = podList{}
	_ corelisters.PodNamespaceLister = podList{}
)

func (l podList) List(selector labels.Selector) ([]*corev1.Pod, error) {
	if selector.Empty() {
		return l, nil
	}
	var matching []*corev1.Pod
	for _, pod := range l {
		if selector.Matches(labels.Set(pod.Labels)) {
			matching = append(matching, pod)
		}
	}
	return matching, nil
}

func (l podList) Pods(string) corelisters.PodNamespaceLister { return l }

func (l podList) Get(name string) (*corev1.Pod, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("pods"), name)
}
