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
		steps  int
	}{
		"with the shipped profile":                        {shipped(t), 900},
		"with Kubernetes' plugins, pods signed":           {inTree, 900},
		"with Kubernetes' default profile, no pod signed": {header, 300},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(3) {
				kept := replay(t, simulate(t, c.config, nil), seed, c.steps)
				each := replay(t, simulate(t, c.config, func(c *sim.Config) { c.Exhaustive = true }), seed, c.steps)
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

// replay lets pods of repeating shapes arrive and depart, and nodes come and go.
func replay(tb testing.TB, s *sim.Simulator, seed uint64, steps int) []sim.Result {
	tb.Helper()
	random := rand.New(rand.NewPCG(seed, 1))
	for i := range 30 {
		addNodes(tb, s, randomNode(random, i))
	}
	var there []*v1.Pod
	var results []sim.Result
	for i := range steps {
		s.AdvanceTo(begin().Add(time.Duration(i) * time.Second))
		switch {
		case random.IntN(40) == 0:
			addNodes(tb, s, randomNode(random, 30+i))
		case random.IntN(60) == 0:
			s.FlushScores()
		case len(there) > 0 && random.IntN(3) == 0:
			k := random.IntN(len(there))
			s.Delete(there[k])
			there = append(there[:k], there[k+1:]...)
		default:
			p := randomPod(random, i)
			results = append(results, schedule(tb, s, p))
			there = append(there, p)
		}
		if i == steps/2 {
			if err := s.RemoveNode(named("node", 7)); err != nil {
				tb.Fatal(err)
			}
		}
	}
	return results
}

func randomNode(random *rand.Rand, i int) *v1.Node {
	cpu := pick(random, "2", "4", "8")
	n := node(named("node", i), cpu, pick(random, "4Gi", "8Gi", "16Gi"), zone(pick(random, "east", "west", "north")))
	n.Labels["disk"] = pick(random, "ssd", "none")
	if random.IntN(6) == 0 {
		n.Spec.Taints = []v1.Taint{{Key: "spot", Effect: pick(random, v1.TaintEffectNoSchedule, v1.TaintEffectPreferNoSchedule)}}
	}
	if random.IntN(3) == 0 {
		n.Status.Images = []v1.ContainerImage{{Names: []string{"app:latest"}, SizeBytes: 700 << 20}}
	}
	return n
}

func randomPod(random *rand.Rand, i int) *v1.Pod {
	p := pod(named("pod", i), pick(random, "100m", "500m", "1", "3"), pick(random, "128Mi", "1Gi", "6Gi"), labelled("app", pick(random, "a", "b", "c")))
	p.Namespace = pick(random, "default", "default", "other")
	switch random.IntN(12) {
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
