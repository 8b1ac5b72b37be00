package hpa

import (
	"context"
	"strconv"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	autoscalinginformers "k8s.io/client-go/informers/autoscaling/v2"
	coreinformers "k8s.io/client-go/informers/core/v1"
	autoscalingclient "k8s.io/client-go/kubernetes/typed/autoscaling/v2"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	autoscalinglisters "k8s.io/client-go/listers/autoscaling/v2"
	corelisters "k8s.io/client-go/listers/core/v1"
	scaleclient "k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
)

// workload is the cluster as upstream's controller sees it: one
// HorizontalPodAutoscaler, its target and its pods. The fields belong to whoever
// holds the bubble while everything else in it is blocked.
type workload struct {
	hpa              *autoscalingv2.HorizontalPodAutoscaler
	spec, status     int32
	pods             podList
	readings         map[string]adapter.Reading // by the name of the metric
	version          int                        // of the object
	synced           time.Time                  // when the controller last read the scale
	synchronizations int
}

// start runs upstream's controller on the workload, as after a start of
// kube-controller-manager, and returns how to end it. It reads and writes the
// workload only when a synchronization is due: at once, and then once a period.
func (w *workload) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	informer := &hpaInformer{workload: w}
	controller := podautoscaler.NewHorizontalController(ctx, events{}, scales{w}, hpaClient{workload: w}, mapper{}, readings{w},
		informer, podInformer{workload: w}, syncPeriod, adapter.DownscaleWindow, adapter.DefaultTolerance, adapter.CPUInitialization, adapter.InitialReadinessDelay)
	done := make(chan struct{})
	go func() {
		defer close(done)
		controller.Run(ctx, 1)
	}()
	informer.handler.OnAdd(w.hpa, true)
	return func() {
		cancel()
		<-done
	}
}

// scales reads and writes the target's scale.
type scales struct{ *workload }

func (s scales) Scales(string) scaleclient.ScaleInterface { return scale{workload: s.workload} }

type scale struct {
	scaleclient.ScaleInterface // not called
	*workload
}

func (s scale) Get(context.Context, schema.GroupResource, string, metav1.GetOptions) (*autoscalingv1.Scale, error) {
	s.synced = time.Now()
	s.synchronizations++
	return &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace},
		Spec:       autoscalingv1.ScaleSpec{Replicas: s.spec},
		Status:     autoscalingv1.ScaleStatus{Replicas: s.status, Selector: "app=web"},
	}, nil
}

func (s scale) Update(_ context.Context, _ schema.GroupResource, scale *autoscalingv1.Scale, _ metav1.UpdateOptions) (*autoscalingv1.Scale, error) {
	s.spec = scale.Spec.Replicas
	return scale, nil
}

// hpaClient writes the object's status.
type hpaClient struct {
	autoscalingclient.HorizontalPodAutoscalerInterface // not called
	*workload
}

func (c hpaClient) HorizontalPodAutoscalers(string) autoscalingclient.HorizontalPodAutoscalerInterface {
	return c
}

func (c hpaClient) UpdateStatus(_ context.Context, hpa *autoscalingv2.HorizontalPodAutoscaler, _ metav1.UpdateOptions) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	c.version++
	written := c.hpa.DeepCopy()
	written.Status, written.ResourceVersion = hpa.Status, strconv.Itoa(c.version)
	c.hpa = written
	return written, nil
}

// hpaInformer is an informer of one object that hands out no events after the
// first: the controller synchronizes once a period of its own accord.
type hpaInformer struct {
	cache.SharedIndexInformer // not called
	*workload
	handler cache.ResourceEventHandler
}

var _ autoscalinginformers.HorizontalPodAutoscalerInformer = (*hpaInformer)(nil)

func (i *hpaInformer) Informer() cache.SharedIndexInformer { return i }
func (i *hpaInformer) HasSynced() bool                     { return true }
func (i *hpaInformer) GetStore() cache.Store               { return hpaStore{workload: i.workload} }

func (i *hpaInformer) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	i.handler = handler
	return nil, nil
}

func (i *hpaInformer) Lister() autoscalinglisters.HorizontalPodAutoscalerLister {
	return hpaLister{workload: i.workload}
}

// hpaStore knows how new the object is.
type hpaStore struct {
	cache.Store // not called
	*workload
}

func (s hpaStore) LastStoreSyncResourceVersion() string { return strconv.Itoa(s.version) }

type hpaLister struct {
	autoscalinglisters.HorizontalPodAutoscalerNamespaceLister // not called
	*workload
}

func (l hpaLister) List(labels.Selector) ([]*autoscalingv2.HorizontalPodAutoscaler, error) {
	return []*autoscalingv2.HorizontalPodAutoscaler{l.hpa}, nil
}

func (l hpaLister) HorizontalPodAutoscalers(string) autoscalinglisters.HorizontalPodAutoscalerNamespaceLister {
	return l
}

func (l hpaLister) Get(string) (*autoscalingv2.HorizontalPodAutoscaler, error) { return l.hpa, nil }

// podInformer lists the workload's pods of the moment.
type podInformer struct {
	cache.SharedIndexInformer // not called
	*workload
}

var _ coreinformers.PodInformer = podInformer{}

func (i podInformer) Informer() cache.SharedIndexInformer { return i }
func (i podInformer) HasSynced() bool                     { return true }
func (i podInformer) Lister() corelisters.PodLister       { return i }

func (i podInformer) List(selector labels.Selector) ([]*corev1.Pod, error) {
	return i.pods.List(selector)
}

func (i podInformer) Pods(string) corelisters.PodNamespaceLister { return i.pods }

// readings answers for the workload's metrics of the moment.
type readings struct{ *workload }

func (r readings) of(name string) answering {
	reading := r.readings[name]
	return answering{&reading}
}

func (r readings) GetResourceMetric(ctx context.Context, resource corev1.ResourceName, ns string, pods labels.Selector, container string) (metrics.PodMetricsInfo, time.Time, error) {
	return r.of(resourceKey(resource, container)).GetResourceMetric(ctx, resource, ns, pods, container)
}

func (r readings) GetRawMetric(name, ns string, pods, of labels.Selector) (metrics.PodMetricsInfo, time.Time, error) {
	return r.of(name).GetRawMetric(name, ns, pods, of)
}

func (r readings) GetObjectMetric(name, ns string, object *autoscalingv2.CrossVersionObjectReference, of labels.Selector) (int64, time.Time, error) {
	return r.of(name).GetObjectMetric(name, ns, object, of)
}

func (r readings) GetExternalMetric(name, ns string, of labels.Selector) ([]int64, time.Time, error) {
	return r.of(name).GetExternalMetric(name, ns, of)
}

// key is the name by which a metric's reading is kept.
func key(m autoscalingv2.MetricSpec) string {
	switch {
	case m.Resource != nil:
		return resourceKey(m.Resource.Name, "")
	case m.ContainerResource != nil:
		return resourceKey(m.ContainerResource.Name, m.ContainerResource.Container)
	case m.Pods != nil:
		return m.Pods.Metric.Name
	case m.Object != nil:
		return m.Object.Metric.Name
	}
	return m.External.Metric.Name
}

func resourceKey(name corev1.ResourceName, container string) string {
	return "resource " + string(name) + " " + container
}

// mapper knows Deployments.
type mapper struct{ meta.RESTMapper }

func (mapper) RESTMappings(kind schema.GroupKind, _ ...string) ([]*meta.RESTMapping, error) {
	return []*meta.RESTMapping{{
		Resource:         schema.GroupVersionResource{Group: kind.Group, Version: "v1", Resource: "deployments"},
		GroupVersionKind: kind.WithVersion("v1"),
		Scope:            meta.RESTScopeNamespace,
	}}, nil
}

// events takes events and keeps none.
type events struct{ coreclient.EventInterface }

func (e events) Events(string) coreclient.EventInterface { return e }

func (events) CreateWithEventNamespace(event *corev1.Event) (*corev1.Event, error) { return event, nil }

func (events) UpdateWithEventNamespace(event *corev1.Event) (*corev1.Event, error) { return event, nil }

func (events) PatchWithEventNamespace(event *corev1.Event, _ []byte) (*corev1.Event, error) {
	return event, nil
}
