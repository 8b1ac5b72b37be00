package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// How a merged query that fails is handled.
const (
	// splits is how many more queries the requests of one shape may cost in one
	// period because merging them failed.
	splits = 64
	// wary is how long it is remembered.
	wary = 5 * time.Minute
	// maxWary is how many shapes and requests are remembered at most.
	maxWary = 4096
)

// server asks one server on behalf of many workloads.
type server struct {
	config  Server
	client  *client
	metrics *metrics
	plans   plans
	breaker breaker
	slots   chan struct{}

	mu sync.Mutex
	// small are the shapes of which fewer have to be merged, by key; solo the
	// requests that failed alone when a merged query had failed, by text, and
	// their places.
	small map[string]limit
	solo  map[string]time.Time
	probe int // how many have been sent
}

// limit is how many requests may be merged for a while.
type limit struct {
	most  int
	until time.Time
}

func newServer(config Server, m *metrics) (*server, error) {
	c, err := newClient(config)
	if err != nil {
		return nil, err
	}
	return &server{
		config: config, client: c, metrics: m, slots: make(chan struct{}, config.Concurrency),
		small: map[string]limit{}, solo: map[string]time.Time{},
	}, nil
}

// plan is what a workload's query comes to.
func (s *server) plan(query, namespace string, perPod bool) *plan {
	return s.plans.get(planKey{query, namespace, perPod}, func() *plan {
		confined := true
		for _, free := range s.config.UnconfinedNamespaces {
			confined = confined && free != namespace
		}
		return planFor(query, namespace, perPod, &s.config, confined)
	})
}

// read answers all of wants.
func (s *server) read(ctx context.Context, now time.Time, wants []*want) {
	defer func() { s.metrics.circuit(s.config.Name, &s.breaker, now) }()
	r := &reading{server: s, ctx: ctx, now: now, asked: map[string]int{}}
	all := s.merge(now, wants)
	switch s.breaker.admit(now) {
	case refused:
		r.refuse(all)
		return
	case probe:
		i := s.nextProbe() % len(all)
		r.answer(all[i])
		all = append(all[:i:i], all[i+1:]...)
	}
	r.all(all)
}

// nextProbe sees to it that it is not always the same query that decides whether
// the server answers again.
func (s *server) nextProbe() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probe++
	return s.probe
}

// merge decides what is asked as one.
func (s *server) merge(now time.Time, wants []*want) (all []*group) {
	inOrder(wants)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(now)
	shaped, alone := byShape(wants)
	for _, of := range shaped {
		most := maxMerged
		if l, found := s.small[of[0].request.shape.key]; found {
			most = l.most
		}
		together, apart, solo := s.sortOut(of)
		all = append(all, groups(together, most, s.config.MaxQueryLength)...)
		for _, place := range slices.Sorted(maps.Keys(apart)) {
			all = append(all, groups(apart[place], most, s.config.MaxQueryLength)...)
		}
		alone = append(alone, solo...)
	}
	for _, w := range alone {
		all = append(all, newGroup([]*want{w}))
	}
	waiting := 0
	for _, w := range wants {
		waiting += len(w.waiting)
	}
	s.metrics.merged.WithLabelValues(s.config.Name).Set(float64(waiting - len(all)))
	return all
}

// sortOut keeps apart what could not be merged: requests that failed alone, and
// the others of their namespaces, whose combinations would select the same series.
func (s *server) sortOut(wants []*want) (together []*want, apart map[string][]*want, solo []*want) {
	apart = map[string][]*want{}
	for _, w := range wants {
		place := w.request.shape.place()
		if _, found := s.solo[w.text()]; found {
			solo = append(solo, w)
		} else if _, found := s.solo[place]; found {
			apart[place] = append(apart[place], w)
		} else {
			together = append(together, w)
		}
	}
	return together, apart, solo
}

func (s *server) forget(now time.Time) {
	for key, l := range s.small {
		if !now.Before(l.until) {
			delete(s.small, key)
		}
	}
	for text, until := range s.solo {
		if !now.Before(until) {
			delete(s.solo, text)
		}
	}
}

// mergeFewer remembers of a shape how many may be merged.
func (s *server) mergeFewer(now time.Time, shape string, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, found := s.small[shape]
	if len(s.small) < maxWary && (!found || most < l.most) {
		s.small[shape] = limit{most, now.Add(wary)}
	}
}

// keepApart remembers a request that failed.
func (s *server) keepApart(now time.Time, w *want) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.solo) < maxWary {
		s.solo[w.text()] = now.Add(wary)
		s.solo[w.request.shape.place()] = now.Add(wary)
	}
}

// reading is one read of all the workloads that a server has queries of.
type reading struct {
	*server
	ctx context.Context
	now time.Time

	mu    sync.Mutex
	asked map[string]int // by shape, queries that splitting has cost
}

// all asks several at once.
func (r *reading) all(groups []*group) {
	q := newQueue(r.config.Concurrency / 2)
	for _, g := range groups {
		q.add(g)
	}
	var done sync.WaitGroup
	for range min(r.config.Concurrency, len(groups)) {
		done.Go(func() {
			for {
				g, answered := q.next()
				if g == nil {
					return
				}
				r.answer(g)
				answered()
			}
		})
	}
	done.Wait()
}

// answer asks, and answers everyone in the group. It reports whether all was well.
func (r *reading) answer(g *group) bool {
	if message, open := r.breaker.isOpen(r.now); open {
		return r.tell(g, failed(ReasonCircuitOpen, fmt.Sprintf("server %q: %s", r.config.Name, message)))
	}
	answer := r.ask(g)
	switch {
	case len(g.wants) > 1:
		if answer.err == nil && len(answer.warnings) == 0 && g.fanOut(answer.value) {
			return true
		}
		return r.split(g, answer)
	case answer.err != nil:
		return r.tell(g, failed(scaling.ReasonUnreadable, fmt.Sprintf("query server %q: %v", r.config.Name, answer.err)))
	case len(answer.warnings) > 0:
		return r.tell(g, failed(ReasonPartial, fmt.Sprintf("server %q warns: %s", r.config.Name, strings.Join(answer.warnings, "; "))))
	}
	g.wants[0].tell(outcome{value: answer.value})
	return true
}

func (r *reading) tell(g *group, o outcome) bool {
	for _, w := range g.wants {
		w.tell(o)
	}
	return false
}

func (r *reading) refuse(all []*group) {
	message, _ := r.breaker.isOpen(r.now)
	if message == "" {
		message = "another query is trying whether the server answers again"
	}
	for _, g := range all {
		r.tell(g, failed(ReasonCircuitOpen, fmt.Sprintf("server %q: %s", r.config.Name, message)))
	}
}

// ask waits for its turn and asks.
func (r *reading) ask(g *group) reply {
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-r.ctx.Done():
		r.breaker.settle(r.now, 0, reply{undecided: true})
		return reply{err: fmt.Errorf("not asked in time: %w", context.Cause(r.ctx)), undecided: true}
	}
	began, started := r.breaker.begin(), time.Now()
	answer := r.client.ask(r.ctx, g.text, r.now, len(g.wants))
	r.breaker.settle(r.now, began, answer)
	r.metrics.observe(r.config.Name, answer, time.Since(started))
	return answer
}

// split asks for the halves of a group that could not be answered as one, and so
// on, so that whoever is the cause is found and the others have their answers. It
// remembers what it finds.
func (r *reading) split(g *group, answer reply) bool {
	key := g.wants[0].request.shape.key
	if r.ctx.Err() != nil || !r.maySplit(key) {
		r.mergeFewer(r.now, key, max(len(g.wants)/2, 1))
		return r.tell(g, failed(scaling.ReasonUnreadable, fmt.Sprintf("query server %q: not answered as one with %d like it, and there was no time to ask for each", r.config.Name, len(g.wants)-1)))
	}
	first, second := g.halves()
	fine := r.half(first)
	fine = r.half(second) && fine
	if fine {
		r.mergeFewer(r.now, key, max(len(first.wants), len(second.wants)))
	}
	return fine
}

// half answers a part of a group that was split.
func (r *reading) half(g *group) bool {
	fine := r.answer(g)
	if !fine && len(g.wants) == 1 {
		r.keepApart(r.now, g.wants[0])
	}
	return fine
}

func (r *reading) maySplit(shape string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked[shape] += 2
	return r.asked[shape] <= splits
}
