package endpoints

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/metrics/pkg/apis/external_metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
)

// External serves external.metrics.k8s.io as adapters for Prometheus do: each request is a query.
type External struct {
	prometheus promv1.API
	now        func() time.Time
	requests   atomic.Int64
}

var _ http.Handler = (*External)(nil)

// NewExternal returns a server that asks the Prometheus at an address.
func NewExternal(prometheus string, now func() time.Time) (*External, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100
	client, err := promapi.NewClient(promapi.Config{Address: prometheus, RoundTripper: transport})
	if err != nil {
		return nil, fmt.Errorf("client of Prometheus: %w", err)
	}
	return &External{prometheus: promv1.NewAPI(client), now: now}, nil
}

// Requests is how many metrics were asked for so far.
func (e *External) Requests() int { return int(e.requests.Load()) }

const externalPath = "/apis/external.metrics.k8s.io/v1beta1"

// ServeHTTP is http.Handler's.
func (e *External) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, found := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), externalPath)
	if found && path == "" {
		writeJSON(w, externalResources())
		return
	}
	namespace, metric, _ := strings.Cut(strings.TrimPrefix(path, "/namespaces/"), "/")
	deployment, selected := strings.CutPrefix(r.URL.Query().Get("labelSelector"), "deployment=")
	if !found || metric != world.ExternalMetric || !selected || strings.ContainsAny(deployment+namespace, `"\`) {
		http.NotFound(w, r)
		return
	}
	e.requests.Add(1)
	list, err := e.read(r.Context(), namespace, deployment)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeJSON(w, list)
}

func externalResources() *metav1.APIResourceList {
	return &metav1.APIResourceList{
		TypeMeta:     metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"},
		GroupVersion: v1beta1.SchemeGroupVersion.String(),
		APIResources: []metav1.APIResource{{Name: world.ExternalMetric, Namespaced: true, Kind: "ExternalMetricValueList", Verbs: metav1.Verbs{"get"}}},
	}
}

func (e *External) read(ctx context.Context, namespace, deployment string) (*v1beta1.ExternalMetricValueList, error) {
	now := e.now()
	value, _, _, err := e.prometheus.Query(ctx, world.Query(deployment, fmt.Sprintf("namespace=%q,", namespace)), now)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", deployment, err)
	}
	list := &v1beta1.ExternalMetricValueList{
		TypeMeta: metav1.TypeMeta{Kind: "ExternalMetricValueList", APIVersion: v1beta1.SchemeGroupVersion.String()},
		Items:    []v1beta1.ExternalMetricValue{},
	}
	vector, _ := value.(model.Vector)
	for _, sample := range vector {
		list.Items = append(list.Items, v1beta1.ExternalMetricValue{
			MetricName: world.ExternalMetric, MetricLabels: map[string]string{"deployment": deployment},
			Timestamp: metav1.NewTime(now),
			Value:     *resource.NewMilliQuantity(int64(math.Round(1000*float64(sample.Value))), resource.DecimalSI),
		})
	}
	return list, nil
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // an error is a client that left
}
