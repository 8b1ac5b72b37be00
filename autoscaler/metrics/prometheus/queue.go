package prometheus

import "sync"

// queue hands out the queries to one server. Merged ones come first; then every
// namespace has its turn, and at most so many of its queries run at once, so that
// one with many or slow queries does not hold up the others.
type queue struct {
	most int // queries of one namespace at once, at least 1

	mu    sync.Mutex
	freed *sync.Cond
	first []*group
	lanes map[string]*lane
	turns []*lane // those that have a query and may run it
	left  int     // queries not handed out yet
}

type lane struct {
	waiting []*group
	running int
	inTurns bool
}

func newQueue(most int) *queue {
	q := &queue{most: max(most, 1), lanes: map[string]*lane{}}
	q.freed = sync.NewCond(&q.mu)
	return q
}

// add is called before any next.
func (q *queue) add(g *group) {
	q.left++
	if len(g.wants) > 1 {
		q.first = append(q.first, g)
		return
	}
	l := q.lanes[g.wants[0].namespace]
	if l == nil {
		l = &lane{}
		q.lanes[g.wants[0].namespace] = l
	}
	l.waiting = append(l.waiting, g)
	q.offer(l)
}

func (q *queue) offer(l *lane) {
	if !l.inTurns && len(l.waiting) > 0 && l.running < q.most {
		l.inTurns = true
		q.turns = append(q.turns, l)
	}
}

// next waits for a query that may run, or answers nil if there are no more. Done
// is to be called when it has been answered.
func (q *queue) next() (g *group, done func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.left == 0:
			q.freed.Broadcast()
			return nil, nil
		case len(q.first) > 0:
			g, q.first = q.first[0], q.first[1:]
			q.left--
			return g, func() {}
		case len(q.turns) > 0:
			return q.take()
		}
		q.freed.Wait()
	}
}

func (q *queue) take() (*group, func()) {
	l := q.turns[0]
	q.turns = q.turns[1:]
	g := l.waiting[0]
	l.waiting, l.inTurns = l.waiting[1:], false
	l.running++
	q.left--
	q.offer(l)
	return g, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		l.running--
		q.offer(l)
		q.freed.Broadcast()
	}
}
