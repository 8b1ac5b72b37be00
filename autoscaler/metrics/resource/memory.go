package resource

import (
	"context"
	"sync"
	"time"
)

// memory keeps the lists of the latest period, and what is known of the cluster.
type memory struct {
	mu      sync.Mutex
	latest  *period
	cluster cluster
}

// at returns the period of the time now, which is the latest from then on.
func (m *memory) at(now time.Time) *period {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.latest == nil || !m.latest.now.Equal(now) {
		m.latest = &period{now: now, lists: map[scope]*pending{}}
	}
	return m.latest
}

// wholeCluster reports whether to make one list over all namespaces instead of
// the given ones: if that is cheaper, or done for the period already.
func (m *memory) wholeCluster(p *period, lists []list) bool {
	if len(lists) == 0 {
		return false
	}
	m.mu.Lock()
	cheaper := m.cluster.cheaper(p.now, len(lists), merge(lists).pods)
	m.mu.Unlock()
	return cheaper || p.has(scope{})
}

// learn keeps what a list over all namespaces showed. Of an error that says
// nothing about the next time, it keeps nothing.
func (m *memory) learn(now time.Time, got *samples, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case refused(err):
		m.cluster = cluster{learned: now, refused: true}
	case err == nil:
		m.cluster = cluster{learned: now, samples: got.n}
	}
}

// period has the lists of one time, made or under way.
type period struct {
	now   time.Time
	mu    sync.Mutex
	lists map[scope]*pending
}

// pending is a list that somebody makes. The rest is set when done is closed.
type pending struct {
	done    chan struct{}
	samples *samples
	err     error
}

// has reports whether a list was made, whatever became of it, or is under way.
func (p *period) has(s scope) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lists[s] != nil
}

// list makes the list, or waits for whoever makes it, or one that has it in it,
// already.
func (p *period) list(ctx context.Context, from lister, s scope) (*samples, error) {
	made, mine := p.join(s)
	if mine {
		ctx, cancel := context.WithTimeout(ctx, Timeout)
		defer cancel()
		made.samples, made.err = collect(ctx, from, s)
		close(made.done)
		return made.samples, made.err
	}
	select {
	case <-made.done:
		return made.samples, made.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *period) join(s scope) (made *pending, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range []scope{s, {namespace: s.namespace}} {
		if made := p.lists[s]; made != nil {
			return made, false
		}
	}
	made = &pending{done: make(chan struct{})}
	p.lists[s] = made
	return made, true
}
