// Package controller runs the autoscaler on a cluster: once a period it reads the
// workloads of all objects and their metrics, those of one source together, has
// package decision decide on each as soon as its metrics are there, has an
// actuator set the replicas, and says in status and events what it did. It holds
// the only clock and all the I/O; every decision is made in pure packages.
package controller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/actuator"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the controller's name in events, logs and metrics.
const Name = "plimsoll-autoscaler"

// Config is what a Controller works with.
type Config struct {
	// Objects are the objects to evaluate.
	Objects Objects
	// Workloads finds the workloads they refer to.
	Workloads Workloads
	// Rivals knows who else sets the replicas of a workload.
	Rivals *rivals.Index
	// Sources are the sources of metrics by name.
	Sources map[string]source.Source
	// Policies make the policies, by name.
	Policies map[string]scaling.Factory
	// Limiters limit what policies want, in this order.
	Limiters []limits.Limiter
	// Actuator sets replicas.
	Actuator actuator.Actuator
	// DryRun treats every object as if its mode were Recommend.
	DryRun bool
	// Statuses writes the status of objects; nil to write none.
	Statuses StatusWriter
	// Events takes events; nil for none.
	Events events.EventRecorder
	// Observe is told of every evaluation; nil for nobody.
	Observe func(key types.NamespacedName, s v1alpha1.WorkloadAutoscalerStatus)
	// Metrics takes the controller's own metrics.
	Metrics *Metrics
	// Period is the time from one evaluation of an object to the next, more
	// than 0.
	Period time.Duration
	// Workers is how many workloads are decided on and set at a time, 1 or more.
	Workers int
	// DownscaleStabilization is the scale-down window of objects that say
	// nothing of one, 0 or more; Tolerance their tolerance, 0 to 1.
	DownscaleStabilization time.Duration
	Tolerance              float64
	// StatusRefresh is how long a status may show figures that have moved since,
	// if nothing else has changed; 0 or more.
	StatusRefresh time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Objects are the objects to evaluate. What Get returns must not be modified.
type Objects interface {
	Keys() []types.NamespacedName
	Get(key types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool)
}

// Workloads finds workloads and their pods; *workloads.Reader does.
type Workloads interface {
	// IsLocal reports whether Read needs no request for such a workload.
	IsLocal(ref v1alpha1.ScaleTargetRef) bool
	Read(ctx context.Context, namespace string, ref v1alpha1.ScaleTargetRef) (workloads.Workload, error)
	Pods(w workloads.Workload, selection v1alpha1.PodSelection) []*pods.Pod
}

// Controller evaluates WorkloadAutoscaler objects.
type Controller struct {
	Config

	// changed holds the objects to evaluate before the next period.
	changed chan types.NamespacedName
	ready   chan *evaluation
	writes  *statusQueue

	mu      sync.Mutex
	objects map[types.NamespacedName]*object
}

// object is what is remembered of an object from one evaluation to the next. An
// evaluation owns it while busy is set.
type object struct {
	uid        types.UID
	generation int64
	compiled   *compiled
	memory
	// status is the newest status, written or not; shown is the same for those who
	// do not own the object.
	status v1alpha1.WorkloadAutoscalerStatus
	shown  *v1alpha1.WorkloadAutoscalerStatus
	busy   bool
	// again says that the object has changed during an evaluation.
	again bool
}

// New returns a Controller. It starts nothing.
func New(config Config) *Controller {
	c := &Controller{
		Config:  config,
		changed: make(chan types.NamespacedName, changedAtOnce),
		ready:   make(chan *evaluation),
		objects: map[types.NamespacedName]*object{},
	}
	c.writes = newStatusQueue(config.Now, config.StatusRefresh)
	return c
}

// changedAtOnce is how many changed objects may wait to be evaluated at once;
// more wait for the next period.
const changedAtOnce = 10_000

// Changed has an object evaluated soon. It does not block.
func (c *Controller) Changed(key types.NamespacedName) {
	select {
	case c.changed <- key:
	default:
	}
}

// gather is how long changes of objects are gathered, so that many at once are
// evaluated together.
const gather = 50 * time.Millisecond

// Run evaluates until ctx ends, and returns when everything it started has ended.
func (c *Controller) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for range c.Workers {
		all.Go(func() { c.work(ctx) })
	}
	if c.Statuses != nil {
		for range statusWriters {
			all.Go(func() { c.writes.run(ctx, c.Statuses, c.Metrics) })
		}
	}
	first := c.Now()
	ticker := time.NewTicker(c.Period)
	defer ticker.Stop()
	c.forgetChanges() // the first round has them all
	all.Go(func() { c.round(ctx, first, c.Objects.Keys(), true) })
	for {
		select {
		case <-ctx.Done():
			all.Wait()
			return nil
		case <-ticker.C:
			now := due(first, c.Now(), c.Period)
			all.Go(func() { c.round(ctx, now, c.Objects.Keys(), true) })
		case key := <-c.changed:
			keys := c.gather(ctx, key)
			all.Go(func() { c.round(ctx, c.Now(), keys, false) })
		}
	}
}

// due is when the round that begins at the time now was due: a whole number of
// periods after the first. Rounds begin a little late, now more and now less, and
// rates and windows tend to be whole numbers of periods, as those of 15 s are: by
// the clock alone it would be chance whether they have ended, and cost a whole
// period if not. A round that is very late is as late as it is.
func due(first, now time.Time, period time.Duration) time.Time {
	since := now.Sub(first)
	late := since - since.Round(period)
	if late.Abs() > period/4 {
		return now
	}
	return now.Add(-late) // not from first: over days, clocks are set
}

// forgetChanges empties the queue of changed objects.
func (c *Controller) forgetChanges() {
	for {
		select {
		case <-c.changed:
		default:
			return
		}
	}
}

// gather returns the objects that change within a moment from now.
func (c *Controller) gather(ctx context.Context, first types.NamespacedName) []types.NamespacedName {
	keys := map[types.NamespacedName]bool{first: true}
	timer := time.NewTimer(gather)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			return slices.Collect(maps.Keys(keys))
		case key := <-c.changed:
			keys[key] = true
		}
	}
}

// take returns what is remembered of an object, made ready for its present
// generation, and marks it busy; nil if there is nothing to evaluate.
func (c *Controller) take(key types.NamespacedName, now time.Time) (*v1alpha1.WorkloadAutoscaler, *object) {
	wa, found := c.Objects.Get(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.objects[key]
	if !found || wa.DeletionTimestamp != nil {
		if o != nil && !o.busy {
			delete(c.objects, key)
		}
		return nil, nil
	}
	switch {
	case o != nil && o.busy:
		o.again = true
		c.Metrics.skipped.Inc()
		return nil, nil
	case o == nil || o.uid != wa.UID:
		o = &object{uid: wa.UID, memory: recall(now, wa), status: wa.Status}
		c.objects[key] = o
	}
	if o.compiled == nil || o.generation != wa.Generation {
		o.compiled = compile(wa, c.Policies, c.DownscaleStabilization, c.Tolerance)
		o.generation = wa.Generation
	}
	o.busy, o.again = true, false
	return wa, o
}

// release ends an evaluation.
func (c *Controller) release(key types.NamespacedName, o *object) {
	shown := o.status
	c.mu.Lock()
	o.busy, o.shown = false, &shown
	again := o.again
	gone := c.objects[key] != o
	c.mu.Unlock()
	if wa, found := c.Objects.Get(key); !gone && (!found || wa.UID != o.uid) {
		c.mu.Lock()
		delete(c.objects, key)
		c.mu.Unlock()
	} else if again && found && wa.Generation != o.generation {
		c.Changed(key)
	}
}

// forget drops what is remembered of objects that are gone.
func (c *Controller) forget(keys []types.NamespacedName) {
	there := make(map[types.NamespacedName]bool, len(keys))
	for _, key := range keys {
		there[key] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, o := range c.objects {
		if !there[key] && !o.busy {
			delete(c.objects, key)
		}
	}
	c.writes.forget(there)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
