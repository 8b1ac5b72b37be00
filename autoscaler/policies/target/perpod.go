package target

import (
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// perPod scales the measured pods by their use in relation to the target. Where
// pods are missing or not ready it assumes what dampens the change most, and does
// nothing if that turns the direction around.
func (c Config) perPod(now time.Time, o *scaling.Observation, m *scaling.Metric, rule Rule) scaling.Proposal {
	g, unknown := c.group(now, o, m)
	if unknown.Set() {
		return scaling.Proposal{Unknown: unknown}
	}
	amount := g.measured.amount(m)
	ratio := amount / targetOf(m)
	side := rule.Side(ratio)
	p := scaling.Proposal{Replicas: o.SpecReplicas, Reason: rule.WithinReason(), CurrentMilli: g.measured.average(), Current: amount}
	if m.Target.Type != scaling.Utilization {
		p.Current, p.CurrentMilli = amount/1000, 0
	}
	if g.missing.pods == 0 && (g.unready.pods == 0 || side <= 0) {
		if !rule.Within(ratio) {
			p.Replicas, p.Reason = c.follow(rule, ratio, ratio*float64(g.ready), o.SpecReplicas)
		}
		p.Message = explain(m, g, p)
		return p
	}
	assumed, unknown := g.assume(side)
	if unknown.Set() {
		return scaling.Proposal{Unknown: unknown}
	}
	ratio = assumed.amount(m) / targetOf(m)
	switch newSide := rule.Side(ratio); {
	case rule.Within(ratio):
	case side*newSide < 0:
		p.Reason = ReasonDampened
	default:
		want := replicas(rule.Replicas(newSide, ratio*float64(assumed.pods+g.uncounted)))
		p.Replicas, p.Reason = follow(newSide, want, o.SpecReplicas, true)
	}
	p.Message = explain(m, g, p)
	return p
}

// targetOf is the target in the unit of use.amount.
func targetOf(m *scaling.Metric) float64 {
	if m.Target.Type == scaling.Utilization {
		return m.Target.Amount
	}
	return milli(m.Target.Amount)
}

func explain(m *scaling.Metric, g groups, p scaling.Proposal) string {
	l := newLine().figure(p.Current)
	if m.Target.Type == scaling.Utilization {
		l = l.words("% of request at target ").figure(m.Target.Amount).words("%")
	} else {
		l = l.words(" per pod at target ").figure(m.Target.Amount)
	}
	l = l.words(" over ").count(g.measured.pods).words(" pods (").count(g.missing.pods).words(" without sample, ")
	return string(l.count(g.unready.pods).words(" not ready) asks for ").count(int(p.Replicas)).words(" replicas"))
}

// use is that of some pods and their requests, in thousandths of the metric's
// unit, and how many pods they are. It saturates.
type use struct {
	usageMilli, requestMilli int64
	pods                     int
}

func (u *use) add(usageMilli, requestMilli int64) {
	u.usageMilli = saturatingAdd(u.usageMilli, usageMilli)
	u.requestMilli = saturatingAdd(u.requestMilli, requestMilli)
	u.pods++
}

func (u use) plus(usageMilli int64, other use) use {
	u.usageMilli = saturatingAdd(u.usageMilli, usageMilli)
	u.requestMilli = saturatingAdd(u.requestMilli, other.requestMilli)
	u.pods += other.pods
	return u
}

// average is that of the pods, rounded towards 0.
func (u use) average() int64 { return u.usageMilli / int64(u.pods) }

// amount is what is compared with the target: whole percent of the requests, or
// whole thousandths per pod, both rounded towards 0, as the HorizontalPodAutoscaler
// does.
func (u use) amount(m *scaling.Metric) float64 {
	if m.Target.Type != scaling.Utilization {
		return float64(u.average())
	}
	if u.usageMilli > math.MaxInt64/100 || u.usageMilli < math.MinInt64/100 {
		return percent(float64(u.usageMilli) / float64(u.requestMilli) * 100)
	}
	return percent(float64(u.usageMilli * 100 / u.requestMilli))
}

// percent is a whole number that an int32 can hold.
func percent(f float64) float64 {
	return math.Trunc(min(max(f, math.MinInt32), math.MaxInt32))
}

// share is percent of a request; it saturates.
func share(requestMilli, percent int64) int64 {
	if requestMilli > math.MaxInt64/percent {
		return math.MaxInt64
	}
	return requestMilli * percent / 100
}

func saturatingAdd(a, b int64) int64 {
	switch sum := a + b; {
	case a > 0 && b > 0 && sum < 0:
		return math.MaxInt64
	case a < 0 && b < 0 && sum >= 0:
		return math.MinInt64
	default:
		return sum
	}
}
