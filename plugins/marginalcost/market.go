package marginalcost

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/bidprices"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

// model is what was learned, as of one moment. It is not changed once stored.
type model struct {
	epoch    uint64
	mix      *shapes.Mix
	live     float64 // pods of the mix of the cluster, pinned or not
	turnover float64
	survival *lifetimes.Snapshot
	market   market
}

// market is the mix and the nodes in the terms of bid prices. The zero value has
// no prices.
type market struct {
	prices *bidprices.Prices
	// axes are the divisible resources with a price.
	axes []v1.ResourceName
	// classes are the extended resources that count as devices on nodes of which
	// nobody else knows the devices, the scarcest first.
	classes []v1.ResourceName
	// wanted is what the mix requests of the axes, pod slots left out.
	wanted []shapes.Request
	// selectors tell nodes apart, by the shapes that they admit.
	selectors []shapes.Matcher
	kinds     map[kindKey]int
	// kindOf the nodes known when the market was made.
	kindOf map[string]int
	// average is what an empty node of each kind is worth on average, in nodes.
	average []float64
	// priceOf the shapes by key, to begin the next search with.
	priceOf map[string]float64
}

// kindKey is which selectors a node's labels satisfy, and what devices it has.
type kindKey struct {
	selectors uint64
	class     string
}

// maxSelectors is how many distinct demands on nodes are told apart: those of the
// heaviest shapes. Shapes with further ones have no price.
const maxSelectors = 64

// noKind is the kind of a node about which the market knows nothing.
const noKind = -1

// newMarket solves for the prices of a mix on the given nodes, all empty.
func newMarket(mix *shapes.Mix, nodes []*v1.Node, source devices.Source, before map[string]float64, steps int) market {
	m := market{kinds: map[kindKey]int{}, kindOf: map[string]int{}, priceOf: map[string]float64{}}
	offered := make([]v1.ResourceList, len(nodes))
	for i, node := range nodes {
		offered[i] = node.Status.Allocatable
	}
	m.classes = deviceClasses(mix, offered)
	m.axes = m.chooseAxes(mix, offered)
	m.wanted = m.wantedOf(mix)
	selectorOf := m.readSelectors(mix)
	problem := bidprices.Problem{Resources: len(m.axes)}
	problem.Types = m.types(nodes, offered, source)
	for _, weighted := range mix.Shapes {
		problem.Shapes = append(problem.Shapes, m.shape(weighted, before))
	}
	problem.Kinds = make([]bidprices.Kind, len(m.kinds))
	for key, kind := range m.kinds {
		problem.Kinds[kind] = m.admits(key, mix, problem.Shapes, selectorOf)
	}
	if len(problem.Shapes) == 0 || len(problem.Types) == 0 {
		return m
	}
	m.prices = bidprices.Solve(problem, steps)
	for i, weighted := range mix.Shapes {
		m.priceOf[weighted.Key] = m.prices.Of(i)
	}
	m.average = averages(m.prices, &problem)
	return m
}

// averages returns what an empty node of each kind is worth, on average. With
// devices it is without bounds: their largest pods take whole devices, for which
// prices keep room by themselves, and opening the dear nodes last filled those that
// constrained pods need (2 to 5 points of GPU allocation on gpuspec10 and 25).
func averages(prices *bidprices.Prices, problem *bidprices.Problem) []float64 {
	worth, count := make([]float64, len(problem.Kinds)), make([]float64, len(problem.Kinds))
	for _, t := range problem.Types {
		empty := bidprices.Node{Kind: t.Kind, Whole: t.Devices}
		copy(empty.Free[:], t.Capacity)
		var hint bidprices.Hint
		worth[t.Kind] += t.Count * prices.Value(&empty, &hint)
		count[t.Kind] += t.Count
	}
	for kind := range worth {
		worth[kind] /= max(count[kind], 1)
		if problem.Kinds[kind].Devices {
			worth[kind] = math.Inf(1)
		}
	}
	return worth
}

// deviceClasses are the extended resources of the mix that come in pieces, the one
// that it would use up first in front: a node has one class, and of the GPUs and a
// plentiful resource beside them it is the GPUs. Of what a node offers more than
// maxDevices is an amount, such as bandwidth, and divisible like CPU.
func deviceClasses(mix *shapes.Mix, offered []v1.ResourceList) []v1.ResourceName {
	asked := map[v1.ResourceName]float64{}
	for i := range mix.Shapes {
		for _, r := range mix.Shapes[i].Shape.Requests {
			if isExtended(r.Name) {
				asked[r.Name] += mix.Shapes[i].Weight * float64(r.Amount)
			}
		}
	}
	var classes []v1.ResourceName
	for name := range asked {
		total, most := 0.0, int64(0)
		for _, list := range offered {
			amount := unitsOf(list, name)
			total, most = total+float64(amount), max(most, amount)
		}
		if most <= maxDevices {
			asked[name] /= max(total, 1)
			classes = append(classes, name)
		}
	}
	slices.SortFunc(classes, func(a, b v1.ResourceName) int { return cmp.Or(cmp.Compare(asked[b], asked[a]), cmp.Compare(a, b)) })
	return classes
}

// isExtended reports whether a resource is an extended one: of a domain that is
// not Kubernetes' own.
func isExtended(name v1.ResourceName) bool {
	domain, _, named := strings.Cut(string(name), "/")
	return named && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io") && !strings.HasPrefix(domain, "requests.")
}

// leastPart is the least part of the scarcest resource's use that makes another
// resource scarce enough to have a price.
const leastPart = 0.2

// chooseAxes returns the divisible resources, pod slots among them, of which the
// mix would use up a share of the cluster that is not small beside the largest.
func (m *market) chooseAxes(mix *shapes.Mix, offered []v1.ResourceList) []v1.ResourceName {
	asked := map[v1.ResourceName]float64{v1.ResourcePods: mix.Weight}
	for i := range mix.Shapes {
		for _, r := range mix.Shapes[i].Shape.Requests {
			if !slices.Contains(m.classes, r.Name) {
				asked[r.Name] += mix.Shapes[i].Weight * float64(r.Amount)
			}
		}
	}
	type use struct {
		name  v1.ResourceName
		share float64
	}
	var uses []use
	most := 0.0
	for name, amount := range asked {
		total := 0.0
		for _, list := range offered {
			total += float64(unitsOf(list, name))
		}
		if total > 0 && amount > 0 {
			uses = append(uses, use{name, amount / total})
			most = max(most, amount/total)
		}
	}
	slices.SortFunc(uses, func(a, b use) int { return cmp.Or(cmp.Compare(b.share, a.share), cmp.Compare(a.name, b.name)) })
	var axes []v1.ResourceName
	for _, u := range uses {
		if u.share >= leastPart*most && len(axes) < bidprices.MaxResources {
			axes = append(axes, u.name)
		}
	}
	slices.Sort(axes)
	return axes
}

func (m *market) wantedOf(mix *shapes.Mix) []shapes.Request {
	var wanted []shapes.Request
	for _, r := range mix.Requested {
		if len(wanted) < maxWanted && (slices.Contains(m.axes, r.Name) || slices.Contains(m.classes, r.Name)) {
			wanted = append(wanted, r)
		}
	}
	return wanted
}

// readSelectors returns the index of each shape's selector: -1 for none, -2 for
// one that is not told apart.
func (m *market) readSelectors(mix *shapes.Mix) []int {
	at := map[string]int{"": -1}
	selectorOf := make([]int, len(mix.Shapes))
	for i := range mix.Shapes {
		selector := mix.Shapes[i].Shape.Selector
		index, known := at[selector]
		if !known {
			index = -2
			if matcher, err := shapes.NewMatcher(selector); err == nil && len(m.selectors) < maxSelectors {
				index = len(m.selectors)
				m.selectors = append(m.selectors, matcher)
			}
			at[selector] = index
		}
		selectorOf[i] = index
	}
	return selectorOf
}

// types counts nodes that are alike, and notes the kind of each.
func (m *market) types(nodes []*v1.Node, offered []v1.ResourceList, source devices.Source) []bidprices.Type {
	var types []bidprices.Type
	at := map[string]int{}
	for i, node := range nodes {
		class, count := m.devicesOf(node, source)
		key := kindKey{m.match(node), class}
		kind, known := m.kinds[key]
		if !known {
			kind = len(m.kinds)
			m.kinds[key] = kind
		}
		m.kindOf[node.Name] = kind
		capacity := make([]float64, len(m.axes))
		text := binary.AppendVarint(binary.AppendVarint(nil, int64(kind)), int64(count))
		for a, name := range m.axes {
			amount := unitsOf(offered[i], name)
			capacity[a] = float64(amount)
			text = binary.AppendVarint(text, amount)
		}
		t, known := at[string(text)]
		if !known {
			t = len(types)
			at[string(text)] = t
			types = append(types, bidprices.Type{Kind: kind, Capacity: capacity, Devices: count})
		}
		types[t].Count++
	}
	return types
}

// match returns the set of selectors that a node satisfies.
func (m *market) match(node *v1.Node) uint64 {
	var set uint64
	for i, selector := range m.selectors {
		if selector.Matches(node) {
			set |= 1 << i
		}
	}
	return set
}

// maxDevices bounds the table of whole devices of a node.
const maxDevices = 256

// devicesOf returns the class of a node's devices and how many it has.
func (m *market) devicesOf(node *v1.Node, source devices.Source) (class string, count int) {
	if state := stateOf(source, node.Name); state.Class != "" {
		return state.Class, min(len(state.Free), maxDevices)
	}
	for _, name := range m.classes {
		if n := unitsOf(node.Status.Allocatable, name); n > 0 {
			return string(name), int(min(n, maxDevices))
		}
	}
	return "", 0
}

// shape puts a shape of the mix in the terms of bid prices.
func (m *market) shape(weighted shapes.Weighted, before map[string]float64) bidprices.Shape {
	d := m.deviceRequest(&weighted.Shape)
	s := bidprices.Shape{
		Weight: weighted.Weight, Requests: make([]float64, len(m.axes)), Devices: d.Count, Milli: d.Milli,
		Price: before[weighted.Key],
	}
	for a, name := range m.axes {
		if name == v1.ResourcePods {
			s.Requests[a] = 1
			continue
		}
		for _, r := range weighted.Shape.Requests {
			if r.Name == name {
				s.Requests[a] = float64(r.Amount)
			}
		}
	}
	return s
}

// deviceRequest returns what a shape asks of devices: those that a source told,
// else the scarcest of its extended resources.
func (m *market) deviceRequest(s *shapes.Shape) devices.Request {
	if s.Devices.Count > 0 {
		return s.Devices
	}
	for _, class := range m.classes {
		for _, r := range s.Requests {
			if r.Name == class {
				return devices.Request{Class: string(class), Count: int(min(r.Amount, math.MaxInt32)), Milli: devices.Whole}
			}
		}
	}
	return devices.Request{}
}

// admits lists the shapes that may be placed on nodes of a kind.
func (m *market) admits(key kindKey, mix *shapes.Mix, priced []bidprices.Shape, selectorOf []int) bidprices.Kind {
	kind := bidprices.Kind{Devices: key.class != ""}
	for i := range priced {
		s := selectorOf[i]
		if s == -2 || s >= 0 && key.selectors>>s&1 == 0 {
			continue
		}
		if priced[i].Devices > 0 && m.deviceRequest(&mix.Shapes[i].Shape).Class != key.class {
			continue
		}
		kind.Shapes = append(kind.Shapes, i)
	}
	return kind
}

// kind returns the kind of a node, of one that joined after the market was made
// by its labels.
func (m *market) kind(node fwk.NodeInfo, source devices.Source) int {
	if kind, known := m.kindOf[node.Node().Name]; known {
		return kind
	}
	if m.prices == nil {
		return noKind
	}
	class, _ := m.devicesOf(node.Node(), source)
	if kind, known := m.kinds[kindKey{m.match(node.Node()), class}]; known {
		return kind
	}
	return noKind
}

// unitsOf reads a resource in the framework's unit.
func unitsOf(list v1.ResourceList, name v1.ResourceName) int64 {
	quantity, ok := list[name]
	if !ok || quantity.Sign() <= 0 {
		return 0
	}
	return units(name, quantity)
}
