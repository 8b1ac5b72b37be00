// Package devicedriver stands for a device driver in simulations: it says what a
// pod asks of a node's devices, keeps nodes without them away, and hands them out.
package devicedriver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// Name is the plugin's name in a profile.
const Name = "SimDeviceDriver"

// Annotation holds a devices.Request in JSON: on a pod what it asks, on a node
// what it has (class and count; milli is not read).
const Annotation = "sim.plimsoll.dev/devices"

const stateKey fwk.StateKey = Name

// maxRequests bounds the annotations whose meaning is kept.
const maxRequests = 1 << 14

// Choice picks the device of a node from which a pod gets a share: an index of
// free, which holds what is free of each device in thousandths. It returns -1, or
// an index that does not fit, where it finds none. free is not to be changed.
type Choice func(nodeName string, pod *v1.Pod, free []int64) int

// Driver hands out devices. It is a scheduler plugin and a devices.Source. Whole
// devices are those of lowest index that are wholly free. One driver serves one
// framework.
type Driver struct {
	choose Choice

	mu       sync.RWMutex
	requests map[string]devices.Request // by annotation
	nodes    map[string]devices.State
	held     map[types.UID]allocation
	version  uint64
}

// allocation is what one pod holds.
type allocation struct {
	node    string
	indexes []int
	milli   int64
}

var (
	_ devices.Source        = (*Driver)(nil)
	_ fwk.PreFilterPlugin   = (*Driver)(nil)
	_ fwk.FilterPlugin      = (*Driver)(nil)
	_ fwk.ReservePlugin     = (*Driver)(nil)
	_ fwk.SignPlugin        = (*Driver)(nil)
	_ fwk.EnqueueExtensions = (*Driver)(nil)
)

// New makes a driver that knows no node yet. choose is for shares.
func New(choose Choice) *Driver {
	return &Driver{
		choose:   choose,
		requests: map[string]devices.Request{},
		nodes:    map[string]devices.State{},
		held:     map[types.UID]allocation{},
	}
}

// Tightest picks the device with the least left, of equal ones the first.
func Tightest(_ string, pod *v1.Pod, free []int64) int {
	milli, best := ReadRequest(pod).Milli, -1
	for i, left := range free {
		if left >= milli && (best < 0 || left < free[best]) {
			best = i
		}
	}
	return best
}

// First picks the first device that fits, as the in-tree allocator of dynamic
// resource allocation does.
func First(_ string, pod *v1.Pod, free []int64) int {
	milli := ReadRequest(pod).Milli
	return slices.IndexFunc(free, func(left int64) bool { return left >= milli })
}

// ReadRequest reads what a pod asks from its annotation, and keeps nothing. A pod whose annotation is wrong asks for nothing.
func ReadRequest(pod *v1.Pod) devices.Request {
	request, err := decode(pod.Annotations[Annotation])
	if err != nil {
		return devices.Request{}
	}
	return request
}

// Factory returns the driver as a plugin and lets it follow nodes and pods. It is
// a plugin factory for a scheduler's registry.
func (d *Driver) Factory(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	informers := handle.SharedInformerFactory().Core().V1()
	_, err := informers.Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { d.addNode(obj.(*v1.Node)) },
		DeleteFunc: func(obj any) { d.removeNode(obj) },
	})
	if err != nil {
		return nil, fmt.Errorf("follow nodes: %w", err)
	}
	_, err = informers.Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		DeleteFunc: func(obj any) { d.removePod(obj) },
	})
	if err != nil {
		return nil, fmt.Errorf("follow pods: %w", err)
	}
	return d, nil
}

// Name returns the plugin's name.
func (d *Driver) Name() string { return Name }

// EventsToRegister names what frees or brings devices.
func (d *Driver) EventsToRegister(context.Context) ([]fwk.ClusterEventWithHint, error) {
	return []fwk.ClusterEventWithHint{
		{Event: fwk.ClusterEvent{Resource: fwk.Node, ActionType: fwk.Add}},
		{Event: fwk.ClusterEvent{Resource: fwk.AssignedPod, ActionType: fwk.Delete}},
	}, nil
}

// SignPod returns what the pod asks.
func (d *Driver) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return []fwk.SignFragment{{Key: "v1.Pod." + Name + "()", Value: pod.Annotations[Annotation]}}, nil
}

// Request reads what a pod asks. A pod whose annotation is wrong asks for
// nothing; PreFilter rejects it.
func (d *Driver) Request(pod *v1.Pod) devices.Request {
	request, err := d.request(pod)
	if err != nil {
		return devices.Request{}
	}
	return request
}

// State reads what a node has free.
func (d *Driver) State(nodeName string) devices.State {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.nodes[nodeName]
}

// asked is what PreFilter keeps for Filter.
type asked struct{ devices.Request }

// Clone returns what is never changed.
func (a *asked) Clone() fwk.StateData { return a }

// PreFilter rejects a pod whose annotation is wrong, and skips Filter for one that
// asks for nothing.
func (d *Driver) PreFilter(_ context.Context, state fwk.CycleState, pod *v1.Pod, _ []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	request, err := d.request(pod)
	if err != nil {
		return nil, fwk.NewStatus(fwk.UnschedulableAndUnresolvable, err.Error())
	}
	if request.Count == 0 {
		return nil, fwk.NewStatus(fwk.Skip)
	}
	state.Write(stateKey, &asked{request})
	return nil, nil
}

// PreFilterExtensions returns nil: nothing is kept that depends on other pods.
func (d *Driver) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

// Filter rejects a node with too few devices that are free enough.
func (d *Driver) Filter(_ context.Context, state fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) *fwk.Status {
	data, err := state.Read(stateKey)
	if err != nil {
		return fwk.AsStatus(fmt.Errorf("filter by devices: %w", err))
	}
	request, has := data.(*asked).Request, d.State(node.Node().Name)
	if has.Class != request.Class || enough(has.Free, request.Milli) < request.Count {
		return fwk.NewStatus(fwk.Unschedulable, "too few free devices")
	}
	return nil
}

// Reserve gives the pod its devices.
func (d *Driver) Reserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, nodeName string) *fwk.Status {
	request, err := d.request(pod)
	if err != nil {
		return fwk.AsStatus(err)
	}
	if request.Count == 0 {
		return nil
	}
	if err := d.allocate(pod, nodeName, request); err != nil {
		return fwk.AsStatus(fmt.Errorf("reserve devices of node %s for pod %s/%s: %w", nodeName, pod.Namespace, pod.Name, err))
	}
	return nil
}

// Unreserve takes back what the pod holds, if anything.
func (d *Driver) Unreserve(_ context.Context, _ fwk.CycleState, pod *v1.Pod, _ string) {
	d.release(pod.UID)
}

func (d *Driver) allocate(pod *v1.Pod, nodeName string, request devices.Request) error {
	before := d.State(nodeName).Free
	var indexes []int
	if request.Milli < devices.Whole {
		// Without the lock: the choice may ask the driver.
		i := d.choose(nodeName, pod, before)
		if i < 0 || i >= len(before) || before[i] < request.Milli {
			return fmt.Errorf("device %d chosen for %d thousandths, of %v free", i, request.Milli, before)
		}
		indexes = []int{i}
	} else {
		for i, left := range before {
			if left == devices.Whole && len(indexes) < request.Count {
				indexes = append(indexes, i)
			}
		}
		if len(indexes) < request.Count {
			return fmt.Errorf("%d whole devices asked, of %v free", request.Count, before)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, holds := d.held[pod.UID]; holds {
		return errors.New("the pod has its devices already")
	}
	d.held[pod.UID] = allocation{node: nodeName, indexes: indexes, milli: request.Milli}
	d.shift(nodeName, indexes, -request.Milli)
	return nil
}

func (d *Driver) release(uid types.UID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	has, ok := d.held[uid]
	if !ok {
		return
	}
	delete(d.held, uid)
	if _, known := d.nodes[has.node]; known {
		d.shift(has.node, has.indexes, has.milli)
	}
}

// shift changes what is free of some devices of a node. States handed out stay as
// they are. The lock is held.
func (d *Driver) shift(nodeName string, indexes []int, milli int64) {
	state := d.nodes[nodeName]
	state.Free = slices.Clone(state.Free)
	for _, i := range indexes {
		state.Free[i] += milli
	}
	d.version++
	state.Version = d.version
	d.nodes[nodeName] = state
}

func (d *Driver) addNode(node *v1.Node) {
	has, err := decode(node.Annotations[Annotation])
	if err != nil || has.Count == 0 {
		return // a node without devices
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.version++
	d.nodes[node.Name] = devices.State{
		Class:   has.Class,
		Free:    slices.Repeat([]int64{devices.Whole}, has.Count),
		Version: d.version,
	}
}

func (d *Driver) removeNode(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.nodes, obj.(*v1.Node).Name)
}

func (d *Driver) removePod(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	d.release(obj.(*v1.Pod).UID)
}

// request decodes a pod's annotation once for all pods that carry the same.
func (d *Driver) request(pod *v1.Pod) (devices.Request, error) {
	text := pod.Annotations[Annotation]
	d.mu.RLock()
	request, ok := d.requests[text]
	d.mu.RUnlock()
	if ok {
		return request, nil
	}
	request, err := decode(text)
	if err != nil {
		return devices.Request{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.requests) < maxRequests {
		d.requests[text] = request
	}
	return request, nil
}

func decode(text string) (devices.Request, error) {
	if text == "" {
		return devices.Request{}, nil
	}
	var request devices.Request
	if err := json.Unmarshal([]byte(text), &request); err != nil {
		return devices.Request{}, fmt.Errorf("annotation %s: %q: %w", Annotation, text, err)
	}
	if request.Count > 0 && request.Milli == 0 {
		request.Milli = devices.Whole
	}
	switch {
	case request.Count < 0 || request.Count > 1024:
		return devices.Request{}, fmt.Errorf("annotation %s: count: %d: must be from 0 to 1024", Annotation, request.Count)
	case request.Milli < 0 || request.Milli > devices.Whole:
		return devices.Request{}, fmt.Errorf("annotation %s: milli: %d: must be from 1 to %d", Annotation, request.Milli, devices.Whole)
	case request.Count > 1 && request.Milli < devices.Whole:
		return devices.Request{}, fmt.Errorf("annotation %s: milli: %d: must be %d with a count above 1: only one device is shared", Annotation, request.Milli, devices.Whole)
	}
	return request, nil
}

// enough counts the devices of which at least so much is free.
func enough(free []int64, milli int64) int {
	count := 0
	for _, left := range free {
		if left >= milli {
			count++
		}
	}
	return count
}
