package lifetimes

import (
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// Snapshot is what was known of lifetimes at one moment. It is not changed once
// made and may be read by many goroutines. Reading allocates nothing.
type Snapshot struct {
	tables    []table // the root's first
	shapes    map[string]GroupID
	replicas  map[shapeAndSize]GroupID
	workloads map[workload.Key]GroupID
}

type shapeAndSize struct {
	shape string
	size  int
}

// GroupID is a key resolved: it names a group of the snapshot that gave it and
// of no other. The zero value is the cluster, in every snapshot.
type GroupID int32

// Group returns the narrowest group that knows something of a key.
func (s *Snapshot) Group(key Key) GroupID {
	if !key.Workload.IsZero() {
		if id, known := s.workloads[key.Workload]; known {
			return id
		}
	}
	if size, known := sizeOf(key.Replicas); known {
		if id, known := s.replicas[shapeAndSize{key.Shape, size}]; known {
			return id
		}
	}
	return s.shapes[key.Shape]
}

// Groups returns how many groups are told apart, 1 or more.
func (s *Snapshot) Groups() int { return len(s.tables) }

// SurvivalOf returns the chance that a pod of a group and of an age, 0 or more,
// is alive at each time ahead. An id that the snapshot does not have is the
// cluster.
func (s *Snapshot) SurvivalOf(id GroupID, age time.Duration) Curve {
	if uint(id) >= uint(len(s.tables)) {
		id = 0
	}
	t := &s.tables[id]
	seconds := max(0, age.Seconds())
	now := t.at(seconds)
	c := Curve{1}
	for j := 1; j < Points; j++ {
		c[j] = math.Exp(min(0, now-t.at(seconds+pointAt(j))))
	}
	return c
}

// Survival is SurvivalOf with the key resolved.
func (s *Snapshot) Survival(key Key, age time.Duration) Curve {
	return s.SurvivalOf(s.Group(key), age)
}

// SurvivalUntil is Survival of a pod that is ended at the age of the deadline,
// should it live so long. One that is past its deadline ends at once.
func (s *Snapshot) SurvivalUntil(key Key, age, deadline time.Duration) Curve {
	return s.Survival(key, age).Until(deadline - age)
}

// snapshot makes the tables, parents before children.
func (l *Learner) snapshot() *Snapshot {
	prior := unlearned()
	s := &Snapshot{
		tables:    make([]table, 1, 1+len(l.groups)),
		shapes:    map[string]GroupID{},
		replicas:  map[shapeAndSize]GroupID{},
		workloads: map[workload.Key]GroupID{},
	}
	s.tables[0] = l.root.history.shrunk(&prior, clusterPrior)
	ids := map[*group]GroupID{l.root: 0}
	var below [levels][]*group
	for _, g := range l.groups {
		below[g.key.level] = append(below[g.key.level], g)
	}
	for _, groups := range below {
		for _, g := range groups {
			if g.key.level == ofWorkload && g.episodes < minEpisodes {
				continue
			}
			ids[g] = s.add(g, &s.tables[ids[g.parentKept()]])
		}
	}
	return s
}

// parentKept returns the nearest group above that did not make way.
func (g *group) parentKept() *group {
	parent := g.parent
	for parent.history == nil {
		parent = parent.parent
	}
	return parent
}

func (s *Snapshot) add(g *group, parent *table) GroupID {
	id := GroupID(len(s.tables))
	s.tables = append(s.tables, g.history.shrunk(parent, priorEnds))
	switch g.key.level {
	case ofShape:
		s.shapes[g.key.shape] = id
	case ofReplicas:
		s.replicas[shapeAndSize{g.key.shape, g.key.size}] = id
	case ofWorkload:
		s.workloads[g.key.workload] = id
	}
	return id
}
