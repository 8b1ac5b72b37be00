package endpoints

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
)

var at = time.Date(2026, 11, 24, 12, 0, 7, 0, time.UTC)

func now() time.Time { return at }

func workloads(n int) []world.Workload {
	all := make([]world.Workload, n)
	for i := range all {
		all[i] = world.Workload(i)
	}
	return all
}

func get(handler http.Handler, target, accept string) *http.Response {
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.Header.Set("Accept", accept)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Result()
}

func TestPodMetricsListsWhatIsAskedFor(t *testing.T) {
	m := NewPodMetrics(load.Load{Origin: at.Add(-time.Hour)}, 15*time.Second, now)
	m.SetWorkloads(workloads(world.PerNamespace + 3))
	for name, tc := range map[string]struct {
		target string
		pods   int
		first  string
	}{
		"all":                                {podMetricsPath + "/pods", 53 * world.Pods, "load-000/d00000-7f9c6d5b8-00000"},
		"of a namespace":                     {podMetricsPath + "/namespaces/load-001/pods", 3 * world.Pods, "load-001/d00050-7f9c6d5b8-00000"},
		"of a workload":                      {podMetricsPath + "/namespaces/load-000/pods?labelSelector=app%3Dd00007", world.Pods, "load-000/d00007-7f9c6d5b8-00000"},
		"of a workload in another namespace": {podMetricsPath + "/namespaces/load-001/pods?labelSelector=app%3Dd00007", 0, ""},
		"of a namespace that is not there":   {podMetricsPath + "/namespaces/load-002/pods", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := m.Lists()
			response := get(m, tc.target, "application/json")
			var list metricsv1beta1.PodMetricsList
			if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
				t.Fatal(err)
			}
			if len(list.Items) != tc.pods {
				t.Fatalf("%d pods, want %d", len(list.Items), tc.pods)
			}
			if m.Lists() != before+1 {
				t.Errorf("%d lists counted, want %d", m.Lists(), before+1)
			}
			if tc.pods == 0 {
				return
			}
			pod := list.Items[0]
			if got := pod.Namespace + "/" + pod.Name; got != tc.first {
				t.Errorf("the first is %s, want %s", got, tc.first)
			}
			if want := at.Truncate(15 * time.Second); !pod.Timestamp.Time.Equal(want) {
				t.Errorf("sampled at %v, want %v", pod.Timestamp.Time, want)
			}
			cores := pod.Containers[0].Usage.Cpu().AsApproximateFloat64()
			if least, most := 0.4*load.TargetCPUMilli/1000, 1.6*load.TargetCPUMilli/1000; cores < least || cores > most {
				t.Errorf("%g cores, want from %g to %g", cores, least, most)
			}
		})
	}
}

func TestPodMetricsSpeaksProtobuf(t *testing.T) {
	m := NewPodMetrics(load.Load{}, 15*time.Second, now)
	m.SetWorkloads(workloads(2))
	response := get(m, podMetricsPath+"/namespaces/load-000/pods", runtime.ContentTypeProtobuf+",application/json")
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	decoded, _, err := m.codec.Decode(body, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if list, ok := decoded.(*metricsv1beta1.PodMetricsList); !ok || len(list.Items) != 2*world.Pods {
		t.Errorf("a %T, want a list of the metrics of %d pods", decoded, 2*world.Pods)
	}
}

func TestAPathThatIsNoListIsNotFound(t *testing.T) {
	m := NewPodMetrics(load.Load{}, 15*time.Second, now)
	for _, target := range []string{"/apis/metrics.k8s.io/v1", podMetricsPath + "/nodes", podMetricsPath + "/namespaces/a/pods/b", podMetricsPath + "/pods?labelSelector=a%3D%3D%3D"} {
		if response := get(m, target, ""); response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", target, response.StatusCode)
		}
	}
	if m.Lists() != 0 {
		t.Errorf("%d lists counted, want none", m.Lists())
	}
}

func TestTheExpositionHasACounterForEachPodOfAQuery(t *testing.T) {
	e := NewExposition(load.Load{Origin: at.Add(-time.Hour)}, now)
	e.SetWorkloads(workloads(4))
	text, err := io.ReadAll(get(e, "/metrics", "").Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != 1+2*world.Pods {
		t.Fatalf("%d lines, want a type and %d counters:\n%s", len(lines), 2*world.Pods, text)
	}
	const want = `http_requests_total{namespace="load-000",deployment="d00001",pod="d00001-7f9c6d5b8-00000"} `
	if !strings.HasPrefix(lines[1], want) {
		t.Errorf("the first counter is %s, want %s and a number", lines[1], want)
	}
}

// prometheus answers every query with one sample, and keeps the last query.
type prometheus struct{ query string }

func (p *prometheus) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.query = r.FormValue("query")
	_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"101.25"]}]}}`)
}

func TestAnExternalMetricIsOneQueryThroughTheDoor(t *testing.T) {
	behind := &prometheus{}
	server := httptest.NewServer(behind)
	defer server.Close()
	door, err := NewDoor(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(door)
	defer front.Close()
	external, err := NewExternal(front.URL, now)
	if err != nil {
		t.Fatal(err)
	}
	response := get(external, externalPath+"/namespaces/load-000/http_requests_per_second?labelSelector=deployment%3Dd00001", "")
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(body), `"value":"101250m"`) {
		t.Errorf("answer %s, want a value of 101250m", body)
	}
	if want := `sum(rate(http_requests_total{namespace="load-000",deployment="d00001"}[1m]))`; behind.query != want {
		t.Errorf("query %s\nwant  %s", behind.query, want)
	}
	if door.Queries() != 1 || external.Requests() != 1 {
		t.Errorf("%d queries and %d requests counted, want 1 and 1", door.Queries(), external.Requests())
	}
}
