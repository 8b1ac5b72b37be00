package topology

import (
	"cmp"
	"slices"
)

// Domain is what is known of a domain.
type Domain struct {
	ID DomainID
	// Path is the values from the root to the domain, joined with "/". A level that
	// is missing between is empty, one that is missing at the top is left out.
	Path string
	// Parent is the nearest domain above, zero for a root.
	Parent DomainID
	// Children are the domains of which it is the parent, in the order of levels and paths.
	Children []DomainID
	// Nodes is how many nodes are in it, at least 1.
	Nodes int
}

// Domains returns the domains of a level in the order of their paths. It walks
// all domains and is for reports, not for a scheduling cycle.
func (t *Tree) Domains(level int) []Domain {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if level < 0 || level >= len(t.tables) {
		return nil
	}
	children := t.children(level)
	var all []Domain
	for _, d := range t.tables[level].byIndex {
		if d != nil {
			all = append(all, d.export(children[d]))
		}
	}
	slices.SortFunc(all, func(a, b Domain) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// Domain returns a domain, false for one that is gone.
func (t *Tree) Domain(id DomainID) (Domain, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := t.find(id)
	if d == nil {
		return Domain{}, false
	}
	return d.export(t.children(int(id.Level))[d]), true
}

// PathString returns the path of a domain in words, empty for one that is gone.
func (t *Tree) PathString(id DomainID) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if d := t.find(id); d != nil {
		return d.path()
	}
	return ""
}

// Count returns how many domains a level has.
func (t *Tree) Count(level int) int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if level < 0 || level >= len(t.tables) {
		return 0
	}
	return len(t.tables[level].byPath)
}

// Nodes returns how many nodes are known.
func (t *Tree) Nodes() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.nodes)
}

// Ancestors appends a domain and those above it by level, zero where there is
// none and below the domain, and returns the longer slice; it appends nothing for
// a domain that is gone. What it appends can be given to Distance.
func (t *Tree) Ancestors(id DomainID, into []DomainID) []DomainID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	d := t.find(id)
	if d == nil {
		return into
	}
	first := len(into)
	for range t.levels {
		into = append(into, DomainID{})
	}
	for ; d != nil; d = d.parent {
		into[first+int(d.id.Level)] = d.id
	}
	return into
}

// LowestCommonAncestor returns the narrowest domain that two domains are both in,
// each of which is in itself; false where there is none or one of them is gone.
func (t *Tree) LowestCommonAncestor(a, b DomainID) (DomainID, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	x, y := t.find(a), t.find(b)
	for x != nil && y != nil && x != y {
		if x.id.Level < y.id.Level {
			x, y = y, x
		}
		x = x.parent
	}
	if x == nil || y == nil {
		return DomainID{}, false
	}
	return x.id, true
}

// Height returns how many levels above the narrowest level a domain is.
func (t *Tree) Height(d DomainID) int { return len(t.levels) - 1 - int(d.Level) }

// Distance returns the height of the lowest common ancestor of two paths, which
// hold domains by level: 0 for the same domain of the narrowest level, len(a)
// where there is none. Paths of different length have none. It asks no tree.
func Distance(a, b []DomainID) int {
	if len(a) != len(b) {
		return max(len(a), len(b))
	}
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] == b[i] && !a[i].IsZero() {
			return len(a) - 1 - i
		}
	}
	return len(a)
}

// children returns the domains below those of a level, by parent.
func (t *Tree) children(level int) map[*domain][]DomainID {
	below := map[*domain][]*domain{}
	for _, table := range t.tables[level+1:] {
		for _, d := range table.byIndex {
			if d != nil && d.parent != nil && int(d.parent.id.Level) == level {
				below[d.parent] = append(below[d.parent], d)
			}
		}
	}
	ids := make(map[*domain][]DomainID, len(below))
	for parent, all := range below {
		slices.SortFunc(all, func(a, b *domain) int {
			return cmp.Or(cmp.Compare(a.id.Level, b.id.Level), cmp.Compare(a.value, b.value))
		})
		for _, d := range all {
			ids[parent] = append(ids[parent], d.id)
		}
	}
	return ids
}

func (d *domain) export(children []DomainID) Domain {
	out := Domain{ID: d.id, Path: d.path(), Children: children, Nodes: d.nodes}
	if d.parent != nil {
		out.Parent = d.parent.id
	}
	return out
}
