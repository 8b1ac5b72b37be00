// Package metrics is the one list of sources of measurements. A new source is a
// folder of its own and a line here.
package metrics

import (
	"context"
	"time"

	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/custom"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/external"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Clients are what the sources ask. What is nil is not asked: metrics that need
// it are unknown, and say what is missing.
type Clients struct {
	// PodMetrics is a client of metrics.k8s.io.
	PodMetrics metricsclient.PodMetricsesGetter
	// Custom is a client of custom.metrics.k8s.io. It takes no context: its
	// configuration needs a timeout.
	Custom customclient.CustomMetricsClient
	// External is a client of external.metrics.k8s.io. It takes no context: its
	// configuration needs a timeout.
	External externalclient.ExternalMetricsClient
	// Prometheus is the source of metrics of type Prometheus.
	Prometheus source.Source
}

// New returns every source by its name. They may be read at once, and share
// nothing with those of another call.
func New(c Clients) map[string]source.Source {
	sources := []source.Source{
		missing{v1alpha1.ResourceMetricSourceType, "metrics.k8s.io"},
		missing{v1alpha1.ContainerResourceMetricSourceType, "metrics.k8s.io"},
		missing{v1alpha1.PodsMetricSourceType, "custom.metrics.k8s.io"},
		missing{v1alpha1.ObjectMetricSourceType, "custom.metrics.k8s.io"},
		missing{v1alpha1.ExternalMetricSourceType, "external.metrics.k8s.io"},
		missing{v1alpha1.PrometheusMetricSourceType, "Prometheus"},
	}
	if c.PodMetrics != nil {
		r := resource.New(c.PodMetrics)
		sources = append(sources, r.Resource(), r.ContainerResource())
	}
	if c.Custom != nil {
		r := custom.New(c.Custom)
		sources = append(sources, r.Pods(), r.Object())
	}
	if c.External != nil {
		sources = append(sources, external.New(c.External))
	}
	if c.Prometheus != nil {
		sources = append(sources, c.Prometheus)
	}
	byName := make(map[string]source.Source, len(sources))
	for _, s := range sources { // a later one replaces the one that is missing
		byName[s.Name()] = s
	}
	return byName
}

// missing implements source.Source for metrics that nobody can read.
type missing struct {
	metricType v1alpha1.MetricSourceType
	client     string
}

// Name implements source.Source.
func (m missing) Name() string { return string(m.metricType) }

// Read implements source.Source.
func (m missing) Read(_ context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	message := "this autoscaler has no client for " + m.client
	for i := range queries {
		answer(i, source.Unknown(scaling.ReasonUnreadable, message))
	}
}
