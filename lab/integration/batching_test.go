package integration

import (
	"context"
	"fmt"
	"maps"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	featuregatetesting "k8s.io/component-base/featuregate/testing"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/kubernetes/pkg/features"

	schedulerapp "github.com/plimsoll-k8s/plimsoll/cmd/scheduler/app"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

// deployment is a set of equal pods.
type deployment struct {
	name     string
	replicas int
	cpuMilli int64
	memoryMB int64 // of 2^20 bytes
	priority int32 // the higher waits less
}

// alikeNodes and mixedNodes are 200 each, of one size and of several sizes and proportions.
func alikeNodes() []nodes.Pool {
	return []nodes.Pool{{Name: "medium", Count: 200, Zones: []string{"a", "b", "c"}, CPU: "16", Memory: "64Gi"}}
}

func mixedNodes() []nodes.Pool {
	zones := []string{"a", "b", "c"}
	return []nodes.Pool{
		{Name: "small", Count: 100, Zones: zones, CPU: "8", Memory: "32Gi"},
		{Name: "large", Count: 60, Zones: zones, CPU: "32", Memory: "128Gi"},
		{Name: "lean", Count: 40, Zones: zones, CPU: "16", Memory: "32Gi"},
	}
}

// TestBatching compares what the shipped profile does with what it does when batches are refused. Each time there is a fresh cluster
// whose pods all wait before the scheduler starts: what it learns is the same both times, and nothing comes between two pods of a batch.
func TestBatching(t *testing.T) {
	web := deployment{name: "web", replicas: 500, cpuMilli: 1500, memoryMB: 3 << 10, priority: 1}
	store := deployment{name: "store", replicas: 200, cpuMilli: 500, memoryMB: 5 << 9}
	for _, tc := range []struct {
		name        string
		pools       []nodes.Pool
		deployments []deployment
		exact       bool // every node that a batch may hand out next is as good as the one that a comparison would choose
	}{
		{name: "500 equal pods on equal nodes", pools: alikeNodes(), deployments: []deployment{web}, exact: true},
		{name: "500 equal pods, then 200 of another shape, on nodes of several sizes", pools: mixedNodes(), deployments: []deployment{web, store}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			batched := place(t, tc.pools, tc.deployments, true)
			alone := place(t, tc.pools, tc.deployments, false)
			compare(t, batched, alone, tc.exact)
		})
	}
}

// placement is where the pods of a cluster are, and how they got there.
type placement struct {
	pods  int
	nodes []occupied
	// hinted pods were placed from a batch; rescored is how often a batch compared its nodes again.
	hinted, rescored float64
}

// occupied is a node that holds pods.
type occupied struct {
	pool   string
	pods   map[string]int // by deployment
	filled int            // deployments of which it holds a pod and gets no other one in
}

// contents says what matters of a node: those of a pool are equal but for their names.
func (o occupied) contents() string { return fmt.Sprintf("%s: %v", o.pool, o.pods) } // fmt sorts a map's keys

// place starts a cluster, lets the deployments' pods wait, then starts the scheduler.
func place(t *testing.T, pools []nodes.Pool, deployments []deployment, batching bool) placement {
	t.Helper()
	featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, features.OpportunisticBatching, batching)
	c, err := cluster.Start(context.WithoutCancel(t.Context()), cluster.Config{Pools: pools})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}()
	total := 0
	for _, d := range deployments {
		d.create(t, c)
		total += d.replicas
	}
	waitPods(t, c, "exist", total, func(*corev1.Pod) bool { return true })
	hinted, rescored := batchHints(t), batchRescores(t)
	configuration, err := manifests.FS.ReadFile("scheduler/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	err = c.RunScheduler(cluster.Scheduler{
		Configuration: configuration, Kubeconfig: c.Kubeconfig, Plugins: schedulerapp.Options(plugins.Options{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	pods := waitPods(t, c, "have a node", total, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" })
	return placement{
		pods:   total,
		nodes:  occupiedNodes(t, c, deployments, pods),
		hinted: batchHints(t) - hinted, rescored: batchRescores(t) - rescored,
	}
}

func (d deployment) create(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	// Pods that wait when a scheduler starts come to its queue in no order; priority gives them one, the same in every cluster.
	_, err := c.Client.SchedulingV1().PriorityClasses().Create(t.Context(),
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: d.name}, Value: d.priority}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replicas, labels := int32(d.replicas), map[string]string{"app": d.name}
	_, err = c.Client.AppsV1().Deployments("default").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: d.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					SchedulerName: shippedProfile, PriorityClassName: d.name,
					Containers: []corev1.Container{{
						Name: "app", Image: "app",
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
							corev1.ResourceCPU:    *resource.NewMilliQuantity(d.cpuMilli, resource.DecimalSI),
							corev1.ResourceMemory: *resource.NewQuantity(d.memoryMB<<20, resource.BinarySI),
						}},
					}},
				},
			},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// shippedProfile is the name that manifests/scheduler/config.yaml gives its profile.
const shippedProfile = "plimsoll-scheduler"

// waitPods returns the pods once the wanted number meets the condition.
func waitPods(t *testing.T, c *cluster.Cluster, what string, want int, condition func(*corev1.Pod) bool) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, fmt.Sprintf("%d pods %s", want, what), func(ctx context.Context) (bool, string, error) {
		list, err := c.Client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, "", err
		}
		met := 0
		for i := range list.Items {
			if condition(&list.Items[i]) {
				met++
			}
		}
		pods = list.Items
		return met == want, fmt.Sprintf("%d of %d pods", met, len(pods)), nil
	})
	return pods
}

// occupiedNodes reads the nodes that hold the pods.
func occupiedNodes(t *testing.T, c *cluster.Cluster, deployments []deployment, pods []corev1.Pod) []occupied {
	t.Helper()
	list, err := c.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	held := map[string]map[string]int{}
	for i := range pods {
		node, app := pods[i].Spec.NodeName, pods[i].Labels["app"]
		if held[node] == nil {
			held[node] = map[string]int{}
		}
		held[node][app]++
	}
	var out []occupied
	for i := range list.Items {
		node := &list.Items[i]
		if pods := held[node.Name]; pods != nil {
			out = append(out, occupied{pool: node.Labels[corev1.LabelInstanceTypeStable], pods: pods, filled: filledBy(node, deployments, pods)})
		}
	}
	return out
}

// filledBy counts the deployments of which a node holds a pod and gets no other one in.
func filledBy(node *corev1.Node, deployments []deployment, pods map[string]int) int {
	cpuMilli, memoryMB := node.Status.Allocatable.Cpu().MilliValue(), node.Status.Allocatable.Memory().Value()>>20
	for _, d := range deployments {
		cpuMilli -= int64(pods[d.name]) * d.cpuMilli
		memoryMB -= int64(pods[d.name]) * d.memoryMB
	}
	filled := 0
	for _, d := range deployments {
		if pods[d.name] > 0 && (d.cpuMilli > cpuMilli || d.memoryMB > memoryMB) {
			filled++
		}
	}
	return filled
}

// compare holds the batched placement to what a batch may change: when a node has filled up, one pod goes to the next node of an order
// that was made before. Such a pod is a stale choice: placed from the batch, but without a comparison.
func compare(t *testing.T, batched, alone placement, exact bool) {
	t.Helper()
	filled := 0
	for _, node := range batched.nodes {
		filled += node.filled
	}
	stale := batched.hinted - batched.rescored
	onlyBatched, onlyAlone := difference(batched.nodes, alone.nodes), difference(alone.nodes, batched.nodes)
	t.Logf("%d pods, %.0f from batches, %.0f of those after a comparison: %.0f stale choices; nodes filled up %d times",
		batched.pods, batched.hinted, batched.rescored, stale, filled)
	t.Logf("nodes in use: %d, without batches %d; with other contents: %d and %d", len(batched.nodes), len(alone.nodes), sum(onlyBatched), sum(onlyAlone))
	t.Logf("nodes of such contents only with batches: %v", onlyBatched)
	t.Logf("nodes of such contents only without: %v", onlyAlone)
	if alone.hinted != 0 {
		t.Errorf("with the gate off, %.0f pods were placed from batches", alone.hinted)
	}
	if batched.hinted < 0.9*float64(batched.pods) {
		t.Errorf("%.0f of %d pods were placed from batches, want nine tenths", batched.hinted, batched.pods)
	}
	if stale < 0 || stale > float64(filled) {
		t.Errorf("%.0f stale choices, want 0 to one for each of the %d times a node filled up", stale, filled)
	}
	if differing := sum(onlyBatched); float64(differing) > stale {
		t.Errorf("%d nodes hold something else than without batches, want at most one for each of %.0f stale choices", differing, stale)
	}
	if exact && sum(onlyBatched)+sum(onlyAlone) > 0 {
		t.Error("want the same contents with and without batches")
	}
}

// difference counts, by contents, the nodes that one placement has more of than another.
func difference(has, other []occupied) map[string]int {
	surplus := map[string]int{}
	for _, node := range has {
		surplus[node.contents()]++
	}
	for _, node := range other {
		surplus[node.contents()]--
	}
	maps.DeleteFunc(surplus, func(_ string, n int) bool { return n <= 0 })
	return surplus
}

func sum(counts map[string]int) int {
	total := 0
	for _, n := range counts {
		total += n
	}
	return total
}

// batchHints is how many pods of the shipped profile this process has placed from a batch.
func batchHints(t *testing.T) float64 {
	return counter(t, "scheduler_batch_attempts_total", map[string]string{"profile": shippedProfile, "result": "hint_used"})
}

// batchRescores is how often a batch has compared its nodes again.
func batchRescores(t *testing.T) float64 {
	return counter(t, "scheduler_batch_rescore_attempts_total", map[string]string{"profile": shippedProfile})
}

// counter adds up the series of a counter that have the labels.
func counter(t *testing.T, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			found := 0
			for _, label := range metric.GetLabel() {
				if labels[label.GetName()] == label.GetValue() {
					found++
				}
			}
			if found == len(labels) {
				total += metric.GetCounter().GetValue()
			}
		}
	}
	return total
}
