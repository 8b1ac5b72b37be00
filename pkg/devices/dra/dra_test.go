package dra_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices/dra"
)

// informer tells its handler what the test says.
type informer struct {
	handler cache.ResourceEventHandler
	synced  bool
}

func (i *informer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	i.handler = h
	return registration{of: i}, nil
}

type registration struct {
	cache.ResourceEventHandlerRegistration
	of *informer
}

func (r registration) HasSynced() bool { return r.of.synced }

// cluster is a source and the informers that it follows.
type cluster struct {
	*dra.Source
	slices, claims, classes informer
	told                    []string // names of claims
}

func newCluster(t testing.TB, objects ...any) *cluster {
	t.Helper()
	c := &cluster{}
	source, err := dra.New(dra.Config{
		Slices: &c.slices, Claims: &c.claims, Classes: &c.classes,
		Claimed: func(claim *resourceapi.ResourceClaim) { c.told = append(c.told, claim.Name) },
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Source = source
	c.add(objects...)
	return c
}

func (c *cluster) of(obj any) cache.ResourceEventHandler {
	switch obj := obj.(type) {
	case cache.DeletedFinalStateUnknown:
		return c.of(obj.Obj)
	case *resourceapi.ResourceSlice:
		return c.slices.handler
	case *resourceapi.ResourceClaim:
		return c.claims.handler
	}
	return c.classes.handler
}

func (c *cluster) add(objects ...any) {
	for _, obj := range objects {
		c.of(obj).OnAdd(obj, false)
	}
}

func (c *cluster) update(before, after any) { c.of(before).OnUpdate(before, after) }
func (c *cluster) remove(obj any)           { c.of(obj).OnDelete(obj) }

// Objects of the tests: devices of driver gpu.example.com in pool p of node n,
// unless something else is said.

const gpu = "gpu.example.com"

func slice(name string, changes ...func(*resourceapi.ResourceSlice)) *resourceapi.ResourceSlice {
	s := &resourceapi.ResourceSlice{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: resourceapi.ResourceSliceSpec{
			Driver: gpu, NodeName: ptr.To("n"),
			Pool: resourceapi.ResourcePool{Name: "p", Generation: 1, ResourceSliceCount: 1},
		},
	}
	for _, change := range changes {
		change(s)
	}
	return s
}

func has(list ...resourceapi.Device) func(*resourceapi.ResourceSlice) {
	return func(s *resourceapi.ResourceSlice) { s.Spec.Devices = append(s.Spec.Devices, list...) }
}

func driver(name, pool string) func(*resourceapi.ResourceSlice) {
	return func(s *resourceapi.ResourceSlice) { s.Spec.Driver, s.Spec.Pool.Name = name, pool }
}

func on(node string) func(*resourceapi.ResourceSlice) {
	return func(s *resourceapi.ResourceSlice) { s.Spec.NodeName, s.Spec.Pool.Name = &node, "p-"+node }
}

func generation(number, count int64) func(*resourceapi.ResourceSlice) {
	return func(s *resourceapi.ResourceSlice) {
		s.Spec.Pool.Generation, s.Spec.Pool.ResourceSliceCount = number, count
	}
}

func networked(s *resourceapi.ResourceSlice) { s.Spec.NodeName, s.Spec.AllNodes = nil, ptr.To(true) }

// counters reads pairs: "memory", "40Gi".
func counters(set string, pairs ...string) func(*resourceapi.ResourceSlice) {
	return func(s *resourceapi.ResourceSlice) {
		s.Spec.SharedCounters = append(s.Spec.SharedCounters, resourceapi.CounterSet{Name: set, Counters: counts(pairs)})
	}
}

func counts(pairs []string) map[string]resourceapi.Counter {
	all := map[string]resourceapi.Counter{}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i]] = resourceapi.Counter{Value: resource.MustParse(pairs[i+1])}
	}
	return all
}

func device(name string, changes ...func(*resourceapi.Device)) resourceapi.Device {
	d := resourceapi.Device{Name: name}
	for _, change := range changes {
		change(&d)
	}
	return d
}

func shared(d *resourceapi.Device) { d.AllowMultipleAllocations = ptr.To(true) }

func tainted(d *resourceapi.Device) {
	d.Taints = []resourceapi.DeviceTaint{{Key: "broken", Effect: resourceapi.DeviceTaintEffectNoSchedule}}
}

func capacity(name, value string, policy *resourceapi.CapacityRequestPolicy) func(*resourceapi.Device) {
	return func(d *resourceapi.Device) {
		if d.Capacity == nil {
			d.Capacity = map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{}
		}
		d.Capacity[resourceapi.QualifiedName(name)] = resourceapi.DeviceCapacity{Value: resource.MustParse(value), RequestPolicy: policy}
	}
}

func takes(set string, pairs ...string) func(*resourceapi.Device) {
	return func(d *resourceapi.Device) {
		d.ConsumesCounters = append(d.ConsumesCounters, resourceapi.DeviceCounterConsumption{CounterSet: set, Counters: counts(pairs)})
	}
}

func claim(name string, changes ...func(*resourceapi.ResourceClaim)) *resourceapi.ResourceClaim {
	c := &resourceapi.ResourceClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	for _, change := range changes {
		change(c)
	}
	return c
}

// holds is an allocation of a whole device or, of pairs of capacities, a share.
func holds(name string, pairs ...string) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		if c.Status.Allocation == nil {
			c.Status.Allocation = &resourceapi.AllocationResult{}
		}
		result := resourceapi.DeviceRequestAllocationResult{Request: "main", Driver: gpu, Pool: "p", Device: name}
		for i := 0; i < len(pairs); i += 2 {
			result.ShareID = ptr.To(types.UID(c.Name))
			result.ConsumedCapacity = map[resourceapi.QualifiedName]resource.Quantity{
				resourceapi.QualifiedName(pairs[i]): resource.MustParse(pairs[i+1]),
			}
		}
		c.Status.Allocation.Devices.Results = append(c.Status.Allocation.Devices.Results, result)
	}
}

func asAdmin(c *resourceapi.ResourceClaim) {
	c.Status.Allocation.Devices.Results[0].AdminAccess = ptr.To(true)
}

func TestState(t *testing.T) {
	partitions := slice("b", generation(1, 2), has(
		device("full", takes("gpu0", "memory", "40Gi", "s0", "1", "s1", "1", "s2", "1", "s3", "1")),
		device("half", takes("gpu0", "memory", "20Gi", "s0", "1", "s1", "1")),
		device("quarter", takes("gpu0", "memory", "10Gi", "s2", "1")),
	))
	gpu0 := slice("a", generation(1, 2), counters("gpu0", "memory", "40Gi", "s0", "1", "s1", "1", "s2", "1", "s3", "1"))
	sharedGPU := slice("a", has(device("d0", shared, capacity("memory", "30Gi", nil), capacity("slots", "4", nil))))
	for _, tc := range []struct {
		name    string
		objects []any
		want    []int64
	}{
		{"a node without slices has no devices", nil, nil},
		{
			"whole devices are free until they are allocated",
			[]any{slice("a", has(device("d0"), device("d1"))), claim("c", holds("d1"))},
			[]int64{1000, 0},
		},
		{
			"an administrator's look takes nothing",
			[]any{slice("a", has(device("d0"))), claim("c", holds("d0"), asAdmin)},
			[]int64{1000},
		},
		{"a device with a taint is not free", []any{slice("a", has(device("d0", tainted), device("d1")))}, []int64{0, 1000}},
		{
			"a claim on a device of another pool takes nothing here",
			[]any{slice("a", driver(gpu, "q"), has(device("d0"))), claim("c", holds("d0"))},
			[]int64{1000},
		},
		{
			"a shared device has the least share of its capacities left",
			[]any{sharedGPU, claim("c", holds("d0", "memory", "10Gi")), claim("e", holds("d0", "slots", "1"))},
			[]int64{666},
		},
		{
			"shares that use a capacity up leave nothing",
			[]any{sharedGPU, claim("c", holds("d0", "slots", "3")), claim("e", holds("d0", "slots", "1"))},
			[]int64{0},
		},
		{"a shared device allocated alone has nothing left", []any{sharedGPU, claim("c", holds("d0"))}, []int64{0}},
		{
			"a shared device without capacities is never used up",
			[]any{slice("a", has(device("d0", shared))), claim("c", holds("d0", "x", "1"))},
			[]int64{1000},
		},
		{"partitions of one device are one device", []any{gpu0, partitions}, []int64{1000}},
		{
			"a partition leaves the least share of the counters",
			[]any{gpu0, partitions, claim("c", holds("half"))},
			[]int64{500},
		},
		{"a smaller partition leaves more", []any{gpu0, partitions, claim("c", holds("quarter"))}, []int64{750}},
		{
			"counters that suffice for no partition are not free",
			[]any{gpu0, partitions, claim("c", holds("half"), holds("quarter"))},
			[]int64{0},
		},
		{"partitions without their counters offer nothing", []any{slice("b", has(device("x", takes("gpu0", "memory", "1"))))}, nil},
		{
			"only the latest generation of a pool counts",
			[]any{slice("old", has(device("d0"), device("d1"))), slice("new", generation(2, 1), has(device("d0")))},
			[]int64{1000},
		},
		{"a pool with a slice missing offers nothing", []any{slice("a", generation(3, 2), has(device("d0")))}, nil},
		{"devices of the network belong to no node", []any{slice("a", networked, has(device("d0")))}, nil},
		{
			"the driver with most devices is told, by its pools",
			[]any{
				slice("nic", driver("nic.example.com", "n"), has(device("eth0"))),
				slice("b", driver(gpu, "p2"), has(device("d0"))), slice("a", has(device("d0"))), claim("c", holds("d0")),
			},
			[]int64{0, 1000},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			backwards := slices.Clone(tc.objects)
			slices.Reverse(backwards)
			for order, objects := range map[string][]any{"as listed": tc.objects, "backwards": backwards} {
				got := newCluster(t, objects...).State("n")
				if diff := cmp.Diff(tc.want, got.Free); diff != "" {
					t.Errorf("objects %s: free (-want +got):\n%s", order, diff)
				}
				if isGPU := got.Class == gpu; isGPU != (len(tc.want) > 0) {
					t.Errorf("objects %s: class %q", order, got.Class)
				}
			}
		})
	}
}

func TestStateFollowsChanges(t *testing.T) {
	c := newCluster(t)
	devicesOf := slice("a", has(device("d0"), device("d1")))
	pending, allocated := claim("c"), claim("c", holds("d0"))
	reserved := allocated.DeepCopy()
	reserved.Status.ReservedFor = []resourceapi.ResourceClaimConsumerReference{{Resource: "pods", Name: "x", UID: "x"}}
	replaced := slice("b", generation(2, 1), has(device("d0")))
	last := devices.State{}
	for _, step := range []struct {
		name    string
		do      func()
		want    []int64
		changes bool
	}{
		{"a slice comes", func() { c.add(devicesOf) }, []int64{1000, 1000}, true},
		{"a claim that waits takes nothing", func() { c.add(pending) }, []int64{1000, 1000}, false},
		{"the claim is allocated", func() { c.update(pending, allocated) }, []int64{0, 1000}, true},
		{"who reserves it does not matter", func() { c.update(allocated, reserved) }, []int64{0, 1000}, false},
		{"the driver begins to replace the slice", func() { c.add(replaced) }, []int64{0}, true},
		{"the old slice goes", func() { c.remove(devicesOf) }, []int64{0}, false},
		{"the claim goes, its deletion missed", func() {
			c.remove(cache.DeletedFinalStateUnknown{Key: "default/c", Obj: reserved})
		}, []int64{1000}, true},
		{"the last slice goes", func() { c.remove(replaced) }, nil, true},
		{"the slice comes again", func() { c.add(replaced) }, []int64{1000}, true},
	} {
		held, copied := last.Free, slices.Clone(last.Free)
		step.do()
		now := c.State("n")
		if !slices.Equal(now.Free, step.want) {
			t.Errorf("%s: free %v, want %v", step.name, now.Free, step.want)
		}
		if changed := now.Version != last.Version; changed != step.changes {
			t.Errorf("%s: version from %d to %d, want a change: %t", step.name, last.Version, now.Version, step.changes)
		}
		if !slices.Equal(held, copied) {
			t.Errorf("%s: a state handed out before changed from %v to %v", step.name, copied, held)
		}
		last = now
	}
	if want := []string{"c", "c", "c"}; !slices.Equal(c.told, want) {
		t.Errorf("told of claims %v, want %v", c.told, want)
	}
}

func asks(class string, changes ...func(*resourceapi.ExactDeviceRequest)) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		exact := &resourceapi.ExactDeviceRequest{DeviceClassName: class, AllocationMode: resourceapi.DeviceAllocationModeExactCount, Count: 1}
		for _, change := range changes {
			change(exact)
		}
		name := "main"
		if n := len(c.Spec.Devices.Requests); n > 0 {
			name += strconv.Itoa(n)
		}
		c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, resourceapi.DeviceRequest{Name: name, Exactly: exact})
	}
}

func prefers(class string) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		c.Spec.Devices.Requests = append(c.Spec.Devices.Requests, resourceapi.DeviceRequest{
			Name: "main", FirstAvailable: []resourceapi.DeviceSubRequest{{Name: "a", DeviceClassName: class, Count: 2}, {Name: "b", DeviceClassName: "none"}},
		})
	}
}

func times(count int64) func(*resourceapi.ExactDeviceRequest) {
	return func(r *resourceapi.ExactDeviceRequest) { r.Count = count }
}

func all(r *resourceapi.ExactDeviceRequest) {
	r.AllocationMode, r.Count = resourceapi.DeviceAllocationModeAll, 0
}

func admin(r *resourceapi.ExactDeviceRequest) { r.AdminAccess = ptr.To(true) }

func atLeast(name, value string) func(*resourceapi.ExactDeviceRequest) {
	return func(r *resourceapi.ExactDeviceRequest) {
		r.Capacity = &resourceapi.CapacityRequirements{Requests: map[resourceapi.QualifiedName]resource.Quantity{
			resourceapi.QualifiedName(name): resource.MustParse(value),
		}}
	}
}

func selects(expression string) func(*resourceapi.ExactDeviceRequest) {
	return func(r *resourceapi.ExactDeviceRequest) { r.Selectors = cel(expression) }
}

func cel(expression string) []resourceapi.DeviceSelector {
	return []resourceapi.DeviceSelector{{CEL: &resourceapi.CELDeviceSelector{Expression: expression}}}
}

func class(name, expression string) *resourceapi.DeviceClass {
	return &resourceapi.DeviceClass{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: resourceapi.DeviceClassSpec{Selectors: cel(expression)},
	}
}

func reservedFor(pods ...string) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		for _, name := range pods {
			c.Status.ReservedFor = append(c.Status.ReservedFor, resourceapi.ResourceClaimConsumerReference{Resource: "pods", Name: name, UID: types.UID(name)})
		}
	}
}

// uses is a pod called x that names claims.
func uses(claims ...string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "x", UID: "x"}}
	for _, name := range claims {
		p.Spec.ResourceClaims = append(p.Spec.ResourceClaims, v1.PodResourceClaim{Name: name, ResourceClaimName: ptr.To(name)})
	}
	return p
}

// usesTemplate is the pod x whose claim was made from a template.
func usesTemplate(made string) *v1.Pod {
	p := uses()
	p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu", ResourceClaimTemplateName: ptr.To("template")}}
	if made != "" {
		p.Status.ResourceClaimStatuses = []v1.PodResourceClaimStatus{{Name: "gpu", ResourceClaimName: &made}}
	}
	return p
}

func ownedBy(uid types.UID) func(*resourceapi.ResourceClaim) {
	return func(c *resourceapi.ResourceClaim) {
		c.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: string(uid), UID: uid, Controller: ptr.To(true)}}
	}
}

// requests is the pod x that asks for an extended resource.
func requests(name, amount string) *v1.Pod {
	p := uses()
	p.Spec.Containers = []v1.Container{{Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
		v1.ResourceName(name): resource.MustParse(amount), v1.ResourceCPU: resource.MustParse("1"),
	}}}}
	return p
}

func TestRequest(t *testing.T) {
	gpus := class("gpu", `device.driver == "gpu.example.com"`)
	extended := class("gpu", `device.driver == "gpu.example.com"`)
	extended.Spec.ExtendedResourceName = ptr.To("example.com/gpu")
	wholes := slice("a", has(device("d0", capacity("memory", "30Gi", nil)), device("d1")))
	thirds := slice("a", has(device("d0", shared, capacity("memory", "30Gi", &resourceapi.CapacityRequestPolicy{
		Default: ptr.To(resource.MustParse("15Gi")), ValidRange: &resourceapi.CapacityRequestPolicyRange{
			Min: ptr.To(resource.MustParse("5Gi")), Step: ptr.To(resource.MustParse("5Gi")),
		},
	}))))
	unpoliced := slice("a", has(device("d0", shared, capacity("memory", "30Gi", nil), capacity("slots", "4", nil))))
	listed := slice("a", has(device("d0", shared, capacity("memory", "40Gi", &resourceapi.CapacityRequestPolicy{
		Default: ptr.To(resource.MustParse("10Gi")), ValidValues: []resource.Quantity{resource.MustParse("10Gi"), resource.MustParse("20Gi")},
	}))))
	partitions := slice("a", counters("s", "memory", "40Gi"), has(device("full", capacity("memory", "40Gi", nil), takes("s", "memory", "40Gi"))))
	third := devices.Request{Class: gpu, Count: 1, Milli: 333}
	whole := devices.Request{Class: gpu, Count: 1, Milli: 1000}
	none := devices.Request{}
	for _, tc := range []struct {
		name    string
		objects []any
		pod     *v1.Pod
		want    devices.Request
	}{
		{"a pod without claims asks nothing", []any{gpus, wholes}, uses(), none},
		{"one device", []any{gpus, wholes, claim("c", asks("gpu"))}, uses("c"), whole},
		{"several devices", []any{gpus, wholes, claim("c", asks("gpu", times(3)))}, uses("c"), devices.Request{Class: gpu, Count: 3, Milli: 1000}},
		{"several requests are added", []any{gpus, wholes, claim("c", asks("gpu"), asks("gpu"))}, uses("c"), devices.Request{Class: gpu, Count: 2, Milli: 1000}},
		{"several claims are added", []any{gpus, wholes, claim("c", asks("gpu")), claim("d", asks("gpu"))}, uses("c", "d"), devices.Request{Class: gpu, Count: 2, Milli: 1000}},
		{"all devices are those of the widest node", []any{gpus, wholes, claim("c", asks("gpu", all))}, uses("c"), devices.Request{Class: gpu, Count: 2, Milli: 1000}},
		{"an administrator's look asks nothing", []any{gpus, wholes, claim("c", asks("gpu", admin))}, uses("c"), none},
		{"of alternatives the first counts", []any{gpus, wholes, claim("c", prefers("gpu"))}, uses("c"), devices.Request{Class: gpu, Count: 2, Milli: 1000}},
		{"a device that is not shared is asked whole", []any{gpus, wholes, claim("c", asks("gpu", atLeast("memory", "10Gi")))}, uses("c"), whole},
		{"a third of a shared device", []any{gpus, thirds, claim("c", asks("gpu", atLeast("memory", "10Gi")))}, uses("c"), third},
		{"a share is rounded up to a step", []any{gpus, thirds, claim("c", asks("gpu", atLeast("memory", "6Gi")))}, uses("c"), third},
		{"a share is not below the least", []any{gpus, thirds, claim("c", asks("gpu", atLeast("memory", "1Gi")))}, uses("c"), devices.Request{Class: gpu, Count: 1, Milli: 166}},
		{"a share is rounded up to a valid value", []any{gpus, listed, claim("c", asks("gpu", atLeast("memory", "11Gi")))}, uses("c"), devices.Request{Class: gpu, Count: 1, Milli: 500}},
		{"an unnamed share is the default", []any{gpus, thirds, claim("c", asks("gpu"))}, uses("c"), devices.Request{Class: gpu, Count: 1, Milli: 500}},
		{"a capacity that is not named and has no default is taken whole", []any{gpus, unpoliced, claim("c", asks("gpu", atLeast("memory", "10Gi")))}, uses("c"), whole},
		{"nothing is taken of devices that never run out", []any{gpus, slice("a", has(device("d0", shared))), claim("c", asks("gpu"))}, uses("c"), none},
		{"two shares fit in one device", []any{gpus, thirds, claim("c", asks("gpu", times(2), atLeast("memory", "10Gi")))}, uses("c"), devices.Request{Class: gpu, Count: 1, Milli: 666}},
		{"a partition is asked by its capacity", []any{gpus, partitions, claim("c", asks("gpu", atLeast("memory", "10Gi")))}, uses("c"), devices.Request{Class: gpu, Count: 1, Milli: 250}},
		{"a partition without capacities asked is a whole device", []any{gpus, partitions, claim("c", asks("gpu"))}, uses("c"), whole},
		{"a claim not yet known asks nothing", []any{gpus, wholes}, uses("c"), none},
		{"a claim of an unknown class asks nothing", []any{wholes, claim("c", asks("gpu"))}, uses("c"), none},
		{
			"a class without a driver is learned from an allocation",
			[]any{wholes, claim("c", asks("odd")), claim("d", asks("odd"), holds("d0"))},
			uses("c"), whole,
		},
		{"a request names the driver itself", []any{wholes, claim("c", asks("odd", selects(`device.driver == 'gpu.example.com'`)))}, uses("c"), whole},
		{
			"requests of another driver are left out",
			[]any{gpus, class("nic", `device.driver == "nic.example.com"`), wholes, claim("c", asks("gpu"), asks("nic"))},
			uses("c"), whole,
		},
		{"a claim from a template", []any{gpus, wholes, claim("c-1", asks("gpu"), ownedBy("x"))}, usesTemplate("c-1"), whole},
		{"a claim not yet made from its template", []any{gpus, wholes}, usesTemplate(""), none},
		{"a claim made for another pod is not the pod's", []any{gpus, wholes, claim("c-1", asks("gpu"), ownedBy("y"))}, usesTemplate("c-1"), none},
		{
			"a claim allocated for the pod still counts as its own",
			[]any{gpus, wholes, claim("c", asks("gpu"), holds("d0"), reservedFor("x", "y"))},
			uses("c"), whole,
		},
		{
			"a claim that another pod shares asks nothing more",
			[]any{gpus, wholes, claim("c", asks("gpu"), holds("d0"), reservedFor("y", "x"))},
			uses("c"), none,
		},
		{"an allocated claim that nobody uses asks nothing more", []any{gpus, wholes, claim("c", asks("gpu"), holds("d0"))}, uses("c"), none},
		{"an extended resource stands for a class", []any{extended, wholes}, requests("example.com/gpu", "2"), devices.Request{Class: gpu, Count: 2, Milli: 1000}},
		{"a class has an extended resource by its name", []any{gpus, wholes}, requests("deviceclass.resource.kubernetes.io/gpu", "1"), whole},
		{"an extended resource that no class names is a device plugin's", []any{gpus, wholes}, requests("example.com/gpu", "2"), none},
		{"an extended resource of a driver without devices is a device plugin's", []any{extended}, requests("example.com/gpu", "2"), none},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, newCluster(t, tc.objects...).Request(tc.pod)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRequestForgetsAClass(t *testing.T) {
	gpus, pod := class("gpu", `device.driver == "gpu.example.com"`), uses("c")
	c := newCluster(t, gpus, slice("a", has(device("d0"))), claim("c", asks("gpu")))
	if got := c.Request(pod); got.Count != 1 {
		t.Fatalf("request %+v, want one device", got)
	}
	c.remove(gpus)
	if got := c.Request(pod); got.Count != 0 {
		t.Errorf("request %+v after the class was deleted, want none", got)
	}
}

func TestDriverOfExpression(t *testing.T) {
	for expression, known := range map[string]bool{
		`device.driver == "gpu.example.com"`: true,
		`(device.driver=='gpu.example.com')`: true,
		`device.attributes["gpu.example.com"].type == "gpu" && device.driver == "gpu.example.com"`:     true,
		"device.driver == \"gpu.example.com\" &&\n device.capacity[\"x\"].memory >= quantity(\"1Gi\")": true,
		`device.driver != "gpu.example.com"`:                             false,
		`!(device.driver == "gpu.example.com")`:                          false,
		`device.driver == "gpu.example.com" || device.driver == "other"`: false,
		`device.driver == "gpu.example.com" ? true : false`:              false,
		`device.driver == "gpu.example.com".lowerAscii()`:                false,
		`device.driver.startsWith("gpu")`:                                false,
		`device.driver`:                                                  false,
		`device.driver == "`:                                             false,
		``:                                                               false,
	} {
		got := newCluster(t, class("gpu", expression), claim("c", asks("gpu"))).Request(uses("c"))
		if (got.Class == gpu) != known || !known && got.Count != 0 {
			t.Errorf("%s: request %+v, want the driver known: %t", expression, got, known)
		}
	}
}

func TestHasSynced(t *testing.T) {
	c := newCluster(t)
	for _, kind := range []*informer{&c.classes, &c.claims, &c.slices} {
		if c.HasSynced() {
			t.Error("synced before all informers are")
		}
		kind.synced = true
	}
	if !c.HasSynced() {
		t.Error("not synced after all informers are")
	}
}

func TestNewRejectsAMissingInformer(t *testing.T) {
	_, err := dra.New(dra.Config{Slices: &informer{}, Claims: &informer{}})
	if err == nil || !strings.Contains(err.Error(), "DeviceClasses") {
		t.Errorf("error %v, want one that names DeviceClasses", err)
	}
}

// TestStateBesideEvents is for the race detector, and asks that a state that is
// read while claims come and go is one that was published.
func TestStateBesideEvents(t *testing.T) {
	c := newCluster(t, class("gpu", `device.driver == "gpu.example.com"`), slice("a", has(device("d0"))))
	held := claim("c", holds("d0"))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 2000 {
				if got := c.State("n"); len(got.Free) != 1 || got.Free[0] != 0 && got.Free[0] != 1000 {
					t.Errorf("state %+v was never published", got)
				}
				c.Request(uses("c"))
			}
		})
	}
	for i := range 500 {
		c.add(held)
		c.add(slice("s"+strconv.Itoa(i), on("m"+strconv.Itoa(i)), has(device("d0"))))
		c.remove(held)
	}
	readers.Wait()
}

// manyNodes is a cluster of 5,000 nodes with 8 devices each.
func manyNodes(t testing.TB) *cluster {
	c := newCluster(t)
	for i := range 5000 {
		s := slice("s"+strconv.Itoa(i), on("node-"+strconv.Itoa(i)))
		for d := range 8 {
			has(device("d" + strconv.Itoa(d)))(s)
		}
		c.add(s)
	}
	return c
}

func TestStateAllocatesNothing(t *testing.T) {
	c := newCluster(t, slice("a", has(device("d0"))))
	if got := testing.AllocsPerRun(100, func() { c.State("n") }); got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}

func BenchmarkState(b *testing.B) {
	c := manyNodes(b)
	names := make([]string, 5000)
	for i := range names {
		names[i] = "node-" + strconv.Itoa(i)
	}
	b.ReportAllocs()
	i, found := 0, 0
	for b.Loop() {
		found += len(c.State(names[i%len(names)]).Free)
		i++
	}
	if found != 8*i {
		b.Fatalf("%d devices of %d nodes", found, i)
	}
}

// BenchmarkClaim is an allocation and its end in a cluster of 5,000 nodes.
func BenchmarkClaim(b *testing.B) {
	c := manyNodes(b)
	held := claim("c", holds("d3"))
	held.Status.Allocation.Devices.Results[0].Pool = "p-node-77"
	b.ReportAllocs()
	for b.Loop() {
		c.add(held)
		if c.State("node-77").Free[3] != 0 {
			b.Fatal("the device is free")
		}
		c.remove(held)
	}
}
