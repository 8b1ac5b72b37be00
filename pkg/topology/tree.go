package topology

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
)

// DomainID names a domain of one Tree as long as it exists. It is compared with
// ==. The zero value is no domain.
type DomainID struct {
	// Index is from 0, dense within the level: a new domain takes the index of one
	// that is gone before it takes a new one.
	Index int32
	// Generation is from 1. It tells the domain from those that had its index before.
	Generation uint32
	// Level is the index of the domain's level, 0 the widest.
	Level int8
}

// IsZero reports whether the id is of no domain.
func (d DomainID) IsZero() bool { return d == DomainID{} }

// Tree is the domains of the nodes. It may be used by many goroutines.
//
// A node whose label of a level is missing or empty is in the domains above that
// level and in none below it, for a value below tells nothing without its path.
// There are two exceptions. Levels missing at the top are left out: where nodes
// have no region, zones are the roots. And at the level of kubernetes.io/hostname
// a node always has a domain, for it can always be lost: without the label the
// domain has the node's name, and it lies in the narrowest domain that is known.
type Tree struct {
	levels []Level
	places *places // of the nodes; written under mu
	// version counts the domains that came and went.
	version atomic.Uint64

	mu     sync.RWMutex
	nodes  map[string]*node
	tables []table // by level
	moves  moves
}

// node is a node as it is labelled.
type node struct {
	domains []*domain // by level; nil where there is none
	// Bits of levels.
	missing, empty, belowGap uint16
}

// domain is the nodes with one path of values.
type domain struct {
	id     DomainID
	parent *domain // of the nearest level above where there is one; nil for a root
	value  string
	nodes  int // in it and in the domains below it
}

// table is the domains of a level.
type table struct {
	byIndex     []*domain // nil where an index is free
	generations []uint32  // by index
	free        []int32
	byPath      map[step]*domain
	byValue     map[string][]*domain // of a label value, under each parent
}

// step leads from a domain to one below it.
type step struct {
	parent *domain
	value  string
}

// NewTree returns a tree without nodes. Levels are the widest first and pass
// ValidateLevels.
func NewTree(levels []Level) *Tree {
	t := &Tree{levels: slices.Clone(levels), places: newPlaces(), nodes: map[string]*node{}, tables: make([]table, len(levels))}
	for i := range t.tables {
		t.tables[i].byPath = map[step]*domain{}
		t.tables[i].byValue = map[string][]*domain{}
	}
	t.moves.byLevel = make([]int, len(levels))
	return t
}

// Levels returns the levels, the widest first. The caller must not change them.
func (t *Tree) Levels() []Level { return t.levels }

// Version changes whenever a domain comes or goes.
func (t *Tree) Version() uint64 { return t.version.Load() }

// SetNode notes a node's labels and reports whether the node is in other domains
// than before. Where a Replicas counts on the tree, go through it instead.
func (t *Tree) SetNode(name string, labels map[string]string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	is, values := t.read(name, labels)
	was := t.nodes[name]
	if was != nil {
		was.missing, was.empty, was.belowGap = is.missing, is.empty, is.belowGap
		if was.isAt(values) {
			return false
		}
	}
	t.enter(is, values)
	if was != nil {
		t.moves.note(t.levels, name, was, is)
		t.leave(was) // after entering, so that a domain of both keeps its id
	}
	t.nodes[name] = is
	t.places.set(name, is.path())
	return true
}

// RemoveNode forgets a node and reports whether it was known.
func (t *Tree) RemoveNode(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.nodes[name]
	if was == nil {
		return false
	}
	delete(t.nodes, name)
	t.places.remove(name)
	t.leave(was)
	return true
}

// Path appends the domains of a node by level, zero where it has none, and
// returns the longer slice; it appends nothing for a node that is not known. It
// takes no lock, and allocates nothing where the slice has room.
func (t *Tree) Path(node string, into []DomainID) []DomainID {
	return append(into, t.places.find(node)...)
}

// At returns the domain of a node at a level, zero where it has none. It takes no
// lock and allocates nothing.
func (t *Tree) At(node string, level int) DomainID {
	path := t.places.find(node)
	if level < 0 || level >= len(path) {
		return DomainID{}
	}
	return path[level]
}

// read tells a node's values by level, empty where it has no domain.
func (t *Tree) read(name string, labels map[string]string) (*node, []string) {
	is, values := &node{}, make([]string, len(t.levels))
	began, gap := false, false
	for i, level := range t.levels {
		value, found := labels[level.Key]
		switch {
		case !found:
			is.missing |= 1 << i
		case value == "":
			is.empty |= 1 << i
		}
		if level.Key == v1.LabelHostname {
			if value == "" {
				value = name
			}
		} else if value == "" {
			gap = gap || began
		} else if gap {
			is.belowGap |= 1 << i
			value = ""
		}
		values[i] = value
		began = began || value != ""
	}
	return is, values
}

// isAt reports whether a node is in the domains of these values.
func (n *node) isAt(values []string) bool {
	for i, d := range n.domains {
		if d == nil && values[i] != "" || d != nil && d.value != values[i] {
			return false
		}
	}
	return true
}

// enter puts a node into its domains, making those that do not exist.
func (t *Tree) enter(n *node, values []string) {
	n.domains = make([]*domain, len(values))
	var parent *domain
	for i, value := range values {
		if value == "" {
			continue
		}
		d := t.tables[i].byPath[step{parent, value}]
		if d == nil {
			d = t.tables[i].add(int8(i), parent, value)
			t.version.Add(1)
		}
		d.nodes++
		n.domains[i], parent = d, d
	}
}

// leave takes a node out of its domains and removes those that are empty then.
func (t *Tree) leave(n *node) {
	for i := len(n.domains) - 1; i >= 0; i-- {
		d := n.domains[i]
		if d == nil {
			continue
		}
		if d.nodes--; d.nodes == 0 {
			t.tables[i].remove(d)
			t.version.Add(1)
		}
	}
}

func (t *table) add(level int8, parent *domain, value string) *domain {
	var index int32
	if last := len(t.free) - 1; last >= 0 {
		index, t.free = t.free[last], t.free[:last]
	} else {
		index = int32(len(t.byIndex))
		t.byIndex, t.generations = append(t.byIndex, nil), append(t.generations, 0)
	}
	t.generations[index]++
	d := &domain{id: DomainID{Index: index, Generation: t.generations[index], Level: level}, parent: parent, value: value}
	t.byIndex[index] = d
	t.byPath[step{parent, value}] = d
	t.byValue[value] = append(t.byValue[value], d)
	return d
}

func (t *table) remove(d *domain) {
	t.byIndex[d.id.Index] = nil
	t.free = append(t.free, d.id.Index)
	delete(t.byPath, step{d.parent, d.value})
	same := t.byValue[d.value]
	if len(same) == 1 {
		delete(t.byValue, d.value)
		return
	}
	t.byValue[d.value] = slices.DeleteFunc(same, func(other *domain) bool { return other == d })
}

// find returns the domain of an id, nil for one that is gone.
func (t *Tree) find(id DomainID) *domain {
	if id.Level < 0 || int(id.Level) >= len(t.tables) {
		return nil
	}
	byIndex := t.tables[id.Level].byIndex
	if id.Index < 0 || int(id.Index) >= len(byIndex) || byIndex[id.Index] == nil || byIndex[id.Index].id != id {
		return nil
	}
	return byIndex[id.Index]
}

// path returns the ids of a node's domains, zero where there is none.
func (n *node) path() []DomainID {
	path := make([]DomainID, len(n.domains))
	for i, d := range n.domains {
		if d != nil {
			path[i] = d.id
		}
	}
	return path
}

// path prints the values from the root, as in "eu/eu-a/12/node-7". A level that
// is missing between is empty, one that is missing at the top is left out.
func (d *domain) path() string {
	values := []string{d.value}
	for below := d; below.parent != nil; below = below.parent {
		for range below.id.Level - below.parent.id.Level - 1 {
			values = append(values, "")
		}
		values = append(values, below.parent.value)
	}
	slices.Reverse(values)
	return strings.Join(values, "/")
}
