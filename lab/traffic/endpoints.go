package traffic

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
)

// ScrapeAnnotation on a pod, with the value "true", makes it a target of Prometheus.
const ScrapeAnnotation = "prometheus.io/scrape"

// view is one step's result, as the endpoints show it.
type view struct {
	time  time.Time
	pods  map[podKey]podView
	nodes map[string]*nodeView // alive ones
}

type podKey struct{ namespace, name string }

func compareKeys(a, b podKey) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.name, b.name))
}

type podView struct {
	app   string
	pod   *corev1.Pod
	state application.PodState
}

type nodeView struct {
	cores, cpuSeconds, memoryBytes float64
	pods                           []podKey
}

// handler serves the endpoints of kubelets and pods from the latest view.
type handler struct{ *http.ServeMux }

func newHandler(latest func() *view) handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /nodes/{node}/metrics/resource", func(w http.ResponseWriter, r *http.Request) {
		v := latest()
		node, alive := v.nodes[r.PathValue("node")]
		if !alive {
			http.Error(w, "this node's kubelet does not run", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", application.ContentType)
		w.Write(appendResourceMetrics(nil, v, node)) // the client's end of the connection is its own affair
	})
	mux.HandleFunc("GET /pods/{namespace}/{pod}/metrics", func(w http.ResponseWriter, r *http.Request) {
		key := podKey{r.PathValue("namespace"), r.PathValue("pod")}
		v := latest()
		p, running := v.pods[key]
		if !running || v.nodes[p.pod.Spec.NodeName] == nil {
			http.Error(w, "this pod does not run", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", application.ContentType)
		w.Write(application.AppendMetrics(nil, application.Labels{Namespace: key.namespace, Pod: key.name, App: p.app, At: v.time}, p.state))
	})
	return handler{mux}
}

// ServeHTTP serves /nodes/<node>/metrics/resource and /pods/<namespace>/<pod>/metrics.
func (d *Driver) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.mux.ServeHTTP(w, r) }

// appendResourceMetrics writes what a kubelet's /metrics/resource holds (KEP-727), with the time
// of the step as timestamp: a rate between two scrapes is then exact.
func appendResourceMetrics(buf []byte, v *view, node *nodeView) []byte {
	ms := v.time.UnixMilli()
	buf = appendHeader(buf, "node_cpu_usage_seconds_total", "counter")
	buf = appendSample(buf, "node_cpu_usage_seconds_total", "", node.cpuSeconds, ms)
	buf = appendHeader(buf, "node_memory_working_set_bytes", "gauge")
	buf = appendSample(buf, "node_memory_working_set_bytes", "", node.memoryBytes, ms)
	for _, family := range []struct {
		name, kind string
		value      func(podView) float64
	}{
		{"container_cpu_usage_seconds_total", "counter", func(p podView) float64 { return p.state.CPUSeconds }},
		{"container_memory_working_set_bytes", "gauge", func(p podView) float64 { return float64(p.state.MemoryBytes) }},
		{"container_start_time_seconds", "gauge", func(p podView) float64 { return startSeconds(p.pod) }},
	} {
		buf = appendHeader(buf, family.name, family.kind)
		for _, key := range node.pods {
			p := v.pods[key]
			labels := `{container="` + p.pod.Spec.Containers[0].Name + `",namespace="` + key.namespace + `",pod="` + key.name + `"}`
			buf = appendSample(buf, family.name, labels, family.value(p), ms)
		}
	}
	return buf
}

func appendHeader(buf []byte, name, kind string) []byte {
	return append(append(append(append(append(buf, "# TYPE "...), name...), ' '), kind...), '\n')
}

func appendSample(buf []byte, name, labels string, value float64, ms int64) []byte {
	buf = append(append(append(buf, name...), labels...), ' ')
	buf = strconv.AppendFloat(buf, value, 'g', -1, 64)
	buf = append(buf, ' ')
	buf = strconv.AppendInt(buf, ms, 10)
	return append(buf, '\n')
}

func startSeconds(pod *corev1.Pod) float64 {
	for _, s := range pod.Status.ContainerStatuses {
		if s.State.Running != nil {
			return float64(s.State.Running.StartedAt.UnixMilli()) / 1000
		}
	}
	return float64(pod.CreationTimestamp.UnixMilli()) / 1000
}

// Targets are the running pods that ask to be scraped, as a Prometheus with Kubernetes service
// discovery would find them. The address is host:port of this driver's endpoints.
func (d *Driver) Targets(address string) []*targetgroup.Group {
	v := d.view.Load()
	var out []*targetgroup.Group
	for key, p := range v.pods {
		if p.pod.Annotations[ScrapeAnnotation] != "true" {
			continue
		}
		out = append(out, &targetgroup.Group{
			Source: key.namespace + "/" + key.name,
			Targets: []model.LabelSet{{
				model.AddressLabel:     model.LabelValue(address),
				model.MetricsPathLabel: model.LabelValue("/pods/" + key.namespace + "/" + key.name + "/metrics"),
				model.InstanceLabel:    model.LabelValue(p.pod.Status.PodIP + ":8080"),
			}},
			Labels: model.LabelSet{
				"namespace": model.LabelValue(key.namespace), "pod": model.LabelValue(key.name),
				"app": model.LabelValue(p.app), "node": model.LabelValue(p.pod.Spec.NodeName),
			},
		})
	}
	slices.SortFunc(out, func(a, b *targetgroup.Group) int { return strings.Compare(a.Source, b.Source) })
	return out
}
