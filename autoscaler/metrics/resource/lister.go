package resource

import (
	"context"
	"errors"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/clientset/versioned/scheme"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
)

// lister lists pod metrics. It gives each to add, which does not keep it, and
// returns where to go on, or nothing at the end of the list.
type lister interface {
	list(ctx context.Context, s scope, from string, add func(*metricsv1beta1.PodMetrics)) (next string, err error)
}

func listerOf(client metricsclient.PodMetricsesGetter) lister {
	if c, ok := client.(*metricsclient.MetricsV1beta1Client); ok {
		return streaming{c.RESTClient()}
	}
	return typed{client}
}

func options(s scope, from string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: s.selector, Continue: from}
}

// typed reads lists as a whole.
type typed struct {
	client metricsclient.PodMetricsesGetter
}

func (t typed) list(ctx context.Context, s scope, from string, add func(*metricsv1beta1.PodMetrics)) (string, error) {
	list, err := t.client.PodMetricses(s.namespace).List(ctx, options(s, from))
	if err != nil {
		return "", err
	}
	for i := range list.Items {
		add(&list.Items[i])
	}
	return list.Continue, nil
}

// streaming reads a list item by item as it comes, so that a list of 50,000 pods
// is never in memory.
type streaming struct {
	client rest.Interface
}

func (c streaming) list(ctx context.Context, s scope, from string, add func(*metricsv1beta1.PodMetrics)) (string, error) {
	o := options(s, from)
	body, err := c.client.Get().Namespace(s.namespace).Resource("pods").VersionedParams(&o, scheme.ParameterCodec).
		SetHeader("Accept", "application/vnd.kubernetes.protobuf, application/json").Stream(ctx)
	if err != nil {
		return "", err
	}
	next, err := decode(body, add)
	_, _ = io.CopyN(io.Discard, body, 512) // a connection is used again if its answer was read to the end
	return next, errors.Join(err, body.Close())
}
