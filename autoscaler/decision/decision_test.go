package decision_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// input is an evaluation of a workload of so many replicas, between 2 and 10,
// scaled to so many requests a second at 10 for each.
func input(replicas int32, rps float64) decision.Input {
	return decision.Input{
		Policy: target.New(target.DefaultConfig()), Limiters: limits.Default(),
		Rules: limits.Rules{MinReplicas: 2, MaxReplicas: 10, DownscaleStabilization: 5 * time.Minute},
		Observation: scaling.Observation{
			SpecReplicas: replicas, StatusReplicas: replicas, Pods: podsOf(int(replicas), int(replicas)),
			Metrics:   []scaling.Metric{{Name: "rps", Target: scaling.Target{Type: scaling.AverageValue, Amount: 10}, Value: rps, Activation: -1}},
			Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
		},
		CanLeaveZero: true,
	}
}

// podsOf are so many pods, the first of them ready, all an hour old.
func podsOf(n, ready int) []scaling.Pod {
	list := make([]scaling.Pod, n)
	for i := range list {
		list[i] = scaling.Pod{
			Name: "p" + strconv.Itoa(i), Phase: scaling.Running, Ready: i < ready, Unready: i >= ready, ReadyKnown: true,
			Started: start.Add(-time.Hour), ReadySince: start.Add(-time.Hour),
		}
	}
	return list
}

func unknownRPS(in *decision.Input) {
	in.Observation.Metrics[0].Unknown = scaling.Unknown{Reason: scaling.ReasonNoData, Message: "no result"}
}

// floorOf is a schedule that holds a floor from noon to one.
func floorOf(t *testing.T, least int32) limits.Schedule {
	t.Helper()
	w, err := schedule.Parse("noon", "0 12 * * *", "0 13 * * *", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	return limits.Schedule{Window: w, Min: &least}
}

func TestNeedsMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		replicas     int32
		scaledToZero bool
		cannotLeave  bool
		min          int32
		floor        int32
		want         bool
	}{
		"within the bounds":                            {replicas: 5, min: 2, want: true},
		"at the minimum":                               {replicas: 2, min: 2, want: true},
		"at the maximum":                               {replicas: 10, min: 2, want: true},
		"below the minimum":                            {replicas: 1, min: 2},
		"above the maximum":                            {replicas: 11, min: 2},
		"below the floor of a schedule":                {replicas: 5, min: 2, floor: 6},
		"at 0 by hand":                                 {min: 0},
		"at 0 by hand with a floor":                    {min: 0, floor: 3},
		"at 0 by its metrics":                          {scaledToZero: true, want: true},
		"at 0 with metrics of pods only":               {scaledToZero: true, cannotLeave: true},
		"at 0 with metrics of pods only under a floor": {scaledToZero: true, cannotLeave: true, floor: 1, want: true},
		"at 0 with metrics of pods only, the minimum now raised": {scaledToZero: true, cannotLeave: true, min: 1, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(c.replicas, 30)
			in.Rules.MinReplicas = c.min
			in.ScaledToZero, in.CanLeaveZero = c.scaledToZero, !c.cannotLeave
			if c.floor > 0 {
				in.Rules.Schedules = []limits.Schedule{floorOf(t, c.floor)}
			}
			if got := decision.NeedsMetrics(start, in); got != c.want {
				t.Errorf("NeedsMetrics: %t, want %t", got, c.want)
			}
			if v, _ := decision.Make(start, in); v.Asked != c.want {
				t.Errorf("the policy was asked: %t, want %t as NeedsMetrics says", v.Asked, c.want)
			}
		})
	}
}

func TestZero(t *testing.T) {
	type outcome struct {
		Limited     int32
		Reason      string
		Constraints []string
	}
	for name, c := range map[string]struct {
		replicas int32
		edit     func(*decision.Input)
		want     outcome
	}{
		"at 0 by hand it stays, whatever the load": {
			0, nil, outcome{0, decision.ReasonDisabled, nil},
		},
		"at 0 by hand it stays under a floor": {
			0, func(in *decision.Input) { in.Rules.MinReplicas = 3 }, outcome{0, decision.ReasonDisabled, nil},
		},
		"at 0 by its metrics it comes back with the load": {
			0, func(in *decision.Input) { in.ScaledToZero = true }, outcome{3, target.ReasonAbove, nil},
		},
		"at 0 by its metrics it comes back to no more than rates allow": {
			0, func(in *decision.Input) { in.ScaledToZero = true; in.Observation.Metrics[0].Value = 90 }, outcome{4, limits.ScaleUpLimit, []string{limits.ScaleUpLimit}},
		},
		"at 0 by its metrics it stays without load": {
			0, func(in *decision.Input) { in.ScaledToZero = true; in.Observation.Metrics[0].Value = 0 }, outcome{0, target.ReasonUnchanged, nil},
		},
		"at 0 by its metrics it goes to a minimum raised since": {
			0, func(in *decision.Input) {
				in.ScaledToZero, in.Rules.MinReplicas, in.Observation.Metrics[0].Value = true, 2, 0
			}, outcome{2, limits.TooFewReplicas, []string{limits.TooFewReplicas}},
		},
		"at 0 by its metrics, nothing known, it stays": {
			0, func(in *decision.Input) { in.ScaledToZero = true; unknownRPS(in) }, outcome{0, target.ReasonAllUnknown, nil},
		},
		"at 0 by its metrics, nothing known, it still goes to a minimum raised since": {
			0, func(in *decision.Input) { in.ScaledToZero, in.Rules.MinReplicas = true, 2; unknownRPS(in) },
			outcome{2, limits.TooFewReplicas, []string{limits.TooFewReplicas}},
		},
		"at 0 by its metrics, nothing known for too long, it goes to the fallback": {
			0, func(in *decision.Input) {
				in.ScaledToZero, in.Fallback, in.UnknownSince = true, &decision.Fallback{After: time.Minute, Replicas: 4}, start.Add(-time.Minute)
				unknownRPS(in)
			}, outcome{4, decision.ReasonFallback, nil},
		},
		"it goes to 0 without load": {
			3, func(in *decision.Input) { in.Observation.Metrics[0].Value = 0 }, outcome{0, target.ReasonBelow, nil},
		},
		"it does not go to 0 while no pod is ready": {
			3, func(in *decision.Input) {
				in.Observation.Metrics[0].Value, in.Observation.Pods = 0, podsOf(3, 0)
			}, outcome{3, target.ReasonAllUnknown, nil},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(c.replicas, 30)
			in.Rules.MinReplicas = 0
			if c.edit != nil {
				c.edit(&in)
			}
			v, _ := decision.Make(start, in)
			if diff := cmp.Diff(c.want, outcome{v.Limited, v.Reason, v.Constraints}); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, v.Message)
			}
		})
	}
}

func TestFallback(t *testing.T) {
	for name, c := range map[string]struct {
		replicas int32
		fallback *decision.Fallback
		since    time.Duration // how long nothing has been known
		want     int32
		fellBack bool
	}{
		"without one it holds":                       {4, nil, time.Hour, 4, false},
		"before its time it holds":                   {4, &decision.Fallback{After: 3 * time.Minute, Replicas: 6}, 179 * time.Second, 4, false},
		"at its time it scales out":                  {4, &decision.Fallback{After: 3 * time.Minute, Replicas: 6}, 180 * time.Second, 6, true},
		"at once with 0":                             {4, &decision.Fallback{Replicas: 6}, 0, 6, true},
		"it never scales in":                         {8, &decision.Fallback{Replicas: 6}, time.Hour, 8, true},
		"it goes no further than the maximum":        {4, &decision.Fallback{Replicas: 60}, time.Hour, 10, true},
		"without replicas it holds and says so":      {4, &decision.Fallback{After: time.Minute}, time.Hour, 4, true},
		"a time in the future counts as from now on": {4, &decision.Fallback{After: time.Minute, Replicas: 6}, -time.Hour, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(c.replicas, 0)
			unknownRPS(&in)
			in.Fallback, in.UnknownSince = c.fallback, start.Add(-c.since)
			v, _ := decision.Make(start, in)
			if v.Limited != c.want || v.FellBack != c.fellBack {
				t.Errorf("%d replicas, fell back %t, want %d and %t: %s", v.Limited, v.FellBack, c.want, c.fellBack, v.Message)
			}
			if v.UnknownSince.IsZero() || v.UnknownSince.After(start) {
				t.Errorf("unknown since %s, want a time up to now", v.UnknownSince)
			}
			in.Observation.Metrics[0].Unknown, in.UnknownSince = scaling.Unknown{}, v.UnknownSince
			if v, _ = decision.Make(start, in); !v.UnknownSince.IsZero() {
				t.Errorf("unknown since %s though it is known", v.UnknownSince)
			}
		})
	}
}

// TestARecordedInputReplaysByteForByte writes what an evaluation was given, reads
// it back and has it decided on again, where all that is JSON is byte for byte the
// same: the policy and the limiters are code and stay.
func TestARecordedInputReplaysByteForByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		record := encode(t, []any{in.Rules, in.Observation, in.History, in.Fallback, in.UnknownSince})
		v, h := decision.Make(start, in)
		if again := encode(t, []any{in.Rules, in.Observation, in.History, in.Fallback, in.UnknownSince}); again != record {
			t.Fatalf("Make modified its input:\n%s\n%s", record, again)
		}

		replayed := decision.Input{Policy: in.Policy, Limiters: in.Limiters, ScaledToZero: in.ScaledToZero, CanLeaveZero: in.CanLeaveZero}
		if err := json.Unmarshal([]byte(record), &[]any{&replayed.Rules, &replayed.Observation, &replayed.History, &replayed.Fallback, &replayed.UnknownSince}); err != nil {
			t.Fatal(err)
		}
		v2, h2 := decision.Make(start, replayed)
		if got, want := encode(t, []any{v2, h2}), encode(t, []any{v, h}); got != want {
			t.Fatalf("replayed:\n%s\nat first:\n%s", got, want)
		}
	})
}

func TestTheVerdictIsWithinBoundsAndNeverScalesInOnTheUnknown(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		v, _ := decision.Make(start, in)
		current := in.Observation.SpecReplicas
		if v.Limited != 0 && (v.Limited > v.Max || v.Limited < min(v.Min, current)) {
			t.Fatalf("%d replicas are out of %d to %d: %s", v.Limited, v.Min, v.Max, v.Message)
		}
		if v.Asked && !v.Decision.Known && v.Limited < current {
			t.Fatalf("from %d to %d replicas though nothing is known: %s", current, v.Limited, v.Message)
		}
		if v.Reason == "" || v.Message == "" {
			t.Fatalf("no reason: %+v", v)
		}
	})
}

func anyInput(t *rapid.T) decision.Input {
	n := rapid.IntRange(0, 12).Draw(t, "replicas")
	in := input(int32(n), float64(rapid.IntRange(0, 20000).Draw(t, "rps"))/100)
	in.Observation.Pods = podsOf(n, rapid.IntRange(0, n).Draw(t, "ready"))
	in.Observation.Metrics = append(in.Observation.Metrics, cpuOf(in.Observation.Pods, int64(rapid.IntRange(0, 3000).Draw(t, "cpu"))))
	if rapid.Bool().Draw(t, "unknown") {
		unknownRPS(&in)
	}
	in.Observation.Metrics[0].Optional = rapid.Bool().Draw(t, "optional")
	in.Rules.MinReplicas = rapid.Int32Range(0, 3).Draw(t, "min")
	in.ScaledToZero, in.CanLeaveZero = rapid.Bool().Draw(t, "scaled to zero"), rapid.Bool().Draw(t, "can leave zero")
	if rapid.Bool().Draw(t, "behavior") {
		rate := func(label string) limits.Direction {
			return limits.Direction{
				Window: time.Duration(rapid.IntRange(0, 300).Draw(t, label+" window")) * time.Second, Select: limits.SelectMax,
				Policies: []limits.Policy{{Type: limits.Pods, Value: rapid.Int32Range(1, 5).Draw(t, label+" pods"), Period: time.Minute}},
			}
		}
		in.Rules.Behavior = &limits.Behavior{ScaleUp: rate("up"), ScaleDown: rate("down")}
	}
	if rapid.Bool().Draw(t, "fallback") {
		in.Fallback = &decision.Fallback{After: time.Minute, Replicas: rapid.Int32Range(0, 12).Draw(t, "fallback replicas")}
		in.UnknownSince = start.Add(-time.Duration(rapid.IntRange(0, 120).Draw(t, "unknown for")) * time.Second)
	}
	for range rapid.IntRange(0, 3).Draw(t, "past") {
		at := start.Add(-time.Duration(rapid.IntRange(0, 400_000).Draw(t, "ago")) * time.Millisecond)
		in.History.Recommendations = append(in.History.Recommendations, limits.Recommendation{Time: at, Replicas: rapid.Int32Range(0, 12).Draw(t, "recommended")})
		in.History.Events = append(in.History.Events, limits.ScaleEvent{Time: at, Change: rapid.Int32Range(-4, 4).Draw(t, "change")})
	}
	slices.SortStableFunc(in.History.Recommendations, func(a, b limits.Recommendation) int { return a.Time.Compare(b.Time) })
	return in
}

// cpuOf is a reading of so many thousandths of a core of each pod, of which each
// requests a core.
func cpuOf(list []scaling.Pod, usageMilli int64) scaling.Metric {
	m := scaling.Metric{Name: "cpu", Target: scaling.Target{Type: scaling.Utilization, Amount: 50}, PerPod: true, IgnoreUntilReady: true, Activation: -1}
	m.Pods = make([]scaling.PodReading, len(list))
	for i := range list {
		m.Pods[i] = scaling.PodReading{Pod: list[i].Name, RequestMilli: 1000, Sampled: true, UsageMilli: usageMilli, At: start, Window: 15 * time.Second}
	}
	return m
}

func encode(t interface{ Fatal(...any) }, v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// BenchmarkMake decides on a workload of 10 pods and one CPU metric. Compare with
// go test -bench Make -count 10 before and after, and benchstat.
func BenchmarkMake(b *testing.B) {
	for _, c := range []struct {
		name  string
		usage int64
		want  int32
	}{{"steady", 500, 10}, {"scaling out", 700, 14}, {"held", 300, 10}} {
		b.Run(c.name, func(b *testing.B) {
			in := input(10, 0)
			in.Rules.MaxReplicas = 100
			in.Observation.Metrics = []scaling.Metric{cpuOf(in.Observation.Pods, c.usage)}
			in.History = limits.Seed(start.Add(-time.Minute), 10)
			b.ReportAllocs()
			for b.Loop() {
				if v, _ := decision.Make(start, in); v.Limited != c.want {
					b.Fatalf("%d replicas, want %d", v.Limited, c.want)
				}
			}
		})
	}
}

func TestADecisionAllocatesLittle(t *testing.T) {
	const most = 6
	in := input(10, 0)
	in.Observation.Metrics = []scaling.Metric{cpuOf(in.Observation.Pods, 700)}
	in.History = limits.Seed(start.Add(-time.Minute), 10)
	got := testing.AllocsPerRun(100, func() { decision.Make(start, in) })
	if got > most {
		t.Errorf("%v allocations, want at most %d", got, most)
	}
	if got == 0 {
		t.Error("no allocation at all: nothing was measured")
	}
}
