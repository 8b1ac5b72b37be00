package openb

import "math"

// Curve is an allocation against arrivals as the artifact of the FGD paper
// aggregates it: the mean over all events at which the arrivals, rounded, are so
// many percent of the GPUs.
type Curve struct {
	sums   []float64
	counts []int
}

// Add notes the state after one arrival: what the arrived pods have asked, and what
// is allocated, in percent of what there is.
func (c *Curve) Add(arrived, allocated float64) {
	at := int(math.RoundToEven(arrived))
	for len(c.sums) <= at {
		c.sums = append(c.sums, 0)
		c.counts = append(c.counts, 0)
	}
	c.sums[at] += math.Round(100*allocated) / 100
	c.counts[at]++
}

// At returns the mean allocation in percent where arrivals are so many percent of
// capacity, and false where no event was.
func (c *Curve) At(arrivedPercent int) (float64, bool) {
	if arrivedPercent < 0 || arrivedPercent >= len(c.counts) || c.counts[arrivedPercent] == 0 {
		return 0, false
	}
	return c.sums[arrivedPercent] / float64(c.counts[arrivedPercent]), true
}

// Until returns At the largest percentage up to arrivedPercent at which there was an
// event; 0 before the first.
func (c *Curve) Until(arrivedPercent int) float64 {
	for at := min(arrivedPercent, c.Len()-1); at >= 0; at-- {
		if value, ok := c.At(at); ok {
			return value
		}
	}
	return 0
}

// Len returns one more than the largest percentage of arrivals noted.
func (c *Curve) Len() int { return len(c.counts) }
