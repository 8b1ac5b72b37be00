package integration

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/manifests"
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

	eventually(t, "an event says so", func(ctx context.Context) (bool, string, error) {
		list, err := c.Client.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		said := ""
		for i := range list.Items {
			e := &list.Items[i]
			said += fmt.Sprintf("%s %s %s: %s; ", e.Type, e.Reason, e.Regarding.Kind, e.Note)
			if e.Reason == "SuccessfulRescale" && e.Regarding.Kind == "WorkloadAutoscaler" && e.Regarding.Name == "shop" && strings.Contains(e.Note, "5") {
				return true, said, nil
			}
		}
		return false, said, nil
	})

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

// testNothingForbidden reads the whole audit log: but for the fleet's scale before it was granted nothing was asked for in vain, and
// nothing is granted that is not used, or has a reason.
func testNothingForbidden(t *testing.T, c *scalerLab) {
	requests, used := c.requests(t, scalerAccount), map[string]int{}
	for _, r := range requests {
		switch {
		case r.ResponseStatus.Code == http.StatusForbidden && r.ObjectRef.Resource != "fleets":
			t.Errorf("forbidden: %s", r)
		case r.ResponseStatus.Code < http.StatusBadRequest && r.ObjectRef.Resource != "":
			used[r.right()]++
		}
	}
	for _, right := range []string{"update apps/deployments/scale", "update autoscaling.plimsoll.dev/workloadautoscalers/status", "create coordination.k8s.io/leases"} {
		if used[right] == 0 {
			t.Errorf("nothing did %s: the log proves nothing", right)
		}
	}
	t.Logf("%d requests: %v", len(requests), used)
	if t.Failed() || used["list metrics.k8s.io/pods"] == 0 {
		return // only some of the proofs have run
	}
	for _, right := range grantedRights(t) {
		// Lists are streamed, as watches, but not by every API server.
		streamed := strings.HasPrefix(right, "list ") && used[strings.Replace(right, "list ", "watch ", 1)] > 0
		if used[right] == 0 && !streamed && unusedRights()[right] == "" {
			t.Errorf("manifests/rbac/autoscaler.yaml grants %s, and nothing used it: take it away, or give the reason in unusedRights", right)
		}
	}
}

// unusedRights are those that these proofs do not use, and what they are for.
func unusedRights() map[string]string {
	const (
		conflict = "to read again what somebody else has changed meanwhile"
		noServer = "there is no such metrics API here"
		asOthers = "as Deployments"
	)
	return map[string]string{
		"get autoscaling.plimsoll.dev/workloadautoscalers": conflict,
		"get apps/deployments/scale":                       conflict,
		"get apps/replicasets/scale":                       asOthers,
		"update apps/replicasets/scale":                    asOthers,
		"get apps/statefulsets/scale":                      asOthers,
		"update apps/statefulsets/scale":                   asOthers,
		"get replicationcontrollers/scale":                 asOthers,
		"update replicationcontrollers/scale":              asOthers,
		"get custom.metrics.k8s.io/*":                      noServer,
		"list custom.metrics.k8s.io/*":                     noServer,
		"get external.metrics.k8s.io/*":                    noServer,
		"list external.metrics.k8s.io/*":                   noServer,
		"patch events.k8s.io/events":                       "to count an event that comes again",
		"patch events":                                     "to count an event that comes again",
	}
}

// right is what a role grants that allows the request.
func (r request) right() string {
	o := r.ObjectRef
	return r.Verb + " " + strings.TrimPrefix(strings.TrimSuffix(o.APIGroup+"/"+o.Resource+"/"+o.Subresource, "/"), "/")
}

// grantedRights are all that manifests/rbac grants the autoscaler.
func grantedRights(t *testing.T) []string {
	t.Helper()
	text, err := manifests.FS.ReadFile("rbac/autoscaler.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rights []string
	for _, object := range decodeYAML(t, string(text)) {
		var role rbacv1.ClusterRole // a Role has the same rules
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, rule := range role.Rules {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						rights = append(rights, verb+" "+strings.TrimPrefix(group+"/"+resource, "/"))
					}
				}
			}
		}
	}
	return rights
}
