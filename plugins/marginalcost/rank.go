package marginalcost

import (
	"math"
	"time"

	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
)

// rank orders nodes as one integer, the least first: by cost, among equal costs
// the fullest node, among those the oldest. NormalizeScore can thus decide
// without looking up a node. From the high bits down:
//
//	31 bits  cost in steps of 1e-7 shares, from -107 to +107 shares
//	 8 bits  free share of the node in steps of 1/255
//	24 bits  creation of the node in minutes since 2014, up to 2045
type rank int64

const (
	costStep  = 1e-7 // shares
	costBias  = 1 << 30
	freeBits  = 8
	ageBits   = 24
	costShift = freeBits + ageBits
)

// newRank packs a cost in shares, a free share from 0 to 1 and a creation time.
// Values outside the ranges above are moved to the nearer end.
func newRank(shares, free float64, created time.Time) rank {
	steps := clamp(math.Round(shares/costStep), -costBias, costBias-1) + costBias
	fullness := clamp(math.Round(free*(1<<freeBits-1)), 0, 1<<freeBits-1)
	epoch := time.Date(2014, time.January, 1, 0, 0, 0, 0, time.UTC).Unix()
	minutes := clamp(float64((created.Unix()-epoch)/60), 0, 1<<ageBits-1)
	return rank(int64(steps)<<costShift | int64(fullness)<<ageBits | int64(minutes))
}

// minus returns the rank with so many shares taken off its cost.
func (r rank) minus(shares float64) rank {
	steps := clamp(float64(r>>costShift)-math.Round(shares/costStep), 0, 2*costBias-1)
	return rank(int64(steps)<<costShift) | r&(1<<costShift-1)
}

// sharesAbove returns how much more a rank costs than another, in shares. It is
// exact: two costs that round to one step differ by 0.
func (r rank) sharesAbove(least rank) float64 {
	return float64(r>>costShift-least>>costShift) * costStep
}

func clamp(value, low, high float64) float64 {
	if math.IsNaN(value) {
		return high
	}
	return min(max(value, low), high)
}

// shortlisted is how many of the best nodes are told apart from the rest: the
// favourite, and the runners-up of whichever is chosen.
const shortlisted = 1 + decisions.MaxRunnersUp

// leadersOf returns the indexes of the best nodes by rank, then by name, the best
// first, whatever the order of the list, and how many there are.
func leadersOf(scores fwk.NodeScoreList) (leaders [shortlisted]int, found int) {
	for i := range scores {
		if found == shortlisted && !precedes(scores[i], scores[leaders[found-1]]) {
			continue
		}
		found = min(found+1, shortlisted)
		at := found - 1
		for at > 0 && precedes(scores[i], scores[leaders[at-1]]) {
			leaders[at] = leaders[at-1]
			at--
		}
		leaders[at] = i
	}
	return leaders, found
}

func precedes(a, b fwk.NodeScore) bool {
	if a.Score != b.Score {
		return a.Score < b.Score
	}
	return a.Name < b.Name
}

const (
	finestDifference  = 1e-4 // shares: costs 7 points
	largestDifference = 2    // shares: costs all 99
)

// points maps a cost above that of the best node, in shares, to points for a
// node that is not the best: 99 for the same cost, falling with the logarithm,
// so that 0.0001 shares still show next to the best and large differences still
// differ; 0 from 2 shares up.
func points(sharesAbove float64) int64 {
	fall := math.Log1p(sharesAbove/finestDifference) / math.Log1p(largestDifference/finestDifference)
	return max(fwk.MinScore, int64(math.Floor((1-fall)*float64(fwk.MaxScore-1))))
}
