package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Metrics are the controller's own metrics; the README lists them.
type Metrics struct {
	evaluations  *prometheus.CounterVec
	duration     prometheus.Histogram
	reads        *prometheus.CounterVec
	readDuration *prometheus.HistogramVec
	current      *prometheus.GaugeVec
	desired      *prometheus.GaugeVec
}

// NewMetrics registers the metrics with reg, once.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	const namespace = "plimsoll_autoscaler"
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}
	object := []string{"namespace", "name"}
	m := &Metrics{
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "evaluations_total",
			Help: "Evaluations of WorkloadAutoscalers by result: scaled_out, scaled_in, unchanged, unknown, failed.",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "evaluation_duration_seconds",
			Help: "Duration of one evaluation, all of its requests included.", Buckets: seconds,
		}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "metric_reads_total",
			Help: "Reads of metrics by type and by result: known, unknown.",
		}, []string{"type", "result"}),
		readDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "metric_read_duration_seconds",
			Help: "Duration of one read of a metric by type.", Buckets: seconds,
		}, []string{"type"}),
		current: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "current_replicas",
			Help: "Replicas the target had when it was last evaluated.",
		}, object),
		desired: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Name: "desired_replicas",
			Help: "Replicas last decided on.",
		}, object),
	}
	for _, c := range []prometheus.Collector{m.evaluations, m.duration, m.reads, m.readDuration, m.current, m.desired} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) observe(key types.NamespacedName, e evaluation, took time.Duration) {
	m.evaluations.WithLabelValues(result(e)).Inc()
	m.duration.Observe(took.Seconds())
	if e.problem.reason == "" {
		m.current.WithLabelValues(key.Namespace, key.Name).Set(float64(e.current))
		m.desired.WithLabelValues(key.Namespace, key.Name).Set(float64(e.verdict.Limited))
	}
}

func (m *Metrics) observeRead(t v1alpha1.MetricSourceType, unknown bool, took time.Duration) {
	outcome := "known"
	if unknown {
		outcome = "unknown"
	}
	m.reads.WithLabelValues(string(t), outcome).Inc()
	m.readDuration.WithLabelValues(string(t)).Observe(took.Seconds())
}

func (m *Metrics) forget(key types.NamespacedName) {
	m.current.DeleteLabelValues(key.Namespace, key.Name)
	m.desired.DeleteLabelValues(key.Namespace, key.Name)
}

func result(e evaluation) string {
	switch {
	case e.problem.reason != "" || e.writeError != nil:
		return "failed"
	case e.applied > e.current:
		return "scaled_out"
	case e.applied < e.current:
		return "scaled_in"
	case e.verdict.Asked && !e.verdict.Decision.Known:
		return "unknown"
	}
	return "unchanged"
}
