// Package resource reads the use of resources by pods from metrics.k8s.io, as
// metrics-server serves it, together with the pods' requests.
package resource

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	helpers "k8s.io/component-helpers/resource"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Source implements source.Source.
type Source struct {
	client metricsclient.PodMetricsesGetter
}

var _ source.Source = (*Source)(nil)

// New returns a source that asks through client.
func New(client metricsclient.PodMetricsesGetter) *Source { return &Source{client: client} }

// Type implements source.Source.
func (s *Source) Type() v1alpha1.MetricSourceType { return v1alpha1.ResourceMetricSourceType }

// Read implements source.Source. A pod without a sample, or with one that lacks
// a container, is in the answer without a sample.
func (s *Source) Read(ctx context.Context, q source.Query) scaling.Metric {
	list, err := s.client.PodMetricses(q.Namespace).List(ctx, metav1.ListOptions{LabelSelector: q.Selector.String()})
	if err != nil {
		return source.Unknown(scaling.ReasonUnreadable, fmt.Sprintf("list pod metrics: %v", err))
	}
	samples := make(map[string]*metricsv1beta1.PodMetrics, len(list.Items))
	for i := range list.Items {
		samples[list.Items[i].Name] = &list.Items[i]
	}
	name := corev1.ResourceName(q.Spec.Resource.Name)
	m := scaling.Metric{IgnoreUntilReady: name == corev1.ResourceCPU, Pods: make([]scaling.PodReading, 0, len(q.Pods))}
	for _, pod := range q.Pods {
		m.Pods = append(m.Pods, reading(pod, samples[pod.Name], name))
	}
	return m
}

func reading(pod *corev1.Pod, sample *metricsv1beta1.PodMetrics, name corev1.ResourceName) scaling.PodReading {
	r := scaling.PodReading{Pod: pod.Name}
	r.RequestMilli, r.NoRequest = request(pod, name)
	if sample == nil {
		return r
	}
	usageMilli, complete := usage(sample, name)
	if !complete {
		return r
	}
	r.Sampled, r.UsageMilli = true, usageMilli
	r.At, r.Window = sample.Timestamp.Time, sample.Window.Duration
	return r
}

// usage adds up the containers. A sample without containers, or one of whose
// containers lacks the resource, is incomplete.
func usage(sample *metricsv1beta1.PodMetrics, name corev1.ResourceName) (milli int64, complete bool) {
	for _, c := range sample.Containers {
		quantity, found := c.Usage[name]
		if !found {
			return 0, false
		}
		milli += quantity.MilliValue()
	}
	return milli, len(sample.Containers) > 0
}

// request is the pod's request in thousandths, or why there is none: that of
// the pod as a whole if it has one, else the sum over its containers and
// restartable init containers, each of which must have one.
func request(pod *corev1.Pod, name corev1.ResourceName) (milli int64, missing string) {
	if helpers.IsPodLevelRequestsSet(pod) {
		quantity, found := helpers.PodRequests(pod, helpers.PodResourcesOptions{})[name]
		if !found {
			return 0, fmt.Sprintf("pod %s has no request for %s", pod.Name, name)
		}
		return quantity.MilliValue(), ""
	}
	add := func(c corev1.Container) bool {
		quantity, found := c.Resources.Requests[name]
		if !found {
			missing = fmt.Sprintf("container %s of pod %s has no request for %s", c.Name, pod.Name, name)
		}
		milli += quantity.MilliValue()
		return found
	}
	for _, c := range pod.Spec.Containers {
		if !add(c) {
			return 0, missing
		}
	}
	for _, c := range pod.Spec.InitContainers {
		restartable := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		if restartable && !add(c) {
			return 0, missing
		}
	}
	return milli, ""
}
