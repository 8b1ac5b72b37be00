package lifetimes

import "time"

// Points is how many times a Curve looks ahead to.
const Points = 12

// firstPoint is the first time ahead that is not now, in seconds. Each further
// one is twice the one before, so the last is 85 h 20 min ahead.
const firstPoint = 300

// Curve is the chance that a pod is still alive at each time of Grid from now:
// from 0 to 1, never rising, 1 at first for a pod that is alive.
type Curve [Points]float64

// Grid returns the times ahead: now, 5 min, 10 min, 20 min and so on to
// 85 h 20 min.
func Grid() [Points]time.Duration {
	var grid [Points]time.Duration
	for j := range grid {
		grid[j] = time.Duration(pointAt(j)) * time.Second
	}
	return grid
}

// Weights returns the weights, in seconds, with which the sum over a curve is the
// area below it (trapezoid rule). Their sum is the whole grid, 307200 s.
func Weights() [Points]float64 {
	var weights [Points]float64
	for j := range weights {
		before, after := pointAt(max(j-1, 0)), pointAt(min(j+1, Points-1))
		weights[j] = (after - before) / 2
	}
	return weights
}

// Exact is the curve of a pod that is known to end after the time that remains: 1
// at the points before, 0 at those after. Each point stands for the part of the
// grid that its weight covers, and the pod for those parts of which it lives more
// than half. The area below it is off by half a part at most. Steps, and not a
// share of the last part, because curves are multiplied: a pod that ends with its
// neighbours would seem to outlive them. (In the churn benchmark shares cost 0.8
// points of node-hours more than steps.)
func Exact(remaining time.Duration) Curve {
	var c Curve
	begin := 0.0
	for j, weight := range Weights() {
		if remaining.Seconds() > begin+weight/2 {
			c[j] = 1
		}
		begin += weight
	}
	return c
}

// Until returns the curve of the same pod if it is ended after the time that
// remains, should it live so long.
func (c Curve) Until(remaining time.Duration) Curve {
	for j, alive := range Exact(remaining) {
		c[j] *= alive
	}
	return c
}

// pointAt returns a time of the grid in seconds.
func pointAt(j int) float64 {
	if j == 0 {
		return 0
	}
	return float64(int64(firstPoint) << (j - 1))
}
