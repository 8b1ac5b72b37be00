package controller_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/actuator"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const period = 15 * time.Second

// world is a cluster as far as the controller sees it. All of it lives in the
// bubble of a test.
type world struct {
	t        *testing.T
	objects  *objects
	fleet    *fleet
	numbers  *numbers
	events   *events.FakeRecorder
	registry *prometheus.Registry
	metrics  *controller.Metrics
	config   controller.Config

	controller *controller.Controller
	stop       func()
}

// inWorld runs a test in a bubble, in a world of these objects and of a workload
// of 3 replicas for each.
func inWorld(t *testing.T, test func(t *testing.T, w *world), list ...*v1alpha1.WorkloadAutoscaler) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			t: t, objects: newObjects(), fleet: newFleet(), numbers: newNumbers(string(v1alpha1.PrometheusMetricSourceType)),
			events: events.NewFakeRecorder(10_000), registry: prometheus.NewRegistry(),
		}
		var err error
		if w.metrics, err = controller.NewMetrics(w.registry); err != nil {
			t.Fatal(err)
		}
		for _, wa := range list {
			w.objects.put(wa)
			w.fleet.set(wa.Spec.ScaleTargetRef.Name, 3)
		}
		w.config = controller.Config{
			Objects: w.objects, Workloads: w.fleet, Rivals: rivals.NewIndex(), Statuses: w.objects,
			Sources:  map[string]source.Source{w.numbers.name: w.numbers},
			Policies: policies.New(policies.DefaultConfig()), Limiters: limits.Default(), Actuator: w.fleet,
			Events: w.events, Metrics: w.metrics, Period: period, Workers: 4,
			DownscaleStabilization: 5 * time.Minute, Tolerance: 0.1, StatusRefresh: time.Minute, Now: time.Now,
		}
		t.Cleanup(func() {
			if w.stop != nil {
				w.stop()
			}
		})
		test(t, w)
	})
}

// start runs a new controller, which evaluates all objects at once; the one
// before is stopped, as in a restart.
func (w *world) start() {
	if w.stop != nil {
		w.stop()
	}
	w.controller = controller.New(w.config)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.controller.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		w.stop = nil
	}
	synctest.Wait()
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// round lets a period pass, and with it an evaluation.
func (w *world) round() { w.pass(w.config.Period) }

// happened returns the events since the last call.
func (w *world) happened() []string {
	var notes []string
	for len(w.events.Events) > 0 {
		notes = append(notes, <-w.events.Events)
	}
	return notes
}

func (w *world) status(name string) v1alpha1.WorkloadAutoscalerStatus {
	w.t.Helper()
	wa, found := w.objects.Get(keyOf(name))
	if !found {
		w.t.Fatalf("no object %s", name)
	}
	return wa.Status
}

// conditions are an object's conditions as text, in the order of their types.
func (w *world) conditions(name string) []string {
	var lines []string
	for _, c := range w.status(name).Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	slices.Sort(lines)
	return lines
}

// reason is the reason of a condition of an object; empty if it has none.
func (w *world) reason(name, condition string) string {
	if c := meta.FindStatusCondition(w.status(name).Conditions, condition); c != nil {
		return c.Reason
	}
	return ""
}

func keyOf(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

// autoscaler keeps a Deployment of the same name at ten requests a second for
// each replica, between 2 and 20.
func autoscaler(name string) *v1alpha1.WorkloadAutoscaler {
	ten, two := resource.MustParse("10"), int32(2)
	return &v1alpha1.WorkloadAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 7},
		Spec: v1alpha1.WorkloadAutoscalerSpec{
			ScaleTargetRef: v1alpha1.ScaleTargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    &two, MaxReplicas: 20,
			Metrics: []v1alpha1.MetricSpec{{Type: v1alpha1.PrometheusMetricSourceType, Prometheus: &v1alpha1.PrometheusMetricSource{
				Name: "rps", Query: name, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &ten},
			}}},
		},
	}
}

// edited is autoscaler(name) with a change.
func edited(name string, edit func(spec *v1alpha1.WorkloadAutoscalerSpec)) *v1alpha1.WorkloadAutoscaler {
	wa := autoscaler(name)
	edit(&wa.Spec)
	return wa
}

// custom adds a metric of a source of one's own to a spec.
func custom(sourceName string) func(*v1alpha1.WorkloadAutoscalerSpec) {
	return func(spec *v1alpha1.WorkloadAutoscalerSpec) {
		ten := resource.MustParse("10")
		spec.Metrics = append(spec.Metrics, v1alpha1.MetricSpec{Type: v1alpha1.CustomMetricSourceType, Custom: &v1alpha1.CustomMetricSource{
			Source: sourceName, Name: "own", Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &ten},
		}})
	}
}

// objects are the objects of the API server.
type objects struct {
	mu      sync.Mutex
	byKey   map[types.NamespacedName]*v1alpha1.WorkloadAutoscaler
	version int
	// writes are the names of those whose status was written, in that order.
	writes []string
	// onWrite sees every write of a status before it is done; hook sets it.
	onWrite func(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) error
}

func (o *objects) hook(onWrite func(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.onWrite = onWrite
}

func newObjects() *objects {
	return &objects{byKey: map[types.NamespacedName]*v1alpha1.WorkloadAutoscaler{}}
}

func (o *objects) put(wa *v1alpha1.WorkloadAutoscaler) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version++
	wa = wa.DeepCopy()
	wa.ResourceVersion = strconv.Itoa(o.version)
	o.byKey[types.NamespacedName{Namespace: wa.Namespace, Name: wa.Name}] = wa
}

// edit changes the spec of an object.
func (o *objects) edit(name string, change func(*v1alpha1.WorkloadAutoscalerSpec)) {
	wa, _ := o.Get(keyOf(name))
	wa = wa.DeepCopy()
	wa.Generation++
	change(&wa.Spec)
	o.put(wa)
}

func (o *objects) remove(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byKey, keyOf(name))
}

func (o *objects) Keys() []types.NamespacedName {
	o.mu.Lock()
	defer o.mu.Unlock()
	var keys []types.NamespacedName
	for key := range o.byKey {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b types.NamespacedName) int { return cmp.Compare(a.String(), b.String()) })
	return keys
}

func (o *objects) Get(key types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	wa, found := o.byKey[key]
	return wa, found
}

func (o *objects) WriteStatus(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) (string, error) {
	o.mu.Lock()
	o.writes = append(o.writes, wa.Name)
	onWrite := o.onWrite
	o.mu.Unlock()
	if onWrite != nil {
		if err := onWrite(ctx, wa); err != nil {
			return "", err
		}
	}
	latest, found := o.Get(types.NamespacedName{Namespace: wa.Namespace, Name: wa.Name})
	if !found || latest.UID != wa.UID {
		return "", apierrors.NewNotFound(schema.GroupResource{Resource: "workloadautoscalers"}, wa.Name)
	}
	written := latest.DeepCopy()
	wa.Status.DeepCopyInto(&written.Status)
	o.put(written)
	o.mu.Lock()
	defer o.mu.Unlock()
	return strconv.Itoa(o.version), nil
}

// wrote returns how many statuses have been written since the last call.
func (o *objects) wrote() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := len(o.writes)
	o.writes = nil
	return n
}

// fleet are the workloads, all of them Deployments that know their pods, and
// what sets them.
type fleet struct {
	mu       sync.Mutex
	replicas map[string]int32
	noLabels map[string]bool // those without a selector
	remote   map[string]bool // those that are not read from a mirror
	scaled   []string
	// onRead and onScale see every read and write before it is done; hook sets them.
	onRead, onScale func(ctx context.Context, name string) error
}

func (f *fleet) hook(onRead, onScale func(ctx context.Context, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onRead, f.onScale = onRead, onScale
}

// before calls a hook.
func (f *fleet) before(ctx context.Context, hook *func(ctx context.Context, name string) error, name string) error {
	f.mu.Lock()
	call := *hook
	f.mu.Unlock()
	if call == nil {
		return nil
	}
	return call(ctx, name)
}

var (
	_ controller.Workloads = (*fleet)(nil)
	_ actuator.Actuator    = (*fleet)(nil)
)

func newFleet() *fleet {
	return &fleet{replicas: map[string]int32{}, noLabels: map[string]bool{}, remote: map[string]bool{}}
}

func (f *fleet) set(name string, replicas int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.replicas[name] = replicas
}

func (f *fleet) get(name string) int32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.replicas[name]
}

func (f *fleet) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.replicas, name)
}

func (f *fleet) IsLocal(ref v1alpha1.ScaleTargetRef) bool { return !f.remote[ref.Name] }

func (f *fleet) Read(ctx context.Context, namespace string, ref v1alpha1.ScaleTargetRef) (workloads.Workload, error) {
	if err := f.before(ctx, &f.onRead, ref.Name); err != nil {
		return workloads.Workload{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	n, found := f.replicas[ref.Name]
	if !found {
		return workloads.Workload{}, fmt.Errorf("spec.scaleTargetRef: %w", apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, ref.Name))
	}
	w := workloads.Workload{
		Resource: schema.GroupResource{Group: "apps", Resource: "deployments"}, Kind: ref.Kind, Namespace: namespace, Name: ref.Name,
		SpecReplicas: n, StatusReplicas: n, Selector: labels.SelectorFromSet(labels.Set{"app": ref.Name}),
	}
	if f.noLabels[ref.Name] {
		w.Selector = nil
	}
	return w, nil
}

func (f *fleet) Pods(w workloads.Workload, _ v1alpha1.PodSelection) []*pods.Pod {
	long := time.Now().Add(-time.Hour)
	list := make([]*pods.Pod, w.StatusReplicas)
	for i := range list {
		list[i] = &pods.Pod{
			Namespace: w.Namespace,
			Pod: scaling.Pod{
				Name: fmt.Sprintf("%s-%d", w.Name, i), Phase: scaling.Running, Ready: true, ReadyKnown: true, Started: long, ReadySince: long,
			},
		}
	}
	return list
}

func (f *fleet) Name() string { return "Fleet" }

func (f *fleet) Scale(ctx context.Context, w workloads.Workload, replicas int32) error {
	if err := f.before(ctx, &f.onScale, w.Name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.replicas[w.Name] != w.SpecReplicas {
		return workloads.ErrChanged
	}
	f.replicas[w.Name] = replicas
	f.scaled = append(f.scaled, fmt.Sprintf("%s %d to %d", w.Name, w.SpecReplicas, replicas))
	return nil
}

// done returns the changes of replicas since the last call.
func (f *fleet) done() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	scaled := f.scaled
	f.scaled = nil
	slices.Sort(scaled)
	return scaled
}

// numbers is a source that answers each query with the number set for it, 30 if
// none is.
type numbers struct {
	name string

	mu      sync.Mutex
	answers map[string]scaling.Metric
	asked   map[string]int
}

var _ source.Source = (*numbers)(nil)

func newNumbers(name string) *numbers {
	return &numbers{name: name, answers: map[string]scaling.Metric{}, asked: map[string]int{}}
}

func (n *numbers) set(query string, value float64) { n.answer(query, scaling.Metric{Value: value}) }

func (n *numbers) lose(query string) {
	n.answer(query, source.Unknown(scaling.ReasonNoData, "the query has no result"))
}

func (n *numbers) answer(query string, m scaling.Metric) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[query] = m
}

// times returns how often a query has been asked since the last call.
func (n *numbers) times(query string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	times := n.asked[query]
	n.asked[query] = 0
	return times
}

func (n *numbers) Name() string { return n.name }

func (n *numbers) Read(_ context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	for i, q := range queries {
		n.mu.Lock()
		m, found := n.answers[q.Spec.Prometheus.Query]
		n.asked[q.Spec.Prometheus.Query]++
		n.mu.Unlock()
		if !found {
			m = scaling.Metric{Value: 30}
		}
		answer(i, m)
	}
}

// sourceFunc is a source of one's own.
type sourceFunc struct {
	name string
	read func(ctx context.Context, queries []source.Query, answer func(int, scaling.Metric))
}

func (s sourceFunc) Name() string { return s.name }

func (s sourceFunc) Read(ctx context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	s.read(ctx, queries, answer)
}

// policyFunc is a policy of one's own.
type policyFunc func(now time.Time, o scaling.Observation) scaling.Decision

func (policyFunc) Name() string { return "Own" }

func (p policyFunc) Decide(now time.Time, o scaling.Observation) scaling.Decision { return p(now, o) }

// own makes every object of the policy Own decide so.
func (w *world) own(p policyFunc) {
	w.config.Policies["Own"] = func([]byte) (scaling.Policy, error) { return p, nil }
}

func byPolicy(name string) func(*v1alpha1.WorkloadAutoscalerSpec) {
	return func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Policy = &v1alpha1.PolicySpec{Name: name} }
}

var errRefused = errors.New("refused")

// mend gives all workloads a selector again.
func (f *fleet) mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.noLabels)
}
