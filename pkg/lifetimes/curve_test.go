package lifetimes_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
)

func area(c lifetimes.Curve) time.Duration {
	sum := 0.0
	for j, weight := range lifetimes.Weights() {
		sum += weight * c[j]
	}
	return time.Duration(math.Round(sum * float64(time.Second)))
}

func TestGridAndWeights(t *testing.T) {
	grid := lifetimes.Grid()
	if grid[0] != 0 || grid[1] != 5*time.Minute || grid[2] != 10*time.Minute || grid[11] != 85*time.Hour+20*time.Minute {
		t.Errorf("grid %v", grid)
	}
	weights := lifetimes.Weights()
	if weights[0] != 150 || weights[1] != 300 || weights[2] != 450 || weights[11] != 76800 {
		t.Errorf("weights %v", weights)
	}
}

func TestExactIsAStepNearTheEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		remaining := time.Duration(rapid.Int64Range(0, 307200).Draw(t, "seconds")) * time.Second
		c := lifetimes.Exact(remaining)
		part := 150.0 // the width of the part in which the pod ends
		begin := 0.0
		for _, weight := range lifetimes.Weights() {
			if begin <= remaining.Seconds() {
				part = weight
			}
			begin += weight
		}
		if off := (area(c) - remaining).Abs().Seconds(); off > part/2 {
			t.Fatalf("area %v, want %v within %v s", area(c), remaining, part/2)
		}
		for j := range c {
			if c[j] != 0 && c[j] != 1 || j > 0 && c[j] > c[j-1] {
				t.Fatalf("no step: %v", c)
			}
		}
	})
}

func TestExactBeyondTheGrid(t *testing.T) {
	if got := area(lifetimes.Exact(math.MaxInt64)); got != 307200*time.Second {
		t.Errorf("a pod that never ends lives %v of the grid", got)
	}
	if got := lifetimes.Exact(-time.Hour); got != (lifetimes.Curve{}) {
		t.Errorf("a pod past its end lives on: %v", got)
	}
}
