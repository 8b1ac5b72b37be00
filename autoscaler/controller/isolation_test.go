package controller_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// TestWhatIsBrokenHarmsNobodyElse breaks one object's source, policy or workload in
// each way there is. The other object is decided on in the same moment, and again
// in the next round; the broken one says why it is not.
func TestWhatIsBrokenHarmsNobodyElse(t *testing.T) {
	own := custom("Own")
	for name, c := range map[string]struct {
		edit   func(*v1alpha1.WorkloadAutoscalerSpec)
		breaks func(w *world)
		// after is how long it takes until the broken object is reported.
		after   time.Duration
		reason  string
		message string
	}{
		"a source that hangs until it is told to stop": {
			edit: own, breaks: reads(func(ctx context.Context, _ []source.Query, _ func(int, scaling.Metric)) { <-ctx.Done() }),
			after: 15 * time.Second, reason: "FailedGetCustomMetric", message: "own: Unreadable: the source did not answer",
		},
		"a source that never answers": {
			edit: own, breaks: reads(func(context.Context, []source.Query, func(int, scaling.Metric)) {}),
			reason: "FailedGetCustomMetric", message: "own: Unreadable: the source did not answer",
		},
		"a source that panics": {
			edit: own, breaks: reads(func(context.Context, []source.Query, func(int, scaling.Metric)) { panic("bad source") }),
			reason: "FailedGetCustomMetric", message: "own: Unreadable: panic: bad source",
		},
		"a source that answers a query it was not asked": {
			edit: own, breaks: reads(func(_ context.Context, _ []source.Query, answer func(int, scaling.Metric)) {
				answer(7, scaling.Metric{})
			}),
			reason: "FailedGetCustomMetric", message: "own: Unreadable: panic: ",
		},
		"a source that does not exist": {
			edit: own, breaks: func(*world) {},
			reason: "FailedGetCustomMetric", message: `own: Unreadable: no source "Own" reads metrics, there are: [Prometheus]`,
		},
		"a policy that panics": {
			edit: byPolicy("Own"), breaks: func(w *world) {
				w.own(func(time.Time, scaling.Observation) scaling.Decision { panic("bad policy") })
			},
			reason: "PolicyFailed", message: "policy Own: panic: bad policy",
		},
		"a policy whose making panics": {
			edit: byPolicy("Own"), breaks: func(w *world) {
				w.config.Policies["Own"] = func([]byte) (scaling.Policy, error) { panic("bad factory") }
			},
			reason: "InvalidSpec", message: "spec.policy.parameters: Invalid value: \"\": panic: bad factory",
		},
		"a policy that does not exist": {
			edit: byPolicy("Own"), breaks: func(*world) {},
			reason: "InvalidSpec", message: `spec.policy.name: Unsupported value: "Own": supported values: "Schedule", "Target", "Watermark"`,
		},
		"an invalid spec": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MaxReplicas = 1 }, breaks: func(*world) {},
			reason: "InvalidSpec", message: "spec.maxReplicas: Invalid value: 1: must be minReplicas (2) or more",
		},
		"a workload that cannot be read in time": {
			breaks: func(w *world) {
				w.fleet.remote["broken"], w.fleet.remote["web"] = true, true
				w.fleet.hook(func(ctx context.Context, name string) error { return hangs(ctx, name) }, nil)
			},
			reason: "FailedGetScale", message: context.DeadlineExceeded.Error(),
		},
		"a workload that cannot be set in time": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MaxReplicas = 2 },
			breaks: func(w *world) {
				w.fleet.hook(nil, func(ctx context.Context, name string) error { return hangs(ctx, name) })
			},
			after: 10 * time.Second, reason: "FailedUpdateScale", message: "write the target's scale: " + context.DeadlineExceeded.Error(),
		},
		"an actuator that panics": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MaxReplicas = 2 },
			breaks: func(w *world) {
				w.fleet.hook(nil, func(_ context.Context, name string) error {
					if name == "broken" {
						panic("bad actuator")
					}
					return nil
				})
			},
			reason: "FailedUpdateScale", message: "write the target's scale: panic: bad actuator",
		},
	} {
		t.Run(name, func(t *testing.T) {
			edit := c.edit
			if edit == nil {
				edit = func(*v1alpha1.WorkloadAutoscalerSpec) {}
			}
			inWorld(t, func(t *testing.T, w *world) {
				w.config.DownscaleStabilization, w.config.Period = 0, 40*time.Second
				c.breaks(w)
				w.numbers.set("web", 47)
				w.start()
				w.pass(allowed)
				if diff := cmp.Diff([]string{"web 3 to 5"}, w.fleet.done()); diff != "" {
					t.Errorf("the other object, scaled (-want +got):\n%s", diff)
				}
				w.pass(c.after)
				degraded := meta.FindStatusCondition(w.status("broken").Conditions, "Degraded")
				if degraded == nil || degraded.Status != "True" || degraded.Reason != c.reason || !strings.Contains(degraded.Message, c.message) {
					t.Errorf("Degraded says %v, want True, %s: %s", degraded, c.reason, c.message)
				}
				if got := w.fleet.get("broken"); got != 3 {
					t.Errorf("the broken one has %d replicas, want 3", got)
				}
				w.numbers.set("web", 61)
				w.pass(w.config.Period - c.after)
				if diff := cmp.Diff([]string{"web 5 to 7"}, w.fleet.done()); diff != "" {
					t.Errorf("the other object in the next round, scaled (-want +got):\n%s", diff)
				}
			}, edited("broken", edit), autoscaler("web"))
		})
	}
}

// allowed is how much one broken object may at most delay another: what reading
// the scales of all workloads that are not mirrored may take.
const allowed = 5 * time.Second

func reads(read func(context.Context, []source.Query, func(int, scaling.Metric))) func(*world) {
	return func(w *world) { w.config.Sources["Own"] = sourceFunc{"Own", read} }
}

func hangs(ctx context.Context, name string) error {
	if name != "broken" {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestOneAnswerCountsAndLateOnesDoNot(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var late func()
		w.config.Sources["Own"] = sourceFunc{"Own", func(_ context.Context, _ []source.Query, answer func(int, scaling.Metric)) {
			answer(0, scaling.Metric{Value: 60})
			answer(0, scaling.Metric{Value: 90})
			late = func() { answer(0, scaling.Metric{Value: 120}) }
		}}
		w.start()
		late()
		w.pass(time.Second)
		if diff := cmp.Diff([]string{"web 3 to 6"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled (-want +got):\n%s", diff)
		}
	}, edited("web", custom("Own")))
}

func TestAnAnswerSaysNothingOfTheTarget(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.numbers.answer("web", scaling.Metric{
			Name: "another", Target: scaling.Target{Type: scaling.Value, Amount: 1}, Optional: true, Activation: 1000, Value: 47,
		})
		w.start()
		if diff := cmp.Diff([]string{"web 3 to 5"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled (-want +got):\n%s", diff)
		}
		if got := w.status("web").Metrics[0].Name; got != "rps" {
			t.Errorf("the metric is called %q, want rps", got)
		}
	}, autoscaler("web"))
}

// TestAnObjectIsDecidedOnAsSoonAsItsOwnMetricsAreThere has one source answer for
// one object after another, with time between.
func TestAnObjectIsDecidedOnAsSoonAsItsOwnMetricsAreThere(t *testing.T) {
	var list []*v1alpha1.WorkloadAutoscaler
	for i := range 4 {
		list = append(list, edited(fmt.Sprintf("web-%d", i), custom("Own")))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Sources["Own"] = sourceFunc{"Own", func(_ context.Context, queries []source.Query, answer func(int, scaling.Metric)) {
			for i := range queries {
				time.Sleep(time.Second)
				answer(i, scaling.Metric{Value: 60})
			}
		}}
		w.start()
		time.Sleep(time.Second / 2)
		for i := range 4 {
			w.pass(time.Second)
			if got := w.fleet.done(); len(got) != 1 {
				t.Errorf("after %d answers, scaled in this second: %v, want one", i+1, got)
			}
		}
	}, list...)
}

func TestStoppingLeavesNoTraceOfWhatItCutShort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Sources["Own"] = sourceFunc{"Own", func(ctx context.Context, _ []source.Query, _ func(int, scaling.Metric)) { <-ctx.Done() }}
		w.fleet.hook(nil, func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return ctx.Err()
		})
		w.numbers.set("web", 47)
		w.start()
		w.pass(time.Second)
		began := time.Now()
		w.stop()
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s to stop", took)
		}
		if n, notes := w.objects.wrote(), w.happened(); n > 0 || len(notes) > 0 {
			t.Errorf("%d statuses written, events %q", n, notes)
		}
	}, autoscaler("web"), edited("hung", custom("Own")))
}

// TestASourceThatDoesNotStopWhenToldHarmsItsOwnObjectsOnly has a source break its
// contract for a while.
func TestASourceThatDoesNotStopWhenToldHarmsItsOwnObjectsOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		deaf := true
		w.config.Sources["Own"] = sourceFunc{"Own", func(_ context.Context, _ []source.Query, answer func(int, scaling.Metric)) {
			if deaf {
				time.Sleep(50 * time.Second)
			}
			deaf = false
			answer(0, scaling.Metric{Value: 60})
		}}
		w.start()
		for i, want := range []string{"web 3 to 5", "web 5 to 7", "web 7 to 10"} {
			w.numbers.set("web", []float64{47, 65, 95}[i])
			w.round()
			if diff := cmp.Diff([]string{want}, w.fleet.done()); diff != "" {
				t.Errorf("the other object, scaled in round %d (-want +got):\n%s", i+1, diff)
			}
		}
		w.pass(2 * period)
		if diff := cmp.Diff([]string{"broken 3 to 6"}, w.fleet.done()); diff != "" {
			t.Errorf("scaled when the source is back (-want +got):\n%s", diff)
		}
	}, edited("broken", custom("Own")), autoscaler("web"))
}
