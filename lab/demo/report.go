package demo

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
)

// Report writes the closing table, one column a run, and what else there is to say.
func Report(out io.Writer, scenario Scenario, results ...Result) {
	fmt.Fprintf(out, "\n%s, noise seed %d: %s of trace time, %g times faster than life\n\n",
		scenario.Trace.Name(), scenario.Seed, hoursMinutes(results[0].Elapsed), float64(scenario.Pace))
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "\t")
	for _, r := range results {
		fmt.Fprintf(table, "%s\t", r.System)
	}
	fmt.Fprintln(table)
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t", row.label)
		for i := range results {
			fmt.Fprintf(table, "%s\t", row.value(&results[i]))
		}
		fmt.Fprintln(table)
	}
	table.Flush() // out is a terminal or a buffer: an error here has nobody to be told
	fmt.Fprintf(out, "\nAt this speed a dead node is noticed after %v of trace time (life: 40s to 50s) and metrics-server looks\nevery %v (life: 15s to 1m): what is lost with the node is overstated, for every system alike.\n",
		scenario.Pace.Trace(cluster.NodeGrace(scenario.Pace)), scenario.Pace.Trace(cluster.MetricsResolution(scenario.Pace)))
	for _, r := range results {
		reportRun(out, r)
	}
}

// rows of the closing table.
var rows = []struct {
	label string
	value func(*Result) string
}{
	{"node-hours (nodes that hold a pod)", func(r *Result) string { return fmt.Sprintf("%.1f", r.NodeHours) }},
	{"most nodes in use", func(r *Result) string { return fmt.Sprint(r.PeakNodes) }},
	{"CPU / memory requested on nodes in use", func(r *Result) string {
		cpu, memory := r.Packing()
		return fmt.Sprintf("%.0f %% / %.0f %%", 100*cpu, 100*memory)
	}},
	{"replica-hours, autoscaled workloads", func(r *Result) string { return fmt.Sprintf("%.1f", r.Scaled().ReplicaHours) }},
	{"under-provisioned time (load > capacity)", func(r *Result) string { return duration(r.Scaled().UnderProvisioned) }},
	{"time above 80 % of capacity", func(r *Result) string { return duration(r.Scaled().AtRisk) }},
	{"lost requests, autoscaled workloads", func(r *Result) string { return lost(r.Scaled().Lost, r.Scaled().Offered) }},
	{"lost requests, steady workloads", func(r *Result) string { return lost(r.Steady().Lost, r.Steady().Offered) }},
	{"pods pending (pod-hours / most at once)", func(r *Result) string { return fmt.Sprintf("%.2f / %d", r.PendingHours, r.PeakPending) }},
	{"scale actions", func(r *Result) string { return fmt.Sprint(r.ScaleActions) }},
	{"healed after the node's end", func(r *Result) string {
		if r.FailedNode == "" {
			return "no node ended"
		}
		if r.HealedAfter == 0 {
			return "not seen"
		}
		return duration(r.HealedAfter)
	}},
	{"promises broken", func(r *Result) string { return fmt.Sprint(len(r.Broken)) }},
}

func reportRun(out io.Writer, r Result) {
	if len(r.Decisions) > 0 {
		fmt.Fprintf(out, "\nWhy is it there? The latest of %d placements by %s:\n", r.DecisionCount, r.System)
		for _, sentence := range r.Decisions {
			fmt.Fprintf(out, "  %s\n", sentence)
		}
	}
	if len(r.Broken) > 0 {
		fmt.Fprintf(out, "\nBroken promises of %s:\n", r.System)
		for _, sentence := range r.Broken {
			fmt.Fprintf(out, "  %s\n", sentence)
		}
	}
}

func lost(n, of float64) string {
	if of == 0 {
		return "0"
	}
	return fmt.Sprintf("%.0f (%.3f %%)", n, 100*n/of)
}

func duration(d time.Duration) string { return d.Round(time.Second).String() }

func hoursMinutes(d time.Duration) string {
	d = d.Round(time.Minute)
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
