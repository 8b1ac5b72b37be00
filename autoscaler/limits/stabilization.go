package limits

import "time"

// Stabilization follows a number only as far as all that was wanted in the windows
// allows: out to the lowest of the one window, in to the highest of the other.
type Stabilization struct{}

var _ Limiter = Stabilization{}

// Name implements Limiter.
func (Stabilization) Name() string { return "Stabilization" }

// Limit implements Limiter.
func (Stabilization) Limit(now time.Time, rules Rules, h History, s State) State {
	if rules.Behavior == nil {
		return s.limit(highest(now.Add(-rules.DownscaleStabilization), h, s.Replicas), ScaleDownStabilized)
	}
	up, down := rules.windows()
	upCutoff, downCutoff := now.Add(-up), now.Add(-down)
	lowest, highest := s.Replicas, s.Replicas
	for _, r := range h.Recommendations {
		if r.Time.After(upCutoff) {
			lowest = min(lowest, r.Replicas)
		}
		if r.Time.After(downCutoff) {
			highest = max(highest, r.Replicas)
		}
	}
	constraint := ScaleDownStabilized
	if s.Replicas >= s.Current {
		constraint = ScaleUpStabilized
	}
	return s.limit(min(max(s.Current, lowest), highest), constraint)
}

// highest is the highest number wanted since the cutoff, that moment included, as
// the HorizontalPodAutoscaler has it without behavior.
func highest(cutoff time.Time, h History, replicas int32) int32 {
	for _, r := range h.Recommendations {
		if !r.Time.Before(cutoff) {
			replicas = max(replicas, r.Replicas)
		}
	}
	return replicas
}
