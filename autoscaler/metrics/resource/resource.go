// Package resource reads the use of resources by pods and their containers from
// metrics.k8s.io, as metrics-server serves it, and relates it to the pods'
// requests. It lists few and large: a namespace once, or the cluster once, for
// all workloads in it.
package resource

import (
	"context"
	"fmt"
	"math"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/failure"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/inflight"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const (
	api = "metrics.k8s.io"
	// Concurrency is how many lists are in flight at most, for both sources
	// together.
	Concurrency = 8
	// Timeout is how long one list may take.
	Timeout = 10 * time.Second
)

// Reader asks the API. Its Resource and ContainerResource are the sources; what
// one has listed for a period the other does not list again.
type Reader struct {
	lister lister
	calls  *inflight.Calls
	memory memory
}

// New returns a reader that asks through client. A *MetricsV1beta1Client is asked
// for protobuf, if the server has it, and its answers are decoded as they come;
// of any other, whole lists are read.
func New(client metricsclient.PodMetricsesGetter) *Reader {
	return &Reader{lister: listerOf(client), calls: inflight.New(Concurrency)}
}

// Resource returns the source of metrics of type Resource.
func (r *Reader) Resource() source.Source {
	return &reading{Reader: r, name: string(v1alpha1.ResourceMetricSourceType), wanted: func(q *source.Query) wanted {
		spec := q.Spec.Resource
		return wanted{resource: spec.Name, relative: spec.Target.Type == autoscalingv2.UtilizationMetricType}
	}}
}

// ContainerResource returns the source of metrics of type ContainerResource.
func (r *Reader) ContainerResource() source.Source {
	return &reading{Reader: r, name: string(v1alpha1.ContainerResourceMetricSourceType), wanted: func(q *source.Query) wanted {
		spec := q.Spec.ContainerResource
		return wanted{resource: spec.Name, container: spec.Container, relative: spec.Target.Type == autoscalingv2.UtilizationMetricType}
	}}
}

// wanted is what a query wants to know of its pods.
type wanted struct {
	resource corev1.ResourceName
	// container is empty for whole pods.
	container string
	// relative says that the use is compared with the requests.
	relative bool
}

// reading implements source.Source.
type reading struct {
	*Reader
	name   string
	wanted func(*source.Query) wanted
}

var _ source.Source = (*reading)(nil)

// Name implements source.Source.
func (s *reading) Name() string { return s.name }

// Read implements source.Source. A pod whose sample is missing, incomplete,
// negative or too large for int64 is in the answer without a sample. Nothing is
// asked for a workload without pods.
func (s *reading) Read(ctx context.Context, now time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	period := s.memory.at(now)
	lists, podless := plan(queries)
	for _, i := range podless {
		answer(i, metric(&queries[i], s.wanted(&queries[i]), nil))
	}
	done := func(l list, samples *samples, err error) {
		for _, i := range l.queries {
			if err != nil {
				answer(i, source.Unknown(scaling.ReasonUnreadable, failure.Text(api, "list pod metrics", err)))
				continue
			}
			answer(i, metric(&queries[i], s.wanted(&queries[i]), samples))
		}
	}
	if s.memory.wholeCluster(period, lists) {
		whole := merge(lists)
		samples, err := s.one(ctx, period, whole)
		s.memory.learn(now, samples, err)
		if !refused(err) {
			done(whole, samples, err)
			return
		}
	}
	inflight.Do(ctx, s.calls, len(lists),
		func(i int) (*samples, error) { return period.list(ctx, s.lister, lists[i].scope) },
		func(i int, samples *samples, err error) { done(lists[i], samples, err) })
}

// one makes one list.
func (s *reading) one(ctx context.Context, p *period, l list) (got *samples, err error) {
	inflight.Do(ctx, s.calls, 1,
		func(int) (*samples, error) { return p.list(ctx, s.lister, l.scope) },
		func(_ int, s *samples, e error) { got, err = s, e })
	return got, err
}

// metric picks the workload's pods out of the samples.
func metric(q *source.Query, w wanted, from *samples) scaling.Metric {
	m := scaling.Metric{
		PerPod: true, IgnoreUntilReady: w.resource == corev1.ResourceCPU, Pods: make([]scaling.PodReading, len(q.Pods)),
	}
	found, sampled := 0, 0
	for i, pod := range q.Pods {
		r := &m.Pods[i]
		r.Pod = pod.Name
		if w.relative {
			r.RequestMilli, r.NoRequest = pod.RequestMilli(w.resource, w.container)
		}
		sample, here := from.of(q.Namespace, pod.Name)
		if !here {
			continue
		}
		found++
		usageMilli, complete := usage(sample, w)
		if !complete {
			continue
		}
		sampled++
		r.Sampled, r.UsageMilli, r.At, r.Window = true, usageMilli, sample.at, sample.window
	}
	switch {
	case len(q.Pods) == 0 || sampled > 0:
		return m
	case found == 0:
		return source.Unknown(scaling.ReasonNoData, fmt.Sprintf("%s has no sample of any of %d pods", api, len(q.Pods)))
	}
	return source.Unknown(scaling.ReasonNoData, fmt.Sprintf("none of the samples of %d pods has a valid use of %s", found, w))
}

// usage is that of the container, or of all. A sample that lacks the container,
// or of which one of the containers that count lacks the resource, is incomplete;
// so is one without containers.
func usage(s sample, w wanted) (milli int64, complete bool) {
	for i := range s.containers {
		c := &s.containers[i]
		if w.container != "" && c.name != w.container {
			continue
		}
		complete = true
		use, found := c.use(w.resource)
		if !found || use > math.MaxInt64-milli {
			return 0, false
		}
		milli += use
	}
	return milli, complete
}

// String names what is wanted.
func (w wanted) String() string {
	if w.container == "" {
		return string(w.resource)
	}
	return fmt.Sprintf("%s by container %s", w.resource, w.container)
}
