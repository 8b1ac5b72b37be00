package decision_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

var update = flag.Bool("update", false, "rewrite testdata with what comes out; read the diff")

// TestScenarios runs each file of testdata and compares the whole file: input
// lines stay, the lines that begin with -> are what came out. Input lines are
//
//	limits min=2 max=20 down=5m         the bounds and the window of scaling in
//	                                    without behavior, from here on
//	behavior up.window=1m up.policies=pods/4/15s,percent/100/15s up.select=Min
//	         down...                    behavior, all on one line; directions left
//	                                    out have no window and any rate
//	schedule noon min=6 start=5_12_*_*_* end=30_12_*_*_*
//	fallback after=1m replicas=8        what to do when nothing is known
//	policy Watermark {"high":1,"low":0.6}
//	optional rps                        the metric need not be known
//	replicas 4                          somebody sets the replicas
//	at 1m15s cpu=90 rps=120 queue=7 ready=3
//	                                    an evaluation so long after noon: CPU in
//	                                    percent of request at target 50, requests a
//	                                    second and jobs in a queue at target 10 per
//	                                    replica, the queue active above 5; ? for
//	                                    unknown; as many pods as replicas, all
//	                                    ready if not said
//	restart kept                        the memory is written and read again
//	restart dropped                     the memory is lost
//
// Each evaluation's outcome is applied.
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
			got := newScenario().run(t, want)
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

type scenario struct {
	in       decision.Input
	replicas int32
	optional map[string]bool
	known    bool // the history holds something, as it does not after a restart
}

func newScenario() *scenario {
	return &scenario{
		in:       decision.Input{Policy: target.New(target.DefaultConfig()), Limiters: limits.Default(), CanLeaveZero: true},
		optional: map[string]bool{},
	}
}

func (s *scenario) run(t *testing.T, file []byte) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(file))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "->") {
			continue
		}
		fmt.Fprintln(&out, line)
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if fields[0] == "at" {
			fmt.Fprintln(&out, "->", s.evaluate(start.Add(duration(t, fields[1])), arguments(t, fields[2:]), t))
			continue
		}
		s.set(t, fields)
	}
	return out.Bytes()
}

// set obeys a line that is not an evaluation.
func (s *scenario) set(t *testing.T, fields []string) {
	switch fields[0] {
	case "limits":
		args := arguments(t, fields[1:])
		s.in.Rules = limits.Rules{
			MinReplicas: int32(number(t, args["min"])), MaxReplicas: int32(number(t, args["max"])), DownscaleStabilization: duration(t, args["down"]),
		}
	case "behavior":
		args := arguments(t, fields[1:])
		s.in.Rules.Behavior = &limits.Behavior{ScaleUp: direction(t, args, "up"), ScaleDown: direction(t, args, "down")}
	case "schedule":
		s.in.Rules.Schedules = append(s.in.Rules.Schedules, scheduled(t, fields[1], arguments(t, fields[2:])))
	case "fallback":
		args := arguments(t, fields[1:])
		s.in.Fallback = &decision.Fallback{After: duration(t, args["after"])}
		if args["replicas"] != "" {
			s.in.Fallback.Replicas = int32(number(t, args["replicas"]))
		}
	case "policy":
		policy, err := policies.New(policies.DefaultConfig())[fields[1]]([]byte(strings.Join(fields[2:], "")))
		if err != nil {
			t.Fatal(err)
		}
		s.in.Policy = policy
	case "optional":
		s.optional[fields[1]] = true
	case "replicas":
		s.replicas = int32(number(t, fields[1]))
	case "restart":
		s.restart(t, fields[1])
	default:
		t.Fatalf("unknown line: %s", strings.Join(fields, " "))
	}
}

func (s *scenario) restart(t *testing.T, how string) {
	switch how {
	case "dropped":
		s.in.History, s.known = limits.History{}, false
	case "kept":
		var history limits.History
		if err := json.Unmarshal([]byte(encode(t, s.in.History)), &history); err != nil {
			t.Fatal(err)
		}
		s.in.History = history
	default:
		t.Fatalf("restart %s: want kept or dropped", how)
	}
}

func (s *scenario) evaluate(now time.Time, args map[string]string, t *testing.T) string {
	if !s.known {
		s.in.History, s.known = limits.Seed(now, s.replicas), true
	}
	s.in.Observation = s.observation(t, now, args)
	v, history := decision.Make(now, s.in)
	s.in.History, s.in.UnknownSince = history, v.UnknownSince
	before := s.replicas
	if v.Limited != before {
		s.replicas = v.Limited
		s.in.History = history.Scaled(now, before, v.Limited, s.in.Rules)
		s.in.ScaledToZero = v.Limited == 0
	}
	text := fmt.Sprintf("%d to %d (raw %d, stabilized %d, limited %d of %d to %d) %s", before, s.replicas, v.Raw, v.Stabilized, v.Limited, v.Min, v.Max, v.Reason)
	if len(v.Constraints) > 0 {
		text += " [" + strings.Join(v.Constraints, " ") + "]"
	}
	if len(v.Schedules) > 0 {
		text += " schedule " + strings.Join(v.Schedules, ", ")
	}
	return text + ": " + v.Message
}

func (s *scenario) observation(t *testing.T, now time.Time, args map[string]string) scaling.Observation {
	ready := int(s.replicas)
	if args["ready"] != "" {
		ready = int(number(t, args["ready"]))
	}
	o := scaling.Observation{
		SpecReplicas: s.replicas, StatusReplicas: s.replicas, Pods: podsOf(int(s.replicas), ready), Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
	}
	for _, name := range []string{"cpu", "rps", "queue"} {
		arg := args[name]
		if arg == "" {
			continue
		}
		m := scaling.Metric{Name: name, Target: scaling.Target{Type: scaling.AverageValue, Amount: 10}, Activation: -1, Optional: s.optional[name]}
		switch {
		case arg == "?":
			m.Unknown = scaling.Unknown{Reason: scaling.ReasonNoData, Message: "the query has no result"}
		case name == "cpu":
			m = cpuOf(o.Pods, int64(number(t, arg)*10))
			m.Optional = s.optional[name]
			for i := range m.Pods {
				m.Pods[i].At = now
			}
		default:
			m.Value, m.At = number(t, arg), now
		}
		if name == "queue" {
			m.Activation = 5
		}
		o.Metrics = append(o.Metrics, m)
	}
	return o
}

// direction reads what a line of behavior says of a direction.
func direction(t *testing.T, args map[string]string, name string) limits.Direction {
	d := limits.Direction{Select: limits.SelectMax, Policies: []limits.Policy{{Type: limits.Percent, Value: 1000, Period: 15 * time.Second}}}
	if window := args[name+".window"]; window != "" {
		d.Window = duration(t, window)
	}
	if selected := args[name+".select"]; selected != "" {
		d.Select = limits.SelectPolicy(selected)
	}
	if list := args[name+".policies"]; list != "" {
		d.Policies = nil
		for _, text := range strings.Split(list, ",") {
			parts := strings.Split(text, "/")
			typ := map[string]limits.PolicyType{"pods": limits.Pods, "percent": limits.Percent}[parts[0]]
			if len(parts) != 3 || typ == "" {
				t.Fatalf("%q is not pods/4/15s or percent/100/15s", text)
			}
			d.Policies = append(d.Policies, limits.Policy{Type: typ, Value: int32(number(t, parts[1])), Period: duration(t, parts[2])})
		}
	}
	return d
}

func scheduled(t *testing.T, name string, args map[string]string) limits.Schedule {
	w, err := schedule.Parse(name, strings.ReplaceAll(args["start"], "_", " "), strings.ReplaceAll(args["end"], "_", " "), "UTC")
	if err != nil {
		t.Fatal(err)
	}
	s := limits.Schedule{Window: w}
	if args["min"] != "" {
		least := int32(number(t, args["min"]))
		s.Min = &least
	}
	if args["max"] != "" {
		most := int32(number(t, args["max"]))
		s.Max = &most
	}
	return s
}

func arguments(t *testing.T, fields []string) map[string]string {
	args := map[string]string{}
	for _, field := range fields {
		key, value, found := strings.Cut(field, "=")
		if !found {
			t.Fatalf("%q is not key=value", field)
		}
		args[key] = value
	}
	return args
}

func number(t *testing.T, text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
