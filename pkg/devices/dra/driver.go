package dra

import (
	"math"
	"strings"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// driver is what was ever seen of a driver's devices. It only grows, so that what
// a pod asks does not change as nodes come and go.
type driver struct {
	// isShared: a device may serve many claims. isPartitioned: devices share
	// counters.
	isShared, isPartitioned bool
	// largest is the largest capacity of a device, by name.
	largest map[resourceapi.QualifiedName]resourceapi.DeviceCapacity
	// widest is the most devices on a node.
	widest int
}

// learn takes in the devices of a slice. The lock is held.
func (s *Source) learn(slice *resourceapi.ResourceSlice) {
	d := s.drivers[slice.Spec.Driver]
	if d == nil {
		d = &driver{largest: map[resourceapi.QualifiedName]resourceapi.DeviceCapacity{}}
		s.drivers[slice.Spec.Driver] = d
	}
	for i := range slice.Spec.Devices {
		device := &slice.Spec.Devices[i]
		d.isShared = d.isShared || isShared(device)
		d.isPartitioned = d.isPartitioned || len(device.ConsumesCounters) > 0
		for name, capacity := range device.Capacity {
			known, seen := d.largest[name]
			if !seen || capacity.Value.Cmp(known.Value) > 0 {
				d.largest[name] = capacity
			}
		}
	}
}

// learnAllocator notes which driver served each class of an allocated claim. The
// lock is held.
func (s *Source) learnAllocator(claim *resourceapi.ResourceClaim) {
	for _, result := range resultsOf(claim) {
		name, alternative, _ := strings.Cut(result.Request, "/")
		for i := range claim.Spec.Devices.Requests {
			r := &claim.Spec.Devices.Requests[i]
			if r.Name != name {
				continue
			}
			if r.Exactly != nil {
				s.allocator[r.Exactly.DeviceClassName] = result.Driver
			}
			for j := range r.FirstAvailable {
				if r.FirstAvailable[j].Name == alternative {
					s.allocator[r.FirstAvailable[j].DeviceClassName] = result.Driver
				}
			}
		}
	}
}

// milli returns the thousandths of the driver's largest device that a request
// takes: a whole one, unless devices are shared or partitioned and the request
// names capacities. It is 0 where devices are shared and nothing of them runs out.
func (d *driver) milli(asked *resourceapi.CapacityRequirements) int64 {
	if d == nil || !d.isShared && (!d.isPartitioned || asked == nil || len(asked.Requests) == 0) {
		return devices.Whole
	}
	most := int64(0)
	for name, capacity := range d.largest {
		all := capacity.Value.AsApproximateFloat64()
		amount := 0.0
		if wanted, named := requestedOf(asked, name); named {
			amount = rounded(wanted, capacity.RequestPolicy)
		} else if d.isShared {
			amount = unnamed(capacity)
		}
		if amount > 0 && all > 0 {
			most = max(most, 1, thousandths(amount, all))
		}
	}
	if most == 0 && !d.isShared {
		return devices.Whole // it names no capacity that the devices have
	}
	return most
}

func requestedOf(asked *resourceapi.CapacityRequirements, name resourceapi.QualifiedName) (resource.Quantity, bool) {
	if asked == nil {
		return resource.Quantity{}, false
	}
	wanted, named := asked.Requests[name]
	return wanted, named
}

// unnamed is what a request takes of a capacity that it does not name: the
// policy's default, without a policy all.
func unnamed(capacity resourceapi.DeviceCapacity) float64 {
	if policy := capacity.RequestPolicy; policy != nil && policy.Default != nil {
		return policy.Default.AsApproximateFloat64()
	}
	return capacity.Value.AsApproximateFloat64()
}

// rounded is the amount that a policy makes of what is requested: the next valid
// one above.
func rounded(wanted resource.Quantity, policy *resourceapi.CapacityRequestPolicy) float64 {
	amount := wanted.AsApproximateFloat64()
	if policy == nil {
		return amount
	}
	for _, valid := range policy.ValidValues { // ascending
		if valid.Cmp(wanted) >= 0 {
			return valid.AsApproximateFloat64()
		}
	}
	if valid := policy.ValidRange; valid != nil && valid.Min != nil {
		least := valid.Min.AsApproximateFloat64()
		amount = max(amount, least)
		if valid.Step != nil && valid.Step.Sign() > 0 {
			step := valid.Step.AsApproximateFloat64()
			amount = least + math.Ceil((amount-least)/step)*step
		}
	}
	return amount
}
