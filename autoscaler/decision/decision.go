// Package decision is one evaluation of one workload from its observation to
// the number of replicas to set: the policy's answer, then the limiters, in the
// order of the HorizontalPodAutoscaler. The controller, shadow mode, tests and
// simulations all run this function. It is pure.
package decision

import (
	"fmt"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// The reasons of verdicts that no policy was asked for, or that do not follow
// its answer.
const (
	ReasonDisabled = "ScalingDisabled" // the workload was set to 0 replicas by hand
	ReasonFallback = "Fallback"        // the metrics have been unknown for too long
	ReasonAboveMax = limits.TooManyReplicas
	ReasonBelowMin = limits.TooFewReplicas
)

// Input is everything an evaluation depends on besides the time.
type Input struct {
	// Policy decides, and Limiters, in their order, limit what it decides.
	Policy   scaling.Policy
	Limiters []limits.Limiter
	Rules    limits.Rules
	// Observation is what the policy is told; its bounds are filled in here.
	Observation scaling.Observation
	// History is what was wanted and done before.
	History limits.History
	// ScaledToZero says that it was autoscaling that set the workload to 0.
	ScaledToZero bool
	// CanLeaveZero says that a metric, or the policy, has something to say about a
	// workload without pods.
	CanLeaveZero bool
	// Fallback says what to do when nothing is known for a while; nil to hold.
	Fallback *Fallback
	// UnknownSince is since when nothing has been known; zero if the last
	// evaluation could decide.
	UnknownSince time.Time
}

// Fallback says what to do when nothing is known for a while.
type Fallback struct {
	// After is how long nothing must have been known, 0 or more.
	After time.Duration
	// Replicas to go to unless there are more; 0 to hold.
	Replicas int32
}

// Verdict is the outcome of one evaluation.
type Verdict struct {
	// Raw is what was wanted, Stabilized what is left of it after the
	// stabilization windows, Limited the number to set.
	Raw, Stabilized, Limited int32
	// Min and Max are the bounds of the moment.
	Min, Max int32
	// Constraints are those that changed the number, in the order they did.
	Constraints []string
	// Schedules are the names of those that hold a bound at the moment.
	Schedules []string
	// Decision is the policy's; its zero value if the policy was not asked.
	Decision scaling.Decision
	// Asked says that the policy was asked.
	Asked bool
	// FellBack says that the number is the fallback's.
	FellBack bool
	// UnknownSince is to be handed in next time.
	UnknownSince time.Time
	// Reason is one CamelCase word: the last constraint that changed the
	// number, else the policy's reason, else one of the Reason constants.
	Reason string
	// Message says the reason with figures, for a person.
	Message string
}

// NeedsMetrics reports whether the verdict depends on metrics, so that they
// have to be read: it does not for a workload outside of its bounds, or at 0 by
// somebody else's hand.
func NeedsMetrics(now time.Time, in Input) bool {
	least, most, _ := in.Rules.At(now)
	return needsMetrics(in, least, most)
}

func needsMetrics(in Input, least, most int32) bool {
	replicas := in.Observation.SpecReplicas
	if replicas == 0 {
		return in.ScaledToZero && (in.CanLeaveZero || least > 0)
	}
	return least <= replicas && replicas <= most
}

// Make evaluates a workload at the time now. It returns the history to hand in
// next time; the one it was given is not modified. Whoever applies the verdict
// adds the change with History.Scaled.
func Make(now time.Time, in Input) (Verdict, limits.History) {
	least, most, schedules := in.Rules.At(now)
	v := Verdict{Min: least, Max: most, Schedules: schedules}
	replicas := in.Observation.SpecReplicas
	if !needsMetrics(in, least, most) {
		outside(&v, replicas)
		return v, in.History
	}
	in.Observation.MinReplicas, in.Observation.MaxReplicas = least, most
	v.Asked, v.Decision = true, in.Policy.Decide(now, in.Observation)
	if !v.Decision.Known {
		unknown(&v, now, in)
		if v.FellBack && in.Fallback.Replicas > 0 { // what is wanted meanwhile, so that coming back is as slow as any scaling in
			return v, in.History.Recommended(now, in.Fallback.Replicas, in.Rules)
		}
		return v, in.History
	}
	limit(&v, now, in)
	return v, in.History.Recommended(now, v.Raw, in.Rules)
}

// outside is the verdict on a workload at 0 or outside of its bounds: neither
// metrics nor windows have a say in it.
func outside(v *Verdict, replicas int32) {
	v.hold(replicas)
	switch {
	case replicas == 0:
		v.Reason = ReasonDisabled
		v.Message = "the workload was set to 0 replicas; set it to 1 or more to have it scaled again"
	case replicas > v.Max:
		v.Limited, v.Reason = v.Max, ReasonAboveMax
		v.Message = fmt.Sprintf("%d replicas are more than the maximum of %d", replicas, v.Max)
		v.Constraints = []string{v.Reason}
	default:
		v.Limited, v.Reason = v.Min, ReasonBelowMin
		v.Message = fmt.Sprintf("%d replicas are fewer than the minimum of %d", replicas, v.Min)
		v.Constraints = []string{v.Reason}
	}
}

func (v *Verdict) hold(replicas int32) { v.Raw, v.Stabilized, v.Limited = replicas, replicas, replicas }

// unknown holds the replicas there are, or goes up to the fallback's or, from 0, to
// the minimum.
func unknown(v *Verdict, now time.Time, in Input) {
	replicas := in.Observation.SpecReplicas
	v.hold(replicas)
	v.Reason, v.Message = v.Decision.Reason, v.Decision.Message
	if v.UnknownSince = in.UnknownSince; v.UnknownSince.IsZero() || v.UnknownSince.After(now) {
		v.UnknownSince = now
	}
	if f := in.Fallback; f != nil && now.Sub(v.UnknownSince) >= f.After {
		v.fallBack(now, f.Replicas, replicas)
	}
	// A minimum holds without metrics at 0, too, once it is autoscaling's 0.
	if replicas == 0 && v.Limited < v.Min {
		v.Limited, v.Reason = v.Min, ReasonBelowMin
		v.Constraints = append(v.Constraints, v.Reason)
	}
}

func (v *Verdict) fallBack(now time.Time, wanted, replicas int32) {
	v.FellBack = true
	v.Reason = ReasonFallback
	if within := min(wanted, v.Max); within > replicas {
		v.Raw, v.Stabilized, v.Limited = wanted, wanted, within
		if within < wanted {
			v.Constraints = []string{limits.TooManyReplicas}
		}
	}
	v.Message = fmt.Sprintf("nothing has been known for %s, at %d replicas: %s", now.Sub(v.UnknownSince).Round(time.Second), v.Limited, v.Decision.Message)
}

// limit has the limiters narrow what the policy wants.
func limit(v *Verdict, now time.Time, in Input) {
	current := in.Observation.SpecReplicas
	s := limits.State{Current: current, Raw: v.Decision.Replicas, Replicas: v.Decision.Replicas, Min: v.Min, Max: v.Max}
	v.Raw, v.Stabilized = s.Raw, s.Raw
	for _, l := range in.Limiters {
		s = l.Limit(now, in.Rules, in.History, s)
		if l.Name() == (limits.Stabilization{}).Name() {
			v.Stabilized = s.Replicas
		}
	}
	// What set the workload to 0 may have let the minimum through since then.
	if current == 0 && s.Replicas < v.Min {
		s.Replicas = v.Min
		s.Constraints = append(s.Constraints, limits.TooFewReplicas)
	}
	v.Limited, v.Constraints = s.Replicas, s.Constraints
	v.Reason, v.Message = v.Decision.Reason, v.Decision.Message
	if len(v.Constraints) > 0 {
		v.Reason = v.Constraints[len(v.Constraints)-1]
	}
}
