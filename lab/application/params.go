package application

import (
	"fmt"
	"time"
)

// Params describe an application. All durations are trace time.
type Params struct {
	// Seed makes the CPU noise; the same seed repeats it.
	Seed uint64
	// Pace is trace time per wall time, 1 to 10000. Default 1.
	Pace Pace
	// Capacity is what a pod with CPULimit cores can serve, in requests per second, above 0 to 1e6. Default 50.
	Capacity float64
	// CPULimit is the CPU a pod uses at Capacity, in cores, 0.001 to 1024. Default 0.5.
	CPULimit float64
	// IdleCPU is the CPU a running pod uses without load, in cores, 0 to 0.9 of CPULimit. Default 0.02.
	IdleCPU float64
	// CPUNoise is the standard deviation of a pod's CPU use in one step, as a share of it, 0 to 1. Default 0.05.
	CPUNoise float64
	// ServiceTime is the mean latency of a request that does not wait, 1 µs to 1 min. Default 20 ms.
	ServiceTime time.Duration
	// MaxQueueDelay bounds a pod's queue: it holds as many requests as the pod serves in this time, 0 to 10 min. Default 2 s.
	MaxQueueDelay time.Duration
	// MemoryBytes is a pod's working set without load, 0 to 1 TiB. Default 64 MiB.
	MemoryBytes int64
	// MemoryPerRequestBytes is added for each request in flight, 0 to 16 MiB. Default 64 KiB.
	MemoryPerRequestBytes int64
}

// DefaultParams is a small web service: half a core, 50 requests per second, 20 ms each.
func DefaultParams() Params {
	return Params{
		Pace:                  1,
		Capacity:              50,
		CPULimit:              0.5,
		IdleCPU:               0.02,
		CPUNoise:              0.05,
		ServiceTime:           20 * time.Millisecond,
		MaxQueueDelay:         2 * time.Second,
		MemoryBytes:           64 << 20,
		MemoryPerRequestBytes: 64 << 10,
	}
}

func (p Params) validate() error {
	for _, check := range []struct {
		right   bool // false for NaN too
		field   string
		value   any
		allowed string
	}{
		{p.Pace >= 1 && p.Pace <= 10_000, "pace", p.Pace, "1 to 10000 seconds of trace per second"},
		{p.Capacity > 0 && p.Capacity <= 1e6, "capacity", p.Capacity, "above 0, to 1e+06 requests per second"},
		{p.CPULimit >= 0.001 && p.CPULimit <= MaxCores, "cpuLimit", p.CPULimit, fmt.Sprintf("0.001 to %v cores", MaxCores)},
		{p.IdleCPU >= 0 && p.IdleCPU <= 0.9*p.CPULimit, "idleCPU", p.IdleCPU, "0 to 0.9 of cpuLimit, in cores"},
		{p.CPUNoise >= 0 && p.CPUNoise <= 1, "cpuNoise", p.CPUNoise, "0 to 1"},
		{p.ServiceTime >= time.Microsecond && p.ServiceTime <= time.Minute, "serviceTime", p.ServiceTime, "1µs to 1m"},
		{p.MaxQueueDelay >= 0 && p.MaxQueueDelay <= 10*time.Minute, "maxQueueDelay", p.MaxQueueDelay, "0s to 10m"},
		{p.MemoryBytes >= 0 && p.MemoryBytes <= 1<<40, "memoryBytes", p.MemoryBytes, "0 to 1099511627776"},
		{
			p.MemoryPerRequestBytes >= 0 && p.MemoryPerRequestBytes <= 16<<20,
			"memoryPerRequestBytes", p.MemoryPerRequestBytes, "0 to 16777216",
		},
	} {
		if !check.right {
			return fmt.Errorf("%s: %v: allowed is %s", check.field, check.value, check.allowed)
		}
	}
	return nil
}
