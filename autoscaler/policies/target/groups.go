package target

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// groups are the pods that count, by what is known of them.
type groups struct {
	measured use // samples that count
	// missing are pods without a sample that counts; their use is what it would be
	// at full use.
	missing use
	unready use // pending, or not ready while that matters
	// ready is how many of the measured are pods of the observation; uncounted is
	// how many samples of other pods are not in measured.
	ready, uncounted int
	// missingWithout and unreadyWithout name a pod without request in the group.
	missingWithout, unreadyWithout string
}

// group sorts the pods, and says why if that leaves nothing to decide on.
func (c Config) group(now time.Time, o *scaling.Observation, m *scaling.Metric) (groups, scaling.Unknown) {
	var g groups
	byName, surge, counting := readingsOf(o.Pods, m.Pods), c.surge(o), 0
	utilization := m.Target.Type == scaling.Utilization
	for i := range o.Pods {
		pod := &o.Pods[i]
		r, without := byName.of(pod.Name), ""
		if utilization {
			without = missingRequest(pod, r)
		}
		if without != "" && !c.Differences.RequestsOfCountingPodsOnly {
			return groups{}, scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: without}
		}
		if !c.counts(pod) || surge.drops(pod) {
			continue
		}
		counting++
		switch {
		case pod.Phase == scaling.Pending:
			g.unready.add(0, r.RequestMilli)
			g.unreadyWithout = first(g.unreadyWithout, without)
		case !c.sampled(now, r):
			g.missing.add(full(m, r), r.RequestMilli)
			g.missingWithout = first(g.missingWithout, without)
		case m.IgnoreUntilReady && c.distorted(now, pod, r):
			g.unready.add(0, r.RequestMilli)
			g.unreadyWithout = first(g.unreadyWithout, without)
		case without != "":
			return groups{}, scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: without}
		default:
			g.measured.add(r.UsageMilli, r.RequestMilli)
			g.ready++
		}
	}
	if !c.Differences.ForeignSamplesIgnored {
		g.addForeign(o.Pods, m)
	}
	return g, g.check(counting, len(o.Pods), utilization)
}

// check says why there is nothing to decide on.
func (g *groups) check(counting, pods int, utilization bool) scaling.Unknown {
	switch {
	case pods == 0 || (counting == 0 && g.measured.pods+g.uncounted == 0):
		return noReadyPods(0)
	case g.measured.pods+g.uncounted == 0:
		return scaling.Unknown{
			Reason:  scaling.ReasonNoData,
			Message: fmt.Sprintf("no usable sample of %d pods (%d without sample, %d not ready)", counting, g.missing.pods, g.unready.pods),
		}
	case utilization && g.measured.requestMilli <= 0:
		return scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: "the pods' requests add up to 0"}
	}
	return scaling.Unknown{}
}

// counts reports whether the pod is there to carry load now or soon.
func (c Config) counts(pod *scaling.Pod) bool {
	return !pod.Terminating && pod.Phase != scaling.Failed &&
		!(pod.Phase == scaling.Succeeded && c.Differences.FinishedPodsIgnored)
}

// sampled reports whether there is a sample that counts.
func (c Config) sampled(now time.Time, r *scaling.PodReading) bool {
	return r.Sampled && !(r.UsageMilli < 0 && c.Differences.BadValuesUnknown) && !scaling.IsStale(r.At, now, c.maxSampleAge())
}

// distorted reports whether the sample shows the pod's start rather than its
// load: in the initialization period if not all of it is from a time when the
// pod was ready, later only if the pod has never been ready.
func (c Config) distorted(now time.Time, pod *scaling.Pod, r *scaling.PodReading) bool {
	if !pod.ReadyKnown || pod.Started.IsZero() {
		return true
	}
	if pod.Started.Add(c.CPUInitializationPeriod).After(now) {
		return pod.Unready || r.At.Before(pod.ReadySince.Add(r.Window))
	}
	return pod.Unready && pod.Started.Add(c.InitialReadinessDelay).After(pod.ReadySince)
}

// full is what a pod without a sample is assumed to use when the others would
// scale in: all of its request, or the target if that is more.
func full(m *scaling.Metric, r *scaling.PodReading) int64 {
	if m.Target.Type == scaling.Utilization {
		return share(r.RequestMilli, max(100, int64(min(m.Target.Amount, math.MaxInt32))))
	}
	return int64(min(math.Ceil(milli(m.Target.Amount)), 1<<62))
}

func missingRequest(pod *scaling.Pod, r *scaling.PodReading) string {
	if r.Pod == "" {
		return "the request of pod " + pod.Name + " was not read"
	}
	return r.NoRequest
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// assume adds to the measured pods what dampens a change to the side: missing pods
// are at full use when the rest would scale in, and use nothing when it would scale
// out; pods that are not ready use nothing when it would scale out, and do not count
// when it would scale in. If it would do neither, neither counts.
func (g *groups) assume(side int) (use, scaling.Unknown) {
	assumed, without := g.measured, ""
	switch {
	case side < 0:
		assumed, without = assumed.plus(g.missing.usageMilli, g.missing), g.missingWithout
	case side > 0:
		assumed = assumed.plus(0, g.missing).plus(0, g.unready)
		without = first(g.missingWithout, g.unreadyWithout)
	}
	if without != "" {
		return use{}, scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: without}
	}
	return assumed, scaling.Unknown{}
}

// surge is how many pods beyond those that the workload asks for are not to be
// counted, by phase.
type surge struct {
	pending, running int
}

// surge finds pods beyond the wanted number among those that do not serve, pending
// ones first.
func (c Config) surge(o *scaling.Observation) surge {
	if !c.Differences.SurgeNotCounted || len(o.Pods) <= int(o.SpecReplicas) {
		return surge{}
	}
	excess := -int(o.SpecReplicas)
	var idle surge
	for i := range o.Pods {
		pod := &o.Pods[i]
		switch {
		case !c.counts(pod):
			continue
		case pod.Phase == scaling.Pending:
			idle.pending++
		case !serves(pod):
			idle.running++
		}
		excess++
	}
	excess = max(0, excess)
	pending := min(excess, idle.pending)
	return surge{pending, min(excess-pending, idle.running)}
}

// drops reports whether the pod is one of the surge, and takes note of it.
func (s *surge) drops(pod *scaling.Pod) bool {
	switch {
	case pod.Phase == scaling.Pending && s.pending > 0:
		s.pending--
		return true
	case pod.Phase != scaling.Pending && !serves(pod) && s.running > 0:
		s.running--
		return true
	}
	return false
}

func serves(pod *scaling.Pod) bool { return pod.Phase == scaling.Running && pod.Ready }

// addForeign adds samples of pods that are not in the observation: to the average
// of a metric of pods, but only to the number of pods of a utilization.
func (g *groups) addForeign(pods []scaling.Pod, m *scaling.Metric) {
	known := make(map[string]bool, len(pods))
	for i := range pods {
		known[pods[i].Name] = true
	}
	for i := range m.Pods {
		switch r := &m.Pods[i]; {
		case !r.Sampled || known[r.Pod]:
		case m.Target.Type == scaling.Utilization:
			g.uncounted++
		default:
			g.measured.add(r.UsageMilli, 0)
		}
	}
}

// readings finds readings by the name of their pod: without an index if both are
// in the order of names and asked for in that order.
type readings struct {
	list  []scaling.PodReading
	next  int
	index map[string]int
	none  scaling.PodReading
}

func readingsOf(pods []scaling.Pod, list []scaling.PodReading) readings {
	r := readings{list: list}
	if ordered(len(list), func(i int) string { return list[i].Pod }) && ordered(len(pods), func(i int) string { return pods[i].Name }) {
		return r
	}
	r.index = make(map[string]int, len(list))
	for i := range list {
		r.index[list[i].Pod] = i
	}
	return r
}

func ordered(n int, name func(int) string) bool {
	for i := 1; i < n; i++ {
		if name(i) < name(i-1) {
			return false
		}
	}
	return true
}

// of is the reading of the pod; an empty one if there is none.
func (r *readings) of(pod string) *scaling.PodReading {
	if r.index != nil {
		if i, found := r.index[pod]; found {
			return &r.list[i]
		}
		return &r.none
	}
	for ; r.next < len(r.list); r.next++ {
		switch strings.Compare(r.list[r.next].Pod, pod) {
		case 0:
			return &r.list[r.next]
		case 1:
			return &r.none
		}
	}
	return &r.none
}
