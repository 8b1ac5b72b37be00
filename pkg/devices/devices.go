// Package devices says what a pod asks of a node's devices and what a node has
// free of them, whoever hands them out: the extended resources of a device
// plugin, a DRA driver, or a simulated one.
package devices

import v1 "k8s.io/api/core/v1"

// Whole is one whole device, in thousandths of it.
const Whole = 1000

// Request is what one pod asks: Count devices of a class, Milli thousandths of
// each. The zero value asks for none.
type Request struct {
	// Class names the kind of device, such as nvidia.com/gpu.
	Class string `json:"class,omitempty"`
	// Count is the number of devices, 0 for none. More than one are whole.
	Count int `json:"count,omitempty"`
	// Milli is the share of each device in thousandths, 1 to Whole.
	Milli int64 `json:"milli,omitempty"`
}

// State is what a node has of the devices of one class. It is not changed once
// handed out. The zero value is a node without devices.
type State struct {
	Class string
	// Free is what is free of each device in thousandths, 0 to Whole, in the
	// order of their index.
	Free []int64
	// Version changes whenever Free does.
	Version uint64
}

// Source knows the devices. Its methods are called in scheduling cycles: they
// take no lock that is held for long, call nobody, and allocate nothing.
type Source interface {
	// Request reads what a pod asks. It depends on the pod alone: the answer is
	// part of the pod's signature.
	Request(pod *v1.Pod) Request
	// State reads what a node has free.
	State(nodeName string) State
}
