package marginalcost

import (
	"cmp"
	"math"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	helpers "k8s.io/component-helpers/resource"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// demand is what a pod asks for, as the framework counts it. It is not changed
// once made.
type demand struct {
	// Uses: the pod keeps a node from being empty.
	Uses bool
	// Asks is what the pod requests, above 0 each, by name of the resource. The
	// slot that each pod takes is not among them.
	Asks []ask
}

// ask is an amount in the framework's unit: thousandths of a core for CPU,
// bytes for memory and storage, pieces for the rest.
type ask struct {
	Resource v1.ResourceName `json:"resource"`
	Amount   int64           `json:"amount"`
}

// demandOf reads a pod that is not bound yet. Requests are summed as the
// framework does for the nodes' totals: sidecars, init containers, overhead and
// requests of the whole pod included.
func demandOf(pod *v1.Pod) *demand {
	requests := helpers.PodRequests(pod, helpers.PodResourcesOptions{})
	asks := make([]ask, 0, len(requests))
	for name, quantity := range requests {
		if quantity.Sign() > 0 {
			asks = append(asks, ask{Resource: name, Amount: units(name, quantity)})
		}
	}
	slices.SortFunc(asks, func(a, b ask) int { return cmp.Compare(a.Resource, b.Resource) })
	return &demand{Uses: !workload.IsSystem(pod), Asks: asks}
}

// units converts a quantity above 0; one beyond int64 becomes the largest int64.
func units(name v1.ResourceName, quantity resource.Quantity) int64 {
	scale := resource.Scale(0)
	if name == v1.ResourceCPU {
		scale = resource.Milli
	}
	if quantity.Cmp(*resource.NewScaledQuantity(math.MaxInt64, scale)) >= 0 {
		return math.MaxInt64
	}
	return quantity.ScaledValue(scale)
}

// readArrival returns what PreScore found, or finds it where PreScore did not
// run, as for a pod that a batch or a lone candidate places.
func (p *Plugin) readArrival(state fwk.CycleState, pod *v1.Pod) *arrival {
	if data, err := state.Read(arrivalKey); err == nil {
		if a, ok := data.(*arrival); ok {
			return a
		}
	}
	return p.arrive(pod)
}

// amount reads one resource of a total.
func amount(total fwk.Resource, name v1.ResourceName) int64 {
	switch name {
	case v1.ResourceCPU:
		return total.GetMilliCPU()
	case v1.ResourceMemory:
		return total.GetMemory()
	case v1.ResourceEphemeralStorage:
		return total.GetEphemeralStorage()
	default:
		return total.GetScalarResources()[name]
	}
}
