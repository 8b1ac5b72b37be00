// Package marginalcost ranks nodes by what placing a pod there costs the
// cluster, in shares of a node: the least costly gets the pod.
package marginalcost

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost/stranding"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

// Name is the plugin's name in a KubeSchedulerConfiguration.
const Name = "MarginalCost"

const (
	arrivalKey  fwk.StateKey = Name + "/arrival"
	decisionKey fwk.StateKey = Name + "/decision"
)

// Plugin scores nodes by the marginal cost of a placement and keeps a record of
// what was decided. Make one with New or Options.New.
type Plugin struct {
	args     Args
	handle   fwk.Handle
	clock    clock.PassiveClock
	recent   *decisions.Ring // nil: decisions are counted, not kept
	measures *measures
	learner  *learner
	// lifetime tells how long a pod lives, in simulations that know it.
	lifetime func(pod *v1.Pod) (time.Duration, bool)
	nodes    nodeStates
	reported reported

	mu        sync.Mutex
	shortlist shortlist // of the comparison made last; one scheduling cycle runs at a time
}

// shortlist is what a decision needs of a comparison of nodes.
type shortlist struct {
	pod        types.UID
	nodes      [shortlisted]string // names, the least cost first; empty where there are fewer
	candidates int
}

var (
	_ fwk.PreScorePlugin    = (*Plugin)(nil)
	_ fwk.ScorePlugin       = (*Plugin)(nil)
	_ fwk.ScoreExtensions   = (*Plugin)(nil)
	_ fwk.SignPlugin        = (*Plugin)(nil)
	_ fwk.ReservePlugin     = (*Plugin)(nil)
	_ fwk.EnqueueExtensions = (*Plugin)(nil)
	_ fwk.PostBindPlugin    = (*Plugin)(nil)
)

// Options is what a program gives the plugin beside its arguments.
type Options struct {
	// Decisions receives each placement that was bound. Nil keeps none. One ring
	// may serve several profiles; it grows to the largest recentDecisions.
	Decisions *decisions.Ring
	// Clock dates decisions and what is learned. Nil is the real clock.
	Clock clock.PassiveClock
	// Devices knows the nodes' devices. Nil: those of dynamic resource allocation.
	// Of a node that it does not know, extended resources count as whole devices.
	Devices devices.Source
	// Background takes over the background work of a simulation: it is given the
	// function to call before each scheduling cycle, which learns what is due and
	// reports whether what was scored before is void. Nil: the plugin does it in a
	// goroutine that ends with the context.
	Background func(learn func(now time.Time) bool)
	// Lifetime tells how long a pod lives from its start, for comparisons with
	// perfect knowledge. Nil: lifetimes are learned.
	Lifetime func(pod *v1.Pod) (time.Duration, bool)
}

// New builds the plugin without a record of decisions. It is a plugin factory
// for kube-scheduler's registry.
func New(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	return Options{}.New(ctx, obj, handle)
}

// New builds the plugin from its arguments (nil or *runtime.Unknown). It is a
// plugin factory for kube-scheduler's registry. handle may be nil: then nothing
// is recorded or learned.
func (o Options) New(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	args, err := readArgs(obj)
	if err != nil {
		return nil, err
	}
	measures, err := newMeasures()
	if err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.Decisions != nil {
		o.Decisions.Grow(args.RecentDecisions)
	}
	var pinned *shapes.Mix
	if len(args.Mix) > 0 {
		pinned, _ = shapes.Pinned(args.Mix, nil) // validated above
	}
	learner, err := newLearner(pinned, o, measures)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", Name, err)
	}
	p := &Plugin{
		args: args, handle: handle, clock: o.Clock, recent: o.Decisions, measures: measures,
		learner: learner, lifetime: o.Lifetime,
	}
	if handle != nil {
		if err := learner.follow(handle); err != nil {
			return nil, fmt.Errorf("configure %s: follow pods: %w", Name, err)
		}
		if o.Background != nil {
			o.Background(learner.refreshIfDue)
		} else {
			go learner.run(ctx)
		}
	}
	return p, nil
}

// Name returns the plugin's name.
func (p *Plugin) Name() string { return Name }

// EventsToRegister names no event: the plugin never rejects a pod, so nothing
// that happens can make one schedulable for it.
func (p *Plugin) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return nil, nil
}

// SignPod returns all that the plugin reads of a pod, so that pods with equal
// demand are placed in batches. It does not lean on the resource fragment of
// NodeResourcesFit, which a profile may have disabled.
func (p *Plugin) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return []fwk.SignFragment{{Key: "v1.Pod." + Name + "()", Value: p.signatureOf(pod)}}, nil
}

// PreScore reads the pod by the present model, once for all nodes, and which nodes
// hold pods of the same workload. It never skips: a skip
// that differs between a cycle and a batch would compare raw scores with none.
func (p *Plugin) PreScore(_ context.Context, state fwk.CycleState, pod *v1.Pod, nodes []fwk.NodeInfo) *fwk.Status {
	a := p.arrive(pod)
	p.nodes.prepare(a.model.epoch, nodes)
	if a.Uses && p.args.Prices.Lifetime > 0 && p.lifetime == nil {
		a.siblings = p.learner.siblingNodes(a.workload)
	}
	a.crowded = p.crowd(pod)
	p.reportUse(a.model, a.now)
	state.Write(arrivalKey, a)
	return nil
}

// Score returns the node's rank: less is better. It is not from 0 to 100 and
// means nothing before NormalizeScore. It depends on this node and this pod
// alone, so that a batch may keep it for nodes that did not change.
func (p *Plugin) Score(_ context.Context, state fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	if node.Node() == nil {
		return 0, fwk.AsStatus(errors.New("score: the node has left the cluster"))
	}
	a := p.readArrival(state, pod)
	node = a.look(node)
	total := p.cost(a, node, p.stateOf(a, node)).Total()
	return int64(newRank(total, freeShare(node), node.Node().CreationTimestamp.Time)), nil
}

// ScoreExtensions returns the plugin: ranks need NormalizeScore.
func (p *Plugin) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore turns ranks into points: 100 for exactly one node, the others
// by their cost above that of the best. The points depend on the ranks and
// names given and on nothing else; the framework calls it again on the same
// ranks in a batch.
func (p *Plugin) NormalizeScore(_ context.Context, state fwk.CycleState, pod *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	if len(scores) == 0 {
		return nil
	}
	if a := p.readArrival(state, pod); len(a.siblings) > 0 {
		for i := range scores {
			if shares := p.discount(a, scores[i].Name); shares > 0 {
				scores[i].Score = int64(rank(scores[i].Score).minus(shares))
			}
		}
	}
	leaders, found := leadersOf(scores)
	list := shortlist{pod: pod.UID, candidates: len(scores)}
	for i, leader := range leaders[:found] {
		list.nodes[i] = scores[leader].Name
	}
	p.keep(list)

	least := rank(scores[leaders[0]].Score)
	// A batch hands out the second of its order without asking again when the best
	// node has filled up, and a tie would be the framework's to break: each leader
	// gets fewer points than the one before, all others fewer than the last leader,
	// however far from the best they are.
	given := [shortlisted]int64{fwk.MaxScore}
	next := fwk.MaxScore - 1
	for i, leader := range leaders[:found] {
		if i > 0 {
			natural := points(rank(scores[leader].Score).sharesAbove(least))
			given[i] = max(min(next, natural), int64(shortlisted-i))
			next = given[i] - 1
		}
	}
	for i := range scores {
		scores[i].Score = min(next, points(rank(scores[i].Score).sharesAbove(least)))
	}
	for i, leader := range leaders[:found] {
		scores[leader].Score = given[i]
	}
	return nil
}

// Reserve notes the decision while the nodes are still as they were compared.
// It never rejects a pod, and tolerates a cycle in which nothing was scored.
func (p *Plugin) Reserve(ctx context.Context, state fwk.CycleState, pod *v1.Pod, nodeName string) *fwk.Status {
	if noted, ok := readDecision(state); ok && noted.Chosen.Node == nodeName {
		return nil // a pod group reserves once to try and once to place
	}
	if decision, ok := p.decide(ctx, p.readArrival(state, pod), pod, nodeName); ok {
		state.Write(decisionKey, &decisionState{decision})
	}
	return nil
}

// Unreserve does nothing: a decision counts only once it is bound.
func (p *Plugin) Unreserve(context.Context, fwk.CycleState, *v1.Pod, string) {}

// PostBind records the decision that Reserve noted.
func (p *Plugin) PostBind(ctx context.Context, state fwk.CycleState, pod *v1.Pod, _ string) {
	decision, ok := readDecision(state)
	if !ok {
		return
	}
	p.measures.observe(decision)
	if p.recent != nil {
		p.recent.Add(decision)
	}
	if logger := klog.FromContext(ctx).V(3); logger.Enabled() {
		logger.Info("Placed pod", "pod", klog.KObj(pod), "decision", decision.Sentence())
	}
}

// stateOf returns the state of a node, brought up to date. A node that has none
// yet gets one for this call only.
func (p *Plugin) stateOf(a *arrival, node fwk.NodeInfo) *nodeState {
	s := p.nodes.byName[node.Node().Name]
	if s == nil {
		p.nodes.missed.Store(true)
		s = &nodeState{}
	}
	s.update(p, a.model, node, a.now)
	return s
}

// discount is what a node costs less for holding a pod of the same workload, by
// its state as Score left it.
func (p *Plugin) discount(a *arrival, nodeName string) float64 {
	if _, holds := a.siblings[nodeName]; !holds {
		return 0
	}
	s := p.nodes.byName[nodeName]
	if s == nil || !s.valid {
		return 0
	}
	return p.siblingPart(a, s)
}

// freeShare is how empty a node is without the pod, from 0 (full) to 1, whatever
// the pod asks for. It settles ties.
func freeShare(node fwk.NodeInfo) float64 {
	allocatable, used := node.GetAllocatable(), node.GetRequested()
	return stranding.Left{}.
		With(allocatable.GetMilliCPU(), used.GetMilliCPU(), 0).
		With(allocatable.GetMemory(), used.GetMemory(), 0).
		With(int64(allocatable.GetAllowedPodNumber()), int64(len(node.GetPods())), 0).
		Share()
}

func (p *Plugin) keep(list shortlist) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shortlist = list
}

// take returns the comparison made last if it was for this pod, and forgets it.
func (p *Plugin) take(pod types.UID) shortlist {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.shortlist
	p.shortlist = shortlist{}
	if list.pod != pod {
		return shortlist{}
	}
	return list
}
