// Package source is the contract of a source of measurements: what it is asked
// and what it answers.
package source

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Source reads metrics.
type Source interface {
	// Name is the metrics[].type of the metrics it reads, or, for sources that
	// Kubernetes does not know, the metrics[].custom.source.
	Name() string
	// Read reads the metrics of many workloads at once, those of one period, and
	// calls answer exactly once for each query, with its place in queries, as soon
	// as its answer is there: what is slow or fails for one must not delay the
	// others. That a metric could not be read is an answer, with a reason, and no
	// error. Read returns when all are answered, soon after ctx has ended at the
	// latest. It calls answer from several goroutines if it likes. Name, target,
	// optional and activation of the answer are the caller's to fill in.
	Read(ctx context.Context, now time.Time, queries []Query, answer func(i int, m scaling.Metric))
}

// Query is one metric of one workload. Nothing in it is to be modified.
type Query struct {
	// Namespace is that of the workload.
	Namespace string
	// Spec is the metric, valid and with its defaults.
	Spec *v1alpha1.MetricSpec
	// Selector selects the workload's pods, and maybe others.
	Selector labels.Selector
	// Pods are the workload's pods, in the order of their names.
	Pods []*pods.Pod
}

// Unknown is the answer that says why there is none.
func Unknown(reason, message string) scaling.Metric {
	return scaling.Metric{Unknown: scaling.Unknown{Reason: reason, Message: message}}
}
