package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	kubescheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/pkg/features"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/lab/trace/worldcup"
	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
	"github.com/plimsoll-k8s/plimsoll/plugins"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// TestSimulator proves that the simulator and the live scheduler bind alike: the shipped profile, with all that MarginalCost learns, on the
// same nodes and pods, in step. Both run on the simulator's clock and learn when they are told to: what is learned depends on when.
//
// Batches are refused. They follow the pace of the wall clock (half a second) and do not see a pod end: see TestBatching for what they change.
func TestSimulator(t *testing.T) {
	for _, tc := range []struct {
		name    string
		arrange func(t *testing.T) arrivals
	}{
		{"pods of a GPU cluster's trace", openbArrivals},
		{"made-up pods of workloads with constraints", madeUpArrivals},
	} {
		t.Run(tc.name, func(t *testing.T) { bindAlike(t, tc.arrange(t)) })
	}
}

// arrivals is a workload without times: the replay draws when a pod arrives, and which ends in between.
type arrivals struct {
	pools []nodes.Pool
	// owners are the names of the controllers of pods, which the garbage collector wants to exist.
	owners []string
	pods   []*corev1.Pod
	seed   uint64
}

const (
	// longestStep is the virtual time between two arrivals at most. A model holds for ten minutes at most: some pods find a new one, some not.
	longestStep = 15 * time.Minute
	// endings is how many pods arrive for one that ends.
	endings = 4
)

// tally is what a replay compared.
type tally struct {
	nodes, bound, unfit, ended, models int
	byTerm                             map[cost.Term]int // pods that the term cost something
}

// bindAlike lets pods arrive in a live cluster and in the simulator, one at a time, and compares what became of each.
func bindAlike(t *testing.T, of arrivals) {
	clock := sim.NewClock(time.Now().Truncate(time.Second)) // times of the API are whole seconds
	// With the gate on: the framework signs pods only then, by which the simulator keeps what it found for others.
	simulated := simulate(t, clock)
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.OpportunisticBatching, false)
	live := startLive(t, clock, of)
	there := live.readNodes(t)
	for i := range there {
		if err := simulated.AddNode(&there[i]); err != nil {
			t.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(of.seed, 1))
	seen := tally{nodes: len(there), byTerm: map[cost.Term]int{}}
	var running []*corev1.Pod
	for _, pod := range of.pods {
		simulated.AdvanceTo(clock.Now().Add(time.Duration(1+random.Int64N(int64(longestStep/time.Second))) * time.Second))
		if len(running) > 0 && random.IntN(endings) == 0 {
			k := random.IntN(len(running))
			live.end(t, running[k])
			simulated.Delete(running[k])
			running = append(running[:k], running[k+1:]...)
			seen.ended++
		}
		if simulated.learn(t, live) {
			seen.models++
		}
		created, node := live.place(t, own(pod, live.owners))
		if got := simulated.place(t, created); got != node {
			t.Fatalf("after %d pods alike, pod %s is on %q, simulated on %q\nlive:      %s\nsimulated: %s", seen.bound+seen.unfit, pod.Name, node, got,
				latest(live.decisions).Sentence(), latest(simulated.decisions).Sentence())
		}
		if node == "" {
			seen.unfit++
			live.end(t, created)
			simulated.Delete(created)
			continue
		}
		seen.bound++
		running = append(running, created)
		seen.note(sameDecision(t, live, simulated, created.UID))
	}
	seen.check(t)
}

func (c tally) note(decision decisions.Decision) {
	for _, term := range cost.Terms() {
		if decision.Chosen.Cost.Share(term) != 0 {
			c.byTerm[term]++
		}
	}
}

// check refuses a replay that compares little.
func (c tally) check(t *testing.T) {
	t.Helper()
	t.Logf("all %d pods alike: %d on the same of %d nodes, %d on none; %d ended in between; %d models learned; pods that a term cost something: %v",
		c.bound+c.unfit, c.bound, c.nodes, c.unfit, c.ended, c.models, c.byTerm)
	if c.bound < 200 || c.unfit == 0 || c.ended < 30 || c.models < 50 {
		t.Errorf("%+v: want 200 pods bound, one that fits nowhere, 30 ended and 50 models learned, or the comparison means little", c)
	}
	for _, term := range cost.Terms() {
		if c.byTerm[term] < 20 {
			t.Errorf("%s cost something for %d pods, want 20", term, c.byTerm[term])
		}
	}
}

// own gives a pod its controller: the ConfigMap that has the name in the pod's annotation. Any object that exists will do.
func own(pod *corev1.Pod, owners map[string]types.UID) *corev1.Pod {
	name, owned := pod.Annotations[ownerAnnotation]
	if !owned {
		return pod
	}
	controls, pod := true, pod.DeepCopy()
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: owners[name], Controller: &controls}}
	return pod
}

const ownerAnnotation = "lab.plimsoll.dev/owner"

// sameDecision compares why a pod is where it is: every term of the cost, to the last bit, the second best node and the number of candidates.
func sameDecision(t *testing.T, live *liveScheduler, simulated *simulation, uid types.UID) decisions.Decision {
	t.Helper()
	var lived decisions.Decision
	eventually(t, "the decision is recorded", func(context.Context) (bool, string, error) { // after the pod is bound
		lived = latest(live.decisions)
		return lived.UID == uid, lived.Sentence(), nil
	})
	if diff := cmp.Diff(lived, latest(simulated.decisions), cmp.AllowUnexported(cost.Breakdown{})); diff != "" {
		t.Fatalf("pod %s is on the same node for other reasons (-live +simulated):\n%s", lived.Pod, diff)
	}
	return lived
}

func latest(ring *decisions.Ring) decisions.Decision {
	for _, decision := range ring.Latest(1) {
		return decision
	}
	return decisions.Decision{}
}

// simulation is the simulator with what it learns.
type simulation struct {
	*sim.Simulator
	decisions *decisions.Ring
	learnDue  func(now time.Time) bool
}

func simulate(t *testing.T, clock *sim.Clock) *simulation {
	t.Helper()
	profile, err := sim.LoadProfile(shippedConfiguration(t))
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{decisions: &decisions.Ring{}}
	registry := plugins.Registry(plugins.Options{
		Clock: clock, Decisions: s.decisions, Background: func(learn func(time.Time) bool) { s.learnDue = learn },
	})
	if s.Simulator, err = sim.New(t.Context(), sim.Config{Profile: profile, Clock: clock, Plugins: registry}); err != nil {
		t.Fatal(err)
	}
	return s
}

func shippedConfiguration(t *testing.T) []byte {
	t.Helper()
	configuration, err := manifests.FS.ReadFile("scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return configuration
}

// learn has both learn what is due, and reports whether that was anything.
func (s *simulation) learn(t *testing.T, live *liveScheduler) bool {
	t.Helper()
	now := s.Clock().Now()
	inSimulation, inLife := s.learnDue(now), live.learnDue(now)
	if inSimulation != inLife {
		t.Fatalf("a new model is due live: %t, simulated: %t", inLife, inSimulation)
	}
	if inSimulation {
		s.FlushScores()
	}
	return inSimulation
}

func (s *simulation) place(t *testing.T, pod *corev1.Pod) (node string) {
	t.Helper()
	result, err := s.Schedule(pod)
	if err != nil {
		t.Fatal(err)
	}
	return result.Node
}

// liveScheduler is kube-scheduler on a control plane with kwok's nodes. It sees what its learner has been told: once that is so,
// time may move.
type liveScheduler struct {
	client    kubernetes.Interface
	clock     *sim.Clock
	decisions *decisions.Ring
	owners    map[string]types.UID
	learnDue  func(now time.Time) bool
	informers informers.SharedInformerFactory
	told      chan news // more room than two steps have news
}

// news is a pod as the learner was told of it, of its end if it is gone.
type news struct {
	pod  *corev1.Pod
	gone bool
}

func startLive(t *testing.T, clock *sim.Clock, of arrivals) *liveScheduler {
	t.Helper()
	c, err := cluster.Start(context.WithoutCancel(t.Context()), cluster.Config{Pools: of.pools})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	l := &liveScheduler{client: c.Client, clock: clock, decisions: &decisions.Ring{}, owners: map[string]types.UID{}, told: make(chan news, 64)}
	for _, name := range of.owners {
		owner, err := c.Client.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		l.owners[name] = owner.UID
	}
	err = c.RunScheduler(cluster.Scheduler{
		Configuration: shippedConfiguration(t), Kubeconfig: c.Kubeconfig,
		Plugins: []kubescheduler.Option{kubescheduler.WithPlugin(marginalcost.Name, l.newPlugin)},
	})
	if err != nil {
		t.Fatal(err)
	}
	list := l.informers.Core().V1().Nodes().Lister()
	eventually(t, "the scheduler knows the nodes", func(context.Context) (bool, string, error) {
		known, err := list.List(labels.Everything())
		return len(known) == len(l.readNodes(t)), fmt.Sprintf("%d nodes", len(known)), err
	})
	return l
}

// newPlugin is the registry's factory, on a handle whose informer of pods reports what it has told the plugin.
func (l *liveScheduler) newPlugin(ctx context.Context, args runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	l.informers = handle.SharedInformerFactory()
	factory := plugins.Registry(plugins.Options{
		Clock: l.clock, Decisions: l.decisions, Background: func(learn func(time.Time) bool) { l.learnDue = learn },
	})[marginalcost.Name]
	return factory(ctx, args, reportingHandle{handle, func(n news) {
		select {
		case l.told <- n:
		case <-ctx.Done():
		}
	}})
}

func (l *liveScheduler) readNodes(t *testing.T) []corev1.Node {
	t.Helper()
	list, err := l.client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// place creates a pod and returns it as the API server made it, and its node, empty if it fits nowhere.
func (l *liveScheduler) place(t *testing.T, pod *corev1.Pod) (created *corev1.Pod, node string) {
	t.Helper()
	pods := l.client.CoreV1().Pods("default")
	created, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.await(t, "is decided upon", created.UID, func(n news) bool {
		node = n.pod.Spec.NodeName
		return n.pod.Status.Phase == corev1.PodRunning || isUnschedulable(n.pod)
	})
	if node == "" {
		return created, ""
	}
	// kwok's kubelets start pods by the wall clock.
	now := metav1.NewTime(l.clock.Now())
	patch := fmt.Sprintf(`{"status":{"startTime":%q}}`, now.UTC().Format(time.RFC3339))
	if _, err := pods.Patch(t.Context(), created.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	l.await(t, "has started at the virtual time", created.UID, func(n news) bool { return n.pod.Status.StartTime.Equal(&now) })
	return created, node
}

func isUnschedulable(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Reason == corev1.PodReasonUnschedulable {
			return true
		}
	}
	return false
}

// end deletes a pod at once.
func (l *liveScheduler) end(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	atOnce := int64(0)
	if err := l.client.CoreV1().Pods("default").Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &atOnce}); err != nil {
		t.Fatal(err)
	}
	l.await(t, "is gone", pod.UID, func(n news) bool { return n.gone })
}

// await returns once the learner has been told of the pod what the condition says. The scheduler's own cache may not have been told yet;
// it will be before it is told of the next pod, for its handler takes the news of all pods in their order.
func (l *liveScheduler) await(t *testing.T, what string, uid types.UID, condition func(news) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var last *corev1.Pod
	for {
		select {
		case n := <-l.told:
			if last = n.pod; n.pod.UID == uid && condition(n) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("pod %s %s: %v; told last of %v", uid, what, ctx.Err(), last)
		}
	}
}

// reportingHandle and the types after it are what lies between a scheduler's handle and its informer of pods, each as it is but for the next.
type reportingHandle struct {
	fwk.Handle
	report func(news)
}

type reportingFactory struct {
	informers.SharedInformerFactory
	report func(news)
}

type reportingCore struct {
	coreinformers.Interface
	report func(news)
}

type reportingCoreV1 struct {
	corev1informers.Interface
	report func(news)
}

type reportingPods struct {
	corev1informers.TypedPodInformer
	report func(news)
}

type reportingInformer struct {
	cache.SharedIndexInformer
	report func(news)
}

func (h reportingHandle) SharedInformerFactory() informers.SharedInformerFactory {
	return reportingFactory{h.Handle.SharedInformerFactory(), h.report}
}

func (f reportingFactory) Core() coreinformers.Interface {
	return reportingCore{f.SharedInformerFactory.Core(), f.report}
}

func (c reportingCore) V1() corev1informers.Interface {
	return reportingCoreV1{c.Interface.V1(), c.report}
}

func (c reportingCoreV1) Pods() corev1informers.TypedPodInformer {
	return reportingPods{c.Interface.Pods(), c.report}
}

func (p reportingPods) Informer() cache.SharedIndexInformer {
	return reportingInformer{p.TypedPodInformer.Informer(), p.report}
}

// AddEventHandler adds the handler, and reports each event once the handler has taken it in.
func (i reportingInformer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	report := func(obj any, gone bool) {
		if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = last.Obj
		}
		if pod, ok := obj.(*corev1.Pod); ok {
			i.report(news{pod, gone})
		}
	}
	return i.SharedIndexInformer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			handler.OnAdd(obj, initial)
			report(obj, false)
		},
		UpdateFunc: func(before, after any) {
			handler.OnUpdate(before, after)
			report(after, false)
		},
		DeleteFunc: func(obj any) {
			handler.OnDelete(obj)
			report(obj, true)
		},
	})
}

// The excerpt of the trace: every stride-th node, and as many pods as the paper lets arrive there.
const (
	openbStride = 23
	openbSeed   = 42
	gpuResource = corev1.ResourceName("nvidia.com/gpu")
)

// openbArrivals lets pods of Alibaba's GPU cluster arrive as in the FGD paper, on a part of its nodes. A share of a GPU counts as a whole
// one: there is no driver of devices on the live cluster, which knows GPUs as an extended resource.
func openbArrivals(t *testing.T) arrivals {
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(worldcup.DataDir(os.Getenv, dir), "openb_fgd")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no traces (hack/fetch-data): %v", err)
	}
	all, err := openb.ReadNodes(filepath.Join(dir, "openb_node_list_all_node.csv"))
	if err != nil {
		t.Fatal(err)
	}
	var part []openb.Node
	for i := 0; i < len(all); i += openbStride {
		part = append(part, all[i])
	}
	pods, err := openb.ReadPods(filepath.Join(dir, "openb_pod_list_default.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	arriving := openb.Arrive(part, pods, openbSeed, openb.Inflation, openb.GPUDemand())
	of := arrivals{pools: openbPools(part), seed: openbSeed}
	for _, pod := range arriving.Pods {
		of.pods = append(of.pods, openbPod(pod))
	}
	return of
}

// openbPools makes a pool of the nodes of each size.
func openbPools(list []openb.Node) []nodes.Pool {
	var pools []nodes.Pool
	at := map[openb.Node]int{}
	for _, n := range list {
		n.Name = ""
		if _, known := at[n]; !known {
			at[n] = len(pools)
			pools = append(pools, nodes.Pool{
				Name: fmt.Sprintf("size-%02d", len(pools)), Zones: []string{"a", "b", "c"},
				CPU: fmt.Sprintf("%dm", n.CPUMilli), Memory: fmt.Sprintf("%dMi", n.MemMiB),
				Extended: map[corev1.ResourceName]string{gpuResource: fmt.Sprint(n.GPUs)},
			})
			if n.GPUs > 0 {
				pools[at[n]].Labels = map[string]string{openb.ModelLabel: n.Model}
			}
		}
		pools[at[n]].Count++
	}
	return pools
}

func openbPod(p openb.Pod) *corev1.Pod {
	pod := p.Object(shippedProfile)
	pod.UID = "" // the API server gives it one
	main := &pod.Spec.Containers[0]
	main.Image = "app"
	if p.GPUs > 0 {
		gpus := *resource.NewQuantity(int64(p.GPUs), resource.DecimalSI)
		main.Resources.Requests[gpuResource] = gpus
		main.Resources.Limits = corev1.ResourceList{gpuResource: gpus}
	}
	return pod
}

// madeUpArrivals draws pods of a few workloads that differ in size, constraints and what they tolerate.
func madeUpArrivals(*testing.T) arrivals {
	const pods, seed = 300, 7
	zones := []string{"a", "b", "c"}
	of := arrivals{seed: seed, pools: []nodes.Pool{
		{Name: "small", Count: 30, Zones: zones, CPU: "8", Memory: "32Gi"},
		{Name: "large", Count: 10, Zones: zones, CPU: "32", Memory: "128Gi"},
		{Name: "lean", Count: 16, Zones: zones, CPU: "16", Memory: "32Gi"},
		{
			Name: "gpu", Count: 8, Zones: zones, CPU: "32", Memory: "256Gi", Extended: map[corev1.ResourceName]string{gpuResource: "4"},
			Taints: []corev1.Taint{{Key: string(gpuResource), Effect: corev1.TaintEffectNoSchedule}},
		},
	}}
	kinds := madeUpKinds()
	for i := range kinds {
		of.owners = append(of.owners, kinds[i].name)
	}
	random := rand.New(rand.NewPCG(seed, 2))
	for i := range pods {
		of.pods = append(of.pods, kinds[random.IntN(len(kinds))].pod(i))
	}
	return of
}

// madeUpKind is a workload. Its pods are numbered: nothing replaces one that ended.
type madeUpKind struct {
	name        string
	cpu, memory string
	shape       func(*corev1.PodSpec)
}

func madeUpKinds() []madeUpKind {
	return []madeUpKind{
		{name: "web", cpu: "1500m", memory: "3Gi", shape: func(spec *corev1.PodSpec) {
			spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
				MaxSkew: 2, TopologyKey: corev1.LabelTopologyZone, WhenUnsatisfiable: corev1.DoNotSchedule, LabelSelector: selects("web"),
			}}
		}},
		{name: "cache", cpu: "1", memory: "12Gi", shape: func(spec *corev1.PodSpec) {
			spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
				RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{TopologyKey: corev1.LabelHostname, LabelSelector: selects("cache")}},
			}}
		}},
		{name: "batch", cpu: "3", memory: "2Gi", shape: func(spec *corev1.PodSpec) {
			deadline := int64(3 * 60 * 60)
			spec.ActiveDeadlineSeconds = &deadline
		}},
		{name: "train", cpu: "6", memory: "40Gi", shape: func(spec *corev1.PodSpec) {
			one := corev1.ResourceList{gpuResource: resource.MustParse("1")}
			spec.Containers[0].Resources.Limits = one
			spec.Containers[0].Resources.Requests[gpuResource] = one[gpuResource]
			spec.Tolerations = []corev1.Toleration{{Key: string(gpuResource), Operator: corev1.TolerationOpExists}}
		}},
		{name: "zonal", cpu: "500m", memory: "5Gi", shape: func(spec *corev1.PodSpec) {
			spec.NodeSelector = map[string]string{corev1.LabelTopologyZone: "b"}
		}},
		{name: "sidecar", cpu: "250m", memory: "256Mi", shape: func(spec *corev1.PodSpec) {
			always := corev1.ContainerRestartPolicyAlways
			helper := *spec.Containers[0].DeepCopy()
			helper.Name, helper.RestartPolicy = "helper", &always
			spec.InitContainers = []corev1.Container{helper}
		}},
		{name: "whole", cpu: "30", memory: "100Gi", shape: func(*corev1.PodSpec) {}},
	}
}

func selects(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func (k madeUpKind) pod(i int) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%03d", k.name, i), Namespace: "default",
			Labels: map[string]string{"app": k.name}, Annotations: map[string]string{ownerAnnotation: k.name},
		},
		Spec: corev1.PodSpec{SchedulerName: shippedProfile, Containers: []corev1.Container{{
			Name: "app", Image: "app",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(k.cpu), corev1.ResourceMemory: resource.MustParse(k.memory),
			}},
		}}},
	}
	k.shape(&pod.Spec)
	return pod
}
