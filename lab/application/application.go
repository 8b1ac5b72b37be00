// Package application models the one part of the lab that is simulated: a Deployment whose ready pods share a load, serve what
// their CPU allows, queue some of the rest and lose the others.
//
// Time. The lab runs faster than life by one factor, the Pace. Durations shrink by it, levels do not: load (requests per
// second), CPU (cores), requests in flight, memory and latency keep the values of the trace, so that targets and dashboards read
// as in life. Counters grow by level times wall time, so that a rate over wall time gives the level back. What is called wall
// here is a real duration; every other duration is trace time. Only Summary counts in trace time alone.
package application

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Limits of one step. They keep counts far from overflow.
const (
	// MaxLoad is the highest load, in requests per second.
	MaxLoad = 1e7
	// MaxWall is the longest step in wall time.
	MaxWall = time.Hour
	// MaxCores is the most CPU a pod may use, in cores.
	MaxCores = 1024
)

// Model is an application with its parameters. It holds no state: Step takes the state and returns the next one.
type Model struct{ params Params }

// Pod is what the cluster says about one pod of the application, created and not yet gone.
type Pod struct {
	// Name tells the application's pods apart. A pod whose container starts again under its name keeps its counters unless a
	// step has seen it without Running.
	Name string
	// Running says that the container runs: the pod uses idle CPU, has counters, and serves what it has queued.
	Running bool
	// Ready says that the pod receives its share of the load. Without Running it says nothing.
	Ready bool
	// Cores is the CPU that the pod may use now, 0 to MaxCores: its limit, or less where its node is short of CPU.
	Cores float64
}

// State is an application at one time. The zero State is one that has seen no pod and no load.
// Every request offered is served, lost or queued: Total.Offered is Total.Served + Total.Lost.Sum() + Queued(), exactly.
type State struct {
	// Steps is the number of steps taken.
	Steps uint64
	// Pods are the running pods, by name.
	Pods []PodState
	// Total is all that happened so far, in pods that are gone too.
	Total Total
}

// Queued is the number of requests that wait in the pods.
func (s State) Queued() Requests {
	var sum Requests
	for _, pod := range s.Pods {
		sum += pod.Queued
	}
	return sum
}

// Total counts requests of wall time since the zero State.
type Total struct {
	Offered Requests
	Served  Requests
	Lost    Losses
}

// Losses are lost requests by cause.
type Losses struct {
	// NoPod: no pod was ready. Nothing queues in front of the pods, as a Service without endpoints refuses a connection, so no
	// pod's metrics show these.
	NoPod Requests
	// Overflow: a pod's queue was full.
	Overflow Requests
	// Gone: the request was queued in a pod that stopped.
	Gone Requests
}

// Sum is the number of lost requests.
func (l Losses) Sum() Requests { return l.NoPod + l.Overflow + l.Gone }

func (l Losses) plus(o Losses) Losses {
	return Losses{NoPod: l.NoPod + o.NoPod, Overflow: l.Overflow + o.Overflow, Gone: l.Gone + o.Gone}
}

// Flow is what happened in one step.
type Flow struct {
	// Wall is the step's length in wall time, Pace.Trace(Wall) its length in trace time.
	Wall time.Duration
	Pace Pace
	// Load is what was offered, Capacity what the ready pods can serve, both in requests per second.
	Load, Capacity float64
	// Replicas are the pods created and not yet gone, Ready those among them that received load.
	Replicas, Ready int
	// Offered, Served and Lost count requests of wall time. Served and Lost can hold requests that were queued before.
	Offered, Served Requests
	Lost            Losses
}

// New returns the model with these parameters, or an error that names the first wrong one.
func New(params Params) (Model, error) {
	if err := params.validate(); err != nil {
		return Model{}, err
	}
	return Model{params: params}, nil
}

// Step returns the state after a step of this length in wall time (above 0, to MaxWall) with this load (requests per second, 0
// to MaxLoad) on these pods, in any order. It changes neither state nor pods. The state is a zero State or the result of a Step.
//
// Steps much longer than MaxQueueDelay in wall time (MaxQueueDelay / Pace) still count every request rightly, but smear the
// latency of a queue that fills or drains over the whole step.
// The error says which argument is out of range.
func (m Model) Step(state State, load float64, pods []Pod, wall time.Duration) (State, Flow, error) {
	if err := validateStep(load, pods, wall); err != nil {
		return State{}, Flow{}, err
	}
	pods = slices.SortedFunc(slices.Values(pods), func(a, b Pod) int { return cmp.Compare(a.Name, b.Name) })
	if err := validateNames(pods); err != nil {
		return State{}, Flow{}, err
	}

	flow := Flow{Wall: wall, Pace: m.params.Pace, Load: load, Replicas: len(pods), Offered: toRequests(load * wall.Seconds())}
	for _, pod := range pods {
		if pod.Running && pod.Ready {
			flow.Ready++
			flow.Capacity += m.params.capacity(pod.Cores)
		}
	}
	next := State{Steps: state.Steps + 1}
	next.Pods, flow.Lost.Gone = carryOver(state.Pods, pods)
	share := newShares(flow.Offered, flow.Ready)
	i := 0
	for _, pod := range pods {
		if !pod.Running {
			continue
		}
		var arriving Requests
		if pod.Ready {
			arriving = share.next()
		}
		after, served, lost := m.params.serve(next.Pods[i], pod.Cores, arriving, wall, state.Steps)
		next.Pods[i] = after
		flow.Served += served
		flow.Lost.Overflow += lost
		i++
	}
	if flow.Ready == 0 {
		flow.Lost.NoPod = flow.Offered
	}
	next.Total = Total{
		Offered: state.Total.Offered + flow.Offered,
		Served:  state.Total.Served + flow.Served,
		Lost:    state.Total.Lost.plus(flow.Lost),
	}
	return next, flow, nil
}

func validateStep(load float64, pods []Pod, wall time.Duration) error {
	if !(load >= 0 && load <= MaxLoad) { // false for NaN too
		return fmt.Errorf("load %v requests per second: allowed is 0 to %v", load, MaxLoad)
	}
	if wall <= 0 || wall > MaxWall {
		return fmt.Errorf("step of %v wall time: allowed is above 0, to %v", wall, MaxWall)
	}
	for _, pod := range pods {
		if !(pod.Cores >= 0 && pod.Cores <= MaxCores) {
			return fmt.Errorf("pod %q: %v cores: allowed is 0 to %v", pod.Name, pod.Cores, MaxCores)
		}
	}
	return nil
}

func validateNames(sorted []Pod) error {
	for i, pod := range sorted {
		if pod.Name == "" || i > 0 && pod.Name == sorted[i-1].Name {
			return fmt.Errorf("pod %q: its name must not be empty nor another pod's", pod.Name)
		}
	}
	return nil
}

// carryOver returns the running pods, each with its old state or from zero, and the requests queued in pods that stopped. Both
// lists are sorted by name.
func carryOver(old []PodState, pods []Pod) (running []PodState, gone Requests) {
	running = make([]PodState, 0, len(pods))
	for _, pod := range pods {
		for len(old) > 0 && old[0].Name < pod.Name {
			gone += old[0].Queued
			old = old[1:]
		}
		before := PodState{Name: pod.Name}
		if len(old) > 0 && old[0].Name == pod.Name {
			before, old = old[0], old[1:]
		}
		if pod.Running {
			running = append(running, before)
		} else {
			gone += before.Queued
		}
	}
	for _, pod := range old {
		gone += pod.Queued
	}
	return running, gone
}

// shares hands out a number of requests evenly; what does not divide, less than a millionth of a request each, goes first.
type shares struct{ each, over Requests }

func newShares(offered Requests, ready int) shares {
	if ready == 0 {
		return shares{}
	}
	return shares{each: offered / Requests(ready), over: offered % Requests(ready)}
}

func (s *shares) next() Requests {
	if s.over == 0 {
		return s.each
	}
	s.over--
	return s.each + 1
}

// Requests counts requests in millionths. Steps are short and offer each pod parts of a request; whole numbers of small parts
// add up exactly, which fractions would not.
type Requests int64

// Request is one request.
const Request Requests = 1_000_000

// Float is the number of requests.
func (r Requests) Float() float64 { return float64(r) / float64(Request) }

func toRequests(n float64) Requests { return Requests(math.Round(n * float64(Request))) }

// Pace is how many times faster than life the lab runs: seconds of trace time per second of wall time.
type Pace float64

// Trace is the trace time that passes in this wall time.
func (p Pace) Trace(wall time.Duration) time.Duration {
	return time.Duration(math.Round(float64(wall) * float64(p)))
}

// Wall is the wall time in which this trace time passes.
func (p Pace) Wall(trace time.Duration) time.Duration {
	return time.Duration(math.Round(float64(trace) / float64(p)))
}
