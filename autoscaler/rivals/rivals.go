// Package rivals knows which objects, of whatever autoscaler, set the replicas of
// the same workload.
package rivals

import (
	"slices"
	"strings"
	"sync"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
)

// Claim is an object that sets the replicas of a workload.
type Claim struct {
	// Kind is that of the object, for example HorizontalPodAutoscaler.
	Kind string
	// Name is that of the object; its namespace is the workload's.
	Name string
}

// String implements fmt.Stringer.
func (c Claim) String() string { return c.Kind + " " + c.Name }

// Index holds all claims.
type Index struct {
	mu     sync.RWMutex
	claims map[workloads.Key][]Claim
}

// NewIndex returns an index without claims.
func NewIndex() *Index { return &Index{claims: map[workloads.Key][]Claim{}} }

// Add adds a claim; once more is once.
func (x *Index) Add(w workloads.Key, c Claim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(x.claims[w], c) {
		x.claims[w] = append(slices.Clone(x.claims[w]), c)
	}
}

// Remove removes a claim, if it is there.
func (x *Index) Remove(w workloads.Key, c Claim) {
	x.mu.Lock()
	defer x.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(x.claims[w]), func(other Claim) bool { return other == c })
	if x.claims[w] = rest; len(rest) == 0 {
		delete(x.claims, w)
	}
}

// Others returns the claims to a workload besides one's own, sorted by kind and
// name; nil if there are none.
func (x *Index) Others(w workloads.Key, own Claim) []Claim {
	x.mu.RLock()
	defer x.mu.RUnlock()
	claims := x.claims[w]
	if len(claims) == 0 || (len(claims) == 1 && claims[0] == own) {
		return nil
	}
	others := slices.DeleteFunc(slices.Clone(claims), func(c Claim) bool { return c == own })
	slices.SortFunc(others, func(a, b Claim) int { return strings.Compare(a.String(), b.String()) })
	return others
}
