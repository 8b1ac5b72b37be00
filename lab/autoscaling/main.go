// Autoscaling measures how autoscalers scale: ours and Kubernetes' own, each as a process of its
// own on the same API server and the same Prometheus, with the same workloads under the same load.
// See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// options are the flags.
type options struct {
	sizes           []int
	controllers     []contender
	periods, warmUp int
	period          time.Duration
	seed            uint64
	out, dir, log   string
	profiles        string
	programs        string
	decision        bool
}

func main() {
	// Linking the components has filled the process's own flag set; its flags are not ours.
	pflag.CommandLine = pflag.NewFlagSet("autoscaling", pflag.ContinueOnError)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "autoscaling:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	log, err := os.Create(o.log)
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	defer log.Close() //nolint:errcheck // what it lacks then, nobody waits for
	quiet.Redirect(log)
	results, err := measureAll(ctx, o, log, stdout)
	decision, decisionErr := measureDecision(ctx, o)
	return errors.Join(err, decisionErr, report(o, args, results, decision, stdout))
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	set := flag.NewFlagSet("autoscaling", flag.ContinueOnError)
	set.SetOutput(stderr)
	var o options
	sizes := set.String("n", "100,1000,5000", "numbers of autoscalers, ascending, each from 1 to 50000. Empty for none")
	controllers := set.String("controllers", "hpa,plimsoll", "controllers, in the order in which they run:\n"+describeContenders())
	set.IntVar(&o.periods, "periods", 6, "periods to measure, from 1 to 1000")
	set.IntVar(&o.warmUp, "warm-up", 4, "periods before that, from 1 to 1000")
	set.DurationVar(&o.period, "period", 15*time.Second, "time from one evaluation of an object to the next, from 1s to 10m")
	set.Uint64Var(&o.seed, "seed", 1, "seed of the load")
	set.StringVar(&o.out, "out", "bench/results/autoscaler.csv", "figures; those measured now replace those in the file. Empty for none")
	set.StringVar(&o.dir, "dir", os.TempDir(), "folder for the data of etcd and Prometheus, which go at the end; its path must be short")
	set.StringVar(&o.log, "log", os.DevNull, "file for the logs of all components")
	set.StringVar(&o.profiles, "profiles", "", "folder for CPU and heap profiles of the controllers while they are measured. Empty for none")
	set.StringVar(&o.programs, "programs", "", "folder of the programs that run the controllers. Empty for this program's own")
	set.BoolVar(&o.decision, "decision", true, "also run the benchmark of a decision in "+decisionPackage)
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("%q: all arguments are flags", set.Arg(0))
	}
	if o.programs == "" {
		own, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the folder of this program: %w", err)
		}
		o.programs = filepath.Dir(own)
	}
	var sizesErr, controllersErr error
	o.sizes, sizesErr = parseSizes(*sizes)
	o.controllers, controllersErr = contendersNamed(*controllers)
	return o, errors.Join(sizesErr, controllersErr,
		within("periods", o.periods, 1, 1000), within("warm-up", o.warmUp, 1, 1000),
		within("period", o.period, time.Second, 10*time.Minute))
}

// parseSizes reads ascending numbers with commas between them: the world only grows.
func parseSizes(text string) ([]int, error) {
	var sizes []int
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 || n > 50_000 {
			return nil, fmt.Errorf("-n: %q: must be numbers from 1 to 50000 with commas", part)
		}
		sizes = append(sizes, n)
	}
	if !slices.IsSorted(sizes) {
		return nil, fmt.Errorf("-n: %q: must ascend", text)
	}
	return sizes, nil
}

func within[T int | time.Duration](name string, value, least, most T) error {
	if least <= value && value <= most {
		return nil
	}
	return fmt.Errorf("-%s: %v: must be from %v to %v", name, value, least, most)
}
