package controller

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The conditions: the HorizontalPodAutoscaler's; Ready, which is false whenever a
// person may have to look; Paused, while nothing is done about decisions because
// somebody wants it so; and Degraded, while something that is needed is missing.
const (
	ConditionAbleToScale    = "AbleToScale"
	ConditionScalingActive  = "ScalingActive"
	ConditionScalingLimited = "ScalingLimited"
	ConditionScaledToZero   = "ScaledToZero"
	ConditionReady          = "Ready"
	ConditionPaused         = "Paused"
	ConditionDegraded       = "Degraded"
)

// The reasons of conditions, besides those of packages limits and decision and
// of the policy, and Failed...Metric for each type of metric.
const (
	ReasonInvalidSpec        = "InvalidSpec"
	ReasonFailedGetScale     = "FailedGetScale"
	ReasonFailedUpdateScale  = "FailedUpdateScale"
	ReasonSucceededGetScale  = "SucceededGetScale"
	ReasonSucceededRescale   = "SucceededRescale"
	ReasonReadyForNewScale   = "ReadyForNewScale"
	ReasonInvalidSelector    = "InvalidSelector"
	ReasonAmbiguousTarget    = "AmbiguousTarget"
	ReasonPolicyFailed       = "PolicyFailed"
	ReasonValidMetricFound   = "ValidMetricFound"
	ReasonDesiredWithinRange = "DesiredWithinRange"
	ReasonScaledToZero       = "ScaledToZero"
	ReasonNotScaledToZero    = "NotScaledToZero"
	ReasonPaused             = "Paused"
	ReasonRecommendOnly      = "RecommendOnly"
	ReasonAuto               = "Auto"
	ReasonAsExpected         = "AsExpected"
)

// statusAfter is the status after an evaluation. It is pure: what it is given it
// does not modify.
func statusAfter(s v1alpha1.WorkloadAutoscalerStatus, e *evaluation) v1alpha1.WorkloadAutoscalerStatus {
	generation := e.wa.Generation
	s.ObservedGeneration = generation
	s.Conditions = slices.Clone(s.Conditions)
	for _, c := range conditionsAfter(e) {
		c.ObservedGeneration = generation
		c.LastTransitionTime = cut(e.now)
		meta.SetStatusCondition(&s.Conditions, c)
	}
	switch {
	case e.problem.condition == ConditionReady || e.problem.condition == ConditionAbleToScale: // the scale was not read
		return s
	case e.problem.condition != "" || e.standstill.reason == ReasonPaused:
		s.CurrentReplicas, s.DesiredReplicas = e.current(), e.current()
		return s
	}
	s.CurrentReplicas, s.DesiredReplicas = e.current(), e.verdict.Limited
	if e.verdict.Asked {
		s.Metrics = metricsAfter(e)
	}
	if e.rescaled() {
		now := cut(e.now)
		s.LastScaleTime = &now
	}
	if d := decisionAfter(e); s.LastDecision == nil || !sameOutcome(*s.LastDecision, d) {
		s.LastDecision = &d
	} else if s.LastDecision.Message != d.Message {
		d.Time = s.LastDecision.Time
		s.LastDecision = &d
	}
	s.History = historyAfter(e.obj.history)
	return s
}

// cut is a time as the API keeps it.
func cut(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }

func decisionAfter(e *evaluation) v1alpha1.Decision {
	v := &e.verdict
	return v1alpha1.Decision{
		Time: cut(e.now), Raw: v.Raw, Stabilized: v.Stabilized, Limited: v.Limited, Applied: e.applied,
		SelectedMetric: v.Decision.Metric, Reason: v.Reason, Message: v.Message, Constraints: v.Constraints,
	}
}

// sameOutcome compares all but when it was and with which figures.
func sameOutcome(a, b v1alpha1.Decision) bool {
	return a.Raw == b.Raw && a.Stabilized == b.Stabilized && a.Limited == b.Limited && a.Applied == b.Applied &&
		a.SelectedMetric == b.SelectedMetric && a.Reason == b.Reason && slices.Equal(a.Constraints, b.Constraints)
}

func historyAfter(h limits.History) *v1alpha1.History {
	out := &v1alpha1.History{}
	for _, r := range h.Recommendations {
		out.Recommendations = append(out.Recommendations, v1alpha1.Recommendation{Time: metav1.NewMicroTime(r.Time), Replicas: r.Replicas})
	}
	for _, e := range h.Events {
		out.ScaleEvents = append(out.ScaleEvents, v1alpha1.ScaleEvent{Time: metav1.NewMicroTime(e.Time), Change: e.Change})
	}
	return out
}

func metricsAfter(e *evaluation) []v1alpha1.MetricStatus {
	statuses := make([]v1alpha1.MetricStatus, 0, len(e.verdict.Decision.Proposals))
	for i := range e.verdict.Decision.Proposals {
		p := &e.verdict.Decision.Proposals[i]
		status := v1alpha1.MetricStatus{Name: p.Metric, Reason: p.Reason, Message: p.Message}
		if p.Unknown.Set() {
			status.Reason, status.Message = p.Unknown.Reason, p.Unknown.Message
		} else {
			status.Proposal = &p.Replicas
			status.Current = currentValue(&e.metrics[i], p)
		}
		statuses = append(statuses, status)
	}
	return statuses
}

func currentValue(m *scaling.Metric, p *scaling.Proposal) *autoscalingv2.MetricValueStatus {
	switch m.Target.Type {
	case scaling.Utilization:
		percent := int32(min(p.Current, math.MaxInt32))
		return &autoscalingv2.MetricValueStatus{AverageUtilization: &percent, AverageValue: resource.NewMilliQuantity(p.CurrentMilli, resource.DecimalSI)}
	case scaling.AverageValue:
		return &autoscalingv2.MetricValueStatus{AverageValue: quantity(p.Current)}
	}
	return &autoscalingv2.MetricValueStatus{Value: quantity(p.Current)}
}

// quantity is v to the thousandth, rounded up; large ones are capped.
func quantity(v float64) *resource.Quantity {
	switch {
	case math.IsNaN(v) || v < 0:
		v = 0
	case v >= math.MaxInt64/1000:
		return resource.NewQuantity(math.MaxInt64/1000, resource.DecimalSI)
	}
	return resource.NewMilliQuantity(int64(math.Ceil(v*1000)), resource.DecimalSI)
}

// conditionsAfter are the conditions an evaluation has something to say about.
// Their messages are without figures that change from one evaluation to the
// next: those are in metrics and lastDecision.
func conditionsAfter(e *evaluation) []metav1.Condition {
	conditions := append(make([]metav1.Condition, 0, 7), paused(e))
	p := e.problem
	switch p.condition {
	case "":
	case ConditionReady:
		return append(conditions, broken(ConditionDegraded, p), condition(ConditionReady, false, p.reason, p.message))
	default:
		if p.condition != ConditionAbleToScale {
			conditions = append(conditions, condition(ConditionAbleToScale, true, ReasonSucceededGetScale, "the target's scale was read"))
		}
		return append(conditions, condition(p.condition, false, p.reason, p.message), broken(ConditionDegraded, p), condition(ConditionReady, false, p.reason, p.message))
	}
	if e.standstill.reason == ReasonPaused {
		return append(conditions,
			condition(ConditionAbleToScale, true, ReasonSucceededGetScale, "the target's scale was read"),
			condition(ConditionReady, true, ReasonPaused, e.standstill.message))
	}
	conditions = append(conditions, ableToScale(e), scalingLimited(&e.verdict))
	if e.rescaled() || meta.IsStatusConditionTrue(e.obj.status.Conditions, ConditionScaledToZero) != e.obj.scaledToZero {
		conditions = append(conditions, scaledToZero(e))
	}
	if active, known := scalingActive(e); known {
		conditions = append(conditions, active)
	}
	conditions = append(conditions, degraded(e))
	return append(conditions, ready(conditions, &e.verdict))
}

func condition(typ string, holds bool, reason, message string) metav1.Condition {
	c := metav1.Condition{Type: typ, Status: metav1.ConditionFalse, Reason: reason, Message: message}
	if holds {
		c.Status = metav1.ConditionTrue
	}
	return c
}

func broken(typ string, p problem) metav1.Condition { return condition(typ, true, p.reason, p.message) }

func paused(e *evaluation) metav1.Condition {
	if e.standstill.condition == ConditionPaused {
		return condition(ConditionPaused, true, e.standstill.reason, e.standstill.message)
	}
	switch e.obj.compiled.spec.Mode {
	case v1alpha1.ModePaused:
		return condition(ConditionPaused, true, ReasonPaused, "the mode is Paused")
	case v1alpha1.ModeRecommend:
		return condition(ConditionPaused, true, ReasonRecommendOnly, "recommendations are in the status, nothing is done about them")
	}
	return condition(ConditionPaused, false, ReasonAuto, "the mode is Auto")
}

func scaledToZero(e *evaluation) metav1.Condition {
	if e.obj.scaledToZero {
		return condition(ConditionScaledToZero, true, ReasonScaledToZero, "the workload was scaled to zero by its metrics")
	}
	return condition(ConditionScaledToZero, false, ReasonNotScaledToZero, "the workload was not scaled to zero by its metrics")
}

func ableToScale(e *evaluation) metav1.Condition {
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

func scalingLimited(v *decision.Verdict) metav1.Condition {
	for _, constraint := range slices.Backward(v.Constraints) {
		switch constraint {
		case limits.TooManyReplicas:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas is more than the maximum"+held(v))
		case limits.TooFewReplicas:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas is less than the minimum"+held(v))
		case limits.ScaleUpLimit:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas grows faster than is allowed")
		case limits.ScaleDownLimit:
			return condition(ConditionScalingLimited, true, constraint, "the desired number of replicas shrinks faster than is allowed")
		}
	}
	return condition(ConditionScalingLimited, false, ReasonDesiredWithinRange, "the desired number of replicas is within the bounds"+held(v))
}

// held names the schedules that hold a bound.
func held(v *decision.Verdict) string {
	if len(v.Schedules) == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d to %d by schedule %s)", v.Min, v.Max, strings.Join(v.Schedules, ", "))
}

// scalingActive is not known for a workload outside of its bounds: no metric
// was read.
func scalingActive(e *evaluation) (c metav1.Condition, known bool) {
	v := &e.verdict
	switch {
	case e.standstill.condition == ConditionScalingActive:
		return condition(ConditionScalingActive, false, e.standstill.reason, e.standstill.message), true
	case v.Reason == decision.ReasonDisabled:
		return condition(ConditionScalingActive, false, v.Reason, v.Message), true
	case !v.Asked:
		return metav1.Condition{}, false
	case v.Decision.Known && v.Decision.Metric == "":
		return condition(ConditionScalingActive, true, v.Decision.Reason, "the number of replicas follows from the policy alone"), true
	case v.Decision.Known:
		return condition(ConditionScalingActive, true, ReasonValidMetricFound, "the number of replicas follows from "+v.Decision.Metric), true
	}
	if reason, message := firstUnknown(e, false); reason != "" {
		return condition(ConditionScalingActive, false, reason, message), true
	}
	return condition(ConditionScalingActive, false, v.Decision.Reason, v.Decision.Message), true
}

// firstUnknown is the first metric that is unknown, those that are optional only
// if asked for.
func firstUnknown(e *evaluation, optional bool) (reason, message string) {
	for i := range e.verdict.Decision.Proposals {
		if p := &e.verdict.Decision.Proposals[i]; p.Unknown.Set() && (optional || !p.Optional) {
			return failedMetric(e.obj.compiled.spec.Metrics[i].Type), p.Metric + ": " + p.Unknown.Reason + ": " + p.Unknown.Message
		}
	}
	return "", ""
}

func degraded(e *evaluation) metav1.Condition {
	switch reason, message := firstUnknown(e, true); {
	case e.standstill.condition == ConditionScalingActive:
		return broken(ConditionDegraded, e.standstill)
	case e.writeError != nil:
		return condition(ConditionDegraded, true, ReasonFailedUpdateScale, "write the target's scale: "+e.writeError.Error())
	case e.verdict.FellBack:
		return condition(ConditionDegraded, true, decision.ReasonFallback, "the metrics have been unknown for longer than fallback.afterSeconds; "+message)
	case reason != "":
		return condition(ConditionDegraded, true, reason, message)
	}
	return condition(ConditionDegraded, false, ReasonAsExpected, "everything that is needed is there")
}

// ready sums up: false with the first thing that is wrong, else true with the
// reason of the verdict.
func ready(conditions []metav1.Condition, v *decision.Verdict) metav1.Condition {
	for _, c := range conditions {
		if (c.Type == ConditionAbleToScale || c.Type == ConditionScalingActive) && c.Status == metav1.ConditionFalse {
			return condition(ConditionReady, false, c.Reason, c.Message)
		}
	}
	return condition(ConditionReady, true, v.Reason, "the last evaluation went through; lastDecision has its figures")
}

// changedOtherThanFigures reports whether a status says something new besides
// figures that move all the time and the times in its history.
func changedOtherThanFigures(a, b *v1alpha1.WorkloadAutoscalerStatus) bool {
	if a.ObservedGeneration != b.ObservedGeneration || a.CurrentReplicas != b.CurrentReplicas || a.DesiredReplicas != b.DesiredReplicas ||
		!a.LastScaleTime.Equal(b.LastScaleTime) || len(a.Metrics) != len(b.Metrics) || (a.LastDecision == nil) != (b.LastDecision == nil) {
		return true
	}
	if a.LastDecision != nil && !sameOutcome(*a.LastDecision, *b.LastDecision) {
		return true
	}
	for i := range a.Metrics {
		if a.Metrics[i].Name != b.Metrics[i].Name || a.Metrics[i].Reason != b.Metrics[i].Reason || (a.Metrics[i].Current == nil) != (b.Metrics[i].Current == nil) {
			return true
		}
	}
	return !slices.EqualFunc(a.Conditions, b.Conditions, func(x, y metav1.Condition) bool {
		return x.Type == y.Type && x.Status == y.Status && x.Reason == y.Reason && x.ObservedGeneration == y.ObservedGeneration
	})
}

// changedFigures reports whether the figures of the metrics or a message differ.
func changedFigures(a, b *v1alpha1.WorkloadAutoscalerStatus) bool {
	if !slices.EqualFunc(a.Conditions, b.Conditions, func(x, y metav1.Condition) bool { return x.Message == y.Message }) {
		return true
	}
	for i := range a.Metrics {
		if a.Metrics[i].Message != b.Metrics[i].Message || (a.Metrics[i].Proposal != nil && b.Metrics[i].Proposal != nil && *a.Metrics[i].Proposal != *b.Metrics[i].Proposal) {
			return true
		}
	}
	return false
}
