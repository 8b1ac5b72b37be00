package pods_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// container requests what is written, for example "cpu=100m memory=1Gi".
func container(name, requests string) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: resources(requests)}}
}

func resources(text string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for _, field := range strings.Fields(text) {
		name, quantity, _ := strings.Cut(field, "=")
		list[corev1.ResourceName(name)] = resource.MustParse(quantity)
	}
	return list
}

func sidecar(name, requests string) corev1.Container {
	c, always := container(name, requests), corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

// podOf is a pod of a controller, with a label of the app.
func podOf(name, owner, app string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name), Labels: map[string]string{"app": app}}}
	if owner != "" {
		isController := true
		p.OwnerReferences = []metav1.OwnerReference{{Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: &isController}}
	}
	p.Spec.Containers = []corev1.Container{container("main", "cpu=100m")}
	return p
}

func TestRequestMilli(t *testing.T) {
	plain := func(list ...corev1.Container) corev1.PodSpec { return corev1.PodSpec{Containers: list} }
	for name, c := range map[string]struct {
		spec      corev1.PodSpec
		resource  corev1.ResourceName
		container string
		want      int64
		missing   string
	}{
		"of one container":                 {plain(container("main", "cpu=100m")), "cpu", "", 100, ""},
		"of all containers":                {plain(container("main", "cpu=100m"), container("log", "cpu=2")), "cpu", "", 2100, ""},
		"of memory, in thousandths":        {plain(container("main", "memory=1Ki")), "memory", "", 1024_000, ""},
		"of one by name":                   {plain(container("main", "cpu=100m"), container("log", "cpu=2")), "cpu", "log", 2000, ""},
		"of a request of 0":                {plain(container("main", "cpu=0")), "cpu", "", 0, ""},
		"of a container without one":       {plain(container("main", "cpu=100m"), container("log", "memory=1")), "cpu", "", 0, "container log of pod web-1 has no request for cpu"},
		"by name, the other without one":   {plain(container("main", "cpu=100m"), container("log", "")), "cpu", "main", 100, ""},
		"of a container that is not there": {plain(container("main", "cpu=100m")), "cpu", "mian", 0, "pod web-1 has no container mian"},
		"with a sidecar, which counts": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, InitContainers: []corev1.Container{sidecar("proxy", "cpu=50m")}},
			"cpu", "", 150, "",
		},
		"with a sidecar without one": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, InitContainers: []corev1.Container{sidecar("proxy", "")}},
			"cpu", "", 0, "container proxy of pod web-1 has no request for cpu",
		},
		"of a sidecar by name": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, InitContainers: []corev1.Container{sidecar("proxy", "cpu=50m")}},
			"cpu", "proxy", 50, "",
		},
		"with an init container, which does not count": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, InitContainers: []corev1.Container{container("setup", "cpu=4")}},
			"cpu", "", 100, "",
		},
		"of an init container by name": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, InitContainers: []corev1.Container{container("setup", "cpu=4")}},
			"cpu", "setup", 0, "pod web-1 has no container setup",
		},
		"of the pod as a whole": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "")}, Resources: &corev1.ResourceRequirements{Requests: resources("cpu=3")}},
			"cpu", "", 3000, "",
		},
		"of the pod as a whole, over its containers": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, Resources: &corev1.ResourceRequirements{Requests: resources("cpu=3")}},
			"cpu", "", 3000, "",
		},
		"of another resource than the pod as a whole has": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "memory=1Ki")}, Resources: &corev1.ResourceRequirements{Requests: resources("cpu=3")}},
			"memory", "", 1024_000, "",
		},
		"of a resource that neither the pod nor a container has": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "")}, Resources: &corev1.ResourceRequirements{Requests: resources("cpu=3")}},
			"memory", "", 0, "pod web-1 has no request for memory",
		},
		"of a container by name, in a pod with its own": {
			corev1.PodSpec{Containers: []corev1.Container{container("main", "cpu=100m")}, Resources: &corev1.ResourceRequirements{Requests: resources("cpu=3")}},
			"cpu", "main", 100, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := pods.From(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1"}, Spec: c.spec})
			milli, missing := p.RequestMilli(c.resource, c.container)
			if milli != c.want || missing != c.missing {
				t.Errorf("%d, missing %q, want %d, %q", milli, missing, c.want, c.missing)
			}
		})
	}
}

func TestFrom(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	ready := func(status corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionTrue},
			{Type: corev1.PodReady, Status: status, LastTransitionTime: at},
		}}}
	}
	no := false
	for name, c := range map[string]struct {
		pod  *corev1.Pod
		want scaling.Pod
	}{
		"a pod of which nothing is known": {&corev1.Pod{}, scaling.Pod{}},
		"a running pod": {
			&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-1"}, Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &at}},
			scaling.Pod{Name: "web-1", Phase: scaling.Running, Started: at.Time},
		},
		"a completed pod":          {&corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodSucceeded}}, scaling.Pod{Phase: scaling.Succeeded}},
		"a terminating pod":        {&corev1.Pod{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &at}}, scaling.Pod{Terminating: true}},
		"a ready pod":              {ready(corev1.ConditionTrue), scaling.Pod{Ready: true, ReadyKnown: true, ReadySince: at.Time}},
		"a pod that is not ready":  {ready(corev1.ConditionFalse), scaling.Pod{Unready: true, ReadyKnown: true, ReadySince: at.Time}},
		"a pod whose node is lost": {ready(corev1.ConditionUnknown), scaling.Pod{ReadyKnown: true, ReadySince: at.Time}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, pods.From(c.pod).Pod); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("an owner that is no controller is none", func(t *testing.T) {
		p := podOf("web-1", "rs", "web")
		p.OwnerReferences[0].Controller = &no
		if got := pods.From(p); got.OwnerUID != "" || got.OwnerKind != "" {
			t.Errorf("owner %s %s, want none", got.OwnerKind, got.OwnerUID)
		}
	})
}

// running is an index kept up to date with a watch.
type running struct {
	*pods.Index
	mirror *mirror.Mirror[*pods.Pod]
	watch  *watch.FakeWatcher
}

// inBubble runs a test with an index of some pods.
func inBubble(t *testing.T, list []*corev1.Pod, test func(t *testing.T, x running)) {
	synctest.Test(t, func(t *testing.T) {
		x := running{Index: pods.NewIndex(), watch: watch.NewFakeWithChanSize(1000, false)}
		x.mirror = x.Mirror()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			x.mirror.Run(ctx, fakeSource{list, x.watch}, &corev1.Pod{})
			close(ended)
		}()
		synctest.Wait()
		test(t, x)
		cancel()
		<-ended
	})
}

type fakeSource struct {
	pods  []*corev1.Pod
	watch *watch.FakeWatcher
}

var _ cache.ListerWatcher = fakeSource{}

func (fakeSource) IsWatchListSemanticsUnSupported() bool { return true }

func (s fakeSource) List(metav1.ListOptions) (runtime.Object, error) {
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for _, p := range s.pods {
		list.Items = append(list.Items, *p)
	}
	return list, nil
}

func (s fakeSource) Watch(metav1.ListOptions) (watch.Interface, error) { return s.watch, nil }

func names(list []*pods.Pod) string {
	var all []string
	for _, p := range list {
		all = append(all, p.Name)
	}
	return strings.Join(all, " ")
}

func selects(t *testing.T, text string) labels.Selector {
	t.Helper()
	s, err := labels.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIndexFindsPodsByOwnerAndByLabels(t *testing.T) {
	elsewhere := podOf("web-9", "rs-1", "web")
	elsewhere.Namespace = "bank"
	list := []*corev1.Pod{
		podOf("web-2", "rs-1", "web"), podOf("web-1", "rs-1", "web"), podOf("web-4", "rs-2", "web"), podOf("web-3", "rs-2", "web"),
		podOf("bare", "", "web"), podOf("job", "rs-3", "job"), elsewhere,
	}
	inBubble(t, list, func(t *testing.T, x running) {
		check := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		check("of one controller", names(x.Owned("shop", "rs-1")), "web-1 web-2")
		check("of two, in the order of names", names(x.Owned("shop", "rs-2", "rs-1")), "web-1 web-2 web-3 web-4")
		check("of one that has none", names(x.Owned("shop", "rs-9")), "")
		check("of none", names(x.Owned("shop")), "")
		check("of one in another namespace", names(x.Owned("bank", "rs-1")), "web-9")
		check("by labels, whoever owns them, in the order of names", names(x.Selected("shop", selects(t, "app=web"))), "bare web-1 web-2 web-3 web-4")
		check("by labels that are not equal", names(x.Selected("shop", selects(t, "app!=web"))), "job")
		check("by labels in an empty namespace", names(x.Selected("void", selects(t, "app=web"))), "")

		held := x.Owned("shop", "rs-1")
		before := names(held)
		x.watch.Delete(podOf("web-1", "rs-1", "web"))
		synctest.Wait()
		check("a list that a reader holds, of which one has gone", names(held), before)
		x.watch.Add(podOf("web-1", "rs-1", "web"))
		x.watch.Add(podOf("web-0", "rs-1", "web"))
		relabelled := podOf("web-2", "rs-1", "job")
		x.watch.Modify(relabelled)
		x.watch.Modify(podOf("web-3", "rs-1", "web")) // adopted
		x.watch.Delete(podOf("web-1", "rs-1", "web"))
		x.watch.Delete(podOf("job", "rs-3", "job"))
		x.watch.Delete(elsewhere)
		synctest.Wait()
		check("a list that a reader holds", names(held), before)
		check("of one controller, after changes", names(x.Owned("shop", "rs-1")), "web-0 web-2 web-3")
		check("of the one that lost a pod", names(x.Owned("shop", "rs-2")), "web-4")
		check("by labels, after changes", names(x.Selected("shop", selects(t, "app=web"))), "bare web-0 web-3 web-4")
		check("by labels of the pod that got them", names(x.Selected("shop", selects(t, "app=job"))), "web-2")
		check("of a namespace that is empty now", names(x.Selected("bank", labels.Everything())), "")
	})
}

func TestPodsShareWhatTheyHaveAlike(t *testing.T) {
	one, two, other := podOf("web-1", "rs", "web"), podOf("web-2", "rs", "web"), podOf("web-3", "rs", "job")
	two.Spec.Containers[0] = container("main", "cpu=0.1") // the same, written differently
	other.Spec.Containers[0] = container("main", "cpu=200m")
	inBubble(t, []*corev1.Pod{one, two, other}, func(t *testing.T, x running) {
		list := x.Owned("shop", "rs")
		if len(list) != 3 {
			t.Fatalf("%d pods, want 3", len(list))
		}
		if list[0].Requests != list[1].Requests {
			t.Error("two pods with the same requests have a copy each")
		}
		list[0].Labels["probe"] = "shared" // as no reader may
		if list[1].Labels["probe"] != "shared" {
			t.Error("two pods with the same labels have a copy each")
		}
		if list[0].Requests == list[2].Requests || list[2].Labels["probe"] != "" {
			t.Error("pods that differ share")
		}
		for i, want := range []int64{100, 100, 200} {
			if milli, missing := list[i].RequestMilli("cpu", ""); milli != want || missing != "" {
				t.Errorf("%s requests %d %s, want %d", list[i].Name, milli, missing, want)
			}
		}
	})
}

// TestReadersSeeListsInOrder reads while pods come and go, with the race detector
// watching.
func TestReadersSeeListsInOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, x running) {
		var all sync.WaitGroup
		web := selects(t, "app=web")
		for range 4 {
			all.Go(func() {
				for range 200 {
					for _, list := range [][]*pods.Pod{x.Owned("shop", "rs-0"), x.Owned("shop", "rs-0", "rs-1"), x.Selected("shop", web)} {
						inOrder := slices.IsSortedFunc(list, func(a, b *pods.Pod) int { return strings.Compare(a.Name, b.Name) })
						if !inOrder {
							t.Errorf("not in the order of names: %s", names(list))
						}
					}
				}
			})
		}
		for i := range 900 {
			p := podOf(fmt.Sprintf("web-%d", i*7%50), fmt.Sprintf("rs-%d", i%2), "web")
			p.ResourceVersion = fmt.Sprint(i + 2)
			if i%3 == 2 {
				x.watch.Delete(p)
			} else {
				x.watch.Add(p)
			}
		}
		all.Wait()
		synctest.Wait()
		if n := len(x.Selected("shop", web)); n != x.mirror.Len() || n == 0 {
			t.Errorf("%d pods in the index, %d in the mirror", n, x.mirror.Len())
		}
	})
}
