package limits_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestApply(t *testing.T) {
	rules := limits.Rules{MinReplicas: 2, MaxReplicas: 20, ScaleDownWindow: 5 * time.Minute}
	slowUp := rules
	slowUp.ScaleUpWindow = time.Minute
	tenWanted := func(age time.Duration) limits.History {
		return limits.History{{Time: now.Add(-age), Replicas: 10}}
	}
	for name, c := range map[string]struct {
		current, raw int32
		rules        limits.Rules
		history      limits.History
		want         limits.Outcome
	}{
		"within every limit the wanted number goes through": {
			current: 5, raw: 8, rules: rules,
			want: limits.Outcome{Raw: 8, Stabilized: 8, Limited: 8},
		},
		"scaling in waits for the highest number of the window": {
			current: 12, raw: 4, rules: rules, history: tenWanted(4 * time.Minute),
			want: limits.Outcome{Raw: 4, Stabilized: 10, Limited: 10, Constraints: []string{limits.ScaleDownStabilized}},
		},
		"scaling in no longer waits when the window has passed": {
			current: 10, raw: 4, rules: rules, history: tenWanted(5 * time.Minute),
			want: limits.Outcome{Raw: 4, Stabilized: 4, Limited: 4},
		},
		"scaling in never scales out to the highest number of the window": {
			current: 6, raw: 4, rules: rules, history: tenWanted(time.Minute),
			want: limits.Outcome{Raw: 4, Stabilized: 6, Limited: 6, Constraints: []string{limits.ScaleDownStabilized}},
		},
		"scaling out waits for the lowest number of its window": {
			current: 8, raw: 15, rules: slowUp, history: tenWanted(30 * time.Second),
			want: limits.Outcome{Raw: 15, Stabilized: 10, Limited: 10, Constraints: []string{limits.ScaleUpStabilized}},
		},
		"scaling out doubles at most": {
			current: 5, raw: 16, rules: rules,
			want: limits.Outcome{Raw: 16, Stabilized: 16, Limited: 10, Constraints: []string{limits.ScaleUpLimit}},
		},
		"scaling out may go to 4 at once": {
			current: 1, raw: 16, rules: limits.Rules{MinReplicas: 1, MaxReplicas: 20},
			want: limits.Outcome{Raw: 16, Stabilized: 16, Limited: 4, Constraints: []string{limits.ScaleUpLimit}},
		},
		"the maximum holds": {
			current: 15, raw: 25, rules: rules,
			want: limits.Outcome{Raw: 25, Stabilized: 25, Limited: 20, Constraints: []string{limits.TooManyReplicas}},
		},
		"the minimum holds": {
			current: 3, raw: 0, rules: rules,
			want: limits.Outcome{Raw: 0, Stabilized: 0, Limited: 2, Constraints: []string{limits.TooFewReplicas}},
		},
		"window and maximum are both named, in order": {
			current: 19, raw: 25, rules: slowUp, history: limits.History{{Time: now.Add(-time.Second), Replicas: 22}},
			want: limits.Outcome{Raw: 25, Stabilized: 22, Limited: 20, Constraints: []string{limits.ScaleUpStabilized, limits.TooManyReplicas}},
		},
		"the largest number does not overflow when doubled": {
			current: 1<<31 - 2, raw: 1<<31 - 1, rules: limits.Rules{MinReplicas: 1, MaxReplicas: 1<<31 - 1},
			want: limits.Outcome{Raw: 1<<31 - 1, Stabilized: 1<<31 - 1, Limited: 1<<31 - 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, _ := limits.Apply(now, c.current, c.raw, c.rules, c.history)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSeed(t *testing.T) {
	rules := limits.Rules{MinReplicas: 1, MaxReplicas: 20, ScaleDownWindow: 5 * time.Minute}
	for name, c := range map[string]struct {
		seed limits.History
		// firstDown is how long after the restart the workload first goes below
		// 10 replicas if 3 are wanted all the time.
		firstDown time.Duration
	}{
		"with nothing known the window begins anew": {
			limits.Seed(now, 10, time.Time{}, 0, 0), 5 * time.Minute,
		},
		"while ten were wanted until the restart the window begins anew": {
			limits.Seed(now, 10, now.Add(-time.Hour), 10, 10), 5 * time.Minute,
		},
		"while three had been wanted for two minutes the window goes on": {
			limits.Seed(now, 10, now.Add(-2*time.Minute), 3, 10), 3 * time.Minute,
		},
		"a decision from the future counts as one of now": {
			limits.Seed(now, 10, now.Add(time.Hour), 3, 10), 5 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.seed
			for at := time.Duration(0); at <= 10*time.Minute; at += 15 * time.Second {
				var out limits.Outcome
				out, h = limits.Apply(now.Add(at), 10, 3, rules, h)
				if out.Limited < 10 {
					if at != c.firstDown {
						t.Errorf("goes down after %s, want %s", at, c.firstDown)
					}
					return
				}
			}
			t.Error("never goes down")
		})
	}
}

// everything is a history that forgets nothing: what Apply's must be worth.
type everything []limits.Recommendation

func (e everything) bounds(now time.Time, up, down time.Duration, raw int32) (lowest, highest int32) {
	lowest, highest = raw, raw
	for _, r := range e {
		if r.Time.After(now.Add(-up)) {
			lowest = min(lowest, r.Replicas)
		}
		if r.Time.After(now.Add(-down)) {
			highest = max(highest, r.Replicas)
		}
	}
	return lowest, highest
}

func TestHistoryForgetsNothingThatMatters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := limits.Rules{
			MinReplicas: 1, MaxReplicas: 50,
			ScaleUpWindow:   time.Duration(rapid.IntRange(0, 120).Draw(t, "up")) * time.Second,
			ScaleDownWindow: time.Duration(rapid.IntRange(0, 300).Draw(t, "down")) * time.Second,
		}
		current := rapid.Int32Range(1, 50).Draw(t, "current")
		at := now
		var history limits.History
		var all everything
		for _, raw := range rapid.SliceOfN(rapid.Int32Range(0, 60), 1, 100).Draw(t, "raw") {
			at = at.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "step")) * time.Second)
			before := slices.Clone(history)
			var out limits.Outcome
			given := history
			out, history = limits.Apply(at, current, raw, rules, history)
			if diff := cmp.Diff(before, given); diff != "" {
				t.Fatalf("the history given was modified:\n%s", diff)
			}
			lowest, highest := all.bounds(at, rules.ScaleUpWindow, rules.ScaleDownWindow, raw)
			if want := min(max(current, lowest), highest); out.Stabilized != want {
				t.Fatalf("stabilized %d, want %d", out.Stabilized, want)
			}
			if out.Limited < rules.MinReplicas || out.Limited > rules.MaxReplicas {
				t.Fatalf("%d replicas are outside of the bounds", out.Limited)
			}
			if out.Limited < current && out.Limited < highest && out.Limited != rules.MaxReplicas {
				t.Fatalf("went down to %d inside the window of %d", out.Limited, highest)
			}
			if len(history) > 61 {
				t.Fatalf("the history has %d entries for 61 possible numbers", len(history))
			}
			all = append(all, limits.Recommendation{Time: at, Replicas: raw})
			current = out.Limited
		}
	})
}
