package azure

import "math"

// Shape is a kind of node.
type Shape struct {
	VCPU, MemGB float64
	Price       float64 // of one node for an hour
}

// Bound is the least that any placement could pay for a demand of CPU and memory,
// if machines could be cut into pieces: a linear program over the shapes,
//
//	min price·x  with  vcpu·x >= V,  mem·x >= M,  x >= 0,
//
// solved by its dual, whose corners do not depend on the demand.
type Bound struct {
	corners [][2]float64 // prices of one vCPU and of one GB
	whole   float64      // price of the only shape; 0 with several
}

// NewBound makes the bound for shapes of any number. With one shape nodes are
// counted whole: half a node cannot be had.
func NewBound(shapes []Shape) Bound {
	var b Bound
	if len(shapes) == 1 {
		b.whole = shapes[0].Price
	}
	lines := make([][3]float64, 0, len(shapes)+2)
	for _, s := range shapes {
		lines = append(lines, [3]float64{s.VCPU, s.MemGB, s.Price})
	}
	lines = append(lines, [3]float64{1, 0, 0}, [3]float64{0, 1, 0})
	for i, p := range lines {
		for _, q := range lines[i+1:] {
			det := p[0]*q[1] - p[1]*q[0]
			if det == 0 {
				continue
			}
			corner := [2]float64{(p[2]*q[1] - p[1]*q[2]) / det, (p[0]*q[2] - p[2]*q[0]) / det}
			if feasible(corner, shapes) {
				b.corners = append(b.corners, corner)
			}
		}
	}
	return b
}

// Of returns the least price of an hour for a demand.
func (b Bound) Of(vcpu, memGB float64) float64 {
	var most float64
	for _, c := range b.corners {
		most = max(most, c[0]*vcpu+c[1]*memGB)
	}
	if b.whole > 0 {
		return math.Ceil(most/b.whole-1e-9) * b.whole
	}
	return most
}

// feasible reports whether no shape is worth more than its price.
func feasible(prices [2]float64, shapes []Shape) bool {
	const slack = 1e-9
	if prices[0] < -slack || prices[1] < -slack {
		return false
	}
	for _, s := range shapes {
		if prices[0]*s.VCPU+prices[1]*s.MemGB > s.Price+slack {
			return false
		}
	}
	return true
}
