package marginalcost_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

func TestLearningFollowsThePods(t *testing.T) {
	small, large := requests("cpu", "1"), requests("cpu", "2")
	waits, runs := pod("p", small), pod("p", small, on("a"))
	type learned struct{ Shapes, Pods, Turnover float64 }
	tests := map[string]struct {
		events func(c *cluster)
		want   learned
	}{
		"no pods": {func(*cluster) {}, learned{0, 0, 1}},
		"a pod that waits is demand": {
			func(c *cluster) { c.handler.OnAdd(waits, false) }, learned{1, 1, 1},
		},
		"a pod that is bound has started": {
			func(c *cluster) { c.arrive(waits, "a") }, learned{1, 1, 0.1 / 1.1},
		},
		"one found running, as after a restart, has not": {
			func(c *cluster) { c.handler.OnAdd(runs, true) }, learned{1, 1, 1},
		},
		"a pod told of twice counts once": {
			func(c *cluster) { c.arrive(waits, "a"); c.handler.OnAdd(runs, false) }, learned{1, 1, 0.1 / 1.1},
		},
		"a gated pod is no demand": {
			func(c *cluster) { c.handler.OnAdd(pod("p", small, gated), false) }, learned{0, 0, 1},
		},
		"until the gate is lifted": {
			func(c *cluster) {
				c.handler.OnAdd(pod("p", small, gated), false)
				c.handler.OnUpdate(pod("p", small, gated), waits)
			}, learned{1, 1, 1},
		},
		"a pod that succeeds has ended": {
			func(c *cluster) {
				c.arrive(pod("other", small), "a")
				c.handler.OnUpdate(c.arrive(waits, "a"), pod("p", small, on("a"), in(v1.PodSucceeded)))
			}, learned{1, 1, 1.1 / 2.1},
		},
		"and not again when it is deleted": {
			func(c *cluster) {
				c.arrive(pod("other", small), "a")
				done := pod("p", small, on("a"), in(v1.PodFailed))
				c.handler.OnUpdate(c.arrive(waits, "a"), done)
				c.handler.OnDelete(done)
			}, learned{1, 1, 1.1 / 2.1},
		},
		"a pod found when it had finished is nothing": {
			func(c *cluster) { c.handler.OnAdd(pod("p", small, on("a"), in(v1.PodSucceeded)), true) }, learned{0, 0, 1},
		},
		"a deletion of which only a tombstone is left": {
			func(c *cluster) {
				c.arrive(pod("other", small), "a")
				c.handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "default/p", Obj: c.arrive(waits, "a")})
			}, learned{1, 1, 1.1 / 2.1},
		},
		"a pod replaced by another of its name in one event": {
			func(c *cluster) {
				c.arrive(pod("other", small), "a")
				next := pod("p", small)
				next.UID = "another"
				c.handler.OnUpdate(c.arrive(waits, "a"), next)
			}, learned{1, 2, 1.1 / 2.1},
		},
		"pods that come with their node are no demand": {
			func(c *cluster) {
				c.arrive(pod("d", small, ownedBy("DaemonSet")), "a")
				c.handler.OnAdd(pod("m", small, mirror, on("a")), false)
			}, learned{0, 0, 1},
		},
		"a resize changes the shape": {
			func(c *cluster) {
				c.arrive(pod("other", large), "a")
				c.handler.OnUpdate(c.arrive(waits, "a"), pod("p", large, on("a"), generation(2)))
			}, learned{1, 2, 0.1 / 2.1},
		},
		"pods of two shapes": {
			func(c *cluster) { c.arrive(waits, "a"); c.arrive(pod("other", large), "a") }, learned{2, 2, 0.1 / 2.1},
		},
		"what is no pod is left alone": {
			func(c *cluster) {
				c.handler.OnAdd("pod", false)
				c.handler.OnUpdate("pod", "pod")
				c.handler.OnDelete(cache.DeletedFinalStateUnknown{Key: "default/p", Obj: "pod"})
			}, learned{0, 0, 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, "", marginalcost.Options{}, node("a"))
			test.events(c)
			c.learn(c.clock.Now())
			got := learned{gauge(t, "mix_shapes"), gauge(t, "mix_weight_pods"), gauge(t, "turnover_ratio")}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(near)); diff != "" {
				t.Errorf("learned (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDemandThatWasNeverMetFades(t *testing.T) {
	c := newCluster(t, "", marginalcost.Options{})
	p := pod("p", requests("cpu", "1"))
	c.handler.OnAdd(p, false)
	c.handler.OnDelete(p)
	c.pass(time.Hour)
	c.learn(c.clock.Now())
	if got := gauge(t, "mix_weight_pods"); !near(got, 0.5) {
		t.Errorf("an hour after it was given up a pod counts %v, want 0.5", got)
	}
}

func TestWhenANewModelIsDue(t *testing.T) {
	tests := map[string]struct {
		live, fresh int
		after       time.Duration
		want        bool
	}{
		"nothing new":                            {live: 40, after: time.Minute, want: false},
		"nothing new for ten minutes":            {live: 40, after: 10 * time.Minute, want: true},
		"less than a twentieth is new":           {live: 40, fresh: 1, after: time.Minute, want: false},
		"a twentieth is new":                     {live: 40, fresh: 2, after: time.Minute, want: true},
		"a twentieth is new but within a second": {live: 40, fresh: 2, after: 999 * time.Millisecond, want: false},
		"the first pod of all":                   {fresh: 1, after: time.Second, want: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, "", marginalcost.Options{}, node("a"))
			for i := range test.live {
				c.handler.OnAdd(pod(fmt.Sprint("live", i), on("a")), true)
			}
			if !c.learn(c.clock.Now()) {
				t.Fatal("the first model was not made")
			}
			for i := range test.fresh {
				c.handler.OnAdd(pod(fmt.Sprint("fresh", i)), false)
			}
			c.pass(test.after)
			if got := c.learn(c.clock.Now()); got != test.want {
				t.Errorf("a new model was made: %t, want %t", got, test.want)
			}
		})
	}
}

// lifetimeAfter is what keeping an empty node for a pod costs when twenty like it
// were deleted, all five minutes old and looking like last.
func lifetimeAfter(t *testing.T, last ...func(*v1.Pod)) float64 {
	c := newCluster(t, "", marginalcost.Options{}, node("a"))
	var running []*v1.Pod
	for i := range 20 {
		running = append(running, c.arrive(pod(fmt.Sprint(i), requests("cpu", "1")), "a"))
	}
	c.pass(5 * time.Minute)
	for _, p := range running {
		for _, change := range last {
			change(p)
		}
		c.handler.OnDelete(p)
	}
	c.relearn()
	return c.decide(pod("p", requests("cpu", "1")), []*fakeNode{node("a")}).Chosen.Cost.Share(cost.Lifetime)
}

func TestLifetimesAreLearnedFromPodsThatEndByThemselves(t *testing.T) {
	ended, evicted := lifetimeAfter(t), lifetimeAfter(t, disrupted)
	if ended > 0.6885/2 {
		t.Errorf("after twenty lives of 5 minutes a pod is thought to keep its node for %v times 6 h", ended)
	}
	if evicted < 0.6885 {
		t.Errorf("after twenty evictions at 5 minutes a pod is thought to keep its node for %v times 6 h, less than when nothing is known", evicted)
	}
}

func TestSiblingsDrawEachOther(t *testing.T) {
	web, batch := pod("web-1", requests("cpu", "1"), of("web")), pod("batch-1", requests("cpu", "1"), of("batch"))
	nodes := []*fakeNode{node("a", used(1000, 0, batch)), node("b", used(1000, 0, web))}
	c := newCluster(t, "", marginalcost.Options{}, nodes...)
	c.handler.OnAdd(pod("web-1", requests("cpu", "1"), of("web"), on("b")), true)
	c.handler.OnAdd(pod("batch-1", requests("cpu", "1"), of("batch"), on("a")), true)

	stranger := c.decide(pod("p", requests("cpu", "1"), of("other")), nodes)
	if stranger.Chosen.Node != "a" {
		t.Errorf("of two equal nodes a stranger got %s, want the first by name", stranger.Chosen.Node)
	}
	sibling := c.decide(pod("p", requests("cpu", "1"), of("web")), nodes)
	if sibling.Chosen.Node != "b" {
		t.Errorf("a pod got %s, want b, which holds its sibling", sibling.Chosen.Node)
	}
	alone, beside := stranger.Chosen.Cost.Share(cost.Lifetime), sibling.Chosen.Cost.Share(cost.Lifetime)
	if !near(beside, alone/10) {
		t.Errorf("beside a sibling lifetime costs %v, want a tenth of %v", beside, alone)
	}
	if got := sibling.RunnersUp[0].Cost.Share(cost.Lifetime); !near(got, alone) {
		t.Errorf("where no sibling is lifetime costs %v, want %v", got, alone)
	}

	c.handler.OnDelete(pod("web-1", requests("cpu", "1"), of("web"), on("b")))
	if left := c.decide(pod("p", requests("cpu", "1"), of("web")), nodes); left.Chosen.Node != "a" {
		t.Errorf("the sibling is gone, and the pod still got %s", left.Chosen.Node)
	}
}

func TestNormalizeScoreOfSiblingsGivesTheSameAgain(t *testing.T) {
	nodes := []*fakeNode{node("a", used(2000, 0, pod("x"))), node("b", used(1000, 0, pod("y"))), node("c")}
	c := newCluster(t, "", marginalcost.Options{}, nodes...)
	c.handler.OnAdd(pod("web-1", of("web"), on("b")), true)
	p, state := pod("p", requests("cpu", "1"), of("web")), newState()
	raw := scoresIn(t, state, c.Plugin, p, nodes)
	first, again := append(fwk.NodeScoreList{}, raw...), append(fwk.NodeScoreList{}, raw...)
	c.NormalizeScore(t.Context(), state, p, first)
	c.NormalizeScore(t.Context(), state, p, again) // as a batch does, on the scores that it kept
	if diff := cmp.Diff(points(first), points(again)); diff != "" {
		t.Errorf("points changed (-first +again):\n%s", diff)
	}
	if points(first)["b"] != fwk.MaxScore {
		t.Errorf("points %v: the discount had no effect", points(first))
	}
}

const timeFree = `"prices":{"opening":0,"stranding":1,"lifetime":0}`

func TestAMixKeepsRoomForTheShapesThatNeedIt(t *testing.T) {
	gpu := offers("example.com/gpu", 1)
	tests := map[string]struct {
		mix   string
		pod   *v1.Pod
		nodes []*fakeNode
		want  string
	}{
		"without large pods the fuller node": {
			mix:   `[{"requests":{"cpu":"1"},"weight":1}]`,
			pod:   pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{node("three", size(8000, gib), used(5000, 0, pod("x"))), node("four", size(8000, gib), used(4000, 0, pod("y")))},
			want:  "three",
		},
		"a gap that just fits a large pod is kept for it": {
			mix:   `[{"requests":{"cpu":"1"},"weight":1},{"requests":{"cpu":"3"},"weight":3}]`,
			pod:   pod("p", requests("cpu", "1")),
			nodes: []*fakeNode{node("three", size(8000, gib), used(5000, 0, pod("x"))), node("four", size(8000, gib), used(4000, 0, pod("y")))},
			want:  "four",
		},
		"the large pod itself goes there": {
			mix:   `[{"requests":{"cpu":"1"},"weight":1},{"requests":{"cpu":"3"},"weight":3}]`,
			pod:   pod("p", requests("cpu", "3")),
			nodes: []*fakeNode{node("three", size(8000, gib), used(5000, 0, pod("x"))), node("four", size(8000, gib), used(4000, 0, pod("y")))},
			want:  "three",
		},
		"without pods for them the CPU beside devices is like any other": {
			mix:   `[{"requests":{"cpu":"4"},"weight":1}]`,
			pod:   pod("p", requests("cpu", "4")),
			nodes: []*fakeNode{node("gpu", gpu, size(8000, gib), used(4000, 0, pod("x"))), node("plain", size(8000, gib))},
			want:  "gpu",
		},
		"with them it is kept for the devices": {
			mix:   `[{"requests":{"cpu":"4"},"weight":1},{"requests":{"cpu":"4","example.com/gpu":"1"},"weight":1}]`,
			pod:   pod("p", requests("cpu", "4")),
			nodes: []*fakeNode{node("gpu", gpu, size(8000, gib), used(4000, 0, pod("x"))), node("plain", size(8000, gib))},
			want:  "plain",
		},
		"devices that are whole together are kept together": {
			mix: `[{"requests":{"cpu":"1","example.com/gpu":"4"},"weight":1},{"requests":{"cpu":"1","example.com/gpu":"1"},"weight":1}]`,
			pod: pod("p", requests("cpu", "1", "example.com/gpu", "1")),
			nodes: []*fakeNode{
				node("four", offers("example.com/gpu", 8), size(8000, gib), used(4000, 0, pod("x")), func(n *fakeNode) { n.requested.scalar = map[v1.ResourceName]int64{"example.com/gpu": 4} }),
				node("five", offers("example.com/gpu", 8), size(8000, gib), used(4000, 0, pod("y")), func(n *fakeNode) { n.requested.scalar = map[v1.ResourceName]int64{"example.com/gpu": 3} }),
			},
			want: "five",
		},
		"also where a plentiful extended resource comes first by name": {
			mix: `[{"requests":{"cpu":"1","example.com/gpu":"4"},"weight":1},{"requests":{"cpu":"1","example.com/gpu":"1"},"weight":1},` +
				`{"requests":{"cpu":"1","example.com/audio":"1"},"weight":1}]`,
			pod: pod("p", requests("cpu", "1", "example.com/gpu", "1")),
			nodes: []*fakeNode{
				node("four", offers("example.com/gpu", 8), offers("example.com/audio", 100), size(8000, gib), used(4000, 0, pod("x")), taken("example.com/gpu", 4)),
				node("five", offers("example.com/gpu", 8), offers("example.com/audio", 100), size(8000, gib), used(4000, 0, pod("y")), taken("example.com/gpu", 3)),
			},
			want: "five",
		},
		"also where an extended resource counts in amounts": {
			mix: `[{"requests":{"cpu":"1","example.com/gpu":"4"},"weight":1},{"requests":{"cpu":"1","example.com/gpu":"1"},"weight":1},` +
				`{"requests":{"cpu":"1","example.com/bandwidth":"900"},"weight":9}]`,
			pod: pod("p", requests("cpu", "1", "example.com/gpu", "1")),
			nodes: []*fakeNode{
				node("four", offers("example.com/gpu", 8), offers("example.com/bandwidth", 1000), size(8000, gib), used(4000, 0, pod("x")), taken("example.com/gpu", 4)),
				node("five", offers("example.com/gpu", 8), offers("example.com/bandwidth", 1000), size(8000, gib), used(4000, 0, pod("y")), taken("example.com/gpu", 3)),
			},
			want: "five",
		},
		"another extended resource takes no device": {
			mix: `[{"requests":{"cpu":"1","example.com/gpu":"1"},"weight":9},{"requests":{"cpu":"1","example.com/radio":"1"},"weight":1}]`,
			pod: pod("p", requests("cpu", "1", "example.com/radio", "1")),
			nodes: []*fakeNode{
				node("gpu", offers("example.com/gpu", 1), offers("example.com/radio", 10), size(32000, gib), used(30000, 0, pod("x"))),
				node("plain", offers("example.com/radio", 10), size(32000, gib), used(20000, 0, pod("y"))),
			},
			want: "gpu",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, `{`+timeFree+`,"mix":`+test.mix+`}`, marginalcost.Options{}, test.nodes...)
			for i := range 200 { // pods only arrive, so that only what can still be hosted counts
				c.arrive(pod(fmt.Sprint("before", i)), "elsewhere")
			}
			c.relearn()
			decision := c.decide(test.pod, test.nodes)
			if decision.Chosen.Node != test.want {
				t.Errorf("want %s, but %s", test.want, decision.Sentence())
			}
		})
	}
}

func TestTheRoomOfNominatedPodsIsNotFree(t *testing.T) {
	nominated := func(name, node string, priority int32) *v1.Pod {
		return pod(name, requests("cpu", "1"), func(p *v1.Pod) {
			p.Spec.Priority, p.Status.NominatedNodeName = &priority, node
		})
	}
	// Either node has room for two; without the one who waits the first is as full as
	// the second and older.
	tests := map[string]struct {
		waiting *v1.Pod
		after   func(c *cluster, waiting *v1.Pod)
		priced  *v1.Pod
		want    string
	}{
		"nobody waits": {want: "a"},
		"who waits for a node makes it fuller": {
			waiting: nominated("w", "b", 0), want: "b",
		},
		"a pod of higher priority does not mind": {
			waiting: nominated("w", "b", 0), priced: nominated("p", "", 1), want: "a",
		},
		"a pod of lower priority does": {
			waiting: nominated("w", "b", 1), priced: nominated("p", "", 0), want: "b",
		},
		"a pod does not wait for itself": {
			waiting: nominated("p", "b", 0), priced: nominated("p", "b", 0), want: "a",
		},
		"once bound elsewhere it waits no more": {
			waiting: nominated("w", "b", 0), want: "a",
			after: func(c *cluster, waiting *v1.Pod) {
				bound := waiting.DeepCopy()
				bound.Spec.NodeName = "c"
				c.handler.OnUpdate(waiting, bound)
			},
		},
		"once its nomination is withdrawn it waits no more": {
			waiting: nominated("w", "b", 0), want: "a",
			after: func(c *cluster, waiting *v1.Pod) {
				other := waiting.DeepCopy()
				other.Status.NominatedNodeName = ""
				c.handler.OnUpdate(waiting, other)
			},
		},
		"once deleted it waits no more": {
			waiting: nominated("w", "b", 0), want: "a",
			after: func(c *cluster, waiting *v1.Pod) { c.handler.OnDelete(waiting) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			nodes := []*fakeNode{
				node("a", used(2000, 0, pod("x"))),
				node("b", used(2000, 0, pod("y")), madeAfter(time.Hour)),
			}
			c := newCluster(t, `{`+timeFree+`}`, marginalcost.Options{}, nodes...)
			if test.waiting != nil {
				c.handle.waiting = map[string][]fwk.PodInfo{"b": {fakePod{pod: test.waiting}}}
				c.handler.OnAdd(test.waiting, false)
			}
			if test.after != nil {
				test.after(c, test.waiting)
			}
			if test.priced == nil {
				test.priced = nominated("p", "", 0)
			}
			before := len(nodes[1].pods)
			decision := c.decide(test.priced, nodes)
			if decision.Chosen.Node != test.want {
				t.Errorf("want %s, but %s", test.want, decision.Sentence())
			}
			// What is recorded is what was compared: nothing beside both, if it is full then.
			if free := decision.Chosen.Cost.Share(cost.Stranding); test.want == "b" && !near(free, 0) {
				t.Errorf("recorded with %v free beside the pod and the one who waits, want 0", free)
			}
			if len(nodes[1].pods) != before {
				t.Errorf("the snapshot's own node was changed: %d pods, want %d", len(nodes[1].pods), before)
			}
		})
	}
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-6 }
