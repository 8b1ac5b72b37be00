package marginalcost_test

import (
	"strconv"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// toldInformer keeps one handler, and what the test tells it.
type toldInformer struct {
	cache.SharedIndexInformer
	handler cache.ResourceEventHandler
	indexer cache.Indexer
}

// toldOf takes the place of a factory's informer of one kind.
func toldOf(factory informers.SharedInformerFactory, kind runtime.Object) *toldInformer {
	i := &toldInformer{indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})}
	factory.InformerFor(kind, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer { return i })
	return i
}

func (i *toldInformer) GetStore() cache.Store     { return i.indexer }
func (i *toldInformer) GetIndexer() cache.Indexer { return i.indexer }

func (i *toldInformer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	i.handler = h
	return syncedRegistration{}, nil
}

func (i *toldInformer) add(t testing.TB, obj any) {
	t.Helper()
	if err := i.indexer.Add(obj); err != nil {
		t.Fatal(err)
	}
	if i.handler != nil {
		i.handler.OnAdd(obj, false)
	}
}

type syncedRegistration struct {
	cache.ResourceEventHandlerRegistration
}

func (syncedRegistration) HasSynced() bool { return true }

// deviceCluster is a cluster whose nodes have one GPU of 30 GiB each that pods
// share, but for those that offer the extended resource example.com/gpu.
type deviceCluster struct {
	*marginalcost.Plugin
	t            testing.TB
	pods, claims *toldInformer
	learn        func(now time.Time) bool
}

func newDeviceCluster(t testing.TB, nodes ...*fakeNode) *deviceCluster {
	t.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0) // never started
	c := &deviceCluster{t: t, pods: toldOf(factory, &v1.Pod{}), claims: toldOf(factory, &resourceapi.ResourceClaim{})}
	stored, slices := toldOf(factory, &v1.Node{}), toldOf(factory, &resourceapi.ResourceSlice{})
	classes := toldOf(factory, &resourceapi.DeviceClass{})
	c.Plugin = build(t, "", marginalcost.Options{
		Clock:      clocktesting.NewFakePassiveClock(newYear),
		Background: func(learn func(now time.Time) bool) { c.learn = learn },
	}, &fakeHandle{nodes: nodes, factory: factory})
	classes.add(t, &resourceapi.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: "gpu"},
		Spec: resourceapi.DeviceClassSpec{Selectors: []resourceapi.DeviceSelector{{
			CEL: &resourceapi.CELDeviceSelector{Expression: `device.driver == "gpu.example.com"`},
		}}},
	})
	for _, n := range nodes {
		n.node.Status.Allocatable = resources("cpu", "4", "memory", "16Gi", "pods", "110")
		if count := n.allocatable.scalar["example.com/gpu"]; count > 0 {
			n.node.Status.Allocatable["example.com/gpu"] = *resource.NewQuantity(count, resource.DecimalSI)
		} else {
			slices.add(t, gpuSlice(n.node.Name))
		}
		stored.add(t, n.node)
	}
	return c
}

func (c *deviceCluster) relearn() {
	c.t.Helper()
	if !c.learn(newYear.Add(time.Hour)) {
		c.t.Fatal("after an hour no new model was made")
	}
}

func gpuSlice(node string) *resourceapi.ResourceSlice {
	sharable := true
	return &resourceapi.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: node},
		Spec: resourceapi.ResourceSliceSpec{
			Driver: "gpu.example.com", NodeName: &node, Pool: resourceapi.ResourcePool{Name: node, ResourceSliceCount: 1},
			Devices: []resourceapi.Device{{
				Name: "gpu", AllowMultipleAllocations: &sharable,
				Capacity: map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{"memory": {Value: resource.MustParse("30Gi")}},
			}},
		},
	}
}

// gpuMemory is a claim of so much of one GPU, of pod user.
func gpuMemory(name, memory, user string) *resourceapi.ResourceClaim {
	isController := true
	return &resourceapi.ResourceClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "v1", Kind: "Pod", Name: user, UID: types.UID("uid-" + user), Controller: &isController},
		}},
		Spec: resourceapi.ResourceClaimSpec{Devices: resourceapi.DeviceClaim{Requests: []resourceapi.DeviceRequest{{
			Name: "gpu", Exactly: &resourceapi.ExactDeviceRequest{
				DeviceClassName: "gpu", Count: 1, Capacity: &resourceapi.CapacityRequirements{
					Requests: map[resourceapi.QualifiedName]resource.Quantity{"memory": resource.MustParse(memory)},
				},
			},
		}}}},
	}
}

// allocatedOn is a claim that holds its share of a node's GPU.
func allocatedOn(node string, c *resourceapi.ResourceClaim) *resourceapi.ResourceClaim {
	share := types.UID(c.Name)
	c.Status.Allocation = &resourceapi.AllocationResult{Devices: resourceapi.DeviceAllocationResult{
		Results: []resourceapi.DeviceRequestAllocationResult{{
			Request: "gpu", Driver: "gpu.example.com", Pool: node, Device: "gpu", ShareID: &share,
			ConsumedCapacity: c.Spec.Devices.Requests[0].Exactly.Capacity.Requests,
		}},
	}}
	return c
}

func usesClaim(name string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimName: &name}}
	}
}

// gpuPods are six pods that wait for a whole GPU and six for a third of one.
func gpuPods() (pods []*v1.Pod, claims []*resourceapi.ResourceClaim) {
	for i := range 12 {
		name, memory := "waits-"+strconv.Itoa(i), "30Gi"
		if i%2 == 0 {
			memory = "10Gi"
		}
		pods = append(pods, pod(name, requests("cpu", "1"), usesClaim(name)))
		claims = append(claims, gpuMemory(name, memory, name))
	}
	return pods, claims
}

func TestAShareGoesToTheBrokenDevice(t *testing.T) {
	for _, broken := range []string{"a", "b"} {
		for _, podsFirst := range []bool{false, true} {
			nodes := []*fakeNode{node("a", used(1000, gib, pod("web-a"))), node("b", used(1000, gib, pod("web-b")))}
			c := newDeviceCluster(t, nodes...)
			waiting, claims := gpuPods()
			for i := range waiting {
				if podsFirst {
					c.pods.add(t, waiting[i])
				}
				c.claims.add(t, claims[i])
				if !podsFirst {
					c.pods.add(t, waiting[i])
				}
			}
			c.claims.add(t, allocatedOn(broken, gpuMemory("held", "10Gi", "other")))
			c.relearn()
			if got := order(t, c.Plugin, waiting[0], nodes); got[0] != broken {
				t.Errorf("pods before their claims: %t: nodes from best to worst %v, want first %s, whose device is broken", podsFirst, got, broken)
			}
		}
	}
}

func TestAClaimMovesTheChoice(t *testing.T) {
	nodes := []*fakeNode{node("a", used(1000, gib, pod("web-a"))), node("b", used(1000, gib, pod("web-b")))}
	c := newDeviceCluster(t, nodes...)
	waiting, claims := gpuPods()
	for i := range waiting {
		c.claims.add(t, claims[i])
		c.pods.add(t, waiting[i])
	}
	held := allocatedOn("a", gpuMemory("held", "10Gi", "other"))
	c.claims.add(t, held)
	c.relearn()
	before := order(t, c.Plugin, waiting[0], nodes)
	c.claims.handler.OnDelete(held)
	c.claims.add(t, allocatedOn("b", gpuMemory("held-2", "10Gi", "other")))
	after := order(t, c.Plugin, waiting[0], nodes)
	if before[0] != "a" || after[0] != "b" {
		t.Errorf("best %s and then %s, want a and then b: by the same model, as claims change", before[0], after[0])
	}
}
