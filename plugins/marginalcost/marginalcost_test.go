package marginalcost_test

import (
	cmpstd "cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
	fwk "k8s.io/kube-scheduler/framework"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

func TestTheCheapestNodeGetsThePod(t *testing.T) {
	web := pod("other")
	tests := map[string]struct {
		args  string
		pod   *v1.Pod
		nodes []*fakeNode
		want  []string // from best to worst
	}{
		"the fuller of two nodes in use": {
			pod:   pod("p", requests("cpu", "1", "memory", "4Gi")),
			nodes: []*fakeNode{node("a", used(1000, 4*gib, web)), node("b", used(2000, 8*gib, web))},
			want:  []string{"b", "a"},
		},
		"a node in use before an empty one that fits exactly": {
			pod:   pod("p", requests("cpu", "1", "memory", "4Gi")),
			nodes: []*fakeNode{node("empty", size(1000, 4*gib)), node("used", size(96000, 384*gib), used(100, gib, web))},
			want:  []string{"used", "empty"},
		},
		"with opening free the empty node that fits exactly": {
			args:  `{"prices":{"opening":0}}`,
			pod:   pod("p", requests("cpu", "1", "memory", "4Gi")),
			nodes: []*fakeNode{node("empty", size(1000, 4*gib)), node("used", size(96000, 384*gib), used(100, gib, web))},
			want:  []string{"empty", "used"},
		},
		"pods of a DaemonSet and static pods do not make a node used": {
			pod: pod("p", requests("cpu", "1", "memory", "4Gi")),
			nodes: []*fakeNode{
				node("system", used(2900, 11*gib, pod("d", ownedBy("DaemonSet")), pod("m", mirror), pod("s", ownedBy("Node")))),
				node("used", used(100, gib, web)),
			},
			want: []string{"used", "system"},
		},
		"a pod of a DaemonSet opens no node itself": {
			pod:   pod("p", requests("cpu", "1"), ownedBy("DaemonSet")),
			nodes: []*fakeNode{node("empty", size(2000, 4*gib)), node("used", used(100, gib, web))},
			want:  []string{"empty", "used"},
		},
		"of two empty nodes the one with less left over": {
			pod:   pod("p", requests("cpu", "3", "memory", "4Gi")),
			nodes: []*fakeNode{node("large", size(64000, 256*gib)), node("small")},
			want:  []string{"small", "large"},
		},
		"resources the pod does not ask for do not count": {
			pod: pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{
				node("memory-full", used(1000, 15*gib, web)),
				node("cpu-full", used(3000, 0, web)),
			},
			want: []string{"cpu-full", "memory-full"},
		},
		"an extended resource counts when both name it": {
			pod: pod("p", requests("cpu", "1", "example.com/gpu", "1")),
			nodes: []*fakeNode{
				node("eight", offers("example.com/gpu", 8), used(1000, 0, web)),
				node("one", offers("example.com/gpu", 1), used(1000, 0, web)),
			},
			want: []string{"one", "eight"},
		},
		"a resource of which the pod asks for nothing does not count": {
			pod: pod("p", requests("cpu", "1", "example.com/gpu", "0")),
			nodes: []*fakeNode{
				node("with", offers("example.com/gpu", 8), used(2000, 0, web)),
				node("without", used(1500, 0, web)),
			},
			want: []string{"with", "without"},
		},
		"ephemeral storage counts when it is asked for": {
			pod: pod("p", requests("ephemeral-storage", "10Gi")),
			nodes: []*fakeNode{
				node("large", used(0, 0, web), func(n *fakeNode) { n.allocatable.ephemeral = 100 * gib }),
				node("small", used(0, 0, web), func(n *fakeNode) { n.allocatable.ephemeral = 20 * gib }),
			},
			want: []string{"small", "large"},
		},
		"a pod without requests goes by pod slots": {
			pod:   pod("p"),
			nodes: []*fakeNode{node("one", used(3000, 0, web)), node("two", used(100, 0, web, web))},
			want:  []string{"two", "one"},
		},
		"a sidecar and the overhead are part of the request": {
			pod: pod("p", requests("cpu", "1"), func(p *v1.Pod) {
				always := v1.ContainerRestartPolicyAlways
				p.Spec.InitContainers = []v1.Container{{RestartPolicy: &always, Resources: v1.ResourceRequirements{Requests: resources("cpu", "1")}}}
				p.Spec.Overhead = resources("cpu", "500m")
			}),
			// With all 2.5 cores nothing is left of small and 1.5 of 17 of large;
			// with the container's core alone large would leave less.
			nodes: []*fakeNode{
				node("large", size(17000, 16*gib), used(13000, 0, web)),
				node("small", used(1500, 0, web)),
			},
			want: []string{"small", "large"},
		},
		"equal costs go to the fullest node": {
			pod: pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{
				node("a", used(1000, 2*gib, web)),
				node("b", used(1000, 8*gib, web)),
			},
			want: []string{"b", "a"},
		},
		"then to the oldest": {
			pod: pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{
				node("a", madeAfter(3*time.Hour), used(1000, gib, web)),
				node("b", madeAfter(time.Hour), used(1000, gib, web)),
			},
			want: []string{"b", "a"},
		},
		"then by name": {
			pod:   pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{node("b", used(1000, gib, web)), node("a", used(1000, gib, web)), node("c", used(1000, gib, web))},
			want:  []string{"a", "b", "c"},
		},
		"a node that offers nothing is never preferred": {
			pod:   pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{node("broken", size(0, 0), func(n *fakeNode) { n.allocatable.pods = 0 }), node("empty")},
			want:  []string{"empty", "broken"},
		},
		"the largest quantities break nothing": {
			pod:   pod("p", requests("cpu", "9E", "memory", "99999E")),
			nodes: []*fakeNode{node("huge", size(math.MaxInt64, math.MaxInt64), used(math.MaxInt64, 0, web)), node("small")},
			want:  []string{"huge", "small"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plugin := build(t, test.args, marginalcost.Options{}, nil)
			if diff := cmp.Diff(test.want, order(t, plugin, test.pod, test.nodes)); diff != "" {
				t.Errorf("nodes from best to worst (-want +got):\n%s", diff)
			}
			slices.Reverse(test.nodes)
			if diff := cmp.Diff(test.want, order(t, plugin, test.pod, test.nodes)); diff != "" {
				t.Errorf("with the list of nodes reversed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPointsShowTheAbsoluteDifference(t *testing.T) {
	web := pod("other")
	free := func(name string, share float64) *fakeNode {
		return node(name, size(1_000_000, gib), used(int64(1_000_000*(1-share)), 0, web),
			func(n *fakeNode) { n.allocatable.pods = 0 })
	}
	plugin := build(t, "", marginalcost.Options{}, nil)
	got := points(compare(t, plugin, pod("p", requests("cpu", "1m")), []*fakeNode{
		free("0.1", 0.1), free("same", 0.1), free("0.1001", 0.1001), free("0.101", 0.101), free("0.2", 0.2), free("0.9", 0.9),
	}))
	want := map[string]int64{"0.1": 100, "same": 99, "0.1001": 92, "0.101": 75, "0.2": 29, "0.9": 9}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("points (-want +got):\n%s", diff)
	}
}

func TestNewRejects(t *testing.T) {
	tests := map[string]struct{ args, says string }{
		"a misspelt field":               {`{"price":{}}`, `unknown field "price"`},
		"a misspelt term":                {`{"prices":{"openning":1}}`, `unknown field "prices.openning"`},
		"a field given twice":            {`{"prices":{"opening":1,"opening":2}}`, `duplicate field "prices.opening"`},
		"a negative price":               {`{"prices":{"opening":-0.5}}`, "args.prices.opening: Invalid value: -0.5: must be from 0 to 10 shares of a node"},
		"a price too high":               {`{"prices":{"stranding":11}}`, "args.prices.stranding: Invalid value: 11: must be from 0 to 10"},
		"an overflowing price":           {`{"prices":{"stranding":1e999}}`, "prices.stranding"},
		"a price of lifetime too high":   {`{"prices":{"lifetime":10.5}}`, "args.prices.lifetime: Invalid value: 10.5: must be from 0 to 10"},
		"a mix that sums to zero":        {`{"mix":[{"requests":{"cpu":"1"},"weight":0}]}`, "args.mix"},
		"a negative weight":              {`{"mix":[{"requests":{"cpu":"1"},"weight":-1}]}`, "args.mix[0].weight"},
		"a request that is no quantity":  {`{"mix":[{"requests":{"cpu":"much"},"weight":1}]}`, "args.mix[0].requests[cpu]"},
		"an unknown resource in the mix": {`{"mix":[{"requests":{"cpus":"1"},"weight":1}]}`, "args.mix[0].requests[cpus]"},
		"an unknown field in the mix":    {`{"mix":[{"request":{"cpu":"1"},"weight":1}]}`, `unknown field "mix[0].request"`},
		"a price that is a word":         {`{"prices":{"stranding":"high"}}`, "prices.stranding"},
		"nothing that costs":             {`{"prices":{"opening":0,"stranding":0,"lifetime":0}}`, "at least one price must be above 0"},
		"too many decisions":             {`{"recentDecisions":65537}`, "args.recentDecisions: Invalid value: 65537: must be from 0 to 65536"},
		"fewer than no decisions":        {`{"recentDecisions":-1}`, "args.recentDecisions"},
		"a fraction of a decision":       {`{"recentDecisions":1.5}`, "recentDecisions"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := marginalcost.New(t.Context(), &runtime.Unknown{Raw: []byte(test.args)}, nil)
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "MarginalCost") {
				t.Errorf("error %v, want one of MarginalCost with %s", err, test.says)
			}
		})
	}
}

func TestScoreRejectsANodeThatHasLeft(t *testing.T) {
	gone := node("gone")
	gone.node = nil
	_, status := build(t, "", marginalcost.Options{}, nil).Score(t.Context(), newState(), pod("p"), gone)
	if status.Code() != fwk.Error {
		t.Errorf("status %v, want an error", status)
	}
}

func TestScoreWithoutPreScoreIsTheSame(t *testing.T) {
	plugin, p, n := build(t, "", marginalcost.Options{}, nil), pod("p", requests("cpu", "1")), node("a")
	without, _ := plugin.Score(t.Context(), newState(), p, n)
	if with := scores(t, plugin, p, []*fakeNode{n})[0].Score; with != without {
		t.Errorf("score %d with PreScore, %d without", with, without)
	}
}

func TestSignatureHoldsWhatTheScoreReads(t *testing.T) {
	base := pod("a", requests("cpu", "1", "memory", "1Gi"))
	tests := map[string]struct {
		other *v1.Pod
		same  bool
	}{
		"another name is the same":              {pod("b", requests("cpu", "1", "memory", "1Gi")), true},
		"another spelling is the same":          {pod("b", requests("memory", "1024Mi", "cpu", "1000m")), true},
		"other labels are the same":             {pod("b", requests("cpu", "1", "memory", "1Gi"), func(p *v1.Pod) { p.Labels = map[string]string{"a": "b"} }), true},
		"another request differs":               {pod("b", requests("cpu", "1001m", "memory", "1Gi")), false},
		"an extended resource differs":          {pod("b", requests("cpu", "1", "memory", "1Gi", "example.com/gpu", "1")), false},
		"a pod that does not use nodes differs": {pod("b", requests("cpu", "1", "memory", "1Gi"), ownedBy("DaemonSet")), false},
	}
	plugin := build(t, "", marginalcost.Options{}, nil)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if same := sign(t, plugin, base) == sign(t, plugin, test.other); same != test.same {
				t.Errorf("same signature: %t, want %t", same, test.same)
			}
		})
	}
}

func TestRequestsBeyondInt64AreTheLargestInt64(t *testing.T) {
	signature := sign(t, build(t, "", marginalcost.Options{}, nil), pod("p", requests("cpu", "10E", "memory", "10E")))
	if got := strings.Count(signature, fmt.Sprint(`"amount":`, math.MaxInt64)); got != 2 {
		t.Errorf("%d of 2 requests are the largest int64 in %s", got, signature)
	}
}

func TestDecisionIsRecordedOnceBound(t *testing.T) {
	web := pod("other")
	p := pod("web", requests("cpu", "1", "memory", "4Gi"))
	nodes := []*fakeNode{
		node("a", used(3000, 12*gib, web), noSlots),
		node("b", used(1000, 4*gib, web), noSlots),
		node("c", noSlots),
	}
	// A pod of which nothing is known is thought to keep an empty node for 0.6885
	// times 6 h, and a node beside one other such pod for 0.587 times.
	tests := map[string]struct {
		chosen   string
		compared []*fakeNode
		want     string
	}{
		"the favourite": {
			chosen: "a", compared: nodes,
			want: "default/web went to a (cost 0.587 of a node: lifetime 0.587) rather than b (1.087: stranding 0.5 + lifetime 0.587), 3 candidates",
		},
		"the favourite, listed last": {
			chosen: "a", compared: []*fakeNode{nodes[2], nodes[1], nodes[0]},
			want: "default/web went to a (cost 0.587 of a node: lifetime 0.587) rather than b (1.087: stranding 0.5 + lifetime 0.587), 3 candidates",
		},
		"another than the favourite": {
			chosen: "c", compared: nodes,
			want: "default/web went to c (cost 2.4385 of a node: opening 1 + stranding 0.75 + lifetime 0.6885) rather than a (0.587: lifetime 0.587), 3 candidates;" +
				" a costs least, but other plugins outweighed it",
		},
		"the next of a batch, nothing compared": {
			chosen: "b",
			want:   "default/web went to b (cost 1.087 of a node: stranding 0.5 + lifetime 0.587), no other node compared",
		},
		"a lone candidate that was scored": {
			chosen: "b", compared: nodes[1:2],
			want: "default/web went to b (cost 1.087 of a node: stranding 0.5 + lifetime 0.587), 1 candidate",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ring := &decisions.Ring{}
			clock := clocktesting.NewFakePassiveClock(newYear)
			plugin := build(t, "", marginalcost.Options{Decisions: ring, Clock: clock}, &fakeHandle{nodes: nodes})
			if test.compared != nil {
				compare(t, plugin, p, test.compared)
			}
			state := newState()
			if status := plugin.Reserve(t.Context(), state, p, test.chosen); !status.IsSuccess() {
				t.Fatal(status)
			}
			if kept := ring.Latest(1); len(kept) != 0 {
				t.Fatalf("recorded before it was bound: %v", kept)
			}
			plugin.PostBind(t.Context(), state, p, test.chosen)
			kept := ring.Latest(2)
			if len(kept) != 1 {
				t.Fatalf("%d decisions recorded, want 1", len(kept))
			}
			if diff := cmp.Diff(test.want, kept[0].Sentence()); diff != "" {
				t.Errorf("sentence (-want +got):\n%s", diff)
			}
			for i, other := range kept[0].RunnersUp {
				if other.Node == test.chosen || i > 0 && other.Cost.Total() < kept[0].RunnersUp[i-1].Cost.Total() {
					t.Errorf("runners-up %+v are not the other nodes, the cheapest first", kept[0].RunnersUp)
				}
			}
			if want := max(0, len(test.compared)-1); len(kept[0].RunnersUp) != want {
				t.Errorf("%d runners-up, want %d", len(kept[0].RunnersUp), want)
			}
			if !kept[0].Time.Equal(newYear) || kept[0].UID != p.UID || kept[0].Profile != "plimsoll-scheduler" {
				t.Errorf("time, uid or profile is wrong: %+v", kept[0])
			}
		})
	}
}

func TestAComparisonOfAnotherPodIsNotUsed(t *testing.T) {
	nodes := []*fakeNode{node("a", used(1000, gib, pod("other"))), node("b")}
	ring := &decisions.Ring{}
	plugin := build(t, "", marginalcost.Options{Decisions: ring}, &fakeHandle{nodes: nodes})
	compare(t, plugin, pod("first"), nodes)

	state, second := newState(), pod("second")
	plugin.Reserve(t.Context(), state, second, "b")
	plugin.PostBind(t.Context(), state, second, "b")
	if got := ring.Latest(1)[0]; got.Outcome() != decisions.Uncompared || len(got.RunnersUp) != 0 {
		t.Errorf("the decision uses another pod's comparison: %s", got.Sentence())
	}
}

func TestAComparisonIsUsedOnce(t *testing.T) {
	nodes, p := []*fakeNode{node("a"), node("b")}, pod("web")
	ring := &decisions.Ring{}
	plugin := build(t, "", marginalcost.Options{Decisions: ring}, &fakeHandle{nodes: nodes})
	compare(t, plugin, p, nodes)
	for range 2 { // the second attempt, after a failed one, is handed a node by a batch
		state := newState()
		plugin.Reserve(t.Context(), state, p, "a")
		plugin.PostBind(t.Context(), state, p, "a")
	}
	if latest := ring.Latest(2); latest[0].Outcome() != decisions.Uncompared || latest[1].Outcome() != decisions.Won {
		t.Errorf("outcomes %s then %s, want won then uncompared", latest[1].Outcome(), latest[0].Outcome())
	}
}

func TestAPodAlreadyAssumedOnTheNodeIsNotCountedTwice(t *testing.T) {
	p := pod("web", requests("cpu", "1"))
	assumed := node("a", used(3000, 0, pod("other"), p), noSlots) // as in a scheduling cycle of a pod group
	ring := &decisions.Ring{}
	plugin := build(t, "", marginalcost.Options{Decisions: ring}, &fakeHandle{nodes: []*fakeNode{assumed}})
	state := newState()
	compare(t, plugin, p, []*fakeNode{assumed})
	plugin.Reserve(t.Context(), state, p, "a") // to try the group
	plugin.Reserve(t.Context(), state, p, "a") // to place it
	plugin.PostBind(t.Context(), state, p, "a")
	want := "default/web went to a (cost 0.837 of a node: stranding 0.25 + lifetime 0.587), 1 candidate"
	if diff := cmp.Diff(want, ring.Latest(1)[0].Sentence()); diff != "" {
		t.Errorf("sentence (-want +got):\n%s", diff)
	}
	if len(assumed.pods) != 2 {
		t.Errorf("the snapshot's own node was changed: %d pods, want 2", len(assumed.pods))
	}
}

func TestRecordingToleratesWhatIsMissing(t *testing.T) {
	p := pod("web")
	tests := map[string]*marginalcost.Plugin{
		"a node that has left": build(t, "", marginalcost.Options{Decisions: &decisions.Ring{}}, &fakeHandle{}),
		"no handle":            build(t, "", marginalcost.Options{Decisions: &decisions.Ring{}}, nil),
		"no ring":              build(t, "", marginalcost.Options{}, &fakeHandle{nodes: []*fakeNode{node("a")}}),
	}
	for name, plugin := range tests {
		t.Run(name, func(t *testing.T) {
			state := newState()
			if status := plugin.Reserve(t.Context(), state, p, "a"); !status.IsSuccess() {
				t.Errorf("Reserve: %v", status)
			}
			plugin.PostBind(t.Context(), state, p, "a")
			plugin.PostBind(t.Context(), newState(), p, "a")
			plugin.Unreserve(t.Context(), state, p, "a")
		})
	}
}

func TestArgsSetHowManyDecisionsAreKept(t *testing.T) {
	ring, nodes := &decisions.Ring{}, []*fakeNode{node("a")}
	plugin := build(t, `{"recentDecisions":2}`, marginalcost.Options{Decisions: ring}, &fakeHandle{nodes: nodes})
	build(t, `{"recentDecisions":1}`, marginalcost.Options{Decisions: ring}, nil) // a second profile
	for i := range 5 {
		p, state := pod(fmt.Sprint(i)), newState()
		plugin.Reserve(t.Context(), state, p, "a")
		plugin.PostBind(t.Context(), state, p, "a")
	}
	if got := len(ring.Latest(10)); got != 2 {
		t.Errorf("%d decisions kept, want 2", got)
	}
}

func TestMetricsAreSharedByAllInstances(t *testing.T) {
	legacyregistry.Reset()
	nodes := []*fakeNode{node("a", size(2000, gib), noSlots)}
	p := pod("web", requests("cpu", "1"))
	for range 2 { // two profiles, or a second scheduler in one process
		plugin, state := build(t, "", marginalcost.Options{}, &fakeHandle{nodes: nodes}), newState()
		compare(t, plugin, p, nodes)
		plugin.Reserve(t.Context(), state, p, "a")
		plugin.PostBind(t.Context(), state, p, "a")
	}
	want := `
# HELP plimsoll_marginalcost_decisions_total [ALPHA] Pods bound, by scheduler profile and by whether the node of least cost was chosen (won, outweighed, uncompared).
# TYPE plimsoll_marginalcost_decisions_total counter
plimsoll_marginalcost_decisions_total{outcome="won",profile="plimsoll-scheduler"} 2
`
	if err := testutil.GatherAndCompare(legacyregistry.DefaultGatherer, strings.NewReader(want), "plimsoll_marginalcost_decisions_total"); err != nil {
		t.Error(err)
	}
	sum, err := testutil.GetHistogramVecFromGatherer(legacyregistry.DefaultGatherer,
		"plimsoll_marginalcost_placement_cost_node_shares", map[string]string{"term": "stranding"})
	if err != nil {
		t.Fatal(err)
	}
	if got := sum.GetAggregatedSampleSum(); got != 1 {
		t.Errorf("stranding recorded in sum: %v, want 2 x 0.5", got)
	}
}

func TestNormalizeScoreKeepsItsPromises(t *testing.T) {
	plugin := build(t, "", marginalcost.Options{}, nil)
	rapid.Check(t, func(t *rapid.T) {
		raw := fwk.NodeScoreList{}
		for i := range rapid.IntRange(1, 12).Draw(t, "nodes") {
			p := pod("p", requests("cpu", "1"))
			n := node(fmt.Sprint("n", i), used(rapid.Int64Range(0, 12).Draw(t, "cpu")*250, 0))
			if rapid.Bool().Draw(t, "inUse") {
				n.pods = []fwk.PodInfo{fakePod{pod: pod("other")}}
			}
			score, status := plugin.Score(context.Background(), newState(), p, n)
			if !status.IsSuccess() {
				t.Fatal(status)
			}
			raw = append(raw, fwk.NodeScore{Name: n.node.Name, Score: score})
		}
		first, again := slices.Clone(raw), rapid.Permutation(raw).Draw(t, "order")
		plugin.NormalizeScore(context.Background(), newState(), pod("p"), first)
		plugin.NormalizeScore(context.Background(), newState(), pod("p"), again)
		if diff := cmp.Diff(points(first), points(again)); diff != "" {
			t.Fatalf("points change with the order of nodes:\n%s", diff)
		}
		hundreds := 0
		for i, a := range first {
			if a.Score < fwk.MinScore || a.Score > fwk.MaxScore {
				t.Fatalf("%d points", a.Score)
			}
			if a.Score == fwk.MaxScore {
				hundreds++
			}
			for j, b := range first {
				if raw[i].Score < raw[j].Score && a.Score < b.Score {
					t.Fatalf("rank %d got %d points, the worse rank %d got %d", raw[i].Score, a.Score, raw[j].Score, b.Score)
				}
			}
		}
		if hundreds != 1 {
			t.Fatalf("%d nodes got 100 points", hundreds)
		}
	})
}

func TestNormalizeScoreOfNoNodes(t *testing.T) {
	status := build(t, "", marginalcost.Options{}, nil).NormalizeScore(t.Context(), newState(), pod("p"), nil)
	if !status.IsSuccess() {
		t.Error(status)
	}
}

func TestScoreAllocatesNothing(t *testing.T) {
	plugin, state, p, n := busyNode(t)
	allocs := testing.AllocsPerRun(1000, func() {
		if _, status := plugin.Score(context.Background(), state, p, n); !status.IsSuccess() {
			t.Fatal(status)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations a node, want 0", allocs)
	}
}

// Run with: go test ./plugins/marginalcost -run - -bench . -count 10 | tee new.txt;
// compare two such files with benchstat.
func BenchmarkScore(b *testing.B) {
	plugin, state, p, n := busyNode(b)
	b.ReportAllocs()
	for b.Loop() {
		if score, _ := plugin.Score(context.Background(), state, p, n); score == 0 {
			b.Fatal("no score")
		}
	}
}

func BenchmarkNormalizeScoreOf5000Nodes(b *testing.B) {
	plugin, p := build(b, "", marginalcost.Options{}, nil), pod("p", requests("cpu", "1"))
	nodes := make([]*fakeNode, 5000)
	for i := range nodes {
		nodes[i] = node(fmt.Sprint("n", i), used(int64(i%3000), 0, pod("other")))
	}
	state := newState()
	raw := scoresIn(b, state, plugin, p, nodes)
	list := make(fwk.NodeScoreList, len(raw))
	b.ReportAllocs()
	for b.Loop() {
		copy(list, raw)
		if status := plugin.NormalizeScore(context.Background(), state, p, list); !status.IsSuccess() {
			b.Fatal(status)
		}
	}
}

// busyNode has ten pods of the system before the first that uses the node, and
// five resources.
func busyNode(t testing.TB) (*marginalcost.Plugin, fwk.CycleState, *v1.Pod, *fakeNode) {
	p := pod("p", requests("cpu", "1", "memory", "1Gi", "ephemeral-storage", "1Gi", "example.com/gpu", "1"))
	n := node("a", offers("example.com/gpu", 8), func(n *fakeNode) { n.allocatable.ephemeral = 100 * gib })
	for i := range 10 {
		used(1000, gib, pod(fmt.Sprint(i), ownedBy("DaemonSet")))(n)
	}
	used(1000, gib, pod("web"))(n)
	plugin, state := build(t, "", marginalcost.Options{}, nil), newState()
	plugin.PreScore(context.Background(), state, p, []fwk.NodeInfo{n})
	return plugin, state, p, n
}

func noSlots(n *fakeNode) { n.allocatable.pods = 0 }

// build goes through the factory as kube-scheduler does. args is JSON or empty.
func build(t testing.TB, args string, o marginalcost.Options, handle *fakeHandle) *marginalcost.Plugin {
	t.Helper()
	var obj runtime.Object
	if args != "" {
		obj = &runtime.Unknown{Raw: []byte(args), ContentType: runtime.ContentTypeJSON}
	}
	var h fwk.Handle
	if handle != nil {
		h = handle
	}
	if o.Background == nil {
		o.Background = func(func(time.Time) bool) {} // nothing is learned unless a test says when
	}
	plugin, err := o.New(t.Context(), obj, h)
	if err != nil {
		t.Fatal(err)
	}
	return plugin.(*marginalcost.Plugin)
}

func scores(t testing.TB, plugin *marginalcost.Plugin, p *v1.Pod, nodes []*fakeNode) fwk.NodeScoreList {
	t.Helper()
	return scoresIn(t, newState(), plugin, p, nodes)
}

// scoresIn is scores in a cycle whose state is looked at afterwards.
func scoresIn(t testing.TB, state fwk.CycleState, plugin *marginalcost.Plugin, p *v1.Pod, nodes []*fakeNode) fwk.NodeScoreList {
	t.Helper()
	if status := plugin.PreScore(context.Background(), state, p, infos(nodes)); !status.IsSuccess() {
		t.Fatal(status)
	}
	list := fwk.NodeScoreList{}
	for _, n := range nodes {
		score, status := plugin.Score(context.Background(), state, p, n)
		if !status.IsSuccess() {
			t.Fatal(status)
		}
		list = append(list, fwk.NodeScore{Name: n.node.Name, Score: score})
	}
	return list
}

// compare runs a pod through PreScore, Score and NormalizeScore.
func compare(t testing.TB, plugin *marginalcost.Plugin, p *v1.Pod, nodes []*fakeNode) fwk.NodeScoreList {
	t.Helper()
	state := newState()
	list := scoresIn(t, state, plugin, p, nodes)
	if status := plugin.ScoreExtensions().NormalizeScore(context.Background(), state, p, list); !status.IsSuccess() {
		t.Fatal(status)
	}
	return list
}

// order names the nodes from best to worst and checks that the points agree.
// The ranks tell apart what the points cannot.
func order(t *testing.T, plugin *marginalcost.Plugin, p *v1.Pod, nodes []*fakeNode) []string {
	t.Helper()
	ranked, got := scores(t, plugin, p, nodes), points(compare(t, plugin, p, nodes))
	slices.SortFunc(ranked, func(a, b fwk.NodeScore) int {
		return cmpstd.Or(cmpstd.Compare(a.Score, b.Score), strings.Compare(a.Name, b.Name))
	})
	var names []string
	for i, s := range ranked {
		names = append(names, s.Name)
		if (got[s.Name] == fwk.MaxScore) != (i == 0) || i > 0 && got[s.Name] > got[names[i-1]] {
			t.Errorf("points %v do not follow the ranks %v", got, ranked)
		}
	}
	return names
}

func infos(nodes []*fakeNode) []fwk.NodeInfo {
	all := make([]fwk.NodeInfo, len(nodes))
	for i, n := range nodes {
		all[i] = n
	}
	return all
}

func points(list fwk.NodeScoreList) map[string]int64 {
	byName := map[string]int64{}
	for _, s := range list {
		byName[s.Name] = s.Score
	}
	return byName
}

func sign(t *testing.T, plugin *marginalcost.Plugin, p *v1.Pod) string {
	t.Helper()
	fragments, status := plugin.SignPod(t.Context(), p)
	if !status.IsSuccess() || len(fragments) != 1 {
		t.Fatalf("%v: %v", fragments, status)
	}
	data, err := json.Marshal(fragments)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
