package app

import (
	"flag"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/convert"
	"github.com/plimsoll-k8s/plimsoll/pkg/buildinfo"
)

const example = `  # In a cluster, as the shipped manifests run it:
  plimsoll-autoscaler --prometheus-server http://prometheus.monitoring.svc:9090

  # Two Prometheus servers; objects name them in metrics[].prometheus.serverName:
  plimsoll-autoscaler --prometheus-server http://prometheus:9090 --prometheus-server long-term=https://thanos.example.com

  # Servers with credentials, TLS and limits of their own, in a file:
  plimsoll-autoscaler --config /etc/plimsoll/autoscaler.yaml

  # What would it do in place of the HorizontalPodAutoscalers there are?
  plimsoll-autoscaler --shadow --leader-elect=false
  curl localhost:8080/shadow?differs=true

  # From a workstation, for one namespace, without a lease:
  plimsoll-autoscaler --kubeconfig ~/.kube/config --namespace shop --leader-elect=false -v 2`

// New returns the autoscaler's command, with what the options add. It runs until
// its context ends.
func New(extensions ...Option) *cobra.Command {
	o := DefaultOptions()
	var kubeconfig string
	cmd := &cobra.Command{
		Use:   "plimsoll-autoscaler",
		Short: "Scale workloads by their metrics",
		Long: `plimsoll-autoscaler keeps the number of replicas of workloads in step with their
metrics, as WorkloadAutoscaler objects ask for, from metrics.k8s.io and from
Prometheus, and says in each object's status how it came to its number.`,
		Example:       example,
		Version:       buildinfo.Version(),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.Validate(); err != nil {
				return err
			}
			config, err := load(kubeconfig)
			if err != nil {
				return err
			}
			return Run(cmd.Context(), config, o, extensions...)
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "Path of a kubeconfig; by default $KUBECONFIG, the cluster this runs in, or ~/.kube/config.")
	o.addFlags(cmd.Flags())
	logging := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(logging)
	cmd.Flags().AddGoFlag(logging.Lookup("v"))
	cmd.AddCommand(convert.NewCommand())
	return cmd
}

// load finds the API server the way kubectl does.
func load(kubeconfig string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server (--kubeconfig %q): %w", kubeconfig, err)
	}
	return config, nil
}
