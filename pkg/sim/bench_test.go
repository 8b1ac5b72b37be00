package sim_test

import (
	"math/rand/v2"
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

// BenchmarkSchedule measures one decision, with the departure that makes room for it,
// on 1,500 nodes that are half full of pods of 24 shapes. Where nodes churn, one joins
// and one leaves by turns, as an autoscaler has it. Compare with benchstat.
func BenchmarkSchedule(b *testing.B) {
	for _, c := range []struct {
		name, config string
		exhaustive   bool
		churn        int // decisions between two changes of nodes; 0: nodes stay
	}{
		{"shipped", shipped(b), false, 0},
		{"shipped-nodes-churn", shipped(b), false, 3},
		{"intree-signed", inTree, false, 0},
		{"intree-signed-nodes-churn", inTree, false, 3},
		{"kube-default-unsigned", header, false, 0},
		{"shipped-exhaustive", shipped(b), true, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := simulate(b, c.config, func(config *sim.Config) { config.Exhaustive = c.exhaustive })
			for i := range 1500 {
				addNodes(b, s, node(named("node", i), "16", "64Gi"))
			}
			random := rand.New(rand.NewPCG(1, 1))
			there := make([]*v1.Pod, 0, 9000)
			for i := range cap(there) {
				p := shaped(random, i)
				p.Spec.NodeName = named("node", i%1500)
				if err := s.Place(p); err != nil {
					b.Fatal(err)
				}
				there = append(there, p)
			}
			for i := range 48 { // the first of each shape looks at every node
				s.Delete(there[i])
				there[i] = shaped(random, cap(there)+i)
				schedule(b, s, there[i])
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				k := random.IntN(len(there))
				s.Delete(there[k])
				there[k] = shaped(random, cap(there)+100+n)
				if c.churn != 0 && n%c.churn == 0 {
					if extra := named("extra", n/c.churn/2); n/c.churn%2 == 0 {
						addNodes(b, s, node(extra, "16", "64Gi"))
					} else {
						remove(b, s, extra)
					}
				}
				if got := schedule(b, s, there[k]); got.Node == "" {
					b.Fatalf("pod %d fits nowhere: %s", n, got.Why())
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}

func shaped(random *rand.Rand, i int) *v1.Pod {
	return pod(named("pod", i),
		pick(random, "250m", "500m", "1", "2", "3", "4"), pick(random, "512Mi", "2Gi", "4Gi", "8Gi"))
}
