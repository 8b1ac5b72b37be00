package limits_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
)

func anyDirection(t *rapid.T, label string) limits.Direction {
	d := limits.Direction{
		Window: time.Duration(rapid.IntRange(0, 300).Draw(t, label+" window")) * time.Second,
		Select: rapid.SampledFrom([]limits.SelectPolicy{limits.SelectMax, limits.SelectMin, limits.Disabled}).Draw(t, label+" select"),
	}
	for range rapid.IntRange(1, 3).Draw(t, label+" policies") {
		d.Policies = append(d.Policies, limits.Policy{
			Type:   rapid.SampledFrom([]limits.PolicyType{limits.Pods, limits.Percent}).Draw(t, label+" type"),
			Value:  rapid.Int32Range(1, 120).Draw(t, label+" value"),
			Period: time.Duration(rapid.IntRange(1, 180).Draw(t, label+" period")) * time.Second,
		})
	}
	return d
}

func anyRules(t *rapid.T) limits.Rules {
	r := limits.Rules{MinReplicas: rapid.Int32Range(0, 5).Draw(t, "min"), DownscaleStabilization: time.Duration(rapid.IntRange(0, 300).Draw(t, "window")) * time.Second}
	r.MaxReplicas = r.MinReplicas + rapid.Int32Range(1, 60).Draw(t, "max")
	if rapid.Bool().Draw(t, "behavior") {
		r.Behavior = &limits.Behavior{ScaleUp: anyDirection(t, "up"), ScaleDown: anyDirection(t, "down")}
	}
	return r
}

// evaluate is one evaluation as the engine makes it.
func evaluate(at time.Time, rules limits.Rules, h limits.History, current, raw int32) (limits.State, limits.History) {
	s := apply(at, rules, h, current, raw)
	h = h.Recommended(at, raw, rules)
	if s.Replicas != current {
		h = h.Scaled(at, current, s.Replicas, rules)
	}
	return s, h
}

// forgetsNothing is a history that keeps everything: what the real one must be
// worth.
func forgetsNothing(at time.Time, h limits.History, before, after, raw int32) limits.History {
	h.Recommendations = append(slices.Clip(h.Recommendations), limits.Recommendation{Time: at, Replicas: raw})
	if after != before {
		h.Events = append(slices.Clip(h.Events), limits.ScaleEvent{Time: at, Change: after - before})
	}
	return h
}

// walk calls step for a hundred evaluations a few seconds apart, of what may be
// wanted.
func walk(t *rapid.T, step func(at time.Time, raw int32)) {
	at := now
	for _, raw := range rapid.SliceOfN(rapid.Int32Range(0, 80), 1, 100).Draw(t, "raw") {
		at = at.Add(time.Duration(rapid.IntRange(1, 40).Draw(t, "pause")) * time.Second)
		step(at, raw)
	}
}

func TestTheHistoryForgetsNothingThatMattersAndIsBounded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules(t)
		current := rapid.Int32Range(rules.MinReplicas, rules.MaxReplicas).Draw(t, "current")
		history, all := limits.Seed(now, current), limits.Seed(now, current)
		walk(t, func(at time.Time, raw int32) {
			given := history
			before := limits.History{Recommendations: slices.Clone(given.Recommendations), Events: slices.Clone(given.Events)}
			want := apply(at, rules, all, current, raw)
			var got limits.State
			got, history = evaluate(at, rules, history, current, raw)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-with all history +with what is kept):\n%s", diff)
			}
			if diff := cmp.Diff(before, given); diff != "" {
				t.Fatalf("the history given was modified:\n%s", diff)
			}
			if len(history.Recommendations) > 81 {
				t.Fatalf("%d recommendations of 81 possible numbers", len(history.Recommendations))
			}
			if i := slices.IndexFunc(history.Events, func(e limits.ScaleEvent) bool { return at.Sub(e.Time) >= 30*time.Minute }); i >= 0 && got.Replicas != current {
				t.Fatalf("a change of %s ago is kept", at.Sub(history.Events[i].Time))
			}
			all = forgetsNothing(at, all, current, got.Replicas, raw)
			current = got.Replicas
		})
	})
}

func TestTheOutcomeIsWithinTheBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules(t)
		current := rapid.Int32Range(rules.MinReplicas, rules.MaxReplicas).Draw(t, "current")
		history := limits.Seed(now, current)
		walk(t, func(at time.Time, raw int32) {
			var s limits.State
			s, history = evaluate(at, rules, history, current, raw)
			if s.Replicas < rules.MinReplicas || s.Replicas > rules.MaxReplicas {
				t.Fatalf("%d replicas, outside of %d to %d", s.Replicas, rules.MinReplicas, rules.MaxReplicas)
			}
			current = s.Replicas
		})
	})
}

func TestNeverDownBelowWhatWasWantedInTheWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules(t)
		window := rules.DownscaleStabilization
		if rules.Behavior != nil {
			window = rules.Behavior.ScaleDown.Window
		}
		current := rapid.Int32Range(rules.MinReplicas, rules.MaxReplicas).Draw(t, "current")
		history := limits.Seed(now, current)
		all := history
		walk(t, func(at time.Time, raw int32) {
			highest := raw
			for _, r := range all.Recommendations {
				if r.Time.After(at.Add(-window)) {
					highest = max(highest, r.Replicas)
				}
			}
			var s limits.State
			s, history = evaluate(at, rules, history, current, raw)
			if s.Replicas < current && s.Replicas < min(highest, rules.MaxReplicas) {
				t.Fatalf("from %d to %d though %d were wanted in the last %s", current, s.Replicas, highest, window)
			}
			all = forgetsNothing(at, all, current, s.Replicas, raw)
			current = s.Replicas
		})
	})
}

func TestNoMoreIsAddedOrRemovedInAPeriodThanThePolicyAllows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Int32Range(1, 10).Draw(t, "value")
		period := time.Duration(rapid.IntRange(1, 180).Draw(t, "period")) * time.Second
		d := limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(value, period)}}
		rules := limits.Rules{MinReplicas: 1, MaxReplicas: 100, Behavior: &limits.Behavior{ScaleUp: d, ScaleDown: d}}
		current := rapid.Int32Range(1, 80).Draw(t, "current")
		history := limits.Seed(now, current)
		var changes []limits.ScaleEvent
		walk(t, func(at time.Time, raw int32) {
			var s limits.State
			s, history = evaluate(at, rules, history, current, raw)
			made := s.Replicas - current
			changes = append(changes, limits.ScaleEvent{Time: at, Change: made})
			current = s.Replicas
			var sum int32
			for _, c := range changes {
				if c.Time.After(at.Add(-period)) {
					sum += c.Change
				}
			}
			if (made > 0 && sum > value) || (made < 0 && sum < -value) {
				t.Fatalf("%+d makes %+d in %s, at most %d are allowed", made, sum, period, value)
			}
		})
	})
}

func TestARestartWithItsHistoryGoesOnAsIfThereHadBeenNone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rules := anyRules(t)
		current := rapid.Int32Range(rules.MinReplicas, rules.MaxReplicas).Draw(t, "current")
		history := limits.Seed(now, current)
		restarted := history
		walk(t, func(at time.Time, raw int32) {
			stored, err := json.Marshal(restarted)
			if err != nil {
				t.Fatal(err)
			}
			restarted = limits.History{}
			if err := json.Unmarshal(stored, &restarted); err != nil {
				t.Fatal(err)
			}
			var want, got limits.State
			want, history = evaluate(at, rules, history, current, raw)
			got, restarted = evaluate(at, rules, restarted, current, raw)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-without +with restarts):\n%s", diff)
			}
			current = want.Replicas
		})
	})
}

func TestARestartWithoutHistoryDoesNotStepDownForAWindow(t *testing.T) {
	for name, c := range map[string]struct {
		rules     limits.Rules
		firstDown time.Duration
	}{
		"without behavior": {limits.Rules{MinReplicas: 1, MaxReplicas: 20, DownscaleStabilization: 5 * time.Minute}, 5*time.Minute + 15*time.Second},
		"with behavior":    {limits.Rules{MinReplicas: 1, MaxReplicas: 20, Behavior: hpaDefaults()}, 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			h := limits.Seed(now, 10)
			for since := time.Duration(0); since <= 10*time.Minute; since += 15 * time.Second {
				var s limits.State
				if s, h = evaluate(now.Add(since), c.rules, h, 10, 3); s.Replicas < 10 {
					if since != c.firstDown {
						t.Errorf("goes down after %s, want %s", since, c.firstDown)
					}
					return
				}
			}
			t.Error("never goes down")
		})
	}
}

// The HorizontalPodAutoscaler puts a change in the place of one that its direction
// no longer looks back to, though the other direction may: what is lost there shows
// as a difference of the limit of scaling in.
func TestChangesAsHPA(t *testing.T) {
	behavior := &limits.Behavior{
		ScaleUp:   limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(10, 15*time.Second)}},
		ScaleDown: limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(5, 10*time.Minute)}},
	}
	rules := limits.Rules{MinReplicas: 1, MaxReplicas: 50, Behavior: behavior}
	run := func(rules limits.Rules) (limits.History, int32) {
		h := limits.History{}.Scaled(ago(time.Minute), 10, 14, rules).Scaled(ago(30*time.Second), 14, 17, rules)
		return h, apply(now, rules, h, 17, 1).Replicas
	}
	ours, lowest := run(rules)
	if diff := cmp.Diff([]limits.ScaleEvent{{Time: ago(time.Minute), Change: 4}, {Time: ago(30 * time.Second), Change: 3}}, ours.Events); diff != "" {
		t.Errorf("ours (-want +got):\n%s", diff)
	}
	if lowest != 5 { // 10 at the start of the period, less 5
		t.Errorf("ours goes to %d, want 5", lowest)
	}
	rules.MemoryAsHPA = true
	hpa, lowest := run(rules)
	if diff := cmp.Diff([]limits.ScaleEvent{{Time: ago(30 * time.Second), Change: 3}}, hpa.Events); diff != "" {
		t.Errorf("as the HPA (-want +got):\n%s", diff)
	}
	if lowest != 9 { // it takes 14 for the start of the period
		t.Errorf("as the HPA goes to %d, want 9", lowest)
	}
}

func TestChangesAsHPAAreKeptWhileTheyCount(t *testing.T) {
	rules := limits.Rules{MinReplicas: 1, MaxReplicas: 50, Behavior: hpaDefaults(), MemoryAsHPA: true}
	h := limits.History{}.Scaled(ago(10*time.Second), 1, 5, rules).Scaled(ago(5*time.Second), 5, 4, rules).Scaled(now, 4, 6, rules)
	want := []limits.ScaleEvent{{Time: ago(10 * time.Second), Change: 4}, {Time: ago(5 * time.Second), Change: -1}, {Time: now, Change: 2}}
	if diff := cmp.Diff(want, h.Events); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	rules.Behavior = nil
	if diff := cmp.Diff(want, h.Scaled(now, 6, 9, rules).Events); diff != "" {
		t.Errorf("a change without behavior (-want +got):\n%s", diff)
	}
}

func TestBehaviorPutBackKnowsTheChangesMadeBefore(t *testing.T) {
	with := limits.Rules{MinReplicas: 1, MaxReplicas: 50, Behavior: &limits.Behavior{
		ScaleUp:   limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(5, 10*time.Minute)}},
		ScaleDown: limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(1, 15*time.Second)}},
	}}
	without := with
	without.Behavior = nil
	h := limits.History{}.Scaled(ago(2*time.Minute), 10, 13, with).Scaled(ago(time.Minute), 13, 15, without)
	if got := apply(now, with, h, 15, 30).Replicas; got != 15 {
		t.Errorf("goes to %d, want 15: 5 were added in the last 10 minutes", got)
	}
}

func TestAWindowMadeLongerHoldsWhatWasWantedBefore(t *testing.T) {
	short := limits.Rules{MinReplicas: 1, MaxReplicas: 50, Behavior: hpaDefaults()}
	short.Behavior.ScaleDown.Window = 0
	long := limits.Rules{MinReplicas: 1, MaxReplicas: 50, DownscaleStabilization: 5 * time.Minute}
	h := limits.Seed(ago(20*time.Minute), 40).
		Recommended(ago(10*time.Minute), 30, short).
		Recommended(ago(4*time.Minute), 15, short).
		Recommended(ago(2*time.Minute), 5, short)
	if got := apply(now, short, h, 15, 5).Replicas; got != 5 {
		t.Errorf("with the short window %d, want 5", got)
	}
	if got := apply(now, long, h, 15, 5).Replicas; got != 15 {
		t.Errorf("with the long window %d, want 15", got)
	}
}

// The HorizontalPodAutoscaler overwrites the last of the entries that are too old,
// and keeps the others.
func TestRecommendationsAsHPA(t *testing.T) {
	rules := limits.Rules{MinReplicas: 1, MaxReplicas: 50, DownscaleStabilization: 5 * time.Minute, MemoryAsHPA: true}
	h := limits.History{}.
		Recommended(ago(20*time.Minute), 40, rules).
		Recommended(ago(16*time.Minute), 30, rules).
		Recommended(ago(10*time.Minute), 15, rules).
		Recommended(ago(5*time.Minute), 5, rules).
		Recommended(now, 3, rules)
	want := []limits.Recommendation{{Time: ago(5 * time.Minute), Replicas: 5}, {Time: now, Replicas: 3}}
	if diff := cmp.Diff(want, h.Recommendations); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkLimiters(b *testing.B) {
	rules := limits.Rules{MinReplicas: 1, MaxReplicas: 100, Behavior: hpaDefaults()}
	h := limits.Seed(ago(10*time.Minute), 10)
	for i := range 20 { // a window of what was wanted while a load went up and down
		h = h.Recommended(ago(time.Duration(20-i)*15*time.Second), int32(10+i%7), rules)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, next := evaluate(now, rules, h, 14, 12)
		if s.Replicas != 14 || len(next.Recommendations) == 0 {
			b.Fatalf("%d replicas, want 14", s.Replicas)
		}
	}
}
