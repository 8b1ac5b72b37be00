package marginalcost

import (
	"context"

	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
)

// decisionState carries a decision from Reserve to PostBind. It is not changed
// once written.
type decisionState struct{ decision decisions.Decision }

// Clone returns the state itself, which nobody changes.
func (s *decisionState) Clone() fwk.StateData { return s }

func readDecision(state fwk.CycleState) (decisions.Decision, bool) {
	data, err := state.Read(decisionKey)
	if err != nil {
		return decisions.Decision{}, false
	}
	noted, ok := data.(*decisionState)
	if !ok {
		return decisions.Decision{}, false
	}
	return noted.decision, true
}

// decide describes the choice of a node. It answers false when the node cannot
// be looked up, and leaves out runners-up that cannot.
func (p *Plugin) decide(ctx context.Context, a *arrival, pod *v1.Pod, nodeName string) (decisions.Decision, bool) {
	chosen, ok := p.option(ctx, a, pod, nodeName)
	if !ok {
		return decisions.Decision{}, false
	}
	list := p.take(pod.UID)
	decision := decisions.Decision{
		Time:       p.clock.Now(),
		Namespace:  pod.Namespace,
		Pod:        pod.Name,
		UID:        pod.UID,
		Profile:    p.handle.ProfileName(),
		Chosen:     chosen,
		Candidates: list.candidates,
		Favourite:  list.nodes[0],
	}
	for _, next := range list.nodes {
		if next == nodeName || len(decision.RunnersUp) == decisions.MaxRunnersUp {
			continue
		}
		if runnerUp, ok := p.option(ctx, a, pod, next); ok {
			decision.RunnersUp = append(decision.RunnersUp, runnerUp)
		}
	}
	return decision, true
}

// option prices the pod on a node of the current snapshot. A scheduling cycle of
// a pod group has put the pod there already: then it is taken out of a copy.
func (p *Plugin) option(ctx context.Context, a *arrival, pod *v1.Pod, nodeName string) (decisions.Option, bool) {
	if p.handle == nil || nodeName == "" {
		return decisions.Option{}, false
	}
	node, err := p.handle.SnapshotSharedLister().NodeInfos().Get(nodeName)
	if err != nil || node.Node() == nil {
		return decisions.Option{}, false // it left the cluster: nothing to tell
	}
	if with := a.look(node); with != node {
		node = with // a copy made before the pod was put anywhere
	} else if holds(node, pod) {
		node = node.Snapshot()
		if err := node.RemovePod(klog.FromContext(ctx), pod); err != nil {
			return decisions.Option{}, false
		}
	}
	breakdown := p.cost(a, node, p.stateOf(a, node))
	if discount := p.discount(a, nodeName); discount > 0 {
		breakdown = breakdown.With(cost.Lifetime, breakdown.Share(cost.Lifetime)-discount)
	}
	return decisions.Option{Node: nodeName, Cost: breakdown}, true
}

func holds(node fwk.NodeInfo, pod *v1.Pod) bool {
	for _, info := range node.GetPods() {
		if info.GetPod().UID == pod.UID {
			return true
		}
	}
	return false
}
