package app_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/plimsoll-k8s/plimsoll/cmd/scheduler/app"
	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

const shipped = "../../../manifests/scheduler/config.yaml"

func TestShippedConfigurationEnablesWhatItSays(t *testing.T) {
	sched, cfg := setup(t, shipped)
	if got := cfg.LeaderElection; !got.LeaderElect || got.ResourceName != "plimsoll-scheduler" || got.ResourceNamespace != "plimsoll-system" {
		t.Errorf("leader election %+v", got)
	}
	if got := cfg.PercentageOfNodesToScore; got == nil || *got != 100 {
		t.Errorf("percentageOfNodesToScore %v, want 100", got)
	}
	if len(sched.Profiles) != 1 {
		t.Fatalf("%d profiles, want 1", len(sched.Profiles))
	}
	enabled := sched.Profiles["plimsoll-scheduler"].ListPlugins()
	want := map[string]int32{
		"MarginalCost": 1, "TaintToleration": 3, "NodeAffinity": 2, "PodTopologySpread": 2, "InterPodAffinity": 2,
		"DynamicResources": 2,
		"VolumeBinding":    1, // scores nothing without its alpha gate
	}
	got := map[string]int32{}
	for _, plugin := range enabled.Score.Enabled {
		got[plugin.Name] = plugin.Weight
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("score plugins and weights (-want +got):\n%s", diff)
	}
	for point, set := range map[string]config.PluginSet{
		"preScore": enabled.PreScore, "reserve": enabled.Reserve, "postBind": enabled.PostBind,
	} {
		if !has(set, "MarginalCost") {
			t.Errorf("MarginalCost is not enabled at %s", point)
		}
	}
	if !has(enabled.Filter, "NodeResourcesFit") {
		t.Error("NodeResourcesFit does not filter")
	}
	if has(enabled.PreScore, "NodeResourcesFit") {
		t.Error("NodeResourcesFit prepares a score that nobody asks for")
	}
}

func TestShippedProfileBatchesPodsOfOneShape(t *testing.T) {
	profile := shippedProfile(t)
	sign := func(p *v1.Pod) string { return string(profile.SignPod(t.Context(), p)) }
	pod := func(name string) *st.PodWrapper {
		return st.MakePod().Name(name).UID(name).SchedulerName("plimsoll-scheduler").Req(map[v1.ResourceName]string{"cpu": "1"})
	}
	first := sign(pod("a").Obj())
	if first == "" {
		t.Fatal("a plain pod has no signature: something in the profile refuses batches")
	}
	if !strings.Contains(first, "MarginalCost") {
		t.Errorf("the signature %s does not hold what MarginalCost reads", first)
	}
	if first != sign(pod("b").Obj()) {
		t.Error("two pods of one shape have different signatures")
	}
	if first == sign(pod("c").Req(map[v1.ResourceName]string{"cpu": "2"}).Obj()) {
		t.Error("two pods of different shapes have one signature")
	}
}

func TestMarginalCostDecidesUnlessSomebodyPrefersOtherwise(t *testing.T) {
	web := st.MakePod().Name("web").UID("web").Req(map[v1.ResourceName]string{"cpu": "2", "memory": "4Gi"}).Obj()
	node := func(name string) *st.NodeWrapper {
		return st.MakeNode().Name(name).Label("disk", name).
			Capacity(map[v1.ResourceName]string{"cpu": "4", "memory": "16Gi", "pods": "110"})
	}
	pod := func() *st.PodWrapper {
		return st.MakePod().Name("p").UID("p").Req(map[v1.ResourceName]string{"cpu": "500m", "memory": "1Gi"})
	}
	empty, used := info(node("empty").Obj()), info(node("used").Obj(), web)
	tests := map[string]struct {
		pod   *v1.Pod
		nodes []fwk.NodeInfo
		want  string
	}{
		"the cost decides": {
			pod: pod().Obj(), nodes: []fwk.NodeInfo{empty, used}, want: "used",
		},
		"an image on the other node does not pull": {
			pod:   pod().Container("big").Obj(),
			nodes: []fwk.NodeInfo{info(node("empty").Images(map[string]int64{"big": 900 << 20}).Obj()), used},
			want:  "used",
		},
		"a preferred node affinity does": {
			pod:   preferring("disk", "empty", pod().Obj()),
			nodes: []fwk.NodeInfo{empty, used},
			want:  "empty",
		},
		"so does a taint that asks to prefer other nodes": {
			pod: pod().Obj(),
			nodes: []fwk.NodeInfo{empty, info(node("used").Taints([]v1.Taint{
				{Key: "slow", Effect: v1.TaintEffectPreferNoSchedule},
			}).Obj(), web)},
			want: "empty",
		},
	}
	profile := shippedProfile(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := best(t, profile, test.pod, test.nodes); got != test.want {
				t.Errorf("the pod goes to %s, want %s", got, test.want)
			}
		})
	}
}

func TestBadConfigurationStopsTheScheduler(t *testing.T) {
	tests := map[string]struct{ old, new, says string }{
		"a misspelt argument":       {"opening: 1", "openning: 1", `unknown field "prices.openning"`},
		"a price out of range":      {"stranding: 1", "stranding: -1", "args.prices.stranding: Invalid value: -1: must be from 0 to 10 shares of a node"},
		"a misspelt plugin":         {"name: MarginalCost\n        weight", "name: MarginalCosts\n        weight", "MarginalCosts"},
		"a misspelt setting":        {"percentageOfNodesToScore", "percentageOfNodesToScores", "percentageOfNodesToScores"},
		"an argument of the spread": {"defaultingType: List", "defaultingType: Lists", "Lists"},
	}
	text, err := os.ReadFile(shipped)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, []byte(strings.Replace(string(text), test.old, test.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := trySetup(t, file)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one with %s", err, test.says)
			}
		})
	}
}

func TestCommandIntroducesItself(t *testing.T) {
	tests := map[string][]string{
		"--help":    {"plimsoll-scheduler is kube-scheduler with Plimsoll's plugins", "--leader-elect", "help for plimsoll-scheduler"},
		"--version": {"plimsoll-scheduler ", "(kube-scheduler "},
	}
	for flag, says := range tests {
		t.Run(flag, func(t *testing.T) {
			var out strings.Builder
			cmd := app.NewCommand(plugins.Options{})
			cmd.SetOut(&out)
			cmd.SetArgs([]string{flag})
			if err := cmd.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, want := range says {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%s does not say %q:\n%.400s", flag, want, out.String())
				}
			}
		})
	}
}

func TestPrintDecisionsAnswersEachTime(t *testing.T) {
	ring, asked := decisions.NewRing(1), make(chan os.Signal, 2)
	for i, pod := range []string{"old", "new"} {
		ring.Add(decisions.Decision{
			Time: time.Date(2026, 11, 23, 12, 0, i, 0, time.UTC), Namespace: "default", Pod: pod,
			Chosen: decisions.Option{Node: "a", Cost: cost.Breakdown{}.With(cost.Opening, 1)},
		})
	}
	asked <- os.Interrupt
	asked <- os.Interrupt
	close(asked)
	var out strings.Builder
	app.PrintDecisions(asked, ring, &out)
	once := "2026-11-23T12:00:01.000Z default/new went to a (cost 1 of a node: opening 1), no other node compared\n" +
		"1 of 2 decisions since the start\n"
	if diff := cmp.Diff(once+once, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// setup builds the scheduler as the command does, without starting it or
// talking to an API server.
func setup(t *testing.T, file string) (*scheduler.Scheduler, config.KubeSchedulerConfiguration) {
	t.Helper()
	sched, cfg, err := trySetup(t, file)
	if err != nil {
		t.Fatal(err)
	}
	return sched, cfg
}

func trySetup(t *testing.T, file string) (*scheduler.Scheduler, config.KubeSchedulerConfiguration, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	opts := options.NewOptions()
	opts.ConfigFile = file
	opts.Master = "http://127.0.0.1:1" // never called
	opts.SecureServing.BindPort = 0
	cc, sched, err := schedulerapp.Setup(ctx, opts, app.Options(plugins.Options{})...)
	if err != nil {
		return nil, config.KubeSchedulerConfiguration{}, err
	}
	return sched, cc.ComponentConfig, nil
}

func shippedProfile(t *testing.T) framework.Framework {
	t.Helper()
	sched, _ := setup(t, shipped)
	return sched.Profiles["plimsoll-scheduler"]
}

// best runs the profile's scoring over nodes that all fit.
func best(t *testing.T, profile framework.Framework, pod *v1.Pod, nodes []fwk.NodeInfo) string {
	t.Helper()
	state := framework.NewCycleState()
	if _, status, _ := profile.RunPreFilterPlugins(t.Context(), state, pod); !status.IsSuccess() {
		t.Fatal(status)
	}
	if status := profile.RunPreScorePlugins(t.Context(), state, pod, nodes); !status.IsSuccess() {
		t.Fatal(status)
	}
	scores, status := profile.RunScorePlugins(t.Context(), state, pod, nodes)
	if !status.IsSuccess() {
		t.Fatal(status)
	}
	return slices.MaxFunc(scores, func(a, b fwk.NodePluginScores) int { return int(a.TotalScore - b.TotalScore) }).Name
}

func info(node *v1.Node, pods ...*v1.Pod) fwk.NodeInfo {
	info := framework.NewNodeInfo(pods...)
	info.SetNode(node)
	return info
}

func preferring(label, value string, pod *v1.Pod) *v1.Pod {
	pod.Spec.Affinity = &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []v1.PreferredSchedulingTerm{{
			Weight: 1,
			Preference: v1.NodeSelectorTerm{MatchExpressions: []v1.NodeSelectorRequirement{
				{Key: label, Operator: v1.NodeSelectorOpIn, Values: []string{value}},
			}},
		}},
	}}
	return pod
}

func has(set config.PluginSet, name string) bool {
	return slices.ContainsFunc(set.Enabled, func(p config.Plugin) bool { return p.Name == name })
}
