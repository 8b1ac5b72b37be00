// Package traffic lets the application model run on a cluster's real pods: a few dozen times a
// second it reads which pods are ready, shares each application's load among them, and shows the
// result where a real cluster would show it: on each node's /metrics/resource and on each pod's
// /metrics.
package traffic

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// AppLabel selects an application's pods.
const AppLabel = "app"

// Tick is the wall time between two steps of the model: short beside any scrape interval, so
// that counters read at any moment are nearly current.
const Tick = 25 * time.Millisecond

// systemCores is the CPU that a node uses without any pod.
const systemCores = 0.05

// systemMemoryBytes is the memory that a node uses without any pod.
const systemMemoryBytes = 512 << 20

// App is one application: the pods of a namespace with the label app=<Name>.
type App struct {
	Namespace, Name string
	Params          application.Params
	// Load is what the world asks of the application at a trace time, in requests per second.
	Load func(elapsed time.Duration) float64
}

// Driver steps the model and serves what came out. It is an http.Handler.
type Driver struct {
	pace  application.Pace
	pods  corelisters.PodLister
	nodes corelisters.NodeLister
	sync  []cache.InformerSynced
	view  atomic.Pointer[view] // what the endpoints show; never changed once stored
	mux   handler

	mu    sync.Mutex // guards what follows
	begin time.Time  // zero before Begin
	end   time.Duration
	apps  []*app
	// cpuSeconds per node since the driver started: it must not fall when a pod leaves.
	cpuSeconds map[string]float64
}

type app struct {
	App
	model   application.Model
	state   application.State
	summary application.Summary
	flow    application.Flow
}

// Stats is an application's state at a moment.
type Stats struct {
	Summary application.Summary // since Begin, in trace time
	Flow    application.Flow    // the latest step
}

// New returns a Driver on the pods and nodes of the factory, which the caller starts.
func New(factory informers.SharedInformerFactory, pace application.Pace, apps []App) (*Driver, error) {
	pods, nodeInformer := factory.Core().V1().Pods(), factory.Core().V1().Nodes()
	d := &Driver{
		pace: pace,
		pods: pods.Lister(), nodes: nodeInformer.Lister(),
		sync:       []cache.InformerSynced{pods.Informer().HasSynced, nodeInformer.Informer().HasSynced},
		cpuSeconds: map[string]float64{},
	}
	d.view.Store(&view{})
	d.mux = newHandler(d.view.Load)
	given := map[podKey]bool{}
	for _, a := range apps {
		key := podKey{a.Namespace, a.Name}
		if given[key] {
			return nil, fmt.Errorf("application %s/%s: given twice", a.Namespace, a.Name)
		}
		given[key] = true
		a.Params.Pace = pace
		model, err := application.New(a.Params)
		if err != nil {
			return nil, fmt.Errorf("application %s/%s: %w", a.Namespace, a.Name, err)
		}
		d.apps = append(d.apps, &app{App: a, model: model})
	}
	return d, nil
}

// Begin starts the trace clock: from now on summaries count, for this length of trace time.
// Before it, every application has the load of trace time 0.
func (d *Driver) Begin(length time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.begin, d.end = time.Now(), length
}

// Elapsed is the trace time since Begin, at most its length.
func (d *Driver) Elapsed() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.elapsed(time.Now())
}

func (d *Driver) elapsed(now time.Time) time.Duration {
	if d.begin.IsZero() {
		return 0
	}
	return min(d.end, d.pace.Trace(now.Sub(d.begin)))
}

// Stats returns each application's state, in the order given to New.
func (d *Driver) Stats() []Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := make([]Stats, len(d.apps))
	for i, a := range d.apps {
		out[i] = Stats{Summary: a.summary, Flow: a.flow}
	}
	return out
}

// Run steps the model until ctx ends. It returns an error only when the model refuses its input.
func (d *Driver) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), d.sync...) {
		return nil
	}
	ticker := time.NewTicker(Tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			now := time.Now()
			if err := d.step(now, now.Sub(last)); err != nil {
				return err
			}
			last = now
		}
	}
}

// step advances every application by wall and publishes a new view.
func (d *Driver) step(now time.Time, wall time.Duration) error {
	alive, err := d.aliveNodes()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	next := &view{time: now, pods: map[podKey]podView{}, nodes: map[string]*nodeView{}}
	for name := range alive {
		next.nodes[name] = &nodeView{cores: systemCores, memoryBytes: systemMemoryBytes}
	}
	elapsed := d.elapsed(now)
	counting := !d.begin.IsZero() && elapsed < d.end
	for _, a := range d.apps {
		if err := d.stepApp(a, next, alive, elapsed, wall, counting); err != nil {
			return err
		}
	}
	for name, n := range next.nodes {
		d.cpuSeconds[name] += n.cores * wall.Seconds()
		n.cpuSeconds = d.cpuSeconds[name]
		slices.SortFunc(n.pods, compareKeys)
	}
	d.view.Store(next)
	return nil
}

func (d *Driver) stepApp(a *app, next *view, alive map[string]bool, elapsed, wall time.Duration, counting bool) error {
	list, err := d.pods.Pods(a.Namespace).List(labels.SelectorFromSet(labels.Set{AppLabel: a.Name}))
	if err != nil {
		return fmt.Errorf("list pods of %s/%s: %w", a.Namespace, a.Name, err)
	}
	input, byName := modelPods(list, alive)
	state, flow, err := a.model.Step(a.state, a.Load(elapsed), input, wall)
	if err != nil {
		return fmt.Errorf("application %s/%s: %w", a.Namespace, a.Name, err)
	}
	a.state, a.flow = state, flow
	if counting {
		a.summary = a.summary.Add(flow)
	}
	for _, s := range state.Pods {
		pod := byName[s.Name]
		key := podKey{a.Namespace, s.Name}
		next.pods[key] = podView{app: a.Name, pod: pod, state: s}
		if n := next.nodes[pod.Spec.NodeName]; n != nil {
			n.cores += s.CPUCores
			n.memoryBytes += float64(s.MemoryBytes)
			n.pods = append(n.pods, key)
		}
	}
	return nil
}

// modelPods says of each pod what the model needs. A pod on a dead node still counts as ready
// until the cluster has noticed, but has no CPU: what it is given is lost.
func modelPods(list []*corev1.Pod, alive map[string]bool) ([]application.Pod, map[string]*corev1.Pod) {
	out := make([]application.Pod, 0, len(list))
	byName := make(map[string]*corev1.Pod, len(list))
	for _, pod := range list {
		if pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		byName[pod.Name] = pod
		p := application.Pod{Name: pod.Name, Running: pod.Status.Phase == corev1.PodRunning}
		p.Ready = p.Running && pod.DeletionTimestamp == nil && nodes.PodReady(pod)
		if alive[pod.Spec.NodeName] {
			p.Cores = cpuLimitCores(pod)
		}
		out = append(out, p)
	}
	return out, byName
}

// cpuLimitCores is what the pod's containers may use: their limits, or where there is none, the
// request.
func cpuLimitCores(pod *corev1.Pod) float64 {
	var cores float64
	for i := range pod.Spec.Containers {
		r := pod.Spec.Containers[i].Resources
		cpu, ok := r.Limits[corev1.ResourceCPU]
		if !ok {
			cpu = r.Requests[corev1.ResourceCPU]
		}
		cores += cpu.AsApproximateFloat64()
	}
	return min(cores, application.MaxCores)
}

func (d *Driver) aliveNodes() (map[string]bool, error) {
	list, err := d.nodes.List(labels.Everything())
	if err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	alive := make(map[string]bool, len(list))
	for _, node := range list {
		if nodes.Alive(node) {
			alive[node.Name] = true
		}
	}
	return alive, nil
}
