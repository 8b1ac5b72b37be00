package marginalcost

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	fwk "k8s.io/kube-scheduler/framework"
	"pgregory.net/rapid"
)

func TestTurnover(t *testing.T) {
	begin := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	times := func(n int, what func(*turnover, time.Time)) func(*turnover) {
		return func(t *turnover) {
			for range n {
				what(t, begin)
			}
		}
	}
	start, end := (*turnover).start, (*turnover).end
	tests := map[string]struct {
		events []func(*turnover)
		after  time.Duration
		want   float64
	}{
		"before anything is known all are thought to end":       {want: 1},
		"ten starts and no end":                                 {events: []func(*turnover){times(10, start)}, want: 0.1 / 10.1},
		"half of the placements ended":                          {events: []func(*turnover){times(10, start), times(5, end)}, want: 5.1 / 10.1},
		"all ended":                                             {events: []func(*turnover){times(10, start), times(10, end)}, want: 1},
		"more ends than starts are still 1, as after a restart": {events: []func(*turnover){times(2, start), times(10, end)}, want: 1},
		"after a half-life starts and ends count half":          {events: []func(*turnover){times(10, start), times(4, end)}, after: turnoverHalfLife, want: 2.1 / 5.1},
		"after ten half-lives almost nothing is known":          {events: []func(*turnover){times(10, start)}, after: 10 * turnoverHalfLife, want: 0.1 / (0.1 + 10./1024)},
		"a clock that was set back changes nothing":             {events: []func(*turnover){times(10, start)}, after: -time.Hour, want: 0.1 / 10.1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var estimate turnover
			for _, event := range test.events {
				event(&estimate)
			}
			if got := estimate.share(begin.Add(test.after)); math.Abs(got-test.want) > 1e-9 {
				t.Errorf("share %v, want %v", got, test.want)
			}
		})
	}
}

func TestRankMinusTakesOffExactlyTheSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares, off := rapid.Float64Range(-50, 50).Draw(t, "cost"), rapid.Float64Range(0, 50).Draw(t, "discount")
		created := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "created"), 0)
		full := newRank(shares, rapid.Float64Range(0, 1).Draw(t, "free"), created)
		less := full.minus(off)
		if got, want := full.sharesAbove(less), math.Round(off/costStep)*costStep; got != want {
			t.Fatalf("%v shares taken off, want %v", got, want)
		}
		if less&(1<<costShift-1) != full&(1<<costShift-1) {
			t.Fatalf("the discount changed what settles ties: %x, was %x", less, full)
		}
		if again := full.minus(off); again != less {
			t.Fatalf("%x, then %x", less, again)
		}
	})
}

func TestRankStaysInItsBits(t *testing.T) {
	for _, shares := range []float64{math.Inf(-1), -1e300, -108, 0, 108, 1e300, math.Inf(1), math.NaN()} {
		for _, created := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<40, 0)} {
			full := newRank(shares, math.NaN(), created)
			for _, r := range []rank{full, full.minus(1e9), full.minus(0)} {
				if r < 0 || r>>costShift >= 2*costBias {
					t.Errorf("cost %v, created %v: rank %x", shares, created, int64(r))
				}
			}
		}
	}
}

func TestLeadersAreTheBestByRankThenName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var scores fwk.NodeScoreList
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			scores = append(scores, fwk.NodeScore{Name: fmt.Sprint("n", i), Score: rapid.Int64Range(0, 4).Draw(t, "score")})
		}
		scores = rapid.Permutation(scores).Draw(t, "order")
		leaders, found := leadersOf(scores)
		if want := min(shortlisted, len(scores)); found != want {
			t.Fatalf("%d leaders of %d nodes, want %d", found, len(scores), want)
		}
		sorted := slices.Clone(scores)
		slices.SortFunc(sorted, func(a, b fwk.NodeScore) int {
			if precedes(a, b) {
				return -1
			}
			return 1
		})
		for i, leader := range leaders[:found] {
			if scores[leader] != sorted[i] {
				t.Fatalf("place %d is %v, want %v", i, scores[leader], sorted[i])
			}
		}
	})
}
