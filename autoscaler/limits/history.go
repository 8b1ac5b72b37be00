package limits

import (
	"slices"
	"time"
)

// History is what limiters remember. It is a value: methods return a new one and
// leave the arrays of the old one alone.
type History struct {
	// Recommendations are what was wanted, oldest first; no more than can still
	// matter, at most one entry for each number of replicas. (With
	// Rules.MemoryAsHPA neither holds.)
	Recommendations []Recommendation
	// Events are the changes made. Their order means nothing.
	Events []ScaleEvent
}

// Recommendation is what was wanted at one time, before any limit.
type Recommendation struct {
	Time     time.Time
	Replicas int32
}

// ScaleEvent is a change that was made.
type ScaleEvent struct {
	Time time.Time
	// Change is how many replicas were added; less than 0 if they were removed.
	Change int32
}

// Seed returns the history of a workload of which nothing is remembered: what it
// has now is what was wanted, so that a restart does not step down.
func Seed(now time.Time, current int32) History {
	return History{Recommendations: []Recommendation{{now, current}}}
}

// longestWindow is the longest stabilization window that the API allows. What is
// remembered reaches back so far whatever the rules say: they may change.
const longestWindow = time.Hour

// Recommended returns the history with the number that is wanted now, before any
// limit, and without what can no longer matter.
func (h History) Recommended(now time.Time, replicas int32, rules Rules) History {
	if rules.MemoryAsHPA {
		return h.recommendedAsHPA(Recommendation{now, replicas}, rules)
	}
	up, down := rules.windows()
	cutoff := now.Add(-max(longestWindow, up, down))
	kept := make([]Recommendation, 1, min(len(h.Recommendations)+1, 16))
	kept[0] = Recommendation{now, replicas}
	lowest, highest := replicas, replicas
	for _, r := range slices.Backward(h.Recommendations) {
		if r.Time.Before(cutoff) {
			break
		}
		// Another one just as low, or high, that is younger will do.
		if r.Replicas < lowest || r.Replicas > highest {
			kept = append(kept, r)
		}
		lowest, highest = min(lowest, r.Replicas), max(highest, r.Replicas)
	}
	slices.Reverse(kept)
	h.Recommendations = kept
	return h
}

// recommendedAsHPA puts the recommendation in the place of the last one that is too
// old for every window, if there is one.
func (h History) recommendedAsHPA(newest Recommendation, rules Rules) History {
	up, down := rules.windows()
	if rules.Behavior == nil {
		up = down
	}
	cutoff := newest.Time.Add(-max(up, down))
	kept := slices.Clone(h.Recommendations)
	for i, r := range slices.Backward(kept) {
		if r.Time.Before(cutoff) {
			kept[i], h.Recommendations = newest, kept
			return h
		}
	}
	h.Recommendations = append(kept, newest)
	return h
}

// windows are how far back recommendations matter for scaling out and in.
func (r Rules) windows() (up, down time.Duration) {
	if r.Behavior == nil {
		return 0, r.DownscaleStabilization
	}
	return r.Behavior.ScaleUp.Window, r.Behavior.ScaleDown.Window
}

// longestPeriod is the longest period of a rate that the API allows. Changes are
// remembered for so long, without behavior too: it may be put back.
const longestPeriod = 30 * time.Minute

// Scaled returns the history with the change made now, and without changes that no
// policy can look back to.
func (h History) Scaled(now time.Time, from, to int32, rules Rules) History {
	event := ScaleEvent{now, saturate(int64(to) - int64(from))}
	if rules.MemoryAsHPA {
		return h.scaledAsHPA(event, rules.Behavior)
	}
	longest := longestPeriod
	if b := rules.Behavior; b != nil {
		longest = max(longest, b.ScaleUp.longestPeriod(), b.ScaleDown.longestPeriod())
	}
	kept := make([]ScaleEvent, 0, len(h.Events)+1)
	for _, e := range h.Events {
		if e.Time.After(now.Add(-longest)) {
			kept = append(kept, e)
		}
	}
	if event.Change != 0 {
		kept = append(kept, event)
	}
	h.Events = kept
	return h
}

// scaledAsHPA puts the event in the place of the last one of its direction that
// the direction's own policies no longer look back to, if there is one.
func (h History) scaledAsHPA(event ScaleEvent, behavior *Behavior) History {
	if behavior == nil {
		return h
	}
	longest := behavior.ScaleDown.longestPeriod()
	if event.Change > 0 {
		longest = behavior.ScaleUp.longestPeriod()
	}
	cutoff := event.Time.Add(-longest)
	kept := slices.Clone(h.Events)
	for i, e := range slices.Backward(kept) {
		if (e.Change > 0) == (event.Change > 0) && e.Time.Before(cutoff) {
			kept[i], h.Events = event, kept
			return h
		}
	}
	h.Events = append(kept, event)
	return h
}

func (d Direction) longestPeriod() time.Duration {
	var longest time.Duration
	for _, p := range d.Policies {
		longest = max(longest, p.Period)
	}
	return longest
}

// change is how many replicas were added and removed since the time since.
func (h History) change(since time.Time) int64 {
	var sum int64
	for _, e := range h.Events {
		if e.Time.After(since) {
			sum += int64(e.Change)
		}
	}
	return sum
}
