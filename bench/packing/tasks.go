package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/azure"
)

// result is a task and what came of it.
type result struct {
	task
	outcome
	err error
}

// protocol is one way to compare policies.
type protocol struct {
	name     string
	seeds    []int64
	policies []string // compared where nothing else is asked for
	plan     func(options, []policy, []int64) ([]task, error)
}

func protocols() []protocol {
	return []protocol{
		{"p1", []int64{42, 43, 44, 45, 46}, []string{"plimsoll", "plimsoll-given", "fgd", "bestfit", "most-allocated", "kube-default", "random"}, planP1},
		{"p2", []int64{1, 2, 3}, []string{"plimsoll", "bestfit", "most-allocated", "kube-default", "random"}, planP2},
		{"p3", []int64{1, 2, 3}, []string{"plimsoll", "plimsoll-oracle", "bestfit", "most-allocated", "kube-default", "random"}, planP3},
	}
}

// plan makes the tasks of the protocols asked for.
func plan(o options) ([]task, error) {
	var tasks []task
	for _, name := range o.protocols {
		at := slices.IndexFunc(protocols(), func(p protocol) bool { return p.name == name })
		if at < 0 {
			return nil, fmt.Errorf("-protocol: %q: must be p1, p2 or p3, or all", name)
		}
		chosen := protocols()[at]
		names := chosen.policies
		if o.policies != nil {
			names = o.policies
		}
		policies, err := choosePolicies(names)
		if err != nil {
			return nil, err
		}
		policies = slices.DeleteFunc(policies, func(p policy) bool { return p.only != "" && p.only != name })
		if len(policies) == 0 {
			return nil, fmt.Errorf("-policies: %v: none of them is of %s", names, name)
		}
		seeds := chosen.seeds
		if o.seeds != nil {
			seeds = o.seeds
		}
		planned, err := chosen.plan(o, policies, seeds)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, planned...)
	}
	return tasks, nil
}

func planP1(o options, policies []policy, seeds []int64) ([]task, error) {
	workloads, err := workloadsOf(o, fgdTraces(), "openb_node_list_gpu_node.csv")
	if err != nil {
		return nil, err
	}
	var tasks []task
	for _, w := range workloads {
		for _, p := range policies {
			for _, seed := range seeds {
				tasks = append(tasks, task{
					protocol: "p1", workload: w.name, policy: p, seed: seed,
					run: func(ctx context.Context, progress *progress) (outcome, error) {
						return runP1(ctx, w, p, seed, progress)
					},
				})
			}
		}
	}
	return tasks, nil
}

func planP2(o options, policies []policy, seeds []int64) ([]task, error) {
	workloads, err := workloadsOf(o, []string{"default", "cpu200", "multigpu40", "gpushare80"}, "openb_node_list_all_node.csv")
	if err != nil {
		return nil, err
	}
	var tasks []task
	for i, w := range workloads {
		for _, p := range policies {
			for _, seed := range seeds {
				tasks = append(tasks, task{
					protocol: "p2", workload: w.name, policy: p, seed: seed,
					run: func(ctx context.Context, progress *progress) (outcome, error) {
						return runSmallestCluster(ctx, w, p, seed, progress)
					},
				})
				if i == 0 {
					tasks = append(tasks, task{
						protocol: "p2", workload: "real", policy: p, seed: seed,
						run: func(ctx context.Context, progress *progress) (outcome, error) {
							return runSaturation(ctx, w, p, seed, progress)
						},
					})
				}
			}
		}
	}
	return tasks, nil
}

func planP3(o options, policies []policy, seeds []int64) ([]task, error) {
	file := o.pods
	if file == "" {
		file = filepath.Join(o.data, "azure_vm2017", "azure_vm2017_dev.csv.gz")
	}
	vms, err := azure.Read(file)
	if err != nil {
		return nil, err
	}
	var tasks []task
	for _, name := range o.clusters {
		c, err := parseCluster(name)
		if err != nil {
			return nil, err
		}
		for _, p := range policies {
			for i, seed := range seeds {
				if p.slow && i > 0 {
					break
				}
				tasks = append(tasks, task{
					protocol: "p3", workload: c.name, policy: p, seed: seed,
					run: func(ctx context.Context, progress *progress) (outcome, error) {
						return runP3(ctx, c, vms, p, seed, progress)
					},
				})
			}
		}
	}
	return tasks, nil
}

func workloadsOf(o options, traces []string, nodes string) ([]workload, error) {
	if o.traces != nil {
		traces = o.traces
	}
	if o.pods != "" {
		traces = []string{o.pods}
	}
	file := o.nodes
	if file == "" {
		file = filepath.Join(o.data, "openb_fgd", nodes)
	}
	return readWorkloads(o.data, file, traces)
}

// runAll runs tasks, parallel of them at a time. Their order is that of tasks. A
// failure does not stop the others; the end of ctx does.
func runAll(ctx context.Context, tasks []task, parallel int, out io.Writer) []result {
	results := make([]result, len(tasks))
	board := newBoard(out, len(tasks))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(parallel, len(tasks)) {
		workers.Go(func() {
			for i := range next {
				results[i] = runOne(ctx, tasks[i], board)
			}
		})
	}
	for i := range tasks {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}

func runOne(ctx context.Context, t task, board *board) result {
	r := result{task: t, err: ctx.Err()}
	if r.err != nil {
		return r
	}
	// The framework of a run ends with the run.
	ctx, end := context.WithCancel(ctx)
	defer end()
	began, progress := time.Now(), board.begin(t.String())
	r.outcome, r.err = t.run(ctx, progress)
	if r.err != nil {
		board.finish(progress, time.Since(began), r.err.Error())
		return r
	}
	board.finish(progress, time.Since(began), headline(r.measures))
	return r
}

// errorsOf joins what failed; a run that ctx ended is one error for all.
func errorsOf(ctx context.Context, results []result) error {
	var failed []error
	for _, r := range results {
		if r.err != nil && !errors.Is(r.err, context.Canceled) {
			failed = append(failed, fmt.Errorf("%s: %w", r.task, r.err))
		}
	}
	if ctx.Err() != nil {
		failed = append(failed, errors.New("interrupted: only figures whose runs had all finished are written"))
	}
	return errors.Join(failed...)
}
