package workloads_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	scalefake "k8s.io/client-go/scale/fake"
	ktesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// cluster is what a Reader reads: mirrors of what is watched, and scales that are
// read and written.
type cluster struct {
	*workloads.Reader
	watches map[string]*watch.FakeWatcher
	// scales are the scale subresources by resource and name, as "deployments web".
	scales   map[string]*autoscalingv1.Scale
	requests []string
	// onUpdate sees every write before it is done.
	onUpdate func(s *autoscalingv1.Scale) error
}

// inCluster runs a test in a bubble, with a Reader of these objects.
func inCluster(t *testing.T, objects []runtime.Object, test func(t *testing.T, c *cluster)) {
	synctest.Test(t, func(t *testing.T) {
		c := &cluster{watches: map[string]*watch.FakeWatcher{}, scales: map[string]*autoscalingv1.Scale{}}
		lists := map[string]runtime.Object{
			"pods": &corev1.PodList{}, "deployments": &appsv1.DeploymentList{}, "replicasets": &appsv1.ReplicaSetList{}, "statefulsets": &appsv1.StatefulSetList{},
		}
		split := map[string][]runtime.Object{}
		for _, o := range objects {
			split[resourceOf(o)] = append(split[resourceOf(o)], o)
		}
		for resource, list := range lists {
			if err := meta.SetList(list, split[resource]); err != nil {
				t.Fatal(err)
			}
			c.watches[resource] = watch.NewFakeWithChanSize(100, false)
		}
		source := func(resource string) cache.ListerWatcher { return fakeSource{lists[resource], c.watches[resource]} }

		index := pods.NewIndex()
		c.Reader = workloads.NewReader(mapper(), c.scaleClient(), index)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{}, 2)
		go func() { index.Mirror().Run(ctx, source("pods"), &corev1.Pod{}); ended <- struct{}{} }()
		go func() { c.Run(ctx, source); ended <- struct{}{} }()
		synctest.Wait()
		if !c.HasSynced() {
			t.Fatal("the mirrors have not synced")
		}
		test(t, c)
		cancel()
		<-ended
		<-ended
	})
}

func resourceOf(o runtime.Object) string {
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1."), "*")) + "s"
}

type fakeSource struct {
	list  runtime.Object
	watch *watch.FakeWatcher
}

func (fakeSource) IsWatchListSemanticsUnSupported() bool { return true }

func (s fakeSource) List(metav1.ListOptions) (runtime.Object, error) { return s.list, nil }

func (s fakeSource) Watch(metav1.ListOptions) (watch.Interface, error) { return s.watch, nil }

// mapper knows Deployments and a kind of somebody else's in two versions with two
// resources.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "example.com", Version: "v1"}, {Group: "example.com", Version: "v2"}, {Group: "apps", Version: "v1"}})
	m.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	m.AddSpecific(schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Fleet"},
		schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "oldfleets"}, schema.GroupVersionResource{Group: "example.com", Version: "v1", Resource: "oldfleet"}, meta.RESTScopeNamespace)
	m.AddSpecific(schema.GroupVersionKind{Group: "example.com", Version: "v2", Kind: "Fleet"},
		schema.GroupVersionResource{Group: "example.com", Version: "v2", Resource: "fleets"}, schema.GroupVersionResource{Group: "example.com", Version: "v2", Resource: "fleet"}, meta.RESTScopeNamespace)
	return m
}

func (c *cluster) scaleClient() *scalefake.FakeScaleClient {
	client := &scalefake.FakeScaleClient{}
	client.AddReactor("get", "*", func(action ktesting.Action) (bool, runtime.Object, error) {
		key := action.GetResource().Resource + " " + action.(ktesting.GetAction).GetName()
		c.requests = append(c.requests, "get "+key)
		s, found := c.scales[key]
		if !found {
			return true, nil, apierrors.NewNotFound(action.GetResource().GroupResource(), action.(ktesting.GetAction).GetName())
		}
		return true, s.DeepCopy(), nil
	})
	client.AddReactor("update", "*", func(action ktesting.Action) (bool, runtime.Object, error) {
		s := action.(ktesting.UpdateAction).GetObject().(*autoscalingv1.Scale).DeepCopy()
		key := action.GetResource().Resource + " " + s.Name
		c.requests = append(c.requests, fmt.Sprintf("update %s to %d at %s", key, s.Spec.Replicas, s.ResourceVersion))
		if c.onUpdate != nil {
			if err := c.onUpdate(s); err != nil {
				return true, nil, err
			}
		}
		have := c.scales[key]
		if have.ResourceVersion != s.ResourceVersion {
			return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), s.Name, errors.New("changed"))
		}
		version, _ := strconv.Atoi(have.ResourceVersion)
		s.ResourceVersion = strconv.Itoa(version + 1)
		c.scales[key] = s
		return true, s, nil
	})
	return client
}

// asked returns the requests since the last call.
func (c *cluster) asked() []string {
	requests := c.requests
	c.requests = nil
	return requests
}

func (c *cluster) scale(key, version string, replicas int32) {
	_, name, _ := strings.Cut(key, " ")
	c.scales[key] = &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid of " + name), ResourceVersion: version},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
		Status:     autoscalingv1.ScaleStatus{Replicas: replicas, Selector: "app=" + name},
	}
}

func object(name, version string, owners ...metav1.OwnerReference) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid of " + name), ResourceVersion: version, OwnerReferences: owners}
}

func controlledBy(kind, name string) metav1.OwnerReference {
	isController := true
	return metav1.OwnerReference{Kind: kind, Name: name, UID: types.UID("uid of " + name), Controller: &isController}
}

func selectorOf(app string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": app}}
}

func deployment(name, version string, replicas int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: object(name, version), Spec: appsv1.DeploymentSpec{Replicas: &replicas, Selector: selectorOf(name)},
		Status: appsv1.DeploymentStatus{Replicas: replicas + 1},
	}
}

func replicaSet(name, version string, owners ...metav1.OwnerReference) *appsv1.ReplicaSet {
	replicas := int32(2)
	return &appsv1.ReplicaSet{ObjectMeta: object(name, version, owners...), Spec: appsv1.ReplicaSetSpec{Replicas: &replicas, Selector: selectorOf("web")}}
}

func pod(name string, phase corev1.PodPhase, owners ...metav1.OwnerReference) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: object(name, "1", owners...), Status: corev1.PodStatus{Phase: phase}}
	p.Labels = map[string]string{"app": "web"}
	return p
}

func ref(apiVersion, kind, name string) v1alpha1.ScaleTargetRef {
	return v1alpha1.ScaleTargetRef{APIVersion: apiVersion, Kind: kind, Name: name}
}

func TestRead(t *testing.T) {
	type outcome struct {
		Resource, Name, Selector string
		Spec, Status             int32
		Requests                 []string
		Error                    string
	}
	stateful := &appsv1.StatefulSet{ObjectMeta: object("db", "4"), Spec: appsv1.StatefulSetSpec{Selector: selectorOf("db")}}
	objects := []runtime.Object{deployment("web", "3", 5), stateful, replicaSet("alone", "2"), replicaSet("web-abc", "2", controlledBy("Deployment", "web"))}
	for name, c := range map[string]struct {
		ref  v1alpha1.ScaleTargetRef
		want outcome
	}{
		"a Deployment, without a request":                  {ref("apps/v1", "Deployment", "web"), outcome{Resource: "deployments.apps", Name: "web", Selector: "app=web", Spec: 5, Status: 6}},
		"a Deployment by an old version":                   {ref("apps/v1beta1", "Deployment", "web"), outcome{Resource: "deployments.apps", Name: "web", Selector: "app=web", Spec: 5, Status: 6}},
		"a StatefulSet that says nothing of its replicas":  {ref("apps/v1", "StatefulSet", "db"), outcome{Resource: "statefulsets.apps", Name: "db", Selector: "app=db", Spec: 1}},
		"a ReplicaSet that stands alone":                   {ref("apps/v1", "ReplicaSet", "alone"), outcome{Resource: "replicasets.apps", Name: "alone", Selector: "app=web", Spec: 2}},
		"a ReplicaSet of a Deployment, from the API":       {ref("apps/v1", "ReplicaSet", "web-abc"), outcome{Resource: "replicasets.apps", Name: "web-abc", Selector: "app=web-abc", Spec: 2, Status: 2, Requests: []string{"get replicasets web-abc"}}},
		"a Deployment that is not there":                   {ref("apps/v1", "Deployment", "wbe"), outcome{Error: `spec.scaleTargetRef: deployments.apps "wbe" not found`}},
		"a kind without a mirror, in the version it is in": {ref("example.com/v1", "Fleet", "taxis"), outcome{Resource: "fleets.example.com", Name: "taxis", Selector: "app=taxis", Spec: 7, Status: 7, Requests: []string{"get oldfleets taxis", "get fleets taxis"}}},
		"a kind without a mirror that is not there": {ref("example.com/v1", "Fleet", "buses"), outcome{
			Error: `spec.scaleTargetRef: read the scale of Fleet buses: oldfleets.example.com "buses" not found`, Requests: []string{"get oldfleets buses", "get fleets buses"},
		}},
		"a kind that does not exist":            {ref("apps/v1", "Deploiment", "web"), outcome{Error: `spec.scaleTargetRef: no matches for apps/, Resource=Deploiment`}},
		"a Deployment of another group":         {ref("example.com/v1", "Deployment", "web"), outcome{Error: `spec.scaleTargetRef: no matches for example.com/, Resource=Deployment`}},
		"an apiVersion with too many slashes":   {ref("apps/v1/x", "Deployment", "web"), outcome{Error: "spec.scaleTargetRef.apiVersion: unexpected GroupVersion string: apps/v1/x"}},
		"a scale whose selector is no selector": {ref("example.com/v1", "Fleet", "odd"), outcome{Resource: "fleets.example.com", Name: "odd", Spec: 1, Status: 1, Requests: []string{"get oldfleets odd", "get fleets odd"}}},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, objects, func(t *testing.T, cl *cluster) {
				cl.scale("replicasets web-abc", "2", 2)
				cl.scale("fleets taxis", "1", 7)
				cl.scale("fleets odd", "1", 1)
				cl.scales["fleets odd"].Status.Selector = "((("
				w, err := cl.Read(t.Context(), "shop", c.ref)
				got := outcome{Name: w.Name, Spec: w.SpecReplicas, Status: w.StatusReplicas, Requests: cl.asked()}
				if w.Resource.Resource != "" {
					got.Resource = w.Resource.String()
				}
				if w.Selector != nil {
					got.Selector = w.Selector.String()
				}
				if err != nil {
					got.Error = err.Error()
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestIsLocal(t *testing.T) {
	reader := workloads.NewReader(mapper(), &scalefake.FakeScaleClient{}, pods.NewIndex())
	for r, want := range map[v1alpha1.ScaleTargetRef]bool{
		ref("apps/v1", "Deployment", "web"):            true,
		ref("apps/v1beta1", "StatefulSet", "web"):      true,
		ref("apps/v1", "ReplicaSet", "web"):            true,
		ref("apps/v1", "DaemonSet", "web"):             false,
		ref("v1", "ReplicationController", "web"):      false,
		ref("example.com/v1", "Deployment", "web"):     false,
		ref("extensions/v1beta1", "Deployment", "web"): false,
		ref("apps/v1/too/many", "Deployment", "web"):   false,
	} {
		if got := reader.IsLocal(r); got != want {
			t.Errorf("%v: %t, want %t", r, got, want)
		}
	}
}

func TestPods(t *testing.T) {
	rs1, rs2, foreign := controlledBy("ReplicaSet", "web-1"), controlledBy("ReplicaSet", "web-2"), controlledBy("ReplicaSet", "other-1")
	elsewhere := pod("elsewhere", "Running", rs1)
	elsewhere.Namespace = "bank"
	objects := []runtime.Object{
		deployment("web", "1", 3), deployment("other", "1", 1),
		replicaSet("web-1", "1", controlledBy("Deployment", "web")), replicaSet("web-2", "1", controlledBy("Deployment", "web")),
		replicaSet("other-1", "1", controlledBy("Deployment", "other")), replicaSet("fleet-1", "1", controlledBy("Fleet", "taxis")),
		pod("old", "Running", rs1), pod("new", "Pending", rs2), pod("done", "Succeeded", rs2), pod("foreign", "Running", foreign), pod("bare", "Running"),
		pod("job", "Succeeded", controlledBy("Job", "backup")), pod("member", "Running", controlledBy("StatefulSet", "db")),
		pod("taxi", "Running", controlledBy("ReplicaSet", "fleet-1")), pod("direct", "Running", controlledBy("Fleet", "taxis")),
		pod("indirect", "Running", controlledBy("Squadron", "red")), elsewhere,
	}
	everything := "bare direct done foreign indirect job member new old taxi"
	for name, c := range map[string]struct {
		kind, name string
		group      string
		selection  v1alpha1.PodSelection
		want       string
	}{
		"of a Deployment, those of its ReplicaSets":               {"Deployment", "web", "apps", v1alpha1.PodSelectionOwner, "done new old"},
		"of a Deployment without a ReplicaSet":                    {"Deployment", "none", "apps", v1alpha1.PodSelectionOwner, ""},
		"of a ReplicaSet, its own":                                {"ReplicaSet", "web-1", "apps", v1alpha1.PodSelectionOwner, "old"},
		"of a StatefulSet, its own":                               {"StatefulSet", "db", "apps", v1alpha1.PodSelectionOwner, "member"},
		"of a ReplicationController, its own":                     {"ReplicationController", "rc", "", v1alpha1.PodSelectionOwner, ""},
		"of another kind, its own and those of kinds we know not": {"Fleet", "taxis", "example.com", v1alpha1.PodSelectionOwner, "direct indirect taxi"},
		"by selector, all that match":                             {"Deployment", "web", "apps", v1alpha1.PodSelectionSelector, everything},
		"by selector, of another kind":                            {"Fleet", "taxis", "example.com", v1alpha1.PodSelectionSelector, everything},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, objects, func(t *testing.T, cl *cluster) {
				selector, err := metav1.LabelSelectorAsSelector(selectorOf("web"))
				if err != nil {
					t.Fatal(err)
				}
				w := workloads.Workload{
					Resource: schema.GroupResource{Group: c.group}, Kind: c.kind, Namespace: "shop", Name: c.name, UID: types.UID("uid of " + c.name), Selector: selector,
				}
				var got []string
				for _, p := range cl.Pods(w, c.selection) {
					got = append(got, p.Name)
				}
				if text := strings.Join(got, " "); text != c.want {
					t.Errorf("pods %q, want %q", text, c.want)
				}
			})
		})
	}
}

func TestPodsFollowTheReplicaSets(t *testing.T) {
	rs1, rs2 := controlledBy("ReplicaSet", "web-1"), controlledBy("ReplicaSet", "web-2")
	objects := []runtime.Object{
		deployment("web", "1", 3), replicaSet("web-1", "1", controlledBy("Deployment", "web")),
		pod("a", "Running", rs1), pod("b", "Running", rs2),
	}
	inCluster(t, objects, func(t *testing.T, c *cluster) {
		w, err := c.Read(t.Context(), "shop", ref("apps/v1", "Deployment", "web"))
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			what string
			do   func(sets *watch.FakeWatcher)
			want string
		}{
			{"at first", func(*watch.FakeWatcher) {}, "a"},
			{"a rollout brings a ReplicaSet", func(s *watch.FakeWatcher) { s.Add(replicaSet("web-2", "2", controlledBy("Deployment", "web"))) }, "a b"},
			{"a ReplicaSet changes", func(s *watch.FakeWatcher) { s.Modify(replicaSet("web-2", "3", controlledBy("Deployment", "web"))) }, "a b"},
			{"the old one goes", func(s *watch.FakeWatcher) { s.Delete(replicaSet("web-1", "4", controlledBy("Deployment", "web"))) }, "b"},
			{"the other one is orphaned", func(s *watch.FakeWatcher) { s.Modify(replicaSet("web-2", "5")) }, ""},
			{"and adopted again", func(s *watch.FakeWatcher) { s.Modify(replicaSet("web-2", "6", controlledBy("Deployment", "web"))) }, "b"},
			{"and replaced by another of its name", func(s *watch.FakeWatcher) {
				anew := replicaSet("web-2", "7", controlledBy("Deployment", "web"))
				anew.UID = "another"
				s.Modify(anew)
			}, ""},
		} {
			step.do(c.watches["replicasets"])
			synctest.Wait()
			var got []string
			for _, p := range c.Pods(w, v1alpha1.PodSelectionOwner) {
				got = append(got, p.Name)
			}
			if text := strings.Join(got, " "); text != step.want {
				t.Errorf("%s: pods %q, want %q", step.what, text, step.want)
			}
		}
	})
}

func TestAMirrorBehindItsOwnWriteIsNotBelieved(t *testing.T) {
	inCluster(t, []runtime.Object{deployment("web", "3", 5)}, func(t *testing.T, c *cluster) {
		c.scale("deployments web", "3", 5)
		web := ref("apps/v1", "Deployment", "web")
		read := func(what string, replicas int32, requests ...string) workloads.Workload {
			t.Helper()
			w, err := c.Read(t.Context(), "shop", web)
			if err != nil || w.SpecReplicas != replicas {
				t.Fatalf("%s: %d replicas, %v, want %d", what, w.SpecReplicas, err, replicas)
			}
			if diff := cmp.Diff(requests, c.asked()); diff != "" {
				t.Errorf("%s: requests (-want +got):\n%s", what, diff)
			}
			return w
		}
		w := read("at first", 5)
		if err := c.Scale(t.Context(), w, 8); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"update deployments web to 8 at 3"}, c.asked()); diff != "" {
			t.Errorf("requests of a write (-want +got):\n%s", diff)
		}
		read("while the mirror is behind", 8, "get deployments web")
		read("while it is behind still", 8, "get deployments web")
		c.watches["deployments"].Modify(deployment("web", "4", 8))
		synctest.Wait()
		read("when it has caught up", 8)
		c.watches["deployments"].Modify(deployment("web", "9", 2))
		synctest.Wait()
		read("when somebody else has changed it", 2)
	})
}

func TestScale(t *testing.T) {
	for name, c := range map[string]struct {
		// before is done before each write, with the number of writes so far.
		before   func(c *cluster, writes int) error
		err      error
		errText  string
		replicas int32
		requests []string
	}{
		"it is written": {
			replicas: 8, requests: []string{"update fleets taxis to 8 at 3"},
		},
		"after a conflict about something else it is written again": {
			before: func(c *cluster, writes int) error {
				if writes == 1 {
					c.scale("fleets taxis", "4", 5)
				}
				return nil
			},
			replicas: 8, requests: []string{"update fleets taxis to 8 at 3", "get fleets taxis", "update fleets taxis to 8 at 4"},
		},
		"after a conflict about the replicas it is not": {
			before: func(c *cluster, _ int) error {
				c.scale("fleets taxis", "4", 6)
				return nil
			},
			err: workloads.ErrChanged, replicas: 6, requests: []string{"update fleets taxis to 8 at 3", "get fleets taxis"},
		},
		"after a conflict with another object of its name it is not": {
			before: func(c *cluster, _ int) error {
				c.scale("fleets taxis", "4", 5)
				c.scales["fleets taxis"].UID = "another"
				return nil
			},
			err: workloads.ErrChanged, replicas: 5, requests: []string{"update fleets taxis to 8 at 3", "get fleets taxis"},
		},
		"conflicts without end come to an end": {
			before: func(c *cluster, writes int) error {
				c.scale("fleets taxis", strconv.Itoa(3+writes), 5)
				return nil
			},
			err: workloads.ErrBusy, replicas: 5, requests: []string{
				"update fleets taxis to 8 at 3", "get fleets taxis", "update fleets taxis to 8 at 4", "get fleets taxis", "update fleets taxis to 8 at 5", "get fleets taxis",
				"update fleets taxis to 8 at 6", "get fleets taxis", "update fleets taxis to 8 at 7", "get fleets taxis",
			},
		},
		"another error is not tried again": {
			before: func(*cluster, int) error {
				return apierrors.NewForbidden(schema.GroupResource{Resource: "fleets"}, "taxis", nil)
			},
			errText: "forbidden", replicas: 5, requests: []string{"update fleets taxis to 8 at 3"},
		},
		"one that goes away meanwhile": {
			before: func(c *cluster, _ int) error {
				delete(c.scales, "fleets taxis")
				return apierrors.NewConflict(schema.GroupResource{Resource: "fleets"}, "taxis", nil)
			},
			errText: "read the scale again: ", replicas: 0, requests: []string{"update fleets taxis to 8 at 3", "get fleets taxis"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			inCluster(t, nil, func(t *testing.T, cl *cluster) {
				cl.scale("fleets taxis", "3", 5)
				w, err := cl.Read(t.Context(), "shop", ref("example.com/v2", "Fleet", "taxis"))
				if err != nil {
					t.Fatal(err)
				}
				cl.asked()
				writes := 0
				cl.onUpdate = func(*autoscalingv1.Scale) error {
					writes++
					if c.before == nil {
						return nil
					}
					return c.before(cl, writes)
				}
				err = cl.Scale(t.Context(), w, 8)
				switch {
				case c.errText != "":
					if err == nil || !strings.Contains(err.Error(), c.errText) {
						t.Errorf("error %v, want %q in it", err, c.errText)
					}
				case !errors.Is(err, c.err):
					t.Errorf("error %v, want %v", err, c.err)
				}
				if diff := cmp.Diff(c.requests, cl.asked()); diff != "" {
					t.Errorf("requests (-want +got):\n%s", diff)
				}
				var replicas int32
				if s := cl.scales["fleets taxis"]; s != nil {
					replicas = s.Spec.Replicas
				}
				if replicas != c.replicas {
					t.Errorf("%d replicas, want %d", replicas, c.replicas)
				}
			})
		})
	}
}

func TestKeysAreTheSameInAllVersions(t *testing.T) {
	v1, v2 := workloads.KeyOf("shop", ref("example.com/v1", "Fleet", "taxis")), workloads.KeyOf("shop", ref("example.com/v2", "Fleet", "taxis"))
	if v1 != v2 || v1.String() != "Fleet shop/taxis" {
		t.Errorf("%s and %s differ", v1, v2)
	}
	if other := workloads.KeyOf("shop", ref("v1", "Fleet", "taxis")); other == v1 {
		t.Errorf("%v of two groups are the same", other)
	}
}
