package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/child"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/requests"
)

// result is what one controller did with one number of autoscalers.
type result struct {
	n          int
	controller string
	// late is how long after it was due an object was decided, in seconds.
	lateP50, lateP99 float64
	// A period's requests to the API server, without watches; queries to Prometheus; and
	// evaluations of an object, if they can be seen.
	apiRequests, queries, evaluations float64
	// Cores used in the meantime: by the controller, by this process, which is the API server and
	// all the rest, and by others on the machine, which are no part of the benchmark.
	cores, serverCores, foreignCores float64
	// Resident memory: the most while it was measured, and since its start. 10^6 bytes.
	residentMB, peakMB float64
	scaled             int            // Deployments whose number of replicas it had changed at the end
	asked              requests.Stats // requests while it was measured
}

// measureAll measures every controller with every number of autoscalers. It returns what it has also
// after an error.
func measureAll(ctx context.Context, o options, log, progress io.Writer) (results []result, err error) {
	if len(o.sizes) == 0 {
		return nil, nil
	}
	l, err := startLab(ctx, o, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.stop()) }()
	for _, n := range o.sizes {
		begin := time.Now()
		if err := l.grow(ctx, n); err != nil {
			return results, err
		}
		fmt.Fprintf(progress, "%d workloads after %.0f s\n", n, time.Since(begin).Seconds())
		for _, c := range o.controllers {
			r, err := l.measure(ctx, o, c, n)
			if err != nil {
				return results, fmt.Errorf("measure %s with %d autoscalers: %w", c.name, n, err)
			}
			results = append(results, r)
			printResult(progress, o, r)
		}
	}
	return results, nil
}

// measure runs one controller on the world as it is, and leaves it as it was.
func (l *lab) measure(ctx context.Context, o options, c contender, n int) (r result, err error) {
	if err := c.objects.create(l.world, ctx); err != nil {
		return r, err
	}
	p, err := startChild(c, o.programs, child.Options{
		Kubeconfig: l.Kubeconfig, Prometheus: l.prometheusURL, Period: o.period, Workers: c.workers, QPS: c.qps,
	}, l.log)
	if err != nil {
		return r, err
	}
	r, err = l.watch(ctx, o, c, p)
	r.n, r.controller = n, c.name
	err = errors.Join(err, p.stop(), c.objects.delete(l.world, ctx))
	if err != nil {
		return r, err
	}
	r.scaled, err = l.world.Reset(ctx)
	return r, err
}

// watch lets a controller warm up, and then measures it for a number of periods.
func (l *lab) watch(ctx context.Context, o options, c contender, p *process) (result, error) {
	if err := pause(ctx, p, time.Duration(o.warmUp)*o.period); err != nil {
		return result{}, err
	}
	before, err := l.read(ctx, c, p)
	if err != nil {
		return result{}, err
	}
	most, err := sample(ctx, o, c, p)
	if err != nil {
		return result{}, err
	}
	after, err := l.read(ctx, c, p)
	if err != nil {
		return result{}, err
	}
	active, err := c.objects.active(l.world, ctx)
	if err != nil {
		return result{}, err
	}
	if all := len(l.world.Workloads()); active < all {
		return result{}, fmt.Errorf("%d of %d autoscalers read their metric: what was measured is no success", active, all)
	}
	r := compare(before, after, o.period)
	r.residentMB = max(most, after.child.residentBytes) / 1e6
	r.peakMB = max(r.peakMB, r.residentMB) // the kernel counts by threads, and adds up now and then
	return r, nil
}

// pause waits while the child runs.
func pause(ctx context.Context, p *process, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-p.ended:
		return fmt.Errorf("it ended (%w), its log says why", p.err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sample waits for the periods that are measured and returns the most memory seen, in bytes.
func sample(ctx context.Context, o options, c contender, p *process) (most float64, err error) {
	profiled := make(chan error, 1)
	go func() { profiled <- profile(ctx, o, c, p) }()
	for end := time.Now().Add(time.Duration(o.periods) * o.period); time.Now().Before(end); {
		if err := pause(ctx, p, min(time.Second, time.Until(end))); err != nil {
			return most, err
		}
		u, err := usageOf(p.command.Process.Pid)
		if err != nil {
			return most, err
		}
		most = max(most, u.residentBytes)
	}
	return most, <-profiled
}

func profile(ctx context.Context, o options, c contender, p *process) error {
	if o.profiles == "" {
		return nil
	}
	name := filepath.Join(o.profiles, c.name)
	return errors.Join(
		p.profile(ctx, fmt.Sprintf("profile?seconds=%d", int(o.period.Seconds())), name+".cpu.pprof"),
		p.profile(ctx, "heap", name+".heap.pprof"),
	)
}

// reading is what all counters say at one time.
type reading struct {
	at            time.Time
	asked         requests.Stats // since the reading before
	own           *ownMetrics    // nil: this controller has none
	queries       int
	child, parent usage
	machine       time.Duration // CPU time of all processes
}

func (l *lab) read(ctx context.Context, c contender, p *process) (r reading, err error) {
	var errs [5]error
	r.asked, errs[0] = p.stats(ctx)
	if c.own != nil {
		r.own, errs[1] = c.own(ctx, p)
	}
	r.queries = l.door.Queries()
	r.child, errs[2] = usageOf(p.command.Process.Pid)
	r.parent, errs[3] = usageOf(os.Getpid())
	r.machine, errs[4] = machineCPU()
	r.at = time.Now()
	return r, errors.Join(errs[:]...)
}

// compare says what happened between two readings.
func compare(before, after reading, period time.Duration) result {
	wall := after.at.Sub(before.at)
	periods := wall.Seconds() / period.Seconds()
	cores := func(used time.Duration) float64 { return used.Seconds() / wall.Seconds() }
	r := result{
		apiRequests: float64(after.asked.Total()) / periods,
		queries:     float64(after.queries-before.queries) / periods,
		cores:       cores(after.child.cpu - before.child.cpu),
		serverCores: cores(after.parent.cpu - before.parent.cpu),
		peakMB:      after.child.peakResidents / 1e6,
		asked:       after.asked,
	}
	r.foreignCores = max(0, cores(after.machine-before.machine)-r.cores-r.serverCores)
	if after.own != nil {
		r.lateP50, r.lateP99, r.evaluations = after.own.since(before.own)
		r.evaluations /= periods
		return r
	}
	late := slices.Sorted(slices.Values(after.asked.Late))
	r.lateP50, r.lateP99 = rank(0.5, late), rank(0.99, late)
	r.evaluations = float64(len(late)) / periods
	return r
}

// rank is the nearest-rank quantile of sorted values, NaN if there are none.
func rank(q float64, sorted []float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}
