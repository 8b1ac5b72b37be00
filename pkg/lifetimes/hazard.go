package lifetimes

import "math"

// bins of age: the first ends at firstPoint seconds, each further one at sqrt(2)
// times the end of the one before, the last has no end. It begins at 28 days.
const bins = 28

// priorEnds is how many ends in a bin outweigh what the parent group says.
const priorEnds = 5

// Of the cluster nothing is known at first but this: the chance to live t seconds
// more at age a is ((a+lomaxScale)/(a+lomaxScale+t))^lomaxShape (Lomax), as
// strong as half an end in each bin.
const (
	lomaxShape     = 0.7
	lomaxScale     = 900
	clusterPrior   = 0.5
	microsInSecond = 1e6
)

// age of a pod in microseconds, 0 or more.
type age int64

// edges are where each bin begins.
var edges = func() (edges [bins]age) {
	for b := 1; b < bins; b++ {
		edges[b] = age(math.Round(firstPoint * microsInSecond * math.Sqrt(float64(int64(1)<<(b-1)))))
	}
	return edges
}()

// bin returns the bin that holds an age: the power of 2 in its square.
func (a age) bin() int {
	b := binOf(float64(a) / microsInSecond)
	if a < edges[b] {
		return b - 1 // rounded up at the edge
	}
	if b+1 < bins && a >= edges[b+1] {
		return b + 1
	}
	return b
}

// binOf returns the bin that holds an age in seconds, 0 or more. At an edge it
// may be the neighbour by rounding, where both give the same hazard.
func binOf(seconds float64) int {
	ratio := seconds / firstPoint
	exponent := int(math.Float64bits(ratio*ratio)>>52) - 1023 // floor(log2), without a call
	return min(max(exponent+1, 0), bins-1)
}

// history is what was seen of a group in each bin of age.
type history struct {
	ends [bins]uint32
	time [bins]int64 // that pods spent in it, µs
}

// spend adds the time of a pod from one age to another, or takes it out again.
func (h *history) spend(from, to age, sign int64) {
	for b := from.bin(); from < to; b++ {
		until := to
		if b+1 < bins {
			until = min(to, edges[b+1])
		}
		h.time[b] += sign * int64(until-from)
		from = until
	}
}

// table is the hazard of a group for reading.
type table struct {
	rate [bins]float64 // ends a second
	sum  [bins]float64 // of the rate from age 0 to where the bin begins
}

// unlearned is the table before anything is learned: the Lomax hazard's mean in
// each bin.
func unlearned() table {
	var t table
	total := func(seconds float64) float64 { return lomaxShape * math.Log1p(seconds/lomaxScale) }
	for b := range t.rate {
		from := float64(edges[b]) / microsInSecond
		to := from * math.Sqrt2
		if b == 0 {
			to = firstPoint
		}
		t.rate[b] = (total(to) - total(from)) / (to - from)
	}
	return t
}

// shrunk is a group's hazard with its parent's as prior: strength ends, and the
// time in which the parent would have seen them.
func (h *history) shrunk(parent *table, strength float64) table {
	var t table
	for b := range t.rate {
		spent := float64(h.time[b])/microsInSecond + strength/parent.rate[b]
		t.rate[b] = (float64(h.ends[b]) + strength) / spent
		if b > 0 {
			width := float64(edges[b]-edges[b-1]) / microsInSecond
			t.sum[b] = t.sum[b-1] + t.rate[b-1]*width
		}
	}
	return t
}

// at returns the sum of the hazard from age 0 to an age in seconds.
func (t *table) at(seconds float64) float64 {
	b := binOf(seconds)
	return t.sum[b] + t.rate[b]*(seconds-float64(edges[b])/microsInSecond)
}
