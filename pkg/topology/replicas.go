package topology

import (
	"cmp"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// Replicas counts the replicas of each workload in each domain of a tree. It may
// be used by many goroutines. A change takes a time that depends on the levels
// and on the domains which the workload uses; a change of a node on its pods.
//
// A pod counts once, whatever is reported of it and how often. A pod on a node
// that is not known is in no domain and counts apart, until the node comes.
type Replicas struct {
	tree *Tree

	mu     sync.Mutex
	groups map[Key]*group
	pods   map[types.UID]*counted
	nodes  map[string]*hosting
}

// counted is a pod that counts.
type counted struct {
	host       *hosting
	prev, next *counted  // on the node
	cohorts    []*cohort // one of each key
	state      State
	reserved   bool // assumed, and not yet seen bound
}

// hosting is a node that is known or that holds pods that count.
type hosting struct {
	name  string
	known bool
	path  []DomainID // under which its pods are counted; shared, not changed
	first *counted
}

// group is the replicas of one key.
type group struct {
	key     Key
	cohorts []*cohort // one of each revision, in the order of revisions
}

// cohort is the replicas of one revision.
type cohort struct {
	group    *group
	revision string
	pods     int32 // in any state, on any node
	live     int32 // on known nodes
	leaving  int32 // on known nodes
	unplaced int32 // live, on nodes that are not known
	tallies  [][]tally
}

// tally is the replicas of a cohort in a domain; a list of them is in the order
// of indexes and generations.
type tally struct {
	domain        DomainID
	live, leaving int32
}

// NewReplicas returns counts without replicas. From then on nodes come, change
// and go through it, or counts are of where they were.
func NewReplicas(tree *Tree) *Replicas {
	r := &Replicas{tree: tree, groups: map[Key]*group{}, pods: map[types.UID]*counted{}, nodes: map[string]*hosting{}}
	tree.mu.RLock()
	defer tree.mu.RUnlock()
	for name := range tree.nodes {
		r.nodes[name] = &hosting{name: name, known: true, path: tree.places.find(name)}
	}
	return r
}

// Tree returns the tree whose domains are counted.
func (r *Replicas) Tree() *Tree { return r.tree }

// SetNode notes a node's labels in the tree and counts its pods where it is now.
// It reports whether the node is in other domains than before.
func (r *Replicas) SetNode(name string, labels map[string]string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := r.tree.SetNode(name, labels)
	h, path := r.hosting(name), r.tree.places.find(name)
	if !h.known || !slices.Equal(h.path, path) {
		h.recount(true, path)
	}
	return changed
}

// RemoveNode takes a node out of the tree. Its pods that are still there count
// in no domain. It reports whether the node was known.
func (r *Replicas) RemoveNode(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	removed := r.tree.RemoveNode(name)
	if h := r.nodes[name]; h != nil {
		h.recount(false, nil)
		r.release(h)
	}
	return removed
}

// Add notes a pod as it is now: new, changed, or the same again. A pod that is
// reserved stays so while it has no node of its own; when it is bound, it counts
// there. A pod that is gone, or waits and is not reserved, does not count.
func (r *Replicas) Add(p Replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.pods[p.UID]
	if p.State == Gone || p.Node == "" && (known == nil || !known.reserved) {
		r.remove(p.UID)
		return
	}
	reserved := p.Node == ""
	if reserved {
		p.Node = known.host.name
	}
	r.put(p, reserved)
}

// Reserve counts a pod on the node for which it is assumed. Of a pod that is
// already bound it changes nothing.
func (r *Replicas) Reserve(p Replica) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.pods[p.UID]; p.State == Gone || p.Node == "" || known != nil && !known.reserved {
		return
	}
	r.put(p, true)
}

// Unreserve takes a pod back that is reserved. Of one that has been seen bound
// it changes nothing.
func (r *Replicas) Unreserve(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.pods[uid]; known != nil && known.reserved {
		r.remove(uid)
	}
}

// Remove forgets a pod. A pod that is not known is left alone.
func (r *Replicas) Remove(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(uid)
}

// Len returns how many pods count and for how many keys.
func (r *Replicas) Len() (pods, keys int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pods), len(r.groups)
}

// Keys returns all keys for which pods count, in no order. It is for reports.
func (r *Replicas) Keys() []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]Key, 0, len(r.groups))
	for key := range r.groups {
		keys = append(keys, key)
	}
	return keys
}

func (r *Replicas) put(p Replica, reserved bool) {
	known := r.pods[p.UID]
	if known != nil && known.isAs(p) {
		known.reserved = reserved
		return
	}
	r.remove(p.UID)
	c := &counted{host: r.hosting(p.Node), state: p.State, reserved: reserved}
	for i, key := range p.Keys {
		if key != (Key{}) && !slices.Contains(p.Keys[:i], key) {
			c.cohorts = append(c.cohorts, r.cohort(key, p.Revision))
		}
	}
	if len(c.cohorts) == 0 {
		r.release(c.host)
		return
	}
	for _, cohort := range c.cohorts {
		cohort.pods++
	}
	c.host.link(c)
	r.pods[p.UID] = c
	c.count(1)
}

func (r *Replicas) remove(uid types.UID) {
	c := r.pods[uid]
	if c == nil {
		return
	}
	c.count(-1)
	delete(r.pods, uid)
	c.host.unlink(c)
	r.release(c.host)
	for _, cohort := range c.cohorts {
		if cohort.pods--; cohort.pods == 0 {
			r.drop(cohort)
		}
	}
}

// isAs reports whether a pod counts as it did.
func (c *counted) isAs(p Replica) bool {
	if c.host.name != p.Node || c.state != p.State || len(c.cohorts) != len(p.Keys) {
		return false
	}
	for i, cohort := range c.cohorts {
		if cohort.group.key != p.Keys[i] || cohort.revision != p.Revision {
			return false
		}
	}
	return true
}

// hosting returns the entry of a node, making it where there is none.
func (r *Replicas) hosting(name string) *hosting {
	h := r.nodes[name]
	if h == nil {
		h = &hosting{name: name}
		r.nodes[name] = h
	}
	return h
}

// release forgets a node that is not known and holds nothing.
func (r *Replicas) release(h *hosting) {
	if !h.known && h.first == nil {
		delete(r.nodes, h.name)
	}
}

func (r *Replicas) cohort(key Key, revision string) *cohort {
	g := r.groups[key]
	if g == nil {
		g = &group{key: key}
		r.groups[key] = g
	}
	at, found := slices.BinarySearchFunc(g.cohorts, revision, func(c *cohort, revision string) int {
		return cmp.Compare(c.revision, revision)
	})
	if !found {
		g.cohorts = slices.Insert(g.cohorts, at, &cohort{group: g, revision: revision, tallies: make([][]tally, len(r.tree.levels))})
	}
	return g.cohorts[at]
}

func (r *Replicas) drop(c *cohort) {
	c.group.cohorts = slices.DeleteFunc(c.group.cohorts, func(other *cohort) bool { return other == c })
	if len(c.group.cohorts) == 0 {
		delete(r.groups, c.group.key)
	}
}

func (h *hosting) link(c *counted) {
	if c.next = h.first; c.next != nil {
		c.next.prev = c
	}
	h.first = c
}

func (h *hosting) unlink(c *counted) {
	if c.prev == nil {
		h.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
}

// recount counts the pods of a node in other domains.
func (h *hosting) recount(known bool, path []DomainID) {
	for c := h.first; c != nil; c = c.next {
		c.count(-1)
	}
	h.known, h.path = known, path
	for c := h.first; c != nil; c = c.next {
		c.count(1)
	}
}

// count adds a pod to its cohorts where its node is, or takes it off.
func (c *counted) count(by int32) {
	var live, leaving int32
	if c.state == Leaving {
		leaving = by
	} else {
		live = by
	}
	for _, cohort := range c.cohorts {
		if !c.host.known {
			cohort.unplaced += live
			continue
		}
		cohort.live += live
		cohort.leaving += leaving
		for level, domain := range c.host.path {
			if !domain.IsZero() {
				cohort.tallies[level] = counting(cohort.tallies[level], domain, live, leaving)
			}
		}
	}
}

// counting adds to the tally of a domain, which it makes and removes as needed.
func counting(all []tally, domain DomainID, live, leaving int32) []tally {
	at, found := slices.BinarySearchFunc(all, domain, func(t tally, domain DomainID) int { return compareIDs(t.domain, domain) })
	if !found {
		return slices.Insert(all, at, tally{domain, live, leaving})
	}
	all[at].live += live
	all[at].leaving += leaving
	if all[at].live == 0 && all[at].leaving == 0 {
		return slices.Delete(all, at, at+1)
	}
	return all
}

// compareIDs orders the domains of one level.
func compareIDs(a, b DomainID) int {
	return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Generation, b.Generation))
}
