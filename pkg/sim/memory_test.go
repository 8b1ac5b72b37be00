package sim_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

// tally is a plugin that counts how often it is asked, and skips when told to.
type tally struct {
	Filtered, Scored int
	skip             bool
}

var (
	_ fwk.PreFilterPlugin = (*tally)(nil)
	_ fwk.FilterPlugin    = (*tally)(nil)
	_ fwk.PreScorePlugin  = (*tally)(nil)
	_ fwk.ScorePlugin     = (*tally)(nil)
	_ fwk.SignPlugin      = (*tally)(nil)
)

func (*tally) Name() string { return "Tally" }

func (*tally) SignPod(context.Context, *v1.Pod) ([]fwk.SignFragment, *fwk.Status) { return nil, nil }

func (p *tally) PreFilter(context.Context, fwk.CycleState, *v1.Pod, []fwk.NodeInfo) (*fwk.PreFilterResult, *fwk.Status) {
	return nil, p.unlessSkipped()
}

func (*tally) PreFilterExtensions() fwk.PreFilterExtensions { return nil }

func (p *tally) Filter(context.Context, fwk.CycleState, *v1.Pod, fwk.NodeInfo) *fwk.Status {
	p.Filtered++
	return nil
}

func (p *tally) PreScore(context.Context, fwk.CycleState, *v1.Pod, []fwk.NodeInfo) *fwk.Status {
	return p.unlessSkipped()
}

func (p *tally) Score(context.Context, fwk.CycleState, *v1.Pod, fwk.NodeInfo) (int64, *fwk.Status) {
	p.Scored++
	return 50, nil
}

func (*tally) ScoreExtensions() fwk.ScoreExtensions { return nil }

func (p *tally) unlessSkipped() *fwk.Status {
	if p.skip {
		return fwk.NewStatus(fwk.Skip)
	}
	return nil
}

func TestNodesAreAskedAgainOnlyWhereSomethingChanged(t *testing.T) {
	elsewhere := pod("p", "1", "1Gi")
	elsewhere.Namespace = "other"
	for name, c := range map[string]struct {
		between func(*sim.Simulator, *tally)
		pod     *v1.Pod
		want    tally
	}{
		"a pod was bound: its node": {want: tally{Filtered: 1, Scored: 1}},
		"a pod departed elsewhere, too: both nodes": {
			between: func(s *sim.Simulator, _ *tally) { s.Delete(pod("departs", "1", "1Gi")) },
			want:    tally{Filtered: 2, Scored: 2},
		},
		"scores are void: scores of all": {
			between: func(s *sim.Simulator, _ *tally) { s.FlushScores() },
			want:    tally{Filtered: 1, Scored: 10},
		},
		"all is void: all": {
			between: func(s *sim.Simulator, _ *tally) { s.Flush() },
			want:    tally{Filtered: 10, Scored: 10},
		},
		"a node joined, too: both": {
			between: func(s *sim.Simulator, _ *tally) { addNodes(t, s, node("new", "4", "16Gi")) },
			want:    tally{Filtered: 2, Scored: 2},
		},
		"a node left: one other, too, which takes its place": {
			between: func(s *sim.Simulator, _ *tally) { remove(t, s, named("node", 4)) },
			want:    tally{Filtered: 2, Scored: 2},
		},
		"a node left and is back: both, and the one that took its place": {
			between: func(s *sim.Simulator, _ *tally) {
				remove(t, s, named("node", 4))
				addNodes(t, s, node(named("node", 4), "16", "64Gi"))
			},
			want: tally{Filtered: 3, Scored: 3},
		},
		"a node joined with an image, the score of which counts all nodes: scores of all": {
			between: func(s *sim.Simulator, _ *tally) {
				n := node("new", "4", "16Gi")
				n.Status.Images = []v1.ContainerImage{{Names: []string{"app:latest"}, SizeBytes: 700 << 20}}
				addNodes(t, s, n)
			},
			want: tally{Filtered: 2, Scored: 11},
		},
		"a node left with a pod that has terms for whole zones: all": {
			between: func(s *sim.Simulator, _ *tally) {
				loner := pod("loner", "1", "1Gi", apart("app", "x"))
				loner.Spec.NodeName = named("node", 3)
				if err := s.Place(loner); err != nil {
					t.Fatal(err)
				}
				schedule(t, s, pod("between", "1", "1Gi"))
				remove(t, s, named("node", 3))
			},
			want: tally{Filtered: 9, Scored: 9},
		},
		"an object joined, which plugins may read: all": {
			between: func(s *sim.Simulator, _ *tally) {
				if err := s.AddObject(&v1.Service{}); err != nil {
					t.Fatal(err)
				}
			},
			want: tally{Filtered: 10, Scored: 10},
		},
		"a pod with terms for whole zones was bound: all": {
			between: func(s *sim.Simulator, _ *tally) {
				p := pod("loner", "1", "1Gi", apart("app", "x"))
				p.Spec.NodeName = named("node", 3)
				if err := s.Place(p); err != nil {
					t.Fatal(err)
				}
			},
			want: tally{Filtered: 10, Scored: 10},
		},
		"the plugin has started to skip: none": {
			between: func(_ *sim.Simulator, p *tally) { p.skip = true },
		},
		"a pod of another shape: all":     {pod: pod("p", "2", "1Gi"), want: tally{Filtered: 10, Scored: 10}},
		"a pod of another namespace: all": {pod: elsewhere, want: tally{Filtered: 10, Scored: 10}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &tally{}
			s := tallied(t, p)
			departs := pod("departs", "1", "1Gi")
			departs.Spec.NodeName = named("node", 5)
			if err := s.Place(departs); err != nil {
				t.Fatal(err)
			}
			schedule(t, s, pod("sets-apart", "12", "48Gi", func(p *v1.Pod) { p.Spec.Affinity = onlyOn(named("node", 0)) }))
			schedule(t, s, pod("first", "1", "1Gi"))
			if c.between != nil {
				c.between(s, p)
			}
			p.Filtered, p.Scored = 0, 0
			second := pod("second", "1", "1Gi")
			if c.pod != nil {
				second = c.pod
			}
			schedule(t, s, second)
			p.skip = false
			if diff := cmp.Diff(c.want, *p, cmp.AllowUnexported(tally{})); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPluginThatNoLongerSkipsIsAskedAboutAllNodes(t *testing.T) {
	p := &tally{skip: true}
	s := tallied(t, p)
	schedule(t, s, pod("first", "1", "1Gi"))
	p.skip = false
	schedule(t, s, pod("second", "1", "1Gi"))
	if diff := cmp.Diff(tally{Filtered: 10, Scored: 10}, *p, cmp.AllowUnexported(tally{})); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func remove(tb testing.TB, s *sim.Simulator, node string) {
	tb.Helper()
	if err := s.RemoveNode(node); err != nil {
		tb.Fatal(err)
	}
}

func tallied(t *testing.T, p *tally) *sim.Simulator {
	t.Helper()
	text := strings.Replace(inTree, "- pluginConfig", "- plugins: {multiPoint: {enabled: [{name: Tally}]}}\n  pluginConfig", 1)
	s := simulate(t, text, func(c *sim.Config) {
		c.Plugins["Tally"] = func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) { return p, nil }
	})
	for i := range 10 {
		addNodes(t, s, node(named("node", i), "16", "64Gi"))
	}
	return s
}
