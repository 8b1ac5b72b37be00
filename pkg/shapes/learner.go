package shapes

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The defaults of Config, and its limit.
const (
	DefaultMaxShapes = 512
	DefaultHalfLife  = time.Hour
	MaxMaxShapes     = 1 << 16
)

// forgotten is the weight, in pods, below which unmet demand is dropped.
const forgotten = 1.0 / 64

// Config bounds what a Learner keeps.
type Config struct {
	// MaxShapes is how many shapes are told apart, 1 to 65536; 0 means 512. A new
	// shape that finds no place makes the lightest eighth be folded away: these
	// are not listed any more, until a further pod of them comes or is updated,
	// but what their live pods request stays in the sum.
	MaxShapes int
	// HalfLife is how long demand that was never met keeps half of its weight,
	// above 0; 0 means 1 h.
	HalfLife time.Duration
}

// Learner follows the pods of a cluster. It may be used by many goroutines. It
// keeps, beside at most MaxShapes shapes, one small entry for each live pod.
type Learner struct {
	config Config
	latest atomic.Pointer[Mix]

	mu     sync.Mutex
	pods   map[types.UID]*pod
	shapes map[string]*tracked
	totals totals // of live pods
	seen   int    // pods new since the snapshot before
}

type pod struct {
	of    *tracked
	bound bool
}

// tracked is one shape. One that was folded away is known only to its pods.
type tracked struct {
	shape   Shape
	key     string
	folded  bool
	live    int       // pods bound or waiting
	unmet   float64   // pods that were never bound, as of unmetAt
	unmetAt time.Time // not before any pod of unmet ended
}

// NewLearner returns a learner that has seen no pod.
func NewLearner(c Config) (*Learner, error) {
	if c.MaxShapes == 0 {
		c.MaxShapes = DefaultMaxShapes
	}
	if c.HalfLife == 0 {
		c.HalfLife = DefaultHalfLife
	}
	if c.MaxShapes < 1 || c.MaxShapes > MaxMaxShapes {
		return nil, field.Invalid(field.NewPath("maxShapes"), c.MaxShapes, fmt.Sprintf("must be from 1 to %d shapes", MaxMaxShapes))
	}
	if c.HalfLife < 0 {
		return nil, field.Invalid(field.NewPath("halfLife"), c.HalfLife.String(), "must be above 0s")
	}
	l := &Learner{config: c, pods: map[types.UID]*pod{}, shapes: map[string]*tracked{}, totals: totals{}}
	l.latest.Store(&Mix{})
	return l, nil
}

// Seen adds a pod or notes what changed of it: its shape, as by a resize, or
// that it is bound now. A pod that was bound stays so. It may be repeated.
func (l *Learner) Seen(uid types.UID, s Shape, bound bool, now time.Time) {
	var buffer [256]byte
	key := s.appendKey(buffer[:0])
	l.mu.Lock()
	defer l.mu.Unlock()
	p, known := l.pods[uid]
	if known && string(key) == p.of.key && !p.of.folded {
		p.bound = p.bound || bound
		return
	}
	to, listed := l.shapes[string(key)]
	if !known {
		p = &pod{}
		l.pods[uid] = p
		l.seen++
	} else {
		if string(key) == p.of.key && !listed {
			p.bound = p.bound || bound
			return // an update brings no shape back that was folded away
		}
		l.leave(p)
	}
	if !listed {
		to = l.track(s, string(key), now)
	}
	p.of, p.bound = to, p.bound || bound
	to.live++
	l.totals.add(to.shape.Requests)
}

// Gone takes out a pod that ended, was deleted or is no demand any more. One that
// had been bound counts no longer; one that never was is demand that was not met
// and fades with HalfLife. A pod that is not known is left alone.
func (l *Learner) Gone(uid types.UID, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, known := l.pods[uid]
	if !known {
		return
	}
	delete(l.pods, uid)
	l.leave(p)
	switch t := p.of; {
	case t.folded:
	case !p.bound:
		t.unmet, t.unmetAt = l.unmet(t, now)+1, now
	case t.live == 0 && l.unmet(t, now) < forgotten:
		delete(l.shapes, t.key)
	}
}

// Mix takes a snapshot, which Latest returns from then on.
func (l *Learner) Mix(now time.Time) *Mix {
	m := l.snapshot(now)
	sortShapes(m.Shapes)
	m.Weight = weightOf(m.Shapes)
	l.latest.Store(m)
	return m
}

// Latest returns the latest snapshot, an empty one before the first. It takes no
// lock: scheduling cycles read it.
func (l *Learner) Latest() *Mix { return l.latest.Load() }

func (l *Learner) snapshot(now time.Time) *Mix {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := &Mix{Shapes: make([]Weighted, 0, len(l.shapes)), Requested: l.totals.list(), Changed: l.seen}
	l.seen = 0
	for key, t := range l.shapes {
		unmet := l.unmet(t, now)
		if t.live == 0 && unmet < forgotten {
			delete(l.shapes, key)
			continue
		}
		m.Shapes = append(m.Shapes, Weighted{Shape: t.shape, Key: key, Weight: float64(t.live) + unmet})
	}
	return m
}

// leave takes a pod out of its shape and of the totals.
func (l *Learner) leave(p *pod) {
	p.of.live--
	l.totals.remove(p.of.shape.Requests)
}

func (l *Learner) track(s Shape, key string, now time.Time) *tracked {
	if len(l.shapes) >= l.config.MaxShapes {
		l.fold(now)
	}
	t := &tracked{shape: s, key: key, unmetAt: now}
	l.shapes[key] = t
	return t
}

// fold makes room: it takes the lightest eighth of the shapes off the list, at
// least one. Taking many at once keeps the mean cost of an event small.
func (l *Learner) fold(now time.Time) {
	all := make([]Weighted, 0, len(l.shapes))
	for key, t := range l.shapes {
		all = append(all, Weighted{Key: key, Weight: float64(t.live) + l.unmet(t, now)})
	}
	sortShapes(all)
	slices.Reverse(all)
	for _, lightest := range all[:max(1, len(all)/8)] {
		l.shapes[lightest.Key].folded = true
		delete(l.shapes, lightest.Key)
	}
}

// unmet returns the demand of a shape that was never met, as it counts now.
func (l *Learner) unmet(t *tracked, now time.Time) float64 {
	if t.unmet == 0 {
		return 0
	}
	halves := max(0, now.Sub(t.unmetAt)).Seconds() / l.config.HalfLife.Seconds()
	return t.unmet * math.Exp2(-halves)
}
