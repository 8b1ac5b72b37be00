package limits

import (
	"math"
	"time"
)

// Without behavior the replicas may at once be multiplied by scaleUpFactor, or go
// to scaleUpLeast if that is more.
const (
	scaleUpFactor = 2
	scaleUpLeast  = 4
)

// Rate holds the number within what the policies allow in their periods. Where the
// bounds of the moment are as near or nearer, it leaves the number to them.
type Rate struct{}

var _ Limiter = Rate{}

// Name implements Limiter.
func (Rate) Name() string { return "Rate" }

// Limit implements Limiter.
func (Rate) Limit(now time.Time, rules Rules, h History, s State) State {
	switch {
	case rules.Behavior == nil:
		if upper := saturate(max(scaleUpFactor*int64(s.Current), scaleUpLeast)); upper < s.Max {
			return s.limit(min(s.Replicas, upper), ScaleUpLimit)
		}
	case s.Replicas > s.Current:
		if upper := max(s.Current, rules.Behavior.ScaleUp.upper(now, s.Current, h)); upper < s.Max {
			return s.limit(min(s.Replicas, upper), ScaleUpLimit)
		}
	case s.Replicas < s.Current:
		if lower := min(s.Current, rules.Behavior.ScaleDown.lower(now, s.Current, h)); lower > s.Min {
			return s.limit(max(s.Replicas, lower), ScaleDownLimit)
		}
	}
	return s
}

// upper is the highest number that the policies of scaling out allow.
func (d Direction) upper(now time.Time, current int32, h History) int32 {
	return d.bound(now, current, h, 1)
}

// lower is the lowest number that the policies of scaling in allow.
func (d Direction) lower(now time.Time, current int32, h History) int32 {
	return d.bound(now, current, h, -1)
}

// bound is the farthest number that the policies allow in a direction, 1 for out
// and -1 for in: each from what there was at the start of its period.
func (d Direction) bound(now time.Time, current int32, h History, direction int64) int32 {
	if d.Select == Disabled {
		return current
	}
	var bound int64
	for i, p := range d.Policies {
		allowed := p.from(int64(current)-h.change(now.Add(-p.Period)), direction)
		farther := allowed*direction > bound*direction
		if i == 0 || farther == (d.Select != SelectMin) {
			bound = allowed
		}
	}
	if len(d.Policies) == 0 {
		return current
	}
	return saturate(bound)
}

// from is the farthest number that the policy allows to go to from start. In percent
// it rounds up when scaling out, so that it is never stuck, and towards 0 when
// scaling in.
func (p Policy) from(start, direction int64) int64 {
	if p.Type == Pods {
		return start + direction*int64(p.Value)
	}
	share := float64(p.Value) / 100
	if direction > 0 {
		return int64(math.Ceil(float64(start) * (1 + share)))
	}
	return int64(float64(start) * (1 - share))
}
