package endpoints

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsscheme "k8s.io/metrics/pkg/client/clientset/versioned/scheme"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
)

// PodMetrics serves metrics.k8s.io: lists of the CPU use of pods, of all, of a namespace, of those
// that a selector selects. As metrics-server, it knows all pods, whoever scales them.
type PodMetrics struct {
	load       load.Load
	resolution time.Duration // how often pods are sampled
	now        func() time.Time
	codec      runtime.Serializer // protobuf

	workloads atomic.Pointer[[]world.Workload]
	lists     atomic.Int64
}

var _ http.Handler = (*PodMetrics)(nil)

// NewPodMetrics returns a server that knows no workload yet.
func NewPodMetrics(l load.Load, resolution time.Duration, now func() time.Time) *PodMetrics {
	m := &PodMetrics{
		load: l, resolution: resolution, now: now,
		codec: protobuf.NewSerializer(metricsscheme.Scheme, metricsscheme.Scheme),
	}
	m.SetWorkloads(nil)
	return m
}

// SetWorkloads says which workloads there are, in the order of their numbers.
func (m *PodMetrics) SetWorkloads(workloads []world.Workload) { m.workloads.Store(&workloads) }

// Lists is how many lists were asked for so far.
func (m *PodMetrics) Lists() int { return int(m.lists.Load()) }

const podMetricsPath = "/apis/metrics.k8s.io/v1beta1"

// ServeHTTP is http.Handler's.
func (m *PodMetrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, found := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), podMetricsPath)
	if !found {
		http.NotFound(w, r)
		return
	}
	if path == "" {
		writeJSON(w, podMetricsResources())
		return
	}
	namespace, found := strings.CutSuffix(strings.TrimPrefix(path, "/namespaces/"), "/pods")
	if path == "/pods" {
		namespace, found = "", true
	}
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil || !found {
		http.NotFound(w, r)
		return
	}
	m.lists.Add(1)
	list := m.list(namespace, selector)
	if !strings.Contains(r.Header.Get("Accept"), runtime.ContentTypeProtobuf) {
		writeJSON(w, list)
		return
	}
	w.Header().Set("Content-Type", runtime.ContentTypeProtobuf)
	_ = m.codec.Encode(list, w) // an error is a client that left
}

func podMetricsResources() *metav1.APIResourceList {
	return &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: metricsv1beta1.SchemeGroupVersion.String(),
		APIResources: []metav1.APIResource{{Name: "pods", Namespaced: true, Kind: "PodMetrics", Verbs: metav1.Verbs{"get", "list"}}},
	}
}

// list is the metrics of the pods of a namespace, or of all if it is empty.
func (m *PodMetrics) list(namespace string, selector labels.Selector) *metricsv1beta1.PodMetricsList {
	sampled := m.now().Truncate(m.resolution)
	list := &metricsv1beta1.PodMetricsList{
		TypeMeta: metav1.TypeMeta{Kind: "PodMetricsList", APIVersion: metricsv1beta1.SchemeGroupVersion.String()},
	}
	for _, workload := range m.of(namespace) {
		if !selector.Matches(labels.Set{"app": workload.Name()}) {
			continue
		}
		for pod := range world.Pods {
			list.Items = append(list.Items, metricsv1beta1.PodMetrics{
				ObjectMeta: metav1.ObjectMeta{
					Name: workload.Pod(pod), Namespace: workload.Namespace(),
					Labels: map[string]string{"app": workload.Name()}, CreationTimestamp: metav1.NewTime(sampled),
				},
				Timestamp: metav1.NewTime(sampled), Window: metav1.Duration{Duration: m.resolution},
				Containers: []metricsv1beta1.ContainerMetrics{{Name: world.Container, Usage: corev1.ResourceList{
					corev1.ResourceCPU:    *resource.NewScaledQuantity(m.load.CPUNano(int(workload), pod, sampled, m.resolution), resource.Nano),
					corev1.ResourceMemory: *resource.NewQuantity(64<<20, resource.BinarySI),
				}}},
			})
		}
	}
	return list
}

// of are the workloads of a namespace: those with consecutive numbers.
func (m *PodMetrics) of(namespace string) []world.Workload {
	all := *m.workloads.Load()
	if namespace == "" {
		return all
	}
	n, err := strconv.Atoi(strings.TrimPrefix(namespace, "load-"))
	if err != nil || n < 0 || n*world.PerNamespace >= len(all) {
		return nil
	}
	return all[n*world.PerNamespace : min(len(all), (n+1)*world.PerNamespace)]
}
