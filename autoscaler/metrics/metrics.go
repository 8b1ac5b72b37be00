// Package metrics is the one list of sources of measurements. A new source is a
// folder of its own and a line here.
package metrics

import (
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Clients are what the sources ask.
type Clients struct {
	PodMetrics metricsclient.PodMetricsesGetter
	Prometheus *prometheus.Source
}

// New returns every source by the type of the metrics it reads.
func New(c Clients) map[v1alpha1.MetricSourceType]source.Source {
	return byType(
		resource.New(c.PodMetrics),
		c.Prometheus,
	)
}

func byType(sources ...source.Source) map[v1alpha1.MetricSourceType]source.Source {
	m := make(map[v1alpha1.MetricSourceType]source.Source, len(sources))
	for _, s := range sources {
		m[s.Type()] = s
	}
	return m
}
