package marginalcost

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost/lifetime"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

const momentKey fwk.StateKey = Name + "/moment"

var (
	_ fwk.PlacementScorePlugin     = (*Plugin)(nil)
	_ fwk.PlacementScoreExtensions = (*Plugin)(nil)
)

// ScorePlacement returns what it is worth to place a pod group as proposed: minus
// the marginal cost of its pods, placed one after the other, with worthOfPod for
// each. It is not from 0 to 100 and means nothing before
// NormalizePlacementScore.
//
// The scheduler has taken the group out of its snapshot by then, so that each node
// in placement is as it was before. Devices of which only Options.Devices knows are
// not taken up by earlier pods of the group.
func (p *Plugin) ScorePlacement(_ context.Context, state fwk.PlacementCycleState, _ fwk.PodGroupInfo, placement *fwk.PodGroupAssignments) (int64, *fwk.Status) {
	if len(placement.ProposedAssignments) == 0 {
		return int64(noWorth), nil
	}
	m := p.momentOf(state)
	m.mu.Lock()
	defer m.mu.Unlock()
	g := groupPlacement{plugin: p, moment: m, nodes: map[string]*groupNode{}}
	for _, node := range placement.Nodes {
		if node.Node() != nil {
			g.nodes[node.Node().Name] = &groupNode{info: node}
		}
	}
	for _, proposed := range placement.ProposedAssignments {
		if err := g.place(proposed); err != nil {
			return 0, fwk.AsStatus(fmt.Errorf("score placement %s: %w", placement.Name, err))
		}
	}
	return int64(newWorth(g.worth, g.opened)), nil
}

// PlacementScoreExtensions returns the plugin: what placements are worth needs
// NormalizePlacementScore.
func (p *Plugin) PlacementScoreExtensions() fwk.PlacementScoreExtensions { return p }

// NormalizePlacementScore turns worth into points as NormalizeScore does: 100 for
// exactly one placement, the others by what they are worth less; among equals the
// one that opens fewest nodes, then by name. A placement of no pod gets 0.
func (p *Plugin) NormalizePlacementScore(_ context.Context, _ fwk.PodGroupCycleState, _ fwk.PodGroupInfo, scores []fwk.PlacementScore) *fwk.Status {
	if len(scores) == 0 {
		return nil
	}
	best := 0
	for i := range scores {
		if isWorthier(scores[i], scores[best]) {
			best = i
		}
	}
	most := worth(scores[best].Score)
	for i := range scores {
		scores[i].Score = worth(scores[i].Score).pointsBelow(most)
	}
	if most != noWorth {
		scores[best].Score = fwk.MaxScore
	}
	return nil
}

// moment is what all placements of one pod group are compared by, even when a
// model is learned in between.
type moment struct {
	model *model
	now   time.Time
	// mu lets one placement be scored at a time, which is nothing beside trying it:
	// the pods are the same in all, and a PodInfo writes when its requests are first
	// added to a node.
	mu sync.Mutex
}

// Clone returns the moment itself.
func (m *moment) Clone() fwk.StateData { return m }

// momentOf returns the moment of a pod group's cycle, which the first of its
// placements sets.
func (p *Plugin) momentOf(state fwk.PlacementCycleState) *moment {
	m := &moment{model: p.learner.current.Load(), now: p.clock.Now()}
	if state == nil {
		return m
	}
	group := state.GetPodGroupSchedulingCycle()
	if group == nil {
		return m
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if data, err := group.Read(momentKey); err == nil {
		if set, ok := data.(*moment); ok {
			return set
		}
	}
	group.Write(momentKey, m)
	return m
}

// groupPlacement is a pod group as far as it was placed.
type groupPlacement struct {
	plugin *Plugin
	moment *moment
	nodes  map[string]*groupNode
	worth  float64 // shares
	opened int     // nodes put in use
}

// groupNode is a node and its state. Both are the placement's own once it holds a
// pod of the group.
type groupNode struct {
	info  fwk.NodeInfo
	state *nodeState // nil: no pod of the group is there
}

// worthOfPod is what it is worth to place one pod more of the group, in shares: more
// than a pod costs, even at high prices. Without it the cheapest placement would be
// the one that leaves most pods pending.
const worthOfPod = 64

// place puts one more pod where it is proposed.
func (g *groupPlacement) place(proposed fwk.ProposedAssignment) error {
	node := g.nodes[proposed.GetNodeName()]
	if node == nil {
		return errors.New("node " + proposed.GetNodeName() + " is not in it")
	}
	if node.state == nil {
		node.info, node.state = node.info.Snapshot(), &nodeState{}
	}
	p, a := g.plugin, g.plugin.arriveBy(g.moment.model, g.moment.now, proposed.GetPod())
	node.state.update(p, a.model, node.info, a.now)
	g.worth += worthOfPod - p.cost(a, node.info, node.state).Total() + p.siblingDiscount(a, node.state)
	if a.Uses && !node.state.isUsed {
		g.opened++
	}
	node.info.AddPodInfo(proposed.GetPodInfo())
	return nil
}

// siblingDiscount is what a node costs less for holding a pod of the same
// workload, of the group or from before.
func (p *Plugin) siblingDiscount(a *arrival, s *nodeState) float64 {
	if !a.Uses || p.lifetime != nil || !s.holdsOf(a.workload) {
		return 0
	}
	return p.siblingPart(a, s)
}

// siblingPart is the part of a pod's lifetime cost on a node that does not count
// where the node holds a pod of the same workload.
func (p *Plugin) siblingPart(a *arrival, s *nodeState) float64 {
	return p.args.Prices.Lifetime * a.model.turnover * s.lifetimeShare(p, a) * (1 - lifetime.SiblingFactor)
}

func (s *nodeState) holdsOf(w workload.Key) bool {
	return !w.IsZero() && slices.ContainsFunc(s.pods, func(pod podState) bool { return pod.uses && pod.key.Workload == w })
}

// worth orders placements as one integer, the greatest first. From the high bits
// down:
//
//	48 bits  worth in steps of 1e-7 shares, from -14 to +14 million shares
//	16 bits  65,535 less the nodes opened
type worth int64

const (
	noWorth     worth = math.MinInt64 // of a placement of no pod
	openedBits        = 16
	mostOpened        = 1<<openedBits - 1
	mostOfWorth       = 1<<47 - 1 // steps
)

func newWorth(shares float64, opened int) worth {
	steps := -clamp(math.Round(-shares/costStep), -mostOfWorth, mostOfWorth) // not a number is worth least
	return worth(int64(steps)<<openedBits | int64(mostOpened-min(opened, mostOpened)))
}

// pointsBelow maps what a placement is worth less than the best to points.
func (w worth) pointsBelow(most worth) int64 {
	if w == noWorth {
		return fwk.MinScore
	}
	return points(float64(most>>openedBits-w>>openedBits) * costStep)
}

func isWorthier(a, b fwk.PlacementScore) bool {
	if a.Score != b.Score {
		return a.Score > b.Score
	}
	return strings.Compare(a.Placement.Name, b.Placement.Name) < 0
}
