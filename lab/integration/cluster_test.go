package integration

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	metrics "k8s.io/metrics/pkg/client/clientset/versioned"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
)

// The one application: load and what it takes to serve it.
const (
	appName  = "web"
	load     = 120.0 // requests per second
	replicas = 4     // each serves 50 requests per second on half a core
)

// pace is trace time per wall time.
const pace application.Pace = 60

// lab is the cluster with its tests' clients.
type lab struct {
	*cluster.Cluster
	prometheus promv1.API
	metrics    metrics.Interface
}

func startLab(t *testing.T) *lab {
	t.Helper()
	c, err := cluster.Start(context.WithoutCancel(t.Context()), cluster.Config{
		Pace:    pace,
		Pools:   []nodes.Pool{{Name: "n", Count: 4, Zones: []string{"a", "b"}, RacksPerZone: 2, CPU: "8", Memory: "32Gi"}},
		Startup: nodes.StartupDelay{Median: 12 * time.Second, P99: 30 * time.Second},
		Apps: []traffic.App{{
			Namespace: "default", Name: appName, Params: application.DefaultParams(),
			Load: func(time.Duration) float64 { return load },
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop() }) // after a failure; testComponentError reads what it returns
	api, err := promapi.NewClient(promapi.Config{Address: c.Prometheus.URL})
	if err != nil {
		t.Fatal(err)
	}
	metricsClient, err := metrics.NewForConfig(c.RESTConfig)
	if err != nil {
		t.Fatal(err)
	}
	return &lab{Cluster: c, prometheus: promv1.NewAPI(api), metrics: metricsClient}
}

// TestCluster boots one cluster; the subtests are a story and run in order.
func TestCluster(t *testing.T) {
	c := startLab(t)
	for _, chapter := range []struct {
		name string
		test func(t *testing.T, c *lab)
	}{
		{"nodes are ready and lie in zones and racks", testNodes},
		{"a second cluster is refused", testSecondCluster},
		{"a Deployment's pods are scheduled and become ready", testDeployment},
		{"Prometheus sees the load that is offered", testRequestRate},
		{"metrics.k8s.io sees the CPU that the model uses", testCPU},
		{"kubectl top prints numbers", testKubectlTop},
		{"kubectl apply -k manifests installs what runs under restricted pod security", testManifests},
		{"a failed node's pods are replaced and it comes back", testNodeFailure},
		{"a component's error ends the cluster", testComponentError},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.test(t, c) }) {
			t.FailNow() // what follows builds on it
		}
	}
}

func testNodes(t *testing.T, c *lab) {
	list, err := c.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 4 {
		t.Errorf("got %d nodes, want 4", len(list.Items))
	}
	domains := map[string]int{}
	for i := range list.Items {
		node := &list.Items[i]
		if !nodes.Ready(node) || len(node.Spec.Taints) > 0 {
			t.Errorf("node %s: conditions %v, taints %v; want it Ready without taints", node.Name, node.Status.Conditions, node.Spec.Taints)
		}
		zone, rack := node.Labels[corev1.LabelTopologyZone], node.Labels[nodes.RackLabel]
		if !strings.HasPrefix(rack, zone+"-") || node.Labels[corev1.LabelHostname] != node.Name {
			t.Errorf("node %s: labels %v", node.Name, node.Labels)
		}
		domains[zone]++
		domains[rack]++
	}
	for domain, want := range map[string]int{"a": 2, "b": 2, "a-rack-0": 1, "a-rack-1": 1, "b-rack-0": 1, "b-rack-1": 1} {
		if domains[domain] != want {
			t.Errorf("%s has %d nodes, want %d", domain, domains[domain], want)
		}
	}
}

// testManifests applies the kustomize base as a user would. Its namespace enforces the restricted
// pod security standard: a pod that breaks it is never created, and its Deployment never available.
func testManifests(t *testing.T, c *lab) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("no kubectl on PATH")
	}
	apply := func(ctx context.Context) (bool, string, error) {
		// Twice on a fresh cluster, as everywhere: the first time the new kind may not be served yet.
		out, err := exec.CommandContext(ctx, "kubectl", "--kubeconfig="+c.Kubeconfig, "apply", "-k", "../../manifests").CombinedOutput()
		return err == nil, string(out), nil
	}
	eventually(t, "kubectl apply -k manifests", apply)
	for _, name := range []string{"plimsoll-scheduler", "plimsoll-autoscaler"} {
		eventually(t, "Deployment "+name+" is available", func(ctx context.Context) (bool, string, error) {
			d, err := c.Client.AppsV1().Deployments("plimsoll-system").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, "", err
			}
			return d.Status.AvailableReplicas == *d.Spec.Replicas, fmt.Sprintf("%+v", d.Status), nil
		})
	}
}

func testSecondCluster(t *testing.T, _ *lab) {
	if _, err := cluster.Start(t.Context(), cluster.Config{}); !errors.Is(err, controlplane.ErrRunning) {
		t.Errorf("got %v, want ErrRunning", err)
	}
}

func testDeployment(t *testing.T, c *lab) {
	kubeconfig, err := c.UserKubeconfig("system:kube-scheduler")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.RunScheduler(cluster.Scheduler{Kubeconfig: kubeconfig}); err != nil {
		t.Fatal(err)
	}
	count, labels := int32(replicas), map[string]string{traffic.AppLabel: appName}
	_, err = c.Client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: appName},
		Spec: appsv1.DeploymentSpec{
			Replicas: &count,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{traffic.ScrapeAnnotation: "true"}},
				Spec: corev1.PodSpec{
					SchedulerName: corev1.DefaultSchedulerName,
					Containers: []corev1.Container{{
						Name: "app", Image: "app",
						Resources: corev1.ResourceRequirements{
							Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
							Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("128Mi")},
						},
					}},
				},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.waitReplicas(t)
}

// waitReplicas waits until the Deployment has all its replicas available.
func (c *lab) waitReplicas(t *testing.T) {
	t.Helper()
	eventually(t, "all replicas available", func(ctx context.Context) (bool, string, error) {
		d, err := c.Client.AppsV1().Deployments("default").Get(ctx, appName, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		return d.Status.AvailableReplicas == replicas && d.Status.UnavailableReplicas == 0, fmt.Sprintf("%+v", d.Status), nil
	})
}

func testRequestRate(t *testing.T, c *lab) {
	for query, want := range map[string]float64{
		`sum(rate(http_requests_total{namespace="default",app="web"}[2s]))`:            load,
		`sum(rate(http_requests_total{namespace="default",app="web",code="200"}[2s]))`: load,
		`count(up{job="pods",app="web"} == 1)`:                                         replicas,
		`max(rate(http_requests_total{app="web",code="503"}[2s]))`:                     0,
	} {
		eventually(t, query, func(ctx context.Context) (bool, string, error) {
			value, _, _, err := c.prometheus.Query(ctx, query, time.Now())
			if err != nil {
				return false, "", err
			}
			v, ok := value.(model.Vector)
			return ok && len(v) == 1 && math.Abs(float64(v[0].Value)-want) <= 0.1*want, value.String(), nil
		})
	}
}

func testCPU(t *testing.T, c *lab) {
	params := application.DefaultParams()
	wantPods := replicas*params.IdleCPU + load*(params.CPULimit-params.IdleCPU)/params.Capacity
	eventually(t, fmt.Sprintf("pods that use %.3f cores together, within a fifth", wantPods), func(ctx context.Context) (bool, string, error) {
		list, err := c.metrics.MetricsV1beta1().PodMetricses("default").List(ctx, metav1.ListOptions{LabelSelector: traffic.AppLabel + "=" + appName})
		if err != nil {
			return false, "", err
		}
		var cores float64
		for _, pod := range list.Items {
			for _, container := range pod.Containers {
				cores += container.Usage.Cpu().AsApproximateFloat64()
			}
		}
		return len(list.Items) == replicas && math.Abs(cores-wantPods) <= 0.2*wantPods, fmt.Sprintf("%d pods, %.3f cores", len(list.Items), cores), nil
	})
	eventually(t, "nodes that use that and some more", func(ctx context.Context) (bool, string, error) {
		list, err := c.metrics.MetricsV1beta1().NodeMetricses().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		var cores float64
		for _, node := range list.Items {
			cores += node.Usage.Cpu().AsApproximateFloat64()
		}
		return len(list.Items) == 4 && cores > 0.8*wantPods && cores < 1.2*wantPods+1, fmt.Sprintf("%d nodes, %.3f cores", len(list.Items), cores), nil
	})
}

func testKubectlTop(t *testing.T, c *lab) {
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		t.Skip("kubectl is not on PATH")
	}
	for _, tc := range []struct {
		what   string
		rows   int
		prefix string
	}{{"nodes", 4, "n-"}, {"pods", replicas, appName + "-"}} {
		command := exec.CommandContext(t.Context(), kubectl, "--kubeconfig", c.Kubeconfig, "top", tc.what, "--no-headers")
		command.Env = append(os.Environ(), "HOME="+t.TempDir())
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("kubectl top %s: %v\n%s", tc.what, err, out)
		}
		t.Logf("kubectl top %s\n%s", tc.what, out)
		rows := strings.Split(strings.TrimSpace(string(out)), "\n")
		if len(rows) != tc.rows {
			t.Errorf("kubectl top %s: %d rows, want %d", tc.what, len(rows), tc.rows)
		}
		for _, row := range rows {
			f := strings.Fields(row)
			if len(f) < 3 || !strings.HasPrefix(f[0], tc.prefix) {
				t.Errorf("kubectl top %s: row %q", tc.what, row)
				continue
			}
			milli, err := strconv.Atoi(strings.TrimSuffix(f[1], "m"))
			if err != nil || milli <= 0 {
				t.Errorf("kubectl top %s: row %q has no CPU above 0", tc.what, row)
			}
		}
	}
}

func testNodeFailure(t *testing.T, c *lab) {
	victim := c.podNodes(t)[0]
	if err := c.Nodes.Fail(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	c.waitNode(t, victim, corev1.ConditionUnknown)
	eventually(t, "all replicas ready on other nodes", func(ctx context.Context) (bool, string, error) {
		list, err := c.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		elsewhere, seen := 0, ""
		for i := range list.Items {
			pod := &list.Items[i]
			seen += fmt.Sprintf("%s on %s %s; ", pod.Name, pod.Spec.NodeName, pod.Status.Phase)
			if pod.Spec.NodeName != victim && pod.Spec.NodeName != "" && pod.Status.Phase == corev1.PodRunning {
				elsewhere++
			}
		}
		return elsewhere == replicas, seen, nil
	})
	if err := c.Nodes.Recover(t.Context(), victim); err != nil {
		t.Fatal(err)
	}
	c.waitNode(t, victim, corev1.ConditionTrue)
	eventually(t, "pods left on the failed node end", func(ctx context.Context) (bool, string, error) {
		list, err := c.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == replicas, fmt.Sprintf("%d pods", len(list.Items)), err
	})
	c.waitReplicas(t)
	testRequestRate(t, c)
}

// podNodes are the nodes of the application's pods.
func (c *lab) podNodes(t *testing.T) []string {
	t.Helper()
	list, err := c.Client.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range list.Items {
		out = append(out, list.Items[i].Spec.NodeName)
	}
	if len(out) == 0 {
		t.Fatal("there is no pod")
	}
	return out
}

// waitNode waits for the status of a node's Ready condition, and when it is to be True, for the end of its taints.
func (c *lab) waitNode(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("node %s: Ready %s", name, want), func(ctx context.Context) (bool, string, error) {
		node, err := c.Client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, "", err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady {
				return condition.Status == want && (want != corev1.ConditionTrue || len(node.Spec.Taints) == 0),
					fmt.Sprintf("Ready is %s, taints %v", condition.Status, node.Spec.Taints), nil
			}
		}
		return false, "no Ready condition", nil
	})
}

// testComponentError comes last: the cluster does not survive it.
func testComponentError(t *testing.T, c *lab) {
	broken := errors.New("out of paper")
	c.Go("printer", func(context.Context) error { return broken })
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("Done is still open a minute after a component's error")
	}
	if err := c.Stop(); !errors.Is(err, broken) || err.Error() != "printer: out of paper" {
		t.Errorf("Stop: got %q, want only the component's error with its name", err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory %s: got %v, want it gone", c.Dir, err)
	}
	var left []string
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		left = ours()
		return len(left) == 0, nil // kwok's end a little after the stop
	})
	if err != nil {
		t.Errorf("%d goroutines of ours are left, such as\n%s", len(left), left[0])
	}
}

// ours are the goroutines that the lab's packages run or have started.
func ours() []string {
	buf := make([]byte, 64<<20)
	var out []string
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "plimsoll/lab/") && !strings.Contains(stack, "plimsoll/lab/integration.") {
			out = append(out, stack)
		}
	}
	return out
}

// TestStartRejects knows that nothing runs on from the cases: one after the other gets past the lock of the control plane.
func TestStartRejects(t *testing.T) {
	app := traffic.App{Namespace: "default", Name: appName, Params: application.DefaultParams(), Load: func(time.Duration) float64 { return 0 }}
	for _, tc := range []struct {
		name string
		cfg  cluster.Config
		want string
	}{
		{"an application given twice", cluster.Config{Apps: []traffic.App{app, app}}, "application default/web: given twice"},
		{"a pool without zones", cluster.Config{Pools: []nodes.Pool{{Name: "n", Count: 1, CPU: "1", Memory: "1Gi"}}}, "pool[n].zones: at least one"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := cluster.Start(t.Context(), tc.cfg)
			if err == nil {
				t.Fatalf("started; want an error with %q (its end: %v)", tc.want, c.Stop())
			}
			if err.Error() != tc.want {
				t.Errorf("got %q, want %q", err, tc.want)
			}
		})
	}
}
