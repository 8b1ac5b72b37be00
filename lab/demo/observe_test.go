package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

func TestObserve(t *testing.T) {
	list := testNodes(t, 2) // 4 cores, 8 GiB, 3 pods each
	finished := pod("done", list[0].Name, "4", "8Gi")
	finished.Status.Phase = corev1.PodSucceeded
	ending := pod("ending", list[0].Name, "1", "1Gi")
	ending.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	o := observe(list, []*corev1.Pod{
		finished, ending,
		ready(pod("a", list[0].Name, "1", "1Gi")),
		pod("waits", "", "3", "1Gi"),
		pod("too-big", "", "5", "1Gi"),
	})

	inUse, cpu, memory := o.InUse()
	if inUse != 1 || cpu != 0.5 || memory != 0.25 {
		t.Errorf("in use: %d nodes, cpu %v, memory %v; want 1, 0.5, 0.25: an ending pod still holds its room, a finished one does not", inUse, cpu, memory)
	}
	if o.Bound != 2 || o.Ready != 1 || o.Terminating != 1 {
		t.Errorf("bound %d, ready %d, terminating %d; want 2, 1, 1", o.Bound, o.Ready, o.Terminating)
	}
	fits := map[string]string{}
	for _, p := range o.Pending {
		fits[p.Name] = p.Fits
	}
	if diff := cmp.Diff(map[string]string{"waits": list[1].Name, "too-big": ""}, fits); diff != "" {
		t.Errorf("where pending pods fit (-want +got):\n%s", diff)
	}
}

func TestPendingPodsDoNotFitNodesThatKeepThemAway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*corev1.Node)
	}{
		{"cordoned", func(n *corev1.Node) { n.Spec.Unschedulable = true }},
		{"tainted", func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "k", Effect: corev1.TaintEffectNoSchedule}}
		}},
		{"not ready", func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := testNodes(t, 1)
			tt.change(list[0])
			o := observe(list, []*corev1.Pod{pod("waits", "", "1", "1Gi")})
			if got := o.Pending[0].Fits; got != "" {
				t.Errorf("fits %s, want nowhere", got)
			}
		})
	}
}

func TestBrokenPromises(t *testing.T) {
	list := testNodes(t, 1)
	now := time.Unix(1000, 0)
	within := []Scaled{{Name: "shop", Wanted: 2, Min: 2, Max: 60}}
	full := []*corev1.Pod{pod("a", list[0].Name, "2", "1Gi"), pod("b", list[0].Name, "2", "1Gi")}
	for _, tt := range []struct {
		name   string
		pods   []*corev1.Pod
		scaled []Scaled
		waited time.Duration
		want   string // part of the only sentence; empty: none
	}{
		{"a full node is as promised", full, within, 0, ""},
		{"more cpu than allocatable", append(full, pod("c", list[0].Name, "1m", "1")), within, 0, "more cpu requested"},
		{"more memory than allocatable", []*corev1.Pod{pod("a", list[0].Name, "1", "9Gi")}, within, 0, "more memory requested"},
		{"more pods than slots", []*corev1.Pod{
			pod("a", list[0].Name, "0", "0"), pod("b", list[0].Name, "0", "0"),
			pod("c", list[0].Name, "0", "0"), pod("d", list[0].Name, "0", "0"),
		}, within, 0, "more pods requested"},
		{"a pod that fits may wait a while", []*corev1.Pod{pod("a", "", "1", "1Gi")}, within, fitsPatience, ""},
		{"but not longer", []*corev1.Pod{pod("a", "", "1", "1Gi")}, within, fitsPatience + 1, "pod demo/a: pending"},
		{"a pod that does not fit may wait", []*corev1.Pod{pod("a", "", "5", "1Gi")}, within, time.Hour, ""},
		{"fewer replicas than the minimum", nil, []Scaled{{Name: "shop", Wanted: 1, Min: 2, Max: 60}}, 0, "1 replicas wanted, outside 2..60"},
		{"more replicas than the maximum", nil, []Scaled{{Name: "shop", Wanted: 61, Min: 2, Max: 60}}, 0, "61 replicas wanted, outside 2..60"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := observe(list, tt.pods)
			f := fitting{}.next(o, now.Add(-tt.waited)).next(o, now)
			got := brokenPromises(o, tt.scaled, f, now)
			if tt.want == "" && len(got) > 0 {
				t.Fatalf("got %q, want none", got)
			}
			if tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
				t.Fatalf("got %q, want one that says %q", got, tt.want)
			}
		})
	}
}

func TestAPodsWaitStartsWhenItFirstFits(t *testing.T) {
	list := testNodes(t, 1)
	waiting, now := pod("a", "", "3", "1Gi"), time.Unix(1000, 0)
	blocked := observe(list, []*corev1.Pod{pod("b", list[0].Name, "2", "1Gi"), waiting})
	free := observe(list, []*corev1.Pod{waiting})
	f := fitting{}.next(free, now).next(blocked, now.Add(time.Minute)).next(free, now.Add(2*time.Minute))
	if got := f["demo/a"]; !got.Equal(now.Add(2 * time.Minute)) {
		t.Errorf("fits since %v, want since room came back", got)
	}
}

func TestResultAddsUp(t *testing.T) {
	list := testNodes(t, 2)
	one := observe(list, []*corev1.Pod{pod("a", list[0].Name, "4", "4Gi"), pod("p", "", "1", "1Gi")})
	two := observe(list, []*corev1.Pod{pod("a", list[0].Name, "4", "4Gi"), pod("b", list[1].Name, "2", "2Gi")})
	var r Result
	for _, s := range []struct {
		o      Observation
		wanted int32
		broken []string
	}{{one, 2, nil}, {two, 3, []string{"x"}}, {two, 3, []string{"x"}}, {one, 2, []string{"y"}}} {
		r.add(sample{length: time.Hour, observation: s.o, scaled: []Scaled{{Name: "shop", Wanted: s.wanted}}, broken: s.broken})
	}
	cpu, memory := r.Packing()
	got := []any{r.NodeHours, r.PeakNodes, r.PendingHours, r.PeakPending, r.ScaleActions, r.Broken, cpu, memory}
	// Node-hours 1+2+2+1; cpu (1 + 2*0.75 + 2*0.75 + 1)/6, memory (0.5 + 2*0.375 + 2*0.375 + 0.5)/6.
	want := []any{6.0, 2, 2.0, 1, 2, []string{"x", "y"}, 5.0 / 6, 2.5 / 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("node-hours, peak, pending-hours, peak, actions, broken, packing (-want +got):\n%s", diff)
	}
}

func TestFullest(t *testing.T) {
	list := testNodes(t, 3)
	o := observe(list, []*corev1.Pod{pod("a", list[1].Name, "1", "1Gi"), pod("b", list[2].Name, "1", "1Gi"), pod("c", list[1].Name, "1", "1Gi")})
	if got := o.fullest(); got != list[1].Name {
		t.Errorf("got %s, want %s", got, list[1].Name)
	}
}

func TestPictureShowsEachNode(t *testing.T) {
	list := testNodes(t, 4)
	list[3].Status.Conditions[0].Status = corev1.ConditionUnknown
	o := observe(list, []*corev1.Pod{pod("a", list[1].Name, "4", "1Gi"), pod("b", list[2].Name, "1m", "1")})
	if got, want := row(o.Nodes, "a"), "·█▁x"; got != want {
		t.Errorf("got %q, want %q: empty, full, nearly empty, dead", got, want)
	}
}

// testNodes are ready nodes of 4 cores, 8 GiB and 3 pod slots.
func testNodes(t *testing.T, n int) []*corev1.Node {
	t.Helper()
	list, err := nodes.Pool{Name: "test", Count: n, Zones: []string{"a"}, CPU: "4", Memory: "8Gi", PodSlots: 3}.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range list {
		node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	}
	return list
}

func pod(name, node, cpu, memory string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: name},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}}}}},
	}
}

func ready(p *corev1.Pod) *corev1.Pod {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return p
}
