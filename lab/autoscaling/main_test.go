package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

func TestMain(m *testing.M) {
	pflag.CommandLine = pflag.NewFlagSet("autoscaling", pflag.ContinueOnError)
	os.Exit(quiet.Tests(m))
}

// buildPrograms builds the programs that run controllers, from what this test has built already.
func buildPrograms(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, program := range []string{"plimsoll", "hpa"} {
		out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, programName(program)), "./"+program).CombinedOutput()
		if err != nil {
			t.Fatalf("build %s: %v\n%s", program, err, out)
		}
	}
	return dir
}

func TestEveryControllerIsMeasured(t *testing.T) {
	dir, err := os.MkdirTemp("", "bench") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	const n, perPeriod = 6, 6
	o, err := parseFlags([]string{
		"-n", "6", "-period", "2s", "-warm-up", "3", "-periods", "3", "-controllers", "hpa,plimsoll", "-dir", dir,
		"-programs", buildPrograms(t),
	}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var progress, log strings.Builder
	results, err := measureAll(t.Context(), o, &log, &progress)
	if err != nil {
		t.Fatalf("%v\n%s\nthe controllers' log:\n%s", err, progress.String(), log.String())
	}
	if len(results) != 2 {
		t.Fatalf("%d results, want 2", len(results))
	}
	for _, r := range results {
		// A period is measured up to a reading's delay, so that one evaluation more or less may be in it.
		if r.evaluations < 0.6*perPeriod || r.evaluations > 1.5*perPeriod {
			t.Errorf("%s: %.1f evaluations in a period, want about %d", r.controller, r.evaluations, perPeriod)
		}
		if r.lateP99 < 0 || r.lateP99 > 10 || r.lateP99 < r.lateP50 {
			t.Errorf("%s: late by %.3f s at the median and %.3f s at the 99th percentile, want from 0 to 10 s", r.controller, r.lateP50, r.lateP99)
		}
		// Six objects may take less CPU than the kernel counts: the least of cores is 0.
		if r.apiRequests <= 0 || r.queries <= 0 || r.cores > 1 || r.residentMB < 10 || r.peakMB < r.residentMB {
			t.Errorf("%s: %.1f requests, %.1f queries, %.3f cores, %.0f MB, peak %.0f MB", r.controller, r.apiRequests, r.queries, r.cores, r.residentMB, r.peakMB)
		}
	}
	hpa := results[0]
	// Each evaluation reads a scale and a metric, and the odd ones' metric is a query.
	if hpa.queries < 0.3*n || hpa.queries > 0.8*n {
		t.Errorf("hpa: %.1f queries in a period, want about %d", hpa.queries, n/2)
	}
	for _, kind := range []string{"GET apps/deployments/scale", "LIST metrics.k8s.io/pods", "LIST external.metrics.k8s.io/metric"} {
		if hpa.asked.Counts[kind] == 0 {
			t.Errorf("hpa: no %s in %v", kind, hpa.asked.Counts)
		}
	}
	if entries, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(entries) > 0 {
		t.Errorf("left in its folder: %v (%v)", entries, err)
	}
}
