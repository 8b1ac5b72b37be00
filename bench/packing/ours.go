package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim/devicedriver"
	"github.com/plimsoll-k8s/plimsoll/plugins"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// variant is how our own policy differs from the shipped one.
type variant struct {
	without string // a term whose price is 0
	given   bool   // the mix is pinned to the one that FGD is given; P1 only
	oracle  bool   // true lifetimes; P3 only
	// inTreeOrder takes the first device that fits, as the in-tree DRA allocator
	// does, where we would choose; P1 only.
	inTreeOrder bool
}

// ours builds MarginalCost with default arguments but for the variant. The
// profile holds only what tells nodes apart in the traces: the shipped profile's
// other plugins find nothing to do in them, and would sign pods by their labels,
// so that the simulator could reuse no score.
func ours(v variant) func(inputs) (setup, error) {
	return func(in inputs) (setup, error) {
		if err := v.validate(in.protocol); err != nil {
			return setup{}, err
		}
		args, err := v.args(in)
		if err != nil {
			return setup{}, err
		}
		var plugin *marginalcost.Plugin
		choose := func(node string, pod *v1.Pod, free []int64) int { return plugin.ChooseDevice(node, pod, free) }
		if v.inTreeOrder {
			choose = devicedriver.First
		}
		driver := devicedriver.New(choose)
		var made setup
		options := plugins.Options{
			Clock:      in.clock,
			Devices:    driver,
			Background: func(check func(time.Time) bool) { made.due = check },
		}
		if v.oracle {
			options.Lifetime = trueLifetime
		}
		factory := plugins.Registry(options)[marginalcost.Name]
		registry := frameworkruntime.Registry{
			marginalcost.Name: func(ctx context.Context, obj runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
				built, err := factory(ctx, obj, handle)
				if err == nil {
					plugin = built.(*marginalcost.Plugin) //nolint:forcetypeassert // its factory makes nothing else
				}
				return built, err
			},
		}
		scored, err := scored(driver, []string{marginalcost.Name}, map[string]string{marginalcost.Name: args}, registry)
		if err != nil {
			return setup{}, err
		}
		made.profile, made.plugins, made.driver = scored.profile, scored.plugins, scored.driver
		// Background is called when the framework is built, after this returns.
		return setup{profile: made.profile, plugins: made.plugins, driver: made.driver, due: func(now time.Time) bool {
			return made.due != nil && made.due(now)
		}}, nil
	}
}

func (v variant) validate(protocol string) error {
	for _, only := range []struct {
		set      bool
		name     string
		protocol string
	}{
		{v.given, "plimsoll-given", "p1"},
		{v.inTreeOrder, "plimsoll-dra-order", "p1"},
		{v.oracle, "plimsoll-oracle", "p3"},
	} {
		if only.set && protocol != only.protocol {
			return fmt.Errorf("policy %s: it is of %s only", only.name, only.protocol)
		}
	}
	return nil
}

// args are the plugin's arguments in JSON.
func (v variant) args(in inputs) (string, error) {
	args := map[string]any{"recentDecisions": 0}
	if v.without != "" {
		args["prices"] = map[string]float64{v.without: 0}
	}
	if v.given {
		args["mix"] = pins(in.typical)
	}
	text, err := json.Marshal(args)
	return string(text), err
}

// pins writes FGD's typical pods as a pinned mix.
func pins(typical []openb.Share) []map[string]any {
	var mix []map[string]any
	for _, share := range typical {
		pin := map[string]any{
			"weight":   share.Of,
			"requests": map[string]string{"cpu": strconv.FormatInt(share.CPUMilli, 10) + "m"},
		}
		if share.GPUs > 0 {
			pin["devices"] = map[string]any{"class": openb.GPUClass, "count": share.GPUs, "milli": share.GPUMilli}
		}
		if models := (openb.Pod{GPUs: share.GPUs, Models: share.Models}).AllowedModels(); models != nil {
			pin["nodeAffinity"] = map[string]any{"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{
				map[string]any{"key": openb.ModelLabel, "operator": "In", "values": models},
			}}}}
		}
		mix = append(mix, pin)
	}
	return mix
}

// trueLifetime reads how long a pod will live from what the trace knows.
func trueLifetime(pod *v1.Pod) (time.Duration, bool) {
	seconds, err := strconv.ParseInt(pod.Annotations[LifetimeAnnotation], 10, 64)
	return time.Duration(seconds) * time.Second, err == nil
}
