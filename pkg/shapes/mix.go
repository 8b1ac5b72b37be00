package shapes

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	v1 "k8s.io/api/core/v1"
)

// Mix is what the pods of a cluster ask for at one moment. It is a snapshot that
// is not changed once made, neither by its maker nor by its readers. The zero
// value is the mix of no pods.
type Mix struct {
	// Shapes are the heaviest first, of equal ones the smaller key first. Each
	// weight is above 0.
	Shapes []Weighted
	// Weight is the sum of the weights of Shapes.
	Weight float64
	// Requested is what live pods request in all, above 0 each, sorted by name; a
	// sum beyond int64 is the largest int64. Pods of shapes too rare to be listed
	// are in it, demand that was not met and pods that ended are not. In a mix
	// from configuration only the proportions have a meaning.
	Requested []Request
	// Changed is how many pods were seen for the first time since the snapshot
	// before.
	Changed int
}

// Weighted is a shape with its part of the mix.
type Weighted struct {
	Shape Shape
	// Key is the shape's key.
	Key string
	// Weight is in pods: live ones count 1 each, unmet demand of the past less.
	Weight float64
}

// sortShapes puts the heaviest first, ties in the order of their keys.
func sortShapes(shapes []Weighted) {
	slices.SortFunc(shapes, func(a, b Weighted) int {
		return cmp.Or(cmp.Compare(b.Weight, a.Weight), cmp.Compare(a.Key, b.Key))
	})
}

func weightOf(shapes []Weighted) float64 {
	sum := 0.0
	for _, s := range shapes {
		sum += s.Weight
	}
	return sum
}

// totals adds up requests exactly, in 128 bits: what is added can be taken out
// again even where the sum passes int64 in between.
type totals map[v1.ResourceName]total

type total struct{ high, low uint64 }

func (t totals) add(requests []Request) {
	for _, r := range requests {
		sum := t[r.Name]
		var carry uint64
		sum.low, carry = bits.Add64(sum.low, uint64(r.Amount), 0)
		sum.high += carry
		t[r.Name] = sum
	}
}

func (t totals) remove(requests []Request) {
	for _, r := range requests {
		sum := t[r.Name]
		var borrow uint64
		sum.low, borrow = bits.Sub64(sum.low, uint64(r.Amount), 0)
		sum.high -= borrow
		if sum == (total{}) {
			delete(t, r.Name) // no memory for resources that nobody asks for
			continue
		}
		t[r.Name] = sum
	}
}

func (t totals) list() []Request {
	requests := make([]Request, 0, len(t))
	for name, sum := range t {
		amount := int64(math.MaxInt64)
		if sum.high == 0 && sum.low <= math.MaxInt64 {
			amount = int64(sum.low)
		}
		requests = append(requests, Request{Name: name, Amount: amount})
	}
	slices.SortFunc(requests, func(a, b Request) int { return cmp.Compare(a.Name, b.Name) })
	return requests
}
