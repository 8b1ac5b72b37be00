// Package schedule is the policy that needs no metrics: it wants the floor of the
// moment, which is the minimum of the object or that of a schedule of its.
package schedule

import (
	"bytes"
	"fmt"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the policy's name.
const Name = "Schedule"

// ReasonFloor is the reason of every decision.
const ReasonFloor = "FloorOfTheMoment"

// Policy implements scaling.Policy.
type Policy struct{}

var _ scaling.Policy = Policy{}

// Factory makes the policy, which has no parameters.
func Factory(parameters []byte) (scaling.Policy, error) {
	switch p := bytes.TrimSpace(parameters); string(p) {
	case "", "null", "{}":
		return Policy{}, nil
	default:
		return nil, fmt.Errorf("spec.policy.parameters: %s: the policy %s has none", p, Name)
	}
}

// Name implements scaling.Policy.
func (Policy) Name() string { return Name }

// Decide implements scaling.Policy.
func (Policy) Decide(_ time.Time, o scaling.Observation) scaling.Decision {
	return scaling.Decision{
		Known: true, Replicas: o.MinReplicas, Reason: ReasonFloor,
		Message: fmt.Sprintf("the minimum of the moment, schedules included, is %d replicas", o.MinReplicas),
	}
}
