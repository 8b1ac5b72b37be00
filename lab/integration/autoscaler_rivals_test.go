package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// testRivals lets others claim the same Deployment: ours names them and stands still, and goes on when they are gone.
func testRivals(t *testing.T, c *scalerLab) {
	for _, rival := range []struct{ name, namespace, claim, object string }{
		{"a HorizontalPodAutoscaler", "rivals-hpa", "HorizontalPodAutoscaler other", `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {namespace: rivals-hpa, name: other}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}
  minReplicas: 3
  maxReplicas: 3
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}
`},
		{"a ScaledObject that leaves out what has a default", "rivals-keda", "ScaledObject other", `
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {namespace: rivals-keda, name: other}
spec:
  scaleTargetRef: {name: shop}
`},
		{"another WorkloadAutoscaler", "rivals-wa", "WorkloadAutoscaler other", strings.Replace(byLevel("rivals-wa", "shop", atOnce), "name: shop}", "name: other}", 1)},
	} {
		t.Run(rival.name, func(t *testing.T) {
			namespace := rival.namespace
			c.namespace(t, namespace)
			c.levels.set(namespace, "shop", 25)
			c.deployment(t, namespace, "shop", 1)
			c.create(t, byLevel(namespace, "shop", atOnce))
			c.eventuallyReplicas(t, namespace, "shop", 3)

			c.create(t, rival.object)
			message := c.eventuallyCondition(t, namespace, "shop", "ScalingActive", metav1.ConditionFalse, "AmbiguousTarget")
			if !strings.Contains(message, rival.claim) || !strings.Contains(message, "Deployment shop") {
				t.Errorf("AmbiguousTarget says %q, want %s and Deployment shop in it", message, rival.claim)
			}
			if strings.HasPrefix(rival.claim, "WorkloadAutoscaler") {
				message := c.eventuallyCondition(t, namespace, "other", "ScalingActive", metav1.ConditionFalse, "AmbiguousTarget")
				if !strings.Contains(message, "WorkloadAutoscaler shop") {
					t.Errorf("the other says %q, want WorkloadAutoscaler shop in it", message)
				}
			}
			c.levels.set(namespace, "shop", 65)
			c.stays(t, namespace, "shop", 3, 6*scalerPeriod())
			if wa, err := c.wa(t.Context(), namespace, "shop"); err != nil || wa.Status.LastDecision == nil || wa.Status.LastDecision.Raw != 7 {
				t.Errorf("while it stands still it says %s (%v), want it to say what it would do: 7", say(wa), err)
			}

			c.delete(t, rival.object)
			t.Logf("7 replicas %v after the rival was gone", c.eventuallyReplicas(t, namespace, "shop", 7))
			c.eventuallyCondition(t, namespace, "shop", "ScalingActive", metav1.ConditionTrue, "ValidMetricFound")
		})
	}
}

// testModes goes through the modes on one object: Recommend says what it would do and claims nothing, Paused reads nothing, Auto does it.
func testModes(t *testing.T, c *scalerLab) {
	const namespace = "modes"
	c.namespace(t, namespace)
	c.levels.set(namespace, "shop", 45)
	c.deployment(t, namespace, "shop", 1)
	c.create(t, byLevel(namespace, "shop", "mode: Recommend"+atOnce))
	c.eventuallyCondition(t, namespace, "shop", "Paused", metav1.ConditionTrue, "RecommendOnly")
	c.eventuallyDesired(t, namespace, "shop", 5)
	c.stays(t, namespace, "shop", 1, 3*scalerPeriod())

	c.create(t, strings.Replace(byLevel(namespace, "shop", atOnce), "name: shop}", "name: other}", 1))
	c.eventuallyReplicas(t, namespace, "shop", 5) // the first is no rival of the second
	c.delete(t, strings.Replace(byLevel(namespace, "shop", atOnce), "name: shop}", "name: other}", 1))

	c.setMode(t, namespace, "shop", v1alpha1.ModePaused)
	c.eventuallyCondition(t, namespace, "shop", "Paused", metav1.ConditionTrue, "Paused")
	c.levels.set(namespace, "shop", 75)
	c.stays(t, namespace, "shop", 5, 3*scalerPeriod())
	if wa, err := c.wa(t.Context(), namespace, "shop"); err != nil || wa.Status.DesiredReplicas != 5 {
		t.Errorf("while it is paused it says %s (%v), want it to know of no other number than 5", say(wa), err)
	}

	c.setMode(t, namespace, "shop", v1alpha1.ModeAuto)
	c.eventuallyReplicas(t, namespace, "shop", 8)
	c.eventuallyCondition(t, namespace, "shop", "Paused", metav1.ConditionFalse, "Auto")
}

// eventuallyDesired waits until a WorkloadAutoscaler says that it would like so many replicas.
func (c *scalerLab) eventuallyDesired(t *testing.T, namespace, name string, want int32) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s/%s wants %d", namespace, name, want), func(ctx context.Context) (bool, string, error) {
		wa, err := c.wa(ctx, namespace, name)
		if err != nil {
			return false, "", err
		}
		return wa.Status.DesiredReplicas == want, say(wa), nil
	})
}

// setMode changes the mode of a WorkloadAutoscaler, as a user would.
func (c *scalerLab) setMode(t *testing.T, namespace, name string, mode v1alpha1.Mode) {
	t.Helper()
	wa := &v1alpha1.WorkloadAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec":{"mode":%q}}`, mode))
	if err := c.kube.Patch(t.Context(), wa, patch); err != nil {
		t.Fatal(err)
	}
}
