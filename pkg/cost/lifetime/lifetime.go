// Package lifetime prices the time for which a pod alone would keep its node: a
// node empties only when its last pod leaves.
package lifetime

import (
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// Horizon is the time, in seconds, for which keeping a node costs one share.
const Horizon = 6 * 3600

// MaxShare is the largest Share: a pod that outlives the whole look-ahead of
// 85 h 20 min alone on its node.
const MaxShare = 307200.0 / Horizon

// SiblingFactor is what is left of a pod's Share on a node that holds a pod of
// the same owner: such pods tend to leave together. It is for costs without a
// term that spreads an owner's pods; with one it would work against it.
const SiblingFactor = 0.1

// Occupancy is the chance that no pod of a node is alive, at each time of
// lifetimes.Grid from now: from 0 to 1. A node's Occupancy holds for some minutes:
// it changes with its pods at once, with their age slowly.
type Occupancy [lifetimes.Points]float64

// Empty is the Occupancy of a node without pods.
func Empty() Occupancy {
	var o Occupancy
	for j := range o {
		o[j] = 1
	}
	return o
}

// Owner is what one owner keeps on a node.
type Owner struct {
	// Workload is the owner, zero for a pod that has none.
	Workload workload.Key
	// Alive is the chance that any of its pods is alive.
	Alive lifetimes.Curve
}

// Join adds a pod to the owners of a node. Pods of one owner leave together more
// or less, so they count as one pod that lives as long as the longest of them; a
// pod without owner counts by itself. It appends to owners, which the caller may
// reuse from node to node.
func Join(owners []Owner, w workload.Key, alive lifetimes.Curve) []Owner {
	if !w.IsZero() {
		for i := range owners {
			if owners[i].Workload == w {
				owners[i].raise(alive)
				return owners
			}
		}
	}
	return append(owners, Owner{Workload: w, Alive: alive})
}

// Of returns the Occupancy of a node with these owners: the chance that all are
// gone, each independently of the others. The order of owners moves the result
// only by rounding.
func Of(owners []Owner) Occupancy {
	o := Empty()
	for i := range owners {
		for j, alive := range owners[i].Alive {
			o[j] *= 1 - clamp(alive)
		}
	}
	return o
}

// Share returns the expected time for which a pod alone would keep the node, in
// shares of a node kept for Horizon: from 0 (others outlive it) to MaxShare.
func Share(pod lifetimes.Curve, node Occupancy) float64 {
	share := 0.0
	for j, weight := range shares {
		share += weight * clamp(pod[j]) * clamp(node[j])
	}
	return share
}

// ShareKnown is Share where the time that remains is known of the pod and of the
// longest of the node's pods (0: the node is empty or about to be): the time by
// which the pod outlives them, exactly.
func ShareKnown(pod, node time.Duration) float64 {
	alone := max(0, pod.Seconds()) - max(0, node.Seconds())
	return min(max(0, alone/Horizon), MaxShare)
}

// shares are the weights of the grid as shares of the Horizon.
var shares = func() (shares [lifetimes.Points]float64) {
	for j, seconds := range lifetimes.Weights() {
		shares[j] = seconds / Horizon
	}
	return shares
}()

func (o *Owner) raise(alive lifetimes.Curve) {
	for j := range o.Alive {
		o.Alive[j] = max(o.Alive[j], alive[j])
	}
}

// clamp keeps a chance from 0 to 1; what is no number counts as 0.
func clamp(chance float64) float64 {
	if !(chance > 0) {
		return 0
	}
	return min(chance, 1)
}
