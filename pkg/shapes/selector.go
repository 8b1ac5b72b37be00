package shapes

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Matcher tells which nodes a shape accepts. The zero value accepts any.
type Matcher struct {
	selector *nodeaffinity.NodeSelector
}

// NewMatcher reads a shape's Selector.
func NewMatcher(selector string) (Matcher, error) {
	if selector == "" {
		return Matcher{}, nil
	}
	var terms []v1.NodeSelectorTerm
	if err := json.Unmarshal([]byte(selector), &terms); err != nil {
		return Matcher{}, fmt.Errorf("read selector %q: %w", selector, err)
	}
	parsed, err := nodeaffinity.NewNodeSelector(&v1.NodeSelector{NodeSelectorTerms: terms})
	if err != nil {
		return Matcher{}, fmt.Errorf("read selector %q: %w", selector, err)
	}
	return Matcher{selector: parsed}, nil
}

// Matches reports whether pods of the shape may be placed on the node, as far as
// nodeSelector and required node affinity say.
func (m Matcher) Matches(node *v1.Node) bool {
	return m.selector == nil || m.selector.Match(node)
}

// selectorOf writes what a pod demands of its node as one list of terms of which
// one must match: the nodeSelector is made a part of every term. Order and
// repetition carry no meaning and are removed. A required affinity without a
// term that selects anything matches no node: "[]".
func selectorOf(spec *v1.PodSpec) string {
	var required *v1.NodeSelector
	if spec.Affinity != nil && spec.Affinity.NodeAffinity != nil {
		required = spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	}
	if len(spec.NodeSelector) == 0 && required == nil {
		return ""
	}
	common := requirementsOf(spec.NodeSelector)
	if required == nil {
		return canonical([]v1.NodeSelectorTerm{{MatchExpressions: common}})
	}
	terms := []v1.NodeSelectorTerm{}
	for _, term := range required.NodeSelectorTerms {
		if len(term.MatchExpressions) == 0 && len(term.MatchFields) == 0 {
			continue // an empty term selects nothing
		}
		terms = append(terms, v1.NodeSelectorTerm{
			MatchExpressions: slices.Concat(common, term.MatchExpressions),
			MatchFields:      term.MatchFields,
		})
	}
	return canonical(terms)
}

func requirementsOf(labels map[string]string) []v1.NodeSelectorRequirement {
	requirements := make([]v1.NodeSelectorRequirement, 0, len(labels))
	for key, value := range labels {
		requirements = append(requirements, v1.NodeSelectorRequirement{
			Key: key, Operator: v1.NodeSelectorOpIn, Values: []string{value},
		})
	}
	return requirements
}

func canonical(terms []v1.NodeSelectorTerm) string {
	lines := make([][]byte, 0, len(terms))
	for _, term := range terms {
		lines = append(lines, encode(v1.NodeSelectorTerm{
			MatchExpressions: sorted(term.MatchExpressions),
			MatchFields:      sorted(term.MatchFields),
		}))
	}
	slices.SortFunc(lines, bytes.Compare)
	lines = slices.CompactFunc(lines, bytes.Equal)
	return "[" + string(bytes.Join(lines, []byte(","))) + "]"
}

// sorted returns requirements in one order, each value once. All of them must
// hold, so none is lost by leaving out its repetition.
func sorted(requirements []v1.NodeSelectorRequirement) []v1.NodeSelectorRequirement {
	all := make([]v1.NodeSelectorRequirement, 0, len(requirements))
	for _, r := range requirements {
		values := slices.Clone(r.Values)
		slices.Sort(values)
		all = append(all, v1.NodeSelectorRequirement{Key: r.Key, Operator: r.Operator, Values: slices.Compact(values)})
	}
	slices.SortFunc(all, compare)
	return slices.CompactFunc(all, func(a, b v1.NodeSelectorRequirement) bool { return compare(a, b) == 0 })
}

func compare(a, b v1.NodeSelectorRequirement) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), cmp.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
}

// encode writes a term of strings, which cannot fail.
func encode(term v1.NodeSelectorTerm) []byte {
	data, err := json.Marshal(term)
	if err != nil {
		panic(fmt.Sprintf("write node selector term: %v", err))
	}
	return data
}
