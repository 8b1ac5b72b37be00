package inflight_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/inflight"
)

// outcome is what became of a call, and when.
type outcome struct {
	V     int
	Err   string
	After time.Duration
}

// run makes calls that take as long as they are told to, and fails the test if
// one is done twice.
func run(t *testing.T, ctx context.Context, c *inflight.Calls, takes ...time.Duration) []outcome {
	t.Helper()
	outcomes, start := make([]outcome, len(takes)), time.Now()
	inflight.Do(ctx, c, len(takes), func(i int) (int, error) {
		time.Sleep(takes[i])
		if takes[i] == 0 {
			return 0, errors.New("broken")
		}
		return i + 1, nil
	}, func(i, v int, err error) {
		if outcomes[i] != (outcome{}) {
			t.Errorf("call %d is done twice", i)
		}
		outcomes[i] = outcome{v, fmt.Sprint(err), time.Since(start)}
	})
	return outcomes
}

func TestDo(t *testing.T) {
	const s = time.Second
	late, never := "no answer in time: context deadline exceeded", "not asked in time, as earlier requests took too long: context deadline exceeded"
	for name, c := range map[string]struct {
		takes []time.Duration
		want  []outcome
	}{
		"nothing is done at once":                   {nil, []outcome{}},
		"calls are made side by side, two at most":  {[]time.Duration{s, 3 * s, 3 * s}, []outcome{{1, "<nil>", s}, {2, "<nil>", 3 * s}, {3, "<nil>", 4 * s}}},
		"a failure is that of one call":             {[]time.Duration{0, s}, []outcome{{0, "broken", 0}, {2, "<nil>", s}}},
		"a call that hangs delays no other":         {[]time.Duration{time.Hour, s, s}, []outcome{{0, late, 10 * s}, {2, "<nil>", s}, {3, "<nil>", 2 * s}}},
		"what cannot be asked in time is not asked": {[]time.Duration{time.Hour, time.Hour, s}, []outcome{{0, late, 10 * s}, {0, late, 10 * s}, {0, never, 10 * s}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*s)
				defer cancel()
				if diff := cmp.Diff(c.want, run(t, ctx, inflight.New(2), c.takes...)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				time.Sleep(time.Hour) // what was left behind returns
			})
		})
	}
}

// TestCallsLeftBehindStayInFlight asks again while calls of an earlier time hang.
func TestCallsLeftBehindStayInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, running, most := inflight.New(3), atomic.Int32{}, int32(0)
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			inflight.Do(ctx, calls, 4, func(int) (int, error) {
				running.Add(1)
				defer running.Add(-1)
				time.Sleep(time.Minute)
				return 0, nil
			}, func(int, int, error) { most = max(most, running.Load()) })
			cancel()
		}
		if most != 3 {
			t.Errorf("%d calls are in flight, want 3", most)
		}
		time.Sleep(time.Minute)
		if got := run(t, t.Context(), calls, time.Second); got[0].V != 1 {
			t.Errorf("when they have returned: %+v", got)
		}
	})
}

func TestGroups(t *testing.T) {
	keys := []string{"b", "a", "b", "c", "a"}
	if diff := cmp.Diff([][]int{{0, 2}, {1, 4}, {3}}, inflight.Groups(len(keys), func(i int) string { return keys[i] })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
