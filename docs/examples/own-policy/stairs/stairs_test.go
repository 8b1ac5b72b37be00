package stairs_test

import (
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"

	"example.com/own-autoscaler/stairs"
)

func TestTheNumberOfReplicasIsAStep(t *testing.T) {
	for name, c := range map[string]struct {
		load        float64 // each replica is to take 10
		current     int32
		unknown     bool
		want        int32
		wantReason  string
		wantUnknown bool
	}{
		"a number between two steps goes to the upper one": {load: 35, current: 2, want: 6, wantReason: stairs.ReasonStep},
		"a number that is a step stays":                    {load: 60, current: 2, want: 6, wantReason: "AboveTarget"},
		"down to the step that is enough":                  {load: 15, current: 6, want: 2, wantReason: "BelowTarget"},
		"not below the step that is enough":                {load: 25, current: 6, want: 6, wantReason: stairs.ReasonStep},
		"more than the highest step is the highest":        {load: 900, current: 6, want: 20, wantReason: stairs.ReasonStep},
		"what is unknown is held, a step or not":           {unknown: true, current: 5, want: 5, wantReason: "MetricsUnknown", wantUnknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := stairs.New([]byte(`{"steps":[2,6,20]}`))
			if err != nil {
				t.Fatal(err)
			}
			metric := scaling.Metric{Name: "load", Target: scaling.Target{Type: scaling.AverageValue, Amount: 10}, Value: c.load, Activation: -1}
			if c.unknown {
				metric.Unknown = scaling.Unknown{Reason: scaling.ReasonNoData, Message: "nothing there"}
			}
			got := policy.Decide(time.Unix(0, 0), scaling.Observation{
				SpecReplicas: c.current, StatusReplicas: c.current, MinReplicas: 1, MaxReplicas: 100,
				Pods: []scaling.Pod{{Name: "a", Phase: scaling.Running, Ready: true, ReadyKnown: true}}, Metrics: []scaling.Metric{metric},
			})
			if got.Replicas != c.want || got.Reason != c.wantReason || got.Known == c.wantUnknown {
				t.Errorf("%d replicas, known %v, %s (%s); want %d, known %v, %s", got.Replicas, got.Known, got.Reason, got.Message, c.want, !c.wantUnknown, c.wantReason)
			}
		})
	}
}

func TestBadParametersAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ parameters, want string }{
		"none":                      {``, "steps: 0 of them, must be 1 to 100"},
		"a name that is misspelt":   {`{"step":[1]}`, `json: unknown field "step"`},
		"a step below 1":            {`{"steps":[0,2]}`, "steps[0]: 0, must be 1 or more"},
		"steps that do not go up":   {`{"steps":[1,4,4]}`, "steps[2]: 4, must be 5 or more"},
		"a step that is no integer": {`{"steps":[1.5]}`, "json: cannot unmarshal number 1.5 into Go struct field Parameters.steps of type int32"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := stairs.New([]byte(c.parameters)); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
