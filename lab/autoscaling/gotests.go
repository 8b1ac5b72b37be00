package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// Packages of the root module whose tests measure.
const (
	decisionPackage     = "github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	differentialPackage = "github.com/plimsoll-k8s/plimsoll/bench/hpa"
)

// measureTests runs the tests of the root module that measure something, and returns their figures
// by topic. It returns what it has also after an error.
func measureTests(ctx context.Context, o options) (map[string][]figure, error) {
	measured := map[string][]figure{}
	var errs []error
	if o.decision {
		text, err := goTest(ctx, "-run", "^$", "-bench", "^BenchmarkMake$", "-benchmem", "-cpu", "1", decisionPackage)
		if err == nil {
			measured["decision"], err = parseDecision(text)
		}
		errs = append(errs, err)
	}
	if o.differential {
		// Where one is not equal the tests fail, and still say how many are.
		text, err := goTest(ctx, "-count", "1", "-v", "-timeout", "1h", "-run", "^Test(Decisions|Histories)EqualUpstreams$", differentialPackage,
			"-args", "-seed", strconv.FormatUint(o.seed, 10), "-cases", "100000", "-histories", "1000")
		found, parseErr := parseDifferential(text)
		if parseErr == nil {
			measured["differential"] = found
		}
		errs = append(errs, err, parseErr)
	}
	return measured, errors.Join(errs...)
}

func goTest(ctx context.Context, args ...string) (string, error) {
	text, err := exec.CommandContext(ctx, "go", append([]string{"test"}, args...)...).CombinedOutput()
	if err != nil {
		return string(text), fmt.Errorf("go test %s: %w\n%s", strings.Join(args, " "), err, text)
	}
	return string(text), nil
}

// parseDecision reads the output of the benchmark of a decision; of its cases the slowest counts.
func parseDecision(text string) ([]figure, error) {
	cases := regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+([\d.]+) ns/op.*\s(\d+) allocs/op$`)
	var ns, allocs float64
	for _, found := range cases.FindAllStringSubmatch(text, -1) {
		oneNs, err1 := strconv.ParseFloat(found[1], 64)
		oneAllocs, err2 := strconv.ParseFloat(found[2], 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("benchmark of a decision: %w", err)
		}
		ns, allocs = max(ns, oneNs), max(allocs, oneAllocs)
	}
	if ns == 0 {
		return nil, fmt.Errorf("benchmark of a decision: no case in\n%s", text)
	}
	return []figure{{"decision.ns", ns, "ns", "lower"}, {"decision.allocs", allocs, "1/decision", "lower"}}, nil
}

// parseDifferential reads how many cases were equal from the output of the tests that compare our
// decisions with upstream's, single ones and histories.
func parseDifferential(text string) ([]figure, error) {
	var measured []figure
	for _, kind := range []struct{ test, cases, equal string }{
		{"TestDecisionsEqualUpstreams", "cases", "equal"},
		{"TestHistoriesEqualUpstreams", "histories", "histories_equal"},
	} {
		_, after, _ := strings.Cut(text, "=== RUN   "+kind.test+"\n")
		found := regexp.MustCompile(`: (\d+) of (\d+) equal\n`).FindStringSubmatch(after)
		if found == nil {
			return nil, fmt.Errorf("comparison with upstream: %s does not say how many are equal in\n%s", kind.test, text)
		}
		equal, err1 := strconv.ParseFloat(found[1], 64)
		cases, err2 := strconv.ParseFloat(found[2], 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("comparison with upstream: %w", err)
		}
		measured = append(measured,
			figure{"differential." + kind.cases, cases, "cases", ""},
			figure{"differential." + kind.equal, equal, "cases", "higher"})
	}
	return measured, nil
}
