package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
)

// The node of P2's smallest cluster: the commonest of the trace.
const (
	p2NodeCPUMilli = 96_000
	p2NodeMemMiB   = 384 << 10
)

// usualReplays is how many numbers of nodes are usually tried, for the progress.
const usualReplays = 7

// runSmallestCluster finds the smallest number of identical nodes on which a
// policy hosts every pod of a trace, in a random order; GPUs are left out, and
// pods larger than a node. Each number tried is one replay, which ends at the
// first pod that fits nowhere. From the lower bound upwards the step is doubled
// until all pods are hosted; then the gap to the last failure is halved. That
// finds the smallest number if more nodes never hurt.
func runSmallestCluster(ctx context.Context, w workload, p policy, seed int64, progress *progress) (outcome, error) {
	pods := shuffledPods(w.pods, seed)
	bound := nodesBound(pods)
	replays, decisions := 0, int64(0)
	progress.expect(usualReplays * len(pods))
	began := time.Now()
	hosts := func(nodes int) (bool, error) {
		replays++
		all, decided, err := hostsAll(ctx, pods, nodes, p, seed, progress)
		decisions += decided
		return all, err
	}
	few, enough := bound-1, bound
	for step := max(1, bound/100); ; step *= 2 {
		all, err := hosts(enough)
		if err != nil {
			return outcome{}, err
		}
		if all {
			break
		}
		if enough > 100*bound {
			return outcome{}, fmt.Errorf("p2: %s: %d nodes do not host what %d might", w.name, enough, bound)
		}
		few, enough = enough, enough+step
	}
	for enough-few > 1 {
		middle := (few + enough) / 2
		all, err := hosts(middle)
		if err != nil {
			return outcome{}, err
		}
		if all {
			enough = middle
		} else {
			few = middle
		}
	}
	return outcome{measures: []measure{
		{"nodes_over_bound_pct", 100 * (float64(enough)/float64(bound) - 1), "%"},
		{"nodes", float64(enough), "nodes"},
		{"bound", float64(bound), "nodes"},
		{"replays", float64(replays), "replays"},
		{"decisions_per_second", float64(decisions) / time.Since(began).Seconds(), "1/s"},
	}}, nil
}

// shuffledPods returns the pods that fit a node of P2, without GPUs, in an order
// drawn at random.
func shuffledPods(pods []openb.Pod, seed int64) []openb.Pod {
	var fitting []openb.Pod
	for _, p := range pods {
		if p.CPUMilli <= p2NodeCPUMilli && p.MemMiB <= p2NodeMemMiB {
			fitting = append(fitting, p.WithoutGPUs())
		}
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 2)) // Chance is to repeat itself.
	rng.Shuffle(len(fitting), func(i, j int) { fitting[i], fitting[j] = fitting[j], fitting[i] })
	return fitting
}

// hostsAll reports whether a policy hosts all pods on that many nodes.
func hostsAll(ctx context.Context, pods []openb.Pod, nodes int, p policy, seed int64, progress *progress) (all bool, decisions int64, err error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	r, err := newReplay(ctx, p, inputs{protocol: "p2", seed: seed}, progress)
	if err != nil {
		return false, 0, err
	}
	for i := range nodes {
		node := openb.Node{Name: fmt.Sprintf("node-%05d", i), CPUMilli: p2NodeCPUMilli, MemMiB: p2NodeMemMiB}
		if err := r.AddNode(node.Object()); err != nil {
			return false, 0, err
		}
	}
	for i, pod := range pods {
		if err := ctx.Err(); err != nil {
			return false, 0, err
		}
		r.AdvanceTo(start().Add(time.Duration(i) * arrivalStep))
		node, err := r.place(pod.Object(r.scheduler))
		if err != nil || node == "" {
			return false, r.decisions, err
		}
	}
	return true, r.decisions, nil
}

// nodesBound is the least number of P2's nodes that could host the pods: the
// larger of Martello and Toth's bound L2 for CPU and for memory.
func nodesBound(pods []openb.Pod) int {
	var cpu, mem []int64
	for _, p := range pods {
		cpu, mem = append(cpu, p.CPUMilli), append(mem, p.MemMiB)
	}
	return max(boundL2(cpu, p2NodeCPUMilli), boundL2(mem, p2NodeMemMiB))
}

// boundL2 is the lower bound L2 of Martello and Toth for bins of one size: for
// each threshold a, items above size-a need a bin each, items above half the size
// too, and items of at least a fill only what those of the second kind leave.
func boundL2(items []int64, size int64) int {
	items = slices.Clone(items)
	slices.Sort(items)
	sums := make([]int64, len(items)+1) // of the smallest
	for i, item := range items {
		sums[i+1] = sums[i] + item
	}
	atLeast := func(value int64) int {
		at, _ := slices.BinarySearch(items, value)
		return at
	}
	half := atLeast(size/2 + 1)
	best := 0
	// The threshold 0 is the volume bound.
	for _, threshold := range slices.Compact(append([]int64{0}, items[:half]...)) {
		alone := max(half, atLeast(size-threshold+1))
		room := int64(alone-half)*size - (sums[alone] - sums[half])
		small := sums[half] - sums[atLeast(threshold)]
		extra := max(0, math.Ceil(float64(small-room)/float64(size)))
		best = max(best, len(items)-half+int(extra))
	}
	return best
}

// runSaturation lets pods of random draws arrive on the real nodes, CPU and
// memory only, until they ask 130 % of the CPU.
func runSaturation(ctx context.Context, w workload, p policy, seed int64, progress *progress) (outcome, error) {
	r, err := newReplay(ctx, p, inputs{protocol: "p2", seed: seed}, progress)
	if err != nil {
		return outcome{}, err
	}
	nodes, pods := slices.Clone(w.nodes), slices.Clone(w.pods)
	for i, n := range nodes {
		nodes[i] = n.WithoutGPUs()
	}
	for i, pod := range pods {
		pods[i] = pod.WithoutGPUs()
	}
	arrivals := openb.Arrive(nodes, pods, seed, openb.Inflation, openb.CPUDemand())
	progress.expect(len(arrivals.Pods))
	has, err := addNodes(r, arrivals.Nodes)
	if err != nil {
		return outcome{}, err
	}
	began := time.Now()
	var arrived, used int64
	last := map[int]float64{} // allocated at the last event of each percent of arrivals
	rejected := math.NaN()
	for i, pod := range arrivals.Pods {
		if err := ctx.Err(); err != nil {
			return outcome{}, err
		}
		r.AdvanceTo(start().Add(time.Duration(i) * arrivalStep))
		object := pod.Object(r.scheduler)
		node, err := r.place(object)
		if err != nil {
			return outcome{}, err
		}
		arrived += pod.CPUMilli
		if node != "" {
			used += pod.CPUMilli
		} else {
			if math.IsNaN(rejected) {
				rejected = percent(used, has.cpuMilli)
			}
			r.Delete(object)
		}
		last[int(math.RoundToEven(percent(arrived, has.cpuMilli)))] = percent(used, has.cpuMilli)
	}
	if math.IsNaN(rejected) {
		rejected = percent(used, has.cpuMilli)
	}
	measures := []measure{{"first_rejection_pct", rejected, "% of CPU"}}
	for _, at := range []int{80, 90, 100} {
		measures = append(measures, measure{fmt.Sprintf("cpu%d", at), last[at], "% of CPU"})
	}
	return outcome{measures: append(measures, measure{"cpu_end", percent(used, has.cpuMilli), "% of CPU"}, r.speed(began))}, nil
}
