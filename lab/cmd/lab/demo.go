package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/demo"
	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
	"github.com/plimsoll-k8s/plimsoll/lab/trace"
	"github.com/plimsoll-k8s/plimsoll/lab/trace/worldcup"
)

// worldcupName is the --trace that stands for the World Cup's opening day in $PLIMSOLL_DATA.
const worldcupName = "worldcup"

// demoFlags are the command line of lab demo.
type demoFlags struct {
	trace    string
	from     time.Duration
	duration time.Duration
	speed    float64
	seed     uint64
	against  string
	headless bool
	noFail   bool
	auditLog string
	logFile  string
}

const demoExamples = `  # A synthetic day with a flash crowd, 120 times faster than life (12 minutes).
  lab demo

  # The same trace under Plimsoll and under kube-scheduler with the HPA, one table of both.
  lab demo --against stock

  # Two hours of the World Cup of 1998, plain lines, for CI.
  lab demo --trace worldcup --duration 2h --headless

  # A trace of your own: a CSV file of two columns, time and requests (or rps).
  lab demo --trace load.csv --from 6h --duration 4h`

func newDemo() *cobra.Command {
	f := demoFlags{}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Replay a load trace on a cluster scheduled and scaled by Plimsoll",
		Long: `demo boots a cluster of 40 nodes in 3 zones, installs Plimsoll from its manifests,
creates a dozen Deployments, two of them autoscaled, and replays a load trace. Halfway it
ends the fullest node and lets the system heal. It ends with a table.

It exits with 1 when a promise breaks: a pod that fits stays pending, more is requested on a
node than it can allocate, or replicas leave their bounds.`,
		Example: demoExamples,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	fs := cmd.Flags()
	fs.StringVar(&f.trace, "trace", "", `load trace: a CSV file (.gz too), or "worldcup" for the opening day in $PLIMSOLL_DATA; a synthetic day if empty`)
	fs.DurationVar(&f.from, "from", 0, "trace time at which to start")
	fs.DurationVar(&f.duration, "duration", 24*time.Hour, "trace time to replay, from 10m; the trace's end comes first if it is shorter")
	fs.Float64Var(&f.speed, "speed", 120, "how many times faster than life, from 1 to 240")
	fs.Uint64Var(&f.seed, "seed", 1, "seed of the synthetic day and of the applications' noise")
	fs.StringVar(&f.against, "against", "", `run this system too and compare: "stock", kube-scheduler with its defaults and the HorizontalPodAutoscaler`)
	fs.BoolVar(&f.headless, "headless", false, "plain lines even on a terminal")
	fs.BoolVar(&f.noFail, "no-failure", false, "do not end a node halfway")
	fs.StringVar(&f.auditLog, "audit-log", "", "file for the API server's audit log, one line a request")
	fs.StringVar(&f.logFile, "log-file", "", "file for the components' logs; they go nowhere if empty")
	return cmd
}

// maxSpeed is where the shortest period (15 s) meets the shortest that holds (50 ms wall) with
// room to spare.
const maxSpeed = 240

func (f *demoFlags) run(cmd *cobra.Command) error {
	scenario, systems, err := f.scenario(cmd.ErrOrStderr())
	if err != nil {
		return usageError{err}
	}
	log, closeLog, err := openLog(f.logFile)
	if err != nil {
		return usageError{err}
	}
	defer closeLog()
	quiet.Redirect(log)
	scenario.Log = log

	out := cmd.OutOrStdout()
	var results []demo.Result
	for _, system := range systems {
		if len(systems) > 1 {
			fmt.Fprintf(out, "\n--- %s ---\n", system)
		}
		result, err := demo.Run(cmd.Context(), scenario, system, f.view(out))
		if result.Elapsed > 0 {
			results = append(results, result)
		}
		if err != nil {
			if len(results) > 0 {
				demo.Report(out, scenario, results...)
			}
			return fmt.Errorf("%s: %w", system, err)
		}
	}
	demo.Report(out, scenario, results...)
	for _, r := range results {
		if r.System == demo.Plimsoll && len(r.Broken) > 0 {
			return fmt.Errorf("%d promises broken, see above", len(r.Broken))
		}
	}
	return nil
}

// scenario checks the flags and loads the trace.
func (f *demoFlags) scenario(warnings io.Writer) (demo.Scenario, []demo.System, error) {
	systems := []demo.System{demo.Plimsoll}
	switch {
	case f.against == string(demo.Stock):
		systems = append(systems, demo.Stock)
	case f.against != "":
		return demo.Scenario{}, nil, fmt.Errorf(`--against %q: allowed is "stock"`, f.against)
	case !(f.speed >= 1 && f.speed <= maxSpeed): // false for NaN too
		return demo.Scenario{}, nil, fmt.Errorf("--speed %v: allowed is 1 to %d", f.speed, maxSpeed)
	case f.duration < 10*time.Minute:
		return demo.Scenario{}, nil, fmt.Errorf("--duration %v: allowed is 10m or more", f.duration)
	case f.from < 0:
		return demo.Scenario{}, nil, fmt.Errorf("--from %v: allowed is 0s or more", f.from)
	}
	load, err := f.loadTrace(warnings)
	if err != nil {
		return demo.Scenario{}, nil, err
	}
	if f.from >= load.Duration() {
		return demo.Scenario{}, nil, fmt.Errorf("--from %v: the trace lasts %v", f.from, load.Duration())
	}
	length := min(f.duration, load.Duration()-f.from).Truncate(load.Step())
	if load, err = demo.ScaleLoad(load); err != nil {
		return demo.Scenario{}, nil, err
	}
	if load, err = load.Slice(f.from.Truncate(load.Step()), length); err != nil {
		return demo.Scenario{}, nil, err
	}
	return demo.Scenario{
		Trace: load, Length: load.Duration(), Pace: application.Pace(f.speed), Seed: f.seed,
		FailNode: !f.noFail, AuditFile: f.auditLog,
	}, systems, nil
}

func (f *demoFlags) loadTrace(warnings io.Writer) (trace.Trace, error) {
	switch f.trace {
	case "":
		return trace.Synthetic(f.seed, max(24*time.Hour, ceilHours(f.from+f.duration)))
	case worldcupName:
		dir, err := os.Getwd()
		if err != nil {
			return trace.Trace{}, err
		}
		data := worldcup.DataDir(os.Getenv, dir)
		found, err := worldcup.Load(data, worldcup.OpeningDay())
		if err == nil && !found.There {
			err = fmt.Errorf("--trace worldcup: no such data set in %s (set $PLIMSOLL_DATA)", data)
		}
		return found.Trace.Named("World Cup 1998, opening day"), err
	}
	load, gaps, err := trace.LoadFilling(f.trace)
	var wrong *trace.Error
	if err != nil && !errors.As(err, &wrong) {
		return trace.Trace{}, fmt.Errorf("--trace: %w", err)
	}
	for _, gap := range gaps {
		fmt.Fprintf(warnings, "trace %s: %d rows missing from %s on, taken as no load\n", f.trace, gap.Steps, gap.From)
	}
	return load, err
}

func ceilHours(d time.Duration) time.Duration {
	return time.Duration(math.Ceil(d.Hours())) * time.Hour
}

// view is a live picture on a terminal and lines elsewhere.
func (f *demoFlags) view(out io.Writer) demo.View {
	file, isFile := out.(*os.File)
	if !f.headless && isFile && term.IsTerminal(int(file.Fd())) && !strings.EqualFold(os.Getenv("TERM"), "dumb") {
		width, _, err := term.GetSize(int(file.Fd()))
		if err == nil {
			return &demo.Screen{Out: out, Width: width}
		}
	}
	return &demo.Lines{Out: out, Every: 30 * time.Minute}
}

func openLog(path string) (io.Writer, func(), error) {
	if path == "" {
		return io.Discard, func() {}, nil
	}
	file, err := os.Create(filepath.Clean(path))
	if err != nil {
		return nil, nil, fmt.Errorf("--log-file: %w", err)
	}
	return file, func() { file.Close() }, nil
}
