// Package source is the contract of a source of measurements: what it is asked
// and what it answers.
package source

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Source reads metrics of one type.
type Source interface {
	// Type is the metrics[].type of the metrics it reads.
	Type() v1alpha1.MetricSourceType
	// Read reads one metric. That it could not be read is part of the answer,
	// with a reason, and no error. It returns soon after ctx has ended. Name
	// and target of the answer are the caller's to fill in.
	Read(ctx context.Context, q Query) scaling.Metric
}

// Query is one metric of one workload.
type Query struct {
	// Now is the time of the evaluation.
	Now time.Time
	// Namespace is that of the workload.
	Namespace string
	// Spec is the metric, valid and with its defaults.
	Spec v1alpha1.MetricSpec
	// Selector selects the workload's pods.
	Selector labels.Selector
	// Pods are the workload's pods. They are not to be modified.
	Pods []*corev1.Pod
}

// Unknown is the answer that says why there is none.
func Unknown(reason, message string) scaling.Metric {
	return scaling.Metric{Unknown: scaling.Unknown{Reason: reason, Message: message}}
}
