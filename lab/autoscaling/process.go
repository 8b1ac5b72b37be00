package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/child"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/requests"
)

// process is a running child.
type process struct {
	child.Hello
	command *exec.Cmd
	stdin   io.Closer
	ended   chan struct{}
	err     error // set before ended is closed
}

// startChild runs the program of a contender, on one core.
func startChild(c contender, programs string, o child.Options, log io.Writer) (*process, error) {
	command := exec.Command(filepath.Join(programs, programName(c.program)), o.Args()...)
	command.Env = append(os.Environ(), "GOMAXPROCS=1")
	command.Stderr = log
	p := &process{command: command, ended: make(chan struct{})}
	var err error
	if p.stdin, err = command.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	lines := bufio.NewScanner(stdout)
	said := lines.Scan()
	if err := json.Unmarshal(lines.Bytes(), &p.Hello); err != nil || !said {
		return nil, errors.Join(fmt.Errorf("start %s: it says %q, its log has more", c.name, lines.Text()), command.Process.Kill(), command.Wait())
	}
	go func() {
		for lines.Scan() { // kube-controller-manager has things to say
		}
		p.err = command.Wait()
		close(p.ended)
	}()
	return p, nil
}

// programName is the file of a program beside the benchmark's own.
func programName(program string) string { return "bench-autoscaler-" + program }

// stop ends the child. One that does not in a while is killed.
func (p *process) stop() error {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
		return p.err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("a controller did not end and was killed"), p.command.Process.Kill())
	}
}

// stats takes what the child asked since the last call.
func (p *process) stats(ctx context.Context) (requests.Stats, error) {
	var stats requests.Stats
	err := fetch(ctx, p.Stats, func(body io.Reader) error { return json.NewDecoder(body).Decode(&stats) })
	return stats, err
}

// histogram reads a histogram of the controller's own metrics.
func (p *process) histogram(ctx context.Context, name string) (*dto.Histogram, error) {
	var families map[string]*dto.MetricFamily
	err := fetch(ctx, p.Metrics, func(body io.Reader) (err error) {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err = parser.TextToMetricFamilies(body)
		return err
	})
	if err != nil {
		return nil, err
	}
	family := families[name]
	if family == nil || len(family.GetMetric()) != 1 || family.GetMetric()[0].GetHistogram() == nil {
		return nil, fmt.Errorf("%s: has no one histogram %s", p.Metrics, name)
	}
	return family.GetMetric()[0].GetHistogram(), nil
}

// profile writes a profile of the child to a file: a path below /debug/pprof.
func (p *process) profile(ctx context.Context, path, file string) error {
	return fetch(ctx, p.Debug+path, func(body io.Reader) error {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		out, err := os.Create(file)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, body)
		return errors.Join(err, out.Close())
	})
}

func fetch(ctx context.Context, url string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s: status %s", url, response.Status)
	}
	if err := read(response.Body); err != nil {
		return fmt.Errorf("read %s: %w", url, err)
	}
	return nil
}

// quantile of what was observed between two readings of a histogram, linear within a bucket as
// PromQL's histogram_quantile is. It is infinite if it lies beyond the last bucket, NaN if nothing
// was observed.
func quantile(q float64, before, after *dto.Histogram) float64 {
	earlier := map[float64]uint64{}
	for _, b := range before.GetBucket() {
		earlier[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	total := float64(after.GetSampleCount() - before.GetSampleCount())
	if total == 0 {
		return math.NaN()
	}
	var low, below float64
	for _, b := range after.GetBucket() {
		count := float64(b.GetCumulativeCount() - earlier[b.GetUpperBound()])
		if count >= q*total {
			if math.IsInf(b.GetUpperBound(), 1) {
				break
			}
			return low + (b.GetUpperBound()-low)*(q*total-below)/(count-below)
		}
		low, below = b.GetUpperBound(), count
	}
	return math.Inf(1)
}

// usage is what a process used.
type usage struct {
	cpu                          time.Duration // on all cores, since its start
	residentBytes, peakResidents float64       // now, and the most ever
}

// ticksPerSecond is the unit of CPU times in /proc, the same on every Linux.
const ticksPerSecond = 100

// usageOf reads a process' usage from /proc.
func usageOf(pid int) (usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return usage{}, fmt.Errorf("usage of a process: %w", err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return usage{}, fmt.Errorf("usage of a process: %w", err)
	}
	return parseUsage(string(stat), string(status))
}

func parseUsage(stat, status string) (usage, error) {
	// The second field is a name in parentheses and may hold anything. See proc_pid_stat(5).
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("usage of a process: %q: too few fields", stat)
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	u := usage{cpu: time.Duration(user+system) * time.Second / ticksPerSecond}
	errs := []error{err1, err2}
	for line := range strings.Lines(status) {
		var err error
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			u.residentBytes, err = kibibytes(f[1])
		} else if len(f) == 3 && f[0] == "VmHWM:" {
			u.peakResidents, err = kibibytes(f[1])
		}
		errs = append(errs, err)
	}
	return u, errors.Join(errs...)
}

// machineCPU is the CPU time that all processes have used since the machine's start, on all cores.
func machineCPU() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("usage of the machine: %w", err)
	}
	return parseMachineCPU(string(text))
}

// parseMachineCPU reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq,
// steal, and what is counted in these already. See proc_stat(5).
func parseMachineCPU(text string) (time.Duration, error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("usage of the machine: %q: must begin with cpu and 8 numbers", line)
	}
	ticks := 0
	for i, field := range fields[1:9] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("usage of the machine: %w", err)
		}
		if isIdle := i == 3 || i == 4; !isIdle {
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}

func kibibytes(text string) (float64, error) {
	n, err := strconv.ParseFloat(text, 64)
	return 1024 * n, err
}
