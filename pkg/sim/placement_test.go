package sim_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkplugins "k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

// TestTheShippedProfileStartsWithoutPodGroups leaves the gates as they are: the
// framework is built, and nobody asks it for a score of placements.
func TestTheShippedProfileStartsWithoutPodGroups(t *testing.T) {
	fw := shippedFramework(t, schedulercache.NewEmptySnapshot())
	if generators := fw.ListPlugins().PlacementGenerate.Enabled; len(generators) != 0 {
		t.Errorf("%v generate placements, want none", generators)
	}
}

// TestTheShippedProfileScoresPlacements runs the framework's own PlacementScore with
// the shipped profile and the gates of pod groups on.
func TestTheShippedProfileScoresPlacements(t *testing.T) {
	featuregatetesting.SetFeatureGatesDuringTest(t, utilfeature.DefaultFeatureGate, featuregatetesting.FeatureOverrides{
		features.GenericWorkload: true, features.TopologyAwareWorkloadScheduling: true,
	})
	other := pod("other", "1", "1Gi")
	other.Spec.NodeName = "b-0"
	snapshot := schedulercache.NewTestSnapshotWithPodGroups([]*v1.Pod{other},
		[]*v1.Node{node("a-0", "4", "16Gi"), node("a-1", "4", "16Gi"), node("b-0", "4", "16Gi"), node("b-1", "4", "16Gi")},
		[]*schedulingv1beta1.PodGroup{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "g"}}})
	group := []*framework.PodInfo{podInfo(t, pod("g-0", "1", "1Gi")), podInfo(t, pod("g-1", "1", "1Gi"))}
	fw := shippedFramework(t, snapshot)

	weights := map[string]int32{}
	for _, plugin := range fw.ListPlugins().PlacementScore.Enabled {
		weights[plugin.Name] = plugin.Weight
	}
	want := map[string]int32{"MarginalCost": 1, "NodeResourcesFit": 1, "PodGroupPodsCount": 1}
	if diff := cmp.Diff(want, weights); diff != "" {
		t.Errorf("plugins that score placements, and weights (-want +got):\n%s", diff)
	}

	points := map[string]int64{}
	for _, scored := range runPlacementScore(t, fw, []*fwk.PodGroupAssignments{
		placement(t, snapshot, "opens two", []string{"a-0", "a-1"}, group, "a-0", "a-1"),
		placement(t, snapshot, "opens one", []string{"a-0", "a-1"}, group, "a-0", "a-0"),
		placement(t, snapshot, "opens none", []string{"b-0", "b-1"}, group, "b-0", "b-0"),
	}) {
		for _, score := range scored.Scores {
			if score.Name == "MarginalCost" {
				points[scored.Placement.Name] = score.Score
			}
		}
	}
	if points["opens none"] != 100 || points["opens one"] >= 100 || points["opens two"] >= points["opens one"] {
		t.Errorf("points %v, want 100 for the one that opens none, then the one that opens one", points)
	}
	for name, want := range map[string]int{"a-0": 0, "a-1": 0, "b-0": 1} {
		if held := len(nodeInfo(t, snapshot, name).GetPods()); held != want {
			t.Errorf("node %s of the snapshot holds %d pods afterwards, want %d", name, held, want)
		}
	}
}

// shippedFramework is the framework of the shipped profile on a snapshot.
func shippedFramework(t *testing.T, snapshot *schedulercache.Snapshot) framework.Framework {
	t.Helper()
	metrics.Register()
	profile, err := sim.LoadProfile([]byte(shipped(t)))
	if err != nil {
		t.Fatal(err)
	}
	all := frameworkplugins.NewInTreeRegistry()
	if err := all.Merge(registry()); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset()
	fw, err := frameworkruntime.NewFramework(t.Context(), all, &profile,
		frameworkruntime.WithClientSet(client),
		frameworkruntime.WithInformerFactory(informers.NewSharedInformerFactory(client, 0)),
		frameworkruntime.WithSnapshotSharedLister(snapshot),
		frameworkruntime.WithMutableSnapshotLister(snapshot),
		frameworkruntime.WithPodGroupManager(schedulercache.New(t.Context(), nil,
			utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload), false)),
	)
	if err != nil {
		t.Fatal(err)
	}
	return fw
}

// runPlacementScore scores placements as the scheduler does, several at a time.
func runPlacementScore(t *testing.T, fw framework.Framework, placements []*fwk.PodGroupAssignments) []fwk.PlacementPluginScores {
	t.Helper()
	group, states := framework.NewCycleState(), []fwk.PlacementCycleState(nil)
	for range placements {
		state := framework.NewCycleState()
		state.SetPodGroupSchedulingCycle(group)
		states = append(states, state)
	}
	info := &framework.PodGroupInfo{Namespace: "default", Name: "g", Type: fwk.PodGroupKeyType}
	scores, status := fw.RunPlacementScorePlugins(t.Context(), group, info, placements, states)
	if !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	return scores
}

// placement proposes to put the pods of a group on nodes among those of a placement.
func placement(t *testing.T, snapshot *schedulercache.Snapshot, name string, among []string, group []*framework.PodInfo, onto ...string) *fwk.PodGroupAssignments {
	t.Helper()
	p := &fwk.PodGroupAssignments{Placement: &fwk.Placement{Name: name}}
	for _, n := range among {
		p.Nodes = append(p.Nodes, nodeInfo(t, snapshot, n))
	}
	for i, info := range group {
		p.ProposedAssignments = append(p.ProposedAssignments, assignment{info, onto[i]})
	}
	return p
}

func nodeInfo(t *testing.T, snapshot *schedulercache.Snapshot, name string) fwk.NodeInfo {
	t.Helper()
	info, err := snapshot.NodeInfos().Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func podInfo(t *testing.T, p *v1.Pod) *framework.PodInfo {
	t.Helper()
	info, err := framework.NewPodInfo(p)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// assignment is a proposed one.
type assignment struct {
	info *framework.PodInfo
	node string
}

func (a assignment) GetPod() *v1.Pod               { return a.info.Pod }
func (a assignment) GetPodInfo() fwk.PodInfo       { return a.info }
func (a assignment) GetNodeName() string           { return a.node }
func (a assignment) GetCycleState() fwk.CycleState { return framework.NewCycleState() }
