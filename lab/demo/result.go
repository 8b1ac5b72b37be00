package demo

import (
	"slices"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
)

// Result is what one system's run came to. All of it is trace time, but for BootTime.
type Result struct {
	System   System
	BootTime time.Duration // of the control plane
	// Elapsed is how much of the trace was replayed.
	Elapsed time.Duration
	// NodeHours counts nodes that hold a pod.
	NodeHours float64
	PeakNodes int
	// PendingHours is pods without a node times hours; PeakPending the most at one time.
	PendingHours float64
	PeakPending  int
	// ScaleActions counts changes of the autoscaled workloads' wanted replicas.
	ScaleActions int
	// Apps are the applications' counts, in the order of the scenario's workloads.
	Apps []traffic.Stats
	// FailedNode was ended on purpose; HealedAfter is the time until every workload had its
	// replicas again, 0 if it did not.
	FailedNode  string
	HealedAfter time.Duration
	// Broken are the promises that did not hold, each once.
	Broken []string
	// Decisions are sentences about the latest placements, newest first, of DecisionCount.
	Decisions     []string
	DecisionCount uint64

	cpuHours, memoryHours float64 // requested share of the nodes in use, times hours of those nodes
	wanted                map[string]int32
	failedAt              time.Duration
	recovered             bool
	last                  sample
}

// sample is one look at the cluster, and the trace time that it stands for.
type sample struct {
	elapsed, length time.Duration
	observation     Observation
	scaled          []Scaled
	broken          []string
}

// add accounts for one more sample.
func (r *Result) add(s sample) {
	r.Elapsed = s.elapsed
	hours := s.length.Hours()
	inUse, cpu, memory := s.observation.InUse()
	r.NodeHours += hours * float64(inUse)
	r.cpuHours += hours * float64(inUse) * cpu
	r.memoryHours += hours * float64(inUse) * memory
	r.PeakNodes = max(r.PeakNodes, inUse)
	r.PendingHours += hours * float64(len(s.observation.Pending))
	r.PeakPending = max(r.PeakPending, len(s.observation.Pending))
	if r.wanted == nil {
		r.wanted = map[string]int32{}
	}
	for _, w := range s.scaled {
		if before, known := r.wanted[w.Name]; known && before != w.Wanted {
			r.ScaleActions++
		}
		r.wanted[w.Name] = w.Wanted
	}
	for _, sentence := range s.broken {
		if !slices.Contains(r.Broken, sentence) {
			r.Broken = append(r.Broken, sentence)
		}
	}
	r.last = s
}

// Packing is the share of CPU and memory requested on the nodes in use, the mean over the run.
func (r *Result) Packing() (cpu, memory float64) {
	if r.NodeHours == 0 {
		return 0, 0
	}
	return r.cpuHours / r.NodeHours, r.memoryHours / r.NodeHours
}

// Scaled sums the autoscaled applications, Steady the others.
func (r *Result) Scaled() application.Summary { return r.sum(true) }

// Steady sums the applications whose replicas nobody changes.
func (r *Result) Steady() application.Summary { return r.sum(false) }

func (r *Result) sum(autoscaled bool) application.Summary {
	var out application.Summary
	for i, stats := range r.Apps {
		if workloads[i].autoscaled() == autoscaled {
			out = out.Plus(stats.Summary)
		}
	}
	return out
}
