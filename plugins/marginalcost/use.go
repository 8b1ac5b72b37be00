package marginalcost

import (
	"math"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// use is how the cluster's nodes are used, in shares of what they offer of one
// resource.
type use struct {
	resource v1.ResourceName
	// packed is what pods request of nodes in use, 0 or more: above 1 where nodes are
	// overcommitted. 0 where no node is in use.
	packed float64
	// unusable is what is free of all nodes where pods like the average of the mix
	// have run out of another resource, 0 to 1.
	unusable float64
}

// reportEvery is how often at most the use of nodes is reported, each time with a
// new model: adding up 5,000 nodes takes about a millisecond of a cycle.
const reportEvery = time.Minute

// reportUse sets the metrics of the nodes' use when that is due. Like PreScore it
// runs in one goroutine at a time.
func (p *Plugin) reportUse(m *model, now time.Time) {
	if p.handle == nil || p.reported.epoch == m.epoch && !p.reported.at.IsZero() || now.Sub(p.reported.at) < reportEvery {
		return
	}
	nodes, err := p.handle.SnapshotSharedLister().NodeInfos().List()
	if err != nil {
		return // the metrics keep their values
	}
	uses := usesOf(m.market.wanted, nodes)
	p.measures.used(p.handle.ProfileName(), uses, p.reported.uses)
	p.reported = reported{epoch: m.epoch, at: now, uses: uses}
}

// reported is what the metrics say of the nodes' use.
type reported struct {
	epoch uint64
	at    time.Time
	uses  []use
}

// usesOf adds up the nodes' use of CPU, memory and what the mix requests.
func usesOf(wanted []shapes.Request, nodes []fwk.NodeInfo) []use {
	wanted = slices.Clone(wanted)
	for _, name := range []v1.ResourceName{v1.ResourceCPU, v1.ResourceMemory} {
		if !slices.ContainsFunc(wanted, func(r shapes.Request) bool { return r.Name == name }) {
			wanted = append(wanted, shapes.Request{Name: name})
		}
	}
	sums := make([]sum, len(wanted))
	for _, node := range nodes {
		if node.Node() != nil {
			addUse(sums, wanted, node)
		}
	}
	uses := make([]use, 0, len(wanted))
	for i, r := range wanted {
		if s := sums[i]; s.offered > 0 {
			uses = append(uses, use{resource: r.Name, packed: s.requested / max(s.offeredInUse, 1), unusable: s.unusable / s.offered})
		}
	}
	return uses
}

// sum is of all nodes, in the unit of a resource.
type sum struct{ offered, unusable, offeredInUse, requested float64 }

func addUse(sums []sum, wanted []shapes.Request, node fwk.NodeInfo) {
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	inUse, fits := isInUse(node), math.Inf(1)
	for i, r := range wanted {
		offered, requested := float64(max(amount(allocatable, r.Name), 0)), float64(amount(used, r.Name))
		if offered > 0 && r.Amount > 0 {
			fits = min(fits, max(offered-requested, 0)/float64(r.Amount))
		}
		sums[i].offered += offered
		if inUse {
			sums[i].offeredInUse += offered
			sums[i].requested += requested
		}
	}
	for i, r := range wanted {
		offered, requested := float64(max(amount(allocatable, r.Name), 0)), float64(amount(used, r.Name))
		if offered > 0 && r.Amount > 0 {
			sums[i].unusable += max(offered-max(requested, 0)-fits*float64(r.Amount), 0)
		}
	}
}

func isInUse(node fwk.NodeInfo) bool {
	return slices.ContainsFunc(node.GetPods(), func(info fwk.PodInfo) bool { return !workload.IsSystem(info.GetPod()) })
}
