package stranding_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost/stranding"
)

type resource struct{ allocatable, used, asked int64 }

func share(resources ...resource) float64 {
	var left stranding.Left
	for _, r := range resources {
		left = left.With(r.allocatable, r.used, r.asked)
	}
	return left.Share()
}

func TestSharePricesWhatIsSpent(t *testing.T) {
	tests := map[string]struct {
		spent    stranding.Spent
		turnover float64
		want     float64
	}{
		"nothing spent costs nothing":                                {stranding.Spent{}, 1, 0},
		"value lost costs itself, pods leaving or not":               {stranding.Spent{Value: 0.25}, 0, 0.25},
		"where all pods leave what is left free costs its share":     {stranding.Spent{Left: 0.5}, 1, 0.5},
		"where none leaves what is left free settles near-ties":      {stranding.Spent{Left: 0.5}, 0, 0.001},
		"where all pods leave imbalance costs twice its share":       {stranding.Spent{Imbalance: 0.25}, 1, 0.5},
		"where none leaves imbalance costs nothing":                  {stranding.Spent{Imbalance: 0.25}, 0, 0},
		"a pod that balances its node is paid for it":                {stranding.Spent{Left: 0.25, Imbalance: -0.25}, 1, -0.25},
		"where half of them leave time counts half, the tie by half": {stranding.Spent{Value: 0.125, Left: 0.5, Imbalance: 0.25}, 0.5, 0.125 + 0.5 + 0.0005},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := stranding.Share(test.spent, test.turnover); math.Abs(got-test.want) > 1e-12 {
				t.Errorf("share %v, want %v", got, test.want)
			}
		})
	}
}

func TestLeftShare(t *testing.T) {
	const huge = math.MaxInt64
	tests := map[string]struct {
		resources []resource
		want      float64
	}{
		"a perfect fit leaves nothing":                       {[]resource{{4000, 3000, 1000}}, 0},
		"an empty node with half asked for leaves half":      {[]resource{{4000, 0, 2000}}, 0.5},
		"two resources give their mean":                      {[]resource{{4000, 3000, 1000}, {100, 25, 25}}, 0.25},
		"a resource the node does not offer does not count":  {[]resource{{0, 0, 5}, {4, 1, 1}}, 0.5},
		"a node that offers nothing is all left over":        {nil, 1},
		"a negative allocatable is not offered":              {[]resource{{-4, 0, 1}}, 1},
		"an overcommitted node is full, not less than empty": {[]resource{{4, 9, 1}}, 0},
		"a use below zero is an empty node, not more":        {[]resource{{4, -9, 0}}, 1},
		"asking for nothing leaves what was free":            {[]resource{{8, 2, 0}}, 0.75},
		"the largest quantities do not overflow":             {[]resource{{huge, huge, huge}}, 0},
		"the largest node with a small pod stays all free":   {[]resource{{huge, 0, 1}}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := share(test.resources...); got != test.want {
				t.Errorf("share = %v, want %v", got, test.want)
			}
		})
	}
}

// quantity stays below 2^53/1000, so that a thousandfold is still exact.
func quantity(t *rapid.T, name string) int64 { return rapid.Int64Range(0, 1<<43).Draw(t, name) }

func TestShareStaysBetweenNothingAndTheWholeNode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var left stranding.Left
		for range rapid.IntRange(0, 6).Draw(t, "resources") {
			left = left.With(rapid.Int64().Draw(t, "allocatable"), rapid.Int64().Draw(t, "used"), rapid.Int64().Draw(t, "asked"))
		}
		if got := left.Share(); !(got >= 0 && got <= 1) {
			t.Fatalf("share %v", got)
		}
	})
}

func TestShareNeverGrowsWithUseOrRequest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := resource{quantity(t, "allocatable"), quantity(t, "used"), quantity(t, "asked")}
		other := resource{100, 30, 10}
		more := rapid.Int64Range(0, 1<<43).Draw(t, "more")
		base := share(r, other)
		if got := share(resource{r.allocatable, r.used + more, r.asked}, other); got > base {
			t.Fatalf("%v with more used, %v before", got, base)
		}
		if got := share(resource{r.allocatable, r.used, r.asked + more}, other); got > base {
			t.Fatalf("%v with more asked for, %v before", got, base)
		}
	})
}

func TestShareDoesNotDependOnUnits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := resource{quantity(t, "allocatable"), quantity(t, "used"), quantity(t, "asked")}
		milli := resource{r.allocatable * 1000, r.used * 1000, r.asked * 1000}
		if whole, thousandths := share(r), share(milli); whole != thousandths {
			t.Fatalf("%v in whole units, %v in thousandths", whole, thousandths)
		}
	})
}
