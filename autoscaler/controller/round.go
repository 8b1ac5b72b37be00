package controller

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// A round, all of its requests together, may take this long. An object whose
// servers do not answer is not evaluated again for as long.
const roundTimeout = 15 * time.Second

// Of a round, reading the workloads may take this long: one that does not answer
// must leave the others time to read their metrics.
const prepareTimeout = 5 * time.Second

// Setting the replicas of one workload may take this long.
const writeTimeout = 10 * time.Second

// evaluation is what one evaluation saw, decided and did.
type evaluation struct {
	key types.NamespacedName
	wa  *v1alpha1.WorkloadAutoscaler
	obj *object
	now time.Time
	// done is told when the evaluation is over.
	done func()

	// problem is why there is no decision.
	problem  problem
	workload workloads.Workload
	pods     []*pods.Pod
	input    decision.Input
	// metrics are what the sources answered; missing is how many have not yet.
	metrics []scaling.Metric
	missing atomic.Int32

	verdict decision.Verdict
	// standstill is why nothing is done about the verdict; empty if it is.
	standstill problem
	// applied is the number of replicas after.
	applied int32
	// writeError is why applied is not what the verdict says.
	writeError error
}

// problem is the condition it is reported in and the reason; the zero value is
// none.
type problem struct {
	condition, reason, message string
}

func (e *evaluation) current() int32 { return e.workload.SpecReplicas }

func (e *evaluation) rescaled() bool { return e.applied != e.current() }

// round evaluates objects, those whose workloads are read without a request
// first.
func (c *Controller) round(ctx context.Context, now time.Time, keys []types.NamespacedName, whole bool) {
	if whole {
		c.forget(keys)
		defer c.writes.hold()()
	}
	var local, remote []*evaluation
	var open sync.WaitGroup
	for _, key := range keys {
		wa, o := c.take(key, now)
		if o == nil {
			continue
		}
		open.Add(1)
		e := &evaluation{key: key, wa: wa, obj: o, now: now, done: open.Done}
		if o.compiled.invalid != nil || c.Workloads.IsLocal(wa.Spec.ScaleTargetRef) {
			local = append(local, e)
		} else {
			remote = append(remote, e)
		}
	}
	open.Go(func() { c.batch(ctx, local, 1) })
	open.Go(func() { c.batch(ctx, remote, c.Workers) })
	open.Wait()
	if whole {
		c.Metrics.round.Observe(c.Now().Sub(now).Seconds())
	}
}

// batch prepares evaluations, so many at a time, and reads their metrics, those
// of one source together. It returns when all metrics are read.
func (c *Controller) batch(ctx context.Context, evaluations []*evaluation, atOnce int) {
	bounded, cancel := context.WithTimeout(ctx, roundTimeout)
	defer cancel()
	preparable, cancelPreparing := context.WithTimeout(bounded, prepareTimeout)
	defer cancelPreparing()
	var preparing sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, e := range evaluations {
		if atOnce == 1 {
			c.prepare(preparable, e)
			continue
		}
		slots <- struct{}{}
		preparing.Go(func() {
			c.prepare(preparable, e)
			<-slots
		})
	}
	preparing.Wait()

	reads := map[string]*read{}
	var decidable []*evaluation
	for _, e := range evaluations {
		if len(e.metrics) == 0 {
			decidable = append(decidable, e)
			continue
		}
		for i, name := range e.obj.compiled.sources {
			if reads[name] == nil {
				reads[name] = &read{}
			}
			reads[name].add(e, i)
		}
	}
	var reading sync.WaitGroup
	for name, r := range reads {
		reading.Go(func() { c.read(ctx, bounded, name, r) })
	}
	for _, e := range decidable {
		c.hand(ctx, e)
	}
	reading.Wait()
}

// prepare reads the workload and finds out whether metrics are needed; then there
// is room for them.
func (c *Controller) prepare(ctx context.Context, e *evaluation) {
	spec := e.obj.compiled
	if len(spec.invalid) > 0 {
		e.problem = problem{ConditionReady, ReasonInvalidSpec, spec.invalid.ToAggregate().Error()}
		return
	}
	w, err := c.Workloads.Read(ctx, e.wa.Namespace, spec.spec.ScaleTargetRef)
	if err != nil {
		e.problem = problem{ConditionAbleToScale, ReasonFailedGetScale, err.Error()}
		return
	}
	e.workload, e.applied = w, w.SpecReplicas
	e.obj.scaledToZero = e.obj.scaledToZero && w.SpecReplicas == 0 // what follows on other replicas is somebody else's 0
	e.input = decision.Input{
		Policy: spec.policy, Limiters: c.Limiters, Rules: spec.rules,
		Observation:  scaling.Observation{SpecReplicas: w.SpecReplicas, StatusReplicas: w.StatusReplicas, Tolerance: spec.tolerance},
		History:      e.obj.memory.historyFor(e.now, w.SpecReplicas),
		ScaledToZero: e.obj.scaledToZero, CanLeaveZero: spec.canLeaveZero,
		Fallback: spec.fallback, UnknownSince: e.obj.unknownSince,
	}
	if spec.spec.Mode == v1alpha1.ModePaused || !decision.NeedsMetrics(e.now, e.input) {
		return
	}
	if w.Selector == nil && len(spec.metrics) == 0 {
		return // a policy of schedules only asks for no pods
	}
	if w.Selector == nil {
		e.problem = problem{ConditionScalingActive, ReasonInvalidSelector, "the scale of the target has no selector"}
		return
	}
	e.pods = c.Workloads.Pods(w, spec.spec.PodSelection)
	e.metrics = make([]scaling.Metric, len(spec.metrics))
	e.missing.Store(int32(len(spec.metrics)))
}

// read is what one source is asked in a round.
type read struct {
	queries []source.Query
	asked   []asked
}

// asked is a query's place in its evaluation.
type asked struct {
	e        *evaluation
	i        int
	answered atomic.Bool
}

func (r *read) add(e *evaluation, i int) {
	r.queries = append(r.queries, source.Query{
		Namespace: e.wa.Namespace, Spec: &e.obj.compiled.spec.Metrics[i], Selector: e.workload.Selector, Pods: e.pods,
	})
	r.asked = append(r.asked, asked{e: e, i: i})
}

// read asks one source for all its metrics, and hands on each evaluation when its
// last metric is there. The source has until bounded ends.
func (c *Controller) read(ctx, bounded context.Context, name string, r *read) {
	start := c.Now()
	answer := func(i int, m scaling.Metric) {
		a := &r.asked[i]
		if a.answered.Swap(true) {
			return
		}
		fixed := a.e.obj.compiled.metrics[a.i]
		m.Name, m.Target, m.Optional, m.Activation = fixed.Name, fixed.Target, fixed.Optional, fixed.Activation
		a.e.metrics[a.i] = m
		c.Metrics.observeRead(name, m.Unknown)
		if a.e.missing.Add(-1) == 0 {
			c.hand(ctx, a.e)
		}
	}
	why := "the source did not answer"
	if s, found := c.Sources[name]; !found {
		why = fmt.Sprintf("no source %q reads metrics, there are: %v", name, sortedKeys(c.Sources))
	} else if err := guarded(func() { s.Read(bounded, start, r.queries, answer) }); err != nil {
		why = err.Error()
	}
	for i := range r.asked {
		answer(i, source.Unknown(scaling.ReasonUnreadable, why)) // all but those answered
	}
	c.Metrics.readDuration.WithLabelValues(name).Observe(c.Now().Sub(start).Seconds())
}

// guarded turns a panic of somebody else's source, policy or actuator into an
// error: one of them must not end the process that serves all.
func guarded(call func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	call()
	return nil
}

// hand gives an evaluation to a worker, unless the process is ending.
func (c *Controller) hand(ctx context.Context, e *evaluation) {
	select {
	case c.ready <- e:
	case <-ctx.Done():
		c.release(e.key, e.obj)
		e.done()
	}
}

// work finishes evaluations until ctx ends.
func (c *Controller) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-c.ready:
			bounded, cancel := context.WithTimeout(ctx, writeTimeout)
			c.finish(bounded, e)
			cancel()
			c.release(e.key, e.obj)
			e.done()
		}
	}
}
