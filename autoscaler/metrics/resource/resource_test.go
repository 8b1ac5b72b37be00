package resource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	"k8s.io/metrics/pkg/client/clientset/versioned/scheme"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	metricsfake "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1/fake"

	metricsource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var (
	now     = time.Date(2026, 1, 1, 12, 0, 10, 0, time.UTC)
	sampled = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

const window = 15 * time.Second

// api serves pod metrics, in memory.
type api struct {
	items []metricsv1beta1.PodMetrics
	// json is what it answers in; protobuf otherwise.
	json bool
	// page is how many items an answer has at most; 0 for any.
	page int
	// fail answers instead of the API if it has an answer.
	fail func(*http.Request) (*http.Response, error)

	mu       sync.Mutex
	requests []string
}

// RoundTrip implements http.RoundTripper.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	path := strings.TrimPrefix(r.URL.Path, "/apis/metrics.k8s.io/v1beta1/")
	if s := r.URL.Query().Get("labelSelector"); s != "" {
		path += "?" + s
	}
	a.mu.Lock()
	a.requests = append(a.requests, path)
	a.mu.Unlock()
	if a.fail != nil {
		if answer, err := a.fail(r); answer != nil || err != nil {
			return answer, err
		}
	}
	list := a.list(r)
	if a.json {
		return response(http.StatusOK, "application/json", encodeJSON(list)), nil
	}
	if !strings.HasPrefix(r.Header.Get("Accept"), runtime.ContentTypeProtobuf) {
		return nil, fmt.Errorf("not asked for protobuf: %s", r.Header.Get("Accept"))
	}
	return response(http.StatusOK, runtime.ContentTypeProtobuf, encodeProtobuf(list)), nil
}

func (a *api) list(r *http.Request) *metricsv1beta1.PodMetricsList {
	selector, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	if err != nil {
		panic(err)
	}
	first := 0
	_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &first)
	list := &metricsv1beta1.PodMetricsList{}
	for i, m := range a.items {
		if !selector.Matches(labels.Set(m.Labels)) || i < first {
			continue
		}
		if !strings.Contains(r.URL.Path, "/namespaces/") || strings.Contains(r.URL.Path, "/namespaces/"+m.Namespace+"/") {
			list.Items = append(list.Items, m)
		}
		if a.page > 0 && len(list.Items) == a.page && i+1 < len(a.items) {
			list.Continue = fmt.Sprint(i + 1)
			break
		}
	}
	return list
}

// asked returns the requests so far, in order of their text, and forgets them.
func (a *api) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	asked := a.requests
	a.requests = nil
	slices.Sort(asked)
	return asked
}

func (a *api) client(t testing.TB) metricsclient.PodMetricsesGetter {
	t.Helper()
	client, err := metricsclient.NewForConfigAndClient(&rest.Config{Host: "http://api", QPS: -1}, &http.Client{Transport: a})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// encodeProtobuf encodes as an API server does.
func encodeProtobuf(list *metricsv1beta1.PodMetricsList) []byte {
	encoder := protobuf.NewSerializerWithOptions(scheme.Scheme, scheme.Scheme, protobuf.SerializerOptions{StreamingCollectionsEncoding: true})
	b, err := runtime.Encode(scheme.Codecs.EncoderForVersion(encoder, metricsv1beta1.SchemeGroupVersion), list)
	if err != nil {
		panic(err)
	}
	return b
}

func encodeJSON(list *metricsv1beta1.PodMetricsList) []byte {
	list.TypeMeta = metav1.TypeMeta{APIVersion: "metrics.k8s.io/v1beta1", Kind: "PodMetricsList"}
	b, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return b
}

func response(code int, contentType string, body []byte) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(bytes.NewReader(body))}
}

// status answers with an error of the API server.
func status(code int, reason metav1.StatusReason, message string) *http.Response {
	body, err := json.Marshal(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: reason, Message: message, Code: int32(code)})
	if err != nil {
		panic(err)
	}
	return response(code, "application/json", body)
}

func uses(cpu, memory string) corev1.ResourceList {
	l := corev1.ResourceList{}
	if cpu != "" {
		l[corev1.ResourceCPU] = resource.MustParse(cpu)
	}
	if memory != "" {
		l[corev1.ResourceMemory] = resource.MustParse(memory)
	}
	return l
}

func used(name string, usage corev1.ResourceList) metricsv1beta1.ContainerMetrics {
	return metricsv1beta1.ContainerMetrics{Name: name, Usage: usage}
}

func sample(namespace, name string, containers ...metricsv1beta1.ContainerMetrics) metricsv1beta1.PodMetrics {
	return metricsv1beta1.PodMetrics{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": name[:1]}},
		Timestamp:  metav1.NewTime(sampled), Window: metav1.Duration{Duration: window}, Containers: containers,
	}
}

func pod(namespace, name string, containers ...corev1.Container) *pods.Pod {
	return pods.From(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: corev1.PodSpec{Containers: containers}})
}

func requests(name, cpu string) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: uses(cpu, "")}}
}

var utilization = autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType}

// query is about the use of a resource by pods of the namespace whose first
// letter is app.
func query(namespace, app string, name corev1.ResourceName, target autoscalingv2.MetricTarget, pods ...*pods.Pod) source.Query {
	return source.Query{
		Namespace: namespace,
		Selector:  labels.SelectorFromSet(labels.Set{"app": app}),
		Spec:      &v1alpha1.MetricSpec{Resource: &autoscalingv2.ResourceMetricSource{Name: name, Target: target}},
		Pods:      pods,
	}
}

// ofContainer is a query about one container.
func ofContainer(q source.Query, container string) source.Query {
	r := q.Spec.Resource
	q.Spec = &v1alpha1.MetricSpec{ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: r.Name, Container: container, Target: r.Target}}
	return q
}

// read reads the metrics, and fails the test if not each is answered once.
func read(t testing.TB, ctx context.Context, s source.Source, now time.Time, queries ...source.Query) []scaling.Metric {
	t.Helper()
	var mu sync.Mutex
	metrics, answers := make([]scaling.Metric, len(queries)), make([]int, len(queries))
	s.Read(ctx, now, queries, func(i int, m scaling.Metric) {
		mu.Lock()
		defer mu.Unlock()
		metrics[i] = m
		answers[i]++
	})
	for i, n := range answers {
		if n != 1 {
			t.Errorf("query %d was answered %d times", i, n)
		}
	}
	return metrics
}

func TestReadings(t *testing.T) {
	average := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType}
	good := scaling.PodReading{Pod: "a", Sampled: true, At: sampled, Window: window}
	with := func(change func(*scaling.PodReading)) scaling.PodReading {
		r := good
		change(&r)
		return r
	}
	unknown := func(message string) scaling.Metric { return source.Unknown(scaling.ReasonNoData, message) }
	cpuOf := func(r ...scaling.PodReading) scaling.Metric {
		return scaling.Metric{PerPod: true, IgnoreUntilReady: true, Pods: r}
	}
	small := sample("ns", "b", used("app", uses("1m", "1")))
	for name, c := range map[string]struct {
		query source.Query
		items []metricsv1beta1.PodMetrics
		want  scaling.Metric
	}{
		"containers are added up": {
			query("ns", "a", "cpu", utilization, pod("ns", "a", requests("app", "500m"), requests("proxy", "100m"))),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("200m", "")), used("proxy", uses("50m", "")))},
			cpuOf(with(func(r *scaling.PodReading) { r.RequestMilli, r.UsageMilli = 600, 250 })),
		},
		"fractions of a thousandth are rounded up, for each container": {
			query("ns", "a", "cpu", average, pod("ns", "a")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("1n", "")), used("proxy", uses("1100u", "")))},
			cpuOf(with(func(r *scaling.PodReading) { r.UsageMilli = 3 })),
		},
		"one container alone": {
			ofContainer(query("ns", "a", "cpu", utilization, pod("ns", "a", requests("app", "500m"), requests("proxy", "100m"))), "proxy"),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", nil), used("proxy", uses("50m", "")))},
			cpuOf(with(func(r *scaling.PodReading) { r.RequestMilli, r.UsageMilli = 100, 50 })),
		},
		"memory is not ignored until ready": {
			query("ns", "a", "memory", average, pod("ns", "a")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("", "2Ki")))},
			scaling.Metric{PerPod: true, Pods: []scaling.PodReading{with(func(r *scaling.PodReading) { r.UsageMilli = 2048000 })}},
		},
		"an average needs no request": {
			query("ns", "a", "cpu", average, pod("ns", "a", corev1.Container{Name: "bare"})),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("bare", uses("5m", "")))},
			cpuOf(with(func(r *scaling.PodReading) { r.UsageMilli = 5 })),
		},
		"a missing request is named": {
			query("ns", "a", "cpu", utilization, pod("ns", "a", requests("app", "1"), corev1.Container{Name: "bare"})),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("5m", "")))},
			cpuOf(with(func(r *scaling.PodReading) {
				r.UsageMilli, r.NoRequest = 5, "container bare of pod a has no request for cpu"
			})),
		},
		"a pod without a sample has none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a sample of which one container lacks the resource is none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("1", "")), used("proxy", uses("", "1"))), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a sample without containers is none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a"), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a sample without the container is none": {
			ofContainer(query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")), "app"),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("proxy", uses("1", ""))), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a negative use is none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("2", "")), used("proxy", uses("-1m", ""))), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a use beyond int64 is none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("10P", ""))), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a sum beyond int64 is none": {
			query("ns", "a", "cpu", average, pod("ns", "a"), pod("ns", "b")),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("9P", "")), used("proxy", uses("9P", ""))), small},
			cpuOf(scaling.PodReading{Pod: "a"}, with(func(r *scaling.PodReading) { r.Pod, r.UsageMilli = "b", 1 })),
		},
		"a pod of the same name elsewhere is another": {
			query("ns", "a", "cpu", average, pod("ns", "a")),
			[]metricsv1beta1.PodMetrics{sample("other", "a", used("app", uses("1", "")))},
			unknown("metrics.k8s.io has no sample of any of 1 pods"),
		},
		"samples without a valid use are no data": {
			ofContainer(query("ns", "a", "cpu", average, pod("ns", "a")), "proxy"),
			[]metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("1", "")))},
			unknown("none of the samples of 1 pods has a valid use of cpu by container proxy"),
		},
		"no pods are no reason to ask": {
			query("ns", "a", "cpu", utilization), nil, cpuOf([]scaling.PodReading{}...),
		},
	} {
		for _, json := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, json=%t", name, json), func(t *testing.T) {
				a := &api{items: c.items, json: json}
				reader := metricsource.New(a.client(t))
				from := reader.Resource()
				if c.query.Spec.ContainerResource != nil {
					from = reader.ContainerResource()
				}
				// A second workload has the namespace listed as a whole.
				other := query("ns", "z", "cpu", utilization, pod("ns", "zz"))
				if c.query.Spec.ContainerResource != nil {
					other = ofContainer(other, "app")
				}
				got := read(t, t.Context(), from, now, c.query, other)[0]
				if got.Pods == nil && !got.Unknown.Set() || len(got.Pods) == 0 && len(c.want.Pods) == 0 {
					got.Pods, c.want.Pods = nil, nil
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestTheFakeClientsetIsRead reads through a client that cannot stream.
func TestTheFakeClientsetIsRead(t *testing.T) {
	client := &metricsfake.FakeMetricsV1beta1{Fake: &clienttesting.Fake{}}
	client.AddReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &metricsv1beta1.PodMetricsList{Items: []metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("7m", "")))}}, nil
	})
	m := read(t, t.Context(), metricsource.New(client).Resource(), now, query("ns", "a", "cpu", utilization, pod("ns", "a", requests("app", "1"))))[0]
	if len(m.Pods) != 1 || m.Pods[0].UsageMilli != 7 {
		t.Errorf("got %+v", m)
	}
	client.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("the server is on fire")
	})
	m = read(t, t.Context(), metricsource.New(client).Resource(), now, query("ns", "a", "cpu", utilization, pod("ns", "a")))[0]
	if diff := cmp.Diff(source.Unknown(scaling.ReasonUnreadable, "list pod metrics: the server is on fire"), m); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// workloads are n, each with one pod, in as many namespaces.
func workloads(n int) (queries []source.Query, items []metricsv1beta1.PodMetrics) {
	for i := range n {
		namespace := fmt.Sprintf("ns%02d", i)
		queries = append(queries, query(namespace, "a", "cpu", utilization, pod(namespace, "a", requests("app", "1"))))
		items = append(items, sample(namespace, "a", used("app", uses(fmt.Sprintf("%dm", i+1), ""))))
	}
	return queries, items
}

func TestRequests(t *testing.T) {
	few, _ := workloads(8)
	many, _ := workloads(9)
	var namespaces []string
	for i := range 8 {
		namespaces = append(namespaces, fmt.Sprintf("namespaces/ns%02d/pods?app=a", i))
	}
	for name, c := range map[string]struct {
		queries []source.Query
		want    []string
	}{
		"one workload is listed by its selector": {
			[]source.Query{query("ns", "a", "cpu", utilization, pod("ns", "a"))}, []string{"namespaces/ns/pods?app=a"},
		},
		"two metrics of one workload are one list": {
			[]source.Query{query("ns", "a", "cpu", utilization, pod("ns", "a")), query("ns", "a", "memory", utilization, pod("ns", "a"))},
			[]string{"namespaces/ns/pods?app=a"},
		},
		"two workloads are one list of the namespace": {
			[]source.Query{query("ns", "a", "cpu", utilization, pod("ns", "a")), query("ns", "b", "cpu", utilization, pod("ns", "b"))},
			[]string{"namespaces/ns/pods"},
		},
		"a few namespaces are listed one by one":        {few, namespaces},
		"many namespaces are one list":                  {many, []string{"pods"}},
		"nothing is asked about workloads without pods": {[]source.Query{query("ns", "a", "cpu", utilization)}, nil},
		"nothing is asked about nothing":                {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{}
			read(t, t.Context(), metricsource.New(a.client(t)).Resource(), now, c.queries...)
			if diff := cmp.Diff(c.want, a.asked()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBothSourcesShareTheListsOfAPeriod(t *testing.T) {
	for name, c := range map[string]struct {
		namespaces int
		first      []string
	}{
		"of namespaces":  {1, []string{"namespaces/ns00/pods?app=a"}},
		"of the cluster": {9, []string{"pods"}},
	} {
		t.Run(name, func(t *testing.T) {
			queries, items := workloads(c.namespaces)
			a := &api{items: items}
			reader := metricsource.New(a.client(t))
			m := read(t, t.Context(), reader.Resource(), now, queries...)
			if diff := cmp.Diff(c.first, a.asked()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			n := read(t, t.Context(), reader.ContainerResource(), now, ofContainer(queries[0], "app"))
			if diff := cmp.Diff(m[0], n[0]); diff != "" {
				t.Errorf("(-of the pod +of its only container):\n%s", diff)
			}
			if asked := a.asked(); asked != nil {
				t.Errorf("asked again: %q", asked)
			}
			read(t, t.Context(), reader.ContainerResource(), now.Add(15*time.Second), ofContainer(queries[0], "app"))
			if len(a.asked()) != 1 {
				t.Error("a list of one period served the next")
			}
		})
	}
}

func TestAListOfANamespaceServesItsWorkloads(t *testing.T) {
	a := &api{items: []metricsv1beta1.PodMetrics{sample("ns", "a", used("app", uses("1m", ""))), sample("ns", "b", used("app", uses("2m", "")))}}
	reader := metricsource.New(a.client(t))
	first, second := query("ns", "a", "cpu", utilization, pod("ns", "a")), query("ns", "b", "cpu", utilization, pod("ns", "b"))
	read(t, t.Context(), reader.Resource(), now, first, second)
	m := read(t, t.Context(), reader.ContainerResource(), now, ofContainer(second, "app"))[0]
	if len(m.Pods) != 1 || m.Pods[0].UsageMilli != 2 {
		t.Errorf("got %+v", m)
	}
	if diff := cmp.Diff([]string{"namespaces/ns/pods"}, a.asked()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestListsOverAllNamespaces(t *testing.T) {
	forbidden := func(r *http.Request) (*http.Response, error) {
		if strings.Contains(r.URL.Path, "/namespaces/") {
			return nil, nil
		}
		return status(http.StatusForbidden, metav1.StatusReasonForbidden, "not in all namespaces"), nil
	}
	down := func(r *http.Request) (*http.Response, error) {
		return status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable, "the server is currently unable to handle the request"), nil
	}
	absent := func(r *http.Request) (*http.Response, error) {
		return response(http.StatusNotFound, "text/plain", []byte("404 page not found")), nil
	}
	queries, items := workloads(9)
	crowd := slices.Clone(items)
	for i := range 5000 {
		crowd = append(crowd, sample("other", fmt.Sprintf("x%d", i), used("app", uses("1m", ""))))
	}
	for name, c := range map[string]struct {
		items []metricsv1beta1.PodMetrics
		fail  func(*http.Request) (*http.Response, error)
		// requests of three periods: now, 15 s later, and 10 minutes later.
		requests [3]int
		reason   string
	}{
		"are made as long as they are cheaper":    {items, nil, [3]int{1, 1, 1}, ""},
		"give way if the cluster is much larger":  {crowd, nil, [3]int{1, 9, 1}, ""},
		"give way if they are forbidden":          {items, forbidden, [3]int{10, 9, 10}, ""},
		"do not give way if the API is down":      {items, down, [3]int{1, 1, 1}, scaling.ReasonUnreadable},
		"do not give way if there is no such API": {items, absent, [3]int{1, 1, 1}, scaling.ReasonUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{items: c.items, fail: c.fail}
			reader := metricsource.New(a.client(t))
			for i, after := range []time.Duration{0, 15 * time.Second, 10*time.Minute + 15*time.Second} {
				metrics := read(t, t.Context(), reader.Resource(), now.Add(after), queries...)
				if got := len(a.asked()); got != c.requests[i] {
					t.Errorf("period %d: %d requests, want %d", i, got, c.requests[i])
				}
				for j, m := range metrics {
					if m.Unknown.Reason != c.reason {
						t.Errorf("got %+v", m.Unknown)
					}
					if c.reason == "" && m.Pods[0].UsageMilli != int64(j+1) {
						t.Errorf("workload %d: %+v", j, m.Pods[0])
					}
				}
			}
		})
	}
}

func TestPagesAreFollowed(t *testing.T) {
	queries, items := workloads(9)
	a := &api{items: items, page: 4}
	for i, m := range read(t, t.Context(), metricsource.New(a.client(t)).Resource(), now, queries...) {
		if len(m.Pods) != 1 || m.Pods[0].UsageMilli != int64(i+1) {
			t.Errorf("workload %d: %+v", i, m)
		}
	}
	if diff := cmp.Diff([]string{"pods", "pods", "pods"}, a.asked()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestANamespaceThatFailsOrHangsDelaysNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queries, items := workloads(4)
		a := &api{items: items, fail: func(r *http.Request) (*http.Response, error) {
			switch {
			case strings.Contains(r.URL.Path, "ns00"):
				<-r.Context().Done()
				return nil, r.Context().Err()
			case strings.Contains(r.URL.Path, "ns01"):
				return nil, errors.New("no route")
			}
			return nil, nil
		}}
		start := time.Now()
		var mu sync.Mutex
		answered, got := map[int]time.Duration{}, map[int]scaling.Metric{}
		metricsource.New(a.client(t)).Resource().Read(t.Context(), now, queries, func(i int, m scaling.Metric) {
			mu.Lock()
			defer mu.Unlock()
			answered[i], got[i] = time.Since(start), m
		})
		if diff := cmp.Diff(map[int]time.Duration{0: metricsource.Timeout, 1: 0, 2: 0, 3: 0}, answered); diff != "" {
			t.Errorf("when each was answered (-want +got):\n%s", diff)
		}
		for i, reason := range []string{scaling.ReasonUnreadable, scaling.ReasonUnreadable, "", ""} {
			if got[i].Unknown.Reason != reason {
				t.Errorf("workload %d: %+v", i, got[i].Unknown)
			}
		}
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	for _, n := range []int{3, 12} {
		synctest.Test(t, func(t *testing.T) {
			queries, _ := workloads(n)
			a := &api{fail: func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			start := time.Now()
			for _, m := range read(t, ctx, metricsource.New(a.client(t)).Resource(), now, queries...) {
				if m.Unknown.Reason != scaling.ReasonUnreadable {
					t.Errorf("got %+v", m)
				}
			}
			if took := time.Since(start); took != 2*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// TestADamagedAnswerIsUnreadable cuts answers off at every place, and alters each
// byte of them.
func TestADamagedAnswerIsUnreadable(t *testing.T) {
	list := &metricsv1beta1.PodMetricsList{Items: []metricsv1beta1.PodMetrics{
		sample("ns", "a", used("app", uses("1m", ""))), sample("ns", "b", used("app", uses("1m", ""))),
	}}
	q := query("ns", "a", "cpu", utilization, pod("ns", "a"))
	var body []byte
	a := &api{fail: func(*http.Request) (*http.Response, error) { return response(http.StatusOK, "", body), nil }}
	reader, period := metricsource.New(a.client(t)), now
	ask := func(change []byte) scaling.Metric {
		body = change
		period = period.Add(time.Second)
		return read(t, t.Context(), reader.Resource(), period, q)[0]
	}
	for name, whole := range map[string][]byte{"protobuf": encodeProtobuf(list), "json": encodeJSON(list)} {
		if m := ask(whole); m.Unknown.Set() {
			t.Fatalf("%s: the whole answer: %+v", name, m)
		}
		last := len(whole)
		if name == "protobuf" {
			last -= 4 // two empty fields after the list
		}
		for n := range last {
			if m := ask(whole[:n]); m.Unknown.Reason != scaling.ReasonUnreadable {
				t.Errorf("%s: the first %d of %d bytes: %+v", name, n, len(whole), m)
			}
		}
		for n := range whole {
			changed := slices.Clone(whole)
			changed[n] ^= 0xff
			ask(changed) // anything but a panic
		}
	}
	other := bytes.Replace(encodeJSON(list), []byte("PodMetricsList"), []byte("NodeMetricsList"), 1)
	if m := ask(other); !strings.Contains(m.Unknown.Message, "the answer is a NodeMetricsList, a PodMetricsList is wanted") {
		t.Errorf("got %+v", m.Unknown)
	}
}

// TestAListUnderWayIsWaitedFor has both sources ask at once, one of them with
// little time.
func TestAListUnderWayIsWaitedFor(t *testing.T) {
	for _, namespaces := range []int{1, 9} {
		synctest.Test(t, func(t *testing.T) {
			queries, items := workloads(namespaces)
			a := &api{items: items, fail: func(*http.Request) (*http.Response, error) {
				time.Sleep(3 * time.Second)
				return nil, nil
			}}
			reader := metricsource.New(a.client(t))
			got := map[time.Duration]scaling.Metric{}
			var mu sync.Mutex
			var wg sync.WaitGroup
			for _, patience := range []time.Duration{10 * time.Second, time.Second, 9 * time.Second} {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					s, q := reader.Resource(), slices.Clone(queries)
					if patience < 10*time.Second {
						time.Sleep(time.Millisecond) // after the first
						s = reader.ContainerResource()
						for i := range q {
							q[i] = ofContainer(q[i], "app")
						}
					}
					m := read(t, ctx, s, now, q...)[0]
					mu.Lock()
					defer mu.Unlock()
					got[patience] = m
				})
			}
			wg.Wait()
			if asked := a.asked(); len(asked) != 1 {
				t.Errorf("asked %q", asked)
			}
			if m := got[time.Second]; m.Unknown.Message != "list pod metrics: no answer in time" {
				t.Errorf("the impatient one: %+v", m)
			}
			for _, patience := range []time.Duration{10 * time.Second, 9 * time.Second} {
				if m := got[patience]; len(m.Pods) != 1 || m.Pods[0].UsageMilli != 1 {
					t.Errorf("with %s: %+v", patience, m)
				}
			}
		})
	}
}
