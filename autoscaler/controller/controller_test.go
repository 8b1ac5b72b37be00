package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	scalefake "k8s.io/client-go/scale/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const period = 15 * time.Second

// world is a cluster with its Deployments, as far as the controller sees it.
type world struct {
	t      *testing.T
	now    time.Time
	step   time.Duration // from one evaluation to the next; a period if not set otherwise
	client client.Client
	scales map[string]*autoscalingv1.Scale // by name, in namespace shop
	// onUpdate sees every write of a scale before it is done.
	onUpdate func(*autoscalingv1.Scale) error
	// answer is what the Prometheus source reads.
	answer       scaling.Metric
	events       *events.FakeRecorder
	registry     *prometheus.Registry
	metrics      *controller.Metrics
	statusWrites int
	// onStatus sees every write of a status before it is done.
	onStatus   func() error
	controller *controller.Reconciler
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), step: period, scales: map[string]*autoscalingv1.Scale{},
		events: events.NewFakeRecorder(100), registry: prometheus.NewRegistry(),
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).WithStatusSubresource(&v1alpha1.WorkloadAutoscaler{}).
		WithInterceptorFuncs(interceptor.Funcs{SubResourceUpdate: w.writeStatus}).Build()
	var err error
	if w.metrics, err = controller.NewMetrics(w.registry); err != nil {
		t.Fatal(err)
	}
	w.start()
	return w
}

// start replaces the controller by a new one, as a restart does.
func (w *world) start() {
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	scales := &scalefake.FakeScaleClient{}
	scales.AddReactor("get", "deployments", w.getScale)
	scales.AddReactor("update", "deployments", w.updateScale)
	w.controller = controller.New(controller.Config{
		Client: w.client, Live: w.client, Mapper: mapper, Scales: scales,
		Sources: map[v1alpha1.MetricSourceType]source.Source{v1alpha1.PrometheusMetricSourceType: w},
		Policy:  target.New(target.DefaultConfig()),
		Events:  w.events, Metrics: w.metrics, Period: period, Now: func() time.Time { return w.now },
	})
}

func (w *world) getScale(action ktesting.Action) (bool, runtime.Object, error) {
	name := action.(ktesting.GetAction).GetName()
	s, found := w.scales[name]
	if !found {
		return true, nil, apierrors.NewNotFound(schema.GroupResource{Group: "apps", Resource: "deployments"}, name)
	}
	return true, s.DeepCopy(), nil
}

func (w *world) updateScale(action ktesting.Action) (bool, runtime.Object, error) {
	s := action.(ktesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
	if w.onUpdate != nil {
		if err := w.onUpdate(s); err != nil {
			return true, nil, err
		}
	}
	s.Status.Replicas = s.Spec.Replicas
	w.scales[s.Name] = s
	return true, s, nil
}

func (w *world) writeStatus(ctx context.Context, c client.Client, subresource string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	w.statusWrites++
	if w.onStatus != nil {
		if err := w.onStatus(); err != nil {
			return err
		}
	}
	return c.SubResource(subresource).Update(ctx, obj, opts...)
}

// Type and Read make the world a source of metrics.
func (w *world) Type() v1alpha1.MetricSourceType { return v1alpha1.PrometheusMetricSourceType }

func (w *world) Read(context.Context, source.Query) scaling.Metric { return w.answer }

func (w *world) deployment(name string, replicas int32) {
	w.scales[name] = &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: replicas, Selector: "app=" + name},
	}
}

// evaluate has the controller evaluate an object once, and moves on by a step.
func (w *world) evaluate(name string) *v1alpha1.WorkloadAutoscaler {
	w.t.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: name}
	result, err := w.controller.Reconcile(context.Background(), reconcile.Request{NamespacedName: key})
	if err != nil {
		w.t.Fatalf("Reconcile: %v", err)
	}
	if result.RequeueAfter != period {
		w.t.Errorf("next evaluation after %s, want %s", result.RequeueAfter, period)
	}
	w.now = w.now.Add(w.step)
	var wa v1alpha1.WorkloadAutoscaler
	if err := w.client.Get(context.Background(), key, &wa); err != nil {
		w.t.Fatal(err)
	}
	return &wa
}

// happened returns the events since the last call.
func (w *world) happened() []string {
	var notes []string
	for len(w.events.Events) > 0 {
		notes = append(notes, <-w.events.Events)
	}
	return notes
}

// autoscaler wants ten requests a second of each replica of the Deployment of
// the same name.
func autoscaler(name string) *v1alpha1.WorkloadAutoscaler {
	ten, two := resource.MustParse("10"), int32(2)
	return &v1alpha1.WorkloadAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Generation: 7},
		Spec: v1alpha1.WorkloadAutoscalerSpec{
			ScaleTargetRef: v1alpha1.ScaleTargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
			MinReplicas:    &two, MaxReplicas: 20,
			Metrics: []v1alpha1.MetricSpec{{Type: v1alpha1.PrometheusMetricSourceType, Prometheus: &v1alpha1.PrometheusMetricSource{
				Name: "rps", Query: "rps", Target: v1alpha1.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: &ten},
			}}},
		},
	}
}

func pod(name, app string) *corev1.Pod {
	long := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"app": app}},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &long,
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: long}},
		},
	}
}

// summary is a status' conditions as text.
func summary(wa *v1alpha1.WorkloadAutoscaler) []string {
	var lines []string
	for _, c := range wa.Status.Conditions {
		lines = append(lines, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	slices.Sort(lines)
	return lines
}

func TestScalingOutIsWrittenToScaleStatusAndEvents(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 47}
	at := w.now
	wa := w.evaluate("web")

	if got := w.scales["web"].Spec.Replicas; got != 5 {
		t.Errorf("the scale has %d replicas, want 5", got)
	}
	message := "rps: 47 at target 10 per replica with 3 replicas asks for 5"
	if diff := cmp.Diff([]string{"Normal SuccessfulRescale New size: 5 (was 3); reason: " + message}, w.happened()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"AbleToScale=True SucceededRescale", "Ready=True AboveTarget", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"}, summary(wa)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	got := wa.Status
	got.Conditions = nil
	time, proposal, current := metav1.NewTime(at), int32(5), resource.MustParse("15667m")
	want := v1alpha1.WorkloadAutoscalerStatus{
		ObservedGeneration: 7, LastScaleTime: &time, CurrentReplicas: 3, DesiredReplicas: 5,
		Metrics: []v1alpha1.MetricStatus{{
			Name: "rps", Proposal: &proposal, Reason: target.ReasonAbove, Message: strings.TrimPrefix(message, "rps: "),
			Current: &autoscalingv2.MetricValueStatus{AverageValue: &current},
		}},
		LastDecision: &v1alpha1.Decision{Time: time, Raw: 5, Stabilized: 5, Limited: 5, Applied: 5, SelectedMetric: "rps", Reason: target.ReasonAbove, Message: message},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestStatusIsWrittenOnlyWhenChanged(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 30}
	for range 5 {
		w.evaluate("web")
	}
	if w.statusWrites != 1 {
		t.Errorf("%d status writes for one status", w.statusWrites)
	}
	w.answer.Value = 31
	w.evaluate("web")
	if w.statusWrites != 2 {
		t.Errorf("%d status writes after a metric changed, want 2", w.statusWrites)
	}
}

func TestAConflictingStatusWriteIsTriedAgain(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 30}
	w.onStatus = func() error {
		w.onStatus = nil
		return apierrors.NewConflict(schema.GroupResource{}, "web", errors.New("changed"))
	}
	if wa := w.evaluate("web"); wa.Status.DesiredReplicas != 3 || w.statusWrites != 2 {
		t.Errorf("desired %d after %d writes, want 3 after 2", wa.Status.DesiredReplicas, w.statusWrites)
	}
}

func TestProblemsAreReportedOnceAndInConditions(t *testing.T) {
	invalid := func(wa *v1alpha1.WorkloadAutoscaler) { *wa.Spec.MinReplicas = 0 }
	for name, c := range map[string]struct {
		edit       func(*v1alpha1.WorkloadAutoscaler)
		breaks     func(*world)
		conditions []string
		event      string
	}{
		"an invalid spec, with the field's path": {
			edit:       invalid,
			conditions: []string{"Ready=False InvalidSpec"},
			event:      "Warning InvalidSpec spec.minReplicas: Invalid value: 0: must be 1 or more; scaling to zero is not supported yet",
		},
		"a kind that does not exist": {
			edit:       func(wa *v1alpha1.WorkloadAutoscaler) { wa.Spec.ScaleTargetRef.Kind = "Deploiment" },
			conditions: []string{"AbleToScale=False FailedGetScale", "Ready=False FailedGetScale"},
			event:      `Warning FailedGetScale spec.scaleTargetRef: no matches for kind "Deploiment" in version "apps/v1"`,
		},
		"a workload that does not exist": {
			breaks:     func(w *world) { delete(w.scales, "web") },
			conditions: []string{"AbleToScale=False FailedGetScale", "Ready=False FailedGetScale"},
			event:      `Warning FailedGetScale spec.scaleTargetRef: read the scale of Deployment web: deployments.apps "web" not found`,
		},
		"a scale without selector": {
			breaks:     func(w *world) { w.scales["web"].Status.Selector = "" },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Ready=False InvalidSelector", "ScalingActive=False InvalidSelector"},
			event:      "Warning InvalidSelector the scale of the target has no selector",
		},
		"a metric that is unknown": {
			breaks:     func(w *world) { w.answer = source.Unknown(scaling.ReasonNoData, "the query has no result") },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Ready=False FailedGetPrometheusMetric", "ScalingActive=False FailedGetPrometheusMetric", "ScalingLimited=False DesiredWithinRange"},
			event:      "Warning FailedComputeMetricsReplicas no metric is known; rps: the query has no result",
		},
		"a workload set to 0": {
			breaks:     func(w *world) { w.scales["web"].Spec.Replicas = 0 },
			conditions: []string{"AbleToScale=True SucceededGetScale", "Ready=False ScalingDisabled", "ScalingActive=False ScalingDisabled", "ScalingLimited=False DesiredWithinRange"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wa := autoscaler("web")
			if c.edit != nil {
				c.edit(wa)
			}
			w := newWorld(t, wa, autoscaler("other"), pod("web-1", "web"), pod("other-1", "other"))
			w.deployment("web", 3)
			w.deployment("other", 3)
			w.answer = scaling.Metric{Value: 10}
			if c.breaks != nil {
				c.breaks(w)
			}
			w.evaluate("web")
			got := w.evaluate("web")
			if diff := cmp.Diff(c.conditions, summary(got)); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
			var want []string
			if c.event != "" {
				want = []string{c.event}
			}
			if diff := cmp.Diff(want, w.happened()); diff != "" {
				t.Errorf("events of two evaluations (-want +got):\n%s", diff)
			}
			if s := w.scales["web"]; s != nil && s.Spec.Replicas != 3 && s.Spec.Replicas != 0 {
				t.Errorf("scaled to %d", s.Spec.Replicas)
			}
			w.answer = scaling.Metric{Value: 100}
			if other := w.evaluate("other"); other.Status.DesiredReplicas != 6 {
				t.Errorf("the other object's desired replicas are %d, want 6", other.Status.DesiredReplicas)
			}
		})
	}
}

func conflict() error {
	return apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "web", errors.New("changed"))
}

func TestAConflictingScaleWriteIsTriedAgain(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 47}
	w.onUpdate = func(*autoscalingv1.Scale) error {
		w.onUpdate = nil
		return conflict()
	}
	if wa := w.evaluate("web"); wa.Status.LastDecision.Applied != 5 || w.scales["web"].Spec.Replicas != 5 {
		t.Errorf("applied %d, scale at %d, want 5", wa.Status.LastDecision.Applied, w.scales["web"].Spec.Replicas)
	}
}

func TestAScaleThatSomebodyElseChangedIsNotOverwritten(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 47}
	w.onUpdate = func(*autoscalingv1.Scale) error {
		w.onUpdate = nil
		w.deployment("web", 9)
		return conflict()
	}
	wa := w.evaluate("web")
	if got := w.scales["web"].Spec.Replicas; got != 9 {
		t.Errorf("the scale has %d replicas, want the 9 of somebody else", got)
	}
	if diff := cmp.Diff([]string{"AbleToScale=False FailedUpdateScale", "Ready=False FailedUpdateScale", "ScalingActive=True ValidMetricFound", "ScalingLimited=False DesiredWithinRange"}, summary(wa)); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
	notes := w.happened()
	if len(notes) != 1 || !strings.HasPrefix(notes[0], "Warning FailedRescale New size: 5 (was 3)") {
		t.Errorf("events %q", notes)
	}
	if got := wa.Status.LastDecision; got.Limited != 5 || got.Applied != 3 {
		t.Errorf("limited %d, applied %d, want 5 and 3", got.Limited, got.Applied)
	}
}

func TestARestartDoesNotStepDownEarly(t *testing.T) {
	for name, c := range map[string]struct {
		window, step, late time.Duration
	}{
		"with the default window":                        {5 * time.Minute, period, 2 * period},
		"with evaluations closer than times in a status": {2 * time.Second, 300 * time.Millisecond, 1500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			wa, seconds := autoscaler("web"), int32(c.window/time.Second)
			wa.Spec.Behavior = &v1alpha1.Behavior{ScaleDown: &v1alpha1.ScalingRules{StabilizationWindowSeconds: &seconds}}
			w := newWorld(t, wa, pod("web-1", "web"))
			w.now, w.step = w.now.Add(650*time.Millisecond), c.step
			w.deployment("web", 10)
			w.answer = scaling.Metric{Value: 100}
			peak := w.now
			w.evaluate("web")
			w.answer.Value = 30
			for range 60 {
				w.evaluate("web")
				at := w.now.Add(-w.step)
				if w.scales["web"].Spec.Replicas == 10 {
					w.start()
					continue
				}
				if after := at.Sub(peak); after < c.window || after > c.window+c.late {
					t.Errorf("stepped down %s after the peak, want %s to %s", after, c.window, c.window+c.late)
				}
				return
			}
			t.Error("never stepped down")
		})
	}
}

func TestAnObjectCreatedAnewDoesNotInheritHistory(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 10)
	w.answer = scaling.Metric{Value: 100}
	old := w.evaluate("web")
	if err := w.client.Delete(context.Background(), old); err != nil {
		t.Fatal(err)
	}
	anew := autoscaler("web") // before the controller has seen it deleted
	anew.UID = "another"
	if err := w.client.Create(context.Background(), anew); err != nil {
		t.Fatal(err)
	}
	w.deployment("web", 5)
	w.answer.Value = 30
	if d := w.evaluate("web").Status.LastDecision; d.Stabilized != 5 || !slices.Equal(d.Constraints, []string{"ScaleDownStabilized"}) {
		t.Errorf("stabilized at %d by %v, want at its own 5", d.Stabilized, d.Constraints)
	}
	w.deployment("web", 12)
	if d := w.evaluate("web").Status.LastDecision; d.Stabilized != 5 {
		t.Errorf("stabilized at %d, want at its own 5, not at its predecessor's 10", d.Stabilized)
	}
}

func TestADeletedObjectIsForgotten(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	w.answer = scaling.Metric{Value: 30}
	wa := w.evaluate("web")
	if n := testutil.CollectAndCount(w.registry, "plimsoll_autoscaler_desired_replicas"); n != 1 {
		t.Fatalf("%d series of desired replicas, want 1", n)
	}
	if err := w.client.Delete(context.Background(), wa); err != nil {
		t.Fatal(err)
	}
	result, err := w.controller.Reconcile(context.Background(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(wa)})
	if err != nil || result != (reconcile.Result{}) {
		t.Errorf("result %+v, error %v, want to hear no more of it", result, err)
	}
	if n := testutil.CollectAndCount(w.registry, "plimsoll_autoscaler_desired_replicas"); n != 0 {
		t.Errorf("%d series of desired replicas after deletion", n)
	}
}

func TestEvaluationsAreCountedByResult(t *testing.T) {
	w := newWorld(t, autoscaler("web"), pod("web-1", "web"))
	w.deployment("web", 3)
	for _, m := range []scaling.Metric{{Value: 47}, {Value: 50}, source.Unknown(scaling.ReasonNoData, "none")} {
		w.answer = m
		w.evaluate("web")
	}
	delete(w.scales, "web")
	w.evaluate("web")
	want := `
# HELP plimsoll_autoscaler_evaluations_total Evaluations of WorkloadAutoscalers by result: scaled_out, scaled_in, unchanged, unknown, failed.
# TYPE plimsoll_autoscaler_evaluations_total counter
plimsoll_autoscaler_evaluations_total{result="failed"} 1
plimsoll_autoscaler_evaluations_total{result="scaled_out"} 1
plimsoll_autoscaler_evaluations_total{result="unchanged"} 1
plimsoll_autoscaler_evaluations_total{result="unknown"} 1
`
	if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "plimsoll_autoscaler_evaluations_total"); err != nil {
		t.Error(err)
	}
}
