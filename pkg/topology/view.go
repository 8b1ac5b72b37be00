package topology

import (
	"math/bits"
	"slices"
)

// Tally is the replicas of one workload in one domain.
type Tally struct {
	Domain DomainID
	// Live is the replicas of all revisions that nobody deletes, at least 0.
	Live int32
	// Current is those of Live that have the revision of the view.
	Current int32
	// Leaving is the replicas that are being deleted, at least 0.
	Leaving int32
}

// View is the counts of one workload at one time, for one scheduling cycle. It
// never changes. The zero value is of a workload without replicas.
type View struct {
	// Total is the live replicas on known nodes, whether or not their nodes have
	// domains at every level; Current is those of them of the revision asked for.
	Total, Current int32
	// Leaving is the replicas on known nodes that are being deleted.
	Leaving int32
	// Unplaced is the live replicas on nodes that are not known.
	Unplaced int32

	levels []tallies
}

// tallies is those of a level, and a hash table to find them: linear probing over
// a power of two of slots, at most half full.
type tallies struct {
	all   []Tally
	slots []int32 // position in all plus 1, 0 for an empty slot
	shift uint8   // 32 less the bits of a slot's position
}

// View returns the counts of a workload as they are now. Revision is that of the
// pod to be placed. It takes one short lock; time and memory are of the domains
// that the workload uses.
func (r *Replicas) View(key Key, revision string) View {
	v := r.copy(key, revision)
	slots := 0
	for i := range v.levels {
		slots += slotsFor(len(v.levels[i].all))
	}
	room := make([]int32, slots)
	for i := range v.levels {
		n := slotsFor(len(v.levels[i].all))
		v.levels[i].index(room[:n:n])
		room = room[n:]
	}
	return v
}

// At returns the live replicas in a domain of a level. It takes no lock and
// allocates nothing.
func (v *View) At(level int, domain DomainID) int {
	if t := v.find(level, domain); t != nil {
		return int(t.Live)
	}
	return 0
}

// Tally returns the counts of a domain of a level, none for a domain that the
// workload does not use. It takes no lock and allocates nothing.
func (v *View) Tally(level int, domain DomainID) Tally {
	if t := v.find(level, domain); t != nil {
		return *t
	}
	return Tally{Domain: domain}
}

// Tallies returns the counts of a level by domain index. Domains without replicas
// are left out. The caller must not change them.
func (v *View) Tallies(level int) []Tally {
	if level < 0 || level >= len(v.levels) {
		return nil
	}
	return v.levels[level].all
}

// Worst returns the domain of a level whose loss takes the most live replicas,
// the one of least index of several, and its share of all, 0..1.
func (v *View) Worst(level int) (Tally, float64) {
	var worst Tally
	for _, t := range v.Tallies(level) {
		if t.Live > worst.Live {
			worst = t
		}
	}
	if v.Total == 0 {
		return worst, 0
	}
	return worst, float64(worst.Live) / float64(v.Total)
}

// Room returns how many replicas a domain has left before it holds more than a
// budget, when one more of the view's revision is placed and the workload is to
// have wanted in the end; 0 and less is none.
//
// Beyond wanted, surplus replicas will leave (the surge of a rollout and what it
// replaces, or a scale-in), and any of them may be here: all revisions together
// may overdraw the budget by the surplus, the current one may not. So a rollout
// never blocks itself: as long as the budgets of the domains sum to wanted, one
// of them has room. For were there none, domains with budget on current replicas
// would be full, all others would hold budget and surplus, and the sum would be
// more than there are.
func (v *View) Room(level int, domain DomainID, budget, wanted int32) int32 {
	t := v.Tally(level, domain)
	surplus := max(0, v.Total+1-max(wanted, 1))
	return min(budget-t.Current, budget+surplus-t.Live)
}

// find returns the counts of a domain, nil for one that the workload does not use.
func (v *View) find(level int, domain DomainID) *Tally {
	if level < 0 || level >= len(v.levels) || len(v.levels[level].slots) == 0 {
		return nil
	}
	l := &v.levels[level]
	mask := uint32(len(l.slots) - 1)
	for at := hash(domain, l.shift); ; at++ {
		found := l.slots[at&mask]
		if found == 0 {
			return nil
		}
		if t := &l.all[found-1]; t.Domain == domain {
			return t
		}
	}
}

// copy takes the counts out under the lock.
func (r *Replicas) copy(key Key, revision string) View {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.groups[key]
	if g == nil {
		return View{}
	}
	v := View{levels: make([]tallies, len(r.tree.levels))}
	entries := 0
	for _, c := range g.cohorts {
		v.Total += c.live
		v.Leaving += c.leaving
		v.Unplaced += c.unplaced
		if c.revision == revision {
			v.Current += c.live
		}
		for _, t := range c.tallies {
			entries += len(t)
		}
	}
	room := make([]Tally, 0, entries)
	for level := range v.levels {
		first := len(room)
		for _, c := range g.cohorts {
			room = appendTallies(room, c.tallies[level], c.revision == revision)
		}
		merged := room[first:]
		if len(g.cohorts) > 1 {
			merged = merge(merged)
		}
		v.levels[level].all = slices.Clip(merged)
	}
	return v
}

func appendTallies(all []Tally, of []tally, isCurrent bool) []Tally {
	for _, t := range of {
		out := Tally{Domain: t.domain, Live: t.live, Leaving: t.leaving}
		if isCurrent {
			out.Current = t.live
		}
		all = append(all, out)
	}
	return all
}

// merge sorts by domain and adds up those of one domain, in place.
func merge(all []Tally) []Tally {
	slices.SortFunc(all, func(a, b Tally) int { return compareIDs(a.Domain, b.Domain) })
	out := all[:0]
	for _, t := range all {
		if last := len(out) - 1; last >= 0 && out[last].Domain == t.Domain {
			out[last].Live += t.Live
			out[last].Current += t.Current
			out[last].Leaving += t.Leaving
			continue
		}
		out = append(out, t)
	}
	return out
}

func slotsFor(entries int) int {
	if entries == 0 {
		return 0
	}
	return 1 << bits.Len(uint(2*entries-1))
}

// index fills a level's hash table.
func (l *tallies) index(slots []int32) {
	if len(slots) == 0 {
		return
	}
	l.slots, l.shift = slots, uint8(32-bits.Len(uint(len(slots)-1)))
	mask := uint32(len(slots) - 1)
	for i := range l.all {
		at := hash(l.all[i].Domain, l.shift)
		for slots[at] != 0 {
			at = (at + 1) & mask
		}
		slots[at] = int32(i + 1)
	}
}

// hash is Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
func hash(d DomainID, shift uint8) uint32 { return uint32(d.Index) * 0x9E3779B1 >> shift }
