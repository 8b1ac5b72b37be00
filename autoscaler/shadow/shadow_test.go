package shadow_test

import (
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/shadow"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

var update = flag.Bool("update", false, "rewrite testdata with what comes out; read the diff")

// clock is a clock that is set by hand.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) table() *shadow.Table {
	return shadow.NewTable(convert, func() time.Time { return c.now })
}

// convert refuses more than 100 replicas.
func convert(hpa *autoscalingv2.HorizontalPodAutoscaler) (*v1alpha1.WorkloadAutoscaler, field.ErrorList) {
	if hpa.Spec.MaxReplicas > 100 {
		return nil, field.ErrorList{field.Invalid(field.NewPath("spec", "maxReplicas"), hpa.Spec.MaxReplicas, "must be at most 100")}
	}
	ref := hpa.Spec.ScaleTargetRef
	return &v1alpha1.WorkloadAutoscaler{Spec: v1alpha1.WorkloadAutoscalerSpec{
		ScaleTargetRef: v1alpha1.ScaleTargetRef{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name}, MaxReplicas: hpa.Spec.MaxReplicas,
	}}, nil
}

// hpa has so many replicas and wants so many.
func hpa(name string, current, desired int32) *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}, MaxReplicas: 20,
		},
		Status: autoscalingv2.HorizontalPodAutoscalerStatus{CurrentReplicas: current, DesiredReplicas: desired},
	}
}

func refused(name string) *autoscalingv2.HorizontalPodAutoscaler {
	h := hpa(name, 1, 1)
	h.Spec.MaxReplicas = 101
	return h
}

func keyOf(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "shop", Name: name}
}

// decided is the status after a decision on so many replicas.
func decided(replicas int32) v1alpha1.WorkloadAutoscalerStatus {
	return v1alpha1.WorkloadAutoscalerStatus{
		DesiredReplicas: replicas,
		Metrics:         []v1alpha1.MetricStatus{{Name: "cpu", Proposal: &replicas, Reason: "AboveTarget"}},
		LastDecision:    &v1alpha1.Decision{Time: metav1.NewTime(newClock().now), Raw: replicas, Stabilized: replicas, Limited: replicas, Applied: 3, SelectedMetric: "cpu", Reason: "AboveTarget", Message: "cpu asks"},
		Conditions:      []metav1.Condition{{Type: "Ready", Status: metav1.ConditionTrue, Reason: "AboveTarget"}},
	}
}

// failed is the status after an evaluation without a decision.
func failed() v1alpha1.WorkloadAutoscalerStatus {
	return v1alpha1.WorkloadAutoscalerStatus{Conditions: []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: "FailedGetScale", Message: "no such thing"}}}
}

// filled is a table with a row of every kind.
func filled() *shadow.Table {
	c := newClock()
	table := c.table()
	for _, h := range []*autoscalingv2.HorizontalPodAutoscaler{hpa("same", 3, 5), hpa("other", 3, 4), hpa("new", 2, 2), hpa("broken", 2, 2), refused("huge")} {
		table.Set(h)
	}
	c.now = c.now.Add(15 * time.Second)
	table.Observe(keyOf("same"), decided(5))
	table.Observe(keyOf("other"), decided(6))
	table.Observe(keyOf("broken"), failed())
	return table
}

func TestServesTheRowsAsJSON(t *testing.T) {
	table := filled()
	for name, file := range map[string]string{"/shadow": "testdata/rows.json", "/shadow?differs=true": "testdata/differs.json"} {
		response := httptest.NewRecorder()
		table.ServeHTTP(response, httptest.NewRequest(http.MethodGet, name, nil))
		if response.Code != http.StatusOK || response.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s", name, response.Code, response.Header().Get("Content-Type"))
		}
		if *update {
			if err := os.WriteFile(file, response.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), response.Body.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	response := httptest.NewRecorder()
	table.ServeHTTP(response, httptest.NewRequest(http.MethodPost, "/shadow", nil))
	if response.Code != http.StatusMethodNotAllowed {
		t.Errorf("a POST is answered with %d", response.Code)
	}
}

func TestAnEmptyTableIsAnEmptyList(t *testing.T) {
	response := httptest.NewRecorder()
	newClock().table().ServeHTTP(response, httptest.NewRequest(http.MethodGet, "/shadow", nil))
	if got := strings.TrimSpace(response.Body.String()); got != "[]" {
		t.Errorf("%s, want []", got)
	}
}

func TestExportsOneSeriesOfEachKindForEachRow(t *testing.T) {
	table := filled()
	want := `
# HELP plimsoll_autoscaler_shadow_differs 1 if what would be decided differs from what the HorizontalPodAutoscaler decided.
# TYPE plimsoll_autoscaler_shadow_differs gauge
plimsoll_autoscaler_shadow_differs{name="broken",namespace="shop"} 0
plimsoll_autoscaler_shadow_differs{name="huge",namespace="shop"} 0
plimsoll_autoscaler_shadow_differs{name="new",namespace="shop"} 0
plimsoll_autoscaler_shadow_differs{name="other",namespace="shop"} 1
plimsoll_autoscaler_shadow_differs{name="same",namespace="shop"} 0
`
	if err := testutil.CollectAndCompare(table, strings.NewReader(want), "plimsoll_autoscaler_shadow_differs"); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.CollectAndLint(table); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
	if n := testutil.CollectAndCount(table); n != 15 {
		t.Errorf("%d series, want 3 for each of 5 rows", n)
	}
}

func TestWhatIsEvaluatedRecommendsOnly(t *testing.T) {
	table := filled()
	var names []string
	for _, key := range table.Keys() {
		wa, found := table.Get(key)
		if !found {
			t.Errorf("%s is a key without an object", key)
			continue
		}
		names = append(names, wa.Name)
		if wa.Spec.Mode != v1alpha1.ModeRecommend || wa.Namespace != "shop" || string(wa.UID) != wa.Name || wa.Generation == 0 {
			t.Errorf("%s: mode %s, namespace %s, UID %s, generation %d", wa.Name, wa.Spec.Mode, wa.Namespace, wa.UID, wa.Generation)
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"broken", "new", "other", "same"}, names); diff != "" {
		t.Errorf("evaluated (-want +got):\n%s", diff)
	}
	if _, found := table.Get(keyOf("huge")); found {
		t.Error("one that cannot be converted is evaluated")
	}
}

func TestSetReportsAChangedSpec(t *testing.T) {
	table := newClock().table()
	changed := hpa("web", 3, 3)
	changed.Spec.MaxReplicas = 30
	for _, step := range []struct {
		what string
		hpa  *autoscalingv2.HorizontalPodAutoscaler
		want bool
	}{
		{"a new one", hpa("web", 3, 3), true},
		{"another status", hpa("web", 3, 5), false},
		{"another spec", changed, true},
		{"the same spec", changed, false},
		{"one that cannot be converted", refused("web"), false},
		{"one that can again", changed, true},
	} {
		if got := table.Set(step.hpa); got != step.want {
			t.Errorf("%s: changed %t, want %t", step.what, got, step.want)
		}
	}
}

func row(t *testing.T, table *shadow.Table, name string) shadow.Row {
	t.Helper()
	for _, r := range table.Rows() {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no row %s", name)
	return shadow.Row{}
}

func TestSinceIsWhenTheNumbersBeganToDifferOrAgree(t *testing.T) {
	c := newClock()
	table, began := c.table(), c.now
	for _, step := range []struct {
		what    string
		do      func()
		differs bool
		since   time.Duration
	}{
		{"nothing is decided yet", func() { table.Set(hpa("web", 3, 3)) }, false, 0},
		{"the same is decided", func() { table.Observe(keyOf("web"), decided(3)) }, false, 0},
		{"another number is decided", func() { table.Observe(keyOf("web"), decided(5)) }, true, 2 * time.Minute},
		{"yet another", func() { table.Observe(keyOf("web"), decided(6)) }, true, 2 * time.Minute},
		{"the HPA follows", func() { table.Set(hpa("web", 3, 6)) }, false, 4 * time.Minute},
		{"its status changes in nothing that matters", func() { table.Set(hpa("web", 6, 6)) }, false, 4 * time.Minute},
		{"it differs again", func() { table.Set(hpa("web", 6, 7)) }, true, 6 * time.Minute},
		{"it can no longer be converted", func() { table.Set(refused("web")) }, false, 7 * time.Minute},
	} {
		step.do()
		if r := row(t, table, "web"); r.Differs != step.differs || r.Since.Sub(began) != step.since {
			t.Errorf("%s: differs %t since %s, want %t since %s", step.what, r.Differs, r.Since.Sub(began), step.differs, step.since)
		}
		c.now = c.now.Add(time.Minute)
	}
}

func TestAProblemStaysUntilItIsOver(t *testing.T) {
	table := newClock().table()
	for _, step := range []struct {
		what, want string
		do         func()
	}{
		{"at first", "", func() { table.Set(hpa("web", 3, 3)) }},
		{"it could not be evaluated", "FailedGetScale: no such thing", func() { table.Observe(keyOf("web"), failed()) }},
		{"the HPA writes its status", "FailedGetScale: no such thing", func() { table.Set(hpa("web", 3, 4)) }},
		{"it was evaluated", "", func() { table.Observe(keyOf("web"), decided(3)) }},
		{"it cannot be converted", "spec.maxReplicas: Invalid value: 101: must be at most 100", func() { table.Set(refused("web")) }},
		{"an evaluation that was under way ends", "spec.maxReplicas: Invalid value: 101: must be at most 100", func() { table.Observe(keyOf("web"), decided(5)) }},
		{"it can again", "", func() { table.Set(hpa("web", 3, 4)) }},
	} {
		step.do()
		if got := row(t, table, "web").Problem; got != step.want {
			t.Errorf("%s: problem %q, want %q", step.what, got, step.want)
		}
	}
}

func TestWhatIsGoneIsForgotten(t *testing.T) {
	table := newClock().table()
	table.Set(hpa("web", 3, 3))
	table.Remove(keyOf("web"))
	table.Observe(keyOf("web"), decided(5)) // of an evaluation that was under way
	if rows := table.Rows(); len(rows) != 0 {
		t.Errorf("rows %v", rows)
	}
	if keys := table.Keys(); len(keys) != 0 {
		t.Errorf("keys %v", keys)
	}
}

// TestReadersAndWritersAtOnce is for the race detector.
func TestReadersAndWritersAtOnce(t *testing.T) {
	table := newClock().table()
	var all sync.WaitGroup
	for _, do := range []func(n int32){
		func(n int32) { table.Set(hpa("web", 3, n)) },
		func(n int32) { table.Observe(keyOf("web"), decided(n)) },
		func(int32) { table.Rows() },
		func(int32) { testutil.CollectAndCount(table) },
		func(int32) { table.Get(keyOf("web")) },
	} {
		all.Go(func() {
			for n := range int32(100) {
				do(n)
			}
		})
	}
	all.Wait()
	if len(table.Rows()) != 1 {
		t.Errorf("rows %v, want one", table.Rows())
	}
}
