package controller

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The conditions: the HorizontalPodAutoscaler's, and Ready, which is false
// whenever a person may have to look.
const (
	ConditionAbleToScale    = "AbleToScale"
	ConditionScalingActive  = "ScalingActive"
	ConditionScalingLimited = "ScalingLimited"
	ConditionReady          = "Ready"
)

// The reasons of conditions, besides those of packages limits and decision and
// of the policy.
const (
	ReasonInvalidSpec               = "InvalidSpec"
	ReasonFailedGetScale            = "FailedGetScale"
	ReasonFailedUpdateScale         = "FailedUpdateScale"
	ReasonSucceededGetScale         = "SucceededGetScale"
	ReasonSucceededRescale          = "SucceededRescale"
	ReasonReadyForNewScale          = "ReadyForNewScale"
	ReasonInvalidSelector           = "InvalidSelector"
	ReasonFailedListPods            = "FailedListPods"
	ReasonFailedGetResourceMetric   = "FailedGetResourceMetric"
	ReasonFailedGetPrometheusMetric = "FailedGetPrometheusMetric"
	ReasonValidMetricFound          = "ValidMetricFound"
	ReasonDesiredWithinRange        = "DesiredWithinRange"
)

// writeStatus brings the status up to date, if it is not.
func (r *Reconciler) writeStatus(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler, e evaluation) error {
	generation, metricSpecs := wa.Generation, wa.Spec.Metrics
	latest := wa
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		before := latest.Status.DeepCopy()
		latest.Status = statusAfter(*before, generation, metricSpecs, e)
		if equality.Semantic.DeepEqual(*before, latest.Status) {
			return nil
		}
		err := r.Client.Status().Update(ctx, latest)
		if !apierrors.IsConflict(err) {
			return client.IgnoreNotFound(err)
		}
		latest = &v1alpha1.WorkloadAutoscaler{}
		if readErr := r.Live.Get(ctx, client.ObjectKeyFromObject(wa), latest); readErr != nil {
			return client.IgnoreNotFound(readErr)
		}
		return err
	})
}

// statusAfter is the status after an evaluation. It is pure.
func statusAfter(s v1alpha1.WorkloadAutoscalerStatus, generation int64, specs []v1alpha1.MetricSpec, e evaluation) v1alpha1.WorkloadAutoscalerStatus {
	s.ObservedGeneration = generation
	s.Conditions = slices.Clone(s.Conditions)
	for _, c := range conditionsAfter(specs, e) {
		c.ObservedGeneration = generation
		c.LastTransitionTime = seconds(e.now)
		meta.SetStatusCondition(&s.Conditions, c)
	}
	switch e.problem.condition {
	case ConditionReady, ConditionAbleToScale: // the scale was not read
		return s
	case ConditionScalingActive:
		s.CurrentReplicas, s.DesiredReplicas = e.current, e.current
		return s
	}
	s.CurrentReplicas, s.DesiredReplicas = e.current, e.verdict.Limited
	if e.verdict.Asked {
		s.Metrics = metricsAfter(e)
	}
	if e.rescaled() {
		now := seconds(e.now)
		s.LastScaleTime = &now
	}
	if d := decisionAfter(e); s.LastDecision == nil || !sameOutcome(*s.LastDecision, d) {
		s.LastDecision = &d
	}
	return s
}

// seconds is a time as the API keeps it.
func seconds(t time.Time) metav1.Time {
	return metav1.NewTime(t.Truncate(time.Second))
}

func decisionAfter(e evaluation) v1alpha1.Decision {
	v := e.verdict
	return v1alpha1.Decision{
		Time: seconds(e.now), Raw: v.Raw, Stabilized: v.Stabilized, Limited: v.Limited, Applied: e.applied,
		SelectedMetric: v.Decision.Metric, Reason: v.Reason, Message: v.Message, Constraints: v.Constraints,
	}
}

// sameOutcome compares all but when it was and with which figures.
func sameOutcome(a, b v1alpha1.Decision) bool {
	a.Time, a.Message = b.Time, b.Message
	return equality.Semantic.DeepEqual(a, b)
}

func metricsAfter(e evaluation) []v1alpha1.MetricStatus {
	var statuses []v1alpha1.MetricStatus
	for i, p := range e.verdict.Decision.Proposals {
		status := v1alpha1.MetricStatus{Name: p.Metric, Reason: p.Reason, Message: p.Message}
		if p.Unknown.Set() {
			status.Reason, status.Message = p.Unknown.Reason, p.Unknown.Message
		} else {
			status.Proposal = &p.Replicas
			status.Current = currentValue(e.metrics[i].Target.Type, p)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

func currentValue(t scaling.TargetType, p scaling.Proposal) *autoscalingv2.MetricValueStatus {
	switch t {
	case scaling.Utilization:
		percent := int32(p.Current)
		return &autoscalingv2.MetricValueStatus{AverageUtilization: &percent, AverageValue: resource.NewMilliQuantity(p.CurrentMilli, resource.DecimalSI)}
	case scaling.AverageValue:
		return &autoscalingv2.MetricValueStatus{AverageValue: quantity(p.Current)}
	default:
		return &autoscalingv2.MetricValueStatus{Value: quantity(p.Current)}
	}
}

// quantity is v to the thousandth, rounded up; large ones are capped.
func quantity(v float64) *resource.Quantity {
	if v >= math.MaxInt64/1000 {
		return resource.NewQuantity(math.MaxInt64/1000, resource.DecimalSI)
	}
	return resource.NewMilliQuantity(int64(math.Ceil(v*1000)), resource.DecimalSI)
}

// conditionsAfter are the conditions an evaluation has something to say about.
// Their messages are without figures that change from one evaluation to the
// next: those are in metrics and lastDecision.
func conditionsAfter(specs []v1alpha1.MetricSpec, e evaluation) []metav1.Condition {
	if p := e.problem; p.condition == ConditionReady {
		return []metav1.Condition{condition(ConditionReady, false, p.reason, p.message)}
	} else if p.condition == ConditionAbleToScale {
		return []metav1.Condition{condition(p.condition, false, p.reason, p.message), condition(ConditionReady, false, p.reason, p.message)}
	} else if p.condition != "" {
		return []metav1.Condition{
			condition(ConditionAbleToScale, true, ReasonSucceededGetScale, "the target's scale was read"),
			condition(p.condition, false, p.reason, p.message),
			condition(ConditionReady, false, p.reason, p.message),
		}
	}
	conditions := []metav1.Condition{ableToScale(e), scalingLimited(e.verdict)}
	if active, known := scalingActive(specs, e.verdict); known {
		conditions = append(conditions, active)
	}
	return append(conditions, ready(conditions, e.verdict))
}

func condition(typ string, holds bool, reason, message string) metav1.Condition {
	c := metav1.Condition{Type: typ, Status: metav1.ConditionFalse, Reason: reason, Message: message}
	if holds {
		c.Status = metav1.ConditionTrue
	}
	return c
}

func ableToScale(e evaluation) metav1.Condition {
	stabilized := func(reason string) bool { return slices.Contains(e.verdict.Constraints, reason) }
	switch {
	case e.writeError != nil:
		return condition(ConditionAbleToScale, false, ReasonFailedUpdateScale, "write the target's scale: "+e.writeError.Error())
	case e.rescaled():
		return condition(ConditionAbleToScale, true, ReasonSucceededRescale, fmt.Sprintf("the target was set to %d replicas", e.applied))
	case stabilized(limits.ScaleDownStabilized):
		return condition(ConditionAbleToScale, true, limits.ScaleDownStabilized, "more replicas were recommended recently")
	case stabilized(limits.ScaleUpStabilized):
		return condition(ConditionAbleToScale, true, limits.ScaleUpStabilized, "fewer replicas were recommended recently")
	case !e.verdict.Asked || !e.verdict.Decision.Known:
		return condition(ConditionAbleToScale, true, ReasonSucceededGetScale, "the target's scale was read")
	}
	return condition(ConditionAbleToScale, true, ReasonReadyForNewScale, "the recommended number of replicas is the current one")
}

func scalingLimited(v decision.Verdict) metav1.Condition {
	for _, constraint := range v.Constraints {
		switch constraint {
		case limits.TooManyReplicas:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas is more than the maximum")
		case limits.TooFewReplicas:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas is less than the minimum")
		case limits.ScaleUpLimit:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas grows faster than is allowed at once")
		}
	}
	return condition(ConditionScalingLimited, false, ReasonDesiredWithinRange, "the desired number of replicas is within the bounds")
}

// scalingActive is not known for a workload outside of its bounds: no metric
// was read.
func scalingActive(specs []v1alpha1.MetricSpec, v decision.Verdict) (c metav1.Condition, known bool) {
	switch {
	case v.Reason == decision.ReasonDisabled:
		return condition(ConditionScalingActive, false, v.Reason, v.Message), true
	case !v.Asked:
		return metav1.Condition{}, false
	case v.Decision.Known:
		return condition(ConditionScalingActive, true, ReasonValidMetricFound, "the number of replicas follows from "+v.Decision.Metric), true
	}
	for i, p := range v.Decision.Proposals {
		if p.Unknown.Set() {
			return condition(ConditionScalingActive, false, failedMetric(specs[i].Type), p.Metric+": "+p.Unknown.Message), true
		}
	}
	return condition(ConditionScalingActive, false, v.Decision.Reason, v.Decision.Message), true
}

func failedMetric(t v1alpha1.MetricSourceType) string {
	if t == v1alpha1.ResourceMetricSourceType {
		return ReasonFailedGetResourceMetric
	}
	return ReasonFailedGetPrometheusMetric
}

// ready sums up: false with the first thing that is wrong, else true with the
// reason of the verdict.
func ready(conditions []metav1.Condition, v decision.Verdict) metav1.Condition {
	for _, c := range conditions {
		if c.Type != ConditionScalingLimited && c.Status == metav1.ConditionFalse {
			return condition(ConditionReady, false, c.Reason, c.Message)
		}
	}
	return condition(ConditionReady, true, v.Reason, "the last evaluation went through; lastDecision has its figures")
}
