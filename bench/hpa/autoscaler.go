package hpa

import (
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Settings are those of our side of a history, each true to be as upstream.
type Settings struct {
	// Memory is limits.Rules.MemoryAsHPA.
	Memory bool
	// ForgetAtRestart has a restart begin with limits.Seed.
	ForgetAtRestart bool
	// MinimumNeedsMetrics undoes that decision.Make, at 0 replicas, goes to a
	// minimum that has been raised though no metric is known.
	MinimumNeedsMetrics bool
}

// CompatibleSettings are all as upstream.
func CompatibleSettings() Settings {
	return Settings{Memory: true, ForgetAtRestart: true, MinimumNeedsMetrics: true}
}

// autoscaler is our side of a history: what the controller around decision.Make
// keeps of a workload.
type autoscaler struct {
	Settings
	policy       scaling.Policy
	spec         int32
	history      limits.History
	scaledToZero bool
}

// restart forgets what upstream's controller forgets. That autoscaling set the
// replicas to 0 is in the object's status and stays.
func (a *autoscaler) restart() {
	if a.ForgetAtRestart {
		a.history = limits.History{}
	}
}

// synchronize evaluates the workload at the time now and sets its replicas.
func (a *autoscaler) synchronize(now time.Time, w *workload) decision.Verdict {
	if len(a.history.Recommendations) == 0 {
		a.history = limits.Seed(now, a.spec)
	}
	rules := adapter.Rules(w.hpa)
	rules.MemoryAsHPA = a.Memory
	verdict, history := decision.Make(now, decision.Input{
		Policy: a.policy, Limiters: limits.Default(), Rules: rules,
		Observation: observe(a.spec, w), History: a.history,
		ScaledToZero: a.scaledToZero, CanLeaveZero: scalesFromZero(w.hpa),
	})
	a.history = history
	if a.MinimumNeedsMetrics && a.spec == 0 && verdict.Asked && !verdict.Decision.Known {
		verdict.Limited = 0
	}
	if verdict.Limited != a.spec {
		a.history = a.history.Scaled(now, a.spec, verdict.Limited, rules)
		a.scaledToZero = verdict.Limited == 0 && rules.MinReplicas == 0 && scalesFromZero(w.hpa)
		a.spec = verdict.Limited
	}
	return verdict
}

// observe is the observation of the workload at the time now.
func observe(spec int32, w *workload) scaling.Observation {
	known := adapter.Pods(w.pods)
	o := scaling.Observation{
		SpecReplicas: spec, StatusReplicas: w.status, Pods: adapter.Told(known),
		Tolerance: adapter.Tolerance(w.hpa.Spec.Behavior),
	}
	for _, m := range w.hpa.Spec.Metrics {
		o.Metrics = append(o.Metrics, adapter.Metric(key(m), m, w.readings[key(m)], known))
	}
	return o
}
