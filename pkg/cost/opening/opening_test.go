package opening_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost/opening"
)

func TestShare(t *testing.T) {
	tests := map[string]struct {
		before, after int
		want          float64
	}{
		"the first pod opens the node":              {before: 0, after: 1, want: 1},
		"several pods at once open it once":         {before: 0, after: 8, want: 1},
		"a node in use stays open for nothing":      {before: 1, after: 2, want: 0},
		"a pod that comes with the node opens none": {before: 0, after: 0, want: 0},
		"a count below none is none":                {before: -1, after: 1, want: 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := opening.Share(test.before, test.after); got != test.want {
				t.Errorf("Share(%d, %d) = %v, want %v", test.before, test.after, got, test.want)
			}
		})
	}
}

func TestShareNeverGrowsWithThePodsAlreadyThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := rapid.IntRange(0, 200).Draw(t, "before")
		placed := rapid.IntRange(0, 200).Draw(t, "placed")
		fewer, more := opening.Share(before, before+placed), opening.Share(before+1, before+1+placed)
		if more > fewer || fewer < 0 || fewer > 1 {
			t.Fatalf("share %v with %d pods, %v with one more", fewer, before, more)
		}
	})
}
