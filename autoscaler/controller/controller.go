// Package controller runs the autoscaler on a cluster: it watches
// WorkloadAutoscaler objects and, once a period for each, reads the workload and
// its metrics, has package decision decide, writes the scale subresource and
// says in status and events what it did. It holds the only clock and all the
// I/O; every decision is made in pure packages.
package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the controller's name in events, logs and metrics.
const Name = "plimsoll-autoscaler"

// An evaluation, all of its requests together, may take this long. A workload
// whose servers do not answer occupies one worker for no longer.
const evaluationTimeout = 15 * time.Second

// Config is what a Reconciler works with. Every field is required.
type Config struct {
	// Client reads objects and pods, from a cache, and writes status.
	Client client.Client
	// Live reads objects past the cache, to retry a status write that conflicts.
	Live client.Reader
	// Mapper finds the resource of a kind.
	Mapper meta.RESTMapper
	// Scales reads and writes scale subresources.
	Scales scale.ScalesGetter
	// Sources are the sources of metrics by the type they read.
	Sources map[v1alpha1.MetricSourceType]source.Source
	// Policy decides.
	Policy scaling.Policy
	// Events takes events.
	Events events.EventRecorder
	// Metrics takes the controller's own metrics.
	Metrics *Metrics
	// Period is the time from one evaluation of an object to the next, more
	// than 0.
	Period time.Duration
	// Now is the clock.
	Now func() time.Time
}

// Reconciler evaluates WorkloadAutoscaler objects.
type Reconciler struct {
	Config

	mu sync.Mutex
	// histories remember what was recommended to whom; by UID, so that an
	// object created anew does not inherit.
	histories map[types.NamespacedName]remembered
}

type remembered struct {
	uid     types.UID
	history limits.History
}

var _ reconcile.Reconciler = (*Reconciler)(nil)

// New returns a Reconciler. It starts nothing.
func New(config Config) *Reconciler {
	return &Reconciler{Config: config, histories: map[types.NamespacedName]remembered{}}
}

// SetupWithManager has the manager call the Reconciler with the given number of
// workers, 1 or more. An object is evaluated as soon as its spec changes, and
// every period.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, workers int) error {
	specChanged := builder.WithPredicates(predicate.GenerationChangedPredicate{})
	skipNameValidation := true // one process may run the controller several times in turn
	return ctrl.NewControllerManagedBy(mgr).
		Named(Name).
		For(&v1alpha1.WorkloadAutoscaler{}, specChanged).
		WithOptions(ctrlcontroller.Options{MaxConcurrentReconciles: workers, SkipNameValidation: &skipNameValidation}).
		Complete(r)
}

// Reconcile implements reconcile.Reconciler: one evaluation. It returns no
// error: whatever goes wrong with an object is in its status, and it is tried
// again after a period like any other.
func (r *Reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	start := r.Now()
	logger := klog.FromContext(ctx)
	ctx, cancel := context.WithTimeout(ctx, evaluationTimeout)
	defer cancel()

	var wa v1alpha1.WorkloadAutoscaler
	err := r.Client.Get(ctx, req.NamespacedName, &wa)
	switch {
	case apierrors.IsNotFound(err):
		r.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	case err != nil:
		logger.Error(err, "Reading the object failed")
		return r.again(start), nil
	case wa.DeletionTimestamp != nil:
		return r.again(start), nil
	}

	e := r.evaluate(ctx, start, &wa)
	if errors.Is(ctx.Err(), context.Canceled) {
		return r.again(start), nil // stopping: what failed says nothing of the object
	}
	r.record(&wa, e)
	if err := r.writeStatus(ctx, &wa, e); err != nil {
		logger.Error(err, "Writing the status failed")
	}
	r.Metrics.observe(req.NamespacedName, e, r.Now().Sub(start))
	return r.again(start), nil
}

// again asks for the next evaluation a period after the start of this one.
func (r *Reconciler) again(start time.Time) reconcile.Result {
	return reconcile.Result{RequeueAfter: max(r.Period-r.Now().Sub(start), time.Millisecond)}
}

func (r *Reconciler) forget(key types.NamespacedName) {
	r.mu.Lock()
	delete(r.histories, key)
	r.mu.Unlock()
	r.Metrics.forget(key)
}

// history returns what is remembered of the object, or a history made from its
// status if nothing is.
func (r *Reconciler) history(now time.Time, wa *v1alpha1.WorkloadAutoscaler, current int32) limits.History {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, found := r.histories[client.ObjectKeyFromObject(wa)]; found && m.uid == wa.UID {
		return m.history
	}
	last := wa.Status.LastDecision
	if last == nil {
		return limits.Seed(now, current, time.Time{}, 0, 0)
	}
	// Times in status are cut to the second: the next one is the earliest that
	// is surely not too early.
	return limits.Seed(now, current, last.Time.Add(time.Second), last.Raw, last.Stabilized)
}

func (r *Reconciler) remember(wa *v1alpha1.WorkloadAutoscaler, h limits.History) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.histories[client.ObjectKeyFromObject(wa)] = remembered{wa.UID, h}
}
