package decision_test

import (
	"bufio"
	"bytes"
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
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var update = flag.Bool("update", false, "rewrite testdata with what comes out; read the diff")

// TestScenarios runs each file of testdata and compares the whole file: input
// lines stay, the lines that begin with -> are what came out. Input lines are
//
//	limits min=2 max=20 up=0s down=5m   the limits, from here on
//	replicas 4                          somebody sets the replicas
//	at 1m15s cpu=90 rps=120 ready=3     an evaluation: CPU in percent of request
//	                                    at target 50, requests a second at target
//	                                    10 per replica; ? for unknown; as many
//	                                    pods as replicas, all ready if not said
//	restart                             all memory but the last decision is lost
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
			got := (&scenario{}).run(t, want)
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

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

type scenario struct {
	rules    limits.Rules
	replicas int32
	history  limits.History
	known    bool // history holds something, as it does not after a restart
	last     limits.Outcome
	lastTime time.Time
}

func (s *scenario) run(t *testing.T, input []byte) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(input))
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
		switch fields[0] {
		case "limits":
			args := arguments(t, fields[1:])
			s.rules = limits.Rules{
				MinReplicas: int32(number(t, args["min"])), MaxReplicas: int32(number(t, args["max"])),
				ScaleUpWindow: duration(t, args["up"]), ScaleDownWindow: duration(t, args["down"]),
			}
		case "replicas":
			s.replicas = int32(number(t, fields[1]))
		case "restart":
			s.history, s.known = nil, false
		case "at":
			fmt.Fprintln(&out, "->", s.evaluate(t, start.Add(duration(t, fields[1])), arguments(t, fields[2:])))
		default:
			t.Fatalf("unknown line: %s", line)
		}
	}
	return out.Bytes()
}

func (s *scenario) evaluate(t *testing.T, now time.Time, args map[string]string) string {
	if !s.known {
		s.history, s.known = limits.Seed(now, s.replicas, s.lastTime, s.last.Raw, s.last.Stabilized), true
	}
	v, history := decision.Make(now, target.New(target.DefaultConfig()), s.observation(t, now, args), s.rules, s.history)
	s.history = history
	if !cmp.Equal(v.Outcome, s.last) {
		s.last, s.lastTime = v.Outcome, now
	}
	before := s.replicas
	s.replicas = v.Limited
	text := fmt.Sprintf("%d to %d (raw %d, stabilized %d, limited %d) %s", before, s.replicas, v.Raw, v.Stabilized, v.Limited, v.Reason)
	if len(v.Constraints) > 0 {
		text += " [" + strings.Join(v.Constraints, " ") + "]"
	}
	return text + ": " + v.Message
}

func (s *scenario) observation(t *testing.T, now time.Time, args map[string]string) scaling.Observation {
	o := scaling.Observation{SpecReplicas: s.replicas, StatusReplicas: s.replicas, Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1}}
	ready := int(s.replicas)
	if args["ready"] != "" {
		ready = int(number(t, args["ready"]))
	}
	for i := range int(s.replicas) {
		o.Pods = append(o.Pods, scaling.Pod{
			Name: fmt.Sprintf("p%d", i), Phase: scaling.Running, Ready: i < ready,
			Started: start.Add(-time.Hour), ReadySince: start.Add(-time.Hour),
		})
	}
	unknown := scaling.Unknown{Reason: scaling.ReasonNoData, Message: "the query has no result"}
	if arg := args["cpu"]; arg != "" {
		m := scaling.Metric{Name: "cpu", Target: scaling.Target{Type: scaling.Utilization, Amount: 50}, IgnoreUntilReady: true}
		if arg == "?" {
			m.Unknown = unknown
		} else {
			for _, pod := range o.Pods {
				m.Pods = append(m.Pods, scaling.PodReading{Pod: pod.Name, RequestMilli: 1000, Sampled: true, UsageMilli: int64(number(t, arg) * 10), At: now})
			}
		}
		o.Metrics = append(o.Metrics, m)
	}
	if arg := args["rps"]; arg != "" {
		m := scaling.Metric{Name: "rps", Target: scaling.Target{Type: scaling.AverageValue, Amount: 10}}
		if arg == "?" {
			m.Unknown = unknown
		} else {
			m.Value, m.At = number(t, arg), now
		}
		o.Metrics = append(o.Metrics, m)
	}
	return o
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
