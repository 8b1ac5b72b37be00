// Package target is the policy that keeps each metric at its target, with the
// algorithm of the HorizontalPodAutoscaler of Kubernetes 1.37: the number of
// replicas is proportional to how far a metric is from its target, pods without
// a sample and pods that are not ready are assumed to dampen the change, and of
// several metrics the largest proposal wins. README.md lists where it departs
// from the HorizontalPodAutoscaler on purpose.
//
// https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
package target

import (
	"fmt"
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the policy's name.
const Name = "Target"

// The reasons of decisions and proposals.
const (
	ReasonAbove      = "AboveTarget"     // a metric asks for more replicas
	ReasonBelow      = "BelowTarget"     // every metric asks for fewer
	ReasonWithin     = "WithinTolerance" // near enough to leave alone
	ReasonUnchanged  = "AtTarget"        // the proposal is what there is
	ReasonDampened   = "Dampened"        // pods without a sample, or not ready, could turn the direction around
	ReasonAllUnknown = "MetricsUnknown"  // no metric is known
	ReasonHeld       = "HeldByUnknown"   // the known metrics would scale in, but not all are known
)

// Config says how a pod's start is treated and how old a sample may be. All
// durations are 0 or more.
type Config struct {
	// CPUInitializationPeriod is how long after a pod's start its CPU samples
	// count only if they were taken entirely while it was ready.
	CPUInitializationPeriod time.Duration
	// InitialReadinessDelay is how long after a pod's start a change to not
	// ready still means that it has never been ready.
	InitialReadinessDelay time.Duration
	// MaxSampleAge is the age beyond which a sample counts as missing; 0 for
	// any age.
	MaxSampleAge time.Duration
}

// DefaultConfig has the defaults of the HorizontalPodAutoscaler, and lets
// samples be five minutes old.
func DefaultConfig() Config {
	return Config{
		CPUInitializationPeriod: 5 * time.Minute,
		InitialReadinessDelay:   30 * time.Second,
		MaxSampleAge:            5 * time.Minute,
	}
}

// Policy implements scaling.Policy.
type Policy struct {
	config Config
}

var _ scaling.Policy = (*Policy)(nil)

// New returns the policy.
func New(config Config) *Policy { return &Policy{config: config} }

// Name implements scaling.Policy.
func (p *Policy) Name() string { return Name }

// Decide implements scaling.Policy: the largest proposal wins, and nothing is
// scaled in unless every metric is known.
func (p *Policy) Decide(now time.Time, o scaling.Observation) scaling.Decision {
	proposals := make([]scaling.Proposal, len(o.Metrics))
	for i, m := range o.Metrics {
		proposals[i] = p.propose(now, o, m)
	}
	return combine(o.SpecReplicas, proposals)
}

// propose asks what one metric alone calls for.
func (p *Policy) propose(now time.Time, o scaling.Observation, m scaling.Metric) scaling.Proposal {
	proposal := func() scaling.Proposal {
		if m.Unknown.Set() {
			return scaling.Proposal{Unknown: m.Unknown}
		}
		if m.Target.Type == scaling.Utilization {
			return p.utilization(now, o, m)
		}
		if u := scaling.CheckValue(m.Value, m.At, now, p.config.MaxSampleAge); u.Set() {
			return scaling.Proposal{Unknown: u}
		}
		if m.Target.Type == scaling.AverageValue {
			return averageValue(o, m)
		}
		return value(o, m)
	}()
	proposal.Metric = m.Name
	return proposal
}

// combine picks the largest proposal; the first of equal ones.
func combine(specReplicas int32, proposals []scaling.Proposal) scaling.Decision {
	best, unknown := -1, -1
	for i, p := range proposals {
		switch {
		case p.Unknown.Set():
			if unknown < 0 {
				unknown = i
			}
		case best < 0 || p.Replicas > proposals[best].Replicas:
			best = i
		}
	}
	hold := scaling.Decision{Replicas: specReplicas, Proposals: proposals}
	if best < 0 {
		hold.Reason, hold.Message = ReasonAllUnknown, "no metric is known"
		if unknown >= 0 {
			hold.Message = fmt.Sprintf("no metric is known; %s: %s", proposals[unknown].Metric, proposals[unknown].Unknown.Message)
		}
		return hold
	}
	chosen := proposals[best]
	if unknown >= 0 && chosen.Replicas < specReplicas {
		hold.Reason = ReasonHeld
		hold.Message = fmt.Sprintf("%s asks for %d replicas, but %s is unknown: %s",
			chosen.Metric, chosen.Replicas, proposals[unknown].Metric, proposals[unknown].Unknown.Message)
		return hold
	}
	return scaling.Decision{
		Known: true, Replicas: chosen.Replicas, Metric: chosen.Metric,
		Reason: chosen.Reason, Message: chosen.Metric + ": " + chosen.Message, Proposals: proposals,
	}
}

// value scales the ready pods by the metric's ratio to its target.
func value(o scaling.Observation, m scaling.Metric) scaling.Proposal {
	p := scaling.Proposal{Current: m.Value, Replicas: o.SpecReplicas}
	ratio := m.Value / m.Target.Amount
	ready := countReady(o.Pods)
	switch {
	case ready == 0:
		return scaling.Proposal{Unknown: noReadyPods(len(o.Pods))}
	case o.Tolerance.Contains(ratio):
		p.Reason = ReasonWithin
	default:
		p.Replicas, p.Reason = follow(ratio, replicas(ratio*float64(ready)), o.SpecReplicas)
	}
	p.Message = fmt.Sprintf("%.4g of target %.4g with %d ready pods asks for %d replicas", m.Value, m.Target.Amount, ready, p.Replicas)
	return p
}

// averageValue divides the metric by the target. It needs no pods, but without
// a ready one a low metric may be just what their absence looks like.
func averageValue(o scaling.Observation, m scaling.Metric) scaling.Proposal {
	p := scaling.Proposal{Replicas: o.StatusReplicas, Reason: ReasonWithin, Current: m.Value}
	if o.StatusReplicas > 0 {
		p.Current = m.Value / float64(o.StatusReplicas)
	}
	ratio := m.Value / (m.Target.Amount * float64(o.StatusReplicas))
	if !o.Tolerance.Contains(ratio) {
		p.Replicas = replicas(m.Value / m.Target.Amount)
		p.Reason = direction(p.Replicas, o.SpecReplicas)
	}
	if p.Replicas < o.SpecReplicas && countReady(o.Pods) == 0 {
		return scaling.Proposal{Unknown: noReadyPods(len(o.Pods))}
	}
	p.Message = fmt.Sprintf("%.4g at target %.4g per replica with %d replicas asks for %d", m.Value, m.Target.Amount, o.StatusReplicas, p.Replicas)
	return p
}

func countReady(pods []scaling.Pod) int {
	n := 0
	for _, pod := range pods {
		if pod.Active() && pod.Phase == scaling.Running && pod.Ready {
			n++
		}
	}
	return n
}

func noReadyPods(pods int) scaling.Unknown {
	if pods == 0 {
		return scaling.Unknown{Reason: scaling.ReasonNoPods, Message: "the workload has no pods"}
	}
	return scaling.Unknown{Reason: scaling.ReasonNoReadyPod, Message: fmt.Sprintf("none of %d pods is ready", pods)}
}

// follow goes from have to want, unless that is against the ratio: with fewer
// or more pods than the workload asks for, as in a rollout, the proportion may
// come out on the wrong side.
func follow(ratio float64, want, have int32) (int32, string) {
	if (ratio > 1 && want < have) || (ratio < 1 && want > have) {
		return have, ReasonDampened
	}
	return want, direction(want, have)
}

// direction names the way from have to want.
func direction(want, have int32) string {
	switch {
	case want > have:
		return ReasonAbove
	case want < have:
		return ReasonBelow
	}
	return ReasonUnchanged
}

// replicas rounds up and stays within 0 and the largest int32. No caller has
// NaN, which would become 0.
func replicas(f float64) int32 {
	f = math.Ceil(f)
	switch {
	case f >= math.MaxInt32:
		return math.MaxInt32
	case f > 0:
		return int32(f)
	}
	return 0
}
