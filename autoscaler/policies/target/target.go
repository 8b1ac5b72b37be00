// Package target is the policy that keeps each metric at its target, with the
// algorithm of the HorizontalPodAutoscaler of Kubernetes 1.37: the number of
// replicas is proportional to how far a metric is from its target, pods without
// a sample and pods that are not ready are assumed to dampen the change, and of
// several metrics the largest proposal wins. Differences lists where it departs
// from the HorizontalPodAutoscaler on purpose.
//
// The same steps serve other policies of that kind: Config.Decide takes the Rule.
//
// https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/#algorithm-details
package target

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the policy's name.
const Name = "Target"

// Policy implements scaling.Policy.
type Policy struct {
	config Config
}

var _ scaling.Policy = (*Policy)(nil)

// New returns the policy.
func New(config Config) *Policy { return &Policy{config: config} }

// Factory makes the policy, which has no parameters.
func Factory(config Config) scaling.Factory {
	return func(parameters []byte) (scaling.Policy, error) {
		switch p := bytes.TrimSpace(parameters); string(p) {
		case "", "null", "{}":
			return New(config), nil
		default:
			return nil, fmt.Errorf("spec.policy.parameters: %s: the policy %s has none", p, Name)
		}
	}
}

// Name implements scaling.Policy.
func (p *Policy) Name() string { return Name }

// Decide implements scaling.Policy: the largest proposal wins, and nothing is
// scaled in unless every metric that is not optional is known.
func (p *Policy) Decide(now time.Time, o scaling.Observation) scaling.Decision {
	return p.config.Decide(now, o, proportion{o.Tolerance})
}

// Rule says how a metric's ratio to its target becomes a number of replicas.
type Rule interface {
	// Side is 1 if a metric at ratio times its target asks for more replicas, -1
	// if it asks for fewer, 0 if for neither.
	Side(ratio float64) int
	// Within reports whether the ratio is near enough to leave the workload alone.
	// It is whenever Side is 0.
	Within(ratio float64) bool
	// WithinReason is the reason of proposals of metrics that are.
	WithinReason() string
	// Replicas is the whole number to go to from the side, when loaded is how many
	// replicas would be just at target: the ratio times those that carry the load.
	Replicas(side int, loaded float64) float64
}

// proportion is the rule of the HorizontalPodAutoscaler.
type proportion struct {
	tolerance scaling.Tolerance
}

func (p proportion) Side(ratio float64) int {
	switch {
	case ratio > 1:
		return 1
	case ratio < 1:
		return -1
	}
	return 0
}

func (p proportion) Within(ratio float64) bool { return p.tolerance.Contains(ratio) }

func (p proportion) WithinReason() string { return ReasonWithin }

func (p proportion) Replicas(_ int, loaded float64) float64 { return math.Ceil(loaded) }
