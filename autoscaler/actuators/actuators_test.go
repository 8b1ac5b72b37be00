package actuators_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
)

// writer keeps what it is told to write.
type writer struct {
	name     string
	replicas int32
	err      error
}

func (w *writer) Scale(_ context.Context, target workloads.Workload, replicas int32) error {
	w.name, w.replicas = target.Name, replicas
	return w.err
}

func TestTheListHasEachActuatorUnderItsName(t *testing.T) {
	list := actuators.New(&writer{})
	for name, a := range list {
		if a.Name() != name {
			t.Errorf("%s is listed as %s", a.Name(), name)
		}
	}
	if _, found := list[actuators.Default]; !found {
		t.Errorf("the default, %s, is not listed", actuators.Default)
	}
}

func TestTheDefaultWritesTheScale(t *testing.T) {
	w := &writer{err: workloads.ErrChanged}
	err := actuators.New(w)[actuators.Default].Scale(t.Context(), workloads.Workload{Name: "web", SpecReplicas: 3}, 5)
	if !errors.Is(err, workloads.ErrChanged) {
		t.Errorf("error %v, want that of the writer", err)
	}
	if diff := cmp.Diff([]any{"web", int32(5)}, []any{w.name, w.replicas}); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}
