// Package adapter puts what upstream's autoscaler decides on into the shape of
// ours: pods, samples and HorizontalPodAutoscalers into observations and limits. It
// knows nothing of upstream's calculator and controller, so that they can call it
// when upstream's own tests run against our decisions.
package adapter

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The defaults of kube-controller-manager.
const (
	DownscaleWindow       = 5 * time.Minute
	CPUInitialization     = 5 * time.Minute
	InitialReadinessDelay = 30 * time.Second
	DefaultTolerance      = 0.1
)

// Reading is what the metrics API answers to one metric.
type Reading struct {
	// Err is set if it fails.
	Err error
	// Pods are the samples of metrics of type Resource, ContainerResource and
	// Pods.
	Pods metrics.PodMetricsInfo
	// Values are the values of metrics of type Object (one) and External, in
	// thousandths of the metric's unit.
	Values []int64
}

// Case is one moment of one workload with one metric, as both sides see it.
type Case struct {
	Now                          time.Time
	SpecReplicas, StatusReplicas int32
	Pods                         []*corev1.Pod
	Metric                       autoscalingv2.MetricSpec
	Tolerance                    scaling.Tolerance
	Reading                      Reading
}

// Answer is what one side makes of a case.
type Answer struct {
	// Known is false if it cannot tell; Why says why.
	Known    bool
	Replicas int32
	Why      string
}

func (a Answer) String() string {
	if !a.Known {
		return "unknown (" + a.Why + ")"
	}
	return fmt.Sprintf("%d replicas (%s)", a.Replicas, a.Why)
}

// Equals reports whether both sides answer the same, whatever they say of it.
func (a Answer) Equals(b Answer) bool {
	return a.Known == b.Known && (!a.Known || a.Replicas == b.Replicas)
}

// Decide answers a case with a policy of ours.
func Decide(policy scaling.Policy, c Case) Answer {
	d := policy.Decide(c.Now, Observe(c))
	if !d.Known {
		return Answer{Why: d.Reason + ": " + d.Message}
	}
	return Answer{Known: true, Replicas: d.Replicas, Why: d.Reason + ": " + d.Message}
}

// Compatible is the policy that decides as upstream does, with the periods of a
// pod's start.
func Compatible(cpuInitialization, initialReadinessDelay time.Duration) scaling.Policy {
	config := target.Compatible()
	config.CPUInitializationPeriod, config.InitialReadinessDelay = cpuInitialization, initialReadinessDelay
	return target.New(config)
}

// WithStartTimes returns the pods with a start time that is set but zero, which no
// API server can answer, put long into the past, which is what it means upstream.
func WithStartTimes(list []*corev1.Pod) []*corev1.Pod {
	out := slices.Clone(list)
	for i, pod := range out {
		if pod.Status.StartTime != nil && pod.Status.StartTime.IsZero() {
			out[i] = pod.DeepCopy()
			out[i].Status.StartTime.Time = time.Unix(0, 0)
		}
	}
	return out
}

// Observe is the observation our policies are told of a case.
func Observe(c Case) scaling.Observation {
	known := Pods(c.Pods)
	return scaling.Observation{
		SpecReplicas: c.SpecReplicas, StatusReplicas: c.StatusReplicas,
		MaxReplicas: 1 << 30,
		Pods:        Told(known),
		Metrics:     []scaling.Metric{Metric("metric", c.Metric, c.Reading, known)},
		Tolerance:   c.Tolerance,
	}
}

// Pods makes the autoscaler's pods of upstream's, in the order of their
// names.
func Pods(list []*corev1.Pod) []*pods.Pod {
	known := make([]*pods.Pod, len(list))
	for i, pod := range list {
		known[i] = pods.From(pod)
	}
	slices.SortFunc(known, func(a, b *pods.Pod) int { return strings.Compare(a.Name, b.Name) })
	return known
}

// Told is what policies are told of pods.
func Told(known []*pods.Pod) []scaling.Pod {
	out := make([]scaling.Pod, len(known))
	for i, pod := range known {
		out[i] = pod.Pod
	}
	return out
}

// Metric is what a policy is told of a metric and its reading.
func Metric(name string, spec autoscalingv2.MetricSpec, reading Reading, known []*pods.Pod) scaling.Metric {
	m := scaling.Metric{Name: name, Activation: -1, Target: Target(TargetOf(spec)), PerPod: spec.Object == nil && spec.External == nil}
	if reading.Err != nil {
		m.Unknown = scaling.Unknown{Reason: scaling.ReasonUnreadable, Message: reading.Err.Error()}
	}
	resource, container := corev1.ResourceName(""), ""
	switch {
	case spec.Resource != nil:
		resource = spec.Resource.Name
	case spec.ContainerResource != nil:
		resource, container = spec.ContainerResource.Name, spec.ContainerResource.Container
	}
	m.IgnoreUntilReady = resource == corev1.ResourceCPU
	switch {
	case m.Unknown.Set():
	case m.PerPod:
		m.Pods = podReadings(m.Target.Type, resource, container, reading, known)
	default:
		m.Value = float64(sum(reading.Values, spec)) / 1000
	}
	return m
}

// TargetOf is the target of a metric of whatever type.
func TargetOf(spec autoscalingv2.MetricSpec) autoscalingv2.MetricTarget {
	switch {
	case spec.Resource != nil:
		return spec.Resource.Target
	case spec.ContainerResource != nil:
		return spec.ContainerResource.Target
	case spec.Pods != nil:
		return spec.Pods.Target
	case spec.Object != nil:
		return spec.Object.Target
	}
	return spec.External.Target
}

// Target is what a policy is told of a target.
func Target(t autoscalingv2.MetricTarget) scaling.Target {
	switch {
	case t.AverageUtilization != nil:
		return scaling.Target{Type: scaling.Utilization, Amount: float64(*t.AverageUtilization)}
	case t.AverageValue != nil:
		return scaling.Target{Type: scaling.AverageValue, Amount: float64(t.AverageValue.MilliValue()) / 1000}
	}
	return scaling.Target{Type: scaling.Value, Amount: float64(t.Value.MilliValue()) / 1000}
}

// podReadings has one reading for each pod, sampled or not, and one for each sample
// of a pod that is not there, all in the order of their names.
func podReadings(t scaling.TargetType, resource corev1.ResourceName, container string, reading Reading, known []*pods.Pod) []scaling.PodReading {
	readings := make([]scaling.PodReading, 0, len(known))
	there := make(map[string]bool, len(known))
	for _, pod := range known {
		r := scaling.PodReading{Pod: pod.Name}
		if t == scaling.Utilization {
			r.RequestMilli, r.NoRequest = pod.RequestMilli(resource, container)
		}
		there[pod.Name] = true
		readings = append(readings, sampled(r, reading))
	}
	for name := range reading.Pods {
		if !there[name] {
			readings = append(readings, sampled(scaling.PodReading{Pod: name}, reading))
		}
	}
	slices.SortFunc(readings, func(a, b scaling.PodReading) int { return strings.Compare(a.Pod, b.Pod) })
	return readings
}

// sampled adds the pod's sample, if there is one.
func sampled(r scaling.PodReading, reading Reading) scaling.PodReading {
	if sample, found := reading.Pods[r.Pod]; found {
		r.Sampled, r.UsageMilli, r.At, r.Window = true, sample.Value, sample.Timestamp, sample.Window
	}
	return r
}

// sum adds values as upstream does, which stops at the largest int64. Of external
// metrics with a target of AverageValue it takes a sum below 0 for an overflow.
func sum(values []int64, spec autoscalingv2.MetricSpec) int64 {
	overflowing := spec.External != nil && spec.External.Target.AverageValue != nil
	total := int64(0)
	for _, v := range values {
		if v > 0 && total > math.MaxInt64-v {
			return math.MaxInt64
		}
		total += v
		if overflowing && total < 0 {
			return math.MaxInt64
		}
	}
	return total
}

// Rules are our limits for a HorizontalPodAutoscaler with its defaults filled in,
// in the settings in which they are its own.
func Rules(hpa *autoscalingv2.HorizontalPodAutoscaler) limits.Rules {
	rules := limits.Rules{
		MinReplicas: *hpa.Spec.MinReplicas, MaxReplicas: hpa.Spec.MaxReplicas,
		DownscaleStabilization: DownscaleWindow, MemoryAsHPA: true,
	}
	if b := hpa.Spec.Behavior; b != nil {
		rules.Behavior = &limits.Behavior{ScaleUp: direction(b.ScaleUp, 0), ScaleDown: direction(b.ScaleDown, DownscaleWindow)}
	}
	return rules
}

func direction(rules *autoscalingv2.HPAScalingRules, window time.Duration) limits.Direction {
	d := limits.Direction{Window: window, Select: limits.SelectMax}
	if rules.SelectPolicy != nil {
		d.Select = limits.SelectPolicy(*rules.SelectPolicy)
	}
	if rules.StabilizationWindowSeconds != nil {
		d.Window = time.Duration(*rules.StabilizationWindowSeconds) * time.Second
	}
	for _, p := range rules.Policies {
		d.Policies = append(d.Policies, limits.Policy{
			Type: limits.PolicyType(p.Type), Value: p.Value, Period: time.Duration(p.PeriodSeconds) * time.Second,
		})
	}
	return d
}

// Tolerance is that of a HorizontalPodAutoscaler.
func Tolerance(b *autoscalingv2.HorizontalPodAutoscalerBehavior) scaling.Tolerance {
	t := scaling.Tolerance{Up: DefaultTolerance, Down: DefaultTolerance}
	if b != nil && b.ScaleUp.Tolerance != nil {
		t.Up = b.ScaleUp.Tolerance.AsApproximateFloat64()
	}
	if b != nil && b.ScaleDown.Tolerance != nil {
		t.Down = b.ScaleDown.Tolerance.AsApproximateFloat64()
	}
	return t
}
