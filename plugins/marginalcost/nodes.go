package marginalcost

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/bidprices"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost/lifetime"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// nodeStates keeps what was computed of each node. Entries are made between
// cycles and changed in Score, which the framework calls for a node in one
// goroutine at a time: no lock is needed.
type nodeStates struct {
	byName map[string]*nodeState
	// missed is set when Score met a node without entry.
	missed atomic.Bool
	epoch  uint64
	nodes  int // candidates last prepared for
}

// prepare makes entries for nodes that had none, and drops those of nodes that
// are gone when the model is new.
func (n *nodeStates) prepare(epoch uint64, nodes []fwk.NodeInfo) {
	if n.byName == nil {
		n.byName = make(map[string]*nodeState, len(nodes))
		n.missed.Store(true)
	}
	if n.epoch != epoch {
		for name, state := range n.byName {
			if state.epoch+staleEpochs < epoch {
				delete(n.byName, name)
			}
		}
		n.epoch = epoch
	}
	if !n.missed.Swap(false) && len(nodes) <= n.nodes {
		return
	}
	n.nodes = len(nodes)
	for _, node := range nodes {
		if node.Node() != nil && n.byName[node.Node().Name] == nil {
			n.byName[node.Node().Name] = &nodeState{}
		}
	}
}

// staleEpochs is how many models a node's entry outlives its last use.
const staleEpochs = 16

// nodeState is what the cost reads of one node, as of a generation of the node, a
// version of its devices and a model.
type nodeState struct {
	valid      bool
	generation int64
	version    uint64
	epoch      uint64

	free  bidprices.Node
	class string // of the devices in free
	hint  bidprices.Hint
	value float64 // of free, in nodes
	// offered and unused are of each resource that the mix requests.
	offered, unused [maxWanted]float64
	// imbalance is of what is free, in shares.
	imbalance float64
	isUsed    bool
	pods      []podState
	owners    []lifetime.Owner
	occupancy lifetime.Occupancy
	// longest is how long the node's last pod will stay, where lifetimes are known.
	longest time.Duration
	at      time.Time // of occupancy
}

// podState is a pod that uses the node.
type podState struct {
	uid      types.UID
	uses     bool
	epoch    uint64
	group    lifetimes.GroupID
	key      lifetimes.Key
	started  time.Time
	deadline time.Duration // after the start; 0 for none
	known    time.Duration // its whole life, where that is known; 0 where not
}

// occupancyAge is for how long the chances that pods leave are used again.
const occupancyAge = 30 * time.Minute

// update recomputes what is not as of now. It allocates only when the node holds
// more pods than ever before.
func (s *nodeState) update(p *Plugin, m *model, node fwk.NodeInfo, now time.Time) {
	version := stateOf(p.learner.devices, node.Node().Name).Version
	if s.valid && s.generation == node.GetGeneration() && s.version == version && s.epoch == m.epoch {
		if age := now.Sub(s.at); age >= 0 && age < occupancyAge {
			return
		}
		s.occupy(p, m, now)
		return
	}
	s.readPods(p, m, node, now)
	s.readFree(p, m, node)
	s.value = m.market.prices.Value(&s.free, &s.hint)
	s.readBalance(m, node)
	s.imbalance = s.imbalanceBeside(&m.market, &[maxWanted]float64{})
	s.occupy(p, m, now)
	s.valid, s.generation, s.version, s.epoch = true, node.GetGeneration(), version, m.epoch
}

// readPods resolves the pods that are new, in the order of the node's list.
func (s *nodeState) readPods(p *Plugin, m *model, node fwk.NodeInfo, now time.Time) {
	before := s.pods
	pods := node.GetPods()
	var next []podState
	if cap(before) >= len(pods) && isPrefix(before, pods) {
		next = before[:min(len(before), len(pods))]
	} else {
		next = make([]podState, 0, len(pods)+len(pods)/4+4)
	}
	s.isUsed = false
	for i := range pods {
		pod := pods[i].GetPod()
		if i < len(next) {
			s.isUsed = s.isUsed || next[i].uses
			next[i].resolve(m)
			continue
		}
		at := slices.IndexFunc(before, func(b podState) bool { return b.uid == pod.UID })
		if at >= 0 {
			next = append(next, before[at])
		} else {
			next = append(next, p.podState(pod, now))
		}
		last := &next[len(next)-1]
		last.resolve(m)
		s.isUsed = s.isUsed || last.uses
	}
	s.pods = next
}

// isPrefix reports whether the pods known begin the list, or the list them.
func isPrefix(known []podState, pods []fwk.PodInfo) bool {
	for i := range min(len(known), len(pods)) {
		if known[i].uid != pods[i].GetPod().UID {
			return false
		}
	}
	return true
}

func (p *Plugin) podState(pod *v1.Pod, now time.Time) podState {
	state := podState{uid: pod.UID, uses: !workload.IsSystem(pod), started: now}
	if !state.uses {
		return state
	}
	if pod.Status.StartTime != nil {
		state.started = pod.Status.StartTime.Time
	}
	state.deadline, _ = workload.Deadline(pod)
	state.key = p.learner.keyOf(pod, p.learner.shapeOf(pod).Key())
	if p.lifetime != nil {
		state.known, _ = p.lifetime(pod)
	}
	return state
}

func (s *podState) resolve(m *model) {
	if s.epoch != m.epoch || s.epoch == 0 {
		s.epoch, s.group = m.epoch, m.survival.Group(s.key)
	}
}

// occupy computes the chances that the node is free of its pods in time.
func (s *nodeState) occupy(p *Plugin, m *model, now time.Time) {
	s.at = now
	s.longest = 0
	s.owners = s.owners[:0]
	for i := range s.pods {
		pod := &s.pods[i]
		if !pod.uses {
			continue
		}
		age := now.Sub(pod.started)
		if p.lifetime != nil {
			s.longest = max(s.longest, pod.known-age)
			continue
		}
		curve := m.survival.SurvivalOf(pod.group, age)
		if pod.deadline > 0 {
			curve = curve.Until(pod.deadline - age)
		}
		s.owners = lifetime.Join(s.owners, pod.key.Workload, curve)
	}
	s.occupancy = lifetime.Of(s.owners)
	if s.isUsed {
		s.occupancy[0] = 0
	}
}

// readFree reads what is free in the terms of bid prices.
func (s *nodeState) readFree(p *Plugin, m *model, node fwk.NodeInfo) {
	s.free.Kind = m.market.kind(node, p.learner.devices)
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	for a, name := range m.market.axes {
		if name == v1.ResourcePods {
			s.free.Free[a] = float64(allocatable.GetAllowedPodNumber() - len(node.GetPods()))
			continue
		}
		s.free.Free[a] = float64(amount(allocatable, name) - amount(used, name))
	}
	s.class, s.free.Whole, s.free.Partial = "", 0, s.free.Partial[:0]
	if state := stateOf(p.learner.devices, node.Node().Name); state.Class != "" {
		s.class = state.Class
		s.readDevices(state.Free)
		return
	}
	for _, class := range m.market.classes {
		if all := amount(allocatable, class); all > 0 {
			s.class = string(class)
			s.free.Whole = int(min(max(all-amount(used, class), 0), maxDevices))
			return
		}
	}
}

func (s *nodeState) readDevices(free []int64) {
	for _, milli := range free {
		switch {
		case milli >= devices.Whole:
			s.free.Whole++
		case milli > 0:
			s.free.Partial = append(s.free.Partial, milli)
		}
	}
}

// maxWanted is of how many resources the balance is looked at.
const maxWanted = 16

// readBalance reads what is offered and free of the resources that the mix
// requests: at most what is offered, at least nothing.
func (s *nodeState) readBalance(m *model, node fwk.NodeInfo) {
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	for i := range m.market.wanted {
		name := m.market.wanted[i].Name
		s.offered[i] = float64(max(amount(allocatable, name), 0))
		s.unused[i] = s.offered[i] - float64(amount(used, name))
	}
}

// imbalanceBeside is the share of a node's free capacity that pods like the average
// of the mix cannot use beside a pod that takes so much: the mean over the resources
// that the node offers and the mix requests of (free - k mix) / offered, where k is
// how many times the mix fits.
func (s *nodeState) imbalanceBeside(m *market, takes *[maxWanted]float64) float64 {
	fits, sum, mix, resources := math.Inf(1), 0.0, 0.0, 0
	for i := range m.wanted {
		offered, requested := s.offered[i], float64(m.wanted[i].Amount)
		if offered <= 0 {
			continue
		}
		free := min(max(s.unused[i]-takes[i], 0), offered)
		fits = min(fits, free/requested)
		sum += free / offered
		mix += requested / offered
		resources++
	}
	if resources == 0 {
		return 0
	}
	return (sum - fits*mix) / float64(resources)
}
