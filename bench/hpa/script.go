package hpa

import (
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
)

// Unreadable stands in Script.Wanted for a metric that cannot be read.
const Unreadable = -1

// Script is a history of a workload whose one metric asks for replicas outright.
type Script struct {
	// Min and Max bound the Replicas that it begins with.
	Min, Max, Replicas int32
	// Behavior is complete, as after the API server's defaulting; nil for none.
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
	// Wanted is what the metric asks for at each synchronization, or Unreadable.
	Wanted []int32
	// Changes are made before the synchronization of that number.
	Changes map[int]Change
}

// Change is what happens to a workload.
type Change struct {
	// Restart starts the controllers anew.
	Restart bool
	// Replicas are set by hand, Min is the new minimum, and Behavior the new
	// behavior; nil for no other.
	Replicas *int32
	Min      *int32
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
}

// Play returns the replicas that upstream's controller and ours in the settings set
// at each synchronization. It has to run in a testing/synctest bubble.
func Play(s Script, settings Settings) (upstream, ours []int32) {
	w := s.workload()
	a := &autoscaler{Settings: settings, policy: adapter.Compatible(adapter.CPUInitialization, adapter.InitialReadinessDelay)}
	advance := func(i int, _ time.Time) (restart bool) { return s.advance(w, i) }
	live(w, a, len(s.Wanted), advance, func(int, int32, decision.Verdict) (goOn bool) {
		upstream, ours = append(upstream, w.spec), append(ours, a.spec)
		return true
	})
	return upstream, ours
}

// PlayControllers is Play with our whole controller, without restarts and other
// settings.
func PlayControllers(s Script) (upstream, ours []int32, err error) {
	w := s.workload()
	s.advance(w, 0)
	err = together(w, adapter.Compatible(adapter.CPUInitialization, adapter.InitialReadinessDelay), len(s.Wanted), func(i int, _ time.Time) {
		s.advance(w, i)
	}, func(t *twin) (goOn bool) {
		upstream, ours = append(upstream, w.spec), append(ours, t.spec)
		return true
	})
	return upstream, ours, err
}

// workload is the one at the beginning.
func (s Script) workload() *workload {
	one := resource.MustParse("1")
	metric := autoscalingv2.MetricSpec{
		Type: autoscalingv2.ExternalMetricSourceType,
		External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "wanted"},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &one},
		},
	}
	return &workload{spec: s.Replicas, readings: make(map[string]adapter.Reading), hpa: &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace, UID: "web", ResourceVersion: "0"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    &s.Min, MaxReplicas: s.Max, Behavior: s.Behavior,
			Metrics: []autoscalingv2.MetricSpec{metric},
		},
	}}
}

// advance brings the workload to the i-th synchronization.
func (s Script) advance(w *workload, i int) (restart bool) {
	w.readings["wanted"] = adapter.Reading{Values: []int64{int64(s.Wanted[i]) * 1000}}
	if s.Wanted[i] == Unreadable {
		w.readings["wanted"] = adapter.Reading{Err: errReading}
	}
	return w.apply(s.Changes[i])
}

func (w *workload) apply(c Change) (restart bool) {
	hpa := w.hpa.DeepCopy()
	if c.Min != nil {
		hpa.Spec.MinReplicas = c.Min
	}
	if c.Behavior != nil {
		hpa.Spec.Behavior = c.Behavior
	}
	w.hpa = hpa
	if c.Replicas != nil {
		w.spec = *c.Replicas
	}
	return c.Restart
}
