// Package shapes learns what a cluster's pods ask for: the live mix of shapes.
//
// A shape is all that packing sees of a pod. Pods of one shape are one line of
// the mix, whatever runs in them.
package shapes

import (
	"cmp"
	"math"
	"slices"
	"strconv"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// Shape is what packing sees of a pod. It is not changed once made.
type Shape struct {
	// Requests are above 0 each and sorted by name. The slot that each pod takes
	// is not among them.
	Requests []Request
	// Devices is what the pod asks of a node's devices.
	Devices devices.Request
	// Selector says which nodes the pod accepts, in a canonical form that
	// NewMatcher reads. Empty: any node.
	Selector string
}

// Request is an amount of one resource in the framework's unit: thousandths of
// a core for CPU, bytes for memory and storage, pieces for the rest.
type Request struct {
	Name   v1.ResourceName
	Amount int64
}

// Of reads a pod. Requests are summed as the framework does for a node's totals:
// sidecars, init containers, requests of the whole pod, overhead, and of a bound
// pod the larger of what it asks and what it holds while it is being resized.
// What a DRA claim takes of CPU and memory (DRANodeAllocatableResources, alpha)
// is not counted.
func Of(pod *v1.Pod, d devices.Request) Shape {
	return Shape{Requests: requestsOf(listOf(pod)), Devices: d, Selector: selectorOf(&pod.Spec)}
}

// Key returns the shape in one line, as in "cpu=500,memory=1073741824". Shapes
// with equal content have equal keys, others have not.
func (s Shape) Key() string {
	var buffer [256]byte
	return string(s.appendKey(buffer[:0]))
}

// appendKey writes the key. Names of resources and device classes hold none of
// the signs that part the key; the selector, which may, stands last.
func (s Shape) appendKey(key []byte) []byte {
	for i, r := range s.Requests {
		if i > 0 {
			key = append(key, ',')
		}
		key = append(append(key, r.Name...), '=')
		key = strconv.AppendInt(key, r.Amount, 10)
	}
	if s.Devices != (devices.Request{}) {
		key = append(append(key, ';'), s.Devices.Class...)
		key = strconv.AppendInt(append(key, '*'), int64(s.Devices.Count), 10)
		key = strconv.AppendInt(append(key, '@'), s.Devices.Milli, 10)
	}
	if s.Selector != "" {
		key = append(append(key, '|'), s.Selector...)
	}
	return key
}

func listOf(pod *v1.Pod) v1.ResourceList {
	if isPlain(pod) {
		return pod.Spec.Containers[0].Resources.Requests
	}
	return helpers.PodRequests(pod, helpers.PodResourcesOptions{
		UseStatusResources: true,
		InPlacePodLevelResourcesVerticalScalingEnabled: true,
	})
}

// isPlain reports whether a pod's requests are those of its only container, as
// of most pods that wait for a node. It saves most of the time of the sum.
func isPlain(pod *v1.Pod) bool {
	return len(pod.Spec.Containers) == 1 && len(pod.Spec.InitContainers) == 0 &&
		pod.Spec.Resources == nil && len(pod.Spec.Overhead) == 0 &&
		len(pod.Status.ContainerStatuses) == 0 && len(pod.Status.InitContainerStatuses) == 0 &&
		pod.Status.Resources == nil && len(pod.Status.AllocatedResources) == 0 &&
		!helpers.IsPodResizeInfeasible(pod)
}

func requestsOf(list v1.ResourceList) []Request {
	requests := make([]Request, 0, len(list))
	for name, quantity := range list {
		if quantity.Sign() > 0 {
			requests = append(requests, Request{Name: name, Amount: units(name, quantity)})
		}
	}
	slices.SortFunc(requests, func(a, b Request) int { return cmp.Compare(a.Name, b.Name) })
	return requests
}

// units converts a quantity above 0, rounded up; one beyond int64 becomes the
// largest int64.
func units(name v1.ResourceName, quantity resource.Quantity) int64 {
	if isBeyondUnits(name, quantity) {
		return math.MaxInt64
	}
	return quantity.ScaledValue(scaleOf(name))
}

func isBeyondUnits(name v1.ResourceName, quantity resource.Quantity) bool {
	if quantity.AsApproximateFloat64() < 1e15 { // far below in either unit, and cheaper
		return false
	}
	return quantity.Cmp(*resource.NewScaledQuantity(math.MaxInt64, scaleOf(name))) > 0
}

func scaleOf(name v1.ResourceName) resource.Scale {
	if name == v1.ResourceCPU {
		return resource.Milli
	}
	return 0
}
