// Package hpa is the referee between the autoscaler and the
// HorizontalPodAutoscaler of Kubernetes: generated cases go to upstream's own
// ReplicaCalculator and HorizontalController on one side and to our policy and
// limits in compatible settings on the other, and it counts where both set the
// same number of replicas.
//
// Decisions compares single moments, Histories whole hours of synchronizations.
// Upstream reads the clock, so both have to be called inside a testing/synctest
// bubble. The settings of both sides are those of kube-controller-manager's
// defaults.
package hpa

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

const syncPeriod = 15 * time.Second // the default of kube-controller-manager

// maxMismatches is how many mismatches a Result describes.
const maxMismatches = 5

// Result counts the cases of a comparison.
type Result struct {
	// Cases is how many were compared, Equal how many of them were equal.
	Cases, Equal int
	// Mismatches describes some of the others, for a person.
	Mismatches []string
	// Covered counts what the cases were, by a word for each kind; a case has
	// several. It shows that a generator reaches what it is for.
	Covered map[string]int
}

func newResult() Result { return Result{Covered: make(map[string]int)} }

func (r *Result) add(mismatch string) {
	r.Cases++
	if mismatch == "" {
		r.Equal++
		return
	}
	r.describe(mismatch)
}

// describe keeps the shortest mismatches: they are the easiest to understand.
func (r *Result) describe(mismatch string) {
	r.Mismatches = append(r.Mismatches, mismatch)
	slices.SortStableFunc(r.Mismatches, func(a, b string) int { return cmp.Compare(len(a), len(b)) })
	r.Mismatches = r.Mismatches[:min(len(r.Mismatches), maxMismatches)]
}

// Merge adds another result to r.
func (r *Result) Merge(other Result) {
	r.Cases += other.Cases
	r.Equal += other.Equal
	for _, m := range other.Mismatches {
		r.describe(m)
	}
	if r.Covered == nil {
		r.Covered = make(map[string]int)
	}
	for kind, n := range other.Covered {
		r.Covered[kind] += n
	}
}

// generator draws a case, or a history, from a source of chance of its own: any
// of them can be had again from the seed and its number.
func generator(seed uint64, number int) *rand.Rand {
	return rand.New(rand.NewPCG(seed, uint64(number)))
}
