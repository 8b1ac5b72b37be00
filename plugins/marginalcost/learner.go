package marginalcost

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// learner follows the cluster's pods and makes a model of them now and then.
type learner struct {
	pinned    *shapes.Mix // in place of the mix of live pods; may be nil
	devices   devices.Source
	clock     clock.PassiveClock
	shapes    *shapes.Learner
	lifetimes *lifetimes.Learner
	measures  *measures
	profile   string
	// Nil without a cluster.
	nodes       corelisters.NodeLister
	replicaSets appslisters.ReplicaSetLister
	// Nil where the program knows the devices.
	podInformer   cache.SharedIndexInformer
	devicesSynced func() bool

	current atomic.Pointer[model]

	mu        sync.Mutex
	pods      map[types.UID]*followed
	nominated map[types.UID]string            // the nodes for which pods wait that preempted others
	siblings  map[workload.Key]map[string]int // pods by node
	turnover  turnover
	fresh     int // pods first seen since the model was made
	refreshed time.Time
}

// followed is a pod that is bound or waits.
type followed struct {
	workload workload.Key
	node     string // empty while it waits
}

func newLearner(pinned *shapes.Mix, o Options, m *measures) (*learner, error) {
	shapesSeen, err := shapes.NewLearner(shapes.Config{})
	if err != nil {
		return nil, err
	}
	lives, err := lifetimes.NewLearner(lifetimes.Config{})
	if err != nil {
		return nil, err
	}
	l := &learner{
		pinned: pinned, devices: o.Devices, clock: o.Clock, shapes: shapesSeen, lifetimes: lives, measures: m,
		pods: map[types.UID]*followed{}, nominated: map[types.UID]string{}, siblings: map[workload.Key]map[string]int{},
	}
	l.current.Store(&model{turnover: 1, mix: cmp.Or(pinned, l.shapes.Latest()), survival: l.lifetimes.Latest()})
	return l, nil
}

// follow asks the informers for pods, nodes and ReplicaSets.
func (l *learner) follow(handle fwk.Handle) error {
	informers := handle.SharedInformerFactory()
	if informers == nil {
		return nil
	}
	l.profile = handle.ProfileName()
	l.nodes = informers.Core().V1().Nodes().Lister()
	l.replicaSets = informers.Apps().V1().ReplicaSets().Lister()
	if err := l.followDevices(informers); err != nil {
		return err
	}
	_, err := informers.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if pod, ok := obj.(*v1.Pod); ok {
				l.seen(pod)
			}
		},
		UpdateFunc: func(before, after any) {
			was, ok := before.(*v1.Pod)
			pod, ok2 := after.(*v1.Pod)
			if !ok || !ok2 || !isChanged(was, pod) {
				return
			}
			if was.UID != pod.UID { // deleted and made again under the same name, of which the watch missed the middle
				l.gone(was)
			}
			l.seen(pod)
		},
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			if pod, ok := obj.(*v1.Pod); ok {
				l.gone(pod)
			}
		},
	})
	return err
}

// isChanged reports whether an update can change what is learned: the node, the
// phase, a nomination, gates, claims made from templates, and requests, which an
// in-place resize changes with the generation and again when the kubelet has acted on it.
func isChanged(was, is *v1.Pod) bool {
	return was.UID != is.UID || was.Spec.NodeName != is.Spec.NodeName || was.Status.Phase != is.Status.Phase ||
		was.Status.NominatedNodeName != is.Status.NominatedNodeName || was.Generation != is.Generation ||
		was.Status.ObservedGeneration != is.Status.ObservedGeneration ||
		len(was.Spec.SchedulingGates) != len(is.Spec.SchedulingGates) ||
		len(was.Status.ResourceClaimStatuses) != len(is.Status.ResourceClaimStatuses)
}

func (l *learner) seen(pod *v1.Pod) {
	l.nominate(pod)
	if workload.IsSystem(pod) {
		return
	}
	if len(pod.Spec.SchedulingGates) > 0 || pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed {
		l.gone(pod)
		return
	}
	now := l.clock.Now()
	shape := l.shapeOf(pod)
	l.shapes.Seen(pod.UID, shape, pod.Spec.NodeName != "", now)
	before, first := l.enter(pod, now)
	switch {
	case pod.Spec.NodeName == "" || before == pod.Spec.NodeName:
	case first:
		l.lifetimes.Found(pod.UID, l.keyOf(pod, shape.Key()), startOf(pod, now), now)
	default:
		l.lifetimes.Started(pod.UID, l.keyOf(pod, shape.Key()), now)
	}
}

// nominate notes for which node a pod waits, of pods of the system as well: they
// take room like any other.
func (l *learner) nominate(pod *v1.Pod) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if node := pod.Status.NominatedNodeName; node != "" && pod.Spec.NodeName == "" {
		l.nominated[pod.UID] = node
	} else {
		delete(l.nominated, pod.UID)
	}
}

// nominatedNodes returns the nodes for which pods wait, nil for none.
func (l *learner) nominatedNodes() map[string]struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.nominated) == 0 {
		return nil
	}
	nodes := make(map[string]struct{}, len(l.nominated))
	for _, name := range l.nominated {
		nodes[name] = struct{}{}
	}
	return nodes
}

// enter books a pod and returns on which node it was before.
func (l *learner) enter(pod *v1.Pod, now time.Time) (before string, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.pods[pod.UID]
	if known == nil {
		known, first = &followed{workload: workload.Of(pod)}, true
		l.pods[pod.UID] = known
		l.fresh++
	}
	before = known.node
	if before == "" && pod.Spec.NodeName != "" {
		known.node = pod.Spec.NodeName
		l.move(known, 1)
		if !first { // a pod found running tells nothing of those that ended before
			l.turnover.start(now)
		}
	}
	return before, first
}

func (l *learner) gone(pod *v1.Pod) {
	now := l.clock.Now()
	if isDisrupted(pod) {
		l.lifetimes.Censored(pod.UID, now)
	} else {
		l.lifetimes.Ended(pod.UID, now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.nominated, pod.UID)
	l.shapes.Gone(pod.UID, now) // under the lock: a pod that is gone is not reshaped
	known := l.pods[pod.UID]
	if known == nil {
		return
	}
	delete(l.pods, pod.UID)
	if known.node != "" {
		l.move(known, -1)
		l.turnover.end(now)
	}
}

// move counts a pod on its node among those of its workload.
func (l *learner) move(pod *followed, by int) {
	if pod.workload.IsZero() {
		return
	}
	nodes := l.siblings[pod.workload]
	if nodes == nil {
		nodes = map[string]int{}
		l.siblings[pod.workload] = nodes
	}
	nodes[pod.node] += by
	if nodes[pod.node] <= 0 {
		delete(nodes, pod.node)
	}
	if len(nodes) == 0 {
		delete(l.siblings, pod.workload)
	}
}

// siblingNodes returns the nodes that hold a pod of a workload.
func (l *learner) siblingNodes(w workload.Key) map[string]struct{} {
	if w.IsZero() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.siblings[w]) == 0 {
		return nil
	}
	nodes := make(map[string]struct{}, len(l.siblings[w]))
	for name := range l.siblings[w] {
		nodes[name] = struct{}{}
	}
	return nodes
}

// isDisrupted reports whether a pod was ended by the cluster and not by itself:
// then its life says only that it was at least so long.
func isDisrupted(pod *v1.Pod) bool {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == v1.DisruptionTarget && c.Status == v1.ConditionTrue {
			return true
		}
	}
	return false
}

func startOf(pod *v1.Pod, now time.Time) time.Time {
	if pod.Status.StartTime != nil {
		return pod.Status.StartTime.Time
	}
	if !pod.CreationTimestamp.IsZero() {
		return pod.CreationTimestamp.Time
	}
	return now
}

func (l *learner) shapeOf(pod *v1.Pod) shapes.Shape { return shapes.Of(pod, l.requestOf(pod)) }

func (l *learner) requestOf(pod *v1.Pod) devices.Request {
	if l.devices == nil {
		return devices.Request{}
	}
	return l.devices.Request(pod)
}

// keyOf names what is known of a pod's lifetime before it runs.
func (l *learner) keyOf(pod *v1.Pod, shape string) lifetimes.Key {
	return lifetimes.Key{Shape: shape, Replicas: l.replicasOf(pod), Workload: workload.Of(pod)}
}

// replicasOf returns how many pods the owner wants, 0 where that is not known.
func (l *learner) replicasOf(pod *v1.Pod) int {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil || owner.Kind != "ReplicaSet" || l.replicaSets == nil {
		return 0
	}
	set, err := l.replicaSets.ReplicaSets(pod.Namespace).Get(owner.Name)
	if err != nil || set.Spec.Replicas == nil {
		return 0
	}
	return int(*set.Spec.Replicas)
}

const (
	// refreshPart of the mix being new makes a new model due.
	refreshPart = 0.05
	// A model is made at most once in shortestRefresh and holds for longestRefresh.
	shortestRefresh = time.Second
	longestRefresh  = 10 * time.Minute
)

// run learns what is due, until ctx ends.
func (l *learner) run(ctx context.Context) {
	l.rereadAll(ctx)
	wait.UntilWithContext(ctx, func(context.Context) { l.refreshIfDue(l.clock.Now()) }, shortestRefresh)
}

// refreshIfDue makes a new model when enough is new, and reports whether it did.
func (l *learner) refreshIfDue(now time.Time) bool {
	l.mu.Lock()
	fresh, since := l.fresh, now.Sub(l.refreshed)
	due := l.refreshed.IsZero() || since >= longestRefresh ||
		since >= shortestRefresh && fresh > 0 && float64(fresh) >= refreshPart*l.current.Load().live
	if due {
		l.fresh, l.refreshed = 0, now
	}
	share := l.turnover.share(now)
	l.mu.Unlock()
	if due {
		l.refresh(now, share)
	}
	return due
}

// firstSteps is how many steps prices may take where nothing is known of them.
const (
	firstSteps = 300
	laterSteps = 30
)

func (l *learner) refresh(now time.Time, share float64) {
	began, before := time.Now(), l.current.Load()
	live := l.shapes.Mix(now)
	mix := cmp.Or(l.pinned, live)
	steps := laterSteps
	if l.pinned != nil && before.market.priceOf == nil {
		steps = firstSteps
	}
	next := &model{
		epoch: before.epoch + 1, mix: mix, live: live.Weight, turnover: share,
		survival: l.lifetimes.Refresh(now),
	}
	var nodes []*v1.Node
	if l.nodes != nil {
		nodes, _ = l.nodes.List(labels.Everything()) // a lister of a local store: it has no error to return
		slices.SortFunc(nodes, func(a, b *v1.Node) int { return cmp.Compare(a.Name, b.Name) })
	}
	next.market = newMarket(mix, nodes, l.devices, before.market.priceOf, steps)
	l.current.Store(next)
	l.measures.refreshed(l.profile, next, time.Since(began))
}
