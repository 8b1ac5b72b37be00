package marginalcost_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// The fakes implement what the plugin reads; a call of anything else panics.

type fakeNode struct {
	fwk.NodeInfo
	node        *v1.Node
	allocatable fakeResource
	requested   fakeResource
	pods        []fwk.PodInfo
	generation  int64
}

func (n *fakeNode) Node() *v1.Node               { return n.node }
func (n *fakeNode) GetPods() []fwk.PodInfo       { return n.pods }
func (n *fakeNode) GetAllocatable() fwk.Resource { return &n.allocatable }
func (n *fakeNode) GetRequested() fwk.Resource   { return &n.requested }
func (n *fakeNode) GetGeneration() int64         { return n.generation }

func (n *fakeNode) Snapshot() fwk.NodeInfo {
	copied := *n
	copied.pods = slices.Clone(n.pods)
	return &copied
}

func (n *fakeNode) RemovePod(_ klog.Logger, pod *v1.Pod) error {
	for i, info := range n.pods {
		if info.GetPod().UID == pod.UID {
			n.pods = slices.Delete(n.pods, i, i+1)
			n.requested.milliCPU -= pod.Spec.Containers[0].Resources.Requests.Cpu().MilliValue()
			n.generation++
			return nil
		}
	}
	return errors.New("no such pod")
}

type fakeResource struct {
	fwk.Resource
	milliCPU, memory, ephemeral int64
	pods                        int
	scalar                      map[v1.ResourceName]int64
}

func (r *fakeResource) GetMilliCPU() int64                            { return r.milliCPU }
func (r *fakeResource) GetMemory() int64                              { return r.memory }
func (r *fakeResource) GetEphemeralStorage() int64                    { return r.ephemeral }
func (r *fakeResource) GetAllowedPodNumber() int                      { return r.pods }
func (r *fakeResource) GetScalarResources() map[v1.ResourceName]int64 { return r.scalar }

type fakePod struct {
	fwk.PodInfo
	pod *v1.Pod
}

func (p fakePod) GetPod() *v1.Pod { return p.pod }

type fakeState struct {
	fwk.CycleState
	data map[fwk.StateKey]fwk.StateData
}

func newState() *fakeState { return &fakeState{data: map[fwk.StateKey]fwk.StateData{}} }

func (s *fakeState) Write(key fwk.StateKey, data fwk.StateData) { s.data[key] = data }

func (s *fakeState) Read(key fwk.StateKey) (fwk.StateData, error) {
	if data, ok := s.data[key]; ok {
		return data, nil
	}
	return nil, fwk.ErrNotFound
}

// fakeHandle answers for the snapshot of one cycle.
type fakeHandle struct {
	fwk.Handle
	fwk.SharedLister
	fwk.NodeInfoLister
	nodes   []*fakeNode
	factory informers.SharedInformerFactory // nil: nothing is learned
	waiting map[string][]fwk.PodInfo        // nominated pods by node
}

func (h *fakeHandle) NominatedPodsForNode(name string) []fwk.PodInfo { return h.waiting[name] }

func (h *fakeHandle) ProfileName() string                                    { return "plimsoll-scheduler" }
func (h *fakeHandle) SharedInformerFactory() informers.SharedInformerFactory { return h.factory }
func (h *fakeHandle) SnapshotSharedLister() fwk.SharedLister                 { return h }
func (h *fakeHandle) NodeInfos() fwk.NodeInfoLister                          { return h }

func (h *fakeHandle) List() ([]fwk.NodeInfo, error) { return infos(h.nodes), nil }

func (h *fakeHandle) Get(name string) (fwk.NodeInfo, error) {
	for _, n := range h.nodes {
		if n.node.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("no node %q", name)
}

// Cluster building: a node of 4 cores, 16 GiB and 110 pods, made in the first
// hour of 2026, and what changes it.

const gib = 1 << 30

var newYear = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

func node(name string, changes ...func(*fakeNode)) *fakeNode {
	n := &fakeNode{
		node:        &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(newYear)}},
		allocatable: fakeResource{milliCPU: 4000, memory: 16 * gib, pods: 110},
	}
	for _, change := range changes {
		change(n)
	}
	return n
}

// list is what the node offers as its status says it.
func (n *fakeNode) list() v1.ResourceList {
	all := v1.ResourceList{
		v1.ResourceCPU:              *resource.NewMilliQuantity(n.allocatable.milliCPU, resource.DecimalSI),
		v1.ResourceMemory:           *resource.NewQuantity(n.allocatable.memory, resource.BinarySI),
		v1.ResourceEphemeralStorage: *resource.NewQuantity(n.allocatable.ephemeral, resource.BinarySI),
		v1.ResourcePods:             *resource.NewQuantity(int64(n.allocatable.pods), resource.DecimalSI),
	}
	for name, amount := range n.allocatable.scalar {
		all[name] = *resource.NewQuantity(amount, resource.DecimalSI)
	}
	return all
}

func size(milliCPU, memory int64) func(*fakeNode) {
	return func(n *fakeNode) { n.allocatable.milliCPU, n.allocatable.memory = milliCPU, memory }
}

func offers(name v1.ResourceName, amount int64) func(*fakeNode) {
	return func(n *fakeNode) {
		if n.allocatable.scalar == nil {
			n.allocatable.scalar = map[v1.ResourceName]int64{}
		}
		n.allocatable.scalar[name] = amount
	}
}

func taken(name v1.ResourceName, amount int64) func(*fakeNode) {
	return func(n *fakeNode) { n.requested.scalar = map[v1.ResourceName]int64{name: amount} }
}

func used(milliCPU, memory int64, pods ...*v1.Pod) func(*fakeNode) {
	return func(n *fakeNode) {
		n.requested.milliCPU, n.requested.memory = milliCPU, memory
		for _, p := range pods {
			n.pods = append(n.pods, fakePod{pod: p})
		}
	}
}

func madeAfter(d time.Duration) func(*fakeNode) {
	return func(n *fakeNode) { n.node.CreationTimestamp = metav1.NewTime(newYear.Add(d)) }
}

func pod(name string, changes ...func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       v1.PodSpec{Containers: []v1.Container{{Name: "main"}}},
	}
	for _, change := range changes {
		change(p)
	}
	return p
}

func requests(list ...string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Spec.Containers[0].Resources.Requests = resources(list...) }
}

// resources reads pairs: "cpu", "1", "memory", "4Gi".
func resources(list ...string) v1.ResourceList {
	found := v1.ResourceList{}
	for i := 0; i < len(list); i += 2 {
		found[v1.ResourceName(list[i])] = resource.MustParse(list[i+1])
	}
	return found
}

// of makes a pod one of a Deployment.
func of(deployment string) func(*v1.Pod) {
	controls := true
	return func(p *v1.Pod) {
		p.Labels = map[string]string{"pod-template-hash": "5c9"}
		p.OwnerReferences = []metav1.OwnerReference{
			{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: deployment + "-5c9", Controller: &controls},
		}
	}
}

func on(node string) func(*v1.Pod)          { return func(p *v1.Pod) { p.Spec.NodeName = node } }
func in(phase v1.PodPhase) func(*v1.Pod)    { return func(p *v1.Pod) { p.Status.Phase = phase } }
func generation(number int64) func(*v1.Pod) { return func(p *v1.Pod) { p.Generation = number } }
func gated(p *v1.Pod)                       { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "wait"}} }

func disrupted(p *v1.Pod) {
	p.Status.Conditions = []v1.PodCondition{{Type: v1.DisruptionTarget, Status: v1.ConditionTrue}}
}

func ownedBy(kind string) func(*v1.Pod) {
	controls := true
	return func(p *v1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: "owner", Controller: &controls}}
	}
}

func mirror(p *v1.Pod) { p.Annotations = map[string]string{v1.MirrorPodAnnotationKey: "x"} }
