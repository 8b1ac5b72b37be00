package sim_test

import (
	"fmt"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

const header = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"

// inTree is a profile of Kubernetes' own plugins in which pods without constraints
// of their own are signed.
const inTree = header + `profiles:
- pluginConfig:
  - name: PodTopologySpread
    args: {defaultingType: List, defaultConstraints: []}
  - name: NodeResourcesFit
    args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}, {name: memory, weight: 1}]}}
`

func begin() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// shipped is the profile that users install.
func shipped(tb testing.TB) string {
	tb.Helper()
	text, err := manifests.FS.ReadFile("scheduler/config.yaml")
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// simulate starts a simulation of the profile in text; change may adjust it first.
func simulate(tb testing.TB, text string, change func(*sim.Config)) *sim.Simulator {
	tb.Helper()
	profile, err := sim.LoadProfile([]byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	virtual := sim.NewClock(begin())
	var learn func(time.Time) bool // of MarginalCost, where the profile has it
	options := plugins.Options{Clock: virtual, Background: func(due func(time.Time) bool) { learn = due }}
	c := sim.Config{Profile: profile, Clock: virtual, Plugins: plugins.Registry(options)}
	if change != nil {
		change(&c)
	}
	logger := ktesting.NewLogger(tb, ktesting.NewConfig(ktesting.Verbosity(0)))
	s, err := sim.New(klog.NewContext(tb.Context(), logger), c)
	if err != nil {
		tb.Fatal(err)
	}
	if learn != nil {
		s.Every(30*time.Second, func(now time.Time) {
			if learn(now) {
				s.FlushScores()
			}
		})
	}
	return s
}

func node(name, cpu, memory string, change ...func(*v1.Node)) *v1.Node {
	n := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Labels: map[string]string{v1.LabelHostname: name}},
		Status: v1.NodeStatus{Allocatable: v1.ResourceList{
			v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse(memory), v1.ResourcePods: resource.MustParse("110"),
		}},
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func pod(name, cpu, memory string, change ...func(*v1.Pod)) *v1.Pod {
	p := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)},
		Spec: v1.PodSpec{Containers: []v1.Container{{Name: "c", Image: "app", Resources: v1.ResourceRequirements{
			Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse(cpu), v1.ResourceMemory: resource.MustParse(memory)},
		}}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func addNodes(tb testing.TB, s *sim.Simulator, nodes ...*v1.Node) {
	tb.Helper()
	for _, n := range nodes {
		if err := s.AddNode(n); err != nil {
			tb.Fatal(err)
		}
	}
}

func schedule(tb testing.TB, s *sim.Simulator, p *v1.Pod) sim.Result {
	tb.Helper()
	result, err := s.Schedule(p)
	if err != nil {
		tb.Fatal(err)
	}
	return result
}

func zone(name string) func(*v1.Node) {
	return func(n *v1.Node) { n.Labels[v1.LabelTopologyZone] = name }
}

func labelled(key, value string) func(*v1.Pod) {
	return func(p *v1.Pod) { p.Labels = map[string]string{key: value} }
}

// apart keeps the pod out of zones with pods of these labels, and them from it.
func apart(key, value string) func(*v1.Pod) {
	return func(p *v1.Pod) {
		p.Spec.Affinity = &v1.Affinity{PodAntiAffinity: &v1.PodAntiAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: []v1.PodAffinityTerm{{
				TopologyKey:   v1.LabelTopologyZone,
				LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{key: value}},
			}},
		}}
	}
}

func registry() frameworkruntime.Registry { return plugins.Registry(plugins.Options{}) }

func named(prefix string, i int) string { return fmt.Sprintf("%s-%04d", prefix, i) }
