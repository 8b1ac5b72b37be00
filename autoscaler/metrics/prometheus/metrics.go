package prometheus

import (
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
)

// metrics are the source's own; the README lists them.
type metrics struct {
	queries  *prom.CounterVec
	duration *prom.HistogramVec
	merged   *prom.GaugeVec
	open     *prom.GaugeVec
}

// newMetrics registers the metrics with reg, if there is one.
func newMetrics(reg prom.Registerer) (*metrics, error) {
	const namespace, subsystem = "plimsoll_autoscaler", "prometheus"
	server := []string{"server"}
	m := &metrics{
		queries: prom.NewCounterVec(prom.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "queries_total",
			Help: "Queries to Prometheus servers by result: answered, partial, rejected, failed.",
		}, []string{"server", "result"}),
		duration: prom.NewHistogramVec(prom.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "query_duration_seconds",
			Help: "Duration of queries to Prometheus servers.", Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, server),
		merged: prom.NewGaugeVec(prom.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "merged_workloads",
			Help: "Queries of workloads that were answered by another's or a merged query when they were last read.",
		}, server),
		open: prom.NewGaugeVec(prom.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "circuit_open",
			Help: "1 while the server is not asked because it did not answer, else 0.",
		}, server),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prom.Collector{m.queries, m.duration, m.merged, m.open} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) observe(server string, r reply, took time.Duration) {
	result := "answered"
	switch {
	case r.down || r.undecided:
		result = "failed"
	case r.err != nil:
		result = "rejected"
	case len(r.warnings) > 0:
		result = "partial"
	}
	m.queries.WithLabelValues(server, result).Inc()
	m.duration.WithLabelValues(server).Observe(took.Seconds())
}

// forget drops what is known of a server that is no longer configured.
func (m *metrics) forget(server string) {
	of := prom.Labels{"server": server}
	m.queries.DeletePartialMatch(of)
	m.duration.DeletePartialMatch(of)
	m.merged.DeletePartialMatch(of)
	m.open.DeletePartialMatch(of)
}

func (m *metrics) circuit(server string, b *breaker, now time.Time) {
	open := 0.0
	if _, isOpen := b.isOpen(now); isOpen {
		open = 1
	}
	m.open.WithLabelValues(server).Set(open)
}
