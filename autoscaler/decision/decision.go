// Package decision is one evaluation of one workload from its observation to
// the number of replicas to set: the policy's answer, then the limits, in the
// order of the HorizontalPodAutoscaler. The controller, tests and simulations
// all run this function. It is pure.
package decision

import (
	"fmt"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The reasons of verdicts that no policy was asked for.
const (
	ReasonDisabled = "ScalingDisabled" // the workload was set to 0 replicas by hand
	ReasonAboveMax = limits.TooManyReplicas
	ReasonBelowMin = limits.TooFewReplicas
)

// Verdict is the outcome of one evaluation.
type Verdict struct {
	limits.Outcome
	// Decision is the policy's; its zero value if the policy was not asked.
	Decision scaling.Decision
	// Asked says that the policy was asked.
	Asked bool
	// Reason is one CamelCase word: the last constraint that changed the
	// number, else the policy's reason, else one of the Reason constants.
	Reason string
	// Message says the reason with figures, for a person.
	Message string
}

// NeedsMetrics reports whether the verdict depends on metrics, so that they
// have to be read: it does not for a workload outside of its bounds or at 0.
func NeedsMetrics(specReplicas int32, rules limits.Rules) bool {
	return specReplicas > 0 && rules.MinReplicas <= specReplicas && specReplicas <= rules.MaxReplicas
}

// Make evaluates a workload at the time now. It returns the history to hand in
// next time; the one it was given is not modified.
func Make(now time.Time, policy scaling.Policy, o scaling.Observation, rules limits.Rules, history limits.History) (Verdict, limits.History) {
	if !NeedsMetrics(o.SpecReplicas, rules) {
		return outside(o.SpecReplicas, rules), history
	}
	d := policy.Decide(now, o)
	v := Verdict{Decision: d, Asked: true, Reason: d.Reason, Message: d.Message}
	if !d.Known {
		v.Outcome = unchanged(o.SpecReplicas)
		return v, history
	}
	v.Outcome, history = limits.Apply(now, o.SpecReplicas, d.Replicas, rules, history)
	if len(v.Constraints) > 0 {
		v.Reason = v.Constraints[len(v.Constraints)-1]
	}
	return v, history
}

// outside is the verdict on a workload at 0 or outside of its bounds: neither
// metrics nor windows have a say in it.
func outside(replicas int32, rules limits.Rules) Verdict {
	v := Verdict{Outcome: unchanged(replicas)}
	switch {
	case replicas == 0:
		v.Reason = ReasonDisabled
		v.Message = "the workload was set to 0 replicas; set it to 1 or more to have it scaled again"
	case replicas > rules.MaxReplicas:
		v.Limited, v.Reason = rules.MaxReplicas, ReasonAboveMax
		v.Message = fmt.Sprintf("%d replicas are more than the maximum of %d", replicas, rules.MaxReplicas)
		v.Constraints = []string{v.Reason}
	default:
		v.Limited, v.Reason = rules.MinReplicas, ReasonBelowMin
		v.Message = fmt.Sprintf("%d replicas are fewer than the minimum of %d", replicas, rules.MinReplicas)
		v.Constraints = []string{v.Reason}
	}
	return v
}

func unchanged(replicas int32) limits.Outcome {
	return limits.Outcome{Raw: replicas, Stabilized: replicas, Limited: replicas}
}
