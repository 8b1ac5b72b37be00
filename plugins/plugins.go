// Package plugins is the one list of Plimsoll's scheduler plugins. It makes what
// kube-scheduler's registry takes, without importing kube-scheduler.
package plugins

import (
	"context"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/utils/clock"

	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// Factory builds one plugin for one scheduler profile. It is the type that
// kube-scheduler's app.WithPlugin takes.
type Factory = func(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error)

// Options is what the program gives to the plugins. The zero value is usable.
type Options struct {
	// Decisions receives every placement that was bound. Nil keeps none.
	Decisions *decisions.Ring
	// Clock dates decisions and what is learned. Nil is the real clock.
	Clock clock.PassiveClock
	// Devices knows the nodes' devices. Nil: those of DRA, and on nodes without them
	// whole devices by extended resource.
	Devices devices.Source
	// Background and Lifetime serve simulations; see marginalcost.Options.
	Background func(learn func(now time.Time) bool)
	Lifetime   func(pod *v1.Pod) (time.Duration, bool)
}

// Registry returns every plugin by the name it has in a configuration.
func Registry(o Options) map[string]Factory {
	return map[string]Factory{
		marginalcost.Name: marginalcost.Options(o).New,
	}
}
