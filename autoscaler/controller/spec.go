package controller

import (
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// rulesOf reads the limits from a spec with its defaults.
func rulesOf(wa *v1alpha1.WorkloadAutoscaler) limits.Rules {
	b := wa.Spec.Behavior
	return limits.Rules{
		MinReplicas:     *wa.Spec.MinReplicas,
		MaxReplicas:     wa.Spec.MaxReplicas,
		ScaleUpWindow:   time.Duration(*b.ScaleUp.StabilizationWindowSeconds) * time.Second,
		ScaleDownWindow: time.Duration(*b.ScaleDown.StabilizationWindowSeconds) * time.Second,
	}
}

// toleranceOf reads the tolerance from a spec with its defaults.
func toleranceOf(wa *v1alpha1.WorkloadAutoscaler) scaling.Tolerance {
	b := wa.Spec.Behavior
	return scaling.Tolerance{
		Up:   b.ScaleUp.Tolerance.AsApproximateFloat64(),
		Down: b.ScaleDown.Tolerance.AsApproximateFloat64(),
	}
}

// targetOf reads the target from a valid metric.
func targetOf(m v1alpha1.MetricSpec) scaling.Target {
	var t v1alpha1.MetricTarget
	switch {
	case m.Resource != nil:
		t = m.Resource.Target
	case m.Prometheus != nil:
		t = m.Prometheus.Target
	}
	switch {
	case t.AverageUtilization != nil:
		return scaling.Target{Type: scaling.Utilization, Amount: float64(*t.AverageUtilization)}
	case t.AverageValue != nil:
		return scaling.Target{Type: scaling.AverageValue, Amount: t.AverageValue.AsApproximateFloat64()}
	default:
		return scaling.Target{Type: scaling.Value, Amount: t.Value.AsApproximateFloat64()}
	}
}
