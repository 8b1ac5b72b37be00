package endpoints

import (
	"bufio"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
)

// Exposition is what Prometheus scrapes: how many requests each pod has served, of the workloads
// that are scaled by a query.
type Exposition struct {
	load      load.Load
	now       func() time.Time
	workloads atomic.Pointer[[]world.Workload]
}

var _ http.Handler = (*Exposition)(nil)

// NewExposition returns one that knows no workload yet.
func NewExposition(l load.Load, now func() time.Time) *Exposition {
	e := &Exposition{load: l, now: now}
	e.SetWorkloads(nil)
	return e
}

// SetWorkloads says which workloads there are.
func (e *Exposition) SetWorkloads(workloads []world.Workload) { e.workloads.Store(&workloads) }

// ServeHTTP is http.Handler's.
func (e *Exposition) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	out := bufio.NewWriter(w)
	now := e.now()
	_, _ = out.WriteString("# TYPE http_requests_total counter\n")
	for _, workload := range *e.workloads.Load() {
		if !workload.ByQuery() {
			continue
		}
		head := `http_requests_total{namespace="` + workload.Namespace() + `",deployment="` + workload.Name() + `",pod="`
		for pod := range world.Pods {
			_, _ = out.WriteString(head + workload.Pod(pod) + `"} ` +
				strconv.FormatFloat(e.load.Requests(int(workload), pod, now), 'f', 3, 64) + "\n")
		}
	}
	_ = out.Flush() // an error is a client that left
}
