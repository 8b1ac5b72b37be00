package prometheus

import (
	"context"
	"errors"
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
	// slowSplits is how many of these, the first included, may take too long.
	slowSplits = 3
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
	r := &reading{server: s, ctx: ctx, now: now, answered: s.breaker.begin(), asked: map[string]int{}, slow: map[string]int{}}
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

// reading is one read of all the workloads that a server has queries of.
type reading struct {
	*server
	ctx context.Context
	now time.Time
	// answered is how many queries the server had answered before.
	answered uint64

	mu    sync.Mutex
	asked map[string]int // by shape, queries that splitting has cost
	slow  map[string]int // by shape, merged queries that took too long
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
	}
	if r.ctx.Err() != nil {
		r.breaker.settle(r.now, 0, reply{undecided: true})
		return reply{err: errors.New("the time for reading ended before it was asked"), undecided: true}
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
	if !r.maySplit(key, answer) {
		return r.giveUp(g, answer.slow)
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
	if !r.hasTime(g.wants[0].request.shape.key) {
		return r.giveUp(g, false)
	}
	fine := r.answer(g)
	if !fine && len(g.wants) == 1 {
		r.keepApart(r.now, g)
	}
	return fine
}

// giveUp leaves a group without answers until the next period. If one of them
// takes too long, it has to be one of few: their namespaces are kept apart then.
func (r *reading) giveUp(g *group, slow bool) bool {
	if slow {
		r.keepApart(r.now, g)
	} else {
		r.mergeFewer(r.now, g.wants[0].request.shape.key, max(len(g.wants)/2, 1))
	}
	return r.tell(g, failed(scaling.ReasonUnreadable, fmt.Sprintf("query server %q: not answered as one with %d like it, and there was no time to ask for each", r.config.Name, len(g.wants)-1)))
}

func (r *reading) maySplit(shape string, answer reply) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer.slow {
		r.slow[shape]++
	}
	r.asked[shape] += 2
	return r.ctx.Err() == nil && r.asked[shape] <= splits && r.slow[shape] < slowSplits
}

func (r *reading) hasTime(shape string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ctx.Err() == nil && r.slow[shape] < slowSplits
}

// isAlive reports whether the server has answered anything in this read. What is
// found out about one that has not is about the server, not about a query.
func (r *reading) isAlive() bool { return r.breaker.begin() != r.answered }

// mergeFewer remembers of a shape how many may be merged.
func (r *reading) mergeFewer(now time.Time, shape string, most int) {
	if !r.isAlive() {
		return
	}
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	l, found := s.small[shape]
	if found && most < l.most || !found && len(s.small) < maxWary {
		s.small[shape] = limit{most, now.Add(wary)}
	}
}

// keepApart remembers a request that failed alone, or of several the namespaces.
func (r *reading) keepApart(now time.Time, g *group) {
	if !r.isAlive() {
		return
	}
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range g.wants {
		if len(s.solo) >= maxWary {
			return
		}
		if len(g.wants) == 1 {
			s.solo[w.text()] = now.Add(wary)
		}
		s.solo[w.request.shape.place()] = now.Add(wary)
	}
}
