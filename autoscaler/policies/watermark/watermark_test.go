package watermark_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/watermark"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var (
	update = flag.Bool("update", false, "rewrite testdata with what comes out; read the diff")
	now    = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func policy(t testing.TB, parameters string) scaling.Policy {
	t.Helper()
	p, err := watermark.Factory(target.DefaultConfig())([]byte(parameters))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// serving returns so many pods that serve, and requests a second at target 10 for
// each of them that add up to load.
func serving(replicas int32, load float64) scaling.Observation {
	m := scaling.Metric{
		Name: "rps", Target: scaling.Target{Type: scaling.AverageValue, Amount: 10}, Value: load, At: now, Activation: -1,
	}
	o := scaling.Observation{SpecReplicas: replicas, StatusReplicas: replicas, MinReplicas: 1, MaxReplicas: 1000, Metrics: []scaling.Metric{m}}
	long := now.Add(-time.Hour)
	for i := range replicas {
		o.Pods = append(o.Pods, scaling.Pod{
			Name: fmt.Sprintf("p%03d", i), Phase: scaling.Running, Ready: true, ReadyKnown: true, Started: long, ReadySince: long,
		})
	}
	return o
}

// cpu gives the pods a use of CPU in percent of their requests at target 50; below
// 0 for no sample.
func cpu(o scaling.Observation, percent ...int64) scaling.Observation {
	m := scaling.Metric{Name: "cpu", Target: scaling.Target{Type: scaling.Utilization, Amount: 50}, IgnoreUntilReady: true, PerPod: true}
	for i, p := range percent {
		r := scaling.PodReading{Pod: fmt.Sprintf("p%03d", i), RequestMilli: 1000}
		if p >= 0 {
			r.Sampled, r.UsageMilli, r.At, r.Window = true, p*10, now, 15*time.Second
		}
		m.Pods = append(m.Pods, r)
	}
	o.Metrics = []scaling.Metric{m}
	return o
}

func valued(o scaling.Observation, typ scaling.TargetType, value float64) scaling.Observation {
	o.Metrics[0].Target.Type, o.Metrics[0].Value = typ, value
	return o
}

func TestDecide(t *testing.T) {
	const defaults, wide = ``, `{"high": "1.2", "low": "0.5"}`
	unknown := serving(10, 10)
	unknown.Metrics = append(unknown.Metrics, scaling.Metric{
		Name: "lost", Unknown: scaling.Unknown{Reason: scaling.ReasonNoData, Message: "nothing"},
	})
	for name, c := range map[string]struct {
		parameters string
		o          scaling.Observation
		known      bool
		replicas   int32
		reason     string
	}{
		"at the high mark nothing is done":              {defaults, serving(10, 100), true, 10, watermark.ReasonBetween},
		"at the low mark nothing is done":               {defaults, serving(10, 70), true, 10, watermark.ReasonBetween},
		"above the high mark it scales out to it":       {defaults, serving(10, 101), true, 11, target.ReasonAbove},
		"below the low mark it scales in to it":         {defaults, serving(10, 62), true, 8, target.ReasonBelow},
		"it does not scale in above the high mark":      {`{"high": 1, "low": 0.99}`, serving(10, 91), true, 10, target.ReasonUnchanged},
		"other marks move the band, high":               {wide, serving(10, 120), true, 10, watermark.ReasonBetween},
		"other marks move the band, beyond high":        {wide, serving(10, 132), true, 11, target.ReasonAbove},
		"other marks move the band, low":                {wide, serving(10, 50), true, 10, watermark.ReasonBetween},
		"other marks move the band, beyond low":         {wide, serving(10, 45), true, 9, target.ReasonBelow},
		"rounding errors add no replica":                {`{"high": 0.1, "low": 0.05}`, serving(2, 3), true, 3, target.ReasonAbove},
		"a value goes by the ready pods":                {defaults, valued(serving(4, 0), scaling.Value, 15), true, 6, target.ReasonAbove},
		"a value of 0 scales in to 0, before limits":    {defaults, valued(serving(4, 0), scaling.Value, 0), true, 0, target.ReasonBelow},
		"from 0 it goes to the high mark":               {wide, valued(serving(0, 0), scaling.Value, 25), true, 3, target.ReasonAbove},
		"utilization goes by the pods with samples":     {defaults, cpu(serving(2, 0), 70, 80), true, 3, target.ReasonAbove},
		"a missing sample counts as idle upward":        {defaults, cpu(serving(3, 0), 70, 60, -1), true, 3, watermark.ReasonBetween},
		"a missing sample counts as fully used inward":  {defaults, cpu(serving(3, 0), 20, 20, -1), true, 3, watermark.ReasonBetween},
		"an unknown metric keeps it from scaling in":    {defaults, unknown, false, 10, target.ReasonHeld},
		"a load beyond int32 is capped":                 {defaults, serving(10, 1e300), true, math.MaxInt32, target.ReasonAbove},
		"without a ready pod a value does not scale in": {defaults, valued(scaling.Observation{SpecReplicas: 3, Metrics: serving(0, 0).Metrics, MinReplicas: 1}, scaling.Value, 1), false, 3, target.ReasonAllUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			d := policy(t, c.parameters).Decide(now, c.o)
			if d.Known != c.known || d.Replicas != c.replicas || d.Reason != c.reason {
				t.Errorf("known %t, %d replicas, %s; want %t, %d, %s (%s)", d.Known, d.Replicas, d.Reason, c.known, c.replicas, c.reason, d.Message)
			}
		})
	}
}

func TestFactoryRejects(t *testing.T) {
	for parameters, want := range map[string]string{
		`{"hihg": 1}`:              `spec.policy.parameters: unknown field "hihg"`,
		`{"High": 1}`:              `spec.policy.parameters: unknown field "High"`,
		`{"high": 1, "high": 2}`:   `spec.policy.parameters: duplicate field "high"`,
		`{"high": "much"}`:         `spec.policy.parameters: a mark is a number, not "much"`,
		`{"high": true}`:           `spec.policy.parameters: a mark is a number, not true`,
		`[]`:                       `spec.policy.parameters: `,
		`{"high": 0}`:              `spec.policy.parameters.high: 0: want more than 0, at most 10`,
		`{"high": 10.5}`:           `spec.policy.parameters.high: 10.5: want more than 0, at most 10`,
		`{"high": "NaN"}`:          `spec.policy.parameters.high: NaN: want more than 0, at most 10`,
		`{"low": -0.1}`:            `spec.policy.parameters.low: -0.1: want more than 0, less than high, 1`,
		`{"low": 1}`:               `spec.policy.parameters.low: 1: want more than 0, less than high, 1`,
		`{"high": 0.5}`:            `spec.policy.parameters.low: 0.7: want more than 0, less than high, 0.5`,
		`{"high": 1, "low": "-1"}`: `spec.policy.parameters.low: -1: want more than 0, less than high, 1`,
	} {
		t.Run(parameters, func(t *testing.T) {
			_, err := watermark.Factory(target.DefaultConfig())([]byte(parameters))
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// With the number it goes to, the metric is no longer above the high mark; and if it
// scaled in, one replica less could not be either, or would be above the low mark.
func TestAStepEndsBetweenTheMarks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Float64Range(0.1, 0.9).Draw(t, "low")
		high := low + rapid.Float64Range(0.05, 2).Draw(t, "band")
		p, err := watermark.New(target.DefaultConfig(), watermark.Parameters{High: watermark.Mark(high), Low: watermark.Mark(low)})
		if err != nil {
			t.Fatal(err)
		}
		replicas := rapid.Int32Range(1, 50).Draw(t, "replicas")
		load := rapid.Float64Range(0.001, 1000).Draw(t, "load")
		d := p.Decide(now, serving(replicas, load))
		ratio := load / 10 / float64(d.Replicas)
		if d.Replicas < 1 || ratio > high*(1+1e-9) {
			t.Fatalf("%d replicas: %.4f of target is above the high mark %.4f", d.Replicas, ratio, high)
		}
		if between := load / 10 / float64(replicas); low < between && between < high && d.Replicas != replicas {
			t.Fatalf("from %d to %d though %.4f is between the marks", replicas, d.Replicas, between)
		}
		again := p.Decide(now, serving(d.Replicas, load))
		if again.Replicas != d.Replicas {
			t.Fatalf("from %d to %d, and then to %d, at the same load", replicas, d.Replicas, again.Replicas)
		}
	})
}

// TestScenarios runs each file of testdata. Input lines are
//
//	marks {"high": 1, "low": 0.7}   the parameters, from here on
//	replicas 4                      somebody sets the replicas
//	load 38                         requests a second, at target 10 a replica
//
// Lines that begin with -> are what came out of the policy, and, beside it, of the
// Target policy with the default tolerance, each with its own replicas.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, want)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func run(t *testing.T, input []byte) []byte {
	var out bytes.Buffer
	marks, steady := policy(t, ""), scaling.Policy(target.New(target.DefaultConfig()))
	var ours, theirs int32
	step := func(p scaling.Policy, replicas *int32, load float64) string {
		o := serving(*replicas, load)
		o.Tolerance = scaling.Tolerance{Up: 0.1, Down: 0.1}
		d, before := p.Decide(now, o), *replicas
		*replicas = d.Replicas
		return fmt.Sprintf("%s %d to %d %s", p.Name(), before, d.Replicas, d.Reason)
	}
	for lines := bufio.NewScanner(bytes.NewReader(input)); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "->") {
			continue
		}
		fmt.Fprintln(&out, line)
		var load float64
		switch verb, rest, _ := strings.Cut(line, " "); verb {
		case "", "#":
		case "marks":
			marks = policy(t, rest)
		case "replicas":
			if _, err := fmt.Sscan(rest, &ours); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			theirs = ours
		case "load":
			if _, err := fmt.Sscan(rest, &load); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			fmt.Fprintf(&out, "-> %s; %s\n", step(marks, &ours, load), step(steady, &theirs, load))
		default:
			t.Fatalf("%q: want marks, replicas, load or #", line)
		}
	}
	return out.Bytes()
}

func BenchmarkDecide(b *testing.B) {
	p, o := policy(b, ""), serving(10, 150)
	b.ReportAllocs()
	for b.Loop() {
		if d := p.Decide(now, o); d.Replicas != 15 {
			b.Fatalf("%d replicas, want 15", d.Replicas)
		}
	}
}
