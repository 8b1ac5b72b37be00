package controlplane

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/component-base/configz"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// defaultControllers are the ones a cluster of stateless and stateful workloads on simulated nodes
// needs. Volumes, certificates and cloud stay out: nothing here uses them.
func defaultControllers() []string {
	return []string{
		names.DeploymentController,
		names.ReplicaSetController,
		names.StatefulSetController,
		names.DaemonSetController,
		names.JobController,
		names.CronJobController,
		names.TTLAfterFinishedController,
		names.NamespaceController,
		names.GarbageCollectorController,
		names.PodGarbageCollectorController,
		names.DisruptionController,
		names.EndpointSliceController,
		names.NodeLifecycleController,
		names.TaintEvictionController,
		names.ServiceAccountController,
		names.ServiceAccountTokenController,
		names.RootCACertificatePublisherController,
		names.ClusterRoleAggregationController,
		names.ResourceClaimController,
	}
}

// startControllers runs kube-controller-manager until ctx ends.
func startControllers(ctx context.Context, cfg Config, pki *pki, kubeconfig string) (*component, error) {
	enabled := slices.Clone(cfg.Controllers)
	args := []string{
		"--kubeconfig=" + kubeconfig,
		"--leader-elect=false",
		"--secure-port=0",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + pki.serviceAccountKey,
		"--root-ca-file=" + pki.ca.certFile(),
		"--controller-start-interval=0s",
		"--allocate-node-cidrs=false",
		"--kube-api-qps=500", "--kube-api-burst=1000",
		"--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10",
		"--node-monitor-period=" + (cfg.NodeMonitorGrace / 8).String(),
		"--node-monitor-grace-period=" + cfg.NodeMonitorGrace.String(),
		"--node-startup-grace-period=" + (2 * cfg.NodeMonitorGrace).String(),
	}
	if hpa := cfg.HorizontalPodAutoscaler; hpa != nil {
		enabled = append(enabled, names.HorizontalPodAutoscalerController)
		args = append(args, hpa.flags()...)
	}
	args = append(args, "--controllers="+strings.Join(enabled, ","))

	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return nil, fmt.Errorf("options of kube-controller-manager: %w", err)
	}
	all, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	flags := opts.Flags(all, disabled, aliases)
	if err := parseFlags(&flags, append(args, cfg.ControllerManagerFlags...)); err != nil {
		return nil, fmt.Errorf("flags of kube-controller-manager: %w", err)
	}
	opts.ParsedFlags = &flags
	config, err := opts.Config(ctx, all, disabled, aliases)
	if err != nil {
		return nil, fmt.Errorf("configure kube-controller-manager: %w", err)
	}
	return startComponent("kube-controller-manager", func() error {
		defer configz.Delete(app.ConfigzName) // a global: the next start would find it taken
		return app.Run(ctx, config.Complete())
	}), nil
}
