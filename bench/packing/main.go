// Packing measures how well policies pack pods on nodes, ours beside those of the
// literature, on public traces replayed through the real scheduler framework. See
// bench/README.md for the protocols.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
)

// options are the flags.
type options struct {
	protocols, policies, traces, clusters []string
	seeds                                 []int64
	data, nodes, pods                     string
	out, plots, published                 string
	parallel                              int
	cpuProfile                            string
}

func main() {
	// A pod leaves much behind: collect when memory has grown fivefold, not twofold.
	debug.SetGCPercent(400)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	if o.published != "" {
		return checkPublished(ctx, o, stdout, stderr)
	}
	tasks, err := plan(o)
	if err != nil {
		return err
	}
	if o.cpuProfile != "" {
		file, err := os.Create(o.cpuProfile)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // a profile is for looking at
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	results := runAll(ctx, tasks, o.parallel, stderr)
	if err := report(o, args, results, stdout); err != nil {
		return err
	}
	return errorsOf(ctx, results)
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	flags := flag.NewFlagSet("packing", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var o options
	var protocols, policies, traces, clusters, seeds string
	flags.StringVar(&protocols, "protocol", "all", "p1, p2 or p3, several with commas, or all")
	flags.StringVar(&policies, "policies", "", "policies by name, with commas; empty for all that the protocol compares:\n"+describePolicies())
	flags.StringVar(&traces, "traces", "", "pod lists of P1 and P2: names such as default, cpu050; empty for the protocol's")
	flags.StringVar(&clusters, "clusters", "n64,n16,fixed920,mixed",
		"clusters of P3: these names, or vCPUxGB for nodes as needed (64x192), or 400*16x112+500*32x64 for nodes that stand")
	flags.StringVar(&seeds, "seeds", "", "seeds such as 42-46 or 1,5; empty for the protocol's: 42-46 in P1, three in P2 and P3")
	flags.StringVar(&o.data, "data", defaultData(), "folder of the traces; also $PLIMSOLL_DATA; see hack/fetch-data")
	flags.StringVar(&o.nodes, "nodes", "", "node list of P1 and of P2's saturation; empty for the protocol's")
	flags.StringVar(&o.pods, "pods", "", "pod list (P1, P2) or list of machines (P3) in place of the protocol's")
	flags.StringVar(&o.out, "out", "bench/results/packing.csv", "figures; those measured now replace those in the file. Single runs go beside it")
	flags.StringVar(&o.plots, "plots", "bench/results", "folder for plots; empty for none")
	flags.IntVar(&o.parallel, "parallel", 2, "runs at a time, from 1")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile to this file")
	flags.StringVar(&o.published, "check-published", "", "compare with published curves of single seeds (published_alloc_per_seed.csv.gz), instead of all else; - for the one in the data folder")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("%q: all arguments are flags", flags.Arg(0))
	}
	if protocols == "all" {
		protocols = "p1,p2,p3"
	}
	o.protocols, o.policies, o.traces, o.clusters = split(protocols), split(policies), split(traces), split(clusters)
	var err error
	if o.seeds, err = parseSeeds(seeds); err != nil {
		return o, err
	}
	if o.parallel < 1 || o.parallel > 256 {
		return o, fmt.Errorf("-parallel: %d: must be from 1 to 256", o.parallel)
	}
	return o, nil
}

func describePolicies() string {
	var text strings.Builder
	for _, p := range policies() {
		fmt.Fprintf(&text, "  %s: %s\n", p.name, p.what)
	}
	return text.String()
}

func defaultData() string {
	if dir := os.Getenv("PLIMSOLL_DATA"); dir != "" {
		return dir
	}
	return "../shared/data"
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

// parseSeeds reads 42-46, 1,5 and mixtures. Empty is nil.
func parseSeeds(text string) ([]int64, error) {
	var seeds []int64
	for _, part := range split(text) {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, err := strconv.ParseInt(low, 10, 32)
		last, err2 := strconv.ParseInt(high, 10, 32)
		if err != nil || err2 != nil || first < 0 || last < first || last-first > 1000 {
			return nil, fmt.Errorf("-seeds: %q: must be a number from 0 or a range such as 42-46", part)
		}
		for seed := first; seed <= last; seed++ {
			seeds = append(seeds, seed)
		}
	}
	return seeds, nil
}
