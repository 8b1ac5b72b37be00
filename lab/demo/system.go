package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	autoscalerapp "github.com/plimsoll-k8s/plimsoll/autoscaler/app"
	schedulerapp "github.com/plimsoll-k8s/plimsoll/cmd/scheduler/app"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

// System is what is tried on the cluster: a scheduler and an autoscaler.
type System string

// The two systems.
const (
	// Plimsoll is ours: plimsoll-scheduler and plimsoll-autoscaler, installed from manifests/
	// and running as their ServiceAccounts.
	Plimsoll System = "plimsoll"
	// Stock is kube-scheduler with its defaults and the HorizontalPodAutoscaler controller.
	Stock System = "stock"
)

// systemNamespace is where our manifests put the components.
const systemNamespace = "plimsoll-system"

// schedulerName is what the demo's pods ask for.
func (s System) schedulerName() string {
	if s == Plimsoll {
		return "plimsoll-scheduler"
	}
	return "default-scheduler"
}

// installed is a system at work.
type installed struct {
	decisions *decisions.Ring // nil: this system keeps none
}

// install starts the system on the cluster. It ends with the cluster.
func (s System) install(ctx context.Context, c *cluster.Cluster) (installed, error) {
	if s == Stock {
		kubeconfig, err := c.UserKubeconfig("system:kube-scheduler")
		if err != nil {
			return installed{}, err
		}
		return installed{}, c.RunScheduler(cluster.Scheduler{Kubeconfig: kubeconfig}) //nolint:contextcheck // runs until the cluster stops
	}
	if err := applyManifests(ctx, c); err != nil {
		return installed{}, err
	}
	ring := decisions.NewRing(0)
	if err := startScheduler(ctx, c, ring); err != nil {
		return installed{}, err
	}
	return installed{decisions: ring}, startAutoscaler(ctx, c)
}

func startScheduler(ctx context.Context, c *cluster.Cluster, ring *decisions.Ring) error {
	config, err := manifests.FS.ReadFile("scheduler/config.yaml")
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, systemNamespace, "plimsoll-scheduler")
	if err != nil {
		return err
	}
	return c.RunScheduler(cluster.Scheduler{ //nolint:contextcheck // runs until the cluster stops
		Configuration: config, Kubeconfig: kubeconfig,
		Plugins: schedulerapp.Options(plugins.Options{Decisions: ring}),
	})
}

func startAutoscaler(ctx context.Context, c *cluster.Cluster) error {
	config, err := c.ServiceAccountConfig(ctx, systemNamespace, "plimsoll-autoscaler")
	if err != nil {
		return err
	}
	o := autoscalerapp.DefaultOptions()
	o.SyncPeriod = max(50*time.Millisecond, c.Pace.Wall(o.SyncPeriod))
	o.DownscaleStabilization = c.Pace.Wall(o.DownscaleStabilization)
	o.PrometheusServers = []string{c.Prometheus.URL}
	o.Policies.Target.CPUInitializationPeriod = c.Pace.Wall(o.Policies.Target.CPUInitializationPeriod)
	o.Policies.Target.InitialReadinessDelay = c.Pace.Wall(o.Policies.Target.InitialReadinessDelay)
	o.MetricsBindAddress, o.HealthProbeBindAddress = "127.0.0.1:0", "127.0.0.1:0"
	o.KubeAPIQPS, o.KubeAPIBurst = 1000, 1000 // the pace multiplies what a real second asks
	c.Go("plimsoll-autoscaler", func(ctx context.Context) error { return autoscalerapp.Run(ctx, config, o) })
	return nil
}

// applyManifests creates what manifests/ ships, but for the Deployments of the components
// themselves: they run in this process.
func applyManifests(ctx context.Context, c *cluster.Cluster) error {
	kube, err := newClient(c)
	if err != nil {
		return err
	}
	for _, glob := range []string{"namespace.yaml", "crd/*.yaml", "rbac/*.yaml"} {
		files, err := fs.Glob(manifests.FS, glob)
		if err != nil || len(files) == 0 {
			return fmt.Errorf("manifests %s: none found (%w)", glob, err)
		}
		for _, file := range files {
			if err := applyFile(ctx, kube, file); err != nil {
				return fmt.Errorf("apply manifests/%s: %w", file, err)
			}
		}
	}
	return waitForAPI(ctx, kube)
}

func applyFile(ctx context.Context, kube client.Client, file string) error {
	data, err := manifests.FS.ReadFile(file)
	if err != nil {
		return err
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := kube.Create(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

// waitForAPI waits until the API server serves our resource.
func waitForAPI(ctx context.Context, kube client.Client) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := kube.List(ctx, &v1alpha1.WorkloadAutoscalerList{}, client.InNamespace(metav1.NamespaceDefault))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return fmt.Errorf("wait for the API of WorkloadAutoscaler: %w", err)
	}
	return nil
}

func newClient(c *cluster.Cluster) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("scheme: %w", err)
	}
	kube, err := client.New(c.RESTConfig, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return kube, nil
}
