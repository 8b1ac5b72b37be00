package main

import (
	"context"

	dto "github.com/prometheus/client_model/go"
)

// ownMetrics is how our autoscaler times itself: it asks nothing about single objects that others
// could time.
type ownMetrics struct {
	latency *dto.Histogram // from an object's due time to its decision
}

func readOwnMetrics(ctx context.Context, p *process) (*ownMetrics, error) {
	latency, err := p.histogram(ctx, "plimsoll_autoscaler_evaluation_duration_seconds")
	return &ownMetrics{latency}, err
}

// since is the median and the 99th percentile of the time from an object's due time to its decision,
// in seconds, and how many decisions there were.
func (m ownMetrics) since(before *ownMetrics) (p50, p99, decisions float64) {
	return quantile(0.5, before.latency, m.latency), quantile(0.99, before.latency, m.latency),
		float64(m.latency.GetSampleCount() - before.latency.GetSampleCount())
}
