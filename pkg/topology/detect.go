package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
)

// NodeLabels is a node as far as levels can be found from it.
type NodeLabels struct {
	Name   string
	Labels map[string]string
}

// Detection is the levels that labels suggest.
type Detection struct {
	// Levels are those that nest, the widest first.
	Levels []Level
	// Found tells of each candidate key on any node, in the order in which they were tried.
	Found []Candidate
}

// Candidate is what is known of a label key.
type Candidate struct {
	Key string
	// Values is how many values it has, Nodes how many nodes have it.
	Values, Nodes int
	// Problem says why it is no level, with an example; empty for a level.
	Problem string
}

// Detect finds levels from the labels of nodes: of the candidate keys, those that
// nest, that is of which each value is under one value of the level above. Keys
// are tried from the fewest values to the most, region and zone before others with
// as many, and the host last. Without candidates they are the labels of topology.* domains
// and kubernetes.io/hostname. Keys that begin anew in each domain, as rack
// numbers may, contradict by value alone: they come with an example and are the
// user's to configure. It walks all nodes and is for start and reports.
func Detect(nodes []NodeLabels, candidates []string) Detection {
	nodes = slices.Clone(nodes)
	slices.SortFunc(nodes, func(a, b NodeLabels) int { return cmp.Compare(a.Name, b.Name) })
	if len(candidates) == 0 {
		candidates = customaryKeys(nodes)
	}
	var d Detection
	for _, c := range survey(nodes, candidates) {
		if c.Problem = d.contradiction(nodes, c); c.Problem == "" {
			d.Levels = append(d.Levels, Level{Name: d.nameOf(c.Key), Key: c.Key})
		}
		d.Found = append(d.Found, c)
	}
	return d
}

// contradiction says why a key is no level below those found, empty if it is one.
func (d *Detection) contradiction(nodes []NodeLabels, c Candidate) string {
	if len(d.Levels) == MaxLevels {
		return fmt.Sprintf("there are %d levels already", MaxLevels)
	}
	for i := len(d.Levels) - 1; i >= 0; i-- {
		if problem := nests(nodes, d.Levels[i].Key, c.Key); problem != "" {
			return problem
		}
	}
	if len(d.Levels) == 0 || rank(c.Key) != ofOthers {
		return ""
	}
	if above := d.Levels[len(d.Levels)-1].Key; nests(nodes, c.Key, above) == "" {
		return fmt.Sprintf("it makes the same domains as %s", above)
	}
	return ""
}

// nests returns an example of a value of a key that is under two values of the
// key above it, empty where there is none. Nodes that lack a label tell nothing.
func nests(nodes []NodeLabels, above, key string) string {
	first := map[string]NodeLabels{}
	for _, n := range nodes {
		value, parent := n.Labels[key], n.Labels[above]
		if value == "" || parent == "" {
			continue
		}
		seen, found := first[value]
		if !found {
			first[value] = n
			continue
		}
		if other := seen.Labels[above]; other != parent {
			return fmt.Sprintf("%s=%s is under %s=%s on node %q and under %s=%s on node %q",
				key, value, above, other, seen.Name, above, parent, n.Name)
		}
	}
	return ""
}

// survey returns the keys that nodes have, the widest first.
func survey(nodes []NodeLabels, keys []string) []Candidate {
	var found []Candidate
	keys = slices.Clone(keys)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		c, values := Candidate{Key: key}, map[string]bool{}
		for _, n := range nodes {
			if value := n.Labels[key]; value != "" {
				c.Nodes++
				values[value] = true
			}
		}
		if c.Values = len(values); c.Values > 0 {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, compareCandidates)
	return found
}

// compareCandidates puts fewer values first, of as many the well-known keys, and
// the host last of all.
func compareCandidates(a, b Candidate) int {
	if a.Key == v1.LabelHostname || b.Key == v1.LabelHostname {
		return cmp.Compare(rank(a.Key), rank(b.Key))
	}
	return cmp.Or(cmp.Compare(a.Values, b.Values), cmp.Compare(rank(a.Key), rank(b.Key)))
}

// The order of keys that have one.
const (
	ofRegion = iota
	ofZone
	ofOthers
	ofHost
)

func rank(key string) int {
	switch key {
	case v1.LabelTopologyRegion:
		return ofRegion
	case v1.LabelTopologyZone:
		return ofZone
	case v1.LabelHostname:
		return ofHost
	}
	return ofOthers
}

func customaryKeys(nodes []NodeLabels) []string {
	var keys []string
	seen := map[string]bool{}
	for _, n := range nodes {
		for key := range n.Labels {
			if !seen[key] && (strings.HasPrefix(key, "topology.") || key == v1.LabelHostname) {
				keys = append(keys, key)
			}
			seen[key] = true
		}
	}
	return keys
}

// nameOf names a level for its key: the part after the slash, in lower case, with
// a number where there is such a level already.
func (d *Detection) nameOf(key string) string {
	name := strings.ToLower(key[strings.LastIndexByte(key, '/')+1:])
	if key == v1.LabelHostname {
		name = "host"
	}
	name = strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name), "-")
	base := name
	for i := 2; levelNamed(d.Levels, name) >= 0; i++ {
		name = fmt.Sprintf("%s-%d", base, i)
	}
	return name
}
