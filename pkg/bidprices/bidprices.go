// Package bidprices values what is free on a node by what the cluster's pods
// could still do with it: each shape of pod has a price at which supply meets
// demand, and free capacity is worth what the dearest mixture of shapes that fits
// into it would bring. What a placement takes from that value is what it costs.
//
// The prices are the dual of "host the mix as often as possible": minimise over
// prices w the value of all nodes, subject to the mix having a fixed value. The
// method is known as bid-price control in revenue management (Talluri and van
// Ryzin, "An analysis of bid-price controls for network revenue management",
// Management Science 44, 1998). The value of one node is a knapsack over one
// resource that comes in pieces (its devices, else the scarcest of its divisible
// resources), softened by a temperature so that it has a gradient, with the other
// resources at shadow prices of the node's own (Lagrangian relaxation): it is an
// upper bound that is exact where at most one of them binds.
//
// It is not for hard limits: what does not fit is a filter's concern.
package bidprices

import (
	"math"
	"slices"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// MaxResources is how many divisible resources can have a price.
const MaxResources = 8

// Shape is one kind of pod in the mix.
type Shape struct {
	// Weight is how many of it the mix holds, above 0.
	Weight float64
	// Requests is what one pod asks of each resource, 0 or more.
	Requests []float64
	// Devices is how many devices it asks for, 0 for none.
	Devices int
	// Milli is the share of each device in thousandths, 1 to 1000; more than one
	// device are whole.
	Milli int64
	// Price is what it was worth at the last Solve, in nodes; 0 where unknown.
	Price float64
}

// Kind is a set of nodes on which the same shapes are allowed.
type Kind struct {
	// Shapes are the indexes of shapes that may be placed on such nodes.
	Shapes []int
	// Devices tells that the nodes have devices. Then shapes without devices have
	// no price on them: they cost what they take from those with.
	Devices bool
}

// Type is a number of nodes that are alike when empty.
type Type struct {
	Kind int
	// Capacity is what an empty node offers of each resource.
	Capacity []float64
	// Devices is how many it has.
	Devices int
	// Count is how many nodes there are, above 0.
	Count float64
}

// Problem is a cluster and what is asked of it.
type Problem struct {
	// Resources is the number of divisible resources, 0 to MaxResources.
	Resources int
	Shapes    []Shape
	Kinds     []Kind
	Types     []Type
}

// Node is what is free on one node.
type Node struct {
	Kind int
	Free [MaxResources]float64
	// Whole counts the devices that are wholly free.
	Whole int
	// Partial holds the free thousandths of each other device.
	Partial []int64
}

// Hint remembers where a search ended, which is where the next one for the same
// node begins. The zero value begins at the lowest prices.
type Hint [MaxResources]uint8

// Prices value nodes. They are not changed once solved and are safe for
// concurrent use. A nil *Prices values everything at 0.
type Prices struct {
	shapes  []float64
	markets []market
}

// Of returns the price of a shape of the problem, in nodes.
func (p *Prices) Of(shape int) float64 { return p.shapes[shape] }

// Value returns what is free on a node is worth, in nodes: an empty node of
// average size is worth about 1. It is the smallest of several upper bounds, one
// for each shadow price tried; along each resource the bound is convex in its
// price, so a walk downhill from the last one finds it.
func (p *Prices) Value(n *Node, hint *Hint) float64 {
	if p == nil || n.Kind < 0 || n.Kind >= len(p.markets) {
		return 0
	}
	m := &p.markets[n.Kind]
	if len(m.tables) == 0 {
		return 0
	}
	if len(m.axes) == 0 {
		return m.at(0, n)
	}
	place := m.place(n)
	best := math.Inf(1)
	for a := range m.axes {
		best = min(best, m.descend(&m.axes[a], &place, n, &hint[a]))
	}
	return best
}

// Price limits: a shape is worth 0.3 to 3 times its size. A shape that no node
// can host would otherwise rise without end.
const (
	lowestPrice  = 0.3
	highestPrice = 3.0
)

// Solve finds the prices at which supply meets demand, starting from those of
// the shapes, in at most so many steps; it stops when a step moves no price by
// more than a thousandth of what the average shape is worth. Shapes that ask for
// nothing that has a price, or come in no number, are left out.
func Solve(p Problem, steps int) *Prices {
	s := newSolver(p)
	for range steps {
		if moved := s.step(); moved < 1e-3 {
			break
		}
	}
	return s.prices()
}

// solver holds a problem in units of nodes and cells.
type solver struct {
	problem Problem
	markets []market
	// Of each shape: its size and its price in nodes. A size of 0 has no price.
	value, price []float64
	// Of each group (without devices, with): the temperature in nodes.
	temperature [2]float64
	// Where each type's search ended.
	hints []Hint
}

func group(devices bool) int {
	if devices {
		return 1
	}
	return 0
}

func newSolver(p Problem) *solver {
	s := &solver{
		problem: p,
		value:   make([]float64, len(p.Shapes)),
		price:   make([]float64, len(p.Shapes)),
		hints:   make([]Hint, len(p.Types)),
	}
	scale := newScale(p)
	s.sizeShapes(scale)
	s.markets = make([]market, len(p.Kinds))
	for k := range p.Kinds {
		s.markets[k] = s.newMarket(k, scale)
	}
	return s
}

// softness is the temperature as a share of the average shape. Half to twice as
// much measures alike; above 3 % the room for large pods is not kept (docs).
const softness = 0.015

func (s *solver) sizeShapes(scale scale) {
	var sum, weight [2]float64
	for i, shape := range s.problem.Shapes {
		g := group(shape.Devices > 0)
		switch {
		case !(shape.Weight > 0):
		case shape.Devices > 0 && scale.devices > 0:
			s.value[i] = float64(shape.Devices) * float64(shape.Milli) / devices.Whole / scale.devices
		case shape.Devices == 0 && scale.primary >= 0:
			s.value[i] = shape.Requests[scale.primary] / scale.perNode[0][scale.primary]
		}
		if !(s.value[i] > 0) || math.IsInf(s.value[i], 0) {
			s.value[i] = 0
			continue
		}
		s.price[i] = s.value[i]
		if shape.Price > 0 {
			s.price[i] = min(max(shape.Price, lowestPrice*s.value[i]), highestPrice*s.value[i])
		}
		sum[g] += shape.Weight * s.value[i]
		weight[g] += shape.Weight
	}
	for g := range sum {
		if weight[g] > 0 {
			s.temperature[g] = softness * sum[g] / weight[g]
		}
	}
}

// stride is the price step as a share of the temperature. The answer of supply
// to a price is about 1/temperature, so that steps near 1 overshoot.
const stride = 0.5

// step moves every price once towards supply = demand, and returns the largest
// move as a share of the average shape's size.
func (s *solver) step() float64 {
	supply := s.supply()
	moved := 0.0
	for g := range s.temperature {
		moved = max(moved, s.reprice(g, supply))
	}
	return moved
}

// almostNone keeps logarithms of counts finite.
const almostNone = 1e-3

// reprice raises the shapes of a group that are in short supply and lowers the
// others, so that the mix as a whole keeps its value.
func (s *solver) reprice(g int, supply []float64) float64 {
	temperature := s.temperature[g]
	if temperature == 0 {
		return 0
	}
	size, logRatio := 0.0, 0.0
	for i := range supply {
		if s.isPriced(i, g) {
			worth := s.problem.Shapes[i].Weight * s.value[i]
			size += worth
			logRatio += worth * math.Log((supply[i]+almostNone)/s.problem.Shapes[i].Weight)
		}
	}
	served := math.Exp(logRatio / size) // how often the mix could be hosted
	worth := 0.0
	before := slices.Clone(s.price)
	for i := range supply {
		if s.isPriced(i, g) {
			weight := s.problem.Shapes[i].Weight
			short := math.Log((served*weight + almostNone) / (supply[i] + almostNone))
			s.price[i] += stride * temperature * min(max(short, -4), 4)
			s.price[i] = max(s.price[i], lowestPrice*s.value[i])
			worth += weight * s.price[i]
		}
	}
	moved := 0.0
	for i := range supply {
		if s.isPriced(i, g) {
			s.price[i] = min(max(s.price[i]*size/worth, lowestPrice*s.value[i]), highestPrice*s.value[i])
			moved = max(moved, math.Abs(s.price[i]-before[i])*softness/temperature)
		}
	}
	return moved
}

func (s *solver) isPriced(shape, g int) bool {
	return s.value[shape] > 0 && group(s.problem.Shapes[shape].Devices > 0) == g
}

// supply returns how many pods of each shape all nodes, empty, would host at the
// present prices: the derivative of their value by each price.
func (s *solver) supply() []float64 {
	supply := make([]float64, len(s.price))
	for k := range s.markets {
		s.markets[k].forget()
	}
	type crowd struct {
		kind, table int
	}
	var order []crowd
	nodes := map[crowd]*stock{}
	for t, of := range s.problem.Types {
		m := &s.markets[of.Kind]
		n := emptyNode(of)
		table := s.cheapest(m, &n, &s.hints[t])
		if table < 0 {
			continue
		}
		c := crowd{of.Kind, table}
		if nodes[c] == nil {
			nodes[c] = m.newStock()
			order = append(order, c)
		}
		m.stockUp(nodes[c], &n, of.Count)
	}
	for _, c := range order {
		s.serve(c.kind, c.table, nodes[c], supply)
	}
	return supply
}

// cheapest returns the table that bounds a node best, building those it looks at.
func (s *solver) cheapest(m *market, n *Node, hint *Hint) int {
	if len(m.tables) == 0 {
		return -1
	}
	if len(m.axes) == 0 {
		s.build(m, 0, false)
		return 0
	}
	best, least := -1, math.Inf(1)
	for a, axis := range m.axes {
		at := func(i int) float64 {
			s.build(m, axis.tables[i], false)
			return m.at(axis.tables[i], n)
		}
		i := min(int(hint[a]), len(axis.tables)-1)
		value := at(i)
		for i+1 < len(axis.tables) {
			next := at(i + 1)
			if next >= value {
				break
			}
			value, i = next, i+1
		}
		for i > 0 {
			next := at(i - 1)
			if next >= value {
				break
			}
			value, i = next, i-1
		}
		hint[a] = uint8(i)
		if value < least {
			best, least = axis.tables[i], value
		}
	}
	return best
}

func (s *solver) prices() *Prices {
	for k := range s.markets {
		m := &s.markets[k]
		m.forget()
		for t := range m.tables {
			s.build(m, t, false)
		}
	}
	return &Prices{shapes: s.price, markets: s.markets}
}

func emptyNode(t Type) Node {
	n := Node{Kind: t.Kind, Whole: t.Devices}
	copy(n.Free[:], t.Capacity)
	return n
}
