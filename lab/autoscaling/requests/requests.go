// Package requests counts what a client asks the API server, and times how late an autoscaler is
// by what it asks: between two evaluations of an object lies one period, and what is more is
// delay.
package requests

import (
	"cmp"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Stats is what was asked in a while.
type Stats struct {
	// Counts are requests by verb and resource, such as "GET apps/deployments/scale"; a watch counts
	// once, when it begins.
	Counts map[string]int `json:"counts"`
	// Late are the seconds from the time when an object was due, one period after its evaluation
	// before, to the answer about its metric; one for every evaluation but an object's first.
	Late []float64 `json:"late"`
}

// Total is the number of requests, those that begin a watch left out.
func (s Stats) Total() int {
	total := 0
	for kind, n := range s.Counts {
		if !strings.HasPrefix(kind, "WATCH ") {
			total += n
		}
	}
	return total
}

// Kinds are the kinds of requests, the most frequent first.
func (s Stats) Kinds() []string {
	return slices.SortedFunc(maps.Keys(s.Counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Counts[b], s.Counts[a]), cmp.Compare(a, b))
	})
}

// Recorder counts and times the requests of a client. Its methods may be called at once.
type Recorder struct {
	period time.Duration
	now    func() time.Time

	mu    sync.Mutex // guards what follows
	stats Stats
	// evaluations by object: the HorizontalPodAutoscaler controller begins each by reading the
	// scale of its target, and then reads the metric.
	evaluations map[string]evaluation
}

type evaluation struct {
	begun time.Time
	due   time.Time // zero: it is the first that was seen
}

// NewRecorder returns a recorder for a controller that evaluates every object once a period.
func NewRecorder(period time.Duration, now func() time.Time) *Recorder {
	return &Recorder{period: period, now: now, stats: emptyStats(), evaluations: map[string]evaluation{}}
}

func emptyStats() Stats { return Stats{Counts: map[string]int{}} }

// Take returns what was recorded since the last call.
func (r *Recorder) Take() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.stats
	r.stats = emptyStats()
	return taken
}

// Wrap records what goes through a transport; it is a WrapTransport of a rest.Config.
func (r *Recorder) Wrap(next http.RoundTripper) http.RoundTripper {
	return &transport{recorder: r, next: next}
}

type transport struct {
	recorder *Recorder
	next     http.RoundTripper
}

// RoundTrip is http.RoundTripper's.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	q := Parse(request.Method, request.URL)
	t.recorder.begin(q)
	response, err := t.next.RoundTrip(request)
	t.recorder.end(q)
	return response, err
}

// WrappedRoundTripper lets clients find the transport that has the connections.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }

func (r *Recorder) begin(q Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Counts[q.Kind]++
	if q.scaleOf == "" {
		return
	}
	next := evaluation{begun: r.now()}
	if before, seen := r.evaluations[q.scaleOf]; seen {
		next.due = before.begun.Add(r.period)
	}
	r.evaluations[q.scaleOf] = next
}

func (r *Recorder) end(q Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.evaluations[q.metricOf]; q.metricOf != "" && !of.due.IsZero() {
		r.stats.Late = append(r.stats.Late, r.now().Sub(of.due).Seconds())
	}
}

// Request is what a request to the API asks.
type Request struct {
	Kind string // verb and resource, with its group and subresource
	// scaleOf is the workload whose scale is read, as namespace/name, and metricOf the one whose
	// metric is: labels select it. Empty: no such request.
	scaleOf, metricOf string
}

// Parse reads a request from its method and address.
func Parse(method string, address *url.URL) Request {
	parts := strings.Split(strings.Trim(address.Path, "/"), "/")
	group, parts := groupOf(parts)
	if group == none {
		return Request{Kind: method + " discovery"}
	}
	var namespace, name string
	if len(parts) > 2 && parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	resource := parts[0]
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		resource += "/" + strings.Join(parts[2:], "/")
	}
	if group == "external.metrics.k8s.io" {
		resource = "metric" // the resource is the name of a metric
	}
	if group != "" {
		resource = group + "/" + resource
	}
	query := address.Query()
	q := Request{Kind: verb(method, name, query) + " " + resource}
	switch {
	case q.Kind == "GET apps/deployments/scale":
		q.scaleOf = namespace + "/" + name
	case strings.HasSuffix(group, "metrics.k8s.io"):
		q.metricOf = selected(namespace, query.Get("labelSelector"))
	}
	return q
}

// none is no group of the API: the request is about the API itself.
const none = "-"

// groupOf cuts the group and the version off a path.
func groupOf(parts []string) (group string, rest []string) {
	switch {
	case len(parts) > 2 && parts[0] == "api":
		return "", parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		return parts[1], parts[3:]
	}
	return none, nil
}

func verb(method, name string, query url.Values) string {
	switch {
	case method == http.MethodGet && query.Get("watch") != "" && query.Get("watch") != "false":
		return "WATCH"
	case method == http.MethodGet && name == "":
		return "LIST"
	}
	return method
}

// selected is the workload that a selector of one label and its value selects: a workload of the
// benchmark has its name as a label.
func selected(namespace, selector string) string {
	_, name, found := strings.Cut(selector, "=")
	if !found || namespace == "" || strings.ContainsAny(name, ",=") {
		return ""
	}
	return namespace + "/" + name
}
