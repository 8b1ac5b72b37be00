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
	replicas  map[idAndSize]GroupID
	workloads map[workload.Key]GroupID
}

type idAndSize struct {
	shape GroupID
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
	shape := s.shapes[key.Shape]
	if size, known := sizeOf(key.Replicas); known {
		if id, known := s.replicas[idAndSize{shape, size}]; known {
			return id
		}
	}
	return shape
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
		tables:    make([]table, 1, 1+l.proven.Len()),
		shapes:    make(map[string]GroupID, len(l.shapes)),
		replicas:  make(map[idAndSize]GroupID, len(l.replicas)),
		workloads: map[workload.Key]GroupID{},
	}
	s.tables[0] = l.root.history.shrunk(&prior, clusterPrior)
	ids := map[*group]GroupID{l.root: 0}
	for name, g := range l.shapes {
		ids[g] = s.add(g, ids)
		s.shapes[name] = ids[g]
	}
	for sized, g := range l.replicas {
		ids[g] = s.add(g, ids)
		s.replicas[idAndSize{ids[sized.shape], sized.size}] = ids[g]
	}
	for name, g := range l.workloads {
		if g.episodes >= minEpisodes {
			s.workloads[name] = s.add(g, ids)
		}
	}
	return s
}

// add makes a group's table with that of the nearest group above as prior, of
// those that did not make way.
func (s *Snapshot) add(g *group, ids map[*group]GroupID) GroupID {
	parent := g.parent
	for parent.history == nil {
		parent = parent.parent
	}
	s.tables = append(s.tables, g.history.shrunk(&s.tables[ids[parent]], priorEnds))
	return GroupID(len(s.tables) - 1)
}
