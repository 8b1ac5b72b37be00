// Package stranding prices the capacity that stays free beside a pod: best
// fit, as a share of the node.
package stranding

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
	offered := float64(allocatable)
	left := (offered - float64(used) - float64(asked)) / offered
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
