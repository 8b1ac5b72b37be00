package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// memory is what decisions on an object depend on besides the present.
type memory struct {
	history      limits.History
	remembered   bool // history is worth something
	scaledToZero bool
	unknownSince time.Time
	past         []scaling.Moment
}

// recall makes the memory of an object that this process has not evaluated yet
// from its status. What was wanted last has been wanted until now, for a change
// would have been written.
func recall(now time.Time, wa *v1alpha1.WorkloadAutoscaler) memory {
	s := wa.Status
	m := memory{scaledToZero: meta.IsStatusConditionTrue(s.Conditions, ConditionScaledToZero)}
	if active := meta.FindStatusCondition(s.Conditions, ConditionScalingActive); active != nil &&
		active.Status == metav1.ConditionFalse && strings.HasPrefix(active.Reason, failedGet) {
		m.unknownSince = active.LastTransitionTime.Time
	}
	if s.History == nil || s.LastDecision == nil {
		return m
	}
	m.remembered = true
	for _, r := range s.History.Recommendations {
		m.history.Recommendations = append(m.history.Recommendations, limits.Recommendation{Time: notAfter(now, r.Time.Time), Replicas: r.Replicas})
	}
	for _, e := range s.History.ScaleEvents {
		m.history.Events = append(m.history.Events, limits.ScaleEvent{Time: notAfter(now, e.Time.Time), Change: e.Change})
	}
	m.history.Recommendations = append(m.history.Recommendations, limits.Recommendation{Time: now, Replicas: s.LastDecision.Raw})
	return m
}

// notAfter keeps another machine's clock from holding a window open for long.
func notAfter(now, t time.Time) time.Time {
	if t.After(now) {
		return now
	}
	return t
}

// historyFor is the history, or, if nothing is remembered, one that keeps the
// present number for a whole window, as the HorizontalPodAutoscaler does.
func (m *memory) historyFor(now time.Time, current int32) limits.History {
	if !m.remembered {
		m.history, m.remembered = limits.Seed(now, current), true
	}
	return m.history
}

// remember adds an observation to the past that the policy asks for.
func (m *memory) remember(now time.Time, policy scaling.Policy, replicas int32, d scaling.Decision) {
	r, asks := policy.(scaling.Rememberer)
	if !asks {
		m.past = nil
		return
	}
	values := make([]float64, len(d.Proposals))
	for i, p := range d.Proposals {
		if values[i] = p.Current; p.Unknown.Set() {
			values[i] = math.NaN()
		}
	}
	m.past = append(m.past, scaling.Moment{Time: now, SpecReplicas: replicas, Values: values})
	oldest := 0
	for oldest < len(m.past) && now.Sub(m.past[oldest].Time) > r.Memory() {
		oldest++
	}
	m.past = m.past[oldest:]
}

// finish decides, sets the replicas and reports.
func (c *Controller) finish(ctx context.Context, e *evaluation) {
	if e.problem == (problem{}) {
		c.decide(ctx, e)
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		return // stopping: what failed says nothing of the object
	}
	before := e.obj.status
	e.obj.status = statusAfter(before, e)
	if c.Events != nil {
		for _, ev := range eventsOf(before.Conditions, e) {
			c.Events.Eventf(e.wa, nil, ev.typ, ev.reason, ev.action, "%s", shortened(ev.note))
		}
	}
	if c.Statuses != nil {
		c.writes.offer(e.key, e.wa, e.obj.status, e.rescaled())
	}
	if c.Observe != nil {
		c.Observe(e.key, e.obj.status)
	}
	c.Metrics.observe(e, c.Now().Sub(e.now))
}

// decide has package decision decide, and the actuator do it.
func (c *Controller) decide(ctx context.Context, e *evaluation) {
	spec := e.obj.compiled
	if spec.spec.Mode == v1alpha1.ModePaused {
		e.standstill = problem{ConditionPaused, ReasonPaused, "the mode is Paused"}
		return
	}
	e.input.Observation.Pods = observed(e.pods)
	e.input.Observation.Metrics = e.metrics
	e.input.Observation.Past = e.obj.past
	var history limits.History
	if err := guarded(func() {
		e.verdict, history = decision.Make(e.now, e.input)
		e.obj.remember(e.now, spec.policy, e.current(), e.verdict.Decision)
	}); err != nil {
		klog.FromContext(ctx).Error(err, "The policy failed", "object", e.key, "policy", spec.policy.Name())
		e.problem = problem{ConditionScalingActive, ReasonPolicyFailed, fmt.Sprintf("policy %s: %v", spec.policy.Name(), err)}
		return
	}
	e.obj.history, e.obj.unknownSince = history, e.verdict.UnknownSince
	if e.standstill = c.standstill(e); e.standstill != (problem{}) || e.verdict.Limited == e.current() {
		return
	}
	if e.writeError = c.scale(ctx, e); e.writeError != nil {
		return
	}
	e.applied = e.verdict.Limited
	e.obj.history = e.obj.history.Scaled(e.now, e.current(), e.applied, spec.rules)
	e.obj.scaledToZero = e.applied == 0 && spec.canLeaveZero
}

func (c *Controller) scale(ctx context.Context, e *evaluation) (err error) {
	if panicked := guarded(func() { err = c.Actuator.Scale(ctx, e.workload, e.verdict.Limited) }); panicked != nil {
		return panicked
	}
	return err
}

// standstill is why an object must not set replicas.
func (c *Controller) standstill(e *evaluation) problem {
	spec := e.obj.compiled
	if others := c.Rivals.Others(spec.target, own(e.key.Name)); len(others) > 0 {
		names := make([]string, len(others))
		for i, o := range others {
			names[i] = o.String()
		}
		return problem{ConditionScalingActive, ReasonAmbiguousTarget, fmt.Sprintf(
			"%s %s is also scaled by %s; nothing is done until only one is left", spec.target.Kind.Kind, spec.target.Name.Name, strings.Join(names, ", "))}
	}
	if spec.spec.Mode == v1alpha1.ModeRecommend || c.DryRun {
		return problem{ConditionPaused, ReasonRecommendOnly, "recommendations are in the status, nothing is done about them"}
	}
	return problem{}
}

// Kind is the kind of the objects.
const Kind = "WorkloadAutoscaler"

func own(name string) rivals.Claim { return rivals.Claim{Kind: Kind, Name: name} }

// ClaimOf is the claim of an object to its workload; none if it never sets
// replicas.
func ClaimOf(wa *v1alpha1.WorkloadAutoscaler) (key workloads.Key, claim rivals.Claim, claims bool) {
	return workloads.KeyOf(wa.Namespace, wa.Spec.ScaleTargetRef), own(wa.Name), wa.Spec.Mode == "" || wa.Spec.Mode == v1alpha1.ModeAuto
}
