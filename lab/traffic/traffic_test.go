package traffic

import (
	"context"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// start is when the tests' world begins.
func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// world is a Driver on caches that tests fill by hand.
type world struct {
	t      *testing.T
	driver *Driver
	nodes  cache.Indexer
	pods   cache.Indexer
	now    time.Time
}

// newWorld has the nodes alive-000 and alive-001, and dead.
func newWorld(t *testing.T, pace application.Pace, apps ...App) *world {
	t.Helper()
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0) // never started
	driver, err := New(factory, pace, apps)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, driver: driver, now: start(),
		nodes: factory.Core().V1().Nodes().Informer().GetIndexer(),
		pods:  factory.Core().V1().Pods().Informer().GetIndexer(),
	}
	alive, err := nodes.Pool{Name: "alive", Count: 2, Zones: []string{"a"}, CPU: "8", Memory: "32Gi"}.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	w.add(w.nodes, alive[0], alive[1], &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "dead"}})
	return w
}

func (w *world) add(indexer cache.Indexer, objects ...any) {
	w.t.Helper()
	for _, object := range objects {
		if err := indexer.Add(object); err != nil {
			w.t.Fatal(err)
		}
	}
}

// step lets wall time pass.
func (w *world) step(wall time.Duration) {
	w.t.Helper()
	w.now = w.now.Add(wall)
	if err := w.driver.step(w.now, wall); err != nil {
		w.t.Fatal(err)
	}
}

// web is an application without noise that serves 50 requests per second a pod.
func web(load float64) App {
	params := application.DefaultParams()
	params.CPUNoise = 0
	return App{Namespace: "default", Name: "web", Params: params, Load: func(time.Duration) float64 { return load }}
}

// readyPod is a pod of web that receives load.
func readyPod(name, node string, changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{AppLabel: "web"}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name:      "server",
			Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m")}},
		}}},
		Status: corev1.PodStatus{
			Phase:      corev1.PodRunning,
			PodIP:      "10.0.0.7",
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
			ContainerStatuses: []corev1.ContainerStatus{{
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start())}},
			}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func phase(p corev1.PodPhase) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Status.Phase = p }
}

func notReady(pod *corev1.Pod) { pod.Status.Conditions[0].Status = corev1.ConditionFalse }

func terminating(pod *corev1.Pod) {
	now := metav1.NewTime(start())
	pod.DeletionTimestamp = &now
}

func annotated(pod *corev1.Pod) { pod.Annotations = map[string]string{ScrapeAnnotation: "true"} }

func cpu(limit, request string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) {
		r := &pod.Spec.Containers[0].Resources
		r.Limits, r.Requests = corev1.ResourceList{}, corev1.ResourceList{}
		for list, amount := range map[*corev1.ResourceList]string{&r.Limits: limit, &r.Requests: request} {
			if amount != "" {
				(*list)[corev1.ResourceCPU] = resource.MustParse(amount)
			}
		}
	}
}

func TestLoadIsSharedAmongReadyPods(t *testing.T) {
	const offered = 60
	for _, tc := range []struct {
		name     string
		pods     []*corev1.Pod
		served   map[string]float64 // requests in a second, per pod that runs
		replicas int
		lost     application.Losses
	}{
		{
			name: "no pod: all is lost in front of the pods",
			lost: application.Losses{NoPod: offered * application.Request},
		},
		{
			name:   "ready pods serve equal shares",
			pods:   []*corev1.Pod{readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "alive-000")},
			served: map[string]float64{"a": 20, "b": 20, "c": 20}, replicas: 3,
		},
		{
			name:   "a pod that is not ready gets none",
			pods:   []*corev1.Pod{readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "alive-000", notReady)},
			served: map[string]float64{"a": 30, "b": 30, "c": 0}, replicas: 3,
		},
		{
			name:   "a pending pod gets none and has no metrics",
			pods:   []*corev1.Pod{readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "alive-000", phase(corev1.PodPending))},
			served: map[string]float64{"a": 30, "b": 30}, replicas: 3,
		},
		{
			name:   "a terminating pod gets none but still runs",
			pods:   []*corev1.Pod{readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "alive-000", terminating)},
			served: map[string]float64{"a": 30, "b": 30, "c": 0}, replicas: 3,
		},
		{
			name: "finished pods are no replicas",
			pods: []*corev1.Pod{
				readyPod("a", "alive-000"), readyPod("b", "alive-001"),
				readyPod("c", "alive-000", phase(corev1.PodSucceeded)), readyPod("d", "alive-000", phase(corev1.PodFailed)),
			},
			served: map[string]float64{"a": 30, "b": 30}, replicas: 2,
		},
		{
			name: "pods of other applications and namespaces get none",
			pods: []*corev1.Pod{
				readyPod("a", "alive-000"), readyPod("b", "alive-001"),
				readyPod("c", "alive-000", func(p *corev1.Pod) { p.Labels[AppLabel] = "shop" }),
				readyPod("d", "alive-000", func(p *corev1.Pod) { p.Namespace = "other" }),
			},
			served: map[string]float64{"a": 30, "b": 30}, replicas: 2,
		},
		{
			name:   "the share of a pod on a dead node is lost until the cluster notices",
			pods:   []*corev1.Pod{readyPod("a", "alive-000"), readyPod("b", "alive-001"), readyPod("c", "dead")},
			served: map[string]float64{"a": 20, "b": 20, "c": 0}, replicas: 3,
			lost: application.Losses{Overflow: 20 * application.Request},
		},
		{
			name:   "a pod's limit is what it can serve, whatever it requests",
			pods:   []*corev1.Pod{readyPod("a", "alive-000", cpu("500m", "20m")), readyPod("b", "alive-001", cpu("500m", "20m"))},
			served: map[string]float64{"a": 30, "b": 30}, replicas: 2,
		},
		{
			name:   "without a limit a pod has its request",
			pods:   []*corev1.Pod{readyPod("a", "alive-000", cpu("", "500m")), readyPod("b", "alive-001", cpu("", "500m"))},
			served: map[string]float64{"a": 30, "b": 30}, replicas: 2,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1, web(offered))
			for _, pod := range tc.pods {
				w.add(w.pods, pod)
			}
			w.step(time.Second)
			served := map[string]float64{}
			for key, pod := range w.driver.view.Load().pods {
				served[key.name] = pod.state.Served.Float()
			}
			if tc.served == nil {
				tc.served = map[string]float64{}
			}
			if diff := cmp.Diff(tc.served, served); diff != "" {
				t.Error("served (-want +got)", diff)
			}
			flow := w.driver.Stats()[0].Flow
			if flow.Replicas != tc.replicas {
				t.Errorf("replicas: got %d, want %d", flow.Replicas, tc.replicas)
			}
			if diff := cmp.Diff(tc.lost, flow.Lost); diff != "" {
				t.Error("lost (-want +got)", diff)
			}
		})
	}
}

func TestSummariesCountFromBeginForItsLengthInTraceTime(t *testing.T) {
	app := web(0)
	var asked []time.Duration
	app.Load = func(elapsed time.Duration) float64 { asked = append(asked, elapsed); return 10 }
	w := newWorld(t, 60, app)
	w.add(w.pods, readyPod("a", "alive-000"))
	w.step(time.Second)
	if got := w.driver.Stats()[0].Summary; got != (application.Summary{}) {
		t.Errorf("before Begin: summary %+v, want nothing", got)
	}

	w.driver.Begin(3 * time.Minute)
	w.now = w.driver.begin
	for range 4 {
		w.step(time.Second)
	}
	want := []time.Duration{0, time.Minute, 2 * time.Minute, 3 * time.Minute, 3 * time.Minute}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error("trace times at which the load was read (-want +got)", diff)
	}
	got := w.driver.Stats()[0].Summary
	if got.Elapsed != 2*time.Minute { // the step that reaches the end is over it
		t.Errorf("summary covers %v, want 2m", got.Elapsed)
	}
	if math.Abs(got.Offered-1200) > 1e-6 || got.Lost != 0 {
		t.Errorf("summary: %v offered, %v lost; want 1200, 0", got.Offered, got.Lost)
	}
}

func TestRunStepsOnceATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, web(10))
		w.driver.sync = nil // the caches are as full as they get
		w.add(w.pods, readyPod("a", "alive-000"))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.driver.Run(ctx) }()
		time.Sleep(time.Second + Tick/2) // the bubble's clock
		synctest.Wait()
		state := w.driver.apps[0].state
		if want := uint64(time.Second / Tick); state.Steps != want {
			t.Errorf("took %d steps in a second, want %d", state.Steps, want)
		}
		if got := state.Total.Served.Float(); got != 10 {
			t.Errorf("served %v requests in a second, want 10", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("a clean end: got %v", err)
		}
	})
}

func TestRunEndsWithWhatTheModelRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, web(math.NaN()))
		w.driver.sync = nil
		if err := w.driver.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "application default/web: load NaN") {
			t.Errorf("got %v, want an error that names application and load", err)
		}
	})
}

func TestRunEndsBeforeTheCachesAreFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, web(10))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.driver.Run(ctx); err != nil {
			t.Errorf("got %v, want a clean end", err)
		}
	})
}

func TestNewRejects(t *testing.T) {
	wrong := web(1)
	wrong.Params.Capacity = -1
	for _, tc := range []struct {
		name string
		pace application.Pace
		apps []App
		want string
	}{
		{"parameters out of range", 1, []App{wrong}, "application default/web: capacity: -1"},
		{"a pace out of range", 0.5, []App{web(1)}, "application default/web: pace: 0.5"},
		{"an application twice: its pods would serve two loads", 1, []App{web(1), web(2)}, "application default/web: given twice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(informers.NewSharedInformerFactory(fake.NewClientset(), 0), tc.pace, tc.apps)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
