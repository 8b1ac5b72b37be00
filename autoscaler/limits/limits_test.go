package limits_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return now.Add(-d) }

// apply runs every limiter in order.
func apply(now time.Time, rules limits.Rules, h limits.History, current, raw int32) limits.State {
	s := limits.State{Current: current, Raw: raw, Replicas: raw}
	s.Min, s.Max, _ = rules.At(now)
	for _, l := range limits.Default() {
		s = l.Limit(now, rules, h, s)
	}
	return s
}

// hpaDefaults is what the HorizontalPodAutoscaler's API makes of an empty behavior.
func hpaDefaults() *limits.Behavior {
	return &limits.Behavior{
		ScaleUp: limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{
			{Type: limits.Pods, Value: 4, Period: 15 * time.Second},
			{Type: limits.Percent, Value: 100, Period: 15 * time.Second},
		}},
		ScaleDown: limits.Direction{Window: 5 * time.Minute, Select: limits.SelectMax, Policies: []limits.Policy{
			{Type: limits.Percent, Value: 100, Period: 15 * time.Second},
		}},
	}
}

func rates(d limits.Direction) *limits.Behavior {
	return &limits.Behavior{ScaleUp: d, ScaleDown: d}
}

func pods(value int32, period time.Duration) limits.Policy {
	return limits.Policy{Type: limits.Pods, Value: value, Period: period}
}

func percent(value int32, period time.Duration) limits.Policy {
	return limits.Policy{Type: limits.Percent, Value: value, Period: period}
}

func wanted(age time.Duration, replicas int32) limits.History {
	return limits.History{Recommendations: []limits.Recommendation{{Time: ago(age), Replicas: replicas}}}
}

func changed(age time.Duration, change int32) limits.History {
	return limits.History{Events: []limits.ScaleEvent{{Time: ago(age), Change: change}}}
}

func TestLimiters(t *testing.T) {
	plain := limits.Rules{MinReplicas: 2, MaxReplicas: 20, DownscaleStabilization: 5 * time.Minute}
	with := func(b *limits.Behavior) limits.Rules {
		return limits.Rules{MinReplicas: 2, MaxReplicas: 20, Behavior: b}
	}
	slowUp := hpaDefaults()
	slowUp.ScaleUp.Window = time.Minute
	twoPods := rates(limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(2, time.Minute)}})
	tenPercent := rates(limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{percent(10, time.Minute)}})
	largest := rates(limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(1, time.Minute), percent(50, time.Minute)}})
	smallest := rates(limits.Direction{Select: limits.SelectMin, Policies: []limits.Policy{pods(1, time.Minute), percent(50, time.Minute)}})
	disabled := rates(limits.Direction{Select: limits.Disabled})
	everything := rates(limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{pods(math.MaxInt32, time.Minute), percent(math.MaxInt32, time.Minute)}})

	for name, c := range map[string]struct {
		rules        limits.Rules
		history      limits.History
		current, raw int32
		want         int32
		constraints  []string
	}{
		"within every limit the wanted number goes through": {
			rules: plain, current: 5, raw: 8, want: 8,
		},
		"without behavior scaling in waits for the highest number of the window": {
			rules: plain, history: wanted(4*time.Minute, 10), current: 12, raw: 4, want: 10, constraints: []string{limits.ScaleDownStabilized},
		},
		"without behavior the highest number of the window is followed out as well": {
			rules: plain, history: wanted(time.Minute, 10), current: 6, raw: 4, want: 10, constraints: []string{limits.ScaleDownStabilized},
		},
		"without behavior a number wanted just when the window began counts": {
			rules: plain, history: wanted(5*time.Minute, 10), current: 10, raw: 4, want: 10, constraints: []string{limits.ScaleDownStabilized},
		},
		"without behavior a number wanted before the window does not count": {
			rules: plain, history: wanted(5*time.Minute+1, 10), current: 10, raw: 4, want: 4,
		},
		"without behavior scaling out doubles at most": {
			rules: plain, current: 5, raw: 16, want: 10, constraints: []string{limits.ScaleUpLimit},
		},
		"without behavior scaling out may go to 4 at once": {
			rules: limits.Rules{MinReplicas: 0, MaxReplicas: 20}, current: 0, raw: 16, want: 4, constraints: []string{limits.ScaleUpLimit},
		},
		"from 0 the minimum counts more than the limit of scaling out": {
			rules: limits.Rules{MinReplicas: 10, MaxReplicas: 20}, current: 0, raw: 16, want: 10, constraints: []string{limits.ScaleUpLimit, limits.TooFewReplicas},
		},
		"where doubling and the maximum meet, the maximum is named": {
			rules: plain, current: 10, raw: 25, want: 20, constraints: []string{limits.TooManyReplicas},
		},
		"the maximum holds": {
			rules: plain, current: 15, raw: 25, want: 20, constraints: []string{limits.TooManyReplicas},
		},
		"the minimum holds": {
			rules: plain, current: 3, raw: 0, want: 2, constraints: []string{limits.TooFewReplicas},
		},
		"the largest number does not overflow when doubled": {
			rules: limits.Rules{MinReplicas: 1, MaxReplicas: math.MaxInt32}, current: math.MaxInt32 - 1, raw: math.MaxInt32, want: math.MaxInt32,
		},

		"with behavior a number wanted just when the window began no longer counts": {
			rules: with(hpaDefaults()), history: wanted(5*time.Minute, 10), current: 10, raw: 4, want: 4,
		},
		"with behavior scaling in never scales out to the highest number of the window": {
			rules: with(hpaDefaults()), history: wanted(time.Minute, 10), current: 6, raw: 4, want: 6, constraints: []string{limits.ScaleDownStabilized},
		},
		"with behavior scaling in goes down to the highest number of the window": {
			rules: with(hpaDefaults()), history: wanted(time.Minute, 10), current: 12, raw: 4, want: 10, constraints: []string{limits.ScaleDownStabilized},
		},
		"with behavior scaling out waits for the lowest number of its window": {
			rules: with(slowUp), history: wanted(30*time.Second, 10), current: 8, raw: 15, want: 10, constraints: []string{limits.ScaleUpStabilized},
		},
		"window and maximum are both named, in order": {
			rules: with(slowUp), history: wanted(time.Second, 22), current: 19, raw: 25, want: 20, constraints: []string{limits.ScaleUpStabilized, limits.TooManyReplicas},
		},
		"a number of pods may be added in the period": {
			rules: with(twoPods), current: 5, raw: 9, want: 7, constraints: []string{limits.ScaleUpLimit},
		},
		"what was added in the period counts": {
			rules: with(twoPods), history: changed(59*time.Second, 1), current: 6, raw: 9, want: 7, constraints: []string{limits.ScaleUpLimit},
		},
		"what was added just when the period began no longer counts": {
			rules: with(twoPods), history: changed(time.Minute, 2), current: 7, raw: 12, want: 9, constraints: []string{limits.ScaleUpLimit},
		},
		"what was removed in the period may be added on top": {
			rules: with(twoPods), history: changed(30*time.Second, -3), current: 5, raw: 20, want: 10, constraints: []string{limits.ScaleUpLimit},
		},
		"when more was added than allowed the number stays": {
			rules: with(twoPods), history: changed(30*time.Second, 9), current: 14, raw: 20, want: 14, constraints: []string{limits.ScaleUpLimit},
		},
		"a number of pods may be removed in the period": {
			rules: with(twoPods), current: 9, raw: 5, want: 7, constraints: []string{limits.ScaleDownLimit},
		},
		"when more was removed than allowed the number stays": {
			rules: with(twoPods), history: changed(30*time.Second, -9), current: 9, raw: 5, want: 9, constraints: []string{limits.ScaleDownLimit},
		},
		"a share is rounded up when scaling out": {
			rules: with(tenPercent), current: 5, raw: 9, want: 6, constraints: []string{limits.ScaleUpLimit},
		},
		"a share leaves a whole number, rounded down, when scaling in": {
			rules: with(tenPercent), current: 5, raw: 2, want: 4, constraints: []string{limits.ScaleDownLimit},
		},
		"the largest change counts if so selected, out": {
			rules: with(largest), current: 10, raw: 20, want: 15, constraints: []string{limits.ScaleUpLimit},
		},
		"the largest change counts if so selected, in": {
			rules: with(largest), current: 10, raw: 2, want: 5, constraints: []string{limits.ScaleDownLimit},
		},
		"the smallest change counts if so selected, out": {
			rules: with(smallest), current: 10, raw: 20, want: 11, constraints: []string{limits.ScaleUpLimit},
		},
		"the smallest change counts if so selected, in": {
			rules: with(smallest), current: 10, raw: 2, want: 9, constraints: []string{limits.ScaleDownLimit},
		},
		"a disabled direction does not scale out": {
			rules: with(disabled), current: 10, raw: 20, want: 10, constraints: []string{limits.ScaleUpLimit},
		},
		"a disabled direction does not scale in": {
			rules: with(disabled), current: 10, raw: 2, want: 10, constraints: []string{limits.ScaleDownLimit},
		},
		"where rate and maximum meet, the maximum is named": {
			rules: with(twoPods), current: 18, raw: 25, want: 20, constraints: []string{limits.TooManyReplicas},
		},
		"where rate and minimum meet, the minimum is named": {
			rules: with(twoPods), current: 4, raw: 0, want: 2, constraints: []string{limits.TooFewReplicas},
		},
		"rates beyond int32 do not overflow": {
			rules:   limits.Rules{MinReplicas: 1, MaxReplicas: math.MaxInt32, Behavior: everything},
			history: changed(time.Second, math.MinInt32), current: math.MaxInt32 - 1, raw: math.MaxInt32, want: math.MaxInt32,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := apply(now, c.rules, c.history, c.current, c.raw)
			if got.Replicas != c.want {
				t.Errorf("%d replicas, want %d", got.Replicas, c.want)
			}
			if diff := cmp.Diff(c.constraints, got.Constraints); diff != "" {
				t.Errorf("constraints (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALimiterLeavesTheStateItWasGivenAlone(t *testing.T) {
	s := limits.State{Current: 5, Raw: 90, Replicas: 90, Min: 1, Max: 10, Constraints: make([]string, 0, 4)}
	a := limits.Bounds{}.Limit(now, limits.Rules{}, limits.History{}, s)
	s.Replicas = 0
	limits.Bounds{}.Limit(now, limits.Rules{}, limits.History{}, s)
	if diff := cmp.Diff([]string{limits.TooManyReplicas}, a.Constraints); diff != "" {
		t.Errorf("constraints of the first state (-want +got):\n%s", diff)
	}
}

func TestBoundsOfTheMoment(t *testing.T) {
	window := func(name, start, end string) schedule.Window {
		w, err := schedule.Parse(name, start, end, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	noon := window("noon", "0 11 * * *", "0 13 * * *") // now is in it
	lunch := window("lunch", "30 11 * * *", "30 12 * * *")
	night := window("night", "0 22 * * *", "0 6 * * *")
	for name, c := range map[string]struct {
		schedules       []limits.Schedule
		lowest, highest int32
		active          []string
	}{
		"without schedules the bounds are the object's":                {nil, 2, 20, nil},
		"a floor holds in its window":                                  {[]limits.Schedule{{noon, new(int32(5)), nil}}, 5, 20, []string{"noon"}},
		"a floor does not hold outside of its window":                  {[]limits.Schedule{{night, new(int32(5)), nil}}, 2, 20, nil},
		"a floor below the minimum changes nothing":                    {[]limits.Schedule{{noon, new(int32(1)), nil}}, 2, 20, []string{"noon"}},
		"a ceiling holds in its window":                                {[]limits.Schedule{{noon, nil, new(int32(7))}}, 2, 7, []string{"noon"}},
		"of several floors the highest counts":                         {[]limits.Schedule{{noon, new(int32(5)), nil}, {lunch, new(int32(9)), nil}}, 9, 20, []string{"noon", "lunch"}},
		"of several ceilings the lowest counts":                        {[]limits.Schedule{{noon, nil, new(int32(5))}, {lunch, nil, new(int32(9))}}, 2, 5, []string{"noon", "lunch"}},
		"a floor counts more than a ceiling":                           {[]limits.Schedule{{noon, nil, new(int32(5))}, {lunch, new(int32(9)), nil}}, 9, 9, []string{"noon", "lunch"}},
		"a floor does not lift the maximum":                            {[]limits.Schedule{{noon, new(int32(50)), nil}}, 20, 20, []string{"noon"}},
		"a ceiling below the minimum does not lower the minimum":       {[]limits.Schedule{{noon, nil, new(int32(1))}}, 2, 2, []string{"noon"}},
		"a schedule that is not active leaves those that are in order": {[]limits.Schedule{{lunch, new(int32(3)), nil}, {night, new(int32(9)), nil}, {noon, nil, new(int32(8))}}, 3, 8, []string{"lunch", "noon"}},
	} {
		t.Run(name, func(t *testing.T) {
			lowest, highest, active := limits.Rules{MinReplicas: 2, MaxReplicas: 20, Schedules: c.schedules}.At(now)
			if lowest != c.lowest || highest != c.highest {
				t.Errorf("bounds %d to %d, want %d to %d", lowest, highest, c.lowest, c.highest)
			}
			if diff := cmp.Diff(c.active, active); diff != "" {
				t.Errorf("active (-want +got):\n%s", diff)
			}
		})
	}
}
