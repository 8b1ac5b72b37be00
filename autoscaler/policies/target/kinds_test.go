package target_test

import (
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

type list = [][]scaling.Pod

// average is a metric of each pod, with a target for their average and one sample
// for each of p0, p1, ... in thousandths; below 0 for none.
func average(amount float64, usagesMilli ...int64) scaling.Metric {
	m := cpu(0, usagesMilli...)
	m.Name, m.Target, m.IgnoreUntilReady, m.PerPod = "requests", scaling.Target{Type: scaling.AverageValue, Amount: amount}, false, true
	for i := range m.Pods {
		m.Pods[i].RequestMilli = 0
	}
	return m
}

func TestAverageOfPods(t *testing.T) {
	pending := scaling.Pod{Phase: scaling.Pending}
	unready := scaling.Pod{Phase: scaling.Running, Unready: true, ReadyKnown: true, Started: longAgo, ReadySince: longAgo}
	reversed := average(1, 2000, 1000, 1500)
	reversed.Pods[0], reversed.Pods[2] = reversed.Pods[2], reversed.Pods[0]
	for name, c := range map[string]struct {
		o    scaling.Observation
		want answer
	}{
		"above target it scales out in proportion": {
			observation(2, list{pods(0, 2, running())}, average(1, 2000, 1000)), answer{Known: true, Replicas: 3, Reason: target.ReasonAbove},
		},
		"below target it scales in in proportion, rounded up": {
			observation(4, list{pods(0, 4, running())}, average(1, 500, 600, 500, 500)), answer{Known: true, Replicas: 3, Reason: target.ReasonBelow},
		},
		"whole thousandths count": { // 1.101 and a bit
			observation(10, list{pods(0, 3, running())}, average(1, 1100, 1100, 1102)), answer{Known: true, Replicas: 10, Reason: target.ReasonWithin},
		},
		"a missing sample is at target when scaling in": { // (0.2+0.2+1)/3
			observation(3, list{pods(0, 3, running())}, average(1, 200, 200, -1)), answer{Known: true, Replicas: 2, Reason: target.ReasonBelow},
		},
		"a missing sample is 0 when scaling out": { // (2+2)/3
			observation(3, list{pods(0, 3, running())}, average(1, 2000, 2000, -1)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"a pending pod is 0 when scaling out": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, pending)}, average(1, 1500, 1500, -1)), answer{Known: true, Replicas: 3, Reason: target.ReasonWithin},
		},
		"a sample of a pod that is not ready counts if its start does not distort it": {
			observation(2, list{pods(0, 1, running()), pods(1, 1, unready)}, average(1, 2000, 2000)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"readings may be in any order": {
			observation(3, list{pods(0, 3, running())}, reversed), answer{Known: true, Replicas: 5, Reason: target.ReasonAbove},
		},
		"no sample at all holds": {
			observation(2, list{pods(0, 2, running())}, average(1, -1, -1)), answer{Replicas: 2, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoData},
		},
		"sums beyond int64 saturate": {
			observation(2, list{pods(0, 2, running())}, average(1, math.MaxInt64, math.MaxInt64)), answer{Known: true, Replicas: math.MaxInt32, Reason: target.ReasonAbove},
		},
		"a pod beyond those asked for counts if it serves": {
			observation(2, list{pods(0, 3, running())}, average(1, 1500, 1500, 1500)), answer{Known: true, Replicas: 5, Reason: target.ReasonAbove},
		},
		"a pod beyond those asked for does not count if it does not serve": { // 1.12, not 1.12 x 2/3
			observation(2, list{pods(0, 2, running()), pods(2, 1, pending)}, average(1, 1120, 1120, -1)), answer{Known: true, Replicas: 3, Reason: target.ReasonAbove},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, decide(c.o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFromAndToZero(t *testing.T) {
	at := func(replicas, minReplicas int32, metrics ...scaling.Metric) scaling.Observation {
		o := observation(replicas, list{pods(0, int(replicas), running())}, metrics...)
		o.MinReplicas = minReplicas
		return o
	}
	activated := func(typ scaling.TargetType, activation, value float64) scaling.Metric {
		m := number("queue", typ, 10, value)
		m.Activation = activation
		return m
	}
	for name, c := range map[string]struct {
		o    scaling.Observation
		want answer
	}{
		"from 0 a value is divided by its target": {
			at(0, 0, number("queue", scaling.Value, 10, 31)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"from 0 there is no tolerance": {
			at(0, 0, number("queue", scaling.Value, 10, 10.1)), answer{Known: true, Replicas: 2, Reason: target.ReasonAbove},
		},
		"from 0 a value of 0 stays there": {
			at(0, 0, number("queue", scaling.Value, 10, 0)), answer{Known: true, Reason: target.ReasonUnchanged},
		},
		"from 0 an average value is divided by its target": {
			at(0, 0, number("queue", scaling.AverageValue, 10, 31)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"from 0 an average value of 0 stays there": {
			at(0, 0, number("queue", scaling.AverageValue, 10, 0)), answer{Known: true, Reason: target.ReasonUnchanged},
		},
		"from 0 the unknown use of pods does not keep another metric from scaling out": {
			at(0, 0, cpu(50), number("queue", scaling.Value, 10, 31)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove, Unknown: scaling.ReasonNoPods},
		},
		"a value that does not exceed its activation asks for 0": {
			at(3, 0, activated(scaling.AverageValue, 5, 5)), answer{Known: true, Reason: target.ReasonInactive},
		},
		"a value that does so asks for 0 even within tolerance": {
			at(3, 0, activated(scaling.Value, 10, 10)), answer{Known: true, Reason: target.ReasonInactive},
		},
		"a value that exceeds its activation asks for at least 1": {
			at(0, 0, activated(scaling.Value, 5, 5.1)), answer{Known: true, Replicas: 1, Reason: target.ReasonAbove},
		},
		"activation does not matter where the minimum is above 0": {
			at(3, 1, activated(scaling.AverageValue, 50, 40)), answer{Known: true, Replicas: 4, Reason: target.ReasonAbove},
		},
		"a metric below its activation does not keep another from asking for replicas": {
			at(3, 0, activated(scaling.AverageValue, 50, 40), number("rps", scaling.AverageValue, 10, 19)), answer{Known: true, Replicas: 2, Reason: target.ReasonBelow},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, decide(c.o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOptionalMetrics(t *testing.T) {
	optional := func(m scaling.Metric) scaling.Metric {
		m.Optional = true
		return m
	}
	low := number("rps", scaling.AverageValue, 10, 20)
	for name, c := range map[string]struct {
		metrics []scaling.Metric
		want    answer
	}{
		"an unknown optional metric does not keep others from scaling in": {
			[]scaling.Metric{optional(unknown("extra")), low}, answer{Known: true, Replicas: 2, Reason: target.ReasonBelow, Unknown: scaling.ReasonNoData},
		},
		"an unknown metric keeps an optional one from scaling in": {
			[]scaling.Metric{unknown("lost"), optional(low)}, answer{Replicas: 4, Reason: target.ReasonHeld, Unknown: scaling.ReasonNoData},
		},
		"with nothing but unknown optional metrics the replicas stay": {
			[]scaling.Metric{optional(unknown("extra")), optional(unknown("too"))}, answer{Replicas: 4, Reason: target.ReasonAllUnknown, Unknown: scaling.ReasonNoData},
		},
		"a known optional metric decides as others do": {
			[]scaling.Metric{optional(number("extra", scaling.AverageValue, 10, 90)), low}, answer{Known: true, Replicas: 9, Reason: target.ReasonAbove},
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := observation(4, list{pods(0, 4, running())}, c.metrics...)
			if diff := cmp.Diff(c.want, decide(o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestReadiness is of a pod that uses much, beside one at target.
func TestReadiness(t *testing.T) {
	old, young := longAgo, now.Add(-2*time.Minute)
	for name, c := range map[string]struct {
		pod    scaling.Pod
		counts bool
	}{
		"ready for long counts":                                   {scaling.Pod{Ready: true, ReadyKnown: true, Started: old, ReadySince: old}, true},
		"without a word on its readiness does not count":          {scaling.Pod{Started: old}, false},
		"not yet started does not count":                          {scaling.Pod{Ready: true, ReadyKnown: true, ReadySince: old}, false},
		"of a lost node counts when old":                          {scaling.Pod{ReadyKnown: true, Started: old, ReadySince: now}, true},
		"of a lost node counts when young if the sample is later": {scaling.Pod{ReadyKnown: true, Started: young, ReadySince: now.Add(-time.Minute)}, true},
		"that was ready once counts":                              {scaling.Pod{Unready: true, ReadyKnown: true, Started: old, ReadySince: old.Add(31 * time.Second)}, true},
		"that was never ready does not count":                     {scaling.Pod{Unready: true, ReadyKnown: true, Started: old, ReadySince: old.Add(29 * time.Second)}, false},
		"young and not ready does not count":                      {scaling.Pod{Unready: true, ReadyKnown: true, Started: young, ReadySince: young.Add(time.Minute)}, false},
		"young and ready before its sample began counts":          {scaling.Pod{Ready: true, ReadyKnown: true, Started: young, ReadySince: now.Add(-25 * time.Second)}, true},
		"young and ready after its sample began does not count":   {scaling.Pod{Ready: true, ReadyKnown: true, Started: young, ReadySince: now.Add(-24 * time.Second)}, false},
	} {
		t.Run("a pod "+name, func(t *testing.T) {
			c.pod.Phase = scaling.Running
			o := observation(2, list{pods(0, 1, running()), pods(1, 1, c.pod)}, cpu(50, 500, 1500))
			want := answer{Known: true, Replicas: 2, Reason: target.ReasonWithin}
			if c.counts {
				want = answer{Known: true, Replicas: 4, Reason: target.ReasonAbove}
			}
			if diff := cmp.Diff(want, decide(o)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestDifferences shows of each difference what it changes: the answer with all of
// them, and with all but this one.
func TestDifferences(t *testing.T) {
	succeeded, terminating := running(), running()
	succeeded.Phase, terminating.Terminating = scaling.Succeeded, true
	pending := scaling.Pod{Phase: scaling.Pending}
	noRequest := cpu(50, 1000, 1000)
	noRequest.Pods[1].NoRequest = "container app of pod p1 has no request for cpu"
	noRequest.Pods[1].RequestMilli = 0
	stale := cpu(50, 100, 100)
	stale.Pods[1].At = now.Add(-time.Hour)
	stale.Pods[1].UsageMilli = 100
	foreign := average(1, 1000, 1000, 7000)
	negative := number("balance", scaling.AverageValue, 10, -5)

	type outcome struct {
		known    bool
		replicas int32
	}
	cases := map[string]struct {
		o             scaling.Observation
		with, without outcome
	}{
		"FinishedPodsIgnored": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, succeeded)}, cpu(50, 200, 200, -1)),
			outcome{true, 1},
			outcome{true, 3},
		},
		"NoReadyPodsHold": {
			observation(3, list{pods(0, 3, pending)}, number("queue", scaling.Value, 10, 5)),
			outcome{false, 3},
			outcome{true, 0},
		},
		"TerminatingNotServing": {
			observation(3, list{pods(0, 2, running()), pods(2, 1, terminating)}, number("queue", scaling.Value, 10, 20)),
			outcome{true, 4},
			outcome{true, 6},
		},
		"SurgeNotCounted": {
			observation(4, list{pods(0, 6, running())}, number("queue", scaling.Value, 10, 20)),
			outcome{true, 8},
			outcome{true, 12},
		},
		"DirectionKept": {
			observation(10, list{pods(0, 2, running())}, cpu(50, 600, 600)),
			outcome{true, 10},
			outcome{true, 3},
		},
		"BadValuesUnknown": {
			observation(3, list{pods(0, 3, running())}, negative),
			outcome{false, 3},
			outcome{true, 0},
		},
		"RequestsOfCountingPodsOnly": {
			observation(1, list{pods(0, 1, running()), pods(1, 1, terminating)}, noRequest),
			outcome{true, 2},
			outcome{false, 1},
		},
		"StaleSamplesMissing": {
			observation(2, list{pods(0, 2, running())}, stale),
			outcome{true, 2},
			outcome{true, 1},
		},
		"ForeignSamplesIgnored": {
			observation(2, list{pods(0, 2, running())}, foreign),
			outcome{true, 2},
			outcome{true, 6},
		},
	}
	decide := func(c target.Config, o scaling.Observation) outcome {
		d := target.New(c).Decide(now, o)
		return outcome{d.Known, d.Replicas}
	}
	fields := reflect.TypeFor[target.Differences]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		t.Run(name, func(t *testing.T) {
			c, found := cases[name]
			if !found {
				t.Fatal("no case shows this difference")
			}
			config := target.DefaultConfig()
			if got := decide(config, c.o); got != c.with {
				t.Errorf("with it %+v, want %+v", got, c.with)
			}
			reflect.ValueOf(&config.Differences).Elem().Field(i).SetBool(false)
			if got := decide(config, c.o); got != c.without {
				t.Errorf("without it %+v, want %+v", got, c.without)
			}
			if got := decide(target.Compatible(), c.o); got != c.without {
				t.Errorf("without any %+v, want %+v", got, c.without)
			}
		})
	}
}

func TestREADMEHasARowForEachDifference(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, row := range regexp.MustCompile("(?m)^\\|.*\\| `(\\w+)` \\|$").FindAllStringSubmatch(string(readme), -1) {
		rows = append(rows, row[1])
	}
	var want []string
	fields := reflect.TypeFor[target.Differences]()
	for i := range fields.NumField() {
		want = append(want, fields.Field(i).Name)
	}
	if diff := cmp.Diff(want, rows); diff != "" {
		t.Errorf("switches in the table (-want +got):\n%s", diff)
	}
}

func TestFactory(t *testing.T) {
	factory := target.Factory(target.DefaultConfig())
	for _, parameters := range []string{"", "{}", " { }", "null"} {
		if p, err := factory([]byte(strings.ReplaceAll(parameters, " ", ""))); err != nil || p.Name() != target.Name {
			t.Errorf("parameters %q: %v", parameters, err)
		}
	}
	if _, err := factory([]byte(`{"high": 1}`)); err == nil || !strings.HasPrefix(err.Error(), "spec.policy.parameters: ") {
		t.Errorf("parameters that there are not: %v", err)
	}
}

func TestValuesOfThousandthsHaveTheRatiosOfIntegers(t *testing.T) {
	// Of 10000 numbers of thousandths against a target of 0.7, each must scale as
	// the quotient of the integers does, to the last bit.
	o := observation(1, list{pods(0, 1, running())})
	o.Tolerance = scaling.Tolerance{}
	policy := target.New(target.Compatible())
	for usage := int64(1); usage <= 10_000; usage++ {
		o.Metrics = []scaling.Metric{number("rps", scaling.AverageValue, 0.7, float64(usage)/1000)}
		want := int32(math.Ceil(float64(usage) / 700))
		if got := policy.Decide(now, o).Replicas; got != want {
			t.Fatalf("%dm of 700m: %d replicas, want %d", usage, got, want)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	usages := make([]int64, 10)
	for i := range usages {
		usages[i] = 700
	}
	o := observation(10, list{pods(0, 10, running())}, cpu(50, usages...))
	policy := target.New(target.DefaultConfig())
	b.ReportAllocs()
	for b.Loop() {
		if d := policy.Decide(now, o); d.Replicas != 14 {
			b.Fatalf("%d replicas, want 14", d.Replicas)
		}
	}
}
