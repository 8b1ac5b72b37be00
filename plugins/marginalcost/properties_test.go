package marginalcost_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

const mixedMix = `"mix":[
	{"requests":{"cpu":"1","memory":"2Gi"},"weight":5},
	{"requests":{"cpu":"500m","memory":"4Gi","ephemeral-storage":"1Gi"},"weight":3},
	{"requests":{"cpu":"3","memory":"8Gi","example.com/gpu":"1"},"weight":1}]`

// pricedCluster has bid prices, and no node that tests score.
func pricedCluster(t testing.TB) *cluster {
	c := newCluster(t, "{"+mixedMix+"}", marginalcost.Options{},
		node("known-1", size(16000, 64*gib)), node("known-2", size(8000, 64*gib), offers("example.com/gpu", 2)))
	c.relearn()
	return c
}

func amounts(most int64) *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64Range(0, most), rapid.SampledFrom([]int64{0, -1, -most, math.MaxInt64, math.MinInt64 / 2}))
}

func anyNode(t *rapid.T, name string) *fakeNode {
	n := node(name, size(amounts(64000).Draw(t, "cpu"), amounts(256*gib).Draw(t, "memory")),
		used(amounts(64000).Draw(t, "usedCPU"), amounts(256*gib).Draw(t, "usedMemory")))
	n.allocatable.pods = rapid.IntRange(-1, 110).Draw(t, "pods")
	n.allocatable.ephemeral = amounts(100*gib).Draw(t, "ephemeral")
	if rapid.Bool().Draw(t, "hasGPU") {
		offers("example.com/gpu", amounts(8).Draw(t, "gpus"))(n)
	}
	if rapid.Bool().Draw(t, "inUse") {
		n.pods = []fwk.PodInfo{fakePod{pod: pod("on-" + name)}}
	}
	return n
}

func anyPod(t *rapid.T) *v1.Pod {
	list := []string{}
	for _, name := range []string{"cpu", "memory", "ephemeral-storage", "example.com/gpu", "example.com/unheard"} {
		if amount := rapid.SampledFrom([]string{"", "0", "1", "3", "2Gi", "9E", "99999E"}).Draw(t, name); amount != "" {
			list = append(list, name, amount)
		}
	}
	return pod("p", requests(list...))
}

func TestPointsForWhateverNodesAndPods(t *testing.T) {
	c, generation := pricedCluster(t), int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		p := anyPod(rt)
		var nodes []*fakeNode
		for i := range rapid.IntRange(1, 8).Draw(rt, "nodes") {
			nodes = append(nodes, anyNode(rt, fmt.Sprint("n", i)))
		}
		renew(&generation, nodes)
		first := compare(t, c.Plugin, p, nodes)
		again := compare(t, c.Plugin, p, rapid.Permutation(nodes).Draw(rt, "order"))
		if diff := cmp.Diff(points(first), points(again)); diff != "" {
			rt.Fatalf("points change with the order of nodes:\n%s", diff)
		}
		hundreds := 0
		for _, s := range first {
			if s.Score < fwk.MinScore || s.Score > fwk.MaxScore {
				rt.Fatalf("%d points", s.Score)
			}
			if s.Score == fwk.MaxScore {
				hundreds++
			}
		}
		if hundreds != 1 {
			rt.Fatalf("%d nodes got 100 points", hundreds)
		}
		for i, n := range nodes { // the same cluster under other names
			n.node.Name = fmt.Sprint("renamed", len(nodes)-i)
		}
		renew(&generation, nodes)
		if diff := cmp.Diff(inOrder(first), inOrder(compare(t, c.Plugin, p, nodes))); diff != "" {
			rt.Fatalf("points change with the names of nodes:\n%s", diff)
		}
	})
}

// renew gives nodes the generation of a changed node, from the counter of a test.
func renew(generation *int64, nodes []*fakeNode) {
	for _, n := range nodes {
		*generation++
		n.generation = *generation
	}
}

func inOrder(list fwk.NodeScoreList) []int64 {
	var all []int64
	for _, s := range list {
		all = append(all, s.Score)
	}
	slices.Sort(all)
	return all
}

func TestTheCostDoesNotDependOnUnits(t *testing.T) {
	c, n := pricedCluster(t), node("n", size(16000, 64*gib), used(3000, 5*gib, pod("x")))
	rapid.Check(t, func(rt *rapid.T) {
		cores, gibs := rapid.IntRange(1, 12).Draw(rt, "cores"), rapid.IntRange(1, 40).Draw(rt, "GiB")
		whole := scores(t, c.Plugin, pod("p", requests("cpu", fmt.Sprint(cores), "memory", fmt.Sprint(gibs, "Gi"))), []*fakeNode{n})
		parts := scores(t, c.Plugin, pod("p", requests("cpu", fmt.Sprint(cores*1000, "m"), "memory", fmt.Sprint(gibs*1024, "Mi"))), []*fakeNode{n})
		if whole[0].Score != parts[0].Score {
			rt.Fatalf("rank %d in whole units, %d in thousandths", whole[0].Score, parts[0].Score)
		}
	})
}

func TestTheBreakdownSumsToWhatWasCompared(t *testing.T) {
	const most = 1 << 30 * 1e-7 // shares: what a rank holds
	c, generation := pricedCluster(t), int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		p := anyPod(rt)
		nodes := []*fakeNode{anyNode(rt, "a"), anyNode(rt, "b")}
		c.handle.nodes = nodes
		renew(&generation, nodes)
		raw := map[string]float64{}
		for _, s := range scores(t, c.Plugin, p, nodes) {
			raw[s.Name] = float64(s.Score>>32-1<<30) * 1e-7
		}
		decision := c.decide(p, nodes)
		for _, option := range append(decision.RunnersUp, decision.Chosen) {
			if got := min(max(option.Cost.Total(), -most), most); math.Abs(got-raw[option.Node]) > 2e-7 {
				rt.Fatalf("%s was compared at %v, and its terms sum to %v: %s", option.Node, raw[option.Node], got, option.Cost)
			}
		}
	})
}

// The order of in-tree MostAllocated, whose score is the mean over resources of
// (used + asked) / allocatable, in the situations of its most_allocated_test.go.
// With the mix empty and stranding alone the order agrees but for:
//   - pods, and containers on the nodes, that ask for nothing: MostAllocated counts
//     100m and 200 MB for them, MarginalCost what they ask for (nothing), and goes
//     by pod slots where the pod itself asks for nothing;
//   - resources that the pod does not ask for: MostAllocated counts CPU and memory
//     for every pod, MarginalCost what the pod names;
//   - equal points and differences below one: there MostAllocated has no order.
func TestWithoutAMixTheOrderIsThatOfMostAllocated(t *testing.T) {
	both := pod("p", requests("cpu", "3", "memory", "5000"))
	gpu := pod("p", requests("cpu", "1", "memory", "1000", "example.com/gpu", "1"))
	x := pod("x")
	tests := map[string]struct {
		pod   *v1.Pod
		nodes []*fakeNode
	}{
		"nothing scheduled, nodes of one size":   {both, []*fakeNode{node("a", size(4000, 10000)), node("b", size(4000, 10000))}},
		"nothing scheduled, nodes differ in CPU": {both, []*fakeNode{node("a", size(4000, 10000)), node("b", size(6000, 10000))}},
		"pods scheduled on both": {both, []*fakeNode{
			node("a", size(10000, 20000), used(3000, 5000, x)), node("b", size(10000, 20000), used(6000, 5000, x)),
		}},
		"pods scheduled, one balanced and one not": {both, []*fakeNode{
			node("a", size(10000, 20000), used(6000, 0, x)), node("b", size(10000, 20000), used(6000, 5000, x)),
		}},
		"more requested than a node has left": {pod("p", requests("cpu", "6", "memory", "10000")), []*fakeNode{
			node("a", size(6000, 10000), used(3000, 0, x)), node("b", size(6000, 10000), used(6000, 5000, x)), node("c", size(12000, 10000)),
		}},
		"a full node beside an empty one": {both, []*fakeNode{
			node("a", size(4000, 10000)), node("b", size(40000, 100000), used(37000, 95000, x)),
		}},
		"an extended resource": {gpu, []*fakeNode{
			node("a", size(4000, 10000), offers("example.com/gpu", 8)), node("b", size(4000, 10000), offers("example.com/gpu", 2)),
		}},
	}
	plugin := build(t, `{`+timeFree+`}`, marginalcost.Options{}, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			points := map[string]int64{}
			for _, n := range test.nodes {
				points[n.node.Name] = mostAllocated(test.pod, n)
			}
			names := order(t, plugin, test.pod, test.nodes)
			for i := range len(names) - 1 {
				if points[names[i]] < points[names[i+1]] {
					t.Errorf("from best to worst %v, MostAllocated has %v", names, points)
				}
			}
		})
	}
}

// mostAllocated is the points of MostAllocated with weight 1 for each resource.
func mostAllocated(p *v1.Pod, n *fakeNode) int64 {
	part := func(asked, used, allocatable int64) int64 {
		return min(asked+used, allocatable) * fwk.MaxScore / allocatable
	}
	ask := p.Spec.Containers[0].Resources.Requests
	sum := part(ask.Cpu().MilliValue(), n.requested.milliCPU, n.allocatable.milliCPU) +
		part(ask.Memory().Value(), n.requested.memory, n.allocatable.memory)
	resources := int64(2)
	for name, allocatable := range n.allocatable.scalar {
		quantity := ask[name]
		sum += part(quantity.Value(), n.requested.scalar[name], allocatable)
		resources++
	}
	return sum / resources
}

// pinned150 is a mix of 150 shapes over five resources.
func pinned150() string {
	var shapes []string
	for i := range 150 {
		s := fmt.Sprintf(`"cpu":"%dm","memory":"%dMi","ephemeral-storage":"%dMi"`, 250*(1+i%13), 512*(1+i%17), 256*(1+i%7))
		if i%5 == 0 {
			s += fmt.Sprintf(`,"example.com/gpu":"%d"`, 1<<(i/5%3))
		}
		if i%3 == 0 {
			s += fmt.Sprintf(`,"hugepages-2Mi":"%dMi"`, 64*(1+i%11))
		}
		shapes = append(shapes, fmt.Sprintf(`{"requests":{%s},"weight":%d}`, s, 1+i%9))
	}
	return `{"mix":[` + strings.Join(shapes, ",") + `]}`
}

// largeCluster is 5,000 nodes in use, in four sizes, whose cost was computed once.
func largeCluster(t testing.TB) (*cluster, fwk.CycleState, *v1.Pod, []*fakeNode) {
	nodes := make([]*fakeNode, 5000)
	for i := range nodes {
		cores := int64(8 << (i % 4))
		nodes[i] = node(fmt.Sprint("n", i), size(cores*1000, cores*4*gib), offers("example.com/gpu", int64(i%4*2)),
			offers("hugepages-2Mi", gib), func(n *fakeNode) { n.allocatable.ephemeral = 100 * gib },
			used(cores*int64(i%10)*100, cores*int64(i%7)*gib/2))
		for j := range 10 {
			used(nodes[i].requested.milliCPU, nodes[i].requested.memory, pod(fmt.Sprint(i, "-", j), of(fmt.Sprint("web", j))))(nodes[i])
		}
	}
	c := newCluster(t, pinned150(), marginalcost.Options{}, nodes...)
	c.relearn()
	p := pod("p", requests("cpu", "1", "memory", "1Gi", "ephemeral-storage", "1Gi", "example.com/gpu", "1", "hugepages-2Mi", "64Mi"), of("new"))
	state := newState()
	scoresIn(t, state, c.Plugin, p, nodes)
	return c, state, p, nodes
}

func TestScoreAllocatesNothingWithAMix(t *testing.T) {
	c, state, p, nodes := largeCluster(t)
	i := 0
	allocs := testing.AllocsPerRun(1000, func() {
		if _, status := c.Score(context.Background(), state, p, nodes[i%len(nodes)]); !status.IsSuccess() {
			t.Fatal(status)
		}
		i++
	})
	if allocs != 0 {
		t.Errorf("%v allocations a node, want 0", allocs)
	}
}

// One iteration is one node.
func BenchmarkScoreOf5000NodesWith150Shapes(b *testing.B) {
	c, state, p, nodes := largeCluster(b)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if score, _ := c.Score(context.Background(), state, p, nodes[i]); score == 0 {
			b.Fatal("no score")
		}
		i = (i + 1) % len(nodes)
	}
}

func BenchmarkPreScoreOf5000Nodes(b *testing.B) {
	c, state, p, nodes := largeCluster(b)
	all := infos(nodes)
	b.ReportAllocs()
	for b.Loop() {
		if status := c.PreScore(context.Background(), state, p, all); !status.IsSuccess() {
			b.Fatal(status)
		}
	}
}

// One iteration is a new model of 150 shapes and four node types.
func BenchmarkRefreshOf5000Nodes(b *testing.B) {
	c, _, _, _ := largeCluster(b)
	for b.Loop() {
		c.relearn()
	}
}

// One iteration is three events: a pod is made, bound and deleted.
func BenchmarkPodEvents(b *testing.B) {
	c, replicas := newCluster(b, "", marginalcost.Options{}), int32(1000)
	err := c.handle.factory.Apps().V1().ReplicaSets().Informer().GetIndexer().Add(&appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-5c9"}, Spec: appsv1.ReplicaSetSpec{Replicas: &replicas},
	})
	if err != nil {
		b.Fatal(err)
	}
	waits := make([]*v1.Pod, 1000)
	bound := make([]*v1.Pod, len(waits))
	for i := range waits {
		waits[i] = pod(fmt.Sprint(i), requests("cpu", "1", "memory", "1Gi"), of("web"))
		bound[i] = pod(fmt.Sprint(i), requests("cpu", "1", "memory", "1Gi"), of("web"), on(fmt.Sprint("n", i)))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c.handler.OnAdd(waits[i], false)
		c.handler.OnUpdate(waits[i], bound[i])
		c.handler.OnDelete(bound[i])
		i = (i + 1) % len(waits)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/3, "ns/event")
}
