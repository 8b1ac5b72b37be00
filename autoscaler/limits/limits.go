// Package limits applies to a wanted number of replicas what holds whatever the
// policy: the stabilization windows, the scale-up limit and the bounds, in the
// order of the HorizontalPodAutoscaler. It is pure: its memory is a value that
// comes in and goes out.
package limits

import (
	"slices"
	"time"
)

// Rules are the limits of one workload.
type Rules struct {
	// MinReplicas and MaxReplicas bound the outcome, 0 <= min <= max.
	MinReplicas, MaxReplicas int32
	// ScaleUpWindow is how long a higher number must have been wanted before it
	// is followed; 0 for at once.
	ScaleUpWindow time.Duration
	// ScaleDownWindow is how long a lower number must have been wanted before it
	// is followed; 0 for at once.
	ScaleDownWindow time.Duration
}

// Recommendation is what was wanted at one time, before any limit.
type Recommendation struct {
	Time     time.Time
	Replicas int32
}

// History is what was wanted so far, oldest first. It holds no more than can
// still matter: at most one entry for each number of replicas.
type History []Recommendation

// The constraints that change a number, and the reasons why none does; the names
// are those of the HorizontalPodAutoscaler's conditions.
const (
	ScaleUpStabilized   = "ScaleUpStabilized"   // a lower number was wanted in the window
	ScaleDownStabilized = "ScaleDownStabilized" // a higher number was wanted in the window
	ScaleUpLimit        = "ScaleUpLimit"        // at most doubled, or up to 4, at once
	TooManyReplicas     = "TooManyReplicas"     // the maximum
	TooFewReplicas      = "TooFewReplicas"      // the minimum
)

// An evaluation at most multiplies the replicas by scaleUpFactor, or goes to
// scaleUpLeast if that is more.
const (
	scaleUpFactor = 2
	scaleUpLeast  = 4
)

// Outcome is a number of replicas on its way through the limits.
type Outcome struct {
	Raw        int32 // as wanted
	Stabilized int32 // after the windows
	Limited    int32 // after the scale-up limit and the bounds
	// Constraints are those that changed the number, in the order they did.
	Constraints []string
}

// Apply limits the number of replicas raw, wanted at the time now by a workload
// that has current. It returns the history to hand in next time; the one it was
// given is not modified.
func Apply(now time.Time, current, raw int32, rules Rules, history History) (Outcome, History) {
	out := Outcome{Raw: raw}
	out.Stabilized = stabilize(now, current, raw, rules, history)
	switch {
	case out.Stabilized == raw:
	case raw >= current:
		out.Constraints = append(out.Constraints, ScaleUpStabilized)
	default:
		out.Constraints = append(out.Constraints, ScaleDownStabilized)
	}
	limited, constraint := bound(current, out.Stabilized, rules)
	if constraint != "" {
		out.Constraints = append(out.Constraints, constraint)
	}
	out.Limited = limited
	longest := max(rules.ScaleUpWindow, rules.ScaleDownWindow)
	return out, history.add(Recommendation{now, raw}, longest)
}

// Seed returns a history for a workload of which nothing is remembered. The
// last outcome known of it has been the same since the time at: raw was wanted
// and stabilized came out of the windows. If they differ, stabilized was last
// wanted no later than at, and the window goes on from there. If not, or if
// nothing is known (a zero time), what the workload has now, or had then, may
// have been wanted until just now, and the window begins anew.
func Seed(now time.Time, current int32, at time.Time, raw, stabilized int32) History {
	switch {
	case at.IsZero():
		return History{{now, current}}
	case raw == stabilized:
		return History{{now, current}}.add(Recommendation{now, stabilized}, 0)
	case at.After(now):
		at = now
	}
	return History{{at, stabilized}, {at, raw}}
}

// stabilize moves current no further than every recommendation in the windows
// allows: up to the lowest of the scale-up window, down to the highest of the
// scale-down window.
func stabilize(now time.Time, current, raw int32, rules Rules, history History) int32 {
	lowest, highest := raw, raw
	for _, r := range history {
		if r.Time.After(now.Add(-rules.ScaleUpWindow)) {
			lowest = min(lowest, r.Replicas)
		}
		if r.Time.After(now.Add(-rules.ScaleDownWindow)) {
			highest = max(highest, r.Replicas)
		}
	}
	return min(max(current, lowest), highest)
}

// bound applies the scale-up limit and the bounds; of the two upper limits the
// lower one holds and gives the reason.
func bound(current, replicas int32, rules Rules) (int32, string) {
	upper, reason := rules.MaxReplicas, TooManyReplicas
	if limit := scaleUpLimit(current); limit < upper {
		upper, reason = limit, ScaleUpLimit
	}
	switch {
	case replicas < rules.MinReplicas:
		return rules.MinReplicas, TooFewReplicas
	case replicas > upper:
		return max(upper, rules.MinReplicas), reason
	}
	return replicas, ""
}

func scaleUpLimit(current int32) int32 {
	limit := max(scaleUpFactor*int64(current), scaleUpLeast)
	return int32(min(limit, 1<<31-1))
}

// add appends a recommendation and drops what can no longer matter: what is
// older than the longest window, and what a later recommendation equals or
// exceeds while another later one equals or undercuts it, since then it is
// neither the highest nor the lowest of any window that ends now or later.
func (h History) add(newest Recommendation, longest time.Duration) History {
	kept := History{newest}
	highest, lowest := newest.Replicas, newest.Replicas
	for _, r := range slices.Backward(h) {
		if r.Time.Before(newest.Time.Add(-longest)) {
			break
		}
		if r.Replicas > highest || r.Replicas < lowest {
			kept = append(kept, r)
		}
		highest, lowest = max(highest, r.Replicas), min(lowest, r.Replicas)
	}
	slices.Reverse(kept)
	return kept
}
