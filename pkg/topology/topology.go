// Package topology knows the domains of a cluster, how many replicas of each
// workload they hold, and how many they may hold.
//
// A level is a node label key: region, zone, rack, host. A domain is the nodes
// that have the same values at a level and at all levels above it: its identity
// is that path of values, and two racks "1" in two zones are two domains. A
// Tree holds the domains of the nodes as they are labelled now. A Replicas
// counts the replicas of each workload in each domain: those that are bound or
// assumed and that nobody deletes; those that are being deleted, and those of
// another revision, are counted apart, so that a rolling update does not count
// twice. A Budget is the most replicas that one domain of a level may hold, so
// that the loss of the domain takes no more than the user can bear.
//
// What a user bears is what PodDisruptionBudgets say:
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions. Percentages
// are resolved as the disruption controller resolves them. The hierarchy of
// labels is that of topology.kubernetes.io, which promises that a zone lies in
// one region (https://kubernetes.io/docs/reference/labels-annotations-taints);
// the levels are those that KEP-5732 (topology-aware workload scheduling) takes
// one at a time.
//
// Nothing here reads a clock or asks the API. Trees and counts are brought up to
// date by whoever watches, in steps that do not grow with the cluster; a
// scheduling cycle reads them without a lock for each node.
package topology

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// RackKey is the customary label of a rack. No component sets it; the API of pod
// groups names it as an example.
const RackKey = "topology.kubernetes.io/rack"

// MaxLevels is the largest number of levels.
const MaxLevels = 8

// Level is one kind of domain.
type Level struct {
	// Name is what users call it, as in budgets: lower case letters, digits, dashes.
	Name string `json:"name"`
	// Key is the node label that tells its domains.
	Key string `json:"key"`
}

// DefaultLevels returns region, zone, rack and host, the widest first.
func DefaultLevels() []Level {
	return []Level{
		{Name: "region", Key: v1.LabelTopologyRegion},
		{Name: "zone", Key: v1.LabelTopologyZone},
		{Name: "rack", Key: RackKey},
		{Name: "host", Key: v1.LabelHostname},
	}
}

// ValidateLevels checks levels, the widest first: 1 to MaxLevels, no name and no
// key twice, and kubernetes.io/hostname, which stands for the node itself, last.
func ValidateLevels(levels []Level, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(levels) == 0 || len(levels) > MaxLevels {
		errs = append(errs, field.Invalid(path, len(levels), fmt.Sprintf("must be 1 to %d levels", MaxLevels)))
	}
	names, keys := map[string]bool{}, map[string]bool{}
	for i, level := range levels {
		at := path.Index(i)
		errs = append(errs, level.validate(at)...)
		if names[level.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), level.Name))
		}
		if keys[level.Key] {
			errs = append(errs, field.Duplicate(at.Child("key"), level.Key))
		}
		names[level.Name], keys[level.Key] = true, true
		if level.Key == v1.LabelHostname && i != len(levels)-1 {
			errs = append(errs, field.Invalid(at.Child("key"), level.Key, "must be the last level: there is nothing below a node"))
		}
	}
	return errs
}

func (l Level) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range validation.IsDNS1123Label(l.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), l.Name, problem))
	}
	for _, problem := range content.IsLabelKey(l.Key) {
		errs = append(errs, field.Invalid(path.Child("key"), l.Key, "must be a label key: "+problem))
	}
	return errs
}

// levelNamed returns the index of the level of a name, -1 for none.
func levelNamed(levels []Level, name string) int {
	for i := range levels {
		if levels[i].Name == name {
			return i
		}
	}
	return -1
}

// namesOf lists what may be written for a level.
func namesOf(levels []Level) string {
	names := make([]string, len(levels))
	for i := range levels {
		names[i] = levels[i].Name
	}
	return strings.Join(names, ", ")
}
