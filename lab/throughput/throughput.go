// Package throughput says what a comparison of two scheduler profiles on Kubernetes' own
// scheduler_perf came to: figures, ratios and the file of results. The benchmark itself is in the
// package's test, for scheduler_perf runs nowhere else.
package throughput

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// The profiles that are compared.
const (
	// Default is kube-scheduler's own profile.
	Default = "default"
	// Plimsoll is the shipped profile, manifests/scheduler/config.yaml.
	Plimsoll = "plimsoll"
)

// target is the least acceptable ratio of Plimsoll's throughput to the default's.
const target = 1.0

// Run is one run of the workload.
type Run struct {
	// Setting names what both profiles had in common, such as "score=all/pods=distinct".
	Setting string
	Profile string // Default or Plimsoll
	// PodsPerSecond is the average while the measured pods were scheduled, above 0.
	PodsPerSecond float64
	// HintedShare is the share of all pods that were placed from a batch, 0 to 1.
	HintedShare float64
}

// Figure is one line of the results.
type Figure struct {
	Name   string // dotted, unique
	Value  float64
	Unit   string
	Target string // empty: none
	Better string // "higher" or "lower"; empty: neither
}

// Figures sums up runs. The n-th run of one profile in a setting is paired with the n-th of the
// other: the machine was in nearly the same state, so that the median of the pairs' ratios says
// more than the ratio of the medians. A setting needs as many runs of one profile as of the other.
func Figures(runs []Run) ([]Figure, error) {
	var out []Figure
	for _, setting := range settings(runs) {
		ours, theirs := of(runs, setting, Plimsoll), of(runs, setting, Default)
		ratios, err := pairRatios(setting, ours, theirs)
		if err != nil {
			return nil, err
		}
		name := "throughput." + strings.NewReplacer("=", "_", "/", ".").Replace(setting) + "."
		out = append(out,
			Figure{Name: name + Default + ".pods_per_second", Value: median(rates(theirs)), Unit: "pods/s", Better: "higher"},
			Figure{Name: name + Plimsoll + ".pods_per_second", Value: median(rates(ours)), Unit: "pods/s", Better: "higher"},
			Figure{Name: name + Default + ".hinted", Value: median(hinted(theirs)), Unit: "share"},
			Figure{Name: name + Plimsoll + ".hinted", Value: median(hinted(ours)), Unit: "share"},
			Figure{Name: name + "ratio", Value: median(ratios), Unit: "times", Target: strconv.FormatFloat(target, 'f', 1, 64), Better: "higher"},
			Figure{Name: name + "ratio_least", Value: slices.Min(ratios), Unit: "times", Better: "higher"},
			Figure{Name: name + "ratio_largest", Value: slices.Max(ratios), Unit: "times", Better: "higher"},
		)
	}
	return out, nil
}

// WriteCSV writes figures as a file of results: a comment that says where they come from, a head,
// a line a figure.
func WriteCSV(w io.Writer, origin string, figures []Figure) error {
	if _, err := fmt.Fprintf(w, "# %s\n", origin); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	out := csv.NewWriter(w)
	rows := [][]string{{"figure", "value", "unit", "target", "better"}}
	for _, f := range figures {
		rows = append(rows, []string{f.Name, significant(f.Value), f.Unit, f.Target, f.Better})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}

// settings lists the settings in the order of their first runs.
func settings(runs []Run) []string {
	var out []string
	for _, run := range runs {
		if !slices.Contains(out, run.Setting) {
			out = append(out, run.Setting)
		}
	}
	return out
}

func of(runs []Run, setting, profile string) []Run {
	var out []Run
	for _, run := range runs {
		if run.Setting == setting && run.Profile == profile {
			out = append(out, run)
		}
	}
	return out
}

func pairRatios(setting string, ours, theirs []Run) ([]float64, error) {
	if len(ours) == 0 || len(ours) != len(theirs) {
		return nil, fmt.Errorf("runs of %s: %d of %s and %d of %s: want as many of one as of the other, at least 1",
			setting, len(ours), Plimsoll, len(theirs), Default)
	}
	var out []float64
	for i := range ours {
		if !(theirs[i].PodsPerSecond > 0 && ours[i].PodsPerSecond > 0) { // false for NaN too
			return nil, fmt.Errorf("runs of %s: %v and %v pods/s: want more than 0", setting, ours[i].PodsPerSecond, theirs[i].PodsPerSecond)
		}
		out = append(out, ours[i].PodsPerSecond/theirs[i].PodsPerSecond)
	}
	return out, nil
}

func rates(runs []Run) []float64 {
	var out []float64
	for _, run := range runs {
		out = append(out, run.PodsPerSecond)
	}
	return out
}

func hinted(runs []Run) []float64 {
	var out []float64
	for _, run := range runs {
		out = append(out, run.HintedShare)
	}
	return out
}

// median of at least one value; of an even number, the mean of the middle two.
func median(values []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// significant prints a value with four significant digits, never with an exponent.
func significant(value float64) string {
	if value == 0 {
		return "0"
	}
	decimals := max(0, 3-int(math.Floor(math.Log10(math.Abs(value)))))
	return strconv.FormatFloat(value, 'f', decimals, 64)
}
