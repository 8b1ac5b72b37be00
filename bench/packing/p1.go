package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
)

// fgdTraces are the pod lists of the FGD paper that P1 takes by default.
func fgdTraces() []string {
	return []string{
		"default", "cpu050", "cpu200", "gpushare40", "gpushare80",
		"multigpu20", "multigpu40", "gpuspec10", "gpuspec25",
	}
}

// arrivalStep is the virtual time between two arrivals of P1 and P2, whose traces
// have no times.
const arrivalStep = time.Second

// workload is a list of pods, of any protocol without times.
type workload struct {
	name  string
	nodes []openb.Node
	pods  []openb.Pod
}

// readWorkloads reads pod lists for one list of nodes. A trace is a name of the
// paper's (default, cpu050) or a file.
func readWorkloads(data, nodesFile string, traces []string) ([]workload, error) {
	nodes, err := openb.ReadNodes(nodesFile)
	if err != nil {
		return nil, err
	}
	var all []workload
	for _, trace := range traces {
		file := trace
		if !strings.Contains(trace, ".csv") {
			file = filepath.Join(data, "openb_fgd", "openb_pod_list_"+trace+".csv.gz")
		}
		pods, err := openb.ReadPods(file)
		if err != nil {
			return nil, err
		}
		all = append(all, workload{name: traceName(trace), nodes: nodes, pods: pods})
	}
	return all, nil
}

// traceName makes of a file's name what figures have it by.
func traceName(trace string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(trace), ".gz"), ".csv")
	return strings.ReplaceAll(strings.TrimPrefix(name, "openb_pod_list_"), ".", "_")
}

// runP1 replays one trace as the FGD paper does: pods arrive at random, never
// leave, and fail for good if nothing fits.
func runP1(ctx context.Context, w workload, p policy, seed int64, progress *progress) (outcome, error) {
	r, err := newReplay(ctx, p, inputs{protocol: "p1", seed: seed, typical: openb.Typical(w.pods)}, progress)
	if err != nil {
		return outcome{}, err
	}
	arrivals := openb.Arrive(w.nodes, w.pods, seed, openb.Inflation, openb.GPUDemand())
	progress.expect(len(arrivals.Pods))
	capacity, err := addNodes(r, arrivals.Nodes)
	if err != nil {
		return outcome{}, err
	}
	if capacity.gpuMilli == 0 {
		return outcome{}, fmt.Errorf("p1: the nodes have no GPU")
	}
	tally := newTally(capacity)
	began := time.Now()
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
		if node == "" {
			r.Delete(object)
		}
		tally.note(pod, node != "")
	}
	result := tally.outcome()
	result.measures = append(result.measures, r.speed(began))
	return result, nil
}

// capacity is what all nodes have together.
type capacity struct{ cpuMilli, memMiB, gpuMilli int64 }

func addNodes(r *replay, nodes []openb.Node) (capacity, error) {
	var all capacity
	for _, n := range nodes {
		if err := r.AddNode(n.Object()); err != nil {
			return all, err
		}
		all.cpuMilli += n.CPUMilli
		all.memMiB += n.MemMiB
		all.gpuMilli += int64(n.GPUs) * openb.WholeGPU
	}
	return all, nil
}

// tally counts what P1 reports.
type tally struct {
	has, used   capacity
	arrived     int64 // thousandths of GPUs
	gpu         openb.Curve
	cpu, mem    openb.Curve
	failed      map[string]int // by kind, up to 100 % arrivals
	failedAtEnd map[string]int
}

func newTally(has capacity) *tally {
	return &tally{has: has, failed: map[string]int{}, failedAtEnd: map[string]int{}}
}

func (t *tally) note(pod openb.Pod, placed bool) {
	t.arrived += pod.GPUDemand()
	if placed {
		t.used.cpuMilli += pod.CPUMilli
		t.used.memMiB += pod.MemMiB
		t.used.gpuMilli += pod.GPUDemand()
	} else {
		t.failedAtEnd[pod.Kind()]++
		if t.arrived <= t.has.gpuMilli {
			t.failed[pod.Kind()]++
		}
	}
	arrived := percent(t.arrived, t.has.gpuMilli)
	t.gpu.Add(arrived, percent(t.used.gpuMilli, t.has.gpuMilli))
	t.cpu.Add(arrived, percent(t.used.cpuMilli, t.has.cpuMilli))
	t.mem.Add(arrived, percent(t.used.memMiB, t.has.memMiB))
}

func (t *tally) outcome() outcome {
	var o outcome
	for at := range t.gpu.Len() {
		if allocated, ok := t.gpu.At(at); ok {
			o.curve = append(o.curve, point{float64(at), allocated})
		}
	}
	for _, report := range []struct {
		name  string
		curve *openb.Curve
		unit  string
		at    []int
	}{
		{"alloc", &t.gpu, "% of GPUs", []int{90, 95, 100, 110, 130}},
		{"cpu", &t.cpu, "% of CPU", []int{100, 130}},
		{"mem", &t.mem, "% of memory", []int{100, 130}},
	} {
		for _, at := range report.at {
			o.measures = append(o.measures, measure{fmt.Sprintf("%s%d", report.name, at), report.curve.Until(at), report.unit})
		}
	}
	for _, kind := range openb.Kinds() {
		o.measures = append(o.measures,
			measure{"failed100_" + kind, float64(t.failed[kind]), "pods"},
			measure{"failed130_" + kind, float64(t.failedAtEnd[kind]), "pods"})
	}
	return o
}

func percent(part, whole int64) float64 { return 100 * float64(part) / float64(whole) }
