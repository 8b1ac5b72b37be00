// Package actuator is the contract of what sets the replicas of workloads.
package actuator

import (
	"context"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
)

// Actuator sets the replicas of workloads.
type Actuator interface {
	// Name is how operators refer to it.
	Name() string
	// Scale sets the replicas of a workload to a number of 0 or more, if it still
	// asks for as many as w says; workloads.ErrChanged if it does not. Several
	// goroutines may call it, never for the same workload at once.
	Scale(ctx context.Context, w workloads.Workload, replicas int32) error
}
