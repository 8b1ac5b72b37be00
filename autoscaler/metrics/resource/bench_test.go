package resource_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	metricsource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// BenchmarkRead reads 50,000 pods of one container in 50 namespaces, for 5,000
// workloads on CPU, as metrics-server would serve them. An operation is one
// period; live-MB is what the reader keeps of it, peak-MB what the heap grew by
// beside the queries and the server's answer. Compare with benchstat:
//
//	go test -run '^$' -bench Read -count 6 ./autoscaler/metrics/resource
func BenchmarkRead(b *testing.B) {
	const workloads, replicas = 5000, 10
	list, queries := cluster(workloads, replicas)
	for _, c := range []struct {
		name  string
		body  []byte
		typed bool
	}{
		{"protobuf", encodeProtobuf(list), false},
		{"json", encodeJSON(list), false},
		{"typed", encodeProtobuf(list), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			a := &api{fail: func(*http.Request) (*http.Response, error) {
				r := response(http.StatusOK, "application/vnd.kubernetes.protobuf", nil)
				r.Body = io.NopCloser(bytes.NewReader(c.body))
				return r, nil
			}}
			client := a.client(b)
			if c.typed {
				client = struct {
					metricsclient.PodMetricsesGetter
				}{client}
			}
			reader := metricsource.New(client)
			before := heap()
			b.ReportAllocs()
			period := now
			for b.Loop() {
				period = period.Add(15 * time.Second)
				sampled := 0
				reader.Resource().Read(b.Context(), period, queries, func(_ int, m scaling.Metric) {
					for i := range m.Pods {
						if m.Pods[i].Sampled {
							sampled++
						}
					}
				})
				if sampled != workloads*replicas {
					b.Fatalf("%d pods are sampled", sampled)
				}
			}
			if asked := a.asked(); asked[0] != "pods" || len(asked) != b.N {
				b.Fatalf("%d requests in %d periods", len(asked), b.N)
			}
			b.ReportMetric(float64(heap()-before)/1e6, "live-MB")
			b.ReportMetric(float64(len(c.body))/1e6, "answer-MB")
			runtime.KeepAlive(reader)
		})
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func cluster(workloads, replicas int) (*metricsv1beta1.PodMetricsList, []source.Query) {
	list := &metricsv1beta1.PodMetricsList{}
	queries := make([]source.Query, workloads)
	for w := range workloads {
		namespace, name := fmt.Sprintf("team-%02d", w%50), fmt.Sprintf("service-%04d", w)
		var own []*pods.Pod
		for r := range replicas {
			m := sample(namespace, fmt.Sprintf("%s-5d8f7c9b6d-%05x", name, r*7919), used("app", uses(fmt.Sprintf("%dn", 123456789+w), fmt.Sprintf("%dKi", 100000+r))))
			m.CreationTimestamp = metav1.NewTime(now)
			m.Labels = map[string]string{"app.kubernetes.io/name": name, "pod-template-hash": "5d8f7c9b6d", "team": namespace}
			list.Items = append(list.Items, m)
			own = append(own, pod(namespace, m.Name, requests("app", "500m")))
		}
		queries[w] = query(namespace, name, corev1.ResourceCPU, utilization, own...)
	}
	return list, queries
}
