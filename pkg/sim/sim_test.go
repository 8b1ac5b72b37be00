package sim_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

func TestTheShippedProfilePacks(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "4", "8Gi"), node("b", "4", "8Gi"))
	var got []string
	for i := range 5 {
		got = append(got, schedule(t, s, pod(named("p", i), "1", "2Gi")).Node)
	}
	if diff := cmp.Diff([]string{"a", "a", "a", "a", "b"}, got); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
}

func TestAPodThatFitsNowhereIsToldWhy(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	if why := schedule(t, s, pod("early", "1", "1Gi")).Why(); why != "there is no node" {
		t.Errorf("without nodes: %q", why)
	}
	addNodes(t, s, node("a", "4", "8Gi"), node("b", "1", "1Gi"), node("c", "64", "64Gi", func(n *v1.Node) {
		n.Spec.Taints = []v1.Taint{{Key: "gpu", Effect: v1.TaintEffectNoSchedule}}
	}))
	large := pod("large", "8", "2Gi")
	got := schedule(t, s, large)
	want := sim.Result{Diagnosis: map[string]int{"Insufficient cpu": 2, "Insufficient memory": 1, "node(s) had untolerated taint(s)": 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if got, want := got.Why(), "2 Insufficient cpu, 1 Insufficient memory, 1 node(s) had untolerated taint(s)"; got != want {
		t.Errorf("why: %q, want %q", got, want)
	}

	addNodes(t, s, node("d", "8", "8Gi"))
	if got := schedule(t, s, large); got.Node != "d" || got.Feasible != 1 {
		t.Errorf("tried again with a node that fits: %+v", got)
	}
}

func TestDepartedPodsMakeRoom(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "1", "1Gi"))
	first, second := pod("first", "1", "1Gi"), pod("second", "1", "1Gi")
	schedule(t, s, first)
	if got := schedule(t, s, second); got.Node != "" {
		t.Fatalf("two pods on a node for one: %+v", got)
	}
	s.Delete(first)
	s.Delete(first) // departed already
	if got := schedule(t, s, second); got.Node != "a" {
		t.Errorf("after the first departed: %+v", got)
	}
}

func TestExtendedResourcesAreCounted(t *testing.T) {
	gpus := resource.MustParse("2")
	for name, config := range map[string]string{"by the shipped profile": shipped(t), "by Kubernetes' default": header} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t, config, nil)
			addNodes(t, s, node("a", "64", "64Gi"), node("b", "64", "64Gi", func(n *v1.Node) { n.Status.Allocatable["example.com/gpu"] = gpus }))
			var got []string
			for i := range 3 {
				got = append(got, schedule(t, s, pod(named("p", i), "1", "1Gi", func(p *v1.Pod) {
					p.Spec.Containers[0].Resources.Requests["example.com/gpu"] = resource.MustParse("1")
				})).Node)
			}
			if diff := cmp.Diff([]string{"b", "b", ""}, got); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlacedPodsTakeRoom(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "1", "1Gi"), node("b", "1", "1Gi"))
	if err := s.Place(pod("running", "1", "1Gi", func(p *v1.Pod) { p.Spec.NodeName = "a" })); err != nil {
		t.Fatal(err)
	}
	if got := schedule(t, s, pod("p", "500m", "1Gi")); got.Node != "b" {
		t.Errorf("%+v", got)
	}
}

func TestRemovedNodesGetNoPods(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "4", "4Gi"), node("b", "4", "4Gi"))
	first := pod("first", "1", "1Gi")
	schedule(t, s, first)
	if err := s.RemoveNode("a"); err != nil {
		t.Fatal(err)
	}
	if got := schedule(t, s, pod("second", "1", "1Gi")); got.Node != "b" {
		t.Errorf("%+v", got)
	}
	s.Delete(first)
	nodes, err := s.NodeInfos()
	if err != nil || len(nodes) != 1 || len(nodes[0].GetPods()) != 1 {
		t.Errorf("nodes %v, error %v; want b with one pod", nodes, err)
	}
}

func TestTiesGoByName(t *testing.T) {
	equal := header + "profiles:\n- plugins: {score: {disabled: [{name: '*'}]}, multiPoint: {disabled: [{name: '*'}], enabled: [{name: NodeResourcesFit}, {name: PrioritySort}, {name: DefaultBinder}]}}\n"
	for name, c := range map[string]struct {
		tieBreak func(a, b string) int
		want     string
	}{
		"to the smallest": {nil, "a"},
		"or as told":      {func(a, b string) int { return strings.Compare(b, a) }, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t, equal, func(c2 *sim.Config) { c2.TieBreak = c.tieBreak })
			addNodes(t, s, node("b", "4", "4Gi"), node("a", "4", "4Gi"), node("c", "4", "4Gi"))
			if got := schedule(t, s, pod("p", "1", "1Gi")); got.Node != c.want || got.Feasible != 3 {
				t.Errorf("%+v, want %s of 3", got, c.want)
			}
		})
	}
}

func TestAGatedPodIsPendingUntilItsGateOpens(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "4", "4Gi"))
	gated := pod("p", "1", "1Gi", func(p *v1.Pod) { p.Spec.SchedulingGates = []v1.PodSchedulingGate{{Name: "example.com/g"}} })
	if got := schedule(t, s, gated); got.Node != "" || !strings.Contains(got.Why(), "example.com/g") {
		t.Errorf("gated: %+v", got)
	}
	if got := schedule(t, s, pod("p", "1", "1Gi")); got.Node != "a" {
		t.Errorf("after the gate was lifted: %+v", got)
	}
}

func TestWhatCannotBeSimulatedIsRefused(t *testing.T) {
	group := "g"
	for name, c := range map[string]struct {
		pod  *v1.Pod
		want string
	}{
		"a pod without UID":            {pod("p", "1", "1Gi", func(p *v1.Pod) { p.UID = "" }), "metadata.uid: Required"},
		"a pod that is bound":          {pod("p", "1", "1Gi", func(p *v1.Pod) { p.Spec.NodeName = "a" }), `spec.nodeName: Invalid value: "a": must be empty`},
		"a pod of another scheduler":   {pod("p", "1", "1Gi", func(p *v1.Pod) { p.Spec.SchedulerName = "x" }), `spec.schedulerName: Invalid value: "x"`},
		"a member of a pod group":      {pod("p", "1", "1Gi", func(p *v1.Pod) { p.Spec.SchedulingGroup = &v1.PodSchedulingGroup{PodGroupName: &group} }), "spec.schedulingGroup: Forbidden"},
		"a pod with claims of devices": {pod("p", "1", "1Gi", func(p *v1.Pod) { p.Spec.ResourceClaims = []v1.PodResourceClaim{{Name: "gpu"}} }), "spec.resourceClaims: Forbidden"},
		"a nominated pod":              {pod("p", "1", "1Gi", func(p *v1.Pod) { p.Status.NominatedNodeName = "a" }), "status.nominatedNodeName: Forbidden"},
		"a claim that is not bound": {pod("p", "1", "1Gi", func(p *v1.Pod) {
			p.Spec.Volumes = []v1.Volume{{Name: "v", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "data"}}}}
		}), `spec.volumes[0].persistentVolumeClaim.claimName: Invalid value: "data"`},
		"the UID of a bound pod":  {pod("running", "1", "1Gi"), `metadata.uid: "running" is bound to node a already`},
		"the name of another pod": {pod("running", "1", "1Gi", func(p *v1.Pod) { p.UID = "other" }), "metadata.name: another pod"},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate(t, shipped(t), nil)
			addNodes(t, s, node("a", "4", "4Gi"))
			schedule(t, s, pod("running", "1", "1Gi"))
			if _, err := s.Schedule(c.pod); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestNodesAndObjectsThatMakeNoSenseAreRefused(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("a", "4", "4Gi"))
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a node twice":            {s.AddNode(node("a", "4", "4Gi")), `metadata.name: node "a" is there already`},
		"a node without name":     {s.AddNode(node("", "4", "4Gi")), "metadata.name: a node must have one"},
		"a node that is not here": {s.RemoveNode("b"), `node "b" is not there`},
		"a pod as object":         {s.AddObject(pod("p", "1", "1Gi")), "Schedule or Place"},
		"a node as object":        {s.AddObject(node("b", "1", "1Gi")), "AddNode"},
		"a list":                  {s.AddObject(&v1.PodList{}), "*v1.PodList: the informer factory knows no such kind"},
		"a pod on no node":        {s.Place(pod("p", "1", "1Gi")), `spec.nodeName: there is no node ""`},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, c.err, c.want)
		}
	}
}

func TestNewRejects(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		change func(*sim.Config)
		want   string
	}{
		"a profile that was not loaded": {header, func(c *sim.Config) { c.Profile.Plugins = nil }, "profile.plugins: must be set"},
		"two beginnings":                {header, func(c *sim.Config) { c.Start = begin().Add(time.Hour) }, "start: 2026-01-01 01:00:00 +0000 UTC is not the time of the clock"},
		"a plugin nobody has":           {header + "profiles: [{plugins: {score: {enabled: [{name: Nobody}]}}}]", nil, `"Nobody" does not exist`},
		"arguments of ours out of range": {
			header + "profiles: [{plugins: {multiPoint: {enabled: [{name: MarginalCost}]}}, pluginConfig: [{name: MarginalCost, args: {prices: {opening: 11}}}]}]",
			nil, "must be from 0 to 10",
		},
		"a plugin's name that is taken": {header, func(c *sim.Config) { c.Plugins["NodeName"] = newAudience(nil) }, "plugins:"},
	} {
		t.Run(name, func(t *testing.T) {
			profile, err := sim.LoadProfile([]byte(c.config))
			if err != nil {
				t.Fatal(err)
			}
			config := sim.Config{Profile: profile, Clock: sim.NewClock(begin()), Plugins: registry()}
			if c.change != nil {
				c.change(&config)
			}
			if _, err := sim.New(t.Context(), config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestLoadProfileRejects(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a misspelt field":    {header + "percentageOfNodes: 5", `unknown field "percentageOfNodes"`},
		"a misspelt argument": {header + "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultType: List}}]}]", `unknown field "defaultType"`},
		"out of range":        {header + "percentageOfNodesToScore: 101", "percentageOfNodesToScore: Invalid value: 101"},
		"two profiles":        {header + "profiles: [{schedulerName: a}, {schedulerName: b}]", "profiles: must hold one profile, holds 2"},
		"an extender":         {header + "extenders: [{urlPrefix: 'http://a', filterVerb: f}]", "extenders: must be empty"},
		"another kind":        {"apiVersion: kubescheduler.config.k8s.io/v1\nkind: NodeAffinityArgs\n", "kind: must be KubeSchedulerConfiguration, is NodeAffinityArgs"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := sim.LoadProfile([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// audience is a plugin that writes down what happens, as informers and the cycle tell it.
type audience struct{ heard []string }

var (
	_ fwk.ReservePlugin  = (*audience)(nil)
	_ fwk.PostBindPlugin = (*audience)(nil)
)

func newAudience(a *audience) func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return func(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
		factory := handle.SharedInformerFactory()
		pods, budgets := factory.Core().V1().Pods(), factory.Policy().V1().PodDisruptionBudgets()
		_, err := pods.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(obj any) { a.hear("add " + told(obj)) },
			UpdateFunc: func(old, obj any) {
				listed, err := pods.Lister().Pods("default").Get(obj.(*v1.Pod).Name)
				if err != nil || listed != obj {
					a.hear("the lister is behind")
				}
				a.hear("update " + told(old) + " to " + told(obj))
			},
			DeleteFunc: func(obj any) { a.hear("delete " + told(obj)) },
		})
		_, err2 := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { a.hear("add node " + obj.(*v1.Node).Name) },
			DeleteFunc: func(obj any) { a.hear("delete node " + obj.(*v1.Node).Name) },
		})
		_, err3 := budgets.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) {
				all, err := budgets.Lister().List(labels.Everything())
				if err != nil || len(all) != 1 {
					a.hear("the lister is behind")
				}
				a.hear("add budget")
			},
			UpdateFunc: func(any, any) { a.hear("update budget") },
		})
		return a, errors.Join(err, err2, err3)
	}
}

func told(obj any) string {
	p := obj.(*v1.Pod)
	word := p.Name + " " + string(p.Status.Phase)
	if p.Spec.NodeName != "" {
		word += " on " + p.Spec.NodeName
	}
	for _, condition := range p.Status.Conditions {
		word += " " + string(condition.Type) + "=" + string(condition.Status) + condition.Reason
	}
	return word
}

func (a *audience) hear(what string) { a.heard = append(a.heard, what) }
func (*audience) Name() string       { return "Audience" }

func (a *audience) Reserve(_ context.Context, _ fwk.CycleState, _ *v1.Pod, node string) *fwk.Status {
	a.hear("reserve " + node)
	return nil
}

func (a *audience) Unreserve(_ context.Context, _ fwk.CycleState, _ *v1.Pod, node string) {
	a.hear("unreserve " + node)
}

func (a *audience) PostBind(_ context.Context, _ fwk.CycleState, p *v1.Pod, node string) {
	a.hear("bound " + p.Name + " to " + node)
}

func TestHandlersHearWhatHappensInOrder(t *testing.T) {
	a := &audience{}
	text := strings.Replace(inTree, "- pluginConfig", "- plugins: {multiPoint: {enabled: [{name: Audience}]}}\n  pluginConfig", 1)
	s := simulate(t, text, func(c *sim.Config) { c.Plugins["Audience"] = newAudience(a) })
	addNodes(t, s, node("a", "1", "1Gi"))
	budget := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b", Namespace: "default"}}
	for range 2 {
		if err := s.AddObject(budget); err != nil {
			t.Fatal(err)
		}
	}
	first, second := pod("first", "1", "1Gi"), pod("second", "1", "1Gi")
	schedule(t, s, first)
	schedule(t, s, second)
	schedule(t, s, second) // nothing new to tell
	s.Delete(second)
	s.Delete(first)
	if err := s.RemoveNode("a"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"add node a",
		"add budget",
		"update budget",
		"add first Pending",
		"reserve a",
		"update first Pending to first Running on a PodScheduled=True",
		"bound first to a",
		"add second Pending",
		"update second Pending to second Pending PodScheduled=FalseUnschedulable",
		"delete second Pending PodScheduled=FalseUnschedulable",
		"delete first Running on a PodScheduled=True",
		"delete node a",
	}
	if diff := cmp.Diff(want, a.heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

func TestAPodThatAPluginTurnsDownLeavesNoTrace(t *testing.T) {
	for name, c := range map[string]struct {
		reserve, permit *fwk.Status
		why, err        string
	}{
		"in Reserve": {
			reserve: fwk.NewStatus(fwk.Unschedulable, "no licence"), why: "1 no licence",
		},
		"in Permit": {
			permit: fwk.NewStatus(fwk.Unschedulable, "no quorum"), why: "1 no quorum",
		},
		"by waiting in Permit": {
			permit: fwk.NewStatus(fwk.Wait, "for the others"), err: "permit: waiting is not simulated: for the others",
		},
		"by failing": {
			reserve: fwk.AsStatus(errors.New("out of order")), err: "out of order",
		},
	} {
		t.Run(name, func(t *testing.T) {
			strict := &gatekeeper{reserve: c.reserve, permit: c.permit}
			text := strings.Replace(inTree, "- pluginConfig", "- plugins: {multiPoint: {enabled: [{name: Gatekeeper}]}}\n  pluginConfig", 1)
			s := simulate(t, text, func(config *sim.Config) {
				config.Plugins["Gatekeeper"] = func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) { return strict, nil }
			})
			addNodes(t, s, node("a", "4", "4Gi"))
			got, err := s.Schedule(pod("p", "1", "1Gi"))
			if got.Node != "" || err == nil && got.Why() != c.why {
				t.Errorf("result %+v, want %q", got, c.why)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff([]string{"reserve a", "unreserve a"}, strict.heard); diff != "" {
				t.Errorf("heard (-want +got):\n%s", diff)
			}
			nodes, err := s.NodeInfos()
			if err != nil || len(nodes) != 1 || len(nodes[0].GetPods()) != 0 {
				t.Errorf("nodes %v, error %v; want a without pods", nodes, err)
			}
		})
	}
}

// gatekeeper turns pods down once a node was chosen for them.
type gatekeeper struct {
	audience
	reserve, permit *fwk.Status
}

var _ fwk.PermitPlugin = (*gatekeeper)(nil)

func (*gatekeeper) Name() string { return "Gatekeeper" }

func (g *gatekeeper) Reserve(ctx context.Context, state fwk.CycleState, p *v1.Pod, node string) *fwk.Status {
	g.audience.Reserve(ctx, state, p, node)
	return g.reserve
}

func (g *gatekeeper) Permit(context.Context, fwk.CycleState, *v1.Pod, string) (*fwk.Status, time.Duration) {
	return g.permit, time.Minute
}

func TestALateHandlerIsToldWhatIsThere(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	addNodes(t, s, node("b", "1", "1Gi"), node("a", "1", "1Gi"))
	informer := s.Framework().SharedInformerFactory().Core().V1().Nodes().Informer()
	var heard []string
	registered, err := informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{AddFunc: func(obj any, initial bool) {
		if initial {
			heard = append(heard, obj.(*v1.Node).Name)
		}
	}})
	if err != nil || !registered.HasSynced() || !informer.HasSynced() {
		t.Fatalf("error %v; or not synced", err)
	}
	if diff := cmp.Diff([]string{"a", "b"}, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if err := informer.RemoveEventHandler(registered); err != nil {
		t.Fatal(err)
	}
	addNodes(t, s, node("c", "1", "1Gi"))
	if len(heard) != 2 {
		t.Errorf("a handler that was removed heard %v", heard[2:])
	}
}

func TestPluginsThatAskTheServerAreToldThereIsNone(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	_, err := s.Framework().ClientSet().CoreV1().Pods("default").Get(t.Context(), "p", metav1.GetOptions{})
	if err == nil || !strings.Contains(err.Error(), "a simulation has no API server") {
		t.Errorf("error %v", err)
	}
}

func TestWorkRunsWhenItIsDue(t *testing.T) {
	s := simulate(t, shipped(t), nil)
	var ran []string
	note := func(name string) func(time.Time) {
		return func(now time.Time) {
			if !s.Clock().Now().Equal(now) {
				t.Errorf("%s: the clock shows %s, work is told %s", name, s.Clock().Now(), now)
			}
			ran = append(ran, name+" "+now.Sub(begin()).String())
		}
	}
	s.Every(20*time.Second, note("slow"))
	s.Every(10*time.Second, note("fast"))
	s.AdvanceTo(begin().Add(9 * time.Second))
	s.AdvanceTo(begin().Add(40 * time.Second))
	s.AdvanceTo(begin()) // time does not move back
	want := []string{"fast 10s", "slow 20s", "fast 20s", "fast 30s", "slow 40s", "fast 40s"}
	if diff := cmp.Diff(want, ran); diff != "" {
		t.Errorf("ran (-want +got):\n%s", diff)
	}
	if got := s.Clock().Since(begin()); got != 40*time.Second {
		t.Errorf("%s have passed, want 40s", got)
	}
}
