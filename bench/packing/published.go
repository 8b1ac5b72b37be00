package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/table"
)

// publishedTolerance is how far a curve may be from the published one, in points:
// the published values have two decimals.
const publishedTolerance = 0.01

// publishedCurve is one line of the artifact's results of the FGD paper.
type publishedCurve struct {
	workload, policy string
	seed             int64
	at               map[int]float64 // by percent of arrivals
}

// publishedPolicies are the policies that we have too, by their names there.
func publishedPolicies() map[string]string {
	return map[string]string{"05-BestFit": "bestfit", "06-FGD": "fgd"}
}

func readPublished(file string) ([]publishedCurve, error) {
	return table.ReadFile(file, func(row table.Row) (publishedCurve, error) {
		c := publishedCurve{
			workload: traceName(row.Text("workload")),
			policy:   publishedPolicies()[row.Text("sc_policy")],
			seed:     row.Int("seed", 0, 1e9),
			at:       map[int]float64{},
		}
		for percent := range 131 {
			if text := row.Text(strconv.Itoa(percent)); text != "" {
				c.at[percent] = row.Float(strconv.Itoa(percent), 0, 100)
			}
		}
		return c, row.Err()
	})
}

// checkPublished replays P1 with the policies of the paper and prints how far the
// curves are from the published ones. It is an error if one is beyond tolerance.
func checkPublished(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if o.published == "-" {
		o.published = filepath.Join(o.data, "openb_fgd", "published_alloc_per_seed.csv.gz")
	}
	published, err := readPublished(o.published)
	if err != nil {
		return err
	}
	o.protocols = []string{"p1"}
	if o.policies == nil {
		o.policies = []string{"fgd", "bestfit"}
	}
	tasks, err := plan(o)
	if err != nil {
		return err
	}
	results := runAll(ctx, tasks, o.parallel, stderr)
	if err := errorsOf(ctx, results); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "| trace | policy | seed | largest difference, points | at arrivals, %% |\n|---|---|---:|---:|---:|\n")
	var largest float64
	for _, r := range results {
		difference, at, err := fromPublished(r, published)
		if err != nil {
			return err
		}
		largest = max(largest, difference)
		fmt.Fprintf(stdout, "| %s | %s | %d | %.4f | %d |\n", r.workload, r.policy.name, r.seed, difference, at)
	}
	if largest > publishedTolerance {
		return fmt.Errorf("the largest difference to the published curves is %.4f points: must be at most %g", largest, publishedTolerance)
	}
	return nil
}

// fromPublished returns the largest difference of a run's curve to the published
// one, and at how many percent of arrivals it is.
func fromPublished(r result, published []publishedCurve) (difference float64, at int, err error) {
	for _, c := range published {
		if c.workload != r.workload || c.policy != r.policy.name || c.seed != r.seed {
			continue
		}
		if len(c.at) != len(r.curve) {
			return 0, 0, fmt.Errorf("%s: the curve has %d points, the published one %d", r.task, len(r.curve), len(c.at))
		}
		for _, p := range r.curve {
			theirs, ok := c.at[int(p.arrived)]
			if !ok {
				return 0, 0, fmt.Errorf("%s: no published value at %g %% of arrivals", r.task, p.arrived)
			}
			if d := math.Abs(theirs - p.allocated); d > difference {
				difference, at = d, int(p.arrived)
			}
		}
		return difference, at, nil
	}
	return 0, 0, fmt.Errorf("%s: no published curve", r.task)
}
