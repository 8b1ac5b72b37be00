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

// decisionPackage has the benchmark of a decision.
const decisionPackage = "github.com/plimsoll-k8s/plimsoll/autoscaler/decision"

// measureDecision runs it, if that is asked for.
func measureDecision(ctx context.Context, o options) ([]figure, error) {
	if !o.decision {
		return nil, nil
	}
	text, err := goTest(ctx, "-run", "^$", "-bench", "^BenchmarkMake$", "-benchmem", "-cpu", "1", decisionPackage)
	if err != nil {
		return nil, err
	}
	return parseDecision(text)
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
