package target_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var (
	now       = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	longAgo   = now.Add(-time.Hour)
	tolerance = scaling.Tolerance{Up: 0.1, Down: 0.1}
)

// pods returns n pods in the given state, named p0, p1, ... from first on.
func pods(first, n int, p scaling.Pod) []scaling.Pod {
	out := make([]scaling.Pod, n)
	for i := range out {
		out[i] = p
		out[i].Name = fmt.Sprintf("p%d", first+i)
	}
	return out
}

func running() scaling.Pod {
	return scaling.Pod{Phase: scaling.Running, Ready: true, ReadyKnown: true, Started: longAgo, ReadySince: longAgo}
}

// cpu is a metric with one reading for each usage, of pods p0, p1, ... that
// request a core; a usage below 0 is a pod without sample.
func cpu(percent float64, usagesMilli ...int64) scaling.Metric {
	m := scaling.Metric{Name: "cpu", Target: scaling.Target{Type: scaling.Utilization, Amount: percent}, IgnoreUntilReady: true}
	for i, usage := range usagesMilli {
		r := scaling.PodReading{Pod: fmt.Sprintf("p%d", i), RequestMilli: 1000}
		if usage >= 0 {
			r.Sampled, r.UsageMilli, r.At, r.Window = true, usage, now.Add(-10*time.Second), 15*time.Second
		}
		m.Pods = append(m.Pods, r)
	}
	return m
}

func number(name string, typ scaling.TargetType, amount, value float64) scaling.Metric {
	return scaling.Metric{Name: name, Target: scaling.Target{Type: typ, Amount: amount}, Value: value, At: now, Activation: -1}
}

func unknown(name string) scaling.Metric {
	return scaling.Metric{
		Name: name, Target: scaling.Target{Type: scaling.Value, Amount: 1},
		Unknown: scaling.Unknown{Reason: scaling.ReasonNoData, Message: "the query has no result"},
	}
}

func observation(replicas int32, podLists [][]scaling.Pod, metrics ...scaling.Metric) scaling.Observation {
	o := scaling.Observation{SpecReplicas: replicas, StatusReplicas: replicas, MaxReplicas: 100, Metrics: metrics, Tolerance: tolerance}
	for _, list := range podLists {
		o.Pods = append(o.Pods, list...)
	}
	return o
}

type answer struct {
	Known    bool
	Replicas int32
	Reason   string
	Unknown  string // reason of the first unknown metric
}

func decide(o scaling.Observation) answer {
	d := target.New(target.DefaultConfig()).Decide(now, o)
	a := answer{Known: d.Known, Replicas: d.Replicas, Reason: d.Reason}
	for _, p := range d.Proposals {
		if p.Unknown.Set() {
			a.Unknown = p.Unknown.Reason
			break
		}
	}
	return a
}

func TestDecide(t *testing.T) {
	type list = [][]scaling.Pod
	pending := scaling.Pod{Phase: scaling.Pending}
	terminating := running()
	terminating.Terminating = true
	succeeded, failed := running(), running()
	succeeded.Phase, failed.Phase = scaling.Succeeded, scaling.Failed
	unready := scaling.Pod{Phase: scaling.Running, Unready: true, ReadyKnown: true, Started: longAgo, ReadySince: longAgo.Add(10 * time.Second)}
	wasReady := scaling.Pod{Phase: scaling.Running, Unready: true, ReadyKnown: true, Started: longAgo, ReadySince: longAgo.Add(10 * time.Minute)}
	starting := scaling.Pod{Phase: scaling.Running, Ready: true, ReadyKnown: true, Started: now.Add(-time.Minute), ReadySince: now.Add(-20 * time.Second)}
	settled := scaling.Pod{Phase: scaling.Running, Ready: true, ReadyKnown: true, Started: now.Add(-time.Minute), ReadySince: now.Add(-40 * time.Second)}
	stale := cpu(50, 300, 300)
	stale.Pods[1].At = now.Add(-6 * time.Minute)
	noRequest := cpu(50, 100, 100)
	noRequest.Pods[1].NoRequest = "container app of pod p1 has no request for cpu"
	zeroRequest := cpu(50, 100)
	zeroRequest.Pods[0].RequestMilli = 0
	negative := cpu(50, 300, 300)
	negative.Pods[1].UsageMilli = -5
	oldValue := number("rps", scaling.Value, 10, 1)
	oldValue.At = now.Add(-6 * time.Minute)
	surging := observation(4, list{pods(0, 6, running())}, number("rps", scaling.AverageValue, 10, 43))
	surging.StatusReplicas = 6

	for name, c := range map[string]struct {
		o    scaling.Observation
		want answer
	}{
		"utilization above target scales out in proportion": {
			observation(2, list{pods(0, 2, running())}, cpu(50, 900, 700)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"utilization below target scales in in proportion, rounded up": {
			observation(4, list{pods(0, 4, running())}, cpu(50, 240, 260, 250, 251)), answer{Known: true, Replicas: 2, Reason: target.ReasonBelow},
		},
		"utilization within tolerance does nothing, both ends included": {
			observation(10, list{pods(0, 1, running())}, cpu(50, 550)), answer{Known: true, Replicas: 10, Reason: target.ReasonWithin},
		},
		"utilization a percent beyond tolerance does something": {
			observation(1, list{pods(0, 1, running())}, cpu(50, 560)), answer{Known: true, Replicas: 2, Reason: target.ReasonAbove},
		},
		"utilization counts whole percent only": {
			observation(1, list{pods(0, 1, running())}, cpu(50, 559)), answer{Known: true, Replicas: 1, Reason: target.ReasonWithin},
		},
		"a missing sample counts as idle when scaling out": { // 160 % of target over 3 is 107 %
			observation(3, list{pods(0, 3, running())}, cpu(50, 800, 800, -1)), answer{Known: true, Replicas: 3, Reason: target.ReasonWithin},
		},
		"a missing sample counts as fully used when scaling in": { // (200+200+1000)/3 of 50 % is 92 %
			observation(3, list{pods(0, 3, running())}, cpu(50, 200, 200, -1)), answer{Known: true, Replicas: 3, Reason: target.ReasonWithin},
		},
		"missing samples that turn the direction around change nothing": {
			observation(4, list{pods(0, 4, running())}, cpu(50, 200, -1, -1, -1)), answer{Known: true, Replicas: 4, Reason: target.ReasonDampened},
		},
		"scaling in goes through if even full use of missing pods allows it": {
			observation(10, list{pods(0, 10, running())}, cpu(80, 100, 100, 100, 100, 100, 100, 100, 100, 100, -1)), answer{Known: true, Replicas: 3, Reason: target.ReasonBelow},
		},
		"a pending pod counts as idle when scaling out": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, pending)}, cpu(50, 1000, 1000, -1)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"a pending pod does not count when scaling in": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, pending)}, cpu(50, 200, 200, -1)), answer{Known: true, Replicas: 1, Reason: target.ReasonBelow},
		},
		"a pod never ready is idle when scaling out": {
			observation(2, list{pods(0, 1, running()), pods(1, 1, unready)}, cpu(50, 1000, 1000)), answer{Known: true, Replicas: 2, Reason: target.ReasonWithin},
		},
		"a pod that was ready once counts as measured": {
			observation(2, list{pods(0, 1, running()), pods(1, 1, wasReady)}, cpu(50, 1000, 1000)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"a sample from before a starting pod was ready does not count": {
			observation(2, list{pods(0, 1, running()), pods(1, 1, starting)}, cpu(50, 500, 1000)), answer{Known: true, Replicas: 2, Reason: target.ReasonWithin},
		},
		"a sample taken entirely after a starting pod was ready counts": {
			observation(2, list{pods(0, 1, running()), pods(1, 1, settled)}, cpu(50, 500, 1000)), answer{Known: true, Replicas: 3, Reason: target.ReasonAbove},
		},
		"terminating, failed and succeeded pods do not count": {
			observation(2, list{pods(0, 2, running()), pods(2, 1, terminating), pods(3, 1, failed), pods(4, 1, succeeded)}, cpu(50, 1000, 1000, 0, 0, -1)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"a stale sample is a missing one": {
			observation(2, list{pods(0, 2, running())}, stale), answer{Known: true, Replicas: 2, Reason: target.ReasonDampened},
		},
		"a negative sample is a missing one": {
			observation(2, list{pods(0, 2, running())}, negative), answer{Known: true, Replicas: 2, Reason: target.ReasonDampened},
		},
		"a pod without request makes the metric unknown": {
			observation(2, list{pods(0, 2, running())}, noRequest), answer{Replicas: 2, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoRequest},
		},
		"a finished pod without request does not matter": {
			observation(1, list{pods(0, 1, running()), pods(1, 1, succeeded)}, noRequest), answer{Known: true, Replicas: 1, Reason: target.ReasonUnchanged},
		},
		"requests that add up to 0 make the metric unknown": {
			observation(1, list{pods(0, 1, running())}, zeroRequest), answer{Replicas: 1, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoRequest},
		},
		"utilization above target with few pods yet does not scale in": {
			observation(10, list{pods(0, 2, running())}, cpu(50, 600, 600)), answer{Known: true, Replicas: 10, Reason: target.ReasonDampened},
		},
		"utilization below target with surge pods does not scale out": {
			observation(4, list{pods(0, 6, running())}, cpu(50, 400, 400, 400, 400, 400, 400)), answer{Known: true, Replicas: 4, Reason: target.ReasonDampened},
		},
		"a value above target with few pods ready does not scale in": {
			observation(10, list{pods(0, 2, running())}, number("queue", scaling.Value, 10, 15)), answer{Known: true, Replicas: 10, Reason: target.ReasonDampened},
		},
		"no sample at all holds": {
			observation(3, list{pods(0, 3, running())}, cpu(50, -1, -1, -1)), answer{Replicas: 3, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoData},
		},
		"no pods at all hold": {
			observation(3, nil, cpu(50)), answer{Replicas: 3, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoPods},
		},

		"a value scales the ready pods": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, pending)}, number("queue", scaling.Value, 10, 25)), answer{Known: true, Replicas: 5, Reason: target.ReasonAbove},
		},
		"a value of 0 scales in to 0 before limits": {
			observation(3, list{pods(0, 3, running())}, number("queue", scaling.Value, 10, 0)), answer{Known: true, Replicas: 0, Reason: target.ReasonBelow},
		},
		"a value without ready pods holds": {
			observation(3, list{pods(0, 3, pending)}, number("queue", scaling.Value, 10, 25)), answer{Replicas: 3, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoReadyPod},
		},
		"an average value divides by its target, rounded up": {
			observation(3, list{pods(0, 3, running())}, number("rps", scaling.AverageValue, 10, 61)), answer{Known: true, Replicas: 7, Reason: target.ReasonAbove},
		},
		"an average value within tolerance keeps the replicas asked for, not those of a rollout": {
			surging, answer{Known: true, Replicas: 4, Reason: target.ReasonWithin},
		},
		"an average value scales out without ready pods": {
			observation(3, list{pods(0, 3, pending)}, number("rps", scaling.AverageValue, 10, 61)), answer{Known: true, Replicas: 7, Reason: target.ReasonAbove},
		},
		"an average value does not scale in without ready pods": {
			observation(3, list{pods(0, 3, pending)}, number("rps", scaling.AverageValue, 10, 1)), answer{Replicas: 3, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoReadyPod},
		},
		"a stale value is unknown": {
			observation(3, list{pods(0, 3, running())}, oldValue), answer{Replicas: 3, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonStale},
		},
		"a value beyond int32 is capped": {
			observation(3, list{pods(0, 3, running())}, number("rps", scaling.AverageValue, 1, 1e300)), answer{Known: true, Replicas: math.MaxInt32, Reason: target.ReasonAbove},
		},

		"the largest proposal wins": {
			observation(2, list{pods(0, 2, running())}, cpu(50, 700, 700), number("rps", scaling.AverageValue, 10, 79)), answer{Known: true, Replicas: 8, Reason: target.ReasonAbove},
		},
		"an unknown metric does not keep another from scaling out": {
			observation(2, list{pods(0, 2, running())}, unknown("lost"), cpu(50, 1000, 1000)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove, Unknown: scaling.ReasonNoData},
		},
		"an unknown metric keeps another from scaling in": {
			observation(4, list{pods(0, 4, running())}, cpu(50, 100, 100, 100, 100), unknown("lost")), answer{Replicas: 4, Reason: target.ReasonHeld, Unknown: scaling.ReasonNoData},
		},
		"no metric known holds": {
			observation(4, list{pods(0, 4, running())}, unknown("lost"), unknown("too")), answer{Replicas: 4, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoData},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, decide(c.o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecisionNamesTheWinnerAndItsFigures(t *testing.T) {
	o := observation(2, [][]scaling.Pod{pods(0, 2, running())}, cpu(50, 700, 700), number("rps", scaling.AverageValue, 10, 79))
	d := target.New(target.DefaultConfig()).Decide(now, o)
	if d.Metric != "rps" {
		t.Errorf("the winner is %q, want rps", d.Metric)
	}
	want := []scaling.Proposal{
		{
			Metric: "cpu", Replicas: 3, Current: 70, CurrentMilli: 700, Reason: target.ReasonAbove,
			Message: "70% of request at target 50% over 2 pods (0 without sample, 0 not ready) asks for 3 replicas",
		},
		{
			Metric: "rps", Replicas: 8, Current: 39.5, Reason: target.ReasonAbove,
			Message: "79 at target 10 per replica with 2 replicas asks for 8",
		},
	}
	if diff := cmp.Diff(want, d.Proposals); diff != "" {
		t.Errorf("proposals (-want +got):\n%s", diff)
	}
	if want := "rps: " + want[1].Message; d.Message != want {
		t.Errorf("message %q, want %q", d.Message, want)
	}
}

// anyObservation draws observations of up to eight pods in any state.
func anyObservation(t *rapid.T) scaling.Observation {
	n := rapid.IntRange(0, 8).Draw(t, "pods")
	replicas := rapid.Int32Range(1, 10).Draw(t, "replicas")
	o := scaling.Observation{SpecReplicas: replicas, StatusReplicas: rapid.Int32Range(0, 10).Draw(t, "status"), Tolerance: tolerance}
	m := scaling.Metric{Name: "cpu", Target: scaling.Target{Type: scaling.Utilization, Amount: float64(rapid.IntRange(1, 150).Draw(t, "target"))}, IgnoreUntilReady: true}
	age := rapid.IntRange(0, 900)
	before := func(label string) time.Time {
		return now.Add(-time.Duration(age.Draw(t, label)) * time.Second)
	}
	for i := range n {
		p := scaling.Pod{
			Name: fmt.Sprintf("p%d", i), Terminating: rapid.Bool().Draw(t, "terminating"),
			Phase:   rapid.SampledFrom([]scaling.Phase{scaling.Running, scaling.Running, scaling.Pending, scaling.Succeeded, scaling.Failed}).Draw(t, "phase"),
			Started: before("started"), ReadySince: before("since"),
		}
		switch rapid.SampledFrom([]string{"ready", "ready", "unready", "lost", "new"}).Draw(t, "readiness") {
		case "ready":
			p.Ready, p.ReadyKnown = true, true
		case "unready":
			p.Unready, p.ReadyKnown = true, true
		case "lost":
			p.ReadyKnown = true
		}
		r := scaling.PodReading{Pod: p.Name, RequestMilli: int64(rapid.IntRange(1, 4000).Draw(t, "request")), Sampled: rapid.Bool().Draw(t, "sampled")}
		if r.Sampled {
			r.UsageMilli, r.At, r.Window = int64(rapid.IntRange(0, 8000).Draw(t, "usage")), before("at"), 15*time.Second
		}
		o.Pods, m.Pods = append(o.Pods, p), append(m.Pods, r)
	}
	o.Metrics = []scaling.Metric{m}
	return o
}

func TestUnknownNeverScalesIn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObservation(t)
		bad := number("rps", scaling.AverageValue, 10, 0)
		switch rapid.IntRange(0, 4).Draw(t, "fault") {
		case 0:
			bad.Unknown = scaling.Unknown{Reason: scaling.ReasonManyValues, Message: "two"}
		case 1:
			bad.Value = math.NaN()
		case 2:
			bad.Value = math.Inf(rapid.SampledFrom([]int{-1, 1}).Draw(t, "sign"))
		case 3:
			bad.Value = -rapid.Float64Range(0.001, 1e9).Draw(t, "negative")
		case 4:
			bad.At = now.Add(-time.Duration(rapid.IntRange(301, 100000).Draw(t, "old")) * time.Second)
		}
		o.Metrics = append(o.Metrics, bad)
		d := target.New(target.DefaultConfig()).Decide(now, o)
		if d.Replicas < o.SpecReplicas {
			t.Fatalf("%d replicas -> %d with an unknown metric: %s", o.SpecReplicas, d.Replicas, d.Message)
		}
	})
}

func TestReplicasAreMonotoneInEveryPodsUse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObservation(t)
		var sampled []int
		for i, r := range o.Metrics[0].Pods {
			if r.Sampled {
				sampled = append(sampled, i)
			}
		}
		if len(sampled) == 0 {
			t.Skip("nothing to raise")
		}
		policy := target.New(target.DefaultConfig())
		low := policy.Decide(now, o)
		raised := rapid.SampledFrom(sampled).Draw(t, "pod")
		o.Metrics[0].Pods[raised].UsageMilli += int64(rapid.IntRange(1, 8000).Draw(t, "more"))
		high := policy.Decide(now, o)
		if high.Known != low.Known || high.Replicas < low.Replicas {
			t.Fatalf("more use, fewer replicas: %d (%s) -> %d (%s)", low.Replicas, low.Message, high.Replicas, high.Message)
		}
	})
}

func TestReplicasAreMonotoneInAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObservation(t)
		typ := rapid.SampledFrom([]scaling.TargetType{scaling.Value, scaling.AverageValue}).Draw(t, "type")
		amount := rapid.Float64Range(0.001, 1e6).Draw(t, "amount")
		v := rapid.Float64Range(0, 1e9).Draw(t, "value")
		policy := target.New(target.DefaultConfig())
		at := func(v float64) scaling.Decision {
			o.Metrics = []scaling.Metric{number("rps", typ, amount, v)}
			return policy.Decide(now, o)
		}
		low, high := at(v), at(v+rapid.Float64Range(0, 1e9).Draw(t, "more"))
		if low.Known && high.Replicas < low.Replicas {
			t.Fatalf("a higher value, fewer replicas: %d -> %d", low.Replicas, high.Replicas)
		}
		if low.Replicas < 0 {
			t.Fatalf("%d replicas", low.Replicas)
		}
	})
}

func TestADecisionGoesTheWayOfItsMetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObservation(t)
		switch typ := rapid.SampledFrom([]scaling.TargetType{scaling.Utilization, scaling.Value, scaling.AverageValue}).Draw(t, "type"); typ {
		case scaling.Utilization:
		default:
			o.Metrics = []scaling.Metric{number("rps", typ, 10, rapid.Float64Range(0, 1000).Draw(t, "value"))}
		}
		d := target.New(target.DefaultConfig()).Decide(now, o)
		p, amount := d.Proposals[0], o.Metrics[0].Target.Amount
		if o.Metrics[0].Target.Type == scaling.AverageValue { // which is compared with what is asked for
			p.Current = o.Metrics[0].Value / float64(o.SpecReplicas)
		}
		switch {
		case d.Replicas > o.SpecReplicas && p.Current <= amount*1.1:
			t.Fatalf("out from %d to %d at %v of %v: %s", o.SpecReplicas, d.Replicas, p.Current, amount, d.Message)
		case d.Replicas < o.SpecReplicas && p.Current >= amount*0.9:
			t.Fatalf("in from %d to %d at %v of %v: %s", o.SpecReplicas, d.Replicas, p.Current, amount, d.Message)
		case !d.Known && d.Replicas != o.SpecReplicas:
			t.Fatalf("from %d to %d without knowing", o.SpecReplicas, d.Replicas)
		}
	})
}

func TestWithAnyDifferencesTheAnswerIsInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyObservation(t)
		config := target.DefaultConfig()
		switches := reflect.ValueOf(&config.Differences).Elem()
		for i := range switches.NumField() {
			switches.Field(i).SetBool(rapid.Bool().Draw(t, switches.Type().Field(i).Name))
		}
		m := &o.Metrics[0]
		for i := range m.Pods {
			r := &m.Pods[i]
			switch rapid.SampledFrom([]string{"", "", "", "foreign", "negative", "huge", "no request"}).Draw(t, "oddity") {
			case "foreign":
				r.Pod = "other-" + r.Pod
			case "negative":
				r.UsageMilli = -r.UsageMilli
			case "huge":
				r.UsageMilli, r.RequestMilli = math.MaxInt64, math.MaxInt64
			case "no request":
				r.NoRequest, r.RequestMilli = "container app of pod "+r.Pod+" has no request for cpu", 0
			}
		}
		if rapid.Bool().Draw(t, "average of pods") {
			m.Target, m.PerPod, m.IgnoreUntilReady = scaling.Target{Type: scaling.AverageValue, Amount: 0.5}, true, false
		}
		d := target.New(config).Decide(now, o)
		if d.Replicas < 0 || !d.Known && d.Replicas != o.SpecReplicas {
			t.Fatalf("from %d to %d, known %t", o.SpecReplicas, d.Replicas, d.Known)
		}
	})
}

func BenchmarkDecideTwoMetrics(b *testing.B) {
	usages := make([]int64, 10)
	for i := range usages {
		usages[i] = 700
	}
	o := observation(10, [][]scaling.Pod{pods(0, 10, running())}, cpu(50, usages...), number("rps", scaling.AverageValue, 10, 150))
	policy := target.New(target.DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Decide(now, o); d.Replicas != 15 {
			b.Fatalf("%d replicas, want 15", d.Replicas)
		}
	}
}
