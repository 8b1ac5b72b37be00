package dra

import (
	"cmp"
	"maps"
	"slices"

	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// poolID names a pool of devices.
type poolID struct{ driver, name string }

func poolOf(slice *resourceapi.ResourceSlice) poolID {
	return poolID{slice.Spec.Driver, slice.Spec.Pool.Name}
}

// pool is what is known of a pool: what it offers, and who has some of it.
type pool struct {
	id     poolID
	slices map[string]*resourceapi.ResourceSlice               // by name
	claims map[types.NamespacedName]*resourceapi.ResourceClaim // with a device of the pool
	nodes  []string                                            // as last counted
}

// current returns the slices of the latest generation in the order in which the
// scheduler's allocator reads them, none while one of them is missing: then the
// allocator takes nothing from the pool.
func (p *pool) current() []*resourceapi.ResourceSlice {
	latest := int64(0)
	for _, slice := range p.slices {
		latest = max(latest, slice.Spec.Pool.Generation)
	}
	var found []*resourceapi.ResourceSlice
	for _, slice := range p.slices {
		if slice.Spec.Pool.Generation == latest {
			found = append(found, slice)
		}
	}
	if len(found) == 0 || int64(len(found)) != found[0].Spec.Pool.ResourceSliceCount {
		return nil
	}
	slices.SortFunc(found, func(a, b *resourceapi.ResourceSlice) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// free returns the free thousandths of each device, by node: first the devices of
// their own, then each set of counters that partitions share, as one device.
func (p *pool) free() map[string][]int64 {
	current := p.current()
	free := map[string][]int64{}
	if !slices.ContainsFunc(current, func(s *resourceapi.ResourceSlice) bool { return s.Spec.NodeName != nil }) {
		return free
	}
	taken := p.taken()
	sets := countersOf(current, taken)
	shared := map[string][]*counterSet{}
	for _, slice := range current {
		if slice.Spec.NodeName == nil {
			continue
		}
		node := *slice.Spec.NodeName
		for i := range slice.Spec.Devices {
			device := &slice.Spec.Devices[i]
			if len(device.ConsumesCounters) == 0 {
				free[node] = append(free[node], freeOf(device, taken[device.Name]))
				continue
			}
			for _, consumption := range device.ConsumesCounters {
				set := sets[consumption.CounterSet]
				if set != nil && !slices.Contains(shared[node], set) {
					shared[node] = append(shared[node], set)
				}
				if set != nil && taken[device.Name] == nil && !isTainted(device) && suffice(sets, device) {
					set.usable = true
				}
			}
		}
	}
	for node, of := range shared {
		for _, set := range of {
			free[node] = append(free[node], set.share())
		}
	}
	return free
}

// use is what claims hold of one device.
type use struct {
	exclusive bool
	consumed  map[resourceapi.QualifiedName]float64
}

// taken sums what claims hold, by the name of the device. Administrators look at
// devices without taking them.
func (p *pool) taken() map[string]*use {
	taken := map[string]*use{}
	for _, claim := range p.claims {
		for _, result := range resultsOf(claim) {
			isAdmin := result.AdminAccess != nil && *result.AdminAccess
			if isAdmin || p.id != (poolID{result.Driver, result.Pool}) {
				continue
			}
			u := taken[result.Device]
			if u == nil {
				u = &use{consumed: map[resourceapi.QualifiedName]float64{}}
				taken[result.Device] = u
			}
			u.exclusive = u.exclusive || result.ShareID == nil
			for name, amount := range result.ConsumedCapacity {
				u.consumed[name] += amount.AsApproximateFloat64()
			}
		}
	}
	return taken
}

func resultsOf(claim *resourceapi.ResourceClaim) []resourceapi.DeviceRequestAllocationResult {
	if claim == nil || claim.Status.Allocation == nil {
		return nil
	}
	return claim.Status.Allocation.Devices.Results
}

// freeOf returns what is free of a device of its own: all or nothing, or of one
// that many claims may share the least share of a capacity that is left. One with
// a taint that keeps pods off has nothing free, though some may tolerate it.
func freeOf(device *resourceapi.Device, u *use) int64 {
	switch {
	case isTainted(device) || u != nil && (u.exclusive || !isShared(device)):
		return 0
	case u == nil:
		return devices.Whole
	}
	least := int64(devices.Whole)
	for name, capacity := range device.Capacity {
		if all := capacity.Value.AsApproximateFloat64(); all > 0 {
			least = min(least, thousandths(all-u.consumed[name], all))
		}
	}
	return least
}

func isShared(device *resourceapi.Device) bool {
	return device.AllowMultipleAllocations != nil && *device.AllowMultipleAllocations
}

func isTainted(device *resourceapi.Device) bool {
	return slices.ContainsFunc(device.Taints, func(t resourceapi.DeviceTaint) bool {
		return t.Effect == resourceapi.DeviceTaintEffectNoSchedule || t.Effect == resourceapi.DeviceTaintEffectNoExecute
	})
}

// thousandths is a part of a whole above zero, rounded down, from 0 to 1000.
// Shares asked and shares left are both rounded down: then three thirds fill a
// device.
func thousandths(part, whole float64) int64 {
	const rounding = 1e-6 // far above the error of the division, far below one
	share := part/whole*devices.Whole + rounding
	if !(share > 0) { // also not a number
		return 0
	}
	return int64(min(share, devices.Whole))
}

// counterSet is what partitions of one physical device share.
type counterSet struct {
	all, left map[string]float64
	// usable is set where a partition that nobody holds finds the counters it needs.
	usable bool
}

// countersOf returns the counters of a pool by set, less what devices in use take.
func countersOf(current []*resourceapi.ResourceSlice, taken map[string]*use) map[string]*counterSet {
	sets := map[string]*counterSet{}
	for _, slice := range current {
		for _, set := range slice.Spec.SharedCounters {
			all := map[string]float64{}
			for name, counter := range set.Counters {
				all[name] = counter.Value.AsApproximateFloat64()
			}
			sets[set.Name] = &counterSet{all: all, left: maps.Clone(all)}
		}
	}
	for _, slice := range current {
		for i := range slice.Spec.Devices {
			if taken[slice.Spec.Devices[i].Name] == nil {
				continue
			}
			for _, consumption := range slice.Spec.Devices[i].ConsumesCounters {
				if set := sets[consumption.CounterSet]; set != nil {
					for name, counter := range consumption.Counters {
						set.left[name] -= counter.Value.AsApproximateFloat64()
					}
				}
			}
		}
	}
	return sets
}

// suffice reports whether the counters left are enough for a device.
func suffice(sets map[string]*counterSet, device *resourceapi.Device) bool {
	for _, consumption := range device.ConsumesCounters {
		set := sets[consumption.CounterSet]
		if set == nil {
			return false
		}
		for name, counter := range consumption.Counters {
			if set.left[name] < counter.Value.AsApproximateFloat64() {
				return false
			}
		}
	}
	return true
}

// share is the least share of a counter that is left, 0 where no partition can be
// had. Counters of one mark positions, such as the memory slices of a GPU, and are
// taken together: else the first partition would fill the device.
func (s *counterSet) share() int64 {
	if !s.usable {
		return 0
	}
	least := int64(devices.Whole)
	marks, marksLeft := 0.0, 0.0
	for name, all := range s.all {
		switch {
		case all == 1:
			marks, marksLeft = marks+1, marksLeft+max(0, s.left[name])
		case all > 0:
			least = min(least, thousandths(s.left[name], all))
		}
	}
	if marks > 0 {
		least = min(least, thousandths(marksLeft, marks))
	}
	return least
}
