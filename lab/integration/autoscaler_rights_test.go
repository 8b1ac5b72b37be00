package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// testPrinting asks for the table that kubectl get wa prints.
func testPrinting(t *testing.T, c *scalerLab) {
	const namespace = "printing"
	c.namespace(t, namespace)
	c.levels.set(namespace, "shop", 25)
	c.deployment(t, namespace, "shop", 1)
	c.create(t, byLevel(namespace, "shop", atOnce))
	c.eventuallyReplicas(t, namespace, "shop", 3)
	c.eventuallyCondition(t, namespace, "shop", "Ready", metav1.ConditionTrue, "AtTarget")

	table := &metav1.Table{}
	err := c.Client.Discovery().RESTClient().Get().
		AbsPath("/apis/autoscaling.plimsoll.dev/v1alpha1/namespaces/"+namespace+"/workloadautoscalers").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").Do(t.Context()).Into(table)
	if err != nil {
		t.Fatal(err)
	}
	var names, cells []string
	for i, column := range table.ColumnDefinitions {
		if column.Priority > 0 || len(table.Rows) != 1 {
			continue
		}
		names, cells = append(names, column.Name), append(cells, fmt.Sprint(table.Rows[0].Cells[i]))
	}
	if got, want := strings.Join(names, " "), "Name Target Min Max Current Desired Metric Reason Age"; got != want {
		t.Fatalf("columns %q of %d rows, want %q of one", got, len(table.Rows), want)
	}
	t.Logf("%v\n%v", names, cells)
	if got, want := strings.Join(cells[:8], " "), "shop shop 1 20 3 3 prometheus[0] AtTarget"; got != want {
		t.Errorf("cells %q, want %q and an age", got, want)
	}
	if age := cells[8]; !strings.HasSuffix(age, "s") {
		t.Errorf("age %q, want seconds", age)
	}
}

// testRights scales a Deployment with the rights that are shipped, and another kind with one more ClusterRole.
func testRights(t *testing.T, c *scalerLab) {
	const namespace = "rights"
	c.namespace(t, namespace)
	c.levels.set(namespace, "shop", 45)
	c.deployment(t, namespace, "shop", 1)
	c.create(t, byLevel(namespace, "shop", atOnce))
	c.eventuallyReplicas(t, namespace, "shop", 5)
	if !slices.ContainsFunc(c.requests(t, scalerAccount), func(r request) bool {
		return r.Verb == "update" && r.ObjectRef.Resource == "deployments" && r.ObjectRef.Subresource == "scale" &&
			r.ObjectRef.Namespace == namespace && r.ResponseStatus.Code == http.StatusOK
	}) {
		t.Error("the audit log has no update of the scale subresource by the ServiceAccount")
	}

	c.define(t, "example.com", "v1", "Fleet", "fleets",
		"subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}")
	fleet := decodeYAML(t, "{apiVersion: example.com/v1, kind: Fleet, metadata: {namespace: rights, name: boats}, spec: {replicas: 1}}")[0]
	if err := c.kube.Create(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedMap(fleet.Object, map[string]any{"replicas": int64(1), "selector": "app=boats"}, "status"); err != nil {
		t.Fatal(err)
	}
	if err := c.kube.Status().Update(t.Context(), fleet); err != nil {
		t.Fatal(err)
	}
	c.levels.set(namespace, "boats", 25)
	c.create(t, strings.Replace(byLevel(namespace, "boats", atOnce), "apiVersion: apps/v1, kind: Deployment", "apiVersion: example.com/v1, kind: Fleet", 1))
	message := c.eventuallyCondition(t, namespace, "boats", "AbleToScale", metav1.ConditionFalse, "FailedGetScale")
	for _, part := range []string{"fleets/scale", `"example.com"`, "get", scalerAccount} {
		if !strings.Contains(message, part) {
			t.Errorf("FailedGetScale says %q, want the right that is missing: %s in it", message, part)
		}
	}

	if !slices.ContainsFunc(c.requests(t, scalerAccount), func(r request) bool {
		return r.ObjectRef.Resource == "fleets" && r.ObjectRef.Subresource == "scale" && r.ResponseStatus.Code == http.StatusForbidden
	}) {
		t.Error("the audit log has no forbidden read of the fleet's scale: it does not show what is forbidden")
	}

	c.create(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: scales-fleets}
rules:
- {apiGroups: [example.com], resources: [fleets/scale], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: scales-fleets}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: scales-fleets}
subjects:
- {kind: ServiceAccount, namespace: plimsoll-system, name: plimsoll-autoscaler}
`)
	eventually(t, "the fleet asks for 3 replicas", func(ctx context.Context) (bool, string, error) {
		if err := c.kube.Get(ctx, client.ObjectKeyFromObject(fleet), fleet); err != nil {
			return false, "", err
		}
		count, _, err := unstructured.NestedInt64(fleet.Object, "spec", "replicas")
		return count == 3, fmt.Sprintf("%d; %s", count, c.sayAll(ctx, namespace)), err
	})
	c.eventuallyCondition(t, namespace, "boats", "AbleToScale", metav1.ConditionTrue, "ReadyForNewScale")
}

// testNothingForbidden reads the whole audit log: but for the fleet's scale before it was granted, nothing was asked for in vain.
func testNothingForbidden(t *testing.T, c *scalerLab) {
	requests := c.requests(t, scalerAccount)
	verbs := map[string]int{}
	for _, r := range requests {
		if r.ResponseStatus.Code == http.StatusForbidden && r.ObjectRef.Resource != "fleets" {
			t.Errorf("forbidden: %s", r)
		}
		verbs[r.Verb+" "+r.ObjectRef.Resource+"/"+r.ObjectRef.Subresource]++
	}
	if verbs["update deployments/scale"] == 0 || verbs["update workloadautoscalers/status"] == 0 {
		t.Errorf("the log has no update of a scale or of a status: it proves nothing; it has %v", verbs)
	}
	t.Logf("%d requests: %v", len(requests), verbs)
}
