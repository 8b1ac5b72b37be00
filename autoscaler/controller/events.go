package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
)

// The reasons of events, besides those shared with conditions; the names are
// the HorizontalPodAutoscaler's.
const (
	EventSuccessfulRescale            = "SuccessfulRescale"
	EventFailedRescale                = "FailedRescale"
	EventFailedComputeMetricsReplicas = "FailedComputeMetricsReplicas"
)

// The actions of events: what was being done.
const (
	actionValidate = "Validate"
	actionGetScale = "GetScale"
	actionCompute  = "ComputeReplicas"
	actionRescale  = "Rescale"
)

// event is one event about an object.
type event struct {
	typ, reason, action, note string
}

// maxNote is the longest note, in bytes, that the API takes.
const maxNote = 1024

func shortened(note string) string {
	if len(note) <= maxNote {
		return note
	}
	const ellipsis = "..."
	return strings.ToValidUTF8(note[:maxNote-len(ellipsis)], "") + ellipsis
}

// eventsOf are the events an evaluation gives rise to: every change of replicas
// and every failed one, and anything else that went wrong when it begins, not
// again every period. It is pure.
func eventsOf(before []metav1.Condition, e *evaluation) []event {
	begins := func(condition, reason string) bool {
		c := meta.FindStatusCondition(before, condition)
		return c == nil || c.Reason != reason
	}
	out := metricEvents(begins, e)
	v := &e.verdict
	switch p := e.problem; {
	case p.reason != "":
		if begins(ConditionReady, p.reason) {
			out = append(out, event{corev1.EventTypeWarning, p.reason, actionOf(p), p.message})
		}
	case e.writeError != nil:
		out = append(out, event{
			corev1.EventTypeWarning, EventFailedRescale, actionRescale,
			fmt.Sprintf("New size: %d (was %d); reason: %s; error: %v", v.Limited, e.current(), v.Message, e.writeError),
		})
	case e.rescaled():
		out = append(out, event{
			corev1.EventTypeNormal, EventSuccessfulRescale, actionRescale,
			fmt.Sprintf("New size: %d (was %d); reason: %s", e.applied, e.current(), v.Message),
		})
	case e.standstill.condition == ConditionScalingActive:
		if begins(ConditionScalingActive, e.standstill.reason) {
			out = append(out, event{corev1.EventTypeWarning, e.standstill.reason, actionCompute, e.standstill.message})
		}
	case v.Asked && !v.Decision.Known:
		active := meta.FindStatusCondition(before, ConditionScalingActive)
		if active == nil || active.Status == metav1.ConditionTrue {
			out = append(out, event{corev1.EventTypeWarning, EventFailedComputeMetricsReplicas, actionCompute, v.Message})
		}
	}
	return out
}

// metricEvents tell when a metric becomes unknown, though others may decide
// without it, and when the fallback begins.
func metricEvents(begins func(condition, reason string) bool, e *evaluation) []event {
	now := degraded(e)
	if e.problem.reason != "" || now.Status != metav1.ConditionTrue || !begins(ConditionDegraded, now.Reason) {
		return nil
	}
	if now.Reason == decision.ReasonFallback || strings.HasPrefix(now.Reason, failedGet) {
		return []event{{corev1.EventTypeWarning, now.Reason, actionCompute, now.Message}}
	}
	return nil
}

func actionOf(p problem) string {
	switch p.condition {
	case ConditionReady:
		return actionValidate
	case ConditionAbleToScale:
		return actionGetScale
	}
	return actionCompute
}
