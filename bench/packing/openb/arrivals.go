package openb

import (
	"cmp"
	"fmt"
	"math/rand"
	"slices"
)

// Inflation is how much the arrivals of the paper ask, as a multiple of what the
// cluster has.
const Inflation = 1.3

// startupDraws is how many random numbers the artifact's scheduler takes between
// making the arrivals and naming the nodes. Found by matching published curves.
const startupDraws = 10

// Arrivals is one run of the paper's protocol: pods in the order of arrival, and
// nodes whose names order them where scores are equal.
type Arrivals struct {
	Pods []Pod
	// Nodes carry a number of four digits before their names, drawn at random:
	// among equal scores the smallest name wins.
	Nodes []Node
}

// Demand is what is inflated.
type Demand struct {
	OfNode func(Node) int64
	OfPod  func(Pod) int64
	// Unit is what a pod asks of one of its devices. The artifact compares this
	// with the room left, and so stops late for pods of several GPUs.
	Unit func(Pod) int64
}

// GPUDemand is the paper's: GPUs.
func GPUDemand() Demand {
	return Demand{
		OfNode: func(n Node) int64 { return int64(n.GPUs) * WholeGPU },
		OfPod:  Pod.GPUDemand,
		Unit:   func(p Pod) int64 { return p.GPUMilli },
	}
}

// CPUDemand inflates CPU.
func CPUDemand() Demand {
	return Demand{
		OfNode: func(n Node) int64 { return n.CPUMilli },
		OfPod:  func(p Pod) int64 { return p.CPUMilli },
		Unit:   func(p Pod) int64 { return p.CPUMilli },
	}
}

// Arrive makes the arrivals of the artifact of the paper, number by number of its
// random source: the pods sorted by name and shuffled, then copies of randomly
// drawn ones until together they ask inflation times what the nodes have (or
// pods are left out, where the list asks more), then an order of the nodes.
// The lists are not changed. seed is from 42 to 51 in the paper.
func Arrive(nodes []Node, pods []Pod, seed int64, inflation float64, demand Demand) Arrivals {
	rng := rand.New(rand.NewSource(seed)) // The published sequences are those of this source.
	rng.Int()                             // the argument of a line in the artifact's log

	arriving := slices.Clone(pods)
	slices.SortStableFunc(arriving, func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	rng.Shuffle(len(arriving), func(i, j int) { arriving[i], arriving[j] = arriving[j], arriving[i] })
	arriving = inflate(arriving, pods, inflation*float64(total(nodes, demand.OfNode)), demand, rng)

	for range startupDraws {
		rng.Int()
	}
	ordered := slices.Clone(nodes)
	slices.SortStableFunc(ordered, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	for i, place := range rng.Perm(len(ordered)) {
		ordered[i].Name = fmt.Sprintf("%04d-%s", place, ordered[i].Name)
	}
	return Arrivals{Pods: arriving, Nodes: ordered}
}

// inflate adds copies of pods, or leaves pods out, until the target is reached.
func inflate(arriving, pods []Pod, target float64, demand Demand, rng *rand.Rand) []Pod {
	asked := total(arriving, demand.OfPod)
	for float64(asked) > target {
		i := rng.Intn(len(arriving))
		asked -= demand.OfPod(arriving[i])
		arriving = slices.Delete(arriving, i, i+1)
		if float64(asked) <= target {
			return arriving
		}
	}
	if asked == 0 || float64(asked) == target {
		return arriving // nothing to multiply
	}
	for copies := 0; ; copies++ {
		added := pods[rng.Intn(len(pods))]
		if float64(asked+demand.Unit(added)) > target {
			return arriving
		}
		asked += demand.OfPod(added)
		added.Name = fmt.Sprintf("%s-copy-%d", added.Name, copies)
		arriving = append(arriving, added)
	}
}

func total[T any](list []T, of func(T) int64) int64 {
	var sum int64
	for _, item := range list {
		sum += of(item)
	}
	return sum
}
