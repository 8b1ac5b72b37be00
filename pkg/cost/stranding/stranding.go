// Package stranding prices what a placement takes from the pods to come: the
// value that the node's free capacity loses, and, where pods leave again, the
// capacity left free beside the pod and out of proportion.
package stranding

// Spent is what a placement spends of a node.
type Spent struct {
	// Value is what the free capacity loses at bid prices, in nodes.
	Value float64
	// Left is the mean share of the node that stays free beside the pod, 0 to 1.
	Left float64
	// Imbalance is the growth of the share of the node that pods like the average
	// one cannot use, -1 to 1: of an empty node, the whole share.
	Imbalance float64
	// Excess is by how much an empty node that the pod would open is worth more
	// than the average one of its kind, 0 or more, in nodes. 0 for a node in use.
	Excess float64
}

const (
	// imbalancePrice is what a share of the node out of proportion costs.
	imbalancePrice = 2
	// tiePrice is what a share left free costs where no pod ever leaves. At bid
	// prices many nodes cost the same, and near-ties must go to the fuller one, so
	// that room for large pods stays together.
	tiePrice = 0.002
	// excessPrice is what opening a node larger than the average of its kind costs for each
	// node's worth that it is larger by, where no pod ever leaves: the largest
	// pods fit nowhere else, and the mix knows them only once one has come.
	excessPrice = 0.005
)

// Share returns the cost of what is spent. turnover, 0 to 1, is the share of
// placements that end: only as far as they do are nodes emptied and filled again,
// which is when what is left, and its proportions, count.
func Share(s Spent, turnover float64) float64 {
	return s.Value + turnover*(s.Left+imbalancePrice*s.Imbalance) + (1-turnover)*(tiePrice*s.Left+excessPrice*s.Excess)
}

// Left collects what is left over of a node, one resource at a time. The zero
// value is ready to use; it is a value and allocates nothing.
type Left struct {
	sum       float64 // of shares left free, each from 0 to 1
	resources int
}

// With adds one resource: what the node offers in all (allocatable), what its
// pods have already (used) and what this pod asks for, in any unit, the same
// for the three. A resource of which the node offers nothing (allocatable <= 0)
// is not named by it and does not count. Numbers are compared as float64, so
// sums of huge quantities cannot overflow.
func (l Left) With(allocatable, used, asked int64) Left {
	if allocatable <= 0 {
		return l
	}
	return l.beside(float64(allocatable), float64(allocatable)-float64(used), float64(asked))
}

// WithUnused adds one resource of which is known what is offered and what of it
// is unused (below 0 where the node is overcommitted).
func (l Left) WithUnused(offered, unused, asked float64) Left {
	if !(offered > 0) {
		return l
	}
	return l.beside(offered, unused, asked)
}

func (l Left) beside(offered, unused, asked float64) Left {
	left := (unused - asked) / offered
	return Left{sum: l.sum + min(max(left, 0), 1), resources: l.resources + 1}
}

// Share returns the mean over the resources of the share that stays free, from
// 0 (full) to 1 (all is left). With no resource it is 1: of a node that offers
// nothing to measure, nothing is put to use.
func (l Left) Share() float64 {
	if l.resources == 0 {
		return 1
	}
	return l.sum / float64(l.resources)
}
