// Package nodes gives a cluster nodes and running pods without machines: kwok's own controllers,
// embedded. Nodes come in pools with zone, rack and host labels; pods become Ready after a delay
// drawn from a distribution; a node can fail (its lease is no longer renewed, its pods are left
// alone) and recover.
//
// kwok draws delays from its own, unseeded source of chance: two runs differ in them.
package nodes

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	nodestage "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	heartbeatstage "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podstage "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
)

// startupSlices is into how many stages the start-up distribution is cut. Each costs a selector
// match per pod event.
const startupSlices = 8

// Config of a Simulator.
type Config struct {
	// Startup is drawn from for every pod.
	Startup StartupDelay
	// Shutdown is how long a pod's containers take to end after its deletion. Default 0.
	Shutdown time.Duration
	// JobDuration is how long a pod of a Job runs. Default 0.
	JobDuration time.Duration
	// LeaseDuration of a node, in whole seconds, renewed every quarter of it. Default 40 s.
	LeaseDuration time.Duration
	// KubeletAddress is host:port where every node's resource metrics are served (see
	// ResourceMetricsPath); it becomes the nodes' internal address and kubelet port.
	KubeletAddress string
	// Parallelism is how many pods, and how many nodes, change at the same time. Default 16.
	Parallelism uint
	// Log receives kwok's log. Default: nothing.
	Log io.Writer
}

// Simulator plays the kubelets of a cluster.
type Simulator struct {
	client kubernetes.Interface
}

// Start plays every node made by Create until ctx ends. kwok's goroutines end with ctx, a little
// after it: there is nothing to wait for.
func Start(ctx context.Context, config *rest.Config, cfg Config) (*Simulator, error) {
	if err := cfg.Startup.Validate(); err != nil {
		return nil, err
	}
	host, port, err := kubeletEndpoint(cfg.KubeletAddress)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	dynamicClient, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("dynamic client: %w", err)
	}
	stages, err := cfg.stages()
	if err != nil {
		return nil, err
	}
	id, err := controllers.Identity()
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	parallelism := cfg.Parallelism
	if parallelism == 0 {
		parallelism = 16
	}
	lease := cfg.LeaseDuration
	if lease == 0 {
		lease = 40 * time.Second
	}
	kwok, err := controllers.NewController(controllers.Config{
		TypedClient:                  client,
		DynamicClient:                dynamicClient,
		RESTClient:                   client.RESTClient(),
		ManageNodesWithLabelSelector: kubeletLabel + "=running",
		CIDR:                         "10.0.0.1/8",
		NodeIP:                       host,
		NodePort:                     port,
		LocalStages:                  stages,
		PodPlayStageParallelism:      parallelism,
		NodePlayStageParallelism:     parallelism,
		NodeLeaseParallelism:         parallelism,
		PodsOnNodeSyncParallelism:    4,
		NodeLeaseDurationSeconds:     uint(max(1, lease/time.Second)),
		ID:                           id,
	})
	if err != nil {
		return nil, fmt.Errorf("configure kwok: %w", err)
	}
	ctx = kwoklog.NewContext(ctx, kwoklog.NewLogger(cfg.Log, kwoklog.LevelWarn))
	if err := kwok.Start(ctx); err != nil {
		return nil, fmt.Errorf("start kwok: %w", err)
	}
	return &Simulator{client: client}, nil
}

// Create makes the nodes of the pools and waits until all are Ready.
func (s *Simulator) Create(ctx context.Context, pools ...Pool) error {
	want := map[string]bool{}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for _, pool := range pools {
		list, err := pool.Nodes()
		if err != nil {
			return err
		}
		for _, node := range list {
			want[node.Name] = true
			group.Go(func() error {
				_, err := s.client.CoreV1().Nodes().Create(groupCtx, node, metav1.CreateOptions{})
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("create nodes: %w", err)
	}
	return s.waitReady(ctx, want)
}

// Fail stops a node's kubelet: its lease runs out, and kube-controller-manager does the rest.
func (s *Simulator) Fail(ctx context.Context, node string) error {
	return s.patchKubelet(ctx, node, "null")
}

// Recover starts a failed node's kubelet again. Pods deleted meanwhile end now.
func (s *Simulator) Recover(ctx context.Context, node string) error {
	return s.patchKubelet(ctx, node, `"running"`)
}

// Alive reports whether the node's kubelet runs.
func Alive(node *corev1.Node) bool { return node.Labels[kubeletLabel] == "running" }

func (s *Simulator) patchKubelet(ctx context.Context, node, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, kubeletLabel, value)
	_, err := s.client.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("change kubelet of node %s: %w", node, err)
	}
	return nil
}

func (s *Simulator) waitReady(ctx context.Context, want map[string]bool) error {
	var ready int
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := s.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready = 0
		for i := range list.Items {
			if want[list.Items[i].Name] && Ready(&list.Items[i]) && len(list.Items[i].Spec.Taints) == declaredTaints(&list.Items[i]) {
				ready++
			}
		}
		return ready == len(want), nil
	})
	if err != nil {
		return fmt.Errorf("wait for nodes: %d of %d ready: %w", ready, len(want), err)
	}
	return nil
}

// declaredTaints counts the taints that the node's maker gave it: those the node lifecycle
// controller adds while a node is not ready have its prefix.
func declaredTaints(node *corev1.Node) int {
	n := 0
	for _, taint := range node.Spec.Taints {
		if taint.Key != corev1.TaintNodeNotReady && taint.Key != corev1.TaintNodeUnreachable {
			n++
		}
	}
	return n
}

// Ready reports a node's Ready condition.
func Ready(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// PodReady reports a pod's Ready condition.
func PodReady(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// stages are kwok's own stages with our delays.
func (c Config) stages() (map[internalversion.StageResourceRef][]*internalversion.Stage, error) {
	var pod, node []*internalversion.Stage
	for i, piece := range c.Startup.slices(startupSlices) {
		ready, err := stage(podstage.DefaultPodReady, piece)
		if err != nil {
			return nil, err
		}
		ready.Name = fmt.Sprintf("%s-%d", ready.Name, i)
		ready.Spec.Weight = 1
		pod = append(pod, ready)
		if c.Startup.P99 == c.Startup.Median {
			break // every slice is the same
		}
	}
	for _, add := range []struct {
		yaml  string
		delay time.Duration
		into  *[]*internalversion.Stage
	}{
		{podstage.DefaultPodComplete, c.JobDuration, &pod},
		{podstage.DefaultPodDelete, c.Shutdown, &pod},
		{nodestage.DefaultNodeInit, 0, &node},
	} {
		s, err := stage(add.yaml, slice{add.delay, add.delay})
		if err != nil {
			return nil, err
		}
		*add.into = append(*add.into, s)
	}
	heartbeat, err := kwokconfig.UnmarshalWithType[*internalversion.Stage](heartbeatstage.DefaultNodeHeartbeatWithLease)
	if err != nil {
		return nil, fmt.Errorf("read kwok's stage: %w", err)
	}
	node = append(node, heartbeat)
	return map[internalversion.StageResourceRef][]*internalversion.Stage{
		{APIGroup: "v1", Kind: "Pod"}:  pod,
		{APIGroup: "v1", Kind: "Node"}: node,
	}, nil
}

// stage reads one of kwok's stages and lets it take between piece.from and piece.to.
func stage(yaml string, piece slice) (*internalversion.Stage, error) {
	s, err := kwokconfig.UnmarshalWithType[*internalversion.Stage](yaml)
	if err != nil {
		return nil, fmt.Errorf("read kwok's stage: %w", err)
	}
	if piece.to <= 0 {
		return s, nil
	}
	from, to := piece.from.Milliseconds(), piece.to.Milliseconds()
	s.Spec.Delay = &internalversion.StageDelay{DurationMilliseconds: &from, JitterDurationMilliseconds: &to}
	return s, nil
}

func kubeletEndpoint(address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("kubelet address %q: want host:port: %w", address, err)
	}
	port, err = strconv.Atoi(p)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("kubelet address %q: port must be 1 to 65535", address)
	}
	return host, port, nil
}
