// Package lifetimes learns how long pods live, from those that ended and those
// that still run, and tells the chance that a pod of a certain age is alive at
// times ahead.
//
// It estimates hazards, constant within each of 28 bins of age: ends divided by
// the time that pods spent in the bin. Pods that still run count with their time
// (right-censoring). Groups of pods shrink towards the group above them, as many
// ends as priorEnds strong, so that a group with little history says what its
// parent says: cluster, then shape, then shape and number of replicas, then the
// workload's own history. The estimator is that of piecewise exponential models
// (Friedman, Annals of Statistics 10, 1982) with gamma priors. It is not for
// forecasts of a single pod: the answer is a distribution.
package lifetimes

import (
	"container/list"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// The default and the largest number of groups.
const (
	DefaultMaxGroups = 4096
	MaxMaxGroups     = 1 << 16
)

// A workload's own history counts from minEpisodes on: pods that started within
// episodeGap live and end together and are one observation, however many.
const (
	minEpisodes = 3
	episodeGap  = 10 * time.Minute
)

// Key is all by which the lifetimes of pods are told apart.
type Key struct {
	// Shape is the key of the pod's shape.
	Shape string
	// Replicas is how many its owner declares, 0 where that is not known.
	Replicas int
	// Workload is the pod's owner across revisions, zero for none.
	Workload workload.Key
}

// Config bounds what a Learner keeps.
type Config struct {
	// MaxGroups is how many groups of pods have a history of their own, the
	// cluster included, 1 to 65536; 0 means 4096. The one least lately used makes
	// way for a new one, and its pods are told by its parent's history. Each takes
	// about 1 KB.
	MaxGroups int
}

// Learner follows the pods of a cluster. It may be used by many goroutines. It
// keeps one small entry for each running pod beside the groups.
type Learner struct {
	maxGroups int
	latest    atomic.Pointer[Snapshot]

	mu        sync.Mutex
	runs      map[types.UID]*run
	root      *group
	shapes    map[string]*group
	replicas  map[shapeAndSize]*group
	workloads map[workload.Key]*group
	// All groups but the root, the latest used in front. A workload whose own history does not
	// count yet is fresh: the many that come once shall not displace the others.
	fresh, proven *list.List
}

// level is how narrow a group is.
type level int8

const (
	ofCluster level = iota
	ofShape
	ofReplicas
	ofWorkload
	levels
)

// shapeAndSize names the pods of a shape with about as many replicas.
type shapeAndSize struct {
	shape *group
	size  int // floor(log2 replicas)
}

// group is pods that are thought to live alike.
type group struct {
	level    level
	shape    string       // of ofShape
	sized    shapeAndSize // of ofReplicas
	workload workload.Key // of ofWorkload

	parent  *group // nil for the root
	history *history
	place   *list.Element // nil for the root and for a group that made way

	episodes      int   // of ofWorkload
	latestEpisode int64 // its start, µs since 1970
}

// run is a pod that is alive. Times are whole microseconds, so that sums do not
// depend on the order in which they are made.
type run struct {
	groups  [levels]*group // the widest first; nil where the key does not tell
	start   int64          // µs since 1970
	entered age            // at which it was first seen; what was before is not known
	counted age            // up to which its time is in the histories
}

// NewLearner returns a learner that has seen no pod. Its first snapshot holds
// what is assumed of pods of which nothing is known.
func NewLearner(c Config) (*Learner, error) {
	if c.MaxGroups == 0 {
		c.MaxGroups = DefaultMaxGroups
	}
	if c.MaxGroups < 1 || c.MaxGroups > MaxMaxGroups {
		return nil, field.Invalid(field.NewPath("maxGroups"), c.MaxGroups, fmt.Sprintf("must be from 1 to %d groups", MaxMaxGroups))
	}
	l := &Learner{
		maxGroups: c.MaxGroups,
		runs:      map[types.UID]*run{},
		root:      &group{history: &history{}},
		shapes:    map[string]*group{},
		replicas:  map[shapeAndSize]*group{},
		workloads: map[workload.Key]*group{},
		fresh:     list.New(),
		proven:    list.New(),
	}
	l.latest.Store(l.snapshot())
	return l, nil
}

// Started notes that a pod began to run (was bound) and was seen from then on.
// Of a pod that is known it changes nothing.
func (l *Learner) Started(uid types.UID, key Key, at time.Time) { l.Found(uid, key, at, at) }

// Found notes a pod that has been running since it started and is seen from now
// on, as after a restart of the scheduler. Its time before does not count: pods
// that ended then were not seen either (left truncation). Of a pod that is known
// it changes nothing.
func (l *Learner) Found(uid types.UID, key Key, started, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.runs[uid]; known {
		return
	}
	r := &run{groups: l.chain(key), start: started.UnixMicro()}
	r.entered = r.ageAt(now)
	r.counted = r.entered
	l.runs[uid] = r
}

// Ended notes that a pod ended by itself, or was ended by its owner. A pod that
// is not known is left alone.
func (l *Learner) Ended(uid types.UID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.runs[uid]
	if !known {
		return
	}
	delete(l.runs, uid)
	end := r.ageAt(at)
	r.count(end)
	if end < r.entered {
		return // before it was first seen: no observation
	}
	r.end(max(end-1, 0).bin()) // an end on an edge is of the bin in which the pod lived
	l.use(r.groups)
	if g := r.groups[ofWorkload]; g != nil && g.place != nil && g.isNextEpisode(r.start) {
		l.prove(g)
	}
}

// Censored notes that a pod is no longer followed from a time on, though it did
// not end by itself: it was preempted, evicted or moved. Its time counts, an end
// does not. A pod that is not known is left alone.
func (l *Learner) Censored(uid types.UID, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, known := l.runs[uid]; known {
		delete(l.runs, uid)
		r.count(r.ageAt(at))
	}
}

// Refresh counts the time of the running pods until now and makes a snapshot of
// what is known, which Latest returns from then on. It is for the background,
// every 10 minutes or so.
func (l *Learner) Refresh(now time.Time) *Snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.runs {
		r.count(r.ageAt(now))
	}
	s := l.snapshot()
	l.latest.Store(s)
	return s
}

// Latest returns the latest snapshot. It takes no lock: scheduling cycles read it.
func (l *Learner) Latest() *Snapshot { return l.latest.Load() }

// chain returns the groups of a key, made where they do not exist.
func (l *Learner) chain(key Key) [levels]*group {
	chain := [levels]*group{ofCluster: l.root}
	shape, exists := l.shapes[key.Shape]
	if !exists {
		shape = l.add(&group{level: ofShape, shape: key.Shape})
		l.shapes[key.Shape] = shape
	}
	shape.parent, chain[ofShape] = l.root, shape
	narrowest := shape
	if size, known := sizeOf(key.Replicas); known {
		sized := shapeAndSize{shape, size}
		g, exists := l.replicas[sized]
		if !exists {
			g = l.add(&group{level: ofReplicas, sized: sized})
			l.replicas[sized] = g
		}
		g.parent, chain[ofReplicas] = shape, g
		narrowest = g
	}
	if !key.Workload.IsZero() {
		g, exists := l.workloads[key.Workload]
		if !exists {
			g = l.add(&group{level: ofWorkload, workload: key.Workload})
			l.workloads[key.Workload] = g
		}
		g.parent, chain[ofWorkload] = narrowest, g
	}
	l.use(chain)
	for l.fresh.Len()+l.proven.Len() >= l.maxGroups { // the root is one
		l.dismiss()
	}
	return chain
}

// add puts a new group in front.
func (l *Learner) add(g *group) *group {
	g.history = &history{}
	g.place = l.listOf(g).PushFront(g)
	return g
}

// sizeOf returns floor(log2 replicas): 1, 2 to 3, 4 to 7 and so on are alike.
func sizeOf(replicas int) (int, bool) {
	return bits.Len(uint(max(replicas, 0))) - 1, replicas > 0
}

// use moves groups to the front, the widest last: no shape makes way before its
// numbers of replicas.
func (l *Learner) use(chain [levels]*group) {
	for i := levels - 1; i > ofCluster; i-- {
		if g := chain[i]; g != nil && g.place != nil {
			l.listOf(g).MoveToFront(g.place)
		}
	}
}

func (l *Learner) listOf(g *group) *list.List {
	if g.level == ofWorkload && g.episodes < minEpisodes {
		return l.fresh
	}
	return l.proven
}

// dismiss lets the group least lately used make way: a fresh one as long as they
// have more than a quarter of the places (segmented LRU).
func (l *Learner) dismiss() {
	from := l.proven
	if from.Len() == 0 || l.fresh.Len() > l.maxGroups/4 {
		from = l.fresh
	}
	g := from.Remove(from.Back()).(*group)
	switch g.level {
	case ofShape:
		delete(l.shapes, g.shape)
	case ofReplicas:
		delete(l.replicas, g.sized)
	case ofWorkload:
		delete(l.workloads, g.workload)
	}
	g.history, g.place = nil, nil // its running pods still point to it
}

func (g *group) isNextEpisode(start int64) bool {
	if g.episodes > 0 && start <= g.latestEpisode+episodeGap.Microseconds() {
		return false
	}
	g.latestEpisode = start
	return true
}

// prove counts one more episode of a workload.
func (l *Learner) prove(g *group) {
	if g.episodes++; g.episodes == minEpisodes {
		l.fresh.Remove(g.place)
		g.place = l.proven.PushFront(g)
	}
}

func (r *run) ageAt(t time.Time) age { return age(max(0, t.UnixMicro()-r.start)) }

// count brings the time of a pod in the histories to an age, which may be before
// what was counted when the news of its end came late.
func (r *run) count(to age) {
	to = max(to, r.entered)
	for _, g := range r.groups {
		if g == nil || g.history == nil {
			continue
		}
		if to >= r.counted {
			g.history.spend(r.counted, to, 1)
		} else {
			g.history.spend(to, r.counted, -1)
		}
	}
	r.counted = to
}

func (r *run) end(bin int) {
	for _, g := range r.groups {
		if g != nil && g.history != nil {
			g.history.ends[bin]++
		}
	}
}
