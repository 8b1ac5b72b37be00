// Package opening prices putting an empty node in use: one share of that node,
// whatever its size.
package opening

// Share returns what a placement pays for opening a node, in shares of that
// node: 1 when no pod used it before and at least one does after, else 0.
// Which pods use a node is the caller's to say; those that come with the node
// (of a DaemonSet, static, mirror) do not.
func Share(podsBefore, podsAfter int) float64 {
	if podsBefore <= 0 && podsAfter > 0 {
		return 1
	}
	return 0
}
