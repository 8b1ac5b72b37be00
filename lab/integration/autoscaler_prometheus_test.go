package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// perPodLoads are the loads, in requests per second, of the application web in each namespace.
func perPodLoads() map[string]float64 { return map[string]float64{"shop": 110, "bank": 70} }

// testPrometheusMetrics reads per pod and as a whole, the same queries in two namespaces, and tries to look into the other one.
func testPrometheusMetrics(t *testing.T, c *scalerLab) {
	want := map[string]map[string]int32{"shop": {"web": 6, "orders": 3, "mails": 2}, "bank": {"web": 4, "orders": 5, "mails": 1}}
	levels := map[string]map[string]float64{"shop": {"orders": 25, "mails": 12}, "bank": {"orders": 45, "mails": 3}}
	for namespace := range want {
		c.namespace(t, namespace)
		for _, queue := range []string{"orders", "mails"} {
			c.levels.set(namespace, queue, levels[namespace][queue])
			c.deployment(t, namespace, queue, 1)
			c.create(t, byLevel(namespace, queue, atOnce)) // the query names no namespace
		}
		c.deployment(t, namespace, "web", 2)
		// Each pod is to take 20 requests per second.
		c.create(t, fmt.Sprintf(`
apiVersion: autoscaling.plimsoll.dev/v1alpha1
kind: WorkloadAutoscaler
metadata: {namespace: %s, name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  maxReplicas: 20
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
  metrics:
  - type: Prometheus
    prometheus:
      name: requests-per-second
      query: sum by (pod) (rate(http_requests_total{app="web"}[2s]))
      perPod: true
      target: {type: AverageValue, averageValue: "20"}
`, namespace))
	}
	for namespace, workloads := range want {
		for name, count := range workloads {
			c.eventuallyReplicas(t, namespace, name, count)
		}
	}
	t.Run("six objects cost three queries a period", func(t *testing.T) {
		const periods = 10
		time.Sleep(2 * scalerPeriod())
		before := c.queries.Load()
		time.Sleep(periods * scalerPeriod())
		// One for the pods of both namespaces; one for the levels of all queues, one for how old they are.
		asked := c.queries.Load() - before
		t.Logf("%d queries in %d periods", asked, periods)
		if asked > 3*(periods+1) || asked < 3*(periods-2) {
			t.Errorf("%d queries in %d periods, want about 3 in each", asked, periods)
		}
	})
	t.Run("a query of another namespace is refused", func(t *testing.T) {
		c.deployment(t, "shop", "thief", 1)
		c.create(t, strings.Replace(byLevel("shop", "thief", ""), `level{queue="thief"}`, `level{namespace="bank", queue="orders"}`, 1))
		message := c.eventuallyCondition(t, "shop", "thief", "ScalingActive", metav1.ConditionFalse, "FailedGetPrometheusMetric")
		for _, part := range []string{"prometheus[0]", "ForeignNamespace", `namespace="bank"`, `namespace="shop"`} {
			if !strings.Contains(message, part) {
				t.Errorf("the condition says %q, want %s in it", message, part)
			}
		}
		c.stays(t, "shop", "thief", 1, 4*scalerPeriod())
	})
}

// testZero takes a workload to zero and back by a query that needs no pod of it, and leaves one alone that somebody set to zero.
func testZero(t *testing.T, c *scalerLab) {
	const namespace = "zero"
	c.namespace(t, namespace)
	c.levels.set(namespace, "night", 15)
	c.deployment(t, namespace, "night", 1)
	c.create(t, strings.Replace(byLevel(namespace, "night", "minReplicas: 0"+atOnce), "serverName: levels", "serverName: levels\n      activationThreshold: \"4\"", 1))
	c.eventuallyReplicas(t, namespace, "night", 2)
	c.levels.set(namespace, "night", 3) // more than nothing, but not enough to be activated
	down := c.eventuallyReplicas(t, namespace, "night", 0)
	c.eventuallyCondition(t, namespace, "night", "ScaledToZero", metav1.ConditionTrue, "ScaledToZero")
	c.stays(t, namespace, "night", 0, 3*scalerPeriod())
	c.levels.set(namespace, "night", 35)
	up := c.eventuallyReplicas(t, namespace, "night", 4)
	t.Logf("%v to zero, %v back", down, up)
	c.eventuallyCondition(t, namespace, "night", "ScaledToZero", metav1.ConditionFalse, "NotScaledToZero")

	scale, err := c.Client.AppsV1().Deployments(namespace).GetScale(t.Context(), "night", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	scale.Spec.Replicas = 0
	if _, err := c.Client.AppsV1().Deployments(namespace).UpdateScale(t.Context(), "night", scale, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.eventuallyCondition(t, namespace, "night", "ScalingActive", metav1.ConditionFalse, "ScalingDisabled")
	c.stays(t, namespace, "night", 0, 3*scalerPeriod())
}

// waitForMetric waits until a metric has the reason, and returns its message.
func (c *scalerLab) waitForMetric(t *testing.T, namespace, name, reason string) string {
	t.Helper()
	message := ""
	eventually(t, fmt.Sprintf("the metric of %s/%s: %s", namespace, name, reason), func(ctx context.Context) (bool, string, error) {
		wa, err := c.wa(ctx, namespace, name)
		if err != nil || len(wa.Status.Metrics) == 0 {
			return false, "no metric", err
		}
		message = wa.Status.Metrics[0].Message
		return wa.Status.Metrics[0].Reason == reason, say(wa), nil
	})
	return message
}
