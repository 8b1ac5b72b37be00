package marginalcost_test

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	fwk "k8s.io/kube-scheduler/framework"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

func TestTheCheapestPlacementOfAGroupWins(t *testing.T) {
	other := pod("other")
	one, two := pod("g1", requests("cpu", "1", "memory", "1Gi")), pod("g2", requests("cpu", "1", "memory", "1Gi"))
	empty := func(name string) *fakeNode { return node(name) }
	busy := func(name string) *fakeNode { return node(name, used(1000, 4*gib, other)) }
	tests := map[string]struct {
		args       string
		placements []proposal
		want       []string // from best to worst
	}{
		"the one that opens no node": {
			placements: []proposal{
				{"a", []*fakeNode{empty("a1"), empty("a2")}, []assignment{{one, "a1"}, {two, "a1"}}},
				{"b", []*fakeNode{busy("b1"), empty("b2")}, []assignment{{one, "b1"}, {two, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"the one that opens one node and not two, though each pod alone costs the same": {
			placements: []proposal{
				{"a", []*fakeNode{empty("a1"), empty("a2")}, []assignment{{one, "a1"}, {two, "a2"}}},
				{"b", []*fakeNode{empty("b1"), empty("b2")}, []assignment{{one, "b1"}, {two, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"the one whose node the whole group fills": {
			args: `{"prices":{"opening":0,"lifetime":0}}`,
			placements: []proposal{
				{"a", []*fakeNode{node("a1", size(8000, 8*gib))}, []assignment{{one, "a1"}, {two, "a1"}}},
				{"b", []*fakeNode{node("b1", size(2000, 2*gib))}, []assignment{{one, "b1"}, {two, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"the one that places more pods, though it opens a node for them": {
			placements: []proposal{
				{"a", []*fakeNode{busy("a1")}, []assignment{{one, "a1"}}},
				{"b", []*fakeNode{empty("b1")}, []assignment{{one, "b1"}, {two, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"any before one without a pod": {
			placements: []proposal{
				{"a", []*fakeNode{busy("a1")}, nil},
				{"b", []*fakeNode{empty("b1")}, []assignment{{one, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"of equals the one that opens fewer nodes": {
			args: `{"prices":{"opening":0,"lifetime":0}}`, // stranding alone does not see what follows
			placements: []proposal{
				{"a", []*fakeNode{node("a1", size(2000, 2*gib))}, []assignment{{one, "a1"}}},
				{"b", []*fakeNode{node("b1", size(2000, 2*gib), used(0, 0, other))}, []assignment{{one, "b1"}}},
			},
			want: []string{"b", "a"},
		},
		"then by name": {
			placements: []proposal{
				{"b", []*fakeNode{busy("b1")}, []assignment{{one, "b1"}}},
				{"a", []*fakeNode{busy("a1")}, []assignment{{one, "a1"}}},
			},
			want: []string{"a", "b"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			plugin := build(t, test.args, marginalcost.Options{}, nil)
			for range 2 {
				scored := scorePlacements(t, plugin, test.placements)
				if points := scored[0].Score; points != fwk.MaxScore || scored[1].Score == fwk.MaxScore {
					t.Errorf("points %d and %d, want 100 for exactly one", points, scored[1].Score)
				}
				if diff := cmp.Diff(test.want, []string{scored[0].Placement.Name, scored[1].Placement.Name}); diff != "" {
					t.Errorf("placements from best to worst (-want +got):\n%s", diff)
				}
				slices.Reverse(test.placements)
			}
		})
	}
}

func TestScoringAPlacementLeavesTheSnapshotAlone(t *testing.T) {
	n := node("a1")
	group := pod("g1", requests("cpu", "1"))
	scorePlacements(t, build(t, "", marginalcost.Options{}, nil), []proposal{{"a", []*fakeNode{n}, []assignment{{group, "a1"}}}})
	if len(n.pods) != 0 || n.requested.milliCPU != 0 {
		t.Errorf("the snapshot's node holds %d pods and %dm of CPU, want none", len(n.pods), n.requested.milliCPU)
	}
}

func TestAPlacementCostsWhatItsPodsCostOneByOne(t *testing.T) {
	plugin := build(t, "", marginalcost.Options{}, nil)
	one, two := pod("g1", requests("cpu", "1")), pod("g2", requests("cpu", "1"))
	after := node("a1", used(1000, 0, one))
	score := func(n *fakeNode, group ...*v1.Pod) int64 {
		list := make([]assignment, 0, len(group))
		for _, p := range group {
			list = append(list, assignment{p, n.node.Name})
		}
		raw, status := plugin.ScorePlacement(t.Context(), nil, nil, proposal{"a", []*fakeNode{n}, list}.assignments())
		if !status.IsSuccess() {
			t.Fatal(status.AsError())
		}
		return raw >> 16 // without the nodes opened
	}
	together, apart := score(node("a1"), one, two), score(node("a1"), one)+score(after, two)
	if diff := together - apart; diff < -1 || diff > 1 { // each sum is rounded to a step
		t.Errorf("both pods are worth %d steps, one after the other %d", together, apart)
	}
}

func TestAProposalOutsideThePlacementIsAnError(t *testing.T) {
	plugin := build(t, "", marginalcost.Options{}, nil)
	outside := proposal{"a", []*fakeNode{node("a1")}, []assignment{{pod("g1"), "b1"}}}
	_, status := plugin.ScorePlacement(t.Context(), nil, nil, outside.assignments())
	if status.Code() != fwk.Error || status.Message() != "score placement a: node b1 is not in it" {
		t.Errorf("status %v", status)
	}
}

func TestNormalizePlacementScoreKeepsItsPromises(t *testing.T) {
	plugin := build(t, "", marginalcost.Options{}, nil)
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Int64(), 1, 20).Draw(t, "raw")
		scores := make([]fwk.PlacementScore, len(raw))
		for i := range raw {
			scores[i] = fwk.PlacementScore{Placement: &fwk.Placement{Name: string(rune('a' + i))}, Score: raw[i]}
		}
		if status := plugin.NormalizePlacementScore(t.Context(), nil, nil, scores); !status.IsSuccess() {
			t.Fatal(status)
		}
		full := 0
		for i := range scores {
			if scores[i].Score < fwk.MinScore || scores[i].Score > fwk.MaxScore {
				t.Fatalf("%d points", scores[i].Score)
			}
			if scores[i].Score == fwk.MaxScore {
				full++
			}
			for j := range scores {
				if raw[i] > raw[j] && scores[i].Score < scores[j].Score {
					t.Fatalf("worth %d got %d points, worth %d got %d", raw[i], scores[i].Score, raw[j], scores[j].Score)
				}
			}
		}
		if none := slices.Max(raw) == math.MinInt64; full != 1 && !none || full != 0 && none {
			t.Fatalf("%d placements with 100 points", full)
		}
	})
}

// proposal is a placement and where it puts which pods.
type proposal struct {
	name  string
	nodes []*fakeNode
	pods  []assignment
}

func (p proposal) assignments() *fwk.PodGroupAssignments {
	list := &fwk.PodGroupAssignments{Placement: &fwk.Placement{Name: p.name, Nodes: infos(p.nodes)}}
	for _, a := range p.pods {
		list.ProposedAssignments = append(list.ProposedAssignments, a)
	}
	return list
}

// assignment is a proposed one.
type assignment struct {
	pod  *v1.Pod
	node string
}

func (a assignment) GetPod() *v1.Pod               { return a.pod }
func (a assignment) GetPodInfo() fwk.PodInfo       { return fakePod{pod: a.pod} }
func (a assignment) GetNodeName() string           { return a.node }
func (a assignment) GetCycleState() fwk.CycleState { return newState() }

// AddPodInfo adds what the first container asks for.
func (n *fakeNode) AddPodInfo(info fwk.PodInfo) {
	asked := info.GetPod().Spec.Containers[0].Resources.Requests
	n.pods = append(n.pods, info)
	n.requested.milliCPU += asked.Cpu().MilliValue()
	n.requested.memory += asked.Memory().Value()
	n.generation++
}

// scorePlacements returns the placements with their points, from best to worst.
func scorePlacements(t *testing.T, plugin *marginalcost.Plugin, placements []proposal) []fwk.PlacementScore {
	t.Helper()
	var scores []fwk.PlacementScore
	for _, p := range placements {
		list := p.assignments()
		raw, status := plugin.ScorePlacement(t.Context(), nil, nil, list)
		if !status.IsSuccess() {
			t.Fatal(status.AsError())
		}
		scores = append(scores, fwk.PlacementScore{Placement: list.Placement, Score: raw})
	}
	if status := plugin.PlacementScoreExtensions().NormalizePlacementScore(t.Context(), nil, nil, scores); !status.IsSuccess() {
		t.Fatal(status.AsError())
	}
	slices.SortStableFunc(scores, func(a, b fwk.PlacementScore) int { return int(b.Score - a.Score) })
	return scores
}
