package nodes

import (
	"fmt"
	"math"
	"time"
)

// StartupDelay is the distribution of the time from a pod's binding until it is Ready:
// log-normal, given by two of its quantiles. (Image pulls and process starts multiply rather
// than add, hence the long right tail.)
type StartupDelay struct {
	Median time.Duration // 0: Ready at once, and P99 is 0 too
	P99    time.Duration // at least Median; equal: every pod takes Median
}

// z99 is the 0.99 quantile of the standard normal distribution.
const z99 = 2.3263478740408408

// Validate reports a distribution that does not exist.
func (d StartupDelay) Validate() error {
	switch {
	case d.Median < 0:
		return fmt.Errorf("pod start-up median: %v is negative", d.Median)
	case d.Median == 0 && d.P99 > 0:
		return fmt.Errorf("pod start-up median: 0 with a p99 of %v: a log-normal delay has a median above 0", d.P99)
	case d.P99 < d.Median:
		return fmt.Errorf("pod start-up p99: %v is below the median %v", d.P99, d.Median)
	}
	return nil
}

// Quantile is the delay that a share q of pods does not exceed, 0 < q < 1.
func (d StartupDelay) Quantile(q float64) time.Duration {
	if d.Median <= 0 {
		return 0
	}
	sigma := math.Log(float64(d.P99)/float64(d.Median)) / z99
	z := math.Sqrt2 * math.Erfinv(2*q-1)
	return time.Duration(float64(d.Median) * math.Exp(sigma*z))
}

// slice is a uniform piece of the distribution.
type slice struct{ from, to time.Duration }

// slices cuts the distribution into n equally likely pieces, each to be drawn from uniformly:
// the piecewise linear approximation of its quantile function, cut at 0.5 % and 99.5 %.
func (d StartupDelay) slices(n int) []slice {
	const edge = 0.005
	out := make([]slice, n)
	for i := range out {
		at := func(k int) time.Duration {
			return d.Quantile(edge + (1-2*edge)*float64(k)/float64(n))
		}
		out[i] = slice{from: at(i), to: at(i + 1)}
	}
	return out
}
