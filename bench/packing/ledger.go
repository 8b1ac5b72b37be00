package main

import "github.com/plimsoll-k8s/plimsoll/bench/packing/azure"

// ledger adds up what nodes in use cost over time, and what the least possible
// would have been.
type ledger struct {
	bound        azure.Bound
	middle       int64 // of the trace, in seconds
	now          int64
	vcpu, memGB  float64 // asked for now
	price        float64 // of the nodes in use, for an hour
	paid, least  float64 // all of the trace
	paid2        float64 // second half
	least2       float64
	peak, peakOf float64 // of the price, and of the bound
}

func newLedger(c cluster, events []azure.Event) *ledger {
	l := &ledger{bound: azure.NewBound(c.shapes)}
	if len(events) > 0 {
		l.now = events[0].At
		l.middle = (events[0].At + events[len(events)-1].At) / 2
	}
	return l
}

// advance moves time to a second of the trace.
func (l *ledger) advance(to int64) {
	if to == l.now {
		return
	}
	least := l.bound.Of(l.vcpu, l.memGB)
	l.peak, l.peakOf = max(l.peak, l.price), max(l.peakOf, least)
	hours := float64(to-l.now) / 3600
	l.paid += l.price * hours
	l.least += least * hours
	if late := float64(to-max(l.now, l.middle)) / 3600; late > 0 {
		l.paid2 += l.price * late
		l.least2 += least * late
	}
	l.now = to
}

// demand changes what is asked for.
func (l *ledger) demand(vcpu, memGB float64) {
	l.vcpu += vcpu
	l.memGB += memGB
}

// use changes the price of the nodes in use.
func (l *ledger) use(price float64) { l.price += price }

func (l *ledger) measures() []measure {
	return []measure{
		{"node_hours_over_bound_pct", 100 * (l.paid/l.least - 1), "%"},
		{"second_half_over_bound_pct", 100 * (l.paid2/l.least2 - 1), "%"},
		{"node_hours", l.paid, "node-hours"},
		{"bound", l.least, "node-hours"},
		{"peak", l.peak, "nodes"},
		{"peak_bound", l.peakOf, "nodes"},
	}
}
