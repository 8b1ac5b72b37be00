package topology

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
)

// places finds nodes by name. One goroutine writes at a time; any number read at
// the same time, without a lock. It is a hash table with linear probing in which
// an entry never moves: a node that changes gets a new entry in the same slot,
// one that goes leaves a mark, and a table that has become half full is replaced
// by a new one as a whole. It takes half of sync.Map's time, which would
// otherwise be most of what a scheduling cycle spends here.
type places struct {
	seed  maphash.Seed
	table atomic.Pointer[placeTable]
	used  int // slots with an entry or a mark
	live  int // entries
}

type placeTable struct {
	slots []atomic.Pointer[place] // a power of two; at least half are nil
}

// place is where a node is. It never changes.
type place struct {
	hash uint64
	node string
	path []DomainID // by level; zero where there is no domain
}

// isRemoved reports whether it marks the slot of a node that went.
func (p *place) isRemoved() bool { return p.path == nil }

func newPlaces() *places {
	p := &places{seed: maphash.MakeSeed()}
	p.table.Store(&placeTable{make([]atomic.Pointer[place], 16)})
	return p
}

// find returns the path of a node, nil for none.
func (p *places) find(node string) []DomainID {
	hash := maphash.String(p.seed, node)
	slots := p.table.Load().slots
	for at := hash; ; at++ {
		found := slots[at&uint64(len(slots)-1)].Load()
		if found == nil {
			return nil
		}
		if found.hash == hash && found.node == node {
			return found.path
		}
	}
}

// set notes the path of a node.
func (p *places) set(node string, path []DomainID) {
	if slots := len(p.table.Load().slots); 2*(p.used+1) > slots {
		p.rebuild()
	}
	is := &place{maphash.String(p.seed, node), node, path}
	slot, was := p.slot(is.hash, node)
	switch {
	case was == nil:
		p.used++
		p.live++
	case was.isRemoved():
		p.live++
	}
	slot.Store(is)
}

// remove forgets a node.
func (p *places) remove(node string) {
	hash := maphash.String(p.seed, node)
	if slot, was := p.slot(hash, node); was != nil && !was.isRemoved() {
		slot.Store(&place{hash: hash, node: node})
		p.live--
	}
}

// slot returns where a node is or was, or the empty slot where it would be, and
// what the slot has.
func (p *places) slot(hash uint64, node string) (*atomic.Pointer[place], *place) {
	slots := p.table.Load().slots
	for at := hash; ; at++ {
		slot := &slots[at&uint64(len(slots)-1)]
		if found := slot.Load(); found == nil || found.hash == hash && found.node == node {
			return slot, found
		}
	}
}

// rebuild makes a table without marks that is at most a quarter full.
func (p *places) rebuild() {
	before := p.table.Load()
	after := &placeTable{make([]atomic.Pointer[place], 1<<bits.Len(uint(4*p.live+15)))}
	for i := range before.slots {
		entry := before.slots[i].Load()
		if entry == nil || entry.isRemoved() {
			continue
		}
		for at := entry.hash; ; at++ {
			if slot := &after.slots[at&uint64(len(after.slots)-1)]; slot.Load() == nil {
				slot.Store(entry)
				break
			}
		}
	}
	p.used = p.live
	p.table.Store(after)
}
