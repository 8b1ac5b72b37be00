package hpa

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Names of what is in a pod.
const (
	appContainer     = "app"
	proxyContainer   = "proxy"
	sidecarContainer = "sidecar"
	setupContainer   = "setup"
)

// errReading is what a metrics API says that does not answer.
var errReading = errors.New("the metrics API does not answer")

// AnyCase draws a case of the time now. Most of its pods are healthy and most of
// its metrics near a threshold, so that the rules and not the defects decide; the
// rest is as odd as the API allows.
func AnyCase(r *rand.Rand, now time.Time) adapter.Case {
	c := adapter.Case{Now: now, Tolerance: anyTolerance(r)}
	odd := pick(r, 0, 0, 0.05, 0.2, 0.5, 1)
	layout := anyLayout(r)
	for i := range anyCount(r) {
		c.Pods = append(c.Pods, anyPod(r, now, i, layout, odd))
	}
	c.SpecReplicas = anyReplicas(r, len(c.Pods))
	c.StatusReplicas = pick(r, c.SpecReplicas, int32(len(c.Pods)), anyReplicas(r, len(c.Pods)))
	c.Metric = AnyMetric(r, "load", layout.containers)
	c.Reading = anyReading(r, c, odd)
	return c
}

func anyTolerance(r *rand.Rand) scaling.Tolerance {
	if chance(r, 0.6) {
		return scaling.Tolerance{Up: adapter.DefaultTolerance, Down: adapter.DefaultTolerance}
	}
	return scaling.Tolerance{Up: pick(r, 0, 0.01, 0.05, 0.1, 0.5, 1), Down: pick(r, 0, 0.01, 0.05, 0.1, 0.5, 1)}
}

func anyCount(r *rand.Rand) int {
	return pick(r, 0, 1, 1+r.IntN(3), 1+r.IntN(10), 1+r.IntN(10), 1+r.IntN(40))
}

// anyReplicas is near the number of pods, most of the time.
func anyReplicas(r *rand.Rand, pods int) int32 {
	n := pick(r, pods, pods, pods, pods-1, pods+1, pods-r.IntN(5), pods+r.IntN(5), 0, r.IntN(100))
	return int32(max(n, 0))
}

// layout is what the pods of a workload have in common.
type layout struct {
	containers []string // those that run
	podLevel   bool     // the pods have requests of their own
	milli      int64    // each container's request
}

func anyLayout(r *rand.Rand) layout {
	l := layout{containers: []string{appContainer}, podLevel: chance(r, 0.15), milli: pick[int64](r, 1, 7, 100, 250, 1000, 3333)}
	if chance(r, 0.4) {
		l.containers = append(l.containers, proxyContainer)
	}
	if chance(r, 0.3) {
		l.containers = append(l.containers, sidecarContainer)
	}
	return l
}

// anyPod draws a pod that is ready since long ago or, with the share odd, one
// that has something about it.
func anyPod(r *rand.Rand, now time.Time, i int, l layout, odd float64) *corev1.Pod {
	started := metav1.NewTime(now.Add(-time.Hour))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%02d", i), Namespace: namespace, Labels: map[string]string{"app": "web"}},
		Spec:       anySpec(r, l, odd),
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &started,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now.Add(-59 * time.Minute))},
			},
		},
	}
	if chance(r, odd) {
		makeOdd(r, now, pod)
	}
	return pod
}

// makeOdd changes a few things about a pod.
func makeOdd(r *rand.Rand, now time.Time, pod *corev1.Pod) {
	status := &pod.Status
	ready := &status.Conditions[1]
	if chance(r, 0.35) {
		status.Phase = pick(r, corev1.PodPending, corev1.PodPending, corev1.PodSucceeded, corev1.PodFailed, corev1.PodUnknown, "")
	}
	if chance(r, 0.2) {
		deleted := metav1.NewTime(now.Add(-10 * time.Second))
		pod.DeletionTimestamp = &deleted
	}
	if chance(r, 0.5) {
		ready.Status = pick(r, corev1.ConditionFalse, corev1.ConditionFalse, corev1.ConditionUnknown)
	}
	if chance(r, 0.6) {
		started := metav1.NewTime(now.Add(-near(r, 0, time.Minute, adapter.CPUInitialization, 20*time.Minute)))
		status.StartTime = &started
		ready.LastTransitionTime = metav1.NewTime(started.Add(near(r, 0, adapter.InitialReadinessDelay, 2*time.Minute)))
	}
	if chance(r, 0.05) {
		ready.LastTransitionTime = metav1.Time{}
	}
	if chance(r, 0.05) {
		status.StartTime = nil
	}
	if chance(r, 0.1) {
		status.Conditions = status.Conditions[:1]
	}
}

// near is one of some durations, or a little less or more.
func near(r *rand.Rand, durations ...time.Duration) time.Duration {
	return pick(r, durations...) + pick(r, 0, 0, -time.Nanosecond, time.Nanosecond, -time.Second, time.Second, -15*time.Second, 15*time.Second)
}

func anySpec(r *rand.Rand, l layout, odd float64) corev1.PodSpec {
	always := corev1.ContainerRestartPolicyAlways
	spec := corev1.PodSpec{InitContainers: []corev1.Container{{Name: setupContainer, Resources: requests(r, 9*l.milli, odd/4)}}}
	for _, name := range l.containers {
		c := corev1.Container{Name: name, Resources: requests(r, l.milli, odd/8)}
		if name == sidecarContainer {
			c.RestartPolicy = &always
			spec.InitContainers = append(spec.InitContainers, c)
			continue
		}
		spec.Containers = append(spec.Containers, c)
	}
	if l.podLevel {
		own := requests(r, 2*l.milli, odd/4)
		spec.Resources = &own
	}
	return spec
}

// requests asks for CPU and memory, or, with the share odd, not for all of it.
func requests(r *rand.Rand, milli int64, odd float64) corev1.ResourceRequirements {
	list := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewMilliQuantity(milli, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(milli<<20, resource.BinarySI),
	}
	if chance(r, odd) {
		name := pick(r, corev1.ResourceCPU, corev1.ResourceMemory)
		if chance(r, 0.3) {
			list[name] = resource.Quantity{}
		} else {
			delete(list, name)
		}
	}
	return corev1.ResourceRequirements{Requests: list}
}

// AnyMetric draws a metric of any type, with any type of target it may have, of
// pods with the containers.
func AnyMetric(r *rand.Rand, name string, containers []string) autoscalingv2.MetricSpec {
	identifier := autoscalingv2.MetricIdentifier{Name: name}
	switch r.IntN(6) {
	case 0, 1:
		return autoscalingv2.MetricSpec{
			Type:     autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{Name: anyResource(r), Target: anyPodTarget(r)},
		}
	case 2:
		container := pick(r, containers...)
		if chance(r, 0.02) {
			container = "missing"
		}
		return autoscalingv2.MetricSpec{
			Type:              autoscalingv2.ContainerResourceMetricSourceType,
			ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: anyResource(r), Container: container, Target: anyPodTarget(r)},
		}
	case 3:
		return autoscalingv2.MetricSpec{
			Type: autoscalingv2.PodsMetricSourceType,
			Pods: &autoscalingv2.PodsMetricSource{Metric: identifier, Target: averageValue(r)},
		}
	case 4:
		described := autoscalingv2.CrossVersionObjectReference{APIVersion: "v1", Kind: "Service", Name: "web"}
		return autoscalingv2.MetricSpec{
			Type:   autoscalingv2.ObjectMetricSourceType,
			Object: &autoscalingv2.ObjectMetricSource{Metric: identifier, DescribedObject: described, Target: anyValueTarget(r)},
		}
	}
	return autoscalingv2.MetricSpec{
		Type:     autoscalingv2.ExternalMetricSourceType,
		External: &autoscalingv2.ExternalMetricSource{Metric: identifier, Target: anyValueTarget(r)},
	}
}

func anyResource(r *rand.Rand) corev1.ResourceName {
	return pick(r, corev1.ResourceCPU, corev1.ResourceCPU, corev1.ResourceMemory)
}

func anyPodTarget(r *rand.Rand) autoscalingv2.MetricTarget {
	if chance(r, 0.35) {
		return averageValue(r)
	}
	percent := pick[int32](r, 1, 10, 30, 50, 60, 75, 80, 100, 130, int32(1+r.IntN(200)))
	return autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent}
}

func anyValueTarget(r *rand.Rand) autoscalingv2.MetricTarget {
	if chance(r, 0.5) {
		return averageValue(r)
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: anyAmount(r)}
}

func averageValue(r *rand.Rand) autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: anyAmount(r)}
}

func anyAmount(r *rand.Rand) *resource.Quantity {
	milli := pick[int64](r, 1, 3, 100, 500, 1000, 20_000, 30_000, 100_000, 1+r.Int64N(1_000_000), 64<<20*1000)
	return resource.NewMilliQuantity(milli, resource.DecimalSI)
}

// anyReading draws an answer of the metrics API that is some ratio from the
// metric's target.
func anyReading(r *rand.Rand, c adapter.Case, odd float64) adapter.Reading {
	if chance(r, 0.01) {
		return adapter.Reading{Err: errReading}
	}
	ratio := anyRatio(r)
	if c.Metric.Object != nil || c.Metric.External != nil {
		return adapter.Reading{Values: anyValues(r, c, ratio)}
	}
	uneven := pick(r, 0, 0, 0.05, 0.5, 1)
	samples := make(metrics.PodMetricsInfo, len(c.Pods))
	for _, pod := range c.Pods {
		if chance(r, odd/4) || pod.Status.Phase != corev1.PodRunning && chance(r, 0.8) {
			continue
		}
		share := ratio * (1 + uneven*(2*r.Float64()-1))
		samples[pod.Name] = anySample(r, c, pod, share)
		if chance(r, odd/10) { // of a pod that is gone, or another's
			samples[pick(r, "gone-", "zz-gone-")+pod.Name] = anySample(r, c, pod, share)
		}
	}
	return adapter.Reading{Pods: samples}
}

// anyRatio is often at, or just beside, a number at which a decision turns.
func anyRatio(r *rand.Rand) float64 {
	at := pick(r, 0, 0.1, 0.5, 0.9, 0.95, 1, 1, 1.01, 1.05, 1.1, 1.5, 2, 10, 3*r.Float64(), 3*r.Float64())
	return max(0, at+pick(r, 0, 0, -1e-3, 1e-3, -0.01, 0.01))
}

// anySample is a pod's sample at a ratio to the metric's target.
func anySample(r *rand.Rand, c adapter.Case, pod *corev1.Pod, ratio float64) metrics.PodMetric {
	sample := metrics.PodMetric{
		Value:     int64(ratio * perPodTarget(c.Metric, pod)),
		Timestamp: c.Now.Add(-pick(r, 0, 15*time.Second, 30*time.Second, time.Minute)),
		Window:    pick(r, 0, 15*time.Second, 30*time.Second, time.Minute),
	}
	if ready := pod.Status.Conditions[len(pod.Status.Conditions)-1]; chance(r, 0.2) {
		sample.Timestamp = ready.LastTransitionTime.Add(sample.Window + near(r, 0))
	}
	return sample
}

// perPodTarget is what the pod uses when the metric is at its target, in
// thousandths.
func perPodTarget(m autoscalingv2.MetricSpec, pod *corev1.Pod) float64 {
	of := func(name corev1.ResourceName, target autoscalingv2.MetricTarget, containers float64) float64 {
		if target.AverageValue != nil {
			return float64(target.AverageValue.MilliValue())
		}
		request := pod.Spec.Containers[0].Resources.Requests[name]
		return float64(request.MilliValue()) * containers * float64(*target.AverageUtilization) / 100
	}
	switch {
	case m.Resource != nil:
		return of(m.Resource.Name, m.Resource.Target, float64(len(pod.Spec.Containers)))
	case m.ContainerResource != nil:
		return of(m.ContainerResource.Name, m.ContainerResource.Target, 1)
	}
	return float64(m.Pods.Target.AverageValue.MilliValue())
}

// anyValues are values that add up to a ratio to the metric's target, or, with a
// small chance, to nothing sensible.
func anyValues(r *rand.Rand, c adapter.Case, ratio float64) []int64 {
	of := adapter.TargetOf(c.Metric)
	var atTarget float64
	if of.Value != nil {
		atTarget = float64(of.Value.MilliValue())
	} else {
		atTarget = float64(of.AverageValue.MilliValue()) * float64(c.StatusReplicas)
	}
	total := int64(ratio * atTarget)
	if chance(r, 0.02) {
		total = -total
	}
	if c.Metric.Object != nil || chance(r, 0.7) {
		return []int64{total}
	}
	part := r.Int64N(max(total, 0) + 1)
	return []int64{part, total - part}
}

func chance(r *rand.Rand, share float64) bool { return r.Float64() < share }

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }
