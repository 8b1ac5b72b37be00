package target

import (
	"fmt"
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The reasons of decisions and proposals.
const (
	ReasonAbove      = "AboveTarget"     // a metric asks for more replicas
	ReasonBelow      = "BelowTarget"     // every metric asks for fewer
	ReasonWithin     = "WithinTolerance" // near enough to leave alone
	ReasonUnchanged  = "AtTarget"        // the proposal is what there is
	ReasonDampened   = "Dampened"        // pods without a sample, or not ready, could turn the direction around
	ReasonInactive   = "NotActivated"    // the value does not exceed its activation
	ReasonAllUnknown = "MetricsUnknown"  // no metric is known
	ReasonHeld       = "HeldByUnknown"   // the known metrics would scale in, but not all are known
)

// Decide asks each metric what it alone calls for under the rule. The largest
// proposal wins, and nothing is scaled in unless every metric that is not optional
// is known.
func (c Config) Decide(now time.Time, o scaling.Observation, rule Rule) scaling.Decision {
	proposals := make([]scaling.Proposal, len(o.Metrics))
	for i := range o.Metrics {
		m := &o.Metrics[i]
		proposals[i] = c.propose(now, &o, m, rule)
		proposals[i].Metric, proposals[i].Optional = m.Name, m.Optional
	}
	return combine(o.SpecReplicas, proposals)
}

// propose is what one metric alone calls for.
func (c Config) propose(now time.Time, o *scaling.Observation, m *scaling.Metric, rule Rule) scaling.Proposal {
	if m.Unknown.Set() {
		return scaling.Proposal{Unknown: m.Unknown}
	}
	if m.PerPod || m.Target.Type == scaling.Utilization {
		return c.perPod(now, o, m, rule)
	}
	if u := c.checkValue(now, m); u.Set() {
		return scaling.Proposal{Unknown: u}
	}
	var p scaling.Proposal
	ready := c.countReady(o.Pods)
	if m.Target.Type == scaling.AverageValue {
		p = c.averageValue(o, m, rule)
	} else {
		p = c.value(o, m, rule, ready)
	}
	if !p.Unknown.Set() && o.MinReplicas == 0 {
		p = activate(p, m)
	}
	if c.Differences.NoReadyPodsHold && ready == 0 && !p.Unknown.Set() && p.Replicas < o.SpecReplicas {
		return scaling.Proposal{Unknown: noReadyPods(len(o.Pods))}
	}
	return p
}

// checkValue says why the metric's value is no measurement.
func (c Config) checkValue(now time.Time, m *scaling.Metric) scaling.Unknown {
	v := m.Value
	if !c.Differences.BadValuesUnknown {
		v = math.Abs(v)
	}
	return scaling.CheckValue(v, m.At, now, c.maxSampleAge())
}

// activate applies the metric's activation: up to it no replica is wanted, beyond
// it at least one.
func activate(p scaling.Proposal, m *scaling.Metric) scaling.Proposal {
	switch {
	case m.Activation < 0:
	case m.Value <= m.Activation:
		p.Replicas, p.Reason = 0, ReasonInactive
		p.Message = string(newLine().figure(m.Value).words(" does not exceed the activation of ").figure(m.Activation))
	case p.Replicas < 1:
		p.Replicas = 1
	}
	return p
}

// combine picks the largest proposal; the first of equal ones.
func combine(specReplicas int32, proposals []scaling.Proposal) scaling.Decision {
	best, unknown, blocking := -1, -1, -1
	for i := range proposals {
		p := &proposals[i]
		switch {
		case !p.Unknown.Set():
			if best < 0 || p.Replicas > proposals[best].Replicas {
				best = i
			}
			continue
		case unknown < 0:
			unknown = i
		}
		if !p.Optional && blocking < 0 {
			blocking = i
		}
	}
	hold := scaling.Decision{Replicas: specReplicas, Proposals: proposals}
	if best < 0 {
		hold.Reason, hold.Message = ReasonAllUnknown, "no metric is known"
		if unknown >= 0 {
			hold.Message = "no metric is known; " + proposals[unknown].Metric + ": " + proposals[unknown].Unknown.Message
		}
		return hold
	}
	chosen := &proposals[best]
	if blocking >= 0 && chosen.Replicas < specReplicas {
		hold.Reason = ReasonHeld
		hold.Message = fmt.Sprintf("%s asks for %d replicas, but %s is unknown: %s",
			chosen.Metric, chosen.Replicas, proposals[blocking].Metric, proposals[blocking].Unknown.Message)
		return hold
	}
	return scaling.Decision{
		Known: true, Replicas: chosen.Replicas, Metric: chosen.Metric,
		Reason: chosen.Reason, Message: chosen.Metric + ": " + chosen.Message, Proposals: proposals,
	}
}

// follow is where a metric at ratio times its target moves the workload from have
// by the rule.
func (c Config) follow(rule Rule, ratio, loaded float64, have int32) (int32, string) {
	side := rule.Side(ratio)
	return follow(side, replicas(rule.Replicas(side, loaded)), have, c.Differences.DirectionKept)
}

// follow goes from have to want, or, if the direction is to be kept, not against
// the side. With fewer or more pods than the workload asks for, as in a rollout, the
// proportion may come out on the wrong side.
func follow(side int, want, have int32, keepDirection bool) (int32, string) {
	switch {
	case keepDirection && (side > 0 && want < have || side < 0 && want > have):
		return have, ReasonDampened
	case want > have:
		return want, ReasonAbove
	case want < have:
		return want, ReasonBelow
	}
	return want, ReasonUnchanged
}

// replicas stays within 0 and the largest int32. NaN is 0; no caller has it.
func replicas(f float64) int32 {
	switch {
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f > 0:
		return int32(f)
	}
	return 0
}
