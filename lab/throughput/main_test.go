package throughput

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/etcd/server/v3/etcdmain"
	perf "k8s.io/kubernetes/test/integration/scheduler_perf"
)

// etcdName is what scheduler_perf looks for on PATH.
const etcdName = "etcd"

// TestMain is also etcd: scheduler_perf starts one as a program, and there need not be one on this
// machine. Under that name the test binary is one.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == etcdName {
		etcdmain.Main(os.Args)
		return
	}
	addFlags(flag.CommandLine)
	if err := readFlags(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// readFlags lets scheduler_perf add its flags and read them all. It goes on after a mistake: so they
// are read again.
func readFlags() error {
	perf.LoggingConfig.Verbosity = 0 // the default of its flag -v: at 2, as upstream, a line for each of the nodes
	if err := perf.InitTests(); err != nil {
		return err
	}
	flag.CommandLine.SetOutput(io.Discard)
	if err := flag.CommandLine.Parse(os.Args[1:]); err != nil {
		return err
	}
	if flag.NArg() > 0 {
		return fmt.Errorf("argument %q: there are only flags", flag.Arg(0))
	}
	_, err := flagged(flag.CommandLine)
	return err
}

// options of the benchmark.
type options struct {
	nodes   int    // at least 1
	pods    int    // measured where every node is looked at, at least 1
	warmUp  int    // pods scheduled before the measured ones, at least 1
	repeats int    // at least 1
	csv     string // file of results
}

const (
	podsPerNode  = 40 // that have room: 4 cores for 100m each
	sampledTimes = 4  // as many pods are measured where not every node is looked at
)

func addFlags(set *flag.FlagSet) {
	set.Int("nodes", 5000, "nodes, at least 1")
	set.Int("pods", 1000, "pods measured where every node is looked at, four times as many elsewhere; at least 1")
	set.Int("warm-up", 200, "pods scheduled before them, at least 1")
	set.Int("repeats", 3, "runs of each profile in each setting, at least 1")
	set.String("csv", "../../bench/results/throughput.csv", "file of results, from the package's folder")
}

// flagged reads the options from the flags.
func flagged(set *flag.FlagSet) (options, error) {
	var errs []error
	number := func(name string) int {
		n, _ := set.Lookup(name).Value.(flag.Getter).Get().(int)
		if n < 1 {
			errs = append(errs, fmt.Errorf("-%s: %d: allowed is 1 or more", name, n))
		}
		return n
	}
	o := options{
		nodes: number("nodes"), pods: number("pods"), warmUp: number("warm-up"), repeats: number("repeats"),
		csv: set.Lookup("csv").Value.String(),
	}
	if most := podsPerNode * o.nodes; len(errs) == 0 && o.warmUp+sampledTimes*o.pods > most {
		errs = append(errs, fmt.Errorf("-warm-up and %d times -pods: %d: %d nodes have room for %d", sampledTimes, o.warmUp+sampledTimes*o.pods, o.nodes, most))
	}
	return o, errors.Join(errs...)
}
