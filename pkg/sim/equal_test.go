package sim_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

// TestNothingKeptChangesAChoice replays one random trace twice, with findings kept
// between pods and without, and compares every result.
func TestNothingKeptChangesAChoice(t *testing.T) {
	for name, c := range map[string]struct {
		config string
		trace  trace
	}{
		"with the shipped profile":                        {shipped(t), trace{steps: 900}},
		"with the shipped profile, nothing reaches far":   {shipped(t), trace{steps: 900, plain: true}},
		"with Kubernetes' plugins, pods signed":           {inTree, trace{steps: 900}},
		"with Kubernetes' plugins, nothing reaches far":   {inTree, trace{steps: 900, plain: true}},
		"with Kubernetes' default profile, no pod signed": {header, trace{steps: 300}},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				kept := replay(t, simulate(t, c.config, nil), seed, c.trace)
				each := replay(t, simulate(t, c.config, func(c *sim.Config) { c.Exhaustive = true }), seed, c.trace)
				if diff := cmp.Diff(each, kept); diff != "" {
					t.Errorf("seed %d: results (-every node anew +kept):\n%s", seed, diff)
				}
				if placed, pending := outcomes(each); placed < len(each)/2 || pending == 0 {
					t.Errorf("seed %d: %d pods placed, %d not: the trace tries only one of the two", seed, placed, pending)
				}
			}
		})
	}
}

func outcomes(results []sim.Result) (placed, pending int) {
	for _, r := range results {
		if r.Node != "" {
			placed++
		} else {
			pending++
		}
	}
	return placed, pending
}

// trace says what a random trace holds.
type trace struct {
	steps int
	plain bool // no images on nodes, no pod affinity: nothing voids all that is kept
}

// replay lets pods of repeating shapes arrive and depart, and nodes come, go, with or
// without their pods, and come back.
func replay(tb testing.TB, s *sim.Simulator, seed uint64, of trace) []sim.Result {
	tb.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	nodes := make([]string, 30)
	for i := range nodes {
		nodes[i] = named("node", i)
		addNodes(tb, s, of.node(random, nodes[i]))
	}
	var there []*v1.Pod
	var results []sim.Result
	for i := range of.steps {
		s.AdvanceTo(begin().Add(time.Duration(i) * time.Second))
		switch {
		case random.IntN(12) == 0:
			nodes = append(nodes, named("node", 30+i))
			addNodes(tb, s, of.node(random, nodes[len(nodes)-1]))
		case random.IntN(12) == 0 && len(nodes) > 20:
			k := random.IntN(len(nodes))
			remove(tb, s, nodes[k])
			if random.IntN(3) == 0 {
				addNodes(tb, s, of.node(random, nodes[k]))
			} else {
				nodes = append(nodes[:k], nodes[k+1:]...)
			}
		case random.IntN(60) == 0:
			s.FlushScores()
		case len(there) > 0 && random.IntN(3) == 0:
			k := random.IntN(len(there))
			s.Delete(there[k])
			there = append(there[:k], there[k+1:]...)
		default:
			p := of.pod(random, i)
			results = append(results, schedule(tb, s, p))
			there = append(there, p)
		}
	}
	return results
}

func (of trace) node(random *rand.Rand, name string) *v1.Node {
	cpu := pick(random, "2", "4", "8")
	n := node(name, cpu, pick(random, "4Gi", "8Gi", "16Gi"), zone(pick(random, "east", "west", "north")))
	n.Labels["disk"] = pick(random, "ssd", "none")
	if random.IntN(6) == 0 {
		n.Spec.Taints = []v1.Taint{{Key: "spot", Effect: pick(random, v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule)}}
	}
	if random.IntN(3) == 0 && !of.plain {
		n.Status.Images = []v1.ContainerImage{{Names: []string{"app:latest"}, SizeBytes: 700 << 20}}
	}
	return n
}

func (of trace) pod(random *rand.Rand, i int) *v1.Pod {
	p := pod(named("pod", i), pick(random, "100m", "500m", "1", "3"), pick(random, "128Mi", "1Gi", "6Gi"), labelled("app", pick(random, "a", "b", "c")))
	p.Namespace = pick(random, "default", "default", "other")
	kind := random.IntN(12)
	if of.plain && (kind == 0 || kind == 5) {
		kind = -1
	}
	switch kind {
	case 0:
		apart("app", pick(random, "a", "b"))(p)
	case 1:
		p.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	case 2:
		p.Spec.Tolerations = []v1.Toleration{{Key: "spot", Operator: v1.TolerationOpExists}}
	case 3:
		p.Spec.TopologySpreadConstraints = []v1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: v1.LabelTopologyZone, WhenUnsatisfiable: v1.DoNotSchedule,
			LabelSelector: &metav1.LabelSelector{MatchLabels: p.Labels},
		}}
	case 4:
		p.Spec.Affinity = onlyOn(named("node", random.IntN(10)))
	case 5:
		p.Spec.Affinity = together(p.Labels)
	case 6:
		p.Spec.Containers[0].Ports = []v1.ContainerPort{{HostPort: 8080, ContainerPort: 8080}}
	}
	return p
}

// onlyOn is how the DaemonSet controller binds a pod to a node.
func onlyOn(name string) *v1.Affinity {
	return &v1.Affinity{NodeAffinity: &v1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{
		NodeSelectorTerms: []v1.NodeSelectorTerm{{MatchFields: []v1.NodeSelectorRequirement{{
			Key: metav1.ObjectNameField, Operator: v1.NodeSelectorOpIn, Values: []string{name},
		}}}},
	}}}
}

// together prefers zones with pods of these labels; those then prefer its zone, too.
func together(labels map[string]string) *v1.Affinity {
	return &v1.Affinity{PodAffinity: &v1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []v1.WeightedPodAffinityTerm{{
		Weight: 100, PodAffinityTerm: v1.PodAffinityTerm{TopologyKey: v1.LabelTopologyZone, LabelSelector: &metav1.LabelSelector{MatchLabels: labels}},
	}}}}
}

func pick[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }
