// Package decisions keeps the latest placements of a scheduler with what each
// cost and what the next best would have cost, so that "why is it there?" has
// an answer.
package decisions

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
)

// Option is one node and what the placement costs there, in shares of it.
type Option struct {
	Node string         `json:"node"`
	Cost cost.Breakdown `json:"cost"`
}

// MaxRunnersUp is how many nodes beside the chosen one a decision tells of.
const MaxRunnersUp = 3

// Decision is one placement that was bound.
type Decision struct {
	// Time is when the node was chosen.
	Time      time.Time `json:"time"`
	Namespace string    `json:"namespace"`
	Pod       string    `json:"pod"`
	UID       types.UID `json:"uid"`
	// Profile is the name of the scheduler profile that decided.
	Profile string `json:"profile,omitempty"`
	Chosen  Option `json:"chosen"`
	// RunnersUp are the cheapest of the nodes not chosen, at most MaxRunnersUp, the
	// cheapest first. They cost less than Chosen when another plugin outweighed the
	// cost. Empty when nothing was compared in this cycle; nodes that have left the
	// cluster since are missing.
	RunnersUp []Option `json:"runnersUp,omitempty"`
	// Candidates counts the nodes that were compared: those that passed the
	// filters, in a batch those still kept. 0 means that none were: a single
	// node fitted, or a batch handed out the next of its order.
	Candidates int `json:"candidates"`
	// Favourite is the node of least cost, ties broken; empty without candidates.
	Favourite string `json:"favourite,omitempty"`
}

// Outcome says how a decision relates to the cost. It is used as a metric label.
type Outcome string

// Outcomes.
const (
	// Won: the node of least cost was chosen.
	Won Outcome = "won"
	// Outweighed: other plugins' scores together chose another node.
	Outweighed Outcome = "outweighed"
	// Uncompared: no nodes were compared in this cycle.
	Uncompared Outcome = "uncompared"
)

// Outcome tells whether the node of least cost was chosen.
func (d Decision) Outcome() Outcome {
	switch d.Favourite {
	case "":
		return Uncompared
	case d.Chosen.Node:
		return Won
	default:
		return Outweighed
	}
}

// Sentence tells the decision to a person, as in "default/web-5c9 went to
// node-a (cost 0.031 of a node: stranding 0.031) rather than node-b (0.047:
// stranding 0.047), 38 candidates".
func (d Decision) Sentence() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s/%s went to %s (cost %s of a node: %s)", d.Namespace, d.Pod,
		d.Chosen.Node, cost.Format(d.Chosen.Cost.Total()), d.Chosen.Cost.Reasons())
	if len(d.RunnersUp) > 0 {
		next := d.RunnersUp[0]
		fmt.Fprintf(&s, " rather than %s (%s: %s)", next.Node,
			cost.Format(next.Cost.Total()), next.Cost.Reasons())
	}
	if d.Outcome() == Uncompared {
		s.WriteString(", no other node compared")
		return s.String()
	}
	fmt.Fprintf(&s, ", %d candidate", d.Candidates)
	if d.Candidates != 1 {
		s.WriteString("s")
	}
	if d.Outcome() == Outweighed {
		fmt.Fprintf(&s, "; %s costs least, but other plugins outweighed it", d.Favourite)
	}
	return s.String()
}

// Range of a Ring's capacity, in decisions. At about 400 bytes each the largest
// takes some 26 MB.
const (
	DefaultCapacity = 1024
	MaxCapacity     = 65536
)

// Ring holds the latest decisions up to its capacity and forgets older ones. It
// is safe for concurrent use. The zero value has capacity 0 and keeps nothing
// until it is grown. Do not copy one after first use.
type Ring struct {
	mu    sync.Mutex
	kept  []Decision // ring buffer: len(kept) is the capacity
	total uint64     // decisions added since the start; total % len(kept) is the next slot
	used  int        // of kept, at most len(kept)
}

// NewRing returns a ring of the given capacity, 0 to MaxCapacity; values
// outside are moved to the nearer end.
func NewRing(capacity int) *Ring {
	r := &Ring{}
	r.Grow(capacity)
	return r
}

// Grow makes room for at least capacity decisions, at most MaxCapacity. It never
// shrinks: of several users of one ring, the one who asks for most decides.
func (r *Ring) Grow(capacity int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	capacity = min(capacity, MaxCapacity)
	if capacity <= len(r.kept) {
		return
	}
	grown := make([]Decision, capacity)
	// Keep each decision at its number modulo the capacity.
	for i := range r.used {
		number := r.total - uint64(i) - 1
		grown[number%uint64(capacity)] = r.kept[number%uint64(len(r.kept))]
	}
	r.kept = grown
}

// Add keeps a decision and forgets the oldest when there is no room.
func (r *Ring) Add(d Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) > 0 {
		r.kept[r.total%uint64(len(r.kept))] = d
		r.used = min(r.used+1, len(r.kept))
	}
	r.total++
}

// Latest returns up to n decisions, the newest first. The answer is the
// caller's own copy; decisions themselves are not to be changed.
func (r *Ring) Latest(n int) []Decision {
	r.mu.Lock()
	defer r.mu.Unlock()
	latest := make([]Decision, 0, max(0, min(n, r.used)))
	for i := range cap(latest) {
		latest = append(latest, r.kept[(r.total-uint64(i)-1)%uint64(len(r.kept))])
	}
	return latest
}

// Total returns how many decisions were added since the start, forgotten ones
// included.
func (r *Ring) Total() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}
