// Package external reads metrics of external.metrics.k8s.io, which are about
// something outside of the cluster.
package external

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/failure"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/inflight"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/quantity"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

const (
	api = "external.metrics.k8s.io"
	// Concurrency is how many requests are in flight at most.
	Concurrency = 8
)

// Source implements source.Source.
type Source struct {
	client externalclient.ExternalMetricsClient
	calls  *inflight.Calls
}

var _ source.Source = (*Source)(nil)

// New returns a source that asks through client. The client takes no context:
// set a timeout in its configuration, or what it hangs on keeps one of the
// requests in flight for as long.
func New(client externalclient.ExternalMetricsClient) *Source {
	return &Source{client: client, calls: inflight.New(Concurrency)}
}

// Name implements source.Source.
func (s *Source) Name() string { return string(v1alpha1.ExternalMetricSourceType) }

// request is what is asked for; equal requests are made once.
type request struct {
	namespace, metric, selector string
}

// Read implements source.Source. Equal queries are asked once.
func (s *Source) Read(ctx context.Context, _ time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	groups := inflight.Groups(len(queries), func(i int) request {
		metric := &queries[i].Spec.External.Metric
		return request{queries[i].Namespace, metric.Name, metav1.FormatLabelSelector(metric.Selector)}
	})
	inflight.Do(ctx, s.calls, len(groups),
		func(i int) (*v1beta1.ExternalMetricValueList, error) { return s.list(&queries[groups[i][0]]) },
		func(i int, list *v1beta1.ExternalMetricValueList, err error) {
			m := reading(queries[groups[i][0]].Spec.External.Metric.Name, list, err)
			for _, q := range groups[i] {
				answer(q, m)
			}
		})
}

func (s *Source) list(q *source.Query) (*v1beta1.ExternalMetricValueList, error) {
	metric := &q.Spec.External.Metric
	selector := labels.Everything()
	if metric.Selector != nil {
		var err error
		if selector, err = metav1.LabelSelectorAsSelector(metric.Selector); err != nil {
			return nil, fmt.Errorf("external.metric.selector: %w", err)
		}
	}
	return s.client.NamespacedMetrics(q.Namespace).List(metric.Name, selector)
}

// reading adds up the series. The sum is as old as the oldest of them.
func reading(name string, list *v1beta1.ExternalMetricValueList, err error) scaling.Metric {
	switch {
	case err != nil:
		return failure.Of(api, "list external metric "+name, err)
	case list == nil || len(list.Items) == 0:
		return source.Unknown(scaling.ReasonNoData, api+" has no series of the metric")
	}
	sum, at := 0.0, time.Time{}
	for i := range list.Items {
		item := &list.Items[i]
		v := quantity.Value(&item.Value)
		if v < 0 {
			return source.Unknown(scaling.ReasonNegative, fmt.Sprintf("the value of series %v is %v", item.MetricLabels, v))
		}
		sum += v
		if t := item.Timestamp.Time; !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	return quantity.Reading(sum, at)
}
