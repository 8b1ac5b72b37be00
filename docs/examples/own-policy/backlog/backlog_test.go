package backlog_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"

	"example.com/own-autoscaler/backlog"
)

// endpoint answers requests without a network, and counts them.
type endpoint struct {
	status, body string
	asked        int
}

func (e *endpoint) RoundTrip(*http.Request) (*http.Response, error) {
	e.asked++
	if e.status == "" {
		return nil, errors.New("nobody there")
	}
	code := http.StatusOK
	if !strings.HasPrefix(e.status, "200") {
		code = http.StatusInternalServerError
	}
	return &http.Response{Status: e.status, StatusCode: code, Body: io.NopCloser(strings.NewReader(e.body))}, nil
}

func TestQueuesAreReadTogether(t *testing.T) {
	e := &endpoint{status: "200 OK", body: `{"shop/orders": 120, "bank/orders": 7}`}
	got := read(t, e, query("shop", `{"queue":"orders"}`), query("bank", `{"queue":"orders"}`), query("shop", `{"queue":"mails"}`),
		query("shop", `{"queues":"orders"}`), query("shop", `{}`))
	for i, want := range []struct {
		value  float64
		reason string
	}{{120, ""}, {7, ""}, {0, scaling.ReasonNoData}, {0, scaling.ReasonUnreadable}, {0, scaling.ReasonUnreadable}} {
		if got[i].Value != want.value || got[i].Unknown.Reason != want.reason {
			t.Errorf("query %d: %v, %+v; want %v, %q", i, got[i].Value, got[i].Unknown, want.value, want.reason)
		}
	}
	if e.asked != 1 {
		t.Errorf("%d requests for all queries, want 1", e.asked)
	}
}

func TestAnEndpointThatFailsSaysNothing(t *testing.T) {
	for name, e := range map[string]*endpoint{
		"an error":          {status: "500 Internal Server Error", body: `{"shop/orders": 1}`},
		"no JSON":           {status: "200 OK", body: `orders: 1`},
		"nobody answers":    {},
		"a number too long": {status: "200 OK", body: `{"shop/orders": 1e999}`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := read(t, e, query("shop", `{"queue":"orders"}`)); got[0].Unknown.Reason != scaling.ReasonUnreadable {
				t.Errorf("got %+v, want it unreadable", got[0])
			}
		})
	}
}

func read(t *testing.T, e *endpoint, queries ...source.Query) []scaling.Metric {
	t.Helper()
	s := backlog.New("http://backlog.example/queues")
	s.Client.Transport = e
	answers := make([]scaling.Metric, len(queries))
	s.Read(t.Context(), time.Unix(0, 0), queries, func(i int, m scaling.Metric) { answers[i] = m })
	return answers
}

func query(namespace, parameters string) source.Query {
	return source.Query{Namespace: namespace, Spec: &v1alpha1.MetricSpec{
		Type:   v1alpha1.CustomMetricSourceType,
		Custom: &v1alpha1.CustomMetricSource{Source: backlog.Name, Parameters: &apiextensionsv1.JSON{Raw: []byte(parameters)}},
	}}
}
