// Package scale is the actuator that writes the scale subresource.
package scale

import (
	"context"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/actuator"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
)

// Name is the actuator's name.
const Name = "Scale"

// Writer writes scale subresources; *workloads.Reader does.
type Writer interface {
	Scale(ctx context.Context, w workloads.Workload, replicas int32) error
}

// Actuator implements actuator.Actuator.
type Actuator struct{ writer Writer }

var _ actuator.Actuator = (*Actuator)(nil)

// New returns an actuator that writes through writer.
func New(writer Writer) *Actuator { return &Actuator{writer} }

// Name implements actuator.Actuator.
func (a *Actuator) Name() string { return Name }

// Scale implements actuator.Actuator.
func (a *Actuator) Scale(ctx context.Context, w workloads.Workload, replicas int32) error {
	return a.writer.Scale(ctx, w, replicas)
}
