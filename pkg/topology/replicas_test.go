package topology_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

var (
	cart   = topology.OwnedBy(workload.Key{Namespace: "shop", Kind: "Deployment", Name: "cart"})
	search = topology.OwnedBy(workload.Key{Namespace: "shop", Kind: "Deployment", Name: "search"})
	shop   = topology.SelectedBy("Service shop/shop")
)

func TestReplicaOf(t *testing.T) {
	deleted := &metav1.Time{Time: time.Unix(1e9, 0)}
	tests := map[string]struct {
		pod  v1.Pod
		want topology.Replica
	}{
		"a pod that waits is live": {
			v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}},
			topology.Replica{UID: "u", State: topology.Live},
		},
		"a pod that is bound is live, ready or not": {
			v1.Pod{Spec: v1.PodSpec{NodeName: "n"}, Status: v1.PodStatus{Phase: v1.PodPending}},
			topology.Replica{Node: "n", State: topology.Live},
		},
		"a pod of a phase that is not known is live": {
			v1.Pod{Spec: v1.PodSpec{NodeName: "n"}, Status: v1.PodStatus{Phase: v1.PodUnknown}},
			topology.Replica{Node: "n", State: topology.Live},
		},
		"a pod that is being deleted is leaving": {
			v1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: deleted}, Spec: v1.PodSpec{NodeName: "n"}},
			topology.Replica{Node: "n", State: topology.Leaving},
		},
		"a pod that has failed is gone": {
			v1.Pod{Spec: v1.PodSpec{NodeName: "n"}, Status: v1.PodStatus{Phase: v1.PodFailed}},
			topology.Replica{Node: "n", State: topology.Gone},
		},
		"a pod that has succeeded is gone, deleted or not": {
			v1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: deleted}, Status: v1.PodStatus{Phase: v1.PodSucceeded}},
			topology.Replica{State: topology.Gone},
		},
		"a Deployment's pod has the hash of its template": {
			v1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod-template-hash": "5d9c"}}},
			topology.Replica{State: topology.Live, Revision: "5d9c"},
		},
		"a StatefulSet's pod has the hash of its revision": {
			v1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"controller-revision-hash": "db-7f"}}},
			topology.Replica{State: topology.Live, Revision: "db-7f"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, topology.ReplicaOf(&test.pod)); diff != "" {
				t.Errorf("replica (-want +got):\n%s", diff)
			}
		})
	}
}

func live(uid types.UID, node string, keys ...topology.Key) topology.Replica {
	return topology.Replica{UID: uid, Node: node, State: topology.Live, Revision: "new", Keys: keys}
}

func TestReplicasAreCountedInTheirDomains(t *testing.T) {
	tests := map[string]struct {
		steps func(*topology.Replicas)
		want  string // of cart at revision new
	}{
		"a workload without replicas": {func(*topology.Replicas) {}, "0 live"},
		"a pod that waits counts nowhere": {func(r *topology.Replicas) {
			r.Add(live("1", "", cart))
		}, "0 live"},
		"a bound pod counts at every level of its node": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/a 1/1/0; eu/a/1 1/1/0; eu/a/1/n1 1/1/0"},
		"the same pod twice counts once": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(live("1", "n1", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/a 1/1/0; eu/a/1 1/1/0; eu/a/1/n1 1/1/0"},
		"a key twice counts once, and the zero key does not": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart, topology.Key{}, cart))
		}, "1 live, 1 current; eu 1/1/0; eu/a 1/1/0; eu/a/1 1/1/0; eu/a/1/n1 1/1/0"},
		"a pod that is reported on another node moves": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(live("1", "n3", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a pod that changes its workload counts there": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(live("1", "n1", search))
		}, "0 live"},
		"a node that is removed leaves its pods without a domain": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.RemoveNode("n1")
		}, "0 live, 1 unplaced"},
		"a node that comes back brings its pods back": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.RemoveNode("n1")
			r.SetNode("n1", labels("us/c/1/n1"))
		}, "1 live, 1 current; us 1/1/0; us/c 1/1/0; us/c/1 1/1/0; us/c/1/n1 1/1/0"},
		"a pod counts when its node comes": {func(r *topology.Replicas) {
			r.Add(live("1", "n9", cart))
			r.SetNode("n9", labels("us/-/-/n9"))
		}, "1 live, 1 current; us 1/1/0; us///n9 1/1/0"},
		"a pod that goes before its node comes counts nowhere": {func(r *topology.Replicas) {
			r.Add(live("1", "n9", cart))
			r.Remove("1")
			r.SetNode("n9", labels("us/-/-/n9"))
		}, "0 live"},
		"a node that is labelled anew takes its pods along": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(live("2", "n2", cart))
			r.SetNode("n1", labels("eu/b/1/n1"))
		}, "2 live, 2 current; eu 2/2/0; eu/a 1/1/0; eu/b 1/1/0; eu/a/1 1/1/0; eu/b/1 1/1/0; eu/a/1/n2 1/1/0; eu/b/1/n1 1/1/0"},
		"a node of several pods, of which the middle one goes, takes the others along": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(live("2", "n1", cart))
			r.Add(live("3", "n1", cart))
			r.Remove("2")
			r.SetNode("n1", labels("eu/b/1/n1"))
		}, "2 live, 2 current; eu 2/2/0; eu/b 2/2/0; eu/b/1 2/2/0; eu/b/1/n1 2/2/0"},
		"a pod that is being deleted is no replica, but there": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(topology.Replica{UID: "1", Node: "n1", State: topology.Leaving, Revision: "new", Keys: []topology.Key{cart}})
		}, "0 live, 1 leaving; eu 0/0/1; eu/a 0/0/1; eu/a/1 0/0/1; eu/a/1/n1 0/0/1"},
		"a pod that has ended counts nowhere": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(topology.Replica{UID: "1", Node: "n1", State: topology.Gone, Keys: []topology.Key{cart}})
		}, "0 live"},
		"the old revision is live, but not current": {func(r *topology.Replicas) {
			r.Add(live("1", "n1", cart))
			r.Add(topology.Replica{UID: "2", Node: "n1", State: topology.Live, Revision: "old", Keys: []topology.Key{cart}})
			r.Add(topology.Replica{UID: "3", Node: "n3", State: topology.Live, Revision: "old", Keys: []topology.Key{cart}})
		}, "3 live, 1 current; eu 3/1/0; eu/a 2/1/0; eu/b 1/0/0; eu/a/1 2/1/0; eu/a/1/n1 2/1/0; eu/b//n3 1/0/0"},
		"a pod that is labelled with another revision counts there": {func(r *topology.Replicas) {
			r.Add(topology.Replica{UID: "1", Node: "n3", State: topology.Live, Revision: "old", Keys: []topology.Key{cart}})
			r.Add(live("1", "n3", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a reserved pod counts": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n3", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a reserved pod stays so while it waits to be bound": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n3", cart))
			r.Add(live("1", "", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a pod that was reserved and is bound counts once": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n3", cart))
			r.Add(live("1", "n3", cart))
			r.Unreserve("1") // too late: it is bound
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a pod that is bound elsewhere than reserved counts there": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n1", cart))
			r.Add(live("1", "n3", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a pod that is reserved twice counts where it was last": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n1", cart))
			r.Reserve(live("1", "n3", cart))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"what is unreserved does not count": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n3", cart))
			r.Unreserve("1")
			r.Unreserve("2")
		}, "0 live"},
		"a bound pod is not reserved": {func(r *topology.Replicas) {
			r.Add(live("1", "n3", cart))
			r.Reserve(live("1", "n1", cart))
			r.Unreserve("1")
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
		"a pod that is deleted while it is reserved does not count": {func(r *topology.Replicas) {
			r.Reserve(live("1", "n3", cart))
			r.Remove("1")
			r.Unreserve("1")
		}, "0 live"},
		"a pod counts for its owner and for a selector": {func(r *topology.Replicas) {
			r.Add(live("1", "n3", shop, cart))
			r.Add(live("2", "n3", shop, search))
		}, "1 live, 1 current; eu 1/1/0; eu/b 1/1/0; eu/b//n3 1/1/0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReplicas()
			test.steps(r)
			if got := counts(r, cart, "new"); got != test.want {
				t.Errorf("counts\n%s, want\n%s", got, test.want)
			}
		})
	}
}

func newReplicas() *topology.Replicas {
	r := topology.NewReplicas(topology.NewTree(topology.DefaultLevels()))
	for name, path := range map[string]string{"n1": "eu/a/1/n1", "n2": "eu/a/1/n2", "n3": "eu/b/-/n3"} {
		r.SetNode(name, labels(path))
	}
	return r
}

func TestNewReplicasKnowsTheNodesOfItsTree(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	tree.SetNode("n1", labels("eu/a/1/n1"))
	r := topology.NewReplicas(tree)
	r.Add(live("1", "n1", cart))
	if got, want := counts(r, cart, "new"), "1 live, 1 current; eu 1/1/0; eu/a 1/1/0; eu/a/1 1/1/0; eu/a/1/n1 1/1/0"; got != want || r.Tree() != tree {
		t.Errorf("counts %s, want %s", got, want)
	}
}

// A node that changes in the tree alone leaves its pods where they were, which
// are then domains that are gone: they are not taken for those that have come.
func TestCountsInADomainThatIsGoneAreNotThoseOfItsSuccessor(t *testing.T) {
	r := newReplicas()
	r.Add(live("1", "n3", cart))
	gone := r.Tree().At("n3", zone)
	r.Tree().RemoveNode("n3")
	r.SetNode("n4", labels("eu/c/-/n4"))
	r.Add(live("2", "n4", cart))
	r.Add(live("3", "n4", cart))
	is, v := r.Tree().At("n4", zone), r.View(cart, "new")
	if is.Index != gone.Index || v.At(zone, gone) != 1 || v.At(zone, is) != 2 {
		t.Errorf("%+v has %d, %+v has %d, want 1 and 2", gone, v.At(zone, gone), is, v.At(zone, is))
	}
	r.RemoveNode("n3")
	r.SetNode("n3", labels("eu/c/-/n3"))
	v = r.View(cart, "new")
	if v.At(zone, gone) != 0 || v.At(zone, is) != 3 {
		t.Errorf("after the node has come through it: %d and %d, want 0 and 3", v.At(zone, gone), v.At(zone, is))
	}
}

func TestNothingIsKeptOfWhatIsGone(t *testing.T) {
	r := newReplicas()
	r.Add(live("1", "n1", cart, shop))
	r.Add(live("2", "elsewhere", search))
	if pods, keys := r.Len(); pods != 2 || keys != 3 || len(r.Keys()) != 3 {
		t.Errorf("%d pods and %d keys %v, want 2 and 3", pods, keys, r.Keys())
	}
	r.Remove("1")
	r.Remove("2")
	r.RemoveNode("elsewhere")
	if pods, keys := r.Len(); pods != 0 || keys != 0 {
		t.Errorf("%d pods and %d keys are left", pods, keys)
	}
}

func TestWorst(t *testing.T) {
	r := newReplicas()
	var none topology.View
	if got, share := none.Worst(zone); got.Live != 0 || share != 0 || none.At(zone, topology.DomainID{}) != 0 {
		t.Errorf("the worst zone of no replicas has %+v, %v", got, share)
	}
	for i, node := range []string{"n1", "n2", "n2", "n3"} {
		r.Add(live(types.UID(fmt.Sprint(i)), node, cart))
	}
	v := r.View(cart, "new")
	got, share := v.Worst(zone)
	if path := r.Tree().PathString(got.Domain); path != "eu/a" || got.Live != 3 || share != 0.75 {
		t.Errorf("the worst zone is %s with %d, %v, want eu/a with 3, 0.75", path, got.Live, share)
	}
	if _, share = v.Worst(rack); share != 0.75 {
		t.Errorf("the worst rack has %v, want 0.75 of all, of which one has no rack", share)
	}
}

func TestAViewDoesNotChange(t *testing.T) {
	r := newReplicas()
	r.Add(live("1", "n1", cart))
	before, id := r.View(cart, "new"), r.Tree().At("n1", zone)
	r.Add(live("2", "n1", cart))
	after := r.View(cart, "new")
	if before.At(zone, id) != 1 || after.At(zone, id) != 2 {
		t.Errorf("before %d, after %d, want 1 and 2", before.At(zone, id), after.At(zone, id))
	}
	if got := after.At(9, id); got != 0 {
		t.Errorf("a level that does not exist has %d", got)
	}
	stale := topology.DomainID{Index: id.Index, Generation: id.Generation + 1, Level: id.Level}
	if got := after.Tally(zone, stale); got.Live != 0 || got.Domain != stale {
		t.Errorf("a stale domain has %+v", got)
	}
}

func TestRoom(t *testing.T) {
	tests := map[string]struct {
		old, current, leaving int // replicas in zone a
		elsewhere             int // of the old revision, in zone b
		wanted                int32
		want                  int32 // with a budget of 2
	}{
		"an empty domain has its budget":                           {wanted: 4, want: 2},
		"replicas take it":                                         {current: 1, wanted: 4, want: 1},
		"a full domain has none":                                   {current: 2, wanted: 4, want: 0},
		"an overdrawn domain has less than none":                   {current: 3, wanted: 4, want: -1},
		"the old revision counts while the workload is not beyond": {old: 2, wanted: 4, want: 0},
		"a surge may stand beside what it replaces":                {old: 2, elsewhere: 2, wanted: 4, want: 1},
		"a surge of one does not overdraw by two":                  {old: 3, elsewhere: 1, wanted: 4, want: 0},
		"the new revision alone keeps within the budget":           {current: 2, elsewhere: 2, wanted: 4, want: 0},
		"what is being deleted takes nothing":                      {leaving: 3, wanted: 4, want: 2},
		"nothing is wanted":                                        {wanted: 0, want: 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newReplicas()
			uid := 0
			add := func(n int, node, revision string, state topology.State) {
				for range n {
					uid++
					r.Add(topology.Replica{UID: types.UID(fmt.Sprint(uid)), Node: node, State: state, Revision: revision, Keys: []topology.Key{cart}})
				}
			}
			add(test.old, "n1", "old", topology.Live)
			add(test.current, "n1", "new", topology.Live)
			add(test.leaving, "n1", "new", topology.Leaving)
			add(test.elsewhere, "n3", "old", topology.Live)
			v := r.View(cart, "new")
			if got := v.Room(zone, r.Tree().At("n1", zone), 2, test.wanted); got != test.want {
				t.Errorf("room %d, want %d", got, test.want)
			}
		})
	}
}

// A rollout by any steps of surge and deletion ends, with every placement within
// Room, however the old revision lies.
func TestARolloutNeverBlocksItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zones := rapid.IntRange(2, 4).Draw(t, "zones")
		r := topology.NewReplicas(topology.NewTree(topology.DefaultLevels()))
		for z := range zones {
			r.SetNode(fmt.Sprint(z), labels(fmt.Sprintf("eu/%d/1/%d", z, z)))
		}
		n := rapid.IntRange(2, 12).Draw(t, "replicas")
		budget := int32((n + zones - 1) / zones)
		var old []types.UID
		for i := range n {
			uid := types.UID(fmt.Sprint("old", i))
			r.Add(topology.Replica{UID: uid, Node: fmt.Sprint(rapid.IntRange(0, zones-1).Draw(t, "zone")), State: topology.Live, Revision: "old", Keys: []topology.Key{cart}})
			old = append(old, uid)
		}
		surge := rapid.IntRange(0, n).Draw(t, "surge")
		for placed := 0; placed < n; {
			if total := int(r.View(cart, "new").Total); len(old) > 0 && (total >= n+surge || total > 1 && rapid.Bool().Draw(t, "delete")) {
				r.Remove(old[0])
				old = old[1:]
				continue
			}
			v := r.View(cart, "new")
			var open []string
			for z := range zones {
				if name := fmt.Sprint(z); v.Room(zone, r.Tree().At(name, zone), budget, int32(n)) > 0 {
					open = append(open, name)
				}
			}
			if len(open) == 0 {
				t.Fatalf("%d of %d are placed and no zone has room: %s", placed, n, counts(r, cart, "new"))
			}
			r.Reserve(live(types.UID(fmt.Sprint("new", placed)), rapid.SampledFrom(open).Draw(t, "into"), cart))
			placed++
		}
		for _, uid := range old {
			r.Remove(uid)
		}
		v := r.View(cart, "new")
		if worst, _ := v.Worst(zone); worst.Live > budget {
			t.Fatalf("the rollout ends with %d in one zone, budget %d", worst.Live, budget)
		}
	})
}

// history is what is reported to Replicas, kept plainly.
type history struct {
	nodes    map[string]map[string]string
	pods     map[types.UID]topology.Replica // bound or reserved
	reserved map[types.UID]bool
}

func (h *history) step(t *rapid.T, r *topology.Replicas) {
	uid := types.UID(rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "6", "7"}).Draw(t, "pod"))
	node := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "node")
	p := topology.Replica{
		UID: uid, Node: node, State: rapid.SampledFrom([]topology.State{topology.Live, topology.Live, topology.Leaving, topology.Gone}).Draw(t, "state"),
		Revision: rapid.SampledFrom([]string{"new", "old"}).Draw(t, "revision"),
		Keys:     rapid.SampledFrom([][]topology.Key{{cart}, {search}, {cart, shop}, {shop, search}, {{}}, nil}).Draw(t, "keys"),
	}
	switch rapid.SampledFrom([]string{"add", "add", "wait", "reserve", "unreserve", "remove", "label", "lose"}).Draw(t, "what") {
	case "add":
		r.Add(p)
		delete(h.reserved, uid)
		h.set(p)
	case "wait":
		at := h.pods[uid].Node
		p.Node = ""
		r.Add(p)
		switch {
		case !h.reserved[uid] || p.State == topology.Gone:
			h.drop(uid)
		default:
			p.Node = at
			h.set(p)
		}
	case "reserve":
		r.Reserve(p)
		if _, known := h.pods[uid]; (!known || h.reserved[uid]) && p.State != topology.Gone {
			h.reserved[uid] = true
			h.set(p)
		}
	case "unreserve":
		r.Unreserve(uid)
		if h.reserved[uid] {
			h.drop(uid)
		}
	case "remove":
		r.Remove(uid)
		h.drop(uid)
	case "label":
		h.nodes[node] = anyLabels(t)
		r.SetNode(node, h.nodes[node])
	case "lose":
		delete(h.nodes, node)
		r.RemoveNode(node)
	}
}

func (h *history) set(p topology.Replica) {
	if p.State == topology.Gone || len(p.Keys) == 0 || p.Keys[0] == (topology.Key{}) {
		h.drop(p.UID)
		return
	}
	h.pods[p.UID] = p
}

func (h *history) drop(uid types.UID) {
	delete(h.pods, uid)
	delete(h.reserved, uid)
}

// recount counts from scratch, with nothing but a fresh tree's paths.
func (h *history) recount(key topology.Key, revision string) string {
	tree := topology.NewTree(topology.DefaultLevels())
	for name, labels := range h.nodes {
		tree.SetNode(name, labels)
	}
	var total topology.Tally
	unplaced := int32(0)
	byPath := make([]map[string]topology.Tally, 4)
	for level := range byPath {
		byPath[level] = map[string]topology.Tally{}
	}
	for _, p := range h.pods {
		if !slices.Contains(p.Keys, key) {
			continue
		}
		if h.nodes[p.Node] == nil {
			if p.State == topology.Live {
				unplaced++
			}
			continue
		}
		book(&total, p, revision)
		for level, id := range tree.Path(p.Node, nil) {
			if path := tree.PathString(id); path != "" {
				tally := byPath[level][path]
				book(&tally, p, revision)
				byPath[level][path] = tally
			}
		}
	}
	return write(total, unplaced, byPath)
}

func book(t *topology.Tally, p topology.Replica, revision string) {
	switch {
	case p.State == topology.Leaving:
		t.Leaving++
	case p.Revision == revision:
		t.Live++
		t.Current++
	default:
		t.Live++
	}
}

func TestARandomHistoryLeavesWhatARecountFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := topology.NewReplicas(topology.NewTree(topology.DefaultLevels()))
		h := &history{map[string]map[string]string{}, map[types.UID]topology.Replica{}, map[types.UID]bool{}}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			h.step(t, r)
		}
		for _, key := range []topology.Key{cart, search, shop} {
			for _, revision := range []string{"new", "old", ""} {
				if got, want := counts(r, key, revision), h.recount(key, revision); got != want {
					t.Fatalf("counts of %v at %q\n%s, a recount finds\n%s", key, revision, got, want)
				}
			}
		}
		if pods, _ := r.Len(); pods != len(h.pods) {
			t.Fatalf("%d pods count, want %d", pods, len(h.pods))
		}
	})
}

// counts writes a view: live, current and leaving replicas of each domain.
func counts(r *topology.Replicas, key topology.Key, revision string) string {
	v := r.View(key, revision)
	byPath := make([]map[string]topology.Tally, 4)
	for level := range byPath {
		byPath[level] = map[string]topology.Tally{}
		for _, tally := range v.Tallies(level) {
			path := r.Tree().PathString(tally.Domain)
			if path == "" || v.Tally(level, tally.Domain) != tally || v.At(level, tally.Domain) != int(tally.Live) {
				return fmt.Sprintf("%+v is of no domain, or not found", tally)
			}
			tally.Domain = topology.DomainID{}
			byPath[level][path] = tally
		}
		for _, d := range r.Tree().Domains(level) {
			if got := v.At(level, d.ID); got != int(byPath[level][d.Path].Live) {
				return fmt.Sprintf("%s has %d, listed are %+v", d.Path, got, byPath[level][d.Path])
			}
		}
	}
	return write(topology.Tally{Live: v.Total, Current: v.Current, Leaving: v.Leaving}, v.Unplaced, byPath)
}

func write(total topology.Tally, unplaced int32, byPath []map[string]topology.Tally) string {
	out := fmt.Sprintf("%d live", total.Live)
	if total.Current > 0 {
		out += fmt.Sprintf(", %d current", total.Current)
	}
	if total.Leaving > 0 {
		out += fmt.Sprintf(", %d leaving", total.Leaving)
	}
	if unplaced > 0 {
		out += fmt.Sprintf(", %d unplaced", unplaced)
	}
	for _, level := range byPath {
		for _, path := range slices.Sorted(maps.Keys(level)) {
			out += fmt.Sprintf("; %s %d/%d/%d", path, level[path].Live, level[path].Current, level[path].Leaving)
		}
	}
	return out
}

// filled has 5,000 nodes in 3 zones and 100 racks, 2,000 workloads and 50,000 pods,
// 500 of them of the workload that is returned.
func filled() (*topology.Replicas, []string, topology.Key) {
	r := topology.NewReplicas(topology.NewTree(topology.DefaultLevels()))
	names := make([]string, 5000)
	for i := range names {
		names[i] = fmt.Sprintf("node-%04d.cluster.example", i)
		r.SetNode(names[i], map[string]string{
			"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": fmt.Sprintf("eu-%d", i%3),
			"topology.kubernetes.io/rack": fmt.Sprintf("rack-%d", i%99), "kubernetes.io/hostname": names[i],
		})
	}
	large := topology.OwnedBy(workload.Key{Namespace: "shop", Kind: "Deployment", Name: "large"})
	for i := range 50_000 {
		key := topology.OwnedBy(workload.Key{Namespace: "shop", Kind: "Deployment", Name: fmt.Sprintf("workload-%d", i%2000)})
		if i < 500 {
			key = large
		}
		uid := types.UID(fmt.Sprintf("%08d-0000-0000-0000-000000000000", i))
		r.Add(topology.Replica{UID: uid, Node: names[i*7919%5000], State: topology.Live, Revision: "5d9c7b8f6", Keys: []topology.Key{key}})
	}
	return r, names, large
}

func TestMemoryOfALargeCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a cluster of 5,000 nodes")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r, names, _ := filled()
	runtime.GC()
	runtime.ReadMemStats(&after)
	megabytes := (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / 1e6
	t.Logf("%.1f MB for 5,000 nodes, 50,000 pods and 2,000 workloads", megabytes)
	if megabytes > 25 {
		t.Errorf("%.1f MB, want at most 25", megabytes)
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(names)
}

func TestReadingAllocatesNothing(t *testing.T) {
	r := newReplicas()
	r.Add(live("1", "n1", cart))
	v, tree := r.View(cart, "new"), r.Tree()
	path, sum := make([]topology.DomainID, 0, 4), 0
	allocs := testing.AllocsPerRun(100, func() {
		path = tree.Path("n1", path[:0])
		sum += v.At(zone, path[zone]) + v.At(host, tree.At("n1", host)) + int(v.Room(zone, path[zone], 2, 2)) + topology.Distance(path, path)
	})
	if allocs != 0 || sum == 0 {
		t.Errorf("%v allocations, sum %d", allocs, sum)
	}
}

func BenchmarkAddRemove(b *testing.B) {
	r, names, large := filled()
	keys := []topology.Key{large}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		r.Add(topology.Replica{UID: "one more", Node: names[i%len(names)], State: topology.Live, Revision: "5d9c7b8f6", Keys: keys})
		r.Remove("one more")
		i++
	}
	if v := r.View(large, "5d9c7b8f6"); v.Total != 500 {
		b.Fatalf("%d replicas, want 500", v.Total)
	}
}

func BenchmarkViewOf500Replicas(b *testing.B) {
	r, _, large := filled()
	b.ReportAllocs()
	var v topology.View
	for b.Loop() {
		v = r.View(large, "5d9c7b8f6")
	}
	if v.Current != 500 {
		b.Fatalf("%d replicas, want 500", v.Current)
	}
}

// What NormalizeScore does: zone, rack and host of all 5,000 nodes.
func BenchmarkAtOf5000Nodes(b *testing.B) {
	r, names, large := filled()
	v, tree := r.View(large, "5d9c7b8f6"), r.Tree()
	path, sum := make([]topology.DomainID, 0, 4), 0
	b.ReportAllocs()
	for b.Loop() {
		sum = 0
		for _, name := range names {
			path = tree.Path(name, path[:0])
			sum += v.At(zone, path[zone]) + v.At(rack, path[rack]) + v.At(host, path[host])
		}
	}
	if sum == 0 {
		b.Fatal("no replica is found")
	}
}

func BenchmarkRelabelANode(b *testing.B) {
	r, names, _ := filled()
	sides := []map[string]string{labels("eu/x/1/-"), labels("eu/y/1/-")}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if !r.SetNode(names[0], sides[i%2]) {
			b.Fatal("nothing changed")
		}
		i++
	}
}
