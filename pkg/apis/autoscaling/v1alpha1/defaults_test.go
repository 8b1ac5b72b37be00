package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

func TestSchemaAndGoHaveTheSameDefaults(t *testing.T) {
	schema := loadSchema(t)
	for name, remove := range map[string][]any{
		"nothing":         at("behavior"),
		"a minimum":       at("minReplicas"),
		"a policy":        at("policy"),
		"a policy's name": at("policy", "name"),
		"a mode":          at("mode"),
		"a selection":     at("podSelection"),
		"a time zone":     at("schedules", 0, "timeZone"),
		"a fallback":      at("fallback"),
		"a delay":         at("fallback", "afterSeconds"),
		"a server's name": at("metrics", promMetric, "prometheus", "serverName"),
		"an empty result": at("metrics", promMetric, "prometheus", "emptyResult"),
	} {
		t.Run("without "+name, func(t *testing.T) {
			object := loadComplete(t)
			apply(t, object, edit{at("behavior"), nil})
			apply(t, object, edit{remove, nil})
			byGo, err := decode(object)
			if err != nil {
				t.Fatal(err)
			}
			v1alpha1.SetDefaults(byGo)
			defaulting.Default(object, schema.structural)
			bySchema, err := decode(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bySchema.Spec, byGo.Spec); diff != "" {
				t.Errorf("(-schema +Go):\n%s", diff)
			}
		})
	}
}

func TestBehaviorHasTheDefaultsOfAutoscalingV2(t *testing.T) {
	up := []autoscalingv2.HPAScalingPolicy{{Type: "Pods", Value: 4, PeriodSeconds: 15}, {Type: "Percent", Value: 100, PeriodSeconds: 15}}
	down := []autoscalingv2.HPAScalingPolicy{{Type: "Percent", Value: 100, PeriodSeconds: 15}}
	maxChange := new(autoscalingv2.MaxChangePolicySelect)
	own := &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: new(int32(60)), SelectPolicy: new(autoscalingv2.DisabledPolicySelect),
		Policies:  []autoscalingv2.HPAScalingPolicy{{Type: "Pods", Value: 1, PeriodSeconds: 60}},
		Tolerance: new(resource.MustParse("0.2")),
	}
	type behavior = autoscalingv2.HorizontalPodAutoscalerBehavior
	for name, c := range map[string]struct{ given, want *behavior }{
		"no behavior stays none": {nil, nil},
		"an empty behavior has all but the window for scaling in": {&behavior{}, &behavior{
			ScaleUp:   &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0)), SelectPolicy: maxChange, Policies: up},
			ScaleDown: &autoscalingv2.HPAScalingRules{SelectPolicy: maxChange, Policies: down},
		}},
		"what is set stays": {&behavior{ScaleUp: own, ScaleDown: own}, &behavior{ScaleUp: own, ScaleDown: own}},
		"policies that are set, and none of them, stay": {
			&behavior{ScaleDown: &autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{}}},
			&behavior{
				ScaleUp:   &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: new(int32(0)), SelectPolicy: maxChange, Policies: up},
				ScaleDown: &autoscalingv2.HPAScalingRules{SelectPolicy: maxChange, Policies: []autoscalingv2.HPAScalingPolicy{}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wa := &v1alpha1.WorkloadAutoscaler{Spec: v1alpha1.WorkloadAutoscalerSpec{Behavior: c.given.DeepCopy()}}
			v1alpha1.SetDefaults(wa)
			if diff := cmp.Diff(c.want, wa.Spec.Behavior); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultsAreSetOnce(t *testing.T) {
	once, err := decode(loadComplete(t))
	if err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(once)
	twice := once.DeepCopy()
	v1alpha1.SetDefaults(twice)
	if diff := cmp.Diff(once, twice); diff != "" {
		t.Errorf("(-once +twice):\n%s", diff)
	}
}

func TestMetricNames(t *testing.T) {
	external := func(name string) v1alpha1.MetricSpec {
		return v1alpha1.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: name}}}
	}
	cpu := v1alpha1.MetricSpec{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "cpu"}}
	container := v1alpha1.MetricSpec{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: "cpu", Container: "app"}}
	pods := v1alpha1.MetricSpec{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "sessions"}}}
	object := v1alpha1.MetricSpec{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "hits"}}}
	query := v1alpha1.MetricSpec{Type: "Prometheus", Prometheus: &v1alpha1.PrometheusMetricSource{}}
	named := v1alpha1.MetricSpec{Type: "Prometheus", Prometheus: &v1alpha1.PrometheusMetricSource{Name: "requests"}}
	custom := v1alpha1.MetricSpec{Type: "Custom", Custom: &v1alpha1.CustomMetricSource{}}
	for name, c := range map[string]struct {
		metrics []v1alpha1.MetricSpec
		want    []string
	}{
		"each type has a name":                      {[]v1alpha1.MetricSpec{cpu, container, pods, object, external("queue"), named}, []string{"cpu", "cpu/app", "sessions", "hits", "queue", "requests"}},
		"without a name the place is one":           {[]v1alpha1.MetricSpec{query, custom, query, {}}, []string{"prometheus[0]", "custom[1]", "prometheus[2]", "metrics[3]"}},
		"the later of two has its place":            {[]v1alpha1.MetricSpec{external("queue"), cpu, external("queue"), external("queue")}, []string{"queue", "cpu", "queue[2]", "queue[3]"}},
		"a name like another's place has its place": {[]v1alpha1.MetricSpec{external("a[2]"), external("a"), external("a")}, []string{"a[2]", "a", "a[2][2]"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, v1alpha1.MetricNames(c.metrics)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
