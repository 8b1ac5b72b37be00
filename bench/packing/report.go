package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

// reported is a measure that becomes a figure: its mean over the seeds.
type reported struct {
	name     string
	better   string // higher or lower
	headline bool   // has a table and a line of progress
}

func reportedMeasures() []reported {
	list := []reported{
		{"alloc100", "higher", true},
		{"alloc130", "higher", true},
		{"cpu100", "higher", false},
		{"nodes_over_bound_pct", "lower", true},
		{"first_rejection_pct", "higher", true},
		{"node_hours_over_bound_pct", "lower", true},
		{"zone_share", "lower", true},
		{"refused", "lower", false},
		{"decisions_per_second", "higher", true},
	}
	for _, kind := range []string{"share", "1", "2", "4", "8", "cpu"} {
		list = append(list, reported{"failed100_" + kind, "lower", false}, reported{"failed130_" + kind, "lower", false})
	}
	return list
}

// group is all seeds of one policy on one workload.
type group struct{ protocol, workload, policy string }

func (g group) prefix() string { return g.protocol + "." + g.workload + "." + g.policy + "." }

func groupOf(r result) group { return group{r.protocol, r.workload, r.policy.name} }

// summary is the means of a group.
type summary struct {
	group
	means map[string]measure
}

// summarize means over the seeds of each group whose runs have all finished, in
// the order of the results.
func summarize(results []result) []summary {
	var order []group
	runs := map[group][]result{}
	for _, r := range results {
		g := groupOf(r)
		if runs[g] == nil {
			order = append(order, g)
		}
		runs[g] = append(runs[g], r)
	}
	var all []summary
	for _, g := range order {
		if slices.ContainsFunc(runs[g], func(r result) bool { return r.err != nil }) {
			continue
		}
		all = append(all, summary{g, means(runs[g])})
	}
	return append(all, meansOverWorkloads(all)...)
}

func means(runs []result) map[string]measure {
	sums := map[string]measure{}
	for _, r := range runs {
		for _, m := range r.measures {
			sums[m.name] = measure{m.name, sums[m.name].value + m.value/float64(len(runs)), m.unit}
		}
	}
	return sums
}

// meansOverWorkloads means P2's nodes over the bound over its traces.
func meansOverWorkloads(all []summary) []summary {
	const name = "nodes_over_bound_pct"
	values := map[string][]float64{}
	var policies []string
	for _, s := range all {
		if m, ok := s.means[name]; ok {
			if values[s.policy] == nil {
				policies = append(policies, s.policy)
			}
			values[s.policy] = append(values[s.policy], m.value)
		}
	}
	var added []summary
	for _, policy := range policies {
		var sum float64
		for _, v := range values[policy] {
			sum += v
		}
		mean := measure{name, sum / float64(len(values[policy])), "%"}
		added = append(added, summary{group{"p2", "mean", policy}, map[string]measure{name: mean}})
	}
	return added
}

// report prints the tables, merges what was measured into the files, and draws.
func report(o options, args []string, results []result, stdout io.Writer) error {
	summaries := summarize(results)
	printTables(stdout, summaries)
	if o.out == "" {
		return nil
	}
	if len(summaries) == 0 {
		return nil // nothing finished: leave the files
	}
	merged, err := mergeFigures(o, args, summaries)
	if err != nil {
		return err
	}
	if err := mergeRuns(o, results); err != nil {
		return err
	}
	curves, err := mergeCurves(o, results, summaries)
	if err != nil {
		return err
	}
	if o.plots == "" {
		return nil
	}
	return draw(o.plots, merged, curves)
}

// printTables prints a table for each protocol and measure: workloads by policies.
func printTables(out io.Writer, summaries []summary) {
	for _, p := range protocols() {
		for _, m := range reportedMeasures() {
			if m.headline {
				printTable(out, p.name, m.name, summaries)
			}
		}
	}
}

func printTable(out io.Writer, protocol, name string, summaries []summary) {
	var workloads, policies []string
	cells := map[string]string{}
	unit := ""
	for _, s := range summaries {
		m, ok := s.means[name]
		if s.protocol != protocol || !ok {
			continue
		}
		unit = m.unit
		workloads, policies = appendNew(workloads, s.workload), appendNew(policies, s.policy)
		cells[s.workload+"."+s.policy] = strconv.FormatFloat(m.value, 'f', decimals(m.value), 64)
	}
	if len(workloads) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s %s, %s\n\n| | %s |\n|---%s|\n", protocol, name, unit, strings.Join(policies, " | "), strings.Repeat("|---:", len(policies)))
	for _, w := range workloads {
		fmt.Fprintf(out, "| %s |", w)
		for _, p := range policies {
			fmt.Fprintf(out, " %s |", cells[w+"."+p])
		}
		fmt.Fprintln(out)
	}
}

func decimals(value float64) int {
	if value >= 1000 {
		return 0
	}
	return 2
}

func appendNew(list []string, item string) []string {
	if slices.Contains(list, item) {
		return list
	}
	return append(list, item)
}

// headline is a run's main measures in a line.
func headline(measures []measure) string {
	var parts []string
	for _, m := range measures {
		for _, r := range reportedMeasures() {
			if r.headline && r.name == m.name {
				parts = append(parts, fmt.Sprintf("%s %.*f", m.name, decimals(m.value), m.value))
			}
		}
	}
	return strings.Join(parts, ", ")
}

func mergeFigures(o options, args []string, summaries []summary) (figures.File, error) {
	f, err := figures.Read(o.out, []string{"figure", "value", "unit", "target", "better"})
	if err != nil {
		return f, err
	}
	var lines [][]string
	for _, s := range summaries {
		f.Comments[s.protocol] = provenance(args)
		for _, r := range reportedMeasures() {
			if m, ok := s.means[r.name]; ok {
				lines = append(lines, []string{s.prefix() + r.name, format(m.value), m.unit, "", r.better})
			}
		}
	}
	f.Replace(func(line []string) bool {
		return slices.ContainsFunc(summaries, func(s summary) bool { return strings.HasPrefix(line[0], s.prefix()) })
	}, lines)
	setTargets(f.Lines)
	return f, f.Write(o.out, func(a, b []string) int { return cmp.Compare(a[0], b[0]) })
}

// beside names a file beside the figures: packing-runs.csv beside packing.csv.
func beside(out, suffix string) string {
	return strings.TrimSuffix(out, filepath.Ext(out)) + "-" + suffix + ".csv"
}

// mergeRuns keeps every measure of every single run.
func mergeRuns(o options, results []result) error {
	name := beside(o.out, "runs")
	f, err := figures.Read(name, []string{"protocol", "workload", "policy", "seed", "measure", "value", "unit"})
	if err != nil {
		return err
	}
	again := map[string]bool{}
	var lines [][]string
	for _, r := range results {
		if r.err != nil {
			continue
		}
		key := []string{r.protocol, r.workload, r.policy.name, strconv.FormatInt(r.seed, 10)}
		again[strings.Join(key, ",")] = true
		for _, m := range r.measures {
			lines = append(lines, append(slices.Clone(key), m.name, format(m.value), m.unit))
		}
	}
	f.Replace(func(line []string) bool { return again[strings.Join(line[:4], ",")] }, lines)
	return f.Write(name, func(a, b []string) int { return slices.Compare(a[:4], b[:4]) })
}

// mergeCurves keeps P1's curves, means over the seeds.
func mergeCurves(o options, results []result, summaries []summary) (figures.File, error) {
	name := beside(o.out, "curves")
	f, err := figures.Read(name, []string{"trace", "policy", "arrived_pct", "allocated_pct"})
	if err != nil {
		return f, err
	}
	finished := map[string]bool{}
	for _, s := range summaries {
		finished[s.workload+","+s.policy] = s.protocol == "p1"
	}
	type key struct {
		group
		arrived float64
	}
	sums, counts := map[key]float64{}, map[key]float64{}
	var order []key
	for _, r := range results {
		g := groupOf(r)
		for _, p := range r.curve {
			k := key{g, p.arrived}
			if counts[k] == 0 {
				order = append(order, k)
			}
			sums[k] += p.allocated
			counts[k]++
		}
	}
	var lines [][]string
	for _, k := range order {
		if finished[k.workload+","+k.policy] {
			lines = append(lines, []string{k.workload, k.policy, format(k.arrived), format(sums[k] / counts[k])})
		}
	}
	if len(lines) == 0 {
		return f, nil
	}
	f.Replace(func(line []string) bool { return finished[line[0]+","+line[1]] }, lines)
	return f, f.Write(name, func(a, b []string) int { return slices.Compare(a[:2], b[:2]) })
}

func format(value float64) string {
	return strconv.FormatFloat(value, 'g', 7, 64)
}

// provenance says when, where and how, in a line.
func provenance(args []string) string {
	return fmt.Sprintf("%s, %s, %d cores, %s, go run ./bench/packing %s",
		time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.Version(), strings.Join(args, " "))
}

// processor names the processor where the system says so.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
