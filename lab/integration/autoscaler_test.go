package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"
	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/lab/prometheus"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// The autoscaler's cluster: periods of 15 s last half a second.
const (
	scalerPace     application.Pace = 30
	scalerSystem                    = "plimsoll-system"
	scalerAccount                   = "plimsoll-autoscaler"
	levelsScrape                    = 100 * time.Millisecond
	levelsServer                    = "levels"
	shadowAccount                   = "plimsoll-shadow"
	accountsPrefix                  = "system:serviceaccount:" + scalerSystem + ":"
)

// scalerPeriod is a period of both autoscalers, wall time.
func scalerPeriod() time.Duration { return scalerPace.Wall(15 * time.Second) }

// scalerLab is the cluster with the real HorizontalPodAutoscaler controller, and ours beside it.
type scalerLab struct {
	*cluster.Cluster
	kube   client.Client
	levels *levels
	// queries counts what ours asks both Prometheus servers.
	queries atomic.Int64
	servers []string
	audit   string
	ours    *scalerProcess
}

// TestAutoscaler proves on one cluster what needs a real API server, the real HorizontalPodAutoscaler controller, metrics.k8s.io and
// Prometheus at once. The subtests have namespaces of their own; ours runs as its ServiceAccount with the rights that are shipped.
func TestAutoscaler(t *testing.T) {
	c := startScalerLab(t)
	c.ours = c.startOurs(t, scalerAccount, nil)
	for _, proof := range []struct {
		name string
		test func(t *testing.T, c *scalerLab)
	}{
		{"kubectl get wa prints what matters", testPrinting},
		{"the scale subresource is written with the rights that are shipped, and no others", testRights},
		{"bad input is refused by field, and holds up no other", testBadInput},
		{"a rival on the same target is named, and nothing is done until it is gone", testRivals},
		{"the modes say, or do, or neither", testModes},
		{"Prometheus is read per pod, merged and within the namespace", testPrometheusMetrics},
		{"a workload goes to zero and back by a query", testZero},
		{"twins under the HorizontalPodAutoscaler and ours have the same replicas", testTwins},
		{"a restart shortens no window and forgets no rate", testRestart},
		{"shadow mode shows both numbers and writes nothing", testShadow},
	} {
		t.Run(proof.name, func(t *testing.T) { proof.test(t, c) })
	}
	c.ours.stop(t)
	t.Run("nothing was forbidden that was not meant to be", func(t *testing.T) { testNothingForbidden(t, c) })
}

func startScalerLab(t *testing.T) *scalerLab {
	t.Helper()
	audit := filepath.Join(t.TempDir(), "audit.log")
	c, err := cluster.Start(context.WithoutCancel(t.Context()), cluster.Config{
		Pace:  scalerPace,
		Pools: []nodes.Pool{{Name: "n", Count: 4, Zones: []string{"a", "b"}, RacksPerZone: 2, CPU: "32", Memory: "128Gi"}},
		// Every pod takes as long: twins are to differ in their autoscalers only.
		Startup:                 nodes.StartupDelay{Median: 9 * time.Second, P99: 9 * time.Second},
		Apps:                    scalerApps(),
		HorizontalPodAutoscaler: true,
		AuditFile:               audit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	kubeconfig, err := c.UserKubeconfig("system:kube-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RunScheduler(cluster.Scheduler{Kubeconfig: kubeconfig}); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	kube, err := client.New(c.RESTConfig, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	l := &scalerLab{Cluster: c, kube: kube, levels: &levels{}, audit: audit}
	l.install(t)
	l.startLevels(t)
	return l
}

// scalerApps are the applications under load. Without noise: it follows pods' names, and twins' pods have different ones.
func scalerApps() []traffic.App {
	params := application.DefaultParams()
	params.CPUNoise = 0
	apps := make([]traffic.App, 0, 7)
	for _, name := range []string{"plain-hpa", "plain-ours", "rates-hpa", "rates-ours", "shadowed"} {
		apps = append(apps, traffic.App{Namespace: "twins", Name: name, Params: params, Load: twinLoad})
	}
	for namespace, load := range perPodLoads() {
		apps = append(apps, traffic.App{Namespace: namespace, Name: "web", Params: params, Load: func(time.Duration) float64 { return load }})
	}
	return apps
}

// install applies what manifests/ ships but for the components themselves, and ScaledObject's definition, as KEDA's.
func (c *scalerLab) install(t *testing.T) {
	t.Helper()
	for _, glob := range []string{"namespace.yaml", "crd/*.yaml", "rbac/*.yaml"} {
		files, err := fs.Glob(manifests.FS, glob)
		if err != nil || len(files) == 0 {
			t.Fatalf("manifests %s: none found (%v)", glob, err)
		}
		for _, file := range files {
			text, err := manifests.FS.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range decodeYAML(t, string(text)) {
				if err := c.kube.Create(t.Context(), object); err != nil {
					t.Fatalf("manifests/%s: %s %s: %v", file, object.GetKind(), object.GetName(), err)
				}
			}
		}
	}
	c.define(t, "keda.sh", "v1alpha1", "ScaledObject", "scaledobjects", "")
	eventually(t, "WorkloadAutoscalers are served", func(ctx context.Context) (bool, string, error) {
		err := c.kube.List(ctx, &v1alpha1.WorkloadAutoscalerList{})
		return err == nil, fmt.Sprint(err), nil
	})
}

// define creates a CustomResourceDefinition without a schema, and waits until it is served.
func (c *scalerLab) define(t *testing.T, group, version, kind, plural, subresources string) {
	t.Helper()
	c.create(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[4]s.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[4]s, singular: %[5]s}
  versions:
  - name: %[2]s
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
    %[6]s
`, group, version, kind, plural, strings.ToLower(kind), subresources))
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(group + "/" + version)
	list.SetKind(kind + "List")
	eventually(t, kind+" is served", func(ctx context.Context) (bool, string, error) {
		err := c.kube.List(ctx, list)
		return err == nil, fmt.Sprint(err), nil
	})
}

// startLevels runs a second Prometheus, for what tests set, and counts the queries to both.
func (c *scalerLab) startLevels(t *testing.T) {
	t.Helper()
	exposition := httptest.NewServer(c.levels)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	server, err := prometheus.Start(ctx, prometheus.Config{Dir: t.TempDir(), ScrapeInterval: levelsScrape})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := server.Wait(); err != nil {
			t.Errorf("Prometheus of the levels: %v", err)
		}
		exposition.Close()
	})
	address := strings.TrimPrefix(exposition.URL, "http://")
	if err := server.SetTargets(t.Context(), prometheus.Targets{&targetgroup.Group{
		Source: "levels", Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(address)}},
	}}); err != nil {
		t.Fatal(err)
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does a server notice that the client has gone
		<-r.Context().Done()
	}))
	t.Cleanup(func() {
		silent.CloseClientConnections()
		silent.Close()
	})
	c.servers = []string{c.counted(t, c.Prometheus.URL), levelsServer + "=" + c.counted(t, server.URL), "silent=" + silent.URL}
}

// counted is the address of a proxy that counts queries.
func (c *scalerLab) counted(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.queries.Add(1)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// levels are gauges that tests set, by namespace and queue.
type levels struct {
	mu     sync.Mutex
	values map[[2]string]float64
}

func (l *levels) set(namespace, queue string, value float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.values == nil {
		l.values = map[[2]string]float64{}
	}
	l.values[[2]string{namespace, queue}] = value
}

// ServeHTTP implements http.Handler.
func (l *levels) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.Header().Set("Content-Type", application.ContentType)
	fmt.Fprintln(w, "# TYPE level gauge")
	for key, value := range l.values {
		fmt.Fprintf(w, "level{namespace=%q,queue=%q} %v\n", key[0], key[1], value)
	}
}

// scalerProcess is a running autoscaler of ours.
type scalerProcess struct {
	cancel context.CancelFunc
	done   chan error
}

// startOurs runs ours as the ServiceAccount.
func (c *scalerLab) startOurs(t *testing.T, account string, change func(*app.Options)) *scalerProcess {
	t.Helper()
	config, err := c.ServiceAccountConfig(t.Context(), scalerSystem, account)
	if err != nil {
		t.Fatal(err)
	}
	o := app.DefaultOptions()
	o.SyncPeriod = scalerPeriod()
	o.DownscaleStabilization = c.Pace.Wall(o.DownscaleStabilization)
	o.Policies.Target.CPUInitializationPeriod = c.Pace.Wall(o.Policies.Target.CPUInitializationPeriod)
	o.Policies.Target.InitialReadinessDelay = c.Pace.Wall(o.Policies.Target.InitialReadinessDelay)
	o.PrometheusServers = c.servers
	o.StatusRefresh = time.Second
	o.MetricsBindAddress, o.HealthProbeBindAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.KubeAPIQPS, o.KubeAPIBurst = 1000, 1000 // the pace multiplies what a real second asks
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &scalerProcess{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- app.Run(ctx, config, o) }()
	return p
}

// stop ends it and waits; more than once is once.
func (p *scalerProcess) stop(t *testing.T) {
	t.Helper()
	p.cancel()
	select {
	case err, first := <-p.done:
		if first {
			close(p.done)
		}
		if err != nil {
			t.Errorf("plimsoll-autoscaler: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("plimsoll-autoscaler has not ended 30 s after it was told to")
	}
}

// namespace creates a namespace.
func (c *scalerLab) namespace(t *testing.T, name string) {
	t.Helper()
	_, err := c.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	if err := controlplane.WaitForServiceAccount(t.Context(), c.Client, name); err != nil {
		t.Fatal(err)
	}
}

// deployment creates a Deployment of pods with half a core, and waits until it is available.
func (c *scalerLab) deployment(t *testing.T, namespace, name string, count int32) {
	t.Helper()
	labels := map[string]string{traffic.AppLabel: name}
	half := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("128Mi")}
	deployments := c.Client.AppsV1().Deployments(namespace)
	_, err := deployments.Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &count,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{traffic.ScrapeAnnotation: "true"}},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{
					Name: "app", Image: "app", Resources: corev1.ResourceRequirements{Requests: half, Limits: half},
				}}},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = deployments.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}) // to leave the others the machine
	})
	eventually(t, name+" is available", func(ctx context.Context) (bool, string, error) {
		d, err := deployments.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return d.Status.AvailableReplicas == count, fmt.Sprintf("%+v", d.Status), nil
	})
}

// replicas is what a Deployment asks for.
func (c *scalerLab) replicas(t *testing.T, namespace, name string) int32 {
	t.Helper()
	d, err := c.Client.AppsV1().Deployments(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return *d.Spec.Replicas
}

// eventuallyReplicas waits until a Deployment asks for so many, and says how long it took.
func (c *scalerLab) eventuallyReplicas(t *testing.T, namespace, name string, want int32) time.Duration {
	t.Helper()
	begin, seen := time.Now(), ""
	eventually(t, fmt.Sprintf("%s/%s asks for %d replicas", namespace, name, want), func(ctx context.Context) (bool, string, error) {
		d, err := c.Client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, seen, err
		}
		seen = fmt.Sprintf("%d; %s", *d.Spec.Replicas, c.sayAll(ctx, namespace))
		return *d.Spec.Replicas == want, seen, nil
	})
	return time.Since(begin)
}

// stays fails if a Deployment does not keep its replicas for so long.
func (c *scalerLab) stays(t *testing.T, namespace, name string, want int32, d time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got := c.replicas(t, namespace, name); got != want {
			t.Fatalf("%s/%s asks for %d replicas, want it to keep %d; %s", namespace, name, got, want, c.sayAll(t.Context(), namespace))
		}
	}
}

// create creates the objects of a YAML text, and deletes them at the end of the test.
func (c *scalerLab) create(t *testing.T, text string) {
	t.Helper()
	for _, object := range decodeYAML(t, text) {
		if err := c.kube.Create(t.Context(), object); err != nil {
			t.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
		}
		t.Cleanup(func() {
			err := c.kube.Delete(context.WithoutCancel(t.Context()), object)
			if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
				t.Errorf("delete %s %s: %v", object.GetKind(), object.GetName(), err)
			}
		})
	}
}

// delete deletes an object.
func (c *scalerLab) delete(t *testing.T, text string) {
	t.Helper()
	for _, object := range decodeYAML(t, text) {
		if err := c.kube.Delete(t.Context(), object); err != nil {
			t.Fatalf("delete %s %s: %v", object.GetKind(), object.GetName(), err)
		}
	}
}

// byLevel is a WorkloadAutoscaler that gives every 10 of the level of the queue named like it a replica.
func byLevel(namespace, name, more string) string {
	return fmt.Sprintf(`
apiVersion: autoscaling.plimsoll.dev/v1alpha1
kind: WorkloadAutoscaler
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[2]s}
  maxReplicas: 20
  metrics:
  - type: Prometheus
    prometheus:
      serverName: levels
      query: level{queue="%[2]s"}
      target: {type: AverageValue, averageValue: "10"}
%[3]s
`, namespace, name, indent(more))
}

// atOnce is a behavior that follows at once, however far.
const atOnce = `
behavior:
  scaleUp:
    stabilizationWindowSeconds: 0
    policies: [{type: Pods, value: 100, periodSeconds: 1}]
  scaleDown: {stabilizationWindowSeconds: 0}
`

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// wa reads a WorkloadAutoscaler.
func (c *scalerLab) wa(ctx context.Context, namespace, name string) (*v1alpha1.WorkloadAutoscaler, error) {
	wa := &v1alpha1.WorkloadAutoscaler{}
	return wa, c.kube.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, wa)
}

// eventuallyCondition waits until a condition has the status and the reason, and returns its message.
func (c *scalerLab) eventuallyCondition(t *testing.T, namespace, name, condition string, status metav1.ConditionStatus, reason string) string {
	t.Helper()
	message := ""
	eventually(t, fmt.Sprintf("%s/%s: %s=%s %s", namespace, name, condition, status, reason), func(ctx context.Context) (bool, string, error) {
		wa, err := c.wa(ctx, namespace, name)
		if err != nil {
			return false, "", err
		}
		found := meta.FindStatusCondition(wa.Status.Conditions, condition)
		if found == nil {
			return false, say(wa), nil
		}
		message = found.Message
		return found.Status == status && found.Reason == reason && found.ObservedGeneration == wa.Generation, say(wa), nil
	})
	return message
}

// sayAll is what all objects of a namespace say of themselves.
func (c *scalerLab) sayAll(ctx context.Context, namespace string) string {
	list := &v1alpha1.WorkloadAutoscalerList{}
	if err := c.kube.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return err.Error()
	}
	var all strings.Builder
	for i := range list.Items {
		fmt.Fprintf(&all, "\n  %s: %s", list.Items[i].Name, say(&list.Items[i]))
	}
	return all.String()
}

func say(wa *v1alpha1.WorkloadAutoscaler) string {
	text, err := json.Marshal(wa.Status)
	return fmt.Sprintf("%s (%v)", text, err)
}

func decodeYAML(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return objects
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// request is a line of the audit log, as far as it is read.
type request struct {
	Verb, RequestURI, Stage string
	User                    struct{ Username string }
	ObjectRef               struct{ Resource, Subresource, Namespace, Name, APIGroup string }
	ResponseStatus          struct{ Code int }
}

func (r request) String() string {
	return fmt.Sprintf("%s %s by %s: %d", r.Verb, r.RequestURI, strings.TrimPrefix(r.User.Username, accountsPrefix), r.ResponseStatus.Code)
}

// requests are those that a ServiceAccount of ours has made so far.
func (c *scalerLab) requests(t *testing.T, account string) []request {
	t.Helper()
	text, err := os.ReadFile(c.audit)
	if err != nil {
		t.Fatal(err)
	}
	var found []request
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			continue // the last line may be half written
		}
		if r.User.Username == accountsPrefix+account {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		t.Fatalf("the audit log has no request of %s: it proves nothing", account)
	}
	return found
}
