package marginalcost

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
)

// measures are the plugin's metrics, served on kube-scheduler's /metrics.
type measures struct {
	decisions *metrics.CounterVec
	shares    *metrics.HistogramVec
	mixShapes *metrics.GaugeVec
	mixWeight *metrics.GaugeVec
	turnover  *metrics.GaugeVec
	refresh   *metrics.HistogramVec
	packed    *metrics.GaugeVec
	unusable  *metrics.GaugeVec
}

// newMeasures registers the metrics in kube-scheduler's registry, which belongs
// to the process. Each later plugin instance (one for each profile, or for the
// next scheduler in a test) gets those registered first.
func newMeasures() (*measures, error) {
	decided, err := register(metrics.NewCounterVec(&metrics.CounterOpts{
		Namespace:      "plimsoll",
		Subsystem:      "marginalcost",
		Name:           "decisions_total",
		Help:           "Pods bound, by scheduler profile and by whether the node of least cost was chosen (won, outweighed, uncompared).",
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "outcome"}))
	if err != nil {
		return nil, err
	}
	shares, err := register(metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace:      "plimsoll",
		Subsystem:      "marginalcost",
		Name:           "placement_cost_node_shares",
		Help:           "Cost of bound placements by term, in shares of the node chosen.",
		Buckets:        []float64{0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 2},
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile", "term"}))
	if err != nil {
		return nil, err
	}
	m := &measures{decisions: decided, shares: shares}
	for _, gauge := range []struct {
		into       **metrics.GaugeVec
		name, help string
		labels     []string
	}{
		{&m.mixShapes, "mix_shapes", "Distinct shapes of pods in the mix by which capacity is valued.", []string{"profile"}},
		{&m.mixWeight, "mix_weight_pods", "Pods that the mix stands for: live ones, and unmet demand decayed.", []string{"profile"}},
		{&m.turnover, "turnover_ratio", "Share of placements that ended, by which the price of keeping nodes is weighed.", []string{"profile"}},
		{&m.packed, "packed_ratio", "Requests as a share of what the nodes in use offer.", []string{"profile", "resource"}},
		{&m.unusable, "unusable_ratio", "Free capacity beside which pods like the average one have run out of another resource, as a share of all.", []string{"profile", "resource"}},
	} {
		*gauge.into, err = register(metrics.NewGaugeVec(&metrics.GaugeOpts{
			Namespace: "plimsoll", Subsystem: "marginalcost", Name: gauge.name, Help: gauge.help, StabilityLevel: metrics.ALPHA,
		}, gauge.labels))
		if err != nil {
			return nil, err
		}
	}
	m.refresh, err = register(metrics.NewHistogramVec(&metrics.HistogramOpts{
		Namespace: "plimsoll", Subsystem: "marginalcost", Name: "refresh_duration_seconds",
		Help:           "Time to learn the mix, its prices and lifetimes anew, in the background.",
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 12),
		StabilityLevel: metrics.ALPHA,
	}, []string{"profile"}))
	return m, err
}

func (m *measures) refreshed(profile string, made *model, took time.Duration) {
	m.mixShapes.WithLabelValues(profile).Set(float64(len(made.mix.Shapes)))
	m.mixWeight.WithLabelValues(profile).Set(made.mix.Weight)
	m.turnover.WithLabelValues(profile).Set(made.turnover)
	m.refresh.WithLabelValues(profile).Observe(took.Seconds())
}

// used sets the metrics of the nodes' use, and takes back those of resources that
// are not reported any more.
func (m *measures) used(profile string, uses, before []use) {
	for _, u := range before {
		if !slices.ContainsFunc(uses, func(now use) bool { return now.resource == u.resource }) {
			labels := map[string]string{"profile": profile, "resource": string(u.resource)}
			m.packed.Delete(labels)
			m.unusable.Delete(labels)
		}
	}
	for _, u := range uses {
		m.packed.WithLabelValues(profile, string(u.resource)).Set(u.packed)
		m.unusable.WithLabelValues(profile, string(u.resource)).Set(u.unusable)
	}
}

func register[C metrics.Registerable](collector C) (C, error) {
	err := legacyregistry.Register(collector)
	var already prometheus.AlreadyRegisteredError
	if errors.As(err, &already) {
		if first, ok := already.ExistingCollector.(C); ok {
			return first, nil
		}
	}
	if err != nil {
		return collector, fmt.Errorf("register metric %s: %w", collector.FQName(), err)
	}
	return collector, nil
}

func (m *measures) observe(d decisions.Decision) {
	m.decisions.WithLabelValues(d.Profile, string(d.Outcome())).Inc()
	for _, term := range cost.Terms() {
		m.shares.WithLabelValues(d.Profile, term.String()).Observe(d.Chosen.Cost.Share(term))
	}
}
