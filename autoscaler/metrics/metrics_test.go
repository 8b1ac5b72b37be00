package metrics_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metricsfake "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1/fake"
	customfake "k8s.io/metrics/pkg/client/custom_metrics/fake"
	externalfake "k8s.io/metrics/pkg/client/external_metrics/fake"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var types = []string{"ContainerResource", "External", "Object", "Pods", "Prometheus", "Resource"}

func TestWithoutClientsMetricsSayWhatIsMissing(t *testing.T) {
	sources := metrics.New(metrics.Clients{})
	if diff := cmp.Diff(types, slices.Sorted(maps.Keys(sources))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for name, api := range map[string]string{
		"Resource": "metrics.k8s.io", "ContainerResource": "metrics.k8s.io", "Pods": "custom.metrics.k8s.io", "Object": "custom.metrics.k8s.io",
		"External": "external.metrics.k8s.io", "Prometheus": "Prometheus",
	} {
		answers := map[int]scaling.Metric{}
		sources[name].Read(t.Context(), time.Time{}, make([]source.Query, 2), func(i int, m scaling.Metric) { answers[i] = m })
		want := source.Unknown(scaling.ReasonUnreadable, "this autoscaler has no client for "+api)
		if diff := cmp.Diff(map[int]scaling.Metric{0: want, 1: want}, answers); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

func TestWithClientsEveryTypeIsRead(t *testing.T) {
	sources := metrics.New(metrics.Clients{
		PodMetrics: &metricsfake.FakeMetricsV1beta1{},
		Custom:     &customfake.FakeCustomMetricsClient{},
		External:   &externalfake.FakeExternalMetricsClient{},
		Prometheus: metrics.New(metrics.Clients{})["Prometheus"],
	})
	if diff := cmp.Diff(types, slices.Sorted(maps.Keys(sources))); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	missing := metrics.New(metrics.Clients{})
	for name, s := range sources {
		if s.Name() != name {
			t.Errorf("%s is called %s", name, s.Name())
		}
		if name != "Prometheus" && s == missing[name] {
			t.Errorf("%s is still missing", name)
		}
	}
}
