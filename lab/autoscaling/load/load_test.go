package load

import (
	"math"
	"testing"
	"time"
)

var (
	origin = time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	world  = Load{Seed: 7, Origin: origin}
)

func TestTheLoadStaysAboutItsTarget(t *testing.T) {
	for workload := range 200 {
		var least, most, sum float64 = math.Inf(1), math.Inf(-1), 0
		const steps = 600
		for step := range steps {
			level := world.Level(workload, origin.Add(time.Duration(step)*time.Second))
			least, most, sum = min(least, level), max(most, level), sum+level
		}
		if a := amplitude(workload); math.Abs(most-1-a) > 0.001 || math.Abs(1-a-least) > 0.001 || math.Abs(sum/steps-1) > 0.001 {
			t.Errorf("workload %d: levels from %.3f to %.3f, mean %.3f, want 1 more or less %.2f", workload, least, most, sum/steps, a)
		}
	}
}

func TestOneWorkloadInFiftyIsWildEvenAndOdd(t *testing.T) {
	wildOnes := [2]int{}
	for workload := range 1000 {
		if amplitude(workload) == wild {
			wildOnes[workload%2]++
		}
	}
	if want := [2]int{10, 10}; wildOnes != want {
		t.Errorf("%v even and odd workloads are wild, want %v", wildOnes, want)
	}
}

func TestCountersAreTheIntegralOfTheLoad(t *testing.T) {
	for workload := range 100 {
		for _, pod := range []int{0, 9} {
			begin := origin.Add(3 * time.Minute)
			const step = time.Second
			var integral float64
			at := begin
			for range 300 {
				integral += TargetRequests * world.share(workload, pod) * world.Level(workload, at.Add(step/2)) * step.Seconds()
				if world.Requests(workload, pod, at.Add(step)) < world.Requests(workload, pod, at) {
					t.Fatalf("the counter of pod %d of workload %d falls at %v", pod, workload, at)
				}
				at = at.Add(step)
			}
			if grown := world.Requests(workload, pod, at) - world.Requests(workload, pod, begin); math.Abs(grown-integral) > 0.001*integral {
				t.Errorf("the counter of pod %d of workload %d grew by %.2f, the load's integral is %.2f", pod, workload, grown, integral)
			}
		}
	}
}

func TestCPUUseVariesFromSampleToSampleAndNotWithin(t *testing.T) {
	const interval = 15 * time.Second
	at := origin.Add(time.Minute)
	first := world.CPUNano(3, 4, at, interval)
	if again := world.CPUNano(3, 4, at.Add(interval-1), interval); again != first {
		t.Errorf("%d and %d within one interval", first, again)
	}
	if next := world.CPUNano(3, 4, at.Add(interval), interval); next == first {
		t.Errorf("%d in two intervals", first)
	}
	if other := (Load{Seed: 8, Origin: origin}).CPUNano(3, 4, at, interval); other == first {
		t.Errorf("%d under two seeds", first)
	}
	want := 1e6 * TargetCPUMilli * world.Level(3, at)
	if got := float64(first); math.Abs(got-want) > (podSpread+2*sampleNoise)*want {
		t.Errorf("%g billionths of a core, want %g more or less 7 %%", got, want)
	}
}
