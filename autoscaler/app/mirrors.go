package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/shadow"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// mirrors keep copies of everything that is read over and over; they run whether
// this process leads or not, so that it can take over at once.
type mirrors struct {
	namespace string
	kube      kubernetes.Interface
	dynamic   dynamic.Interface
	mapper    meta.RESTMapper
	pods      *mirror.Mirror[*pods.Pod]
	workloads *workloads.Reader
	claims    *rivals.Index
	// objects are ours; nil if only others' are shadowed.
	objects *objects
	// table takes HorizontalPodAutoscalers to shadow; nil to take none.
	table         *shadow.Table
	shadowChanged func(types.NamespacedName)

	autoscalersSynced atomic.Pointer[func() bool]
}

func (m *mirrors) addObjects(o *objects, changed func(types.NamespacedName)) {
	o.follow(m.claims, changed)
	m.objects = o
}

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*mirrors) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (m *mirrors) Start(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { m.pods.Run(ctx, m.source(m.kube.CoreV1().RESTClient(), "pods"), &corev1.Pod{}) })
	all.Go(func() {
		m.workloads.Run(ctx, func(resource string) cache.ListerWatcher { return m.source(m.kube.AppsV1().RESTClient(), resource) })
	})
	if m.objects != nil {
		all.Go(func() { m.objects.mirror.Run(ctx, m.objects.source(m.namespace), &v1alpha1.WorkloadAutoscaler{}) })
		all.Go(func() { m.watchScaledObjects(ctx) })
	}
	hpas := mirror.New(m.convertAutoscaler, m.autoscalerChanged)
	synced := hpas.HasSynced
	m.autoscalersSynced.Store(&synced)
	all.Go(func() {
		hpas.Run(ctx, m.source(m.kube.AutoscalingV2().RESTClient(), "horizontalpodautoscalers"), &autoscalingv2.HorizontalPodAutoscaler{})
	})
	all.Wait()
	return nil
}

func (m *mirrors) source(c rest.Interface, resource string) cache.ListerWatcher {
	return cache.NewListWatchFromClient(c, resource, m.namespace, fields.Everything())
}

// hasSynced reports whether every mirror has once been complete.
func (m *mirrors) hasSynced() bool {
	hpas := m.autoscalersSynced.Load()
	return hpas != nil && (*hpas)() && m.pods.HasSynced() && m.workloads.HasSynced() && (m.objects == nil || m.objects.mirror.HasSynced())
}

// wait waits until every mirror has been complete; false if ctx ends before.
func (m *mirrors) wait(ctx context.Context) bool {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !m.hasSynced() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return true
}

func (m *mirrors) ready(*http.Request) error {
	if !m.hasSynced() {
		return errors.New("not everything has been listed yet")
	}
	return nil
}

// foreign is what is kept of another autoscaler's object.
type foreign struct {
	target workloads.Key
	// hpa is the whole object if it is to be shadowed, else nil.
	hpa *autoscalingv2.HorizontalPodAutoscaler
}

func (m *mirrors) convertAutoscaler(object runtime.Object) (foreign, error) {
	hpa, is := object.(*autoscalingv2.HorizontalPodAutoscaler)
	if !is {
		return foreign{}, fmt.Errorf("not a HorizontalPodAutoscaler: %T", object)
	}
	ref := hpa.Spec.ScaleTargetRef
	f := foreign{target: workloads.KeyOf(hpa.Namespace, v1alpha1.ScaleTargetRef{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name})}
	if m.table != nil {
		f.hpa = hpa
	}
	return f, nil
}

func (m *mirrors) autoscalerChanged(c mirror.Change[foreign]) {
	claim := rivals.Claim{Kind: "HorizontalPodAutoscaler", Name: c.Key.Name}
	m.reclaim(c, claim)
	if m.table == nil {
		return
	}
	if c.New == nil {
		m.table.Remove(c.Key)
	} else if m.table.Set(c.New.hpa) {
		m.shadowChanged(c.Key)
	}
}

func (m *mirrors) reclaim(c mirror.Change[foreign], claim rivals.Claim) {
	if c.Old != nil && (c.New == nil || c.New.target != c.Old.target) {
		m.claims.Remove(c.Old.target, claim)
	}
	if c.New != nil {
		m.claims.Add(c.New.target, claim)
	}
}

// scaledObject is KEDA's kind of object; there may be none of it in a cluster.
func scaledObject() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ScaledObject"}
}

// lookEvery is how often it is tried whether a cluster has ScaledObjects by now.
const lookEvery = time.Minute

// watchScaledObjects keeps the claims of ScaledObjects up to date, once there are
// any.
func (m *mirrors) watchScaledObjects(ctx context.Context) {
	gvk := scaledObject()
	for {
		mapping, err := m.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err == nil {
			m.mirrorScaledObjects(ctx, mapping.Resource)
			return
		}
		if !meta.IsNoMatchError(err) {
			klog.FromContext(ctx).Error(err, "Looking for ScaledObjects failed")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
}

func (m *mirrors) mirrorScaledObjects(ctx context.Context, resource schema.GroupVersionResource) {
	client := m.dynamic.Resource(resource).Namespace(m.namespace)
	source := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return client.List(ctx, o) },
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return client.Watch(ctx, o)
		},
	}
	mirror.New(convertScaledObject, func(c mirror.Change[foreign]) {
		m.reclaim(c, rivals.Claim{Kind: scaledObject().Kind, Name: c.Key.Name})
	}).Run(ctx, source, &unstructured.Unstructured{})
}

// convertScaledObject reads spec.scaleTargetRef, whose defaults are those of KEDA.
func convertScaledObject(object runtime.Object) (foreign, error) {
	u, is := object.(*unstructured.Unstructured)
	if !is {
		return foreign{}, fmt.Errorf("not a ScaledObject: %T", object)
	}
	read := func(name, otherwise string) string {
		if s, _, _ := unstructured.NestedString(u.Object, "spec", "scaleTargetRef", name); s != "" {
			return s
		}
		return otherwise
	}
	ref := v1alpha1.ScaleTargetRef{APIVersion: read("apiVersion", "apps/v1"), Kind: read("kind", "Deployment"), Name: read("name", "")}
	return foreign{target: workloads.KeyOf(u.GetNamespace(), ref)}, nil
}
