package controller

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// StatusWriter writes the status of objects.
type StatusWriter interface {
	// WriteStatus writes the status of wa and returns the resource version that it
	// has then. If wa has been changed meanwhile it takes the change and writes the
	// status all the same; a status of another object of the same name is left
	// alone, and is a NotFound error.
	WriteStatus(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) (resourceVersion string, err error)
}

// statusWriters is how many statuses are written at a time; the limit on requests
// to the API server holds for them, too.
const statusWriters = 8

// One write may take this long.
const statusTimeout = 10 * time.Second

// statusQueue writes statuses beside the evaluations, so that no decision waits
// for a status: of each object only the newest, those of objects that were
// rescaled first.
type statusQueue struct {
	now     func() time.Time
	refresh time.Duration
	wake    chan struct{}

	mu sync.Mutex
	// held is closed when writing may go on; nil if it is not held up.
	held    chan struct{}
	objects map[types.NamespacedName]*queued
	urgent  []types.NamespacedName
	usual   []types.NamespacedName
}

// queued is an object's status as it was written and as it is to be written.
type queued struct {
	uid             types.UID
	written         v1alpha1.WorkloadAutoscalerStatus
	writtenAt       time.Time
	resourceVersion string
	// next is to be written; nil if nothing is.
	next *v1alpha1.WorkloadAutoscaler
	// isUrgent says that it stands in urgent.
	isUrgent bool
	// writing says that a writer has it, and taken is what it writes.
	writing bool
	taken   v1alpha1.WorkloadAutoscalerStatus
}

// last is the status that is there if all goes well.
func (o *queued) last() *v1alpha1.WorkloadAutoscalerStatus {
	if o.writing {
		return &o.taken
	}
	return &o.written
}

func newStatusQueue(now func() time.Time, refresh time.Duration) *statusQueue {
	return &statusQueue{now: now, refresh: refresh, wake: make(chan struct{}, statusWriters), objects: map[types.NamespacedName]*queued{}}
}

// offer queues a status if it says something new.
func (q *statusQueue) offer(key types.NamespacedName, wa *v1alpha1.WorkloadAutoscaler, s v1alpha1.WorkloadAutoscalerStatus, urgent bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o := q.objects[key]
	if o == nil || o.uid != wa.UID {
		o = &queued{uid: wa.UID, written: wa.Status, writtenAt: q.now().Add(-q.spread(key))}
		q.objects[key] = o
	}
	isFresh := o.writing || q.now().Sub(o.writtenAt) < q.refresh
	if o.next == nil && !changedOtherThanFigures(o.last(), &s) && (isFresh || !changedFigures(o.last(), &s)) {
		return
	}
	queuedAlready := o.next != nil
	o.next = &v1alpha1.WorkloadAutoscaler{TypeMeta: wa.TypeMeta, ObjectMeta: wa.ObjectMeta, Spec: wa.Spec, Status: s}
	switch {
	case urgent && !o.isUrgent:
		o.isUrgent = true
		q.urgent = append(q.urgent, key)
	case !queuedAlready && !o.writing:
		q.usual = append(q.usual, key)
	default:
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// spread has the figures of many objects that are met at the same time be brought
// up to date at different times: part of the refresh has passed already.
func (q *statusQueue) spread(key types.NamespacedName) time.Duration {
	if q.refresh <= 0 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key.String())) // a hash takes everything
	return time.Duration(float64(q.refresh) * float64(h.Sum32()) / (1 << 32))
}

// forget drops what is known of objects that are gone.
func (q *statusQueue) forget(there map[types.NamespacedName]bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, o := range q.objects {
		if !there[key] && !o.writing {
			delete(q.objects, key)
		}
	}
}

// A status waits no longer than this for a round to end.
const longestHold = 5 * time.Second

// hold has statuses wait until release, so that in a round, when everything is
// asked and set at once, an API server that is busy is busy with that.
func (q *statusQueue) hold() (release func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held != nil {
		return func() {} // by the round before, which is late
	}
	held := make(chan struct{})
	q.held = held
	end := sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.held = nil
		close(held)
	})
	timer := time.AfterFunc(longestHold, end)
	return func() {
		timer.Stop()
		end()
	}
}

// waitWhileHeld reports whether there is anything left to do afterwards.
func (q *statusQueue) waitWhileHeld(ctx context.Context) bool {
	q.mu.Lock()
	held := q.held
	q.mu.Unlock()
	if held == nil {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-held:
		return true
	}
}

// run writes until ctx ends.
func (q *statusQueue) run(ctx context.Context, w StatusWriter, m *Metrics) {
	for q.waitWhileHeld(ctx) {
		key, o, next := q.take()
		if next == nil {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
			}
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, statusTimeout)
		version, err := w.WriteStatus(bounded, next)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			m.statusWrites.WithLabelValues("written").Inc()
		case apierrors.IsNotFound(err):
			m.statusWrites.WithLabelValues("gone").Inc()
		default:
			m.statusWrites.WithLabelValues("failed").Inc()
			klog.FromContext(ctx).Error(err, "Writing the status failed", "object", key)
		}
		q.wrote(key, o, next, version, err)
	}
}

// take returns the next status to write; nil if there is none.
func (q *statusQueue) take() (types.NamespacedName, *queued, *v1alpha1.WorkloadAutoscaler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.urgent)+len(q.usual) > 0 {
		line := &q.urgent
		if len(q.urgent) == 0 {
			line = &q.usual
		}
		key := (*line)[0]
		*line = (*line)[1:]
		o := q.objects[key]
		if o == nil || o.next == nil || o.writing {
			continue
		}
		next := o.next
		o.next, o.isUrgent, o.writing, o.taken = nil, false, true, next.Status
		if order, err := resourceversion.CompareResourceVersion(next.ResourceVersion, o.resourceVersion); err == nil && order < 0 {
			next.ResourceVersion = o.resourceVersion
		}
		return key, o, next
	}
	return types.NamespacedName{}, nil, nil
}

// wrote remembers what was written. A status that could not be written is offered
// again by the next evaluation, since it still differs.
func (q *statusQueue) wrote(key types.NamespacedName, o *queued, wa *v1alpha1.WorkloadAutoscaler, version string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	o.writing = false
	if err == nil {
		o.written, o.writtenAt, o.resourceVersion = wa.Status, q.now(), version
	}
	if o.next != nil && q.objects[key] == o {
		q.usual = append(q.usual, key)
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}
