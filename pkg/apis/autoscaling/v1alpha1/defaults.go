package v1alpha1

import (
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// The defaults of optional fields. The schema of the CustomResourceDefinition
// has the same; these serve objects that did not pass an API server.
const (
	DefaultMinReplicas          int32 = 1
	DefaultPolicy                     = PolicyTarget
	DefaultMode                       = ModeAuto
	DefaultPodSelection               = PodSelectionOwner
	DefaultTimeZone                   = "UTC"
	DefaultFallbackAfterSeconds int32 = 180
	DefaultServerName                 = "default"
	DefaultEmptyResult                = EmptyResultUnknown
)

// The defaults of behavior, where it is set, as an API server fills them in for
// autoscaling/v2. The stabilization window for scaling in has none: without one
// the autoscaler's own counts.
const (
	defaultPeriodSeconds  = 15
	defaultScaleUpPods    = 4
	defaultScaleUpPercent = 100
	defaultScaleInPercent = 100
	defaultScaleUpWindow  = 0
	defaultSelectedPolicy = autoscalingv2.MaxChangePolicySelect
)

// SetDefaults fills the optional fields of the spec that are not set, as an API
// server does. In a behavior, which the schema of the CustomResourceDefinition
// leaves as it is, it fills what an API server fills for autoscaling/v2; a
// behavior that is not set stays so.
func SetDefaults(wa *WorkloadAutoscaler) {
	spec := &wa.Spec
	setDefault(&spec.MinReplicas, DefaultMinReplicas)
	if spec.Policy == nil {
		spec.Policy = &PolicySpec{}
	}
	setIfZero(&spec.Policy.Name, DefaultPolicy)
	setIfZero(&spec.Mode, DefaultMode)
	setIfZero(&spec.PodSelection, DefaultPodSelection)
	for i := range spec.Schedules {
		setIfZero(&spec.Schedules[i].TimeZone, DefaultTimeZone)
	}
	if spec.Fallback != nil {
		setDefault(&spec.Fallback.AfterSeconds, DefaultFallbackAfterSeconds)
	}
	for i := range spec.Metrics {
		if p := spec.Metrics[i].Prometheus; p != nil {
			setIfZero(&p.ServerName, DefaultServerName)
			setIfZero(&p.EmptyResult, DefaultEmptyResult)
		}
	}
	if b := spec.Behavior; b != nil {
		b.ScaleUp = scaleUpWithDefaults(b.ScaleUp)
		b.ScaleDown = scaleDownWithDefaults(b.ScaleDown)
	}
}

func scaleUpWithDefaults(r *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	r = withPolicies(r, []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PodsScalingPolicy, Value: defaultScaleUpPods, PeriodSeconds: defaultPeriodSeconds},
		{Type: autoscalingv2.PercentScalingPolicy, Value: defaultScaleUpPercent, PeriodSeconds: defaultPeriodSeconds},
	})
	setDefault(&r.StabilizationWindowSeconds, defaultScaleUpWindow)
	return r
}

func scaleDownWithDefaults(r *autoscalingv2.HPAScalingRules) *autoscalingv2.HPAScalingRules {
	return withPolicies(r, []autoscalingv2.HPAScalingPolicy{
		{Type: autoscalingv2.PercentScalingPolicy, Value: defaultScaleInPercent, PeriodSeconds: defaultPeriodSeconds},
	})
}

func withPolicies(r *autoscalingv2.HPAScalingRules, policies []autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	if r == nil {
		r = &autoscalingv2.HPAScalingRules{}
	}
	setDefault(&r.SelectPolicy, defaultSelectedPolicy)
	if r.Policies == nil {
		r.Policies = policies
	}
	return r
}

func setDefault[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func setIfZero[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// MetricNames are the names of the metrics of spec.metrics, in their order, in
// status, events and decisions. They are unique: of two metrics with one
// MetricName, as two of type External that differ in their selectors, the later
// one has its place added, as in queue_length[1].
func MetricNames(metrics []MetricSpec) []string {
	names := make([]string, 0, len(metrics))
	for i, m := range metrics {
		name := MetricName(i, m)
		for slices.Contains(names, name) {
			name = fmt.Sprintf("%s[%d]", name, i)
		}
		names = append(names, name)
	}
	return names
}

// MetricName is what the metric m at place i of spec.metrics is called: the name
// of the resource; resource/container; the name of the metric; the name given
// to a query or a custom metric, or prometheus[i] or custom[i]. Two metrics of
// one object may have the same: see MetricNames.
func MetricName(i int, m MetricSpec) string {
	switch {
	case m.Resource != nil:
		return string(m.Resource.Name)
	case m.ContainerResource != nil:
		return fmt.Sprintf("%s/%s", m.ContainerResource.Name, m.ContainerResource.Container)
	case m.Pods != nil:
		return m.Pods.Metric.Name
	case m.Object != nil:
		return m.Object.Metric.Name
	case m.External != nil:
		return m.External.Metric.Name
	case m.Prometheus != nil && m.Prometheus.Name != "":
		return m.Prometheus.Name
	case m.Prometheus != nil:
		return fmt.Sprintf("prometheus[%d]", i)
	case m.Custom != nil && m.Custom.Name != "":
		return m.Custom.Name
	case m.Custom != nil:
		return fmt.Sprintf("custom[%d]", i)
	}
	return fmt.Sprintf("metrics[%d]", i)
}
