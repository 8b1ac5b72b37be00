package demo

import (
	"fmt"
	"time"
)

// fitsPatience is how long, wall time, a pod may wait although a node has room for it: longer
// than the scheduler's longest back-off (10 s) and the few seconds in which caches differ.
const fitsPatience = 20 * time.Second

// Scaled is an autoscaled workload's state.
type Scaled struct {
	Name            string
	Wanted          int32 // spec.replicas
	Ready, Replicas int32
	Min, Max        int32
}

// fitting remembers since when a node has room for a pending pod, by namespace/name.
type fitting map[string]time.Time

// next is what to remember after an observation at a time.
func (f fitting) next(o Observation, now time.Time) fitting {
	out := fitting{}
	for _, p := range o.Pending {
		if p.Fits == "" {
			continue
		}
		key := p.Namespace + "/" + p.Name
		since, known := f[key]
		if !known {
			since = now
		}
		out[key] = since
	}
	return out
}

// brokenPromises says what must never be, and is: one sentence each. It is a function of its
// arguments alone.
func brokenPromises(o Observation, scaled []Scaled, f fitting, now time.Time) []string {
	var out []string
	for _, n := range o.Nodes {
		if name, over := n.Overcommitted(); over {
			out = append(out, fmt.Sprintf("node %s: more %s requested by bound pods than allocatable", n.Name, name))
		}
	}
	for _, p := range o.Pending {
		if since, fits := f[p.Namespace+"/"+p.Name]; fits && now.Sub(since) > fitsPatience {
			out = append(out, fmt.Sprintf("pod %s/%s: pending for more than %v although it fits node %s", p.Namespace, p.Name, fitsPatience, p.Fits))
		}
	}
	for _, s := range scaled {
		if s.Wanted < s.Min || s.Wanted > s.Max {
			out = append(out, fmt.Sprintf("workload %s: %d replicas wanted, outside %d..%d", s.Name, s.Wanted, s.Min, s.Max))
		}
	}
	return out
}
