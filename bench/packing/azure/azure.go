// Package azure reads lists of virtual machines with the columns of the Azure
// trace of 2017 as the benchmarks have it, and tells what they need over time.
package azure

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/table"
)

// VM is one virtual machine.
type VM struct {
	ID       string
	Arrival  int64   // seconds from the start of the trace
	VCPU     float64 // virtual CPUs
	MemGB    float64 // GB; the benchmarks take a GB for a GiB throughout
	Lifetime int64   // seconds
	// Censored machines still ran when the trace ended.
	Censored bool
	Batch    int64 // machines that were asked for together
}

// Read reads a list, gzipped if its name ends in .gz, and sorts it by arrival.
// The columns vm_id, arrival_s, vcpu, mem_gb, lifetime_s, censored and batch may
// come in any order; others are left alone.
func Read(file string) ([]VM, error) {
	vms, err := table.ReadFile(file, parse)
	if err != nil {
		return nil, err
	}
	if len(vms) == 0 {
		return nil, fmt.Errorf("read machines: %s: no machine", file)
	}
	slices.SortStableFunc(vms, func(a, b VM) int { return cmp.Compare(a.Arrival, b.Arrival) })
	return vms, nil
}

func parse(row table.Row) (VM, error) {
	vm := VM{
		ID:       row.Text("vm_id"),
		Arrival:  row.Int("arrival_s", 0, 1e12),
		VCPU:     row.Float("vcpu", 0, 1e6),
		MemGB:    row.Float("mem_gb", 0, 1e6),
		Lifetime: row.Int("lifetime_s", 1, 1e12),
		Censored: row.Int("censored", 0, 1) == 1,
		Batch:    row.Int("batch", 0, 1e12),
	}
	if vm.ID == "" {
		row.Fail("vm_id", "", "must name the machine")
	}
	return vm, row.Err()
}

// Event is the arrival or the departure of one machine.
type Event struct {
	At      int64 // seconds from the start of the trace
	VM      int   // index in the list
	Departs bool
}

// Events lists arrivals and departures in the order of time, departures first
// among those of one second, up to the last arrival: the end of the trace.
// Machines that live beyond it never depart.
func Events(vms []VM) []Event {
	if len(vms) == 0 {
		return nil
	}
	end := vms[len(vms)-1].Arrival
	events := make([]Event, 0, 2*len(vms))
	for i, vm := range vms {
		events = append(events, Event{At: vm.Arrival, VM: i})
		if leaves := vm.Arrival + vm.Lifetime; !vm.Censored && leaves <= end {
			events = append(events, Event{At: leaves, VM: i, Departs: true})
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), -cmp.Compare(rank(a), rank(b)), cmp.Compare(a.VM, b.VM))
	})
	return events
}

func rank(e Event) int {
	if e.Departs {
		return 1
	}
	return 0
}
