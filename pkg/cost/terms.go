package cost

// Term names one summand of the cost of a placement. Its value is always in
// shares of the node at hand: 0.03 means 3 % of that node.
type Term uint8

// The registry of terms. A new term is one folder under pkg/cost, one constant
// here and its name below.
const (
	Opening   Term = iota // package opening: an empty node is put in use
	Stranding             // package stranding: capacity that the cluster's pods cannot use any more
	Lifetime              // package lifetime: the time for which the pod alone keeps the node
	terms                 // how many there are
)

var names = [terms]string{
	Opening:   "opening",
	Stranding: "stranding",
	Lifetime:  "lifetime",
}

// String returns the term's name as it stands in arguments, metrics and
// sentences.
func (t Term) String() string {
	if t >= terms {
		return "unknown term"
	}
	return names[t]
}

// Terms lists every term in the order in which sums are made and printed.
func Terms() []Term {
	all := make([]Term, terms)
	for i := range all {
		all[i] = Term(i)
	}
	return all
}
