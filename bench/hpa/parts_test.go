package hpa_test

import (
	"maps"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
)

// start is when time begins in a testing/synctest bubble.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// fresh is the age of a sample that counts.
const fresh = 15 * time.Second

func list(pods ...*corev1.Pod) []*corev1.Pod { return pods }

// running is a pod that has been ready for an hour and requests 100m of CPU.
func running(name string) *corev1.Pod {
	started := metav1.NewTime(start.Add(-2 * time.Hour))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")},
		}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started, Conditions: []corev1.PodCondition{
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start.Add(-time.Hour))},
		}},
	}
}

func with(pod *corev1.Pod, changes ...func(*corev1.Pod)) *corev1.Pod {
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func succeeded(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded }
func failed(pod *corev1.Pod)    { pod.Status.Phase = corev1.PodFailed }
func unready(pod *corev1.Pod)   { pod.Status.Conditions[0].Status = corev1.ConditionFalse }

func requestless(pod *corev1.Pod) { pod.Spec.Containers[0].Resources.Requests = nil }

func terminating(pod *corev1.Pod) {
	deleted := metav1.NewTime(start.Add(-10 * time.Second))
	pod.DeletionTimestamp = &deleted
}

func ownedBy(uid types.UID) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		controls := true
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: string(uid), UID: uid, Controller: &controls}}
	}
}

func cpuUtilization(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

func podsAverage(amount int64) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.PodsMetricSourceType, Pods: &autoscalingv2.PodsMetricSource{
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(amount, resource.DecimalSI)},
	}}
}

func externalAverage(amount int64) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(amount, resource.DecimalSI)},
	}}
}

func externalValue(amount int64) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricSource{
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: resource.NewQuantity(amount, resource.DecimalSI)},
	}}
}

// samples are of the same age and value, in thousandths.
func samples(age time.Duration, milli int64, pods ...string) adapter.Reading {
	info := make(metrics.PodMetricsInfo, len(pods))
	for _, pod := range pods {
		info[pod] = metrics.PodMetric{Timestamp: start.Add(-age), Window: 30 * time.Second, Value: milli}
	}
	return adapter.Reading{Pods: info}
}

func join(a, b metrics.PodMetricsInfo) metrics.PodMetricsInfo {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

func values(milli ...int64) adapter.Reading { return adapter.Reading{Values: milli} }

// behavior has no windows, and one policy out and one in.
func behavior(up, down autoscalingv2.HPAScalingPolicy) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	rules := func(p autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
		most, window := autoscalingv2.MaxChangePolicySelect, int32(0)
		return &autoscalingv2.HPAScalingRules{SelectPolicy: &most, StabilizationWindowSeconds: &window, Policies: []autoscalingv2.HPAScalingPolicy{p}}
	}
	return &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rules(up), ScaleDown: rules(down)}
}

// within gives the behavior a window of scaling in.
func within(seconds int32, b *autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	b.ScaleDown.StabilizationWindowSeconds = &seconds
	return b
}

func noScalingIn(b *autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	disabled := autoscalingv2.DisabledPolicySelect
	b.ScaleDown.SelectPolicy = &disabled
	return b
}

// perSeconds is a rate in pods.
func perSeconds(pods, seconds int32) autoscalingv2.HPAScalingPolicy {
	return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: pods, PeriodSeconds: seconds}
}

func repeat(n int, wanted int32) []int32 {
	out := make([]int32, n)
	for i := range out {
		out[i] = wanted
	}
	return out
}
