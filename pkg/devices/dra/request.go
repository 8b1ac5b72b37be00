package dra

import (
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	resourcehelper "k8s.io/component-helpers/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// maxCount bounds the devices of one request.
const maxCount = 1024

// Request returns what a pod asks of the driver of its first request that a
// driver is known for, all such requests added: in one device if it holds them,
// else in whole devices. Those of other drivers are left out.
//
// A claim that another pod was first to reserve asks nothing more. A pod without
// claims asks by the extended resource of a DeviceClass.
func (s *Source) Request(pod *v1.Pod) devices.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	total := sum{}
	for i := range pod.Spec.ResourceClaims {
		claim := s.claimOf(pod, &pod.Spec.ResourceClaims[i])
		if claim == nil || !isFirst(pod, claim) {
			continue
		}
		for j := range claim.Spec.Devices.Requests {
			if asked := exactly(&claim.Spec.Devices.Requests[j]); asked != nil {
				s.add(&total, asked)
			}
		}
	}
	if len(pod.Spec.ResourceClaims) == 0 && len(s.classes) > 0 {
		s.addExtended(&total, pod)
	}
	return total.request()
}

// sum is what requests of one driver ask, in thousandths of devices.
type sum struct {
	class string
	milli int64
}

func (t *sum) request() devices.Request {
	switch {
	case t.milli == 0:
		return devices.Request{}
	case t.milli <= devices.Whole:
		return devices.Request{Class: t.class, Count: 1, Milli: t.milli}
	}
	return devices.Request{
		Class: t.class, Count: int((t.milli + devices.Whole - 1) / devices.Whole), Milli: devices.Whole,
	}
}

// claimOf returns the claim of a pod, nil where it has not been made or is
// another's.
func (s *Source) claimOf(pod *v1.Pod, of *v1.PodResourceClaim) *resourceapi.ResourceClaim {
	if of.ResourceClaimName != nil {
		return s.claims[types.NamespacedName{Namespace: pod.Namespace, Name: *of.ResourceClaimName}]
	}
	for _, status := range pod.Status.ResourceClaimStatuses {
		if status.Name != of.Name || status.ResourceClaimName == nil {
			continue
		}
		claim := s.claims[types.NamespacedName{Namespace: pod.Namespace, Name: *status.ResourceClaimName}]
		if claim != nil && metav1.IsControlledBy(claim, pod) {
			return claim
		}
	}
	return nil
}

// isFirst reports whether a pod is the one that takes the devices of a claim.
func isFirst(pod *v1.Pod, claim *resourceapi.ResourceClaim) bool {
	if claim.Status.Allocation == nil {
		return true
	}
	by := claim.Status.ReservedFor
	return len(by) > 0 && by[0].UID == pod.UID
}

// exactly returns a request, of alternatives the preferred one; nil for one that
// takes nothing.
func exactly(r *resourceapi.DeviceRequest) *resourceapi.ExactDeviceRequest {
	switch {
	case r.Exactly != nil && r.Exactly.AdminAccess != nil && *r.Exactly.AdminAccess:
		return nil
	case r.Exactly != nil:
		return r.Exactly
	case len(r.FirstAvailable) == 0:
		return nil
	}
	first := &r.FirstAvailable[0]
	return &resourceapi.ExactDeviceRequest{
		DeviceClassName: first.DeviceClassName, Selectors: first.Selectors, AllocationMode: first.AllocationMode,
		Count: first.Count, Capacity: first.Capacity,
	}
}

func (s *Source) add(total *sum, asked *resourceapi.ExactDeviceRequest) {
	class := s.driverOf(asked)
	if class == "" || total.class != "" && total.class != class {
		return
	}
	d, count := s.drivers[class], asked.Count
	switch {
	case asked.AllocationMode != resourceapi.DeviceAllocationModeAll:
		count = min(max(count, 1), maxCount)
	case d != nil:
		count = int64(d.widest)
	}
	if milli := count * d.milli(asked.Capacity); milli > 0 {
		total.class = class
		total.milli += milli
	}
}

// addExtended adds the extended resources of a pod that a DeviceClass stands for.
func (s *Source) addExtended(total *sum, pod *v1.Pod) {
	requests := resourcehelper.PodRequests(pod, resourcehelper.PodResourcesOptions{})
	for _, name := range sortedNames(requests) {
		class, named := strings.CutPrefix(string(name), resourceapi.ResourceDeviceClassPrefix)
		if !named {
			class = s.extended[name]
		}
		// Nodes may serve the resource with a device plugin while the driver has none.
		if d := s.drivers[s.driverOfClass(class)]; d == nil || d.widest == 0 {
			continue
		}
		quantity := requests[name]
		if count := min(quantity.Value(), maxCount); count > 0 {
			s.add(total, &resourceapi.ExactDeviceRequest{DeviceClassName: class, Count: count})
		}
	}
}

func sortedNames(list v1.ResourceList) []v1.ResourceName {
	names := make([]v1.ResourceName, 0, len(list))
	for name := range list {
		if strings.Contains(string(name), "/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func extendedNameOf(class *resourceapi.DeviceClass) v1.ResourceName {
	if class.Spec.ExtendedResourceName == nil {
		return ""
	}
	return v1.ResourceName(*class.Spec.ExtendedResourceName)
}

// driverOf returns the driver that a request names, else that of its class.
func (s *Source) driverOf(asked *resourceapi.ExactDeviceRequest) string {
	if driver := driverIn(asked.Selectors); driver != "" {
		return driver
	}
	return s.driverOfClass(asked.DeviceClassName)
}

// driverOfClass returns the driver of a class: the one that its selectors name,
// else the one of which devices were allocated for it, else none.
func (s *Source) driverOfClass(name string) string {
	if class := s.classes[name]; class != nil {
		if driver := driverIn(class.Spec.Selectors); driver != "" {
			return driver
		}
	}
	return s.allocator[name]
}

// driverIn returns the driver that a selector names in the customary form
// device.driver == "name", alone or joined to other conditions with &&. It reads
// no other CEL: of an expression with ||, ?: or a negated group it says nothing.
func driverIn(selectors []resourceapi.DeviceSelector) string {
	for _, selector := range selectors {
		if selector.CEL == nil || hasAny(selector.CEL.Expression, "||", "?", "!(", "! (") {
			continue
		}
		for condition := range strings.SplitSeq(selector.CEL.Expression, "&&") {
			if driver := driverEqual(condition); driver != "" {
				return driver
			}
		}
	}
	return ""
}

func hasAny(text string, parts ...string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(text, part) })
}

// driverEqual returns the name that a condition compares device.driver with.
func driverEqual(condition string) string {
	rest, found := strings.CutPrefix(strings.Trim(condition, " \t\n()"), "device.driver")
	if !found {
		return ""
	}
	rest, found = strings.CutPrefix(strings.TrimLeft(rest, " \t\n"), "==")
	rest = strings.TrimLeft(rest, " \t\n")
	if !found || len(rest) < 3 || rest[0] != '"' && rest[0] != '\'' {
		return ""
	}
	name, end, _ := strings.Cut(rest[1:], rest[:1])
	if end != "" {
		return ""
	}
	return name
}
