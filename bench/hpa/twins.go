package hpa

import (
	"context"
	"fmt"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/convert"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Twins compares one history of two whole controllers: upstream's, and ours with the
// object that convert makes of upstream's. It is History without what ours does
// differently on purpose and without a switch: restarts, other behavior and rates
// over periods of their own. It has to run in a testing/synctest bubble of its own.
func Twins(seed uint64, number int, policy scaling.Policy) (Result, error) {
	result := newResult()
	s := newScenario(generator(seed, number), true)
	s.advance(time.Now())
	w, mismatch, last := s.workload, "", s.workload.spec
	err := together(w, policy, synchronizations, func(_ int, now time.Time) { s.advance(now) }, func(t *twin) (goOn bool) {
		result.Covered["synchronizations"]++
		result.Covered[way(last, t.spec)]++
		last = t.spec
		if t.spec != w.spec || t.rounds != w.synchronizations {
			mismatch = fmt.Sprintf("seed %d, twins %d, %s: upstream %d, ours %d (%s), after %d and %d synchronizations\n%s", seed, number,
				w.synced.Format(time.TimeOnly), w.spec, t.spec, t.why, w.synchronizations, t.rounds, show(w.hpa))
		}
		return mismatch == ""
	})
	result.add(mismatch)
	return result, err
}

// together has both controllers at work for n synchronizations of the workload.
// advance brings it to the i-th; what it sets by hand counts for ours as well. after
// says whether to go on.
func together(w *workload, policy scaling.Policy, n int, advance func(i int, now time.Time), after func(t *twin) (goOn bool)) error {
	defer silence()()
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), logr.Discard()))
	defer cancel()
	t := &twin{workload: w, spec: w.spec}
	ended, err := t.run(ctx, policy)
	if err != nil {
		return err
	}
	stop := w.start(ctx)
	for i := range n {
		synctest.Wait()
		if !after(t) || i == n-1 {
			break
		}
		time.Sleep(syncPeriod / 2)
		had := w.spec
		advance(i+1, time.Now().Add(syncPeriod/2))
		if w.spec != had {
			t.spec = w.spec
		}
		time.Sleep(syncPeriod / 2)
	}
	stop()
	cancel()
	<-ended
	return nil
}

// twin is the cluster of a workload as our controller sees it.
type twin struct {
	*workload
	spec   int32
	rounds int
	why    string
	object *v1alpha1.WorkloadAutoscaler
}

// run has our controller at work until ctx ends.
func (t *twin) run(ctx context.Context, policy scaling.Policy) (ended <-chan struct{}, err error) {
	if _, _, errs := convert.FromHPA(t.hpa, selecting); len(errs) > 0 {
		return nil, fmt.Errorf("convert: %w", errs.ToAggregate())
	}
	metrics, err := controller.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	sources := make(map[string]source.Source)
	for _, kind := range []autoscalingv2.MetricSourceType{"Resource", "ContainerResource", "Pods", "Object", "External"} {
		sources[string(kind)] = twinSource{t, string(kind)}
	}
	c := controller.New(controller.Config{
		Objects: t, Workloads: t, Rivals: rivals.NewIndex(), Sources: sources, Actuator: t, Metrics: metrics,
		Policies: map[string]scaling.Factory{"Target": func([]byte) (scaling.Policy, error) { return policy, nil }},
		Limiters: limits.Default(), Period: syncPeriod, Workers: 1,
		DownscaleStabilization: adapter.DownscaleWindow, Tolerance: adapter.DefaultTolerance, Now: time.Now,
		Observe: func(_ types.NamespacedName, s v1alpha1.WorkloadAutoscalerStatus) {
			t.rounds++
			if s.LastDecision != nil {
				t.why = s.LastDecision.Reason
			}
		},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Run(ctx) // it ends with the context
	}()
	return done, nil
}

// selecting counts pods as upstream does.
var selecting = convert.Options{PodSelection: v1alpha1.PodSelectionSelector}

// Keys implements controller.Objects.
func (t *twin) Keys() []types.NamespacedName {
	return []types.NamespacedName{{Namespace: namespace, Name: t.hpa.Name}}
}

// Get implements controller.Objects.
func (t *twin) Get(types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool) {
	if t.object == nil || t.object.Spec.MaxReplicas != t.hpa.Spec.MaxReplicas {
		generation := int64(1)
		if t.object != nil {
			generation = t.object.Generation + 1
		}
		t.object, _, _ = convert.FromHPA(t.hpa, selecting)
		t.object.UID, t.object.Generation = "web", generation
	}
	return t.object, true
}

// IsLocal implements controller.Workloads.
func (t *twin) IsLocal(v1alpha1.ScaleTargetRef) bool { return true }

// Read implements controller.Workloads.
func (t *twin) Read(context.Context, string, v1alpha1.ScaleTargetRef) (workloads.Workload, error) {
	return workloads.Workload{
		Kind: "Deployment", Namespace: namespace, Name: "web", UID: "web",
		SpecReplicas: t.spec, StatusReplicas: t.status, Selector: labels.Everything(),
	}, nil
}

// Pods implements controller.Workloads.
func (t *twin) Pods(workloads.Workload, v1alpha1.PodSelection) []*pods.Pod {
	return adapter.Pods(t.pods)
}

// Name implements actuator.Actuator.
func (t *twin) Name() string { return "twin" }

// Scale implements actuator.Actuator.
func (t *twin) Scale(_ context.Context, _ workloads.Workload, replicas int32) error {
	t.spec = replicas
	return nil
}

// twinSource answers with the readings of the workload.
type twinSource struct {
	*twin
	name string
}

// Name implements source.Source.
func (s twinSource) Name() string { return s.name }

// Read implements source.Source.
func (s twinSource) Read(_ context.Context, _ time.Time, queries []source.Query, answer func(i int, m scaling.Metric)) {
	for i, q := range queries {
		spec := autoscalingv2.MetricSpec{
			Resource: q.Spec.Resource, ContainerResource: q.Spec.ContainerResource, Pods: q.Spec.Pods, Object: q.Spec.Object, External: q.Spec.External,
		}
		answer(i, adapter.Metric("", spec, s.readings[key(spec)], q.Pods))
	}
}
