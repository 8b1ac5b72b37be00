package requests

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse("https://127.0.0.1:6443" + text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParse(t *testing.T) {
	for name, tc := range map[string]struct {
		method, address string
		want            Request
	}{
		"a scale is read": {
			"GET", "/apis/apps/v1/namespaces/load-000/deployments/d0001/scale",
			Request{Kind: "GET apps/deployments/scale", scaleOf: "load-000/d0001"},
		},
		"a scale is written": {
			"PUT", "/apis/apps/v1/namespaces/load-000/deployments/d0001/scale",
			Request{Kind: "PUT apps/deployments/scale"},
		},
		"pods are listed": {"GET", "/api/v1/pods?limit=500", Request{Kind: "LIST pods"}},
		"one pod is read": {"GET", "/api/v1/namespaces/a/pods/b", Request{Kind: "GET pods"}},
		"pods are watched": {
			"GET", "/api/v1/pods?watch=true&resourceVersion=1", Request{Kind: "WATCH pods"},
		},
		"metrics of the pods of one workload": {
			"GET", "/apis/metrics.k8s.io/v1beta1/namespaces/load-000/pods?labelSelector=app%3Dd0001",
			Request{Kind: "LIST metrics.k8s.io/pods", metricOf: "load-000/d0001"},
		},
		"metrics of the pods of a namespace": {
			"GET", "/apis/metrics.k8s.io/v1beta1/namespaces/load-000/pods", Request{Kind: "LIST metrics.k8s.io/pods"},
		},
		"metrics of several workloads are of none": {
			"GET", "/apis/metrics.k8s.io/v1beta1/namespaces/load-000/pods?labelSelector=app%3Da,tier%3Db",
			Request{Kind: "LIST metrics.k8s.io/pods"},
		},
		"an external metric, whatever its name": {
			"GET", "/apis/external.metrics.k8s.io/v1beta1/namespaces/load-000/rps?labelSelector=deployment%3Dd0001",
			Request{Kind: "LIST external.metrics.k8s.io/metric", metricOf: "load-000/d0001"},
		},
		"a status is written": {
			"PUT", "/apis/autoscaling/v2/namespaces/load-000/horizontalpodautoscalers/d0001/status",
			Request{Kind: "PUT autoscaling/horizontalpodautoscalers/status"},
		},
		"an event":          {"POST", "/api/v1/namespaces/load-000/events", Request{Kind: "POST events"}},
		"a namespace":       {"GET", "/api/v1/namespaces/load-000", Request{Kind: "GET namespaces"}},
		"groups of the API": {"GET", "/apis", Request{Kind: "GET discovery"}},
		"one group":         {"GET", "/apis/apps/v1", Request{Kind: "GET discovery"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Parse(tc.method, address(t, tc.address))
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(Request{})); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func TestLatenessIsWhatLiesBetweenEvaluationsBeyondThePeriod(t *testing.T) {
	now := time.Unix(0, 0)
	r := NewRecorder(15*time.Second, func() time.Time { return now })
	transport := r.Wrap(roundTripper(func(*http.Request) (*http.Response, error) {
		now = now.Add(250 * time.Millisecond) // every answer takes as long
		return &http.Response{}, nil
	}))
	ask := func(text string) {
		t.Helper()
		if _, err := transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: address(t, text)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		ask("/apis/apps/v1/namespaces/a/deployments/b/scale")
		ask("/apis/metrics.k8s.io/v1beta1/namespaces/a/pods?labelSelector=app%3Db")
		now = now.Add(15 * time.Second) // after an evaluation of half a second
	}
	ask("/api/v1/namespaces/a/pods?watch=true")

	got := r.Take()
	want := Stats{
		// The second is half a second late when it begins, and takes another half.
		Late: []float64{1},
		Counts: map[string]int{
			"GET apps/deployments/scale": 2, "LIST metrics.k8s.io/pods": 2, "WATCH pods": 1,
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("stats (-want +got):\n%s", diff)
	}
	if got.Total() != 4 {
		t.Errorf("%d requests in total, want 4 without the watch", got.Total())
	}
	if diff := cmp.Diff(emptyStats(), r.Take()); diff != "" {
		t.Errorf("stats taken again (-want +got):\n%s", diff)
	}
}
