// Package quantity reads the quantities of the metrics APIs as numbers, without
// the silent overflow of resource.Quantity: its MilliValue of 10P is 0.
package quantity

import (
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const (
	maxMilli = math.MaxInt64 / 1000 // in units: the next whole unit overflows an int64 of thousandths
	maxExact = 1 << 53 / 1000       // in units: up to here a float64 has all thousandths
)

// Milli is q in thousandths, rounded away from 0 as the HorizontalPodAutoscaler
// does, and whether it is a measurement: it is none if it is negative or
// overflows.
func Milli(q *resource.Quantity) (milli int64, valid bool) {
	if q.Sign() < 0 || q.CmpInt64(maxMilli) > 0 {
		return 0, false
	}
	return q.MilliValue(), true
}

// Value is q as a number, rounded like Milli where a float64 has thousandths. It
// may be negative.
func Value(q *resource.Quantity) float64 {
	if q.CmpInt64(maxExact) > 0 || q.CmpInt64(-maxExact) < 0 {
		return q.AsApproximateFloat64()
	}
	return float64(q.MilliValue()) / 1000
}

// Reading is a metric with the one value v, measured at the time at, or why v is
// no measurement.
func Reading(v float64, at time.Time) scaling.Metric {
	if u := scaling.CheckValue(v, at, at, 0); u.Set() {
		return scaling.Metric{Unknown: u}
	}
	return scaling.Metric{Value: v, At: at}
}
