// Package stairs is a scaling policy that goes in steps: it decides as the Target
// policy does, and goes on up to the next number of replicas of a list. It is for
// workloads that run only in certain sizes, such as a quorum or a ring of shards.
package stairs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is how objects refer to the policy in spec.policy.name.
const Name = "Stairs"

// ReasonStep is the reason of decisions that were taken to a step.
const ReasonStep = "TakenToStep"

// maxSteps is how many steps there may be.
const maxSteps = 100

// Parameters are the object's spec.policy.parameters.
type Parameters struct {
	// Steps are the numbers of replicas there may be: 1 to 100 of them, each 1 or
	// more and greater than the one before.
	Steps []int32 `json:"steps"`
}

// Policy implements scaling.Policy.
type Policy struct {
	steps []int32
	base  scaling.Policy
}

var (
	_ scaling.Policy  = (*Policy)(nil)
	_ scaling.Factory = New
)

// New makes the policy from the parameters of an object.
func New(parameters []byte) (scaling.Policy, error) {
	var p Parameters
	if len(parameters) > 0 {
		strict := json.NewDecoder(bytes.NewReader(parameters))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&p); err != nil {
			return nil, err
		}
	}
	if err := p.validate(); err != nil {
		return nil, err
	}
	return &Policy{steps: p.Steps, base: target.New(target.DefaultConfig())}, nil
}

func (p Parameters) validate() error {
	if n := len(p.Steps); n < 1 || n > maxSteps {
		return fmt.Errorf("steps: %d of them, must be 1 to %d", n, maxSteps)
	}
	least := int32(1)
	for i, step := range p.Steps {
		if step < least {
			return fmt.Errorf("steps[%d]: %d, must be %d or more", i, step, least)
		}
		least = step + 1
	}
	return nil
}

// Name implements scaling.Policy.
func (p *Policy) Name() string { return Name }

// Decide implements scaling.Policy. What is not known, and 0, where metrics may
// ask for it, stay what they are.
func (p *Policy) Decide(now time.Time, o scaling.Observation) scaling.Decision {
	d := p.base.Decide(now, o)
	if !d.Known || d.Replicas == 0 {
		return d
	}
	if step := p.next(d.Replicas); step != d.Replicas {
		d.Message = fmt.Sprintf("%s; of the steps %v, %d is taken for %d", d.Message, p.steps, step, d.Replicas)
		d.Replicas, d.Reason = step, ReasonStep
	}
	return d
}

// next is the lowest step that is enough, or the highest there is.
func (p *Policy) next(replicas int32) int32 {
	i, _ := slices.BinarySearch(p.steps, replicas)
	return p.steps[min(i, len(p.steps)-1)]
}
