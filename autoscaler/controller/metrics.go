package controller

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Metrics are the controller's own metrics; the README lists them.
type Metrics struct {
	evaluations  *prometheus.CounterVec
	delay        prometheus.Histogram
	round        prometheus.Histogram
	skipped      prometheus.Counter
	reads        *prometheus.CounterVec
	readDuration *prometheus.HistogramVec
	statusWrites *prometheus.CounterVec
	registry     prometheus.Registerer
}

const namespace = "plimsoll_autoscaler"

// NewMetrics registers the metrics with reg, once.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	seconds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15, 30}
	m := &Metrics{
		registry: reg,
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "evaluations_total",
			Help: "Evaluations by result: scaled_out, scaled_in, unchanged, unknown, fallback, standstill, failed.",
		}, []string{"result"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "evaluation_duration_seconds",
			Help: "Time from when an object was due to be evaluated until it was decided on and set, its metrics read.", Buckets: seconds,
		}),
		round: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "round_duration_seconds",
			Help: "Duration of the evaluation of all objects, once a period.", Buckets: seconds,
		}),
		skipped: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "evaluations_skipped_total",
			Help: "Evaluations left out because the one before was not over.",
		}),
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "metric_reads_total",
			Help: "Metrics read for an object, by source and by result: known, or why it is unknown.",
		}, []string{"source", "result"}),
		readDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "metric_read_duration_seconds",
			Help: "Duration of reading all of a round's metrics from a source.", Buckets: seconds,
		}, []string{"source"}),
		statusWrites: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "status_writes_total",
			Help: "Writes of status by result: written, failed, gone.",
		}, []string{"result"}),
	}
	for _, c := range []prometheus.Collector{m.evaluations, m.delay, m.round, m.skipped, m.reads, m.readDuration, m.statusWrites} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) observe(e *evaluation, took time.Duration) {
	m.evaluations.WithLabelValues(result(e)).Inc()
	m.delay.Observe(took.Seconds())
}

func (m *Metrics) observeRead(source string, u scaling.Unknown) {
	outcome := "known"
	if u.Set() {
		outcome = u.Reason
	}
	m.reads.WithLabelValues(source, outcome).Inc()
}

func result(e *evaluation) string {
	switch {
	case e.problem.reason != "" || e.writeError != nil:
		return "failed"
	case e.standstill.reason != "":
		return "standstill"
	case e.applied > e.current():
		return "scaled_out"
	case e.applied < e.current():
		return "scaled_in"
	case e.verdict.FellBack:
		return "fallback"
	case e.verdict.Asked && !e.verdict.Decision.Known:
		return "unknown"
	}
	return "unchanged"
}

// Collector returns the metrics that there are one of for each object, made when
// they are asked for. Prefix goes before the names, for another kind of objects.
func (c *Controller) Collector(prefix string) prometheus.Collector {
	object := []string{"namespace", "name"}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+prefix+name, help, append(object, labels...), nil)
	}
	return &objectCollector{
		c:        c,
		current:  desc("current_replicas", "Replicas the target had when it was last evaluated."),
		desired:  desc("desired_replicas", "Replicas last decided on."),
		least:    desc("min_replicas", "Least replicas allowed by the object, without its schedules."),
		most:     desc("max_replicas", "Most replicas allowed by the object, without its schedules."),
		proposal: desc("metric_proposal_replicas", "Replicas that a metric alone asks for.", "metric"),
		limited:  desc("limited", "1 for the constraint that last changed the number.", "reason"),
		state:    desc("condition", "1 if a condition of the object is true, 0 if it is false.", "type", "reason"),
		objects:  prometheus.NewDesc(namespace+"_"+prefix+"objects", "Objects evaluated, by mode.", []string{"mode"}, nil),
	}
}

type objectCollector struct {
	c                                                                *Controller
	current, desired, least, most, proposal, limited, state, objects *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (o *objectCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{o.current, o.desired, o.least, o.most, o.proposal, o.limited, o.state, o.objects} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (o *objectCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	modes := map[string]int{}
	for _, s := range o.c.snapshot() {
		modes[string(s.spec.Mode)]++
		ns, name := s.key.Namespace, s.key.Name
		gauge(o.current, float64(s.status.CurrentReplicas), ns, name)
		gauge(o.desired, float64(s.status.DesiredReplicas), ns, name)
		if s.spec.MinReplicas != nil {
			gauge(o.least, float64(*s.spec.MinReplicas), ns, name)
		}
		gauge(o.most, float64(s.spec.MaxReplicas), ns, name)
		seen := map[string]bool{}
		for i, m := range s.status.Metrics {
			label := m.Name
			if seen[label] {
				label += "[" + strconv.Itoa(i) + "]"
			}
			seen[label] = true
			if m.Proposal != nil {
				gauge(o.proposal, float64(*m.Proposal), ns, name, label)
			}
		}
		if d := s.status.LastDecision; d != nil && len(d.Constraints) > 0 {
			gauge(o.limited, 1, ns, name, d.Constraints[len(d.Constraints)-1])
		}
		for _, c := range s.status.Conditions {
			v := 0.0
			if c.Status == "True" {
				v = 1
			}
			gauge(o.state, v, ns, name, c.Type, c.Reason)
		}
	}
	for mode, n := range modes {
		gauge(o.objects, float64(n), mode)
	}
}

// shown is an object as it is shown to others.
type shown struct {
	key    types.NamespacedName
	spec   *v1alpha1.WorkloadAutoscalerSpec
	status v1alpha1.WorkloadAutoscalerStatus
}

// snapshot is what there is to show of all objects that have been evaluated.
func (c *Controller) snapshot() []shown {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]shown, 0, len(c.objects))
	for key, o := range c.objects {
		if o.compiled != nil && o.shown != nil {
			all = append(all, shown{key, &o.compiled.spec, *o.shown})
		}
	}
	return all
}
