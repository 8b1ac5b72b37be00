package shapes

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// The limits of a Pin.
const (
	// MaxWeight is the largest weight of one shape.
	MaxWeight = 1e9
	// MaxDevices is how many devices one pod can ask for.
	MaxDevices = 4096
)

// pinnedPods is how many pods a mix from configuration stands for in Requested:
// enough for a weight of a millionth to show.
const pinnedPods = 1e6

// Pin is one shape of a mix that configuration gives.
type Pin struct {
	// Requests by resource, 0 or more each: cpu, memory, ephemeral-storage,
	// hugepages-<size> or an extended resource such as example.com/fpga.
	Requests map[v1.ResourceName]Amount `json:"requests,omitempty"`
	// Devices asked for beside them.
	Devices devices.Request `json:"devices,omitzero"`
	// NodeSelector is the labels that a node must have. None: any node.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// NodeAffinity is what a node must match besides, as a pod requires it
	// (requiredDuringSchedulingIgnoredDuringExecution).
	NodeAffinity *v1.NodeSelector `json:"nodeAffinity,omitempty"`
	// Weight is the shape's part of the mix, 0 to 1e9, in any unit.
	Weight float64 `json:"weight"`
}

// Amount is a quantity as configuration writes it: "500m", "2Gi" or a number.
type Amount string

// UnmarshalJSON takes a string or a number as it is written. Whether it is a
// quantity is checked by Pinned, which knows the field's path.
func (a *Amount) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte{'"'}) {
		*a = Amount(data)
		return nil
	}
	return json.Unmarshal(data, (*string)(a))
}

// Pinned makes a mix of shapes that are given. Errors carry the path of the
// field below path.
func Pinned(list []Pin, path *field.Path) (*Mix, field.ErrorList) {
	var errs field.ErrorList
	m := &Mix{}
	at := map[string]int{}
	for i, pin := range list {
		shape, wrong := pin.shape(path.Index(i))
		errs = append(errs, wrong...)
		key := shape.Key()
		if j, twice := at[key]; twice {
			m.Shapes[j].Weight += pin.Weight
		} else if pin.Weight > 0 {
			at[key] = len(m.Shapes)
			m.Shapes = append(m.Shapes, Weighted{Shape: shape, Key: key, Weight: pin.Weight})
		}
	}
	if len(errs) == 0 && len(m.Shapes) == 0 {
		errs = append(errs, field.Invalid(path, len(list), "the weights must have a sum above 0"))
	}
	if len(errs) > 0 {
		return nil, errs
	}
	sortShapes(m.Shapes)
	m.Weight = weightOf(m.Shapes)
	m.Requested = proportions(m)
	return m, nil
}

func (p Pin) shape(path *field.Path) (Shape, field.ErrorList) {
	requests := v1.ResourceList{}
	var errs field.ErrorList
	for _, name := range slices.Sorted(maps.Keys(p.Requests)) {
		quantity, err := p.Requests[name].read(name, path.Child("requests").Key(string(name)))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		requests[name] = quantity
	}
	errs = append(errs, validateDevices(p.Devices, path.Child("devices"))...)
	errs = append(errs, metavalidation.ValidateLabels(p.NodeSelector, path.Child("nodeSelector"))...)
	if !(p.Weight >= 0 && p.Weight <= MaxWeight) { // also when it is not a number
		errs = append(errs, field.Invalid(path.Child("weight"), p.Weight, fmt.Sprintf("must be from 0 to %g", float64(MaxWeight))))
	}
	shape := Shape{
		Requests: requestsOf(requests),
		Devices:  p.Devices,
		Selector: selectorOf(p.spec()),
	}
	if _, err := NewMatcher(shape.Selector); err != nil {
		errs = append(errs, field.Invalid(path.Child("nodeAffinity"), shape.Selector, err.Error()))
	}
	if len(errs) == 0 && len(shape.Requests) == 0 && p.Devices.Count == 0 {
		errs = append(errs, field.Required(path.Child("requests"), "a shape must ask for a resource or a device"))
	}
	return shape, errs
}

func (p Pin) spec() *v1.PodSpec {
	spec := &v1.PodSpec{NodeSelector: p.NodeSelector}
	if p.NodeAffinity != nil {
		spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: p.NodeAffinity}}
	}
	return spec
}

func (a Amount) read(name v1.ResourceName, path *field.Path) (resource.Quantity, *field.Error) {
	if !isResource(name) {
		return resource.Quantity{}, field.Invalid(path, string(name),
			"is no resource of a pod: must be cpu, memory, ephemeral-storage, hugepages-<size> or an extended resource <domain>/<name>")
	}
	quantity, err := resource.ParseQuantity(string(a))
	switch {
	case err != nil:
		return quantity, field.Invalid(path, string(a), err.Error())
	case quantity.Sign() < 0 || isBeyondUnits(name, quantity):
		return quantity, field.Invalid(path, string(a), fmt.Sprintf("must be from 0 to %s",
			resource.NewScaledQuantity(math.MaxInt64, scaleOf(name))))
	}
	return quantity, nil
}

func isResource(name v1.ResourceName) bool {
	switch name {
	case v1.ResourceCPU, v1.ResourceMemory, v1.ResourceEphemeralStorage:
		return true
	}
	text := string(name)
	if size, huge := strings.CutPrefix(text, v1.ResourceHugePagesPrefix); huge {
		_, err := resource.ParseQuantity(size)
		return err == nil
	}
	return strings.Contains(text, "/") && !strings.HasPrefix(text, v1.DefaultResourceRequestsPrefix) &&
		len(content.IsLabelKey(text)) == 0
}

func validateDevices(d devices.Request, path *field.Path) field.ErrorList {
	if d == (devices.Request{}) {
		return nil
	}
	var errs field.ErrorList
	if d.Class == "" {
		errs = append(errs, field.Required(path.Child("class"), "devices are of a class"))
	} else if reasons := content.IsLabelKey(d.Class); len(reasons) > 0 {
		errs = append(errs, field.Invalid(path.Child("class"), d.Class, strings.Join(reasons, "; ")))
	}
	if d.Count < 1 || d.Count > MaxDevices {
		errs = append(errs, field.Invalid(path.Child("count"), d.Count, fmt.Sprintf("must be from 1 to %d devices", MaxDevices)))
	}
	if d.Milli < 1 || d.Milli > devices.Whole || d.Count > 1 && d.Milli != devices.Whole {
		errs = append(errs, field.Invalid(path.Child("milli"), d.Milli,
			fmt.Sprintf("must be from 1 to %[1]d thousandths of one device, or %[1]d of several", devices.Whole)))
	}
	return errs
}

// proportions returns the requests of pinnedPods pods of the mix, fewer where
// the largest sum would not fit.
func proportions(m *Mix) []Request {
	sums := map[v1.ResourceName]float64{}
	largest := 0.0
	for _, s := range m.Shapes {
		for _, r := range s.Shape.Requests {
			sums[r.Name] += s.Weight / m.Weight * float64(r.Amount)
			largest = max(largest, sums[r.Name])
		}
	}
	pods := min(pinnedPods, math.MaxInt64/2/max(largest, 1))
	exact := totals{}
	for name, sum := range sums {
		exact.add([]Request{{Name: name, Amount: max(1, int64(sum*pods))}})
	}
	return exact.list()
}
