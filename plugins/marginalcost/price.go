package marginalcost

import (
	"math"
	"math/bits"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	corev1 "k8s.io/component-helpers/scheduling/corev1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/bidprices"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost/lifetime"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost/opening"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost/stranding"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// arrival is a pod about to be placed, and what is known as it is. It is not
// changed once made.
type arrival struct {
	*demand
	model *model
	now   time.Time
	// takes is what the pod takes of each axis of the market.
	takes [bidprices.MaxResources]float64
	// wants is what it takes of each resource that the mix requests.
	wants [maxWanted]float64
	// wantedAt is the index of each ask among those resources, -1 for none.
	wantedAt []int
	devices  devices.Request
	survival lifetimes.Curve
	known    time.Duration // its life, where that is known
	workload workload.Key
	// siblings are the nodes that hold a pod of the same workload. They cost less:
	// such pods tend to leave together.
	siblings map[string]struct{}
	// crowded are the nodes for which pods wait that preempted others, with these
	// pods on them.
	crowded map[string]fwk.NodeInfo
}

// Clone returns the arrival itself, which nobody changes.
func (a *arrival) Clone() fwk.StateData { return a }

// arrive reads a pod by the model of this moment.
func (p *Plugin) arrive(pod *v1.Pod) *arrival {
	return p.arriveBy(p.learner.current.Load(), p.clock.Now(), pod)
}

func (p *Plugin) arriveBy(m *model, now time.Time, pod *v1.Pod) *arrival {
	a := &arrival{demand: demandOf(pod), model: m, now: now, workload: workload.Of(pod)}
	for i, name := range a.model.market.axes {
		if name == v1.ResourcePods {
			a.takes[i] = 1
			continue
		}
		for _, ask := range a.Asks {
			if ask.Resource == name {
				a.takes[i] = float64(ask.Amount)
			}
		}
	}
	shape := p.learner.shapeOf(pod)
	a.wantedAt = make([]int, len(a.Asks))
	for i, ask := range a.Asks {
		at := slices.IndexFunc(a.model.market.wanted, func(r shapes.Request) bool { return r.Name == ask.Resource })
		if a.wantedAt[i] = at; at >= 0 {
			a.wants[at] = float64(ask.Amount)
		}
	}
	a.devices = a.model.market.deviceRequest(&shape)
	if a.Uses {
		a.survival = a.model.survival.Survival(p.learner.keyOf(pod, shape.Key()), 0)
		if deadline, ok := workload.Deadline(pod); ok {
			a.survival = a.survival.Until(deadline)
		}
		if p.lifetime != nil {
			a.known, _ = p.lifetime(pod)
		}
	}
	return a
}

// crowd returns a copy of each node to which pods of at least the priority of this
// one are nominated, with these on it: their room is not free, as little as it is in
// the filters. Pods of which the informer has not told yet are missed.
func (p *Plugin) crowd(pod *v1.Pod) map[string]fwk.NodeInfo {
	if p.handle == nil {
		return nil
	}
	var crowded map[string]fwk.NodeInfo
	for name := range p.learner.nominatedNodes() {
		node, err := p.handle.SnapshotSharedLister().NodeInfos().Get(name)
		if err != nil || node.Node() == nil {
			continue // it left the cluster
		}
		for _, waiting := range p.handle.NominatedPodsForNode(name) {
			if waiting.GetPod().UID == pod.UID || holds(node, waiting.GetPod()) || corev1.PodPriority(waiting.GetPod()) < corev1.PodPriority(pod) {
				continue
			}
			if crowded[name] == nil {
				if crowded == nil {
					crowded = map[string]fwk.NodeInfo{}
				}
				crowded[name] = node.Snapshot()
			}
			crowded[name].AddPodInfo(waiting)
		}
	}
	return crowded
}

// look returns the node as it counts for the pod.
func (a *arrival) look(node fwk.NodeInfo) fwk.NodeInfo {
	if with, found := a.crowded[node.Node().Name]; found {
		return with
	}
	return node
}

// cost is the marginal cost of a pod on a node, each term times its price. It
// leaves out the discount for siblings, which NormalizeScore takes off.
func (p *Plugin) cost(a *arrival, node fwk.NodeInfo, s *nodeState) cost.Breakdown {
	prices, turnover := &p.args.Prices, a.model.turnover
	var b cost.Breakdown
	if prices.Opening > 0 && a.Uses {
		podsBefore := 0
		if s.isUsed {
			podsBefore = 1
		}
		b = b.With(cost.Opening, prices.Opening*turnover*opening.Share(podsBefore, podsBefore+1))
	}
	if prices.Stranding > 0 {
		b = b.With(cost.Stranding, prices.Stranding*stranding.Share(stranding.Spent{
			Value:     s.value - s.valueAfter(a),
			Left:      s.leftShare(a, node),
			Imbalance: s.imbalanceBought(a),
			Excess:    s.excess(a),
		}, turnover))
	}
	if prices.Lifetime > 0 && a.Uses {
		b = b.With(cost.Lifetime, prices.Lifetime*turnover*s.lifetimeShare(p, a))
	}
	return b
}

// imbalanceBought is by how much the pod unbalances the node: by all of it where
// it is the first.
func (s *nodeState) imbalanceBought(a *arrival) float64 {
	if len(a.model.market.wanted) == 0 {
		return 0
	}
	after := s.imbalanceBeside(&a.model.market, &a.wants)
	if !s.isUsed && a.Uses {
		return after
	}
	return after - s.imbalance
}

// excess is by how much an empty node is worth more than the average one of its
// kind.
func (s *nodeState) excess(a *arrival) float64 {
	average := a.model.market.average
	if s.isUsed || !a.Uses || s.free.Kind < 0 || s.free.Kind >= len(average) {
		return 0
	}
	return max(0, s.value-average[s.free.Kind])
}

func (s *nodeState) lifetimeShare(p *Plugin, a *arrival) float64 {
	if p.lifetime != nil {
		return lifetime.ShareKnown(a.known, s.longest)
	}
	return lifetime.Share(a.survival, s.occupancy)
}

// leftShare is what stays free beside the pod, as the mean over the resources
// that both name; for a pod that asks for nothing, of pod slots.
func (s *nodeState) leftShare(a *arrival, node fwk.NodeInfo) float64 {
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	left := stranding.Left{}
	for i := range a.Asks {
		ask := &a.Asks[i]
		if at := a.wantedAt[i]; at >= 0 {
			left = left.WithUnused(s.offered[at], s.unused[at], float64(ask.Amount))
			continue
		}
		left = left.With(amount(allocatable, ask.Resource), amount(used, ask.Resource), ask.Amount)
	}
	if len(a.Asks) == 0 {
		left = left.With(int64(allocatable.GetAllowedPodNumber()), int64(len(node.GetPods())), 1)
	}
	return left.Share()
}

// mostPartial is how many devices in part use are told apart on one node.
const mostPartial = 64

// valueAfter is what is free beside the pod is worth, with the device that costs
// least where it asks for a share of one.
func (s *nodeState) valueAfter(a *arrival) float64 {
	prices := a.model.market.prices
	if prices == nil {
		return 0
	}
	after := s.free
	for i := range a.model.market.axes {
		after.Free[i] -= a.takes[i]
	}
	hint := s.hint
	switch {
	case a.devices.Count == 0, a.devices.Class != s.class: // it takes none of those that count
		return prices.Value(&after, &hint)
	case a.devices.Count > 1 || a.devices.Milli >= devices.Whole:
		after.Whole = max(0, after.Whole-a.devices.Count)
		return prices.Value(&after, &hint)
	}
	var buffer [mostPartial + 1]int64
	partial := append(buffer[:0], s.free.Partial[:min(len(s.free.Partial), mostPartial)]...)
	best := math.Inf(-1)
	if after.Whole > 0 {
		after.Whole--
		after.Partial = append(partial, devices.Whole-a.devices.Milli)
		best = prices.Value(&after, &hint)
		after.Whole++
	}
	after.Partial = partial
	for i, free := range partial {
		if free < a.devices.Milli || isBefore(partial[:i], free) {
			continue
		}
		partial[i] = free - a.devices.Milli
		best = max(best, prices.Value(&after, &hint))
		partial[i] = free
	}
	if math.IsInf(best, -1) {
		return s.value // no device fits: the filter's concern
	}
	return best
}

// isBefore reports whether a device with as many hundredths free was tried.
func isBefore(tried []int64, free int64) bool {
	for _, t := range tried {
		if t/10 == free/10 {
			return true
		}
	}
	return false
}

// ChooseDevice returns the index of the device that a pod that asks for a share
// of one should use on a node, of which free thousandths are given: the one whose
// loss costs least, the first among equals; -1 where none fits.
func (p *Plugin) ChooseDevice(nodeName string, pod *v1.Pod, free []int64) int {
	a := p.arrive(pod)
	first := func() int {
		for i, milli := range free {
			if milli >= a.devices.Milli {
				return i
			}
		}
		return -1
	}
	if p.handle == nil || a.model.market.prices == nil {
		return first()
	}
	node, err := p.handle.SnapshotSharedLister().NodeInfos().Get(nodeName)
	if err != nil {
		return first()
	}
	state := &nodeState{}
	state.readFree(p, a.model, node)
	if !holds(node, pod) {
		for i := range a.model.market.axes {
			state.free.Free[i] -= a.takes[i]
		}
	}
	best, most := -1, math.Inf(-1)
	for i, milli := range free {
		if milli < a.devices.Milli {
			continue
		}
		state.free.Whole, state.free.Partial = 0, state.free.Partial[:0]
		for j, other := range free {
			if j == i {
				other -= a.devices.Milli
			}
			state.readDevices([]int64{other})
		}
		if value := a.model.market.prices.Value(&state.free, &state.hint); value > most+1e-12 {
			best, most = i, value
		}
	}
	return best
}

// signature is all that Score reads of a pod, apart from the model. Reading what
// was learned here is sound: pods are signed when they enter the queue, equal
// signatures are compared within half a second, and a model that changed in
// between only makes a hint half a second old.
type signature struct {
	Uses     bool   `json:"uses"`
	Shape    string `json:"shape"` // requests, devices and selector
	Replicas int    `json:"replicas,omitempty"`
	// History is the workload, where its own history is known.
	History  string        `json:"history,omitempty"`
	Deadline time.Duration `json:"deadline,omitempty"`
	Known    time.Duration `json:"known,omitempty"`
	// Asks are summed as for a pod not yet bound.
	Asks []ask `json:"asks"`
}

func (p *Plugin) signatureOf(pod *v1.Pod) signature {
	d := demandOf(pod)
	shape := p.learner.shapeOf(pod).Key()
	s := signature{Uses: d.Uses, Shape: shape, Asks: d.Asks}
	if !d.Uses {
		return s
	}
	key := p.learner.keyOf(pod, shape)
	s.Replicas = bits.Len(uint(max(0, key.Replicas)))
	survival := p.learner.current.Load().survival
	shared := key
	shared.Workload = workload.Key{}
	if survival.Group(key) != survival.Group(shared) {
		s.History = key.Workload.String()
	}
	s.Deadline, _ = workload.Deadline(pod)
	if p.lifetime != nil {
		s.Known, _ = p.lifetime(pod)
	}
	return s
}
