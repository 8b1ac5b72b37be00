package integration

import (
	"maps"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// refusals are fields of a spec that the API server refuses, in YAML, and the path that it names. The whole table of fields is in
// pkg/apis/autoscaling/v1alpha1; this one proves that the real API server goes by the same definition.
func refusals() map[string]struct{ fields, path string } {
	const metric = `metrics: [{type: Prometheus, prometheus: {query: up, `
	return map[string]struct{ fields, path string }{
		"no greatest number":                     {"maxReplicas: null", "spec.maxReplicas"},
		"a greatest number of 0":                 {"maxReplicas: 0", "spec.maxReplicas"},
		"a least number below 0":                 {"minReplicas: -1", "spec.minReplicas"},
		"a least number above the greatest":      {"minReplicas: 21", "spec"},
		"no target":                              {"scaleTargetRef: null", "spec.scaleTargetRef"},
		"a target without a name":                {"scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: ''}", "spec.scaleTargetRef.name"},
		"a target whose name is no name":         {"scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: A/b}", "spec.scaleTargetRef.name"},
		"an API version with two slashes":        {"scaleTargetRef: {apiVersion: a/b/c, kind: Deployment, name: a}", "spec.scaleTargetRef.apiVersion"},
		"no metric":                              {"metrics: []", "spec.metrics"},
		"zero by CPU alone":                      {"minReplicas: 0\nmetrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]", "spec.minReplicas"},
		"a type of metric that is none":          {"metrics: [{type: Cpu}]", "spec.metrics[0].type"},
		"a type of metric without its field":     {"metrics: [{type: Resource}]", "spec.metrics[0].resource"},
		"the field of another type":              {"metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}, prometheus: {query: up, target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus"},
		"a utilization of 0":                     {"metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 0}}}]", "spec.metrics[0].resource.target.averageUtilization"},
		"a query of no length":                   {"metrics: [{type: Prometheus, prometheus: {query: '', target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus.query"},
		"a target of no amount":                  {metric + "target: {type: Value}}}]", "spec.metrics[0].prometheus.target.value"},
		"a target below 0":                       {metric + "target: {type: Value, value: '-1'}}}]", "spec.metrics[0].prometheus.target.value"},
		"an amount that is no quantity":          {metric + "target: {type: Value, value: many}}}]", "spec.metrics[0].prometheus.target.value"},
		"per pod, but not an average":            {metric + "perPod: true, target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus.target.type"},
		"an empty result that means nothing":     {metric + "emptyResult: One, target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus.emptyResult"},
		"a threshold below 0":                    {metric + "activationThreshold: '-1', target: {type: Value, value: 1}}}]", "spec.metrics[0].prometheus.activationThreshold"},
		"a window too long":                      {"behavior: {scaleDown: {stabilizationWindowSeconds: 3601}}", "spec.behavior.scaleDown.stabilizationWindowSeconds"},
		"a rate of 0":                            {"behavior: {scaleUp: {policies: [{type: Pods, value: 0, periodSeconds: 15}]}}", "spec.behavior.scaleUp.policies"},
		"a rate in a unit that is none":          {"behavior: {scaleUp: {policies: [{type: Nodes, value: 1, periodSeconds: 15}]}}", "spec.behavior.scaleUp.policies"},
		"a tolerance below 0":                    {"behavior: {scaleUp: {tolerance: '-0.1'}}", "spec.behavior.scaleUp.tolerance"},
		"a mode that is none":                    {"mode: Off", "spec.mode"},
		"a selection of pods that is none":       {"podSelection: Labels", "spec.podSelection"},
		"a fallback above the greatest number":   {"fallback: {replicas: 21}", "spec.fallback.replicas"},
		"a fallback after less than no time":     {"fallback: {afterSeconds: -1}", "spec.fallback.afterSeconds"},
		"a schedule that bounds nothing":         {"schedules: [{name: a, start: 0 8 * * *, end: 0 18 * * *}]", "spec.schedules[0]"},
		"a schedule of four fields":              {"schedules: [{name: a, start: 0 8 * *, end: 0 18 * * *, minReplicas: 2}]", "spec.schedules[0].start"},
		"a schedule that ends when it begins":    {"schedules: [{name: a, start: 0 8 * * *, end: 0 8 * * *, minReplicas: 2}]", "spec.schedules[0]"},
		"two schedules of one name":              {"schedules: [{name: a, start: 0 8 * * *, end: 0 18 * * *, minReplicas: 2}, {name: a, start: 0 9 * * *, end: 0 18 * * *, minReplicas: 2}]", "spec.schedules[1]"},
		"the policy Schedule without a schedule": {"policy: {name: Schedule}", "spec.schedules"},
	}
}

// latecomers are specs that only the autoscaler can judge, and what it says of them.
func latecomers() map[string]struct{ fields, condition, reason, says string } {
	const metric = "metrics: [{type: Prometheus, prometheus: {serverName: levels, target: {type: Value, value: 1}, query: "
	return map[string]struct{ fields, condition, reason, says string }{
		"minute-61":      {"schedules: [{name: a, start: 61 8 * * *, end: 0 18 * * *, minReplicas: 2}]", "Ready", "InvalidSpec", "spec.schedules[0].start"},
		"no-such-zone":   {"schedules: [{name: a, start: 0 8 * * *, end: 0 18 * * *, timeZone: Mars/Olympus, minReplicas: 2}]", "Ready", "InvalidSpec", "spec.schedules[0].timeZone"},
		"unknown-policy": {"policy: {name: Oracle}", "Ready", "InvalidSpec", "spec.policy.name"},
		"bad-parameters": {"policy: {name: Watermark, parameters: {high: 0.5, low: 0.6}}", "Ready", "InvalidSpec", "spec.policy.parameters"},
		"no-parameters":  {"policy: {name: Target, parameters: {high: 1}}", "Ready", "InvalidSpec", "spec.policy.parameters"},
		"unknown-server": {"metrics: [{type: Prometheus, prometheus: {serverName: nowhere, query: up, target: {type: Value, value: 1}}}]", "ScalingActive", "FailedGetPrometheusMetric", `prometheus[0]: UnknownServer: no server "nowhere"`},
		"silent-server":  {"metrics: [{type: Prometheus, prometheus: {serverName: silent, query: up, target: {type: Value, value: 1}}}]", "ScalingActive", "FailedGetPrometheusMetric", "prometheus[0]: Unreadable"},
		"no-promql":      {metric + "'level{'}}]", "ScalingActive", "FailedGetPrometheusMetric", "prometheus[0]: InvalidQuery"},
		"unknown-source": {"metrics: [{type: Custom, custom: {source: Oracle, target: {type: Value, value: 1}}}]", "ScalingActive", "FailedGetCustomMetric", `no source "Oracle"`},
		"no-target":      {"scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: nowhere}", "AbleToScale", "FailedGetScale", `"nowhere" not found`},
		"no-kind":        {"scaleTargetRef: {apiVersion: example.org/v1, kind: Nothing, name: nowhere}", "AbleToScale", "FailedGetScale", "Nothing"},
		"no-metrics-api": {"metrics: [{type: External, external: {metric: {name: a}, target: {type: Value, value: 1}}}]", "ScalingActive", "FailedGetExternalMetric", "external.metrics.k8s.io"},
	}
}

// edited is byLevel's object of the name with other fields in its spec; null removes one.
func edited(t *testing.T, namespace, name, fields string) string {
	t.Helper()
	object, changes := decodeYAML(t, byLevel(namespace, name, ""))[0], map[string]any{}
	if err := yaml.Unmarshal([]byte(fields), &changes); err != nil {
		t.Fatal(err)
	}
	spec := object.Object["spec"].(map[string]any)
	maps.Copy(spec, changes)
	maps.DeleteFunc(spec, func(_ string, value any) bool { return value == nil })
	text, err := yaml.Marshal(object.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testBadInput tries what the API server refuses, and what only ours can judge, beside a good object that must not wait for them.
func testBadInput(t *testing.T, c *scalerLab) {
	const namespace = "bad-input"
	c.namespace(t, namespace)
	for name, bad := range refusals() {
		t.Run(name, func(t *testing.T) {
			object := decodeYAML(t, edited(t, namespace, "refused", bad.fields))[0]
			err := c.kube.Create(t.Context(), object)
			if !apierrors.IsInvalid(err) {
				t.Fatalf("got %v, want it refused as invalid", err)
			}
			if !strings.Contains(err.Error(), bad.path+":") {
				t.Errorf("got %v, want %s in it", err, bad.path)
			}
		})
	}

	c.levels.set(namespace, "good", 25)
	c.deployment(t, namespace, "good", 1)
	for name, bad := range latecomers() {
		if !strings.Contains(bad.fields, "scaleTargetRef") {
			bad.fields += "\nscaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: " + name + "}"
			c.deployment(t, namespace, name, 1)
		}
		c.create(t, edited(t, namespace, name, bad.fields))
	}
	c.create(t, byLevel(namespace, "good", atOnce))
	soon := func(what string, took time.Duration) {
		if most := 4 * scalerPeriod(); took > most {
			t.Errorf("%s: the good object was followed after %v, want it within %v", what, took, most)
		}
	}
	soon("new", c.eventuallyReplicas(t, namespace, "good", 3))
	for name, bad := range latecomers() {
		message := c.eventuallyCondition(t, namespace, name, bad.condition, metav1.ConditionFalse, bad.reason)
		if !strings.Contains(message, bad.says) {
			t.Errorf("%s: the condition says %q, want %s in it", name, message, bad.says)
		}
		c.eventuallyCondition(t, namespace, name, "Ready", metav1.ConditionFalse, bad.reason)
	}
	c.waitForMetric(t, namespace, "unknown-server", "UnknownServer")
	c.levels.set(namespace, "good", 45)
	soon("beside the bad", c.eventuallyReplicas(t, namespace, "good", 5))
	for name := range latecomers() {
		if !strings.Contains(latecomers()[name].fields, "scaleTargetRef") && c.replicas(t, namespace, name) != 1 {
			t.Errorf("%s was scaled", name)
		}
	}
}
