package trace_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/lab/trace"
)

var start = time.Date(1998, time.June, 10, 0, 0, 0, 0, time.UTC)

func mustNew(t testing.TB, step time.Duration, rates ...float64) trace.Trace {
	t.Helper()
	made, err := trace.New("made", start, step, rates)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// values reads a trace back at the midpoint of each step, where At is the value itself.
func values(t trace.Trace) []float64 {
	read := make([]float64, t.Steps())
	for i := range read {
		read[i] = t.At(time.Duration(i)*t.Step() + t.Step()/2)
	}
	return read
}

func TestAtIsLinearBetweenMidpoints(t *testing.T) {
	load := mustNew(t, time.Minute, 10, 20, 0)
	for _, tc := range []struct {
		name string
		at   time.Duration
		want float64
	}{
		{"before the start the first value holds", -time.Hour, 10},
		{"the first half step is flat", 0, 10},
		{"a midpoint has its own value", 90 * time.Second, 20},
		{"halfway between midpoints is the mean", time.Minute, 15},
		{"a quarter of the way down", 105 * time.Second, 15},
		{"the last half step is flat", 3*time.Minute - 1, 0},
		{"after the end the last value holds", time.Hour, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := load.At(tc.at); got != tc.want {
				t.Errorf("At(%v) = %v, want %v", tc.at, got, tc.want)
			}
		})
	}
}

func TestZeroTraceHasNoLoad(t *testing.T) {
	var zero trace.Trace
	if zero.At(time.Minute) != 0 || zero.Mean() != 0 || zero.Peak() != 0 || zero.Duration() != 0 {
		t.Errorf("got %v %v %v %v, want zeros", zero.At(time.Minute), zero.Mean(), zero.Peak(), zero.Duration())
	}
	if _, err := zero.Slice(0, time.Minute); err == nil {
		t.Error("Slice of an empty trace: no error")
	}
	if _, err := zero.Scale(1); err == nil {
		t.Error("Scale of an empty trace: no error")
	}
}

func TestNewRejects(t *testing.T) {
	for _, tc := range []struct {
		name  string
		step  time.Duration
		rates []float64
		want  string
	}{
		{"no values", time.Minute, nil, "0 values: allowed is 1 to"},
		{"a step of zero", 0, []float64{1}, "step 0s: allowed is 1ms to 24h"},
		{"a step above a day", 25 * time.Hour, []float64{1}, "step 25h0m0s: allowed"},
		{"a negative load", time.Minute, []float64{1, -1}, "value 1: -1 requests per second: allowed is 0 to 1e+07"},
		{"not a number", time.Minute, []float64{math.NaN()}, "value 0: NaN"},
		{"infinite load", time.Minute, []float64{math.Inf(1)}, "value 0: +Inf"},
		{"more than a hundred years", 24 * time.Hour, make([]float64, 36_501), "36501 values: allowed is 1 to 36500"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := trace.New("made", start, tc.step, tc.rates)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestSliceAndScale(t *testing.T) {
	load := mustNew(t, time.Minute, 1, 2, 4, 3)
	part, err := load.Slice(time.Minute, 2*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{2, 4}; !slices.Equal(values(part), want) || part.Start() != start.Add(time.Minute) {
		t.Errorf("slice = %v from %v, want %v a minute after the start", values(part), part.Start(), want)
	}
	scaled, err := load.Scale(100)
	if err != nil {
		t.Fatal(err)
	}
	if want := []float64{25, 50, 100, 75}; !slices.Equal(values(scaled), want) {
		t.Errorf("scaled = %v, want %v", values(scaled), want)
	}
	if want := []float64{1, 2, 4, 3}; !slices.Equal(values(load), want) {
		t.Errorf("the original changed to %v", values(load))
	}
}

func TestSliceAndScaleReject(t *testing.T) {
	load := mustNew(t, time.Minute, 1, 2, 4, 3)
	slice := func(from, length time.Duration) error { _, err := load.Slice(from, length); return err }
	scale := func(of trace.Trace, peak float64) error { _, err := of.Scale(peak); return err }
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"a slice before the start", slice(-time.Minute, time.Minute), "from -1m0s: allowed is 0 to below 4m0s"},
		{"a slice from the end", slice(4*time.Minute, time.Minute), "from 4m0s"},
		{"a slice from within a step", slice(time.Second, time.Minute), "from 1s"},
		{"a slice past the end", slice(3*time.Minute, 2*time.Minute), "length 2m0s: allowed is 1m0s to 1m0s"},
		{"a slice of nothing", slice(0, 0), "length 0s"},
		{"a slice of half a step", slice(0, 90*time.Second), "length 1m30s"},
		{"a peak of zero", scale(load, 0), "peak 0 requests per second"},
		{"a peak that is not a number", scale(load, math.NaN()), "peak NaN"},
		{"a peak above the limit", scale(load, 2e7), "peak 2e+07"},
		{"a trace without load", scale(mustNew(t, time.Minute, 0, 0), 10), "it has no load"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.err == nil || !strings.Contains(tc.err.Error(), tc.want) {
				t.Errorf("error %v, want %q", tc.err, tc.want)
			}
		})
	}
}

func TestInterpolationKeepsTheTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := rapid.SliceOfN(rapid.Float64Range(0, 1000), 1, 40).Draw(t, "rates")
		load, err := trace.New("drawn", start, time.Minute, rates)
		if err != nil {
			t.Fatal(err)
		}
		const slice = time.Second // At is linear within each, so its middle is its mean
		sum := 0.0
		for at := time.Duration(0); at < load.Duration(); at += slice {
			value := load.At(at + slice/2)
			if value < 0 || value > load.Peak() {
				t.Fatalf("At(%v) = %v, outside 0 to the peak %v", at, value, load.Peak())
			}
			sum += value * slice.Seconds()
		}
		if want := load.Mean() * load.Duration().Seconds(); math.Abs(sum-want) > 1e-6*(1+want) {
			t.Fatalf("integral %v, want %v", sum, want)
		}
	})
}

func TestScaleKeepsTheShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates := rapid.SliceOfN(rapid.Float64Range(0.001, trace.MaxRate), 1, 40).Draw(t, "rates")
		peak := rapid.Float64Range(0.001, trace.MaxRate).Draw(t, "peak")
		load, err := trace.New("drawn", start, time.Minute, rates)
		if err != nil {
			t.Fatal(err)
		}
		scaled, err := load.Scale(peak)
		if err != nil {
			t.Fatal(err)
		}
		if scaled.Peak() != peak {
			t.Fatalf("peak %v, want exactly %v", scaled.Peak(), peak)
		}
		if got, want := scaled.Mean()/scaled.Peak(), load.Mean()/load.Peak(); math.Abs(got-want) > 1e-9 {
			t.Fatalf("mean/peak %v, want %v", got, want)
		}
	})
}
