package hpa_test

import (
	"flag"
	"testing"
	"testing/synctest"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var (
	seed      = flag.Uint64("seed", 1, "seed of the generated cases")
	cases     = flag.Int("cases", 100_000, "single decisions to compare")
	histories = flag.Int("histories", 200, "histories of an hour to compare")
)

// compatible decides as upstream does.
func compatible() scaling.Policy {
	return adapter.Compatible(adapter.CPUInitialization, adapter.InitialReadinessDelay)
}

func TestToleranceIsLaidOutAsUpstreams(t *testing.T) {
	if err := hpa.CheckTolerances(); err != nil {
		t.Fatal(err)
	}
}

func TestDecisionsEqualUpstreams(t *testing.T) {
	var result hpa.Result
	synctest.Test(t, func(*testing.T) { result = hpa.Decisions(*seed, *cases, compatible()) })
	report(t, result)
	record(t, map[string]int{"cases": result.Cases, "equal": result.Equal})
	// Each type of metric with each type of target goes each way.
	for _, metric := range []string{
		"Resource Utilization", "Resource AverageValue", "ContainerResource Utilization", "ContainerResource AverageValue",
		"Pods AverageValue", "Object Value", "Object AverageValue", "External Value", "External AverageValue",
	} {
		for _, way := range []string{"up", "down", "kept", "unknown", "from zero"} {
			atLeast(t, result, metric+" "+way, *cases/3000)
		}
	}
}

func TestHistoriesEqualUpstreams(t *testing.T) {
	policy := compatible()
	var result hpa.Result
	for number := range *histories {
		synctest.Test(t, func(*testing.T) { result.Merge(hpa.History(*seed, number, policy)) })
	}
	report(t, result)
	record(t, map[string]int{
		"histories": result.Cases, "histories_equal": result.Equal, "synchronizations": result.Covered["synchronizations"],
	})
	for _, kind := range []string{
		"up", "down", "kept", "restart", "scaled by hand", "set to zero by hand", "other bounds", "other behavior", "a metric fails",
		"ScaleUpStabilized", "ScaleDownStabilized", "ScaleUpLimit", "ScaleDownLimit", "TooManyReplicas", "TooFewReplicas",
	} {
		atLeast(t, result, kind, *histories/3)
	}
	atLeast(t, result, "to zero", *histories/50)
	atLeast(t, result, "from zero", *histories/50)
	atLeast(t, result, "synchronizations", 200**histories)
}

func report(t *testing.T, result hpa.Result) {
	t.Helper()
	t.Logf("%d of %d equal", result.Equal, result.Cases)
	for _, kind := range result.Kinds() {
		t.Log(kind)
	}
	for _, m := range result.Mismatches {
		t.Error(m)
	}
	if result.Equal != result.Cases {
		t.Errorf("%d of %d equal", result.Equal, result.Cases)
	}
}

// atLeast fails if the generator does not reach what it is for.
func atLeast(t *testing.T, result hpa.Result, kind string, n int) {
	t.Helper()
	if got := result.Covered[kind]; got < n {
		t.Errorf("%q is covered %d times, want at least %d", kind, got, n)
	}
}

func TestControllersEqualUpstreams(t *testing.T) {
	policy := compatible()
	var result hpa.Result
	for number := range *histories {
		synctest.Test(t, func(t *testing.T) {
			one, err := hpa.Twins(*seed, number, policy)
			if err != nil {
				t.Fatal(err)
			}
			result.Merge(one)
		})
	}
	report(t, result)
	record(t, map[string]int{"twins": result.Cases, "twins_equal": result.Equal})
	for _, kind := range []string{"up", "down", "kept"} {
		atLeast(t, result, kind, *histories)
	}
	atLeast(t, result, "to zero", *histories/50)
	atLeast(t, result, "from zero", *histories/50)
}
