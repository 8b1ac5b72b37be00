package schedule_test

import (
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/schedule"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestDecide(t *testing.T) {
	for name, o := range map[string]scaling.Observation{
		"scales out to the floor":          {SpecReplicas: 1, MinReplicas: 6, MaxReplicas: 10},
		"scales in to the floor":           {SpecReplicas: 9, MinReplicas: 6, MaxReplicas: 10},
		"leaves what is at the floor":      {SpecReplicas: 6, MinReplicas: 6, MaxReplicas: 10},
		"needs no pods, nor looks at them": {SpecReplicas: 6, StatusReplicas: 2, MinReplicas: 6, MaxReplicas: 10, Pods: []scaling.Pod{{Phase: scaling.Pending}}},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := schedule.Factory(nil)
			if err != nil {
				t.Fatal(err)
			}
			d := policy.Decide(time.Unix(0, 0), o)
			if !d.Known || d.Replicas != 6 || d.Reason != schedule.ReasonFloor || !strings.Contains(d.Message, "6 replicas") {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestFactoryRejectsParameters(t *testing.T) {
	if _, err := schedule.Factory([]byte(`{"floor": 3}`)); err == nil || !strings.HasPrefix(err.Error(), "spec.policy.parameters: ") {
		t.Errorf("error %v", err)
	}
}
