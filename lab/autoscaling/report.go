package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

// A figure is one line of the results.
type figure struct {
	name         string
	value        float64
	unit, better string
}

// figures of one result.
func (r result) figures() []figure {
	prefix := scalePrefix(r.n, r.controller)
	return []figure{
		{prefix + "period_p99_s", r.lateP99, "s", "lower"},
		{prefix + "period_p50_s", r.lateP50, "s", "lower"},
		{prefix + "evaluations", r.evaluations, "1/period", "higher"},
		{prefix + "api_requests", r.apiRequests, "1/period", "lower"},
		{prefix + "queries", r.queries, "1/period", "lower"},
		{prefix + "cores", r.cores, "cores", "lower"},
		{prefix + "rss_mb", r.residentMB, "MB", "lower"},
		{prefix + "rss_peak_mb", r.peakMB, "MB", "lower"},
	}
}

func scalePrefix(n int, controller string) string { return fmt.Sprintf("scale.%d.%s.", n, controller) }

// targets of issue 5 by figure.
func targets() map[string]string {
	return map[string]string{
		"scale.5000.plimsoll.period_p99_s": "10",
		"scale.5000.plimsoll.cores":        "1",
		"scale.5000.plimsoll.rss_mb":       "400",
		"decision.ns":                      "5000",
	}
}

// leastRatio is the least acceptable ratio of the requests and queries of the
// HorizontalPodAutoscaler to ours.
const leastRatio = "5"

// printResult prints one result and what its requests were.
func printResult(out io.Writer, o options, r result) {
	fmt.Fprintf(out, "%6d %-14s late p50 %.2f s, p99 %.2f s; in a period %.0f evaluations, %.0f requests, %.0f queries; %.2f cores (servers %.2f, others %.2f), %.0f MB (peak %.0f); %d scaled\n",
		r.n, r.controller, r.lateP50, r.lateP99, r.evaluations, r.apiRequests, r.queries, r.cores, r.serverCores, r.foreignCores, r.residentMB, r.peakMB, r.scaled)
	for _, kind := range r.asked.Kinds() {
		fmt.Fprintf(out, "%14.1f %s\n", float64(r.asked.Counts[kind])/float64(o.periods), kind)
	}
}

// report merges what was measured into the file of results.
func report(o options, args []string, results []result, decision []figure, stdout io.Writer) error {
	if o.out == "" || len(results)+len(decision) == 0 {
		return nil
	}
	f, err := figures.Read(o.out, []string{"figure", "value", "unit", "target", "better"})
	if err != nil {
		return err
	}
	for _, r := range results {
		prefix := scalePrefix(r.n, r.controller)
		f.Comments[strings.TrimSuffix(prefix, ".")] = fmt.Sprintf("%s; the servers used %.2f cores, other programs on the machine %.2f",
			provenance(args), r.serverCores, r.foreignCores)
		replace(&f, prefix, r.figures())
	}
	if len(decision) > 0 {
		f.Comments["decision"] = provenance(args)
		replace(&f, "decision.", decision)
	}
	addRatios(&f)
	if err := f.Write(o.out, byName); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "figures are in", o.out)
	return nil
}

// replace puts figures in place of those with the same prefix.
func replace(f *figures.File, prefix string, measured []figure) {
	var lines [][]string
	for _, m := range measured {
		lines = append(lines, []string{m.name, format(m.value), m.unit, targets()[m.name], m.better})
	}
	f.Replace(func(line []string) bool { return strings.HasPrefix(line[0], prefix) }, lines)
}

// addRatios says how many times the requests and queries of ours the HorizontalPodAutoscaler needs.
func addRatios(f *figures.File) {
	values := map[string]float64{}
	for _, line := range f.Lines {
		values[line[0]], _ = strconv.ParseFloat(line[1], 64)
	}
	asked := func(n, controller string) float64 {
		return values["scale."+n+"."+controller+".api_requests"] + values["scale."+n+"."+controller+".queries"]
	}
	var ratios [][]string
	for _, line := range f.Lines {
		n, ours := strings.CutSuffix(strings.TrimPrefix(line[0], "scale."), ".plimsoll.api_requests")
		if ours && asked(n, "hpa") > 0 && asked(n, "plimsoll") > 0 {
			ratios = append(ratios, []string{"scale." + n + ".requests_ratio", format(asked(n, "hpa") / asked(n, "plimsoll")), "times", leastRatio, "higher"})
		}
	}
	f.Replace(func(line []string) bool { return strings.HasSuffix(line[0], ".requests_ratio") }, ratios)
}

// format prints four significant digits, never with an exponent.
func format(value float64) string {
	if value == 0 || math.IsNaN(value) || math.IsInf(value, 0) {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}
	decimals := max(0, 3-int(math.Floor(math.Log10(math.Abs(value)))))
	return strconv.FormatFloat(value, 'f', decimals, 64)
}

// byName sorts lines by the parts of their names, numbers among them by value.
func byName(a, b []string) int {
	return slices.CompareFunc(strings.Split(a[0], "."), strings.Split(b[0], "."), func(a, b string) int {
		x, err1 := strconv.Atoi(a)
		y, err2 := strconv.Atoi(b)
		if err1 == nil && err2 == nil {
			return cmp.Compare(x, y)
		}
		return cmp.Compare(a, b)
	})
}

func provenance(args []string) string {
	return fmt.Sprintf("%s, %s, %d cores, %s, go run ./lab/autoscaling %s",
		time.Now().UTC().Format(time.DateOnly), processor(), runtime.NumCPU(), runtime.Version(), strings.Join(args, " "))
}

// processor names the processor where the system says so.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // elsewhere than on Linux there is none
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
