// Package shadow holds existing HorizontalPodAutoscalers beside what this
// autoscaler would decide in their place, for whoever wants to see the difference
// before trusting it. Nothing is written to the cluster.
package shadow

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Row is one HorizontalPodAutoscaler beside what would be decided in its place.
type Row struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Target is what is scaled, as Kind/name.
	Target string `json:"target"`
	// HPACurrent and HPADesired are what the HorizontalPodAutoscaler says of itself.
	HPACurrent int32 `json:"hpaCurrentReplicas"`
	HPADesired int32 `json:"hpaDesiredReplicas"`
	// Desired is what would be decided in its place; nil if nothing is known yet.
	Desired *int32 `json:"desiredReplicas,omitempty"`
	// Differs says that the two numbers differ, Since since when they do, or do
	// not.
	Differs bool      `json:"differs"`
	Since   time.Time `json:"since"`
	// Decision is how the number came about.
	Decision *v1alpha1.Decision `json:"decision,omitempty"`
	// Metrics are the metrics as last read.
	Metrics []v1alpha1.MetricStatus `json:"metrics,omitempty"`
	// Problem is why there is no decision.
	Problem string `json:"problem,omitempty"`
}

// Table holds all rows. It is where the controller finds the objects to evaluate.
type Table struct {
	convert func(*autoscalingv2.HorizontalPodAutoscaler) (*v1alpha1.WorkloadAutoscaler, field.ErrorList)
	now     func() time.Time

	differs, hpaCurrent, hpaDesired *prometheus.Desc

	mu   sync.RWMutex
	rows map[types.NamespacedName]*row
}

type row struct {
	Row
	// object is the HorizontalPodAutoscaler as an object of ours; nil if it cannot
	// be one.
	object *v1alpha1.WorkloadAutoscaler
}

// NewTable returns an empty table. Convert makes an object of ours of a
// HorizontalPodAutoscaler, or says what stands in the way.
func NewTable(convert func(*autoscalingv2.HorizontalPodAutoscaler) (*v1alpha1.WorkloadAutoscaler, field.ErrorList), now func() time.Time) *Table {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("plimsoll_autoscaler_shadow_"+name, help, []string{"namespace", "name"}, nil)
	}
	return &Table{
		convert: convert, now: now, rows: map[types.NamespacedName]*row{},
		differs:    desc("differs", "1 if what would be decided differs from what the HorizontalPodAutoscaler decided."),
		hpaCurrent: desc("hpa_current_replicas", "Replicas the HorizontalPodAutoscaler says there are."),
		hpaDesired: desc("hpa_desired_replicas", "Replicas the HorizontalPodAutoscaler last decided on."),
	}
}

// Set takes a HorizontalPodAutoscaler as it is now, and reports whether its spec
// has changed.
func (t *Table) Set(hpa *autoscalingv2.HorizontalPodAutoscaler) (changed bool) {
	key := types.NamespacedName{Namespace: hpa.Namespace, Name: hpa.Name}
	object, faults := t.convert(hpa)
	if object != nil {
		object.Namespace, object.Name, object.UID, object.Generation = hpa.Namespace, hpa.Name, hpa.UID, fingerprint(&hpa.Spec)
		object.Spec.Mode = v1alpha1.ModeRecommend
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r, found := t.rows[key]
	if !found {
		r = &row{Row: Row{Namespace: hpa.Namespace, Name: hpa.Name, Since: t.now()}}
		t.rows[key] = r
	}
	changed = !found || (object != nil && (r.object == nil || r.object.Generation != object.Generation))
	wasRefused := r.object == nil
	r.object = object
	r.Target = hpa.Spec.ScaleTargetRef.Kind + "/" + hpa.Spec.ScaleTargetRef.Name
	r.HPACurrent, r.HPADesired = hpa.Status.CurrentReplicas, hpa.Status.DesiredReplicas
	switch {
	case len(faults) > 0:
		r.Problem, r.object, r.Desired, r.Decision, r.Metrics = faults.ToAggregate().Error(), nil, nil, nil, nil
	case wasRefused:
		r.Problem = ""
	}
	t.compare(r)
	return changed
}

// fingerprint tells specs apart; not every API server counts their generations.
func fingerprint(spec *autoscalingv2.HorizontalPodAutoscalerSpec) int64 {
	h := fnv.New64a()
	_ = json.NewEncoder(h).Encode(spec) // a hash takes everything, and a spec can be encoded
	return int64(h.Sum64() >> 1)
}

// compare brings Differs and Since up to date.
func (t *Table) compare(r *row) {
	differs := r.Desired != nil && *r.Desired != r.HPADesired
	if differs != r.Differs {
		r.Differs, r.Since = differs, t.now()
	}
}

// Remove forgets a HorizontalPodAutoscaler that is gone.
func (t *Table) Remove(key types.NamespacedName) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rows, key)
}

// Keys implements controller.Objects.
func (t *Table) Keys() []types.NamespacedName {
	t.mu.RLock()
	defer t.mu.RUnlock()
	keys := make([]types.NamespacedName, 0, len(t.rows))
	for key, r := range t.rows {
		if r.object != nil {
			keys = append(keys, key)
		}
	}
	return keys
}

// Get implements controller.Objects.
func (t *Table) Get(key types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, found := t.rows[key]
	if !found || r.object == nil {
		return nil, false
	}
	return r.object, true
}

// Observe takes what would be decided.
func (t *Table) Observe(key types.NamespacedName, s v1alpha1.WorkloadAutoscalerStatus) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, found := t.rows[key]
	if !found || r.object == nil {
		return // an evaluation that was under way
	}
	desired := s.DesiredReplicas
	r.Desired, r.Decision, r.Metrics, r.Problem = &desired, s.LastDecision, s.Metrics, ""
	if ready := meta.FindStatusCondition(s.Conditions, "Ready"); ready != nil && ready.Status == "False" {
		r.Problem = ready.Reason + ": " + ready.Message
	}
	if s.LastDecision == nil {
		r.Desired = nil
	}
	t.compare(r)
}

// Rows are all rows, by namespace and name.
func (t *Table) Rows() []Row {
	t.mu.RLock()
	defer t.mu.RUnlock()
	rows := make([]Row, 0, len(t.rows))
	for _, r := range t.rows {
		rows = append(rows, r.Row)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return rows
}

// ServeHTTP implements http.Handler: the rows as JSON; those that differ only,
// with ?differs=true.
func (t *Table) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	rows := t.Rows()
	if req.URL.Query().Get("differs") == "true" {
		rows = slices.DeleteFunc(rows, func(r Row) bool { return !r.Differs })
	}
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(rows) // whoever asked has gone away
}

// Describe implements prometheus.Collector.
func (t *Table) Describe(out chan<- *prometheus.Desc) {
	out <- t.differs
	out <- t.hpaCurrent
	out <- t.hpaDesired
}

// Collect implements prometheus.Collector.
func (t *Table) Collect(out chan<- prometheus.Metric) {
	for _, r := range t.Rows() {
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, r.Namespace, r.Name)
		}
		differs := 0.0
		if r.Differs {
			differs = 1
		}
		gauge(t.differs, differs)
		gauge(t.hpaCurrent, float64(r.HPACurrent))
		gauge(t.hpaDesired, float64(r.HPADesired))
	}
}
