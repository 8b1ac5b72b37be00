package target

import (
	"fmt"
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// sums are the use and the requests of some pods, in thousandths of the
// resource's unit, and how many pods they are. They saturate.
type sums struct {
	usageMilli, requestMilli int64
	pods                     int
}

func (s *sums) add(usageMilli, requestMilli int64) {
	s.usageMilli = saturatingAdd(s.usageMilli, usageMilli)
	s.requestMilli = saturatingAdd(s.requestMilli, requestMilli)
	s.pods++
}

// percent is the use in whole percent of the requests, rounded down as the
// HorizontalPodAutoscaler does.
func (s sums) percent() int32 {
	if s.usageMilli > math.MaxInt64/100 {
		return saturatingInt32(float64(s.usageMilli) / float64(s.requestMilli) * 100)
	}
	return saturatingInt32(float64(s.usageMilli * 100 / s.requestMilli))
}

// groups sorts the active pods by what is known of them.
type groups struct {
	measured sums                 // samples that count
	missing  []scaling.PodReading // running, but no sample that counts
	unready  []scaling.PodReading // pending, or not ready while that matters
}

// utilization scales the measured pods by their use in relation to the target.
// Where pods are missing or not ready it assumes what dampens the change most,
// and does nothing if that turns the direction around.
func (p *Policy) utilization(now time.Time, o scaling.Observation, m scaling.Metric) scaling.Proposal {
	g, unknown := p.group(now, o, m)
	if unknown.Set() {
		return scaling.Proposal{Unknown: unknown}
	}
	target := m.Target.Amount
	percent := g.measured.percent()
	ratio := float64(percent) / target
	out := scaling.Proposal{
		Replicas: o.SpecReplicas, Reason: ReasonWithin,
		Current: float64(percent), CurrentMilli: g.measured.usageMilli / int64(g.measured.pods),
	}
	explain := func() scaling.Proposal {
		out.Message = fmt.Sprintf("%d%% of request at target %v%% over %d pods (%d without sample, %d not ready) asks for %d replicas",
			percent, target, g.measured.pods, len(g.missing), len(g.unready), out.Replicas)
		return out
	}

	assumed := assume(g, ratio, target)
	if assumed.pods == g.measured.pods {
		if !o.Tolerance.Contains(ratio) {
			out.Replicas, out.Reason = follow(ratio, replicas(ratio*float64(g.measured.pods)), o.SpecReplicas)
		}
		return explain()
	}
	newRatio := float64(assumed.percent()) / target
	switch {
	case o.Tolerance.Contains(newRatio):
	case ratio < 1 && newRatio > 1, ratio > 1 && newRatio < 1:
		out.Reason = ReasonDampened
	default:
		out.Replicas, out.Reason = follow(newRatio, replicas(newRatio*float64(assumed.pods)), o.SpecReplicas)
	}
	return explain()
}

// group sorts the pods, and says why if that leaves nothing to decide on.
func (p *Policy) group(now time.Time, o scaling.Observation, m scaling.Metric) (groups, scaling.Unknown) {
	readings := make(map[string]scaling.PodReading, len(m.Pods))
	for _, r := range m.Pods {
		readings[r.Pod] = r
	}
	var g groups
	active := 0
	for _, pod := range o.Pods {
		if !pod.Active() {
			continue
		}
		active++
		r, found := readings[pod.Name]
		if !found {
			r = scaling.PodReading{Pod: pod.Name, NoRequest: "the request of pod " + pod.Name + " was not read"}
		}
		if r.NoRequest != "" {
			return groups{}, scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: r.NoRequest}
		}
		switch {
		case pod.Phase == scaling.Pending:
			g.unready = append(g.unready, r)
		case !r.Sampled || r.UsageMilli < 0 || scaling.IsStale(r.At, now, p.config.MaxSampleAge):
			g.missing = append(g.missing, r)
		case m.IgnoreUntilReady && p.distorted(now, pod, r):
			g.unready = append(g.unready, r)
		default:
			g.measured.add(r.UsageMilli, r.RequestMilli)
		}
	}
	switch {
	case active == 0:
		return groups{}, noReadyPods(0)
	case g.measured.pods == 0:
		return groups{}, scaling.Unknown{
			Reason:  scaling.ReasonNoData,
			Message: fmt.Sprintf("no usable sample of %d pods (%d without sample, %d not ready)", active, len(g.missing), len(g.unready)),
		}
	case g.measured.requestMilli <= 0:
		return groups{}, scaling.Unknown{Reason: scaling.ReasonNoRequest, Message: "the pods' requests add up to 0"}
	}
	return g, scaling.Unknown{}
}

// distorted reports whether the sample shows the pod's start rather than its
// load: in the initialization period if not all of it is from a time when the
// pod was ready, later only if the pod has never been ready.
func (p *Policy) distorted(now time.Time, pod scaling.Pod, r scaling.PodReading) bool {
	if pod.ReadySince.IsZero() || pod.Started.IsZero() {
		return true
	}
	if pod.Started.Add(p.config.CPUInitializationPeriod).After(now) {
		return !pod.Ready || r.At.Before(pod.ReadySince.Add(r.Window))
	}
	return !pod.Ready && pod.Started.Add(p.config.InitialReadinessDelay).After(pod.ReadySince)
}

// assume adds to the measured pods what dampens a change: missing pods use all
// of their request (or the target, if that is more) when the rest would scale
// in, and nothing when it would scale out; pods that are not ready use nothing
// when it would scale out, and do not count when it would scale in. At exactly
// the target, missing pods do not count either.
func assume(g groups, ratio, target float64) sums {
	s := g.measured
	full := max(100, int64(target))
	for _, r := range g.missing {
		switch {
		case ratio < 1:
			s.add(share(r.RequestMilli, full), r.RequestMilli)
		case ratio > 1:
			s.add(0, r.RequestMilli)
		}
	}
	if ratio > 1 {
		for _, r := range g.unready {
			s.add(0, r.RequestMilli)
		}
	}
	return s
}

// share is percent of a request; it saturates.
func share(requestMilli, percent int64) int64 {
	if requestMilli > math.MaxInt64/percent {
		return math.MaxInt64
	}
	return requestMilli * percent / 100
}

func saturatingAdd(a, b int64) int64 {
	if b > 0 && a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func saturatingInt32(f float64) int32 {
	if f >= math.MaxInt32 {
		return math.MaxInt32
	}
	return int32(f)
}
