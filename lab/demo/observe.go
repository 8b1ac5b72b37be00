package demo

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/resource"

	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// NodeUse is one node's requests.
type NodeUse struct {
	Name, Zone      string
	Alive, Ready    bool
	Pods            int
	CPU, Memory     float64 // requested share of allocatable
	cpuMilli        int64
	memory          int64
	allocatableCPU  int64
	allocatableMem  int64
	pods            int64
	allocatablePods int64
	tainted         bool
}

// PendingPod is a pod that no node was found for yet.
type PendingPod struct {
	Namespace, Name string
	// Fits names a node with room for it, empty if there is none.
	Fits string
}

// Observation is the cluster at one moment.
type Observation struct {
	Nodes   []NodeUse // by name
	Pending []PendingPod
	// Bound, Ready and Terminating count pods with a node.
	Bound, Ready, Terminating int
}

// observe reads a cluster's nodes and pods. It is a function of its arguments alone.
func observe(nodeList []*corev1.Node, podList []*corev1.Pod) Observation {
	byName := make(map[string]*NodeUse, len(nodeList))
	for _, node := range nodeList {
		byName[node.Name] = newNodeUse(node)
	}
	var o Observation
	var pending []*corev1.Pod
	for _, pod := range podList {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		if pod.Spec.NodeName == "" {
			if pod.DeletionTimestamp == nil {
				pending = append(pending, pod)
			}
			continue
		}
		o.count(pod)
		if node := byName[pod.Spec.NodeName]; node != nil {
			node.add(pod)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		node := byName[name]
		node.CPU = share(node.cpuMilli, node.allocatableCPU)
		node.Memory = share(node.memory, node.allocatableMem)
		o.Nodes = append(o.Nodes, *node)
	}
	for _, pod := range pending {
		o.Pending = append(o.Pending, PendingPod{
			Namespace: pod.Namespace, Name: pod.Name, Fits: firstFit(o.Nodes, pod),
		})
	}
	return o
}

func (o *Observation) count(pod *corev1.Pod) {
	o.Bound++
	if pod.DeletionTimestamp != nil {
		o.Terminating++
		return
	}
	if nodes.PodReady(pod) {
		o.Ready++
	}
}

func newNodeUse(node *corev1.Node) *NodeUse {
	a := node.Status.Allocatable
	return &NodeUse{
		Name: node.Name, Zone: node.Labels[corev1.LabelTopologyZone],
		Alive: nodes.Alive(node), Ready: nodes.Ready(node),
		allocatableCPU: a.Cpu().MilliValue(), allocatableMem: a.Memory().Value(), allocatablePods: a.Pods().Value(),
		tainted: node.Spec.Unschedulable || slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectPreferNoSchedule }),
	}
}

func (n *NodeUse) add(pod *corev1.Pod) {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{UseStatusResources: true})
	n.cpuMilli += requests.Cpu().MilliValue()
	n.memory += requests.Memory().Value()
	n.pods++
	n.Pods++
}

// Overcommitted says which resource is requested beyond what the node can allocate.
func (n NodeUse) Overcommitted() (name string, over bool) {
	switch {
	case n.cpuMilli > n.allocatableCPU:
		return "cpu", true
	case n.memory > n.allocatableMem:
		return "memory", true
	case n.pods > n.allocatablePods:
		return "pods", true
	}
	return "", false
}

// firstFit names a node that is ready, without a taint that keeps the pod away, and has room.
func firstFit(list []NodeUse, pod *corev1.Pod) string {
	requests := resource.PodRequests(pod, resource.PodResourcesOptions{})
	cpu, memory := requests.Cpu().MilliValue(), requests.Memory().Value()
	for _, n := range list {
		if n.Ready && n.Alive && !n.tainted && n.cpuMilli+cpu <= n.allocatableCPU && n.memory+memory <= n.allocatableMem && n.pods < n.allocatablePods {
			return n.Name
		}
	}
	return ""
}

// InUse counts the nodes that hold a pod, and the share of their allocatable that is requested.
func (o Observation) InUse() (count int, cpu, memory float64) {
	var c, m, ac, am int64
	for _, n := range o.Nodes {
		if n.Pods == 0 {
			continue
		}
		count++
		c, m, ac, am = c+n.cpuMilli, m+n.memory, ac+n.allocatableCPU, am+n.allocatableMem
	}
	return count, share(c, ac), share(m, am)
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
