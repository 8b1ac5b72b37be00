package sim

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Clock is virtual time. It moves only when its simulator advances it.
type Clock struct {
	mu  sync.RWMutex
	now time.Time
}

var _ clock.PassiveClock = (*Clock)(nil)

// NewClock returns a clock that stands at start.
func NewClock(start time.Time) *Clock { return &Clock{now: start} }

// Now returns the virtual time.
func (c *Clock) Now() time.Time {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.now
}

// Since returns the virtual time that has passed since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *Clock) set(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// periodic is work that is due again and again.
type periodic struct {
	period time.Duration
	due    time.Time
	work   func(now time.Time)
}

// Every calls work each time that a period has passed, first one period from now,
// while AdvanceTo moves time. Work that changes what a plugin's Score reads has to
// call FlushScores. Like time.NewTicker it panics if period is not above 0.
func (s *Simulator) Every(period time.Duration, work func(now time.Time)) {
	if period <= 0 {
		panic("sim: the period of work must be above 0, is " + period.String())
	}
	s.work = append(s.work, &periodic{period: period, due: s.clock.Now().Add(period), work: work})
}

// AdvanceTo moves time to t and runs the work due until then (t included), each at
// its own time, in the order in which it is due and then in the order of Every. Time
// does not move back: an earlier t changes nothing.
func (s *Simulator) AdvanceTo(t time.Time) {
	if t.Before(s.clock.Now()) {
		return
	}
	for next := s.nextDue(t); next != nil; next = s.nextDue(t) {
		s.clock.set(next.due)
		next.due = next.due.Add(next.period)
		next.work(s.clock.Now())
	}
	s.clock.set(t)
}

// nextDue returns the work due first until t, or nil.
func (s *Simulator) nextDue(t time.Time) *periodic {
	var first *periodic
	for _, w := range s.work {
		if !w.due.After(t) && (first == nil || w.due.Before(first.due)) {
			first = w
		}
	}
	return first
}
