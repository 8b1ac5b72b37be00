package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestScalingOutIsWrittenToScaleStatusAndEvents(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 47)
		now := metav1.NewTime(time.Now())
		w.start()
		if diff := cmp.Diff([]string{"web 3 to 5"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled (-want +got):\n%s", diff)
		}
		message := "rps: 47 at target 10 per replica with 3 replicas asks for 5"
		if diff := cmp.Diff([]string{"Normal SuccessfulRescale New size: 5 (was 3); reason: " + message}, w.happened()); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		want := []string{
			"AbleToScale=True SucceededRescale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True AboveTarget",
			"ScaledToZero=False NotScaledToZero", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange",
		}
		if diff := cmp.Diff(want, w.conditions("web")); diff != "" {
			t.Errorf("conditions (-want +got):\n%s", diff)
		}
		got := w.status("web")
		got.Conditions, got.History = nil, nil
		proposal, current := int32(5), resource.MustParse("15667m")
		status := v1alpha1.WorkloadAutoscalerStatus{
			ObservedGeneration: 7, LastScaleTime: &now, CurrentReplicas: 3, DesiredReplicas: 5,
			Metrics: []v1alpha1.MetricStatus{{
				Name: "rps", Proposal: &proposal, Reason: target.ReasonAbove, Message: strings.TrimPrefix(message, "rps: "),
				Current: &autoscalingv2.MetricValueStatus{AverageValue: &current},
			}},
			LastDecision: &v1alpha1.Decision{Time: now, Raw: 5, Stabilized: 5, Limited: 5, Applied: 5, SelectedMetric: "rps", Reason: target.ReasonAbove, Message: message},
		}
		if diff := cmp.Diff(status, got); diff != "" {
			t.Errorf("status (-want +got):\n%s", diff)
		}
	}, autoscaler("web"))
}

func TestAScaleThatSomebodyElseChangedIsNotOverwritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 47)
		w.fleet.hook(nil, func(context.Context, string) error {
			w.fleet.set("web", 9)
			return nil
		})
		w.start()
		if got := w.fleet.get("web"); got != 9 {
			t.Errorf("%d replicas, want the 9 of somebody else", got)
		}
		for _, condition := range []string{"AbleToScale", "Ready", "Degraded"} {
			if got := w.reason("web", condition); got != "FailedUpdateScale" {
				t.Errorf("condition %s: %s, want FailedUpdateScale", condition, got)
			}
		}
		notes := w.happened()
		if len(notes) != 1 || !strings.HasPrefix(notes[0], "Warning FailedRescale New size: 5 (was 3)") || !strings.Contains(notes[0], workloads.ErrChanged.Error()) {
			t.Errorf("events %q", notes)
		}
		if d := w.status("web").LastDecision; d.Limited != 5 || d.Applied != 3 {
			t.Errorf("limited %d, applied %d, want 5 and 3", d.Limited, d.Applied)
		}
		w.fleet.hook(nil, nil)
		w.round()
		if diff := cmp.Diff([]string{"web 9 to 5"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled in the next round, which saw the 9 (-want +got):\n%s", diff)
		}
	}, autoscaler("web"))
}

// TestARestartDoesNotStepDownEarly restarts the controller before every
// evaluation, with a status as the API server keeps it.
func TestARestartDoesNotStepDownEarly(t *testing.T) {
	for name, c := range map[string]struct {
		window, period, late time.Duration
	}{
		"with the default window":                        {5 * time.Minute, period, period},
		"with evaluations closer than times in a status": {2 * time.Second, 300 * time.Millisecond, 600 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			seconds := int32(c.window / time.Second)
			wa := edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &seconds}}
			})
			inWorld(t, func(t *testing.T, w *world) {
				time.Sleep(650 * time.Millisecond)
				w.config.Period = c.period
				w.fleet.set("web", 10)
				w.numbers.set("web", 100)
				peak := time.Now()
				w.start()
				w.numbers.set("web", 30)
				for range 60 {
					time.Sleep(c.period)
					w.start()
					if w.fleet.get("web") == 10 {
						continue
					}
					if after := time.Since(peak); after < c.window || after > c.window+c.late {
						t.Errorf("stepped down %s after the peak, want %s to %s", after, c.window, c.window+c.late)
					}
					return
				}
				t.Error("never stepped down")
			}, wa)
		})
	}
}

// TestARestartAfterALongQuietTimeDoesNotStepDown has a status that was written
// once, long before the window.
func TestARestartAfterALongQuietTimeDoesNotStepDown(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.set("web", 10)
		w.numbers.set("web", 100)
		w.start()
		w.pass(2 * time.Hour)
		if n := w.objects.wrote(); n != 1 {
			t.Fatalf("%d status writes in a quiet time, want 1", n)
		}
		w.numbers.set("web", 30)
		w.start()
		restarted := time.Now()
		for w.fleet.get("web") == 10 && time.Since(restarted) < time.Hour {
			w.round()
		}
		if after := time.Since(restarted); after < 5*time.Minute || after > 5*time.Minute+2*period {
			t.Errorf("stepped down %s after the restart, want a window of 5m0s", after)
		}
	}, autoscaler("web"))
}

func TestARestartGivesNoRateBack(t *testing.T) {
	wa := edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
		spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 2, PeriodSeconds: 60}},
		}}
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 200)
		w.start()
		for at := range 9 {
			time.Sleep(period)
			w.start()
			if got, most := w.fleet.get("web"), int32(5+2*((at+1)/4)); got > most {
				t.Fatalf("%d replicas after %s, want at most %d", got, time.Duration(at+1)*period, most)
			}
		}
		if got := w.fleet.get("web"); got != 9 {
			t.Errorf("%d replicas in the end, want 9: 2 more a minute", got)
		}
	}, wa)
}

func TestARestartRemembersSinceWhenNothingIsKnown(t *testing.T) {
	after, replicas := int32(60), int32(8)
	wa := edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
		spec.Fallback = &v1alpha1.Fallback{AfterSeconds: &after, Replicas: &replicas}
	})
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.lose("web")
		w.start()
		for range 3 {
			time.Sleep(period)
			w.start()
		}
		if got := w.fleet.get("web"); got != 3 {
			t.Fatalf("%d replicas after 45 s, want 3: the fallback is for after 60 s", got)
		}
		time.Sleep(period)
		w.start()
		if got := w.fleet.get("web"); got != 8 {
			t.Errorf("%d replicas after 60 s of nothing known, want the fallback's 8", got)
		}
		if got := w.reason("web", "Degraded"); got != "Fallback" {
			t.Errorf("Degraded says %s, want Fallback", got)
		}
	}, wa)
}

func TestARestartRemembersWhoseZeroItIs(t *testing.T) {
	zero := int32(0)
	toZero := func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MinReplicas = &zero }
	inWorld(t, func(t *testing.T, w *world) {
		w.config.DownscaleStabilization = 0
		w.numbers.set("web", 0)
		w.fleet.set("hand", 0)
		w.start()
		w.round()
		if got := w.fleet.get("web"); got != 0 {
			t.Fatalf("%d replicas without load, want 0", got)
		}
		w.numbers.set("web", 20)
		w.numbers.set("hand", 20)
		time.Sleep(period)
		w.start()
		if diff := cmp.Diff([]string{"web 0 to 2", "web 3 to 0"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled (-want +got):\n%s", diff)
		}
	}, edited("web", toZero), edited("hand", toZero))
}

func TestAZeroSetByHandIsNotAutoscalings(t *testing.T) {
	zero := int32(0)
	inWorld(t, func(t *testing.T, w *world) {
		w.config.DownscaleStabilization = 0
		w.numbers.set("web", 0)
		w.start()
		w.round()
		if got := w.fleet.get("web"); got != 0 {
			t.Fatalf("%d replicas without load, want 0", got)
		}
		w.numbers.set("web", 30)
		w.fleet.set("web", 3) // somebody does not want to wait
		w.round()
		if got := w.reason("web", "ScaledToZero"); got != "NotScaledToZero" {
			t.Errorf("ScaledToZero says %s at 3 replicas, want NotScaledToZero", got)
		}
		w.fleet.set("web", 0) // and later wants none
		w.round()
		w.start()
		w.round()
		if got := w.fleet.get("web"); got != 0 || w.reason("web", "Ready") != "ScalingDisabled" {
			t.Errorf("%d replicas, Ready says %s, want the 0 of somebody, ScalingDisabled", got, w.reason("web", "Ready"))
		}
	}, edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MinReplicas = &zero }))
}

func TestAnObjectThatGoesDuringItsEvaluationIsForgotten(t *testing.T) {
	for name, c := range map[string]struct {
		meanwhile func(w *world)
		left      int
	}{
		"deleted":           {func(w *world) { w.objects.remove("web") }, 0},
		"and created anew":  {func(w *world) { anew := autoscaler("web"); anew.UID = "another"; w.objects.put(anew) }, 0},
		"or only rewritten": {func(w *world) { w.objects.put(edited("web", custom("Slow"))) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var reads int
				w.config.Sources["Slow"] = sourceFunc{"Slow", slowly(5*time.Second, &reads)}
				w.start()
				c.meanwhile(w)
				w.pass(6 * time.Second)
				if n := testutil.CollectAndCount(w.controller.Collector(""), "plimsoll_autoscaler_desired_replicas"); n != c.left {
					t.Errorf("%d series of desired replicas, want %d", n, c.left)
				}
			}, edited("web", custom("Slow")))
		})
	}
}

func TestAPolicyWithoutMetricsNeedsNoSelector(t *testing.T) {
	three := int32(3)
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.noLabels["web"] = true
		w.fleet.set("web", 5)
		w.config.DownscaleStabilization = 0
		w.start()
		w.round()
		if diff := cmp.Diff([]string{"web 5 to 3"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled (-want +got):\n%s", diff)
		}
	}, edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
		spec.Metrics = nil
		byPolicy("Schedule")(spec)
		spec.Schedules = []v1alpha1.Schedule{{Name: "always", Start: "0 * * * *", End: "59 * * * *", MinReplicas: &three}}
	}))
}

func TestWhoObservesIsToldOfEveryEvaluation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var told []string
		var mu sync.Mutex
		w.config.Statuses, w.config.Events, w.config.DryRun = nil, nil, true
		w.config.Observe = func(key types.NamespacedName, s v1alpha1.WorkloadAutoscalerStatus) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprintf("%s %d", key, s.DesiredReplicas))
		}
		w.numbers.set("web", 47)
		w.start()
		w.round()
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]string{"shop/web 5", "shop/web 5"}, told); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if n, notes := w.objects.wrote(), w.happened(); n > 0 || len(notes) > 0 {
			t.Errorf("%d statuses written, events %q", n, notes)
		}
	}, autoscaler("web"))
}

func TestCollectorShowsEachObject(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 470)
		w.start()
		want := `
# HELP plimsoll_autoscaler_shadow_condition 1 if a condition of the object is true, 0 if it is false.
# TYPE plimsoll_autoscaler_shadow_condition gauge
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="AsExpected",type="Degraded"} 0
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="Auto",type="Paused"} 0
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="NotScaledToZero",type="ScaledToZero"} 0
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="ScaleUpLimit",type="Ready"} 1
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="ScaleUpLimit",type="ScalingLimited"} 1
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="SucceededRescale",type="AbleToScale"} 1
plimsoll_autoscaler_shadow_condition{name="web",namespace="shop",reason="ValidMetricFound",type="ScalingActive"} 1
# HELP plimsoll_autoscaler_shadow_current_replicas Replicas the target had when it was last evaluated.
# TYPE plimsoll_autoscaler_shadow_current_replicas gauge
plimsoll_autoscaler_shadow_current_replicas{name="web",namespace="shop"} 3
# HELP plimsoll_autoscaler_shadow_desired_replicas Replicas last decided on.
# TYPE plimsoll_autoscaler_shadow_desired_replicas gauge
plimsoll_autoscaler_shadow_desired_replicas{name="web",namespace="shop"} 6
# HELP plimsoll_autoscaler_shadow_limited 1 for the constraint that last changed the number.
# TYPE plimsoll_autoscaler_shadow_limited gauge
plimsoll_autoscaler_shadow_limited{name="web",namespace="shop",reason="ScaleUpLimit"} 1
# HELP plimsoll_autoscaler_shadow_max_replicas Most replicas allowed by the object, without its schedules.
# TYPE plimsoll_autoscaler_shadow_max_replicas gauge
plimsoll_autoscaler_shadow_max_replicas{name="web",namespace="shop"} 20
# HELP plimsoll_autoscaler_shadow_metric_proposal_replicas Replicas that a metric alone asks for.
# TYPE plimsoll_autoscaler_shadow_metric_proposal_replicas gauge
plimsoll_autoscaler_shadow_metric_proposal_replicas{metric="rps",name="web",namespace="shop"} 47
# HELP plimsoll_autoscaler_shadow_min_replicas Least replicas allowed by the object, without its schedules.
# TYPE plimsoll_autoscaler_shadow_min_replicas gauge
plimsoll_autoscaler_shadow_min_replicas{name="web",namespace="shop"} 2
# HELP plimsoll_autoscaler_shadow_objects Objects evaluated, by mode.
# TYPE plimsoll_autoscaler_shadow_objects gauge
plimsoll_autoscaler_shadow_objects{mode="Auto"} 1
`
		if err := testutil.CollectAndCompare(w.controller.Collector("shadow_"), strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}, autoscaler("web"))
}

func TestAnObjectCreatedAnewDoesNotInherit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.fleet.set("web", 10)
		w.numbers.set("web", 100)
		w.start()
		anew := autoscaler("web") // before the controller has seen it deleted
		anew.UID = "another"
		w.objects.put(anew)
		w.fleet.set("web", 5)
		w.numbers.set("web", 30)
		w.round()
		if d := w.status("web").LastDecision; d.Stabilized != 5 || !slices.Equal(d.Constraints, []string{"ScaleDownStabilized"}) {
			t.Errorf("stabilized at %d by %v, want at its own 5", d.Stabilized, d.Constraints)
		}
		last := autoscaler("web") // of which there is just as much to say
		last.UID = "third"
		w.objects.put(last)
		w.round()
		if s := w.status("web"); s.LastDecision == nil || s.LastDecision.Stabilized != 5 {
			t.Fatalf("the third has the status %+v, want what its predecessor had", s)
		}
		w.fleet.set("web", 12)
		w.round()
		if d := w.status("web").LastDecision; d.Stabilized != 5 {
			t.Errorf("stabilized at %d, want at its own 5, not at its predecessor's 10", d.Stabilized)
		}
	}, autoscaler("web"))
}

func TestADeletedObjectIsForgotten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		series := func() int {
			return testutil.CollectAndCount(w.controller.Collector(""), "plimsoll_autoscaler_desired_replicas")
		}
		if n := series(); n != 2 {
			t.Fatalf("%d series of desired replicas, want 2", n)
		}
		w.objects.remove("web")
		w.round()
		if n := series(); n != 1 {
			t.Errorf("%d series of desired replicas after deletion, want 1", n)
		}
		w.numbers.times("web")
		w.round()
		if n := w.numbers.times("web"); n != 0 {
			t.Errorf("its metric was read %d times after deletion", n)
		}
	}, autoscaler("web"), autoscaler("other"))
}

func TestAnObjectBeingDeletedIsLeftAlone(t *testing.T) {
	wa := autoscaler("web")
	now := metav1.Now()
	wa.DeletionTimestamp = &now
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 100)
		w.start()
		if got := w.fleet.done(); got != nil || w.objects.wrote() > 0 {
			t.Errorf("scaled %v", got)
		}
	}, wa)
}

func TestEvaluationsAreCountedByResult(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.DownscaleStabilization = 0
		w.start() // unchanged
		w.numbers.set("web", 47)
		w.round()
		w.numbers.set("web", 20)
		w.round()
		w.numbers.lose("web")
		w.round()
		w.fleet.remove("web")
		w.round()
		w.objects.edit("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Mode = v1alpha1.ModePaused })
		w.fleet.set("web", 3)
		w.round()
		after := int32(0)
		w.objects.edit("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
			spec.Mode, spec.Fallback = v1alpha1.ModeAuto, &v1alpha1.Fallback{AfterSeconds: &after}
		})
		w.round()
		want := `
# HELP plimsoll_autoscaler_evaluations_total Evaluations by result: scaled_out, scaled_in, unchanged, unknown, fallback, standstill, failed.
# TYPE plimsoll_autoscaler_evaluations_total counter
plimsoll_autoscaler_evaluations_total{result="failed"} 1
plimsoll_autoscaler_evaluations_total{result="fallback"} 1
plimsoll_autoscaler_evaluations_total{result="scaled_in"} 1
plimsoll_autoscaler_evaluations_total{result="scaled_out"} 1
plimsoll_autoscaler_evaluations_total{result="standstill"} 1
plimsoll_autoscaler_evaluations_total{result="unchanged"} 1
plimsoll_autoscaler_evaluations_total{result="unknown"} 1
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "plimsoll_autoscaler_evaluations_total"); err != nil {
			t.Error(err)
		}
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(`
# HELP plimsoll_autoscaler_metric_reads_total Metrics read for an object, by source and by result: known, or why it is unknown.
# TYPE plimsoll_autoscaler_metric_reads_total counter
plimsoll_autoscaler_metric_reads_total{result="NoData",source="Prometheus"} 2
plimsoll_autoscaler_metric_reads_total{result="known",source="Prometheus"} 3
`), "plimsoll_autoscaler_metric_reads_total"); err != nil {
			t.Error(err)
		}
	}, autoscaler("web"))
}

func TestModes(t *testing.T) {
	mode := func(m v1alpha1.Mode) func(*v1alpha1.WorkloadAutoscalerSpec) {
		return func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Mode = m }
	}
	for name, c := range map[string]struct {
		edit    func(*v1alpha1.WorkloadAutoscalerSpec)
		dryRun  bool
		scaled  []string
		desired int32
		reads   int
		paused  string
		ready   string
	}{
		"Auto scales":                      {mode(v1alpha1.ModeAuto), false, []string{"web 3 to 5"}, 5, 1, "False Auto", "AboveTarget"},
		"Recommend says what it would do":  {mode(v1alpha1.ModeRecommend), false, nil, 5, 1, "True RecommendOnly", "AboveTarget"},
		"Paused reads no metrics":          {mode(v1alpha1.ModePaused), false, nil, 3, 0, "True Paused", "Paused"},
		"a dry run recommends":             {mode(v1alpha1.ModeAuto), true, nil, 5, 1, "True RecommendOnly", "AboveTarget"},
		"a dry run does not read a Paused": {mode(v1alpha1.ModePaused), true, nil, 3, 0, "True Paused", "Paused"},
		"Recommend of a workload beyond its bounds": {func(spec *v1alpha1.WorkloadAutoscalerSpec) {
			spec.Mode, spec.MaxReplicas = v1alpha1.ModeRecommend, 2
		}, false, nil, 2, 0, "True RecommendOnly", "TooManyReplicas"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.config.DryRun = c.dryRun
				w.numbers.set("web", 47)
				w.start()
				if diff := cmp.Diff(c.scaled, w.fleet.done()); diff != "" {
					t.Errorf("scaled (-want +got):\n%s", diff)
				}
				if s := w.status("web"); s.DesiredReplicas != c.desired || s.CurrentReplicas != 3 {
					t.Errorf("current %d, desired %d, want 3 and %d", s.CurrentReplicas, s.DesiredReplicas, c.desired)
				}
				if n := w.numbers.times("web"); n != c.reads {
					t.Errorf("the metric was read %d times, want %d", n, c.reads)
				}
				if got := w.conditions("web"); !slices.Contains(got, "Paused="+c.paused) || !slices.Contains(got, "Ready=True "+c.ready) {
					t.Errorf("conditions %q, want Paused=%s and Ready=True %s", got, c.paused, c.ready)
				}
			}, edited("web", c.edit))
		})
	}
}

func TestRivals(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, name := range w.objects.Keys() {
			wa, _ := w.objects.Get(name)
			if workload, claim, claims := controller.ClaimOf(wa); claims {
				w.config.Rivals.Add(workload, claim)
			}
		}
		hpa := rivals.Claim{Kind: "HorizontalPodAutoscaler", Name: "old"}
		web, _ := w.objects.Get(keyOf("web"))
		workload, _, _ := controller.ClaimOf(web)
		w.config.Rivals.Add(workload, hpa)
		w.numbers.set("web", 47)
		w.start()
		if got := w.fleet.done(); got != nil {
			t.Errorf("scaled %v with a rival", got)
		}
		for _, condition := range []string{"ScalingActive", "Ready", "Degraded"} {
			if got := w.reason("web", condition); got != "AmbiguousTarget" {
				t.Errorf("%s says %s, want AmbiguousTarget", condition, got)
			}
		}
		var want []string
		for _, others := range []string{"twin", "twin, WorkloadAutoscaler web", "web"} { // for web, observer and twin
			want = append(want, "Warning AmbiguousTarget Deployment web is also scaled by HorizontalPodAutoscaler old, WorkloadAutoscaler "+
				others+"; nothing is done until only one is left")
		}
		notes := w.happened()
		slices.Sort(notes)
		slices.Sort(want)
		if diff := cmp.Diff(want, notes); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		for _, name := range []string{"web", "observer"} {
			if s := w.status(name); s.DesiredReplicas != 5 {
				t.Errorf("%s desires %d replicas, want 5: it still reports", name, s.DesiredReplicas)
			}
		}
		w.round()
		if notes := w.happened(); len(notes) > 0 {
			t.Errorf("told again: %q", notes)
		}
		w.config.Rivals.Remove(workload, hpa)
		twin, _ := w.objects.Get(keyOf("twin"))
		_, claim, _ := controller.ClaimOf(twin)
		w.config.Rivals.Remove(workload, claim)
		w.objects.remove("twin")
		w.round()
		if diff := cmp.Diff([]string{"web 3 to 5"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled once alone (-want +got):\n%s", diff)
		}
		if got := w.reason("web", "Ready"); got != "AboveTarget" {
			t.Errorf("Ready says %s, want AboveTarget", got)
		}
	},
		autoscaler("web"),
		edited("twin", func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.ScaleTargetRef.Name = "web" }),
		edited("observer", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
			spec.ScaleTargetRef.Name, spec.Mode, spec.Metrics[0].Prometheus.Query = "web", v1alpha1.ModeRecommend, "web"
		}))
}

func TestAChangedSpecIsEvaluatedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.set("web", 47)
		w.start()
		w.numbers.times("other")
		w.pass(time.Second)
		w.objects.edit("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MaxReplicas = 4 })
		for range 5 {
			w.controller.Changed(keyOf("web"))
		}
		w.pass(100 * time.Millisecond)
		if got := w.fleet.get("web"); got != 4 {
			t.Errorf("%d replicas, want the new maximum of 4", got)
		}
		if got := w.status("web").ObservedGeneration; got != 8 {
			t.Errorf("observed generation %d, want 8", got)
		}
		if n := w.numbers.times("other"); n != 0 {
			t.Errorf("the other object was evaluated %d times", n)
		}
	}, autoscaler("web"), autoscaler("other"))
}

func TestABusyObjectIsSkippedAndEvaluatedLater(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var reads int
		w.config.Sources["Slow"] = sourceFunc{"Slow", slowly(12*time.Second, &reads)}
		w.config.Period = 10 * time.Second
		w.start()
		w.round() // at 10 s the first is not over
		skipped := func() float64 { return gathered(t, w, "plimsoll_autoscaler_evaluations_skipped_total") }
		if got := skipped(); got != 1 {
			t.Errorf("%v evaluations skipped, want 1", got)
		}
		if reads != 1 {
			t.Errorf("read %d times while busy, want once", reads)
		}
		w.pass(5 * time.Second) // at 12 s it is over
		if got := w.fleet.get("web"); got != 3 {
			t.Errorf("%d replicas, want 3", got)
		}
		if got := w.reason("web", "ScalingActive"); got != "ValidMetricFound" {
			t.Errorf("ScalingActive says %s after the slow answer, want ValidMetricFound", got)
		}
		w.pass(6 * time.Second)
		if reads != 2 {
			t.Errorf("read %d times after the next period, want twice", reads)
		}
		// A spec that changes meanwhile is evaluated as soon as the evaluation is over.
		w.objects.edit("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Metrics = spec.Metrics[:1] })
		w.controller.Changed(keyOf("web"))
		w.pass(12 * time.Second) // at 33 s; the one that began at 20 s is over at 32 s
		if got := w.status("web").ObservedGeneration; got != 8 {
			t.Errorf("observed generation %d, want 8", got)
		}
	}, edited("web", custom("Slow")))
}

// slowly answers all queries with 30 after a while.
func slowly(d time.Duration, reads *int) func(context.Context, []source.Query, func(int, scaling.Metric)) {
	return func(ctx context.Context, queries []source.Query, answer func(int, scaling.Metric)) {
		*reads++
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return
		}
		for i := range queries {
			answer(i, scaling.Metric{Value: 30})
		}
	}
}

func gathered(t *testing.T, w *world, name string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestAPolicyIsToldWhatItAsksToRemember(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var past [][]scaling.Moment
		p := rememberer{memory: 30 * time.Second, policyFunc: func(_ time.Time, o scaling.Observation) scaling.Decision {
			past = append(past, slices.Clone(o.Past))
			proposal := scaling.Proposal{Metric: "rps", Current: o.Metrics[0].Value, Unknown: o.Metrics[0].Unknown}
			return scaling.Decision{Known: true, Replicas: o.SpecReplicas, Reason: "Own", Message: "own", Proposals: []scaling.Proposal{proposal}}
		}}
		w.config.Policies["Own"] = func([]byte) (scaling.Policy, error) { return p, nil }
		first := time.Now()
		w.start()
		for i := range 4 {
			w.numbers.set("web", float64(31+i))
			w.round()
		}
		var got []string
		for _, m := range past[len(past)-1] {
			got = append(got, fmt.Sprintf("%s %d %v", m.Time.Sub(first), m.SpecReplicas, m.Values))
		}
		if diff := cmp.Diff([]string{"15s 3 [31]", "30s 3 [32]", "45s 3 [33]"}, got); diff != "" {
			t.Errorf("the past at the last evaluation (-want +got):\n%s", diff)
		}
		if len(past[0]) != 0 {
			t.Errorf("the first evaluation has a past: %v", past[0])
		}
	}, edited("web", byPolicy("Own")))
}

type rememberer struct {
	policyFunc
	memory time.Duration
}

func (r rememberer) Memory() time.Duration { return r.memory }

// TestAThousandObjectsInOneRound has them decided on at the same time, with the
// race detector watching.
func TestAThousandObjectsInOneRound(t *testing.T) {
	const n = 1000
	var list []*v1alpha1.WorkloadAutoscaler
	for i := range n {
		wa := autoscaler(fmt.Sprintf("web-%03d", i))
		if i%3 == 0 {
			custom("Own")(&wa.Spec)
		}
		list = append(list, wa)
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Sources["Own"] = sourceFunc{"Own", func(_ context.Context, queries []source.Query, answer func(int, scaling.Metric)) {
			var all sync.WaitGroup
			for i := range queries {
				all.Go(func() { answer(i, scaling.Metric{Value: 60}) })
			}
			all.Wait()
		}}
		for i := range n {
			w.numbers.set(list[i].Name, 50)
			w.fleet.remote[list[i].Name] = i%10 == 0
		}
		w.start()
		w.pass(time.Second)
		var wrong []string
		for i := range n {
			want := int32(5)
			if i%3 == 0 {
				want = 6
			}
			name := list[i].Name
			if s := w.status(name); w.fleet.get(name) != want || s.LastDecision == nil || s.LastDecision.Applied != want {
				wrong = append(wrong, name)
			}
		}
		if len(wrong) > 0 {
			t.Errorf("%d of %d objects were not scaled, %s the first", len(wrong), n, wrong[0])
		}
		if got := w.objects.wrote(); got != n {
			t.Errorf("%d status writes, want %d", got, n)
		}
		w.round()
		if got := w.fleet.done(); len(got) != n {
			t.Errorf("%d changes of replicas after two rounds, want %d", len(got), n)
		}
	}, list...)
}
