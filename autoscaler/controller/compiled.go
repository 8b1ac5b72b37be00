package controller

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

// compiled is a spec made ready for evaluations; made once a generation.
type compiled struct {
	// spec has its defaults. It is not modified.
	spec v1alpha1.WorkloadAutoscalerSpec
	// invalid says what is wrong with the spec; the rest is then not to be used.
	invalid   field.ErrorList
	target    workloads.Key
	policy    scaling.Policy
	rules     limits.Rules
	tolerance scaling.Tolerance
	// metrics are the parts of the metrics that do not come from their sources.
	metrics      []scaling.Metric
	sources      []string
	canLeaveZero bool
	fallback     *decision.Fallback
}

// compile makes a spec ready, with the policies and the sources there are.
func compile(wa *v1alpha1.WorkloadAutoscaler, policies map[string]scaling.Factory, window time.Duration, tolerance float64) *compiled {
	wa = wa.DeepCopy()
	v1alpha1.SetDefaults(wa)
	c := &compiled{spec: wa.Spec, target: workloads.KeyOf(wa.Namespace, wa.Spec.ScaleTargetRef)}
	if c.invalid = v1alpha1.Validate(wa); len(c.invalid) > 0 {
		return c
	}
	path := field.NewPath("spec")
	if c.policy, c.invalid = policyOf(wa.Spec.Policy, policies, path.Child("policy")); len(c.invalid) > 0 {
		return c
	}
	if c.rules, c.invalid = rulesOf(&wa.Spec, window, path); len(c.invalid) > 0 {
		return c
	}
	c.tolerance = toleranceOf(wa.Spec.Behavior, tolerance)
	c.canLeaveZero = len(wa.Spec.Metrics) == 0
	names := v1alpha1.MetricNames(wa.Spec.Metrics)
	for i := range wa.Spec.Metrics {
		m := &wa.Spec.Metrics[i]
		c.metrics = append(c.metrics, metricOf(names[i], m))
		c.sources = append(c.sources, sourceOf(m))
		c.canLeaveZero = c.canLeaveZero || !isReadFromPods(m)
	}
	if f := wa.Spec.Fallback; f != nil {
		c.fallback = &decision.Fallback{After: seconds(f.AfterSeconds)}
		if f.Replicas != nil {
			c.fallback.Replicas = *f.Replicas
		}
	}
	return c
}

func policyOf(p *v1alpha1.PolicySpec, policies map[string]scaling.Factory, path *field.Path) (scaling.Policy, field.ErrorList) {
	factory, found := policies[p.Name]
	if !found {
		return nil, field.ErrorList{field.NotSupported(path.Child("name"), p.Name, sortedKeys(policies))}
	}
	var parameters []byte
	if p.Parameters != nil {
		parameters = p.Parameters.Raw
	}
	var policy scaling.Policy
	var err error
	if panicked := guarded(func() { policy, err = factory(parameters) }); panicked != nil {
		err = panicked
	}
	if err != nil {
		return nil, field.ErrorList{field.Invalid(path.Child("parameters"), string(parameters), err.Error())}
	}
	return policy, nil
}

// rulesOf reads the limits from a valid spec with its defaults.
func rulesOf(spec *v1alpha1.WorkloadAutoscalerSpec, window time.Duration, path *field.Path) (limits.Rules, field.ErrorList) {
	r := limits.Rules{MinReplicas: *spec.MinReplicas, MaxReplicas: spec.MaxReplicas, DownscaleStabilization: window}
	if b := spec.Behavior; b != nil {
		r.Behavior = &limits.Behavior{ScaleUp: directionOf(b.ScaleUp), ScaleDown: directionOf(b.ScaleDown)}
		if b.ScaleDown == nil || b.ScaleDown.StabilizationWindowSeconds == nil {
			r.Behavior.ScaleDown.Window = window
		}
	}
	for i, s := range spec.Schedules {
		w, err := schedule.Parse(s.Name, s.Start, s.End, s.TimeZone)
		if err != nil {
			return r, field.ErrorList{field.Invalid(path.Child("schedules").Index(i), s.Name, err.Error())}
		}
		r.Schedules = append(r.Schedules, limits.Schedule{Window: w, Min: s.MinReplicas, Max: s.MaxReplicas})
	}
	return r, nil
}

func directionOf(rules *autoscalingv2.HPAScalingRules) limits.Direction {
	d := limits.Direction{Select: limits.SelectMax}
	if rules == nil {
		return d
	}
	d.Window = seconds(rules.StabilizationWindowSeconds)
	if rules.SelectPolicy != nil {
		d.Select = limits.SelectPolicy(*rules.SelectPolicy)
	}
	for _, p := range rules.Policies {
		d.Policies = append(d.Policies, limits.Policy{Type: limits.PolicyType(p.Type), Value: p.Value, Period: time.Duration(p.PeriodSeconds) * time.Second})
	}
	return d
}

func seconds(n *int32) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}

func toleranceOf(b *autoscalingv2.HorizontalPodAutoscalerBehavior, usual float64) scaling.Tolerance {
	t := scaling.Tolerance{Up: usual, Down: usual}
	if b != nil && b.ScaleUp != nil && b.ScaleUp.Tolerance != nil {
		t.Up = b.ScaleUp.Tolerance.AsApproximateFloat64()
	}
	if b != nil && b.ScaleDown != nil && b.ScaleDown.Tolerance != nil {
		t.Down = b.ScaleDown.Tolerance.AsApproximateFloat64()
	}
	return t
}

// metricOf is what the policy is told of a valid metric whatever its source
// answers.
func metricOf(name string, m *v1alpha1.MetricSpec) scaling.Metric {
	s := scaling.Metric{Name: name, Optional: m.Optional, Activation: -1}
	s.Target = targetOf(specTarget(m))
	if p := m.Prometheus; p != nil && p.ActivationThreshold != nil {
		s.Activation = p.ActivationThreshold.AsApproximateFloat64()
	}
	return s
}

func specTarget(m *v1alpha1.MetricSpec) autoscalingv2.MetricTarget {
	switch {
	case m.Resource != nil:
		return m.Resource.Target
	case m.ContainerResource != nil:
		return m.ContainerResource.Target
	case m.Pods != nil:
		return m.Pods.Target
	case m.Object != nil:
		return m.Object.Target
	case m.External != nil:
		return m.External.Target
	case m.Prometheus != nil:
		return m.Prometheus.Target
	case m.Custom != nil:
		return m.Custom.Target
	}
	return autoscalingv2.MetricTarget{}
}

// targetOf reads a valid target. Amounts are exact to the thousandth, as those of
// the HorizontalPodAutoscaler are.
func targetOf(t autoscalingv2.MetricTarget) scaling.Target {
	switch {
	case t.AverageUtilization != nil:
		return scaling.Target{Type: scaling.Utilization, Amount: float64(*t.AverageUtilization)}
	case t.AverageValue != nil:
		return scaling.Target{Type: scaling.AverageValue, Amount: t.AverageValue.AsApproximateFloat64()}
	case t.Value != nil:
		return scaling.Target{Type: scaling.Value, Amount: t.Value.AsApproximateFloat64()}
	}
	return scaling.Target{}
}

// sourceOf is the name of the source that reads a metric.
func sourceOf(m *v1alpha1.MetricSpec) string {
	if m.Custom != nil {
		return m.Custom.Source
	}
	return string(m.Type)
}

// isReadFromPods reports whether a metric says nothing about a workload without
// pods.
func isReadFromPods(m *v1alpha1.MetricSpec) bool {
	switch m.Type {
	case v1alpha1.ObjectMetricSourceType, v1alpha1.ExternalMetricSourceType:
		return false
	case v1alpha1.PrometheusMetricSourceType:
		return m.Prometheus.PerPod
	case v1alpha1.CustomMetricSourceType:
		return m.Custom.PerPod
	}
	return true
}

// failedMetric is the reason of the condition when a metric of the type is
// unknown; those of autoscaling/v2 are the HorizontalPodAutoscaler's.
func failedMetric(t v1alpha1.MetricSourceType) string { return failedGet + string(t) + "Metric" }

const failedGet = "FailedGet"
