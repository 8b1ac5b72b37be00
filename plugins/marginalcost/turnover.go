package marginalcost

import (
	"math"
	"time"
)

// turnover estimates the share of placements that end: how much of a placement
// will be given back. Where nothing ever leaves, no node is ever emptied, and
// keeping nodes empty buys nothing: only what can still be hosted counts. The
// zero value has seen nothing.
type turnover struct {
	started, ended float64 // pods, decayed
	at             time.Time
}

const (
	turnoverHalfLife = 7 * 24 * time.Hour
	// turnoverPrior is the weight, in pods, of the assumption that all end.
	turnoverPrior = 0.1
)

func (t *turnover) decay(now time.Time) {
	if elapsed := now.Sub(t.at); elapsed > 0 {
		if !t.at.IsZero() {
			kept := math.Exp2(-elapsed.Seconds() / turnoverHalfLife.Seconds())
			t.started *= kept
			t.ended *= kept
		}
		t.at = now
	}
}

// start counts a pod that was bound, end one that was bound before and is gone.
func (t *turnover) start(now time.Time) { t.decay(now); t.started++ }
func (t *turnover) end(now time.Time)   { t.decay(now); t.ended++ }

// share returns the estimate, above 0, at most 1. It is 1 before anything is
// known, and while more ends than starts.
func (t *turnover) share(now time.Time) float64 {
	t.decay(now)
	return min(1, (t.ended+turnoverPrior)/(t.started+turnoverPrior))
}
