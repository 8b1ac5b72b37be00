// Package trace reads and makes load traces (requests per second over time), for the lab and the benchmarks to replay.
package trace

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Limits of a trace. They keep sums and durations far from overflow and a wrong file from filling the memory.
const (
	// MaxRate is the highest rate of a trace, in requests per second.
	MaxRate = 1e7
	// MinStep and MaxStep bound the time between two values.
	MinStep = time.Millisecond
	MaxStep = 24 * time.Hour
	// MaxDuration bounds the whole trace.
	MaxDuration = 100 * 365 * 24 * time.Hour
	// MaxSteps bounds the number of values: a month in steps of a second fits.
	MaxSteps = 4_000_000
)

// Trace is a load over time. Its i-th value is the mean load, in requests per second, from Start + i steps to one step later.
// A Trace does not change: its methods return new ones. The zero Trace has no steps, and no load at any time.
// It says nothing about single requests: neither their arrival times nor their work.
type Trace struct {
	name  string
	start time.Time
	step  time.Duration
	rates []float64
}

// New returns the trace of these rates, in requests per second (0 to MaxRate). It needs at least one rate, a step between
// MinStep and MaxStep, and no more than MaxSteps and MaxDuration in all.
func New(name string, start time.Time, step time.Duration, rates []float64) (Trace, error) {
	if step < MinStep || step > MaxStep {
		return Trace{}, fmt.Errorf("trace %s: step %v: allowed is %v to %v", name, step, MinStep, MaxStep)
	}
	most := min(MaxSteps, int(MaxDuration/step))
	if len(rates) < 1 || len(rates) > most {
		return Trace{}, fmt.Errorf("trace %s: %d values: allowed is 1 to %d for a step of %v", name, len(rates), most, step)
	}
	for i, r := range rates {
		if !isRate(r) {
			return Trace{}, fmt.Errorf("trace %s: value %d: %v requests per second: allowed is 0 to %v", name, i, r, MaxRate)
		}
	}
	return Trace{name: name, start: start, step: step, rates: slices.Clone(rates)}, nil
}

// isRate is false for NaN too.
func isRate(r float64) bool { return r >= 0 && r <= MaxRate }

// Name says where the trace comes from: a file's name, or the seed of a synthetic one.
func (t Trace) Name() string { return t.name }

// Named returns the trace under another name.
func (t Trace) Named(name string) Trace {
	t.name = name
	return t
}

// Start is the time of day at which the trace begins; the zero time when the file gives only offsets.
func (t Trace) Start() time.Time { return t.start }

// Step is the time that one value stands for.
func (t Trace) Step() time.Duration { return t.step }

// Steps is the number of values.
func (t Trace) Steps() int { return len(t.rates) }

// Duration is the time that the trace covers: Steps times Step.
func (t Trace) Duration() time.Duration { return time.Duration(len(t.rates)) * t.step }

// At returns the load at this time after Start, in requests per second: linear between the midpoints of the steps, and the
// nearest value in the first and last half step and beyond. The mean of At over the whole trace is Mean.
func (t Trace) At(offset time.Duration) float64 {
	if len(t.rates) == 0 {
		return 0
	}
	position := float64(offset)/float64(t.step) - 0.5
	last := len(t.rates) - 1
	switch {
	case position <= 0:
		return t.rates[0]
	case position >= float64(last):
		return t.rates[last]
	}
	whole, share := math.Modf(position)
	left, right := t.rates[int(whole)], t.rates[int(whole)+1]
	return left + (right-left)*share
}

// Mean is the mean load in requests per second.
func (t Trace) Mean() float64 {
	if len(t.rates) == 0 {
		return 0
	}
	sum := 0.0
	for _, r := range t.rates {
		sum += r
	}
	return sum / float64(len(t.rates))
}

// Peak is the highest value in requests per second.
func (t Trace) Peak() float64 {
	if len(t.rates) == 0 {
		return 0
	}
	return slices.Max(t.rates)
}

// Slice returns the part that begins `from` after Start and is `length` long. Both must be whole steps inside the trace.
func (t Trace) Slice(from, length time.Duration) (Trace, error) {
	switch {
	case len(t.rates) == 0:
		return Trace{}, fmt.Errorf("slice trace: the trace is empty")
	case from < 0 || from >= t.Duration() || from%t.step != 0:
		return Trace{}, fmt.Errorf("slice trace %s: from %v: allowed is 0 to below %v in steps of %v",
			t.name, from, t.Duration(), t.step)
	case length <= 0 || length > t.Duration()-from || length%t.step != 0:
		return Trace{}, fmt.Errorf("slice trace %s: length %v: allowed is %v to %v in steps of %v",
			t.name, length, t.step, t.Duration()-from, t.step)
	}
	first := int(from / t.step)
	return Trace{
		name:  t.name,
		start: t.start.Add(from),
		step:  t.step,
		rates: slices.Clone(t.rates[first : first+int(length/t.step)]),
	}, nil
}

// Scale returns the same shape with this peak in requests per second (above 0, at most MaxRate). A trace without load has no
// shape to scale.
func (t Trace) Scale(peak float64) (Trace, error) {
	if !isRate(peak) || peak == 0 {
		return Trace{}, fmt.Errorf("scale trace %s: peak %v requests per second: allowed is above 0, to %v", t.name, peak, MaxRate)
	}
	old := t.Peak()
	if old == 0 {
		return Trace{}, fmt.Errorf("scale trace %s: it has no load", t.name)
	}
	scaled := t
	scaled.rates = make([]float64, len(t.rates))
	for i, r := range t.rates {
		scaled.rates[i] = r / old * peak
	}
	return scaled, nil
}
