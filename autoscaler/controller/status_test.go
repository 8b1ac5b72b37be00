package controller_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// situation is one that an object may be in, and what is said of it.
type situation struct {
	edit       func(spec *v1alpha1.WorkloadAutoscalerSpec)
	breaks     func(w *world)
	conditions []string
	// event is that of two evaluations together; those of replicas that change are
	// another test's.
	event string
}

func situations() map[string]situation {
	zero, seconds := int32(0), int32(600)
	none := autoscalingv2.DisabledPolicySelect
	rate := func(value int32) *autoscalingv2.HPAScalingRules {
		return &autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: value, PeriodSeconds: 60}}}
	}
	load := func(rps float64) func(*world) { return func(w *world) { w.numbers.set("web", rps) } }
	return map[string]situation{
		"all is well": {
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True WithinTolerance", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"an invalid spec, with the field's path": {
			edit:       func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Metrics[0].Prometheus.Query = "" },
			conditions: []string{"Degraded=True InvalidSpec", "Paused=False Auto", "Ready=False InvalidSpec"},
			event:      "Warning InvalidSpec spec.metrics[0].prometheus.query: Required value: a PromQL expression",
		},
		"a workload that does not exist": {
			breaks:     func(w *world) { w.fleet.remove("web") },
			conditions: []string{"AbleToScale=False FailedGetScale", "Degraded=True FailedGetScale", "Paused=False Auto", "Ready=False FailedGetScale"},
			event:      `Warning FailedGetScale spec.scaleTargetRef: deployments.apps "web" not found`,
		},
		"a scale without selector": {
			breaks:     func(w *world) { w.fleet.noLabels["web"] = true },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=True InvalidSelector", "Paused=False Auto", "Ready=False InvalidSelector", "ScalingActive=False InvalidSelector"},
			event:      "Warning InvalidSelector the scale of the target has no selector",
		},
		"a workload set to 0 by hand": {
			breaks:     func(w *world) { w.fleet.set("web", 0) },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=False ScalingDisabled", "ScalingActive=False ScalingDisabled", "ScalingLimited=False DesiredWithinRange"},
		},
		"a metric that is unknown": {
			breaks:     func(w *world) { w.numbers.lose("web") },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=True FailedGetPrometheusMetric", "Paused=False Auto", "Ready=False FailedGetPrometheusMetric", "ScalingActive=False FailedGetPrometheusMetric", "ScalingLimited=False DesiredWithinRange"},
			event:      "Warning FailedGetPrometheusMetric rps: NoData: the query has no result\nWarning FailedComputeMetricsReplicas no metric is known; rps: the query has no result",
		},
		"an optional metric that is unknown": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Metrics = append(spec.Metrics, *spec.Metrics[0].DeepCopy())
				spec.Metrics[1].Optional, spec.Metrics[1].Prometheus.Name, spec.Metrics[1].Prometheus.Query = true, "extra", "lost"
			},
			breaks:     func(w *world) { w.numbers.lose("lost") },
			event:      "Warning FailedGetPrometheusMetric extra: NoData: the query has no result",
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=True FailedGetPrometheusMetric", "Paused=False Auto", "Ready=True WithinTolerance", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"metrics unknown for so long that it fell back": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Fallback = &v1alpha1.Fallback{AfterSeconds: &zero}
			},
			breaks:     func(w *world) { w.numbers.lose("web") },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=True Fallback", "Paused=False Auto", "Ready=False FailedGetPrometheusMetric", "ScalingActive=False FailedGetPrometheusMetric", "ScalingLimited=False DesiredWithinRange"},
			event:      "Warning Fallback the metrics have been unknown for longer than fallback.afterSeconds; rps: NoData: the query has no result\nWarning FailedComputeMetricsReplicas nothing has been known for 0s, at 3 replicas: no metric is known; rps: the query has no result",
		},
		"another one that scales it": {
			breaks: func(w *world) {
				wa, _ := w.objects.Get(keyOf("web"))
				workload, _, _ := controller.ClaimOf(wa)
				w.config.Rivals.Add(workload, rivals.Claim{Kind: "ScaledObject", Name: "keda"})
			},
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=True AmbiguousTarget", "Paused=False Auto", "Ready=False AmbiguousTarget", "ScalingActive=False AmbiguousTarget", "ScalingLimited=False DesiredWithinRange"},
			event:      "Warning AmbiguousTarget Deployment web is also scaled by ScaledObject keda; nothing is done until only one is left",
		},
		"a policy that fails": {
			edit: byPolicy("Own"),
			breaks: func(w *world) {
				w.own(func(time.Time, scaling.Observation) scaling.Decision { panic("bad") })
			},
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=True PolicyFailed", "Paused=False Auto", "Ready=False PolicyFailed", "ScalingActive=False PolicyFailed"},
			event:      "Warning PolicyFailed policy Own: panic: bad",
		},
		"a policy that knows nothing though all metrics are known": {
			edit: byPolicy("Own"),
			breaks: func(w *world) {
				w.own(func(_ time.Time, o scaling.Observation) scaling.Decision {
					return scaling.Decision{Replicas: o.SpecReplicas, Reason: "Puzzled", Message: "no idea"}
				})
			},
			conditions: []string{"AbleToScale=True SucceededGetScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=False Puzzled", "ScalingActive=False Puzzled", "ScalingLimited=False DesiredWithinRange"},
			event:      "Warning FailedComputeMetricsReplicas no idea",
		},
		"a write that is refused": {
			breaks: func(w *world) {
				load(47)(w)
				w.fleet.hook(nil, func(context.Context, string) error { return errRefused })
			},
			conditions: []string{"AbleToScale=False FailedUpdateScale", "Degraded=True FailedUpdateScale", "Paused=False Auto", "Ready=False FailedUpdateScale", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"more wanted a moment ago": {
			breaks:     load(10),
			conditions: []string{"AbleToScale=True ScaleDownStabilized", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True ScaleDownStabilized", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"fewer wanted a moment ago": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &seconds}}
			},
			breaks:     load(50),
			conditions: []string{"AbleToScale=True ScaleUpStabilized", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True ScaleUpStabilized", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"a rate of scaling out that is used up": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: rate(1)}
			},
			breaks:     load(100),
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True ScaleUpLimit", "ScaledToZero=False NotScaledToZero", "ScalingActive=True ValidMetricFound", "ScalingLimited=True ScaleUpLimit"},
		},
		"no scaling in at all": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{
					ScaleDown: &autoscalingv2.HPAScalingRules{SelectPolicy: &none, StabilizationWindowSeconds: &zero},
				}
			},
			breaks:     load(10),
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True ScaleDownLimit", "ScalingActive=True ValidMetricFound", "ScalingLimited=True ScaleDownLimit"},
		},
		"at the maximum": {
			edit:       func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MaxReplicas = 3 },
			breaks:     load(100),
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True TooManyReplicas", "ScalingActive=True ValidMetricFound", "ScalingLimited=True TooManyReplicas"},
		},
		"at the minimum": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				three := int32(3)
				spec.MinReplicas = &three
				spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &zero}}
			},
			breaks:     load(10),
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True TooFewReplicas", "ScalingActive=True ValidMetricFound", "ScalingLimited=True TooFewReplicas"},
		},
		"scaled in a moment ago, and to 0": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.MinReplicas = &zero },
			breaks: func(w *world) {
				load(0)(w)
				w.config.DownscaleStabilization = 0
			},
			conditions: []string{"AbleToScale=True SucceededRescale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True BelowTarget", "ScaledToZero=True ScaledToZero", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"recommendations only": {
			edit:       func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Mode = v1alpha1.ModeRecommend },
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=True RecommendOnly", "Ready=True WithinTolerance", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"},
		},
		"paused": {
			edit:       func(spec *v1alpha1.WorkloadAutoscalerSpec) { spec.Mode = v1alpha1.ModePaused },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Paused=True Paused", "Ready=True Paused"},
		},
		"a policy without metrics": {
			edit: func(spec *v1alpha1.WorkloadAutoscalerSpec) {
				two, three := int32(2), int32(3)
				spec.Metrics, spec.MinReplicas = nil, &two
				byPolicy("Schedule")(spec)
				spec.Schedules = []v1alpha1.Schedule{{Name: "always", Start: "0 * * * *", End: "59 * * * *", MinReplicas: &three}}
			},
			conditions: []string{"AbleToScale=True ReadyForNewScale", "Degraded=False AsExpected", "Paused=False Auto", "Ready=True FloorOfTheMoment", "ScalingActive=True FloorOfTheMoment", "ScalingLimited=False DesiredWithinRange"},
		},
	}
}

func TestEachSituationIsReportedOnceAndInConditions(t *testing.T) {
	for name, c := range situations() {
		t.Run(name, func(t *testing.T) {
			wa := autoscaler("web")
			if c.edit != nil {
				c.edit(&wa.Spec)
			}
			inWorld(t, func(t *testing.T, w *world) {
				if c.breaks != nil {
					c.breaks(w)
				}
				w.start()
				w.round()
				if diff := cmp.Diff(c.conditions, w.conditions("web")); diff != "" {
					t.Errorf("conditions (-want +got):\n%s", diff)
				}
				var want []string
				if c.event != "" {
					want = strings.Split(c.event, "\n")
				}
				isRescale := func(note string) bool { return strings.Contains(note, "Rescale New size") }
				if diff := cmp.Diff(want, slices.DeleteFunc(w.happened(), isRescale), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("events of two evaluations (-want +got):\n%s", diff)
				}
				for _, condition := range w.status("web").Conditions {
					if condition.Message == "" || condition.LastTransitionTime.IsZero() || condition.ObservedGeneration != 7 {
						t.Errorf("condition %+v is not complete", condition)
					}
				}
				// What is over is over.
				w.objects.edit("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) { *spec = autoscaler("web").Spec })
				w.fleet.set("web", 3)
				w.fleet.hook(nil, nil)
				w.numbers.set("web", 30)
				wa, _ := w.objects.Get(keyOf("web"))
				workload, _, _ := controller.ClaimOf(wa)
				w.config.Rivals.Remove(workload, rivals.Claim{Kind: "ScaledObject", Name: "keda"})
				w.fleet.mend()
				w.round()
				for condition, want := range map[string]string{"Ready": "True", "Degraded": "False", "Paused": "False", "AbleToScale": "True", "ScalingActive": "True"} {
					if c := meta.FindStatusCondition(w.status("web").Conditions, condition); c == nil || string(c.Status) != want {
						t.Errorf("when all is well again %s is %v, want %s", condition, c, want)
					}
				}
			}, wa)
		})
	}
}

// TestEveryReasonIsReached compares the reasons that package controller has with
// those that some situation leads to.
func TestEveryReasonIsReached(t *testing.T) {
	reached := map[string]bool{}
	for _, c := range situations() {
		for _, text := range c.conditions {
			reached[text[strings.LastIndex(text, " ")+1:]] = true
		}
	}
	reasons := constants(t, "status.go", "Reason")
	if len(reasons) < 10 {
		t.Fatalf("only %d reasons found: %v", len(reasons), reasons)
	}
	for _, reason := range reasons {
		if !reached[reason] {
			t.Errorf("no situation has the reason %s", reason)
		}
	}
}

// constants are the values of a file's string constants whose names begin so.
func constants(t *testing.T, file, prefix string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, isSpec := n.(*ast.ValueSpec)
		if !isSpec || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		if literal, isLiteral := spec.Values[0].(*ast.BasicLit); isLiteral && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}

func TestAConditionKeepsTheTimeOfItsLastTransition(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		at := func() time.Time {
			return meta.FindStatusCondition(w.status("web").Conditions, "ScalingActive").LastTransitionTime.Time
		}
		first := at()
		w.round()
		if got := at(); !got.Equal(first) {
			t.Errorf("the transition moved from %s to %s", first, got)
		}
		w.numbers.lose("web")
		w.round()
		if got, want := at(), first.Add(2*period); !got.Equal(want) {
			t.Errorf("the transition is at %s, want %s", got, want)
		}
	}, autoscaler("web"))
}

func TestTheDecisionKeepsTheTimeOfItsFirstEvaluation(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.StatusRefresh = 0
		w.start()
		first := w.status("web").LastDecision
		w.numbers.set("web", 31)
		w.round()
		second := w.status("web").LastDecision
		if !second.Time.Equal(&first.Time) || second.Message == first.Message {
			t.Errorf("with the same outcome and other figures the decision is of %s, %q; want %s and another message than %q",
				second.Time, second.Message, first.Time, first.Message)
		}
		w.numbers.set("web", 47)
		w.round()
		if third := w.status("web").LastDecision; third.Time.Sub(first.Time.Time) != 2*period {
			t.Errorf("another outcome is of %s, want two periods after %s", third.Time, first.Time)
		}
	}, autoscaler("web"))
}
