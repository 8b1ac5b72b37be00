// Package prometheus reads metrics from Prometheus servers with queries in
// PromQL: one number of a workload, or one of each pod. Servers are the
// operator's to name, with their addresses and credentials; objects refer to them
// by name only, and see no further than their own namespace. Queries of thousands
// of workloads that differ in labels only are asked as few.
package prometheus

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	prom "github.com/prometheus/client_golang/prometheus"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Reasons for unknown metrics besides those of package scaling.
const (
	ReasonUnknownServer    = "UnknownServer"    // no server of that name is configured
	ReasonInvalidQuery     = "InvalidQuery"     // no PromQL, or too long
	ReasonForeignNamespace = "ForeignNamespace" // the query asks for other namespaces
	ReasonWrongType        = "WrongType"        // neither a scalar nor a vector of floats
	ReasonNoPodLabel       = "MissingPodLabel"  // a result does not say which pod it is about
	ReasonPartial          = "PartialAnswer"    // the server answered with warnings
	ReasonCircuitOpen      = "CircuitOpen"      // the server has not answered for a while and is left alone
)

// Source implements source.Source.
type Source struct {
	metrics *metrics

	mu      sync.RWMutex
	servers map[string]*server
}

var _ source.Source = (*Source)(nil)

// New returns a source that asks the given servers, and registers its metrics,
// unless the registerer is nil. No server at all is allowed: every metric is then
// unknown.
func New(servers []Server, metrics prom.Registerer) (*Source, error) {
	m, err := newMetrics(metrics)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	s := &Source{metrics: m}
	return s, s.Update(servers)
}

// Update replaces the servers. On an error all stays as it was. Reads under way
// end with the servers they began with. A server that is configured as before is
// kept with what is known of it.
func (s *Source) Update(servers []Server) error {
	if err := validate(servers).ToAggregate(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[string]*server, len(servers))
	for _, config := range servers {
		config = config.withDefaults()
		if old := s.servers[config.Name]; old != nil && reflect.DeepEqual(old.config, config) {
			next[config.Name] = old
			continue
		}
		srv, err := newServer(config, s.metrics)
		if err != nil {
			return fmt.Errorf("prometheus server %q: %w", config.Name, err)
		}
		next[config.Name] = srv
	}
	for name, old := range s.servers {
		if next[name] != old {
			old.client.transport.closeIdle()
		}
		if next[name] == nil {
			s.metrics.forget(name)
		}
	}
	s.servers = next
	return nil
}

// Close closes the connections kept for later queries.
func (s *Source) Close() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, srv := range s.servers {
		srv.client.transport.closeIdle()
	}
}

// Name implements source.Source.
func (s *Source) Name() string { return string(v1alpha1.PrometheusMetricSourceType) }

// Read implements source.Source. All is asked as of now, so that answers do not
// depend on how long asking takes.
func (s *Source) Read(ctx context.Context, now time.Time, queries []source.Query, answer func(i int, m scaling.Metric)) {
	s.mu.RLock()
	servers := s.servers
	s.mu.RUnlock()
	batches := map[*server]*batch{}
	for i := range queries {
		spec := queries[i].Spec.Prometheus
		srv := servers[spec.ServerName]
		if srv == nil {
			answer(i, source.Unknown(ReasonUnknownServer, fmt.Sprintf("no server %q is configured, there are: %s", spec.ServerName, names(servers))))
			continue
		}
		plan := srv.plan(spec.Query, queries[i].Namespace, spec.PerPod)
		if plan.refused.Set() {
			answer(i, scaling.Metric{Unknown: plan.refused})
			continue
		}
		if batches[srv] == nil {
			batches[srv] = &batch{server: srv, now: now, byText: map[string]*want{}}
		}
		batches[srv].add(&queries[i], plan, func(m scaling.Metric) { answer(i, m) })
	}
	var done sync.WaitGroup
	for _, b := range batches {
		done.Go(func() { b.server.read(ctx, now, b.wants) })
	}
	done.Wait()
}

func names(servers map[string]*server) string {
	if len(servers) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(servers)), ", ")
}

// batch is what one server is asked in one read.
type batch struct {
	server *server
	now    time.Time
	byText map[string]*want
	wants  []*want
}

// add asks for a workload's metric.
func (b *batch) add(q *source.Query, p *plan, answer func(scaling.Metric)) {
	if p.age == nil {
		b.ask(p.value, q.Namespace, func(value outcome) {
			answer(metric(q, &b.server.config, b.now, value, nil))
		})
		return
	}
	var mu sync.Mutex
	var value, age *outcome
	told := func(place **outcome) func(outcome) {
		return func(o outcome) {
			mu.Lock()
			*place = &o
			complete := value != nil && age != nil
			mu.Unlock()
			if complete {
				answer(metric(q, &b.server.config, b.now, *value, age))
			}
		}
	}
	b.ask(p.value, q.Namespace, told(&value))
	b.ask(p.age, q.Namespace, told(&age))
}

// ask has equal requests asked once.
func (b *batch) ask(r *request, namespace string, told func(outcome)) {
	if r.shape != nil && r.shape.otherwise != nil {
		then := told
		told = func(o outcome) { then(o.orElse(r.shape.otherwise, b.now)) }
	}
	w := &want{request: r, namespace: namespace}
	if old := b.byText[w.text()]; old != nil {
		old.waiting = append(old.waiting, told)
		return
	}
	w.waiting = append(w.waiting, told)
	b.byText[w.text()] = w
	b.wants = append(b.wants, w)
}
