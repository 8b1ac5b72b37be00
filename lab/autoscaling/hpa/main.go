// Hpa runs kube-controller-manager for the benchmark, with the HorizontalPodAutoscaler's controller
// and no other.
package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/child"
)

func main() { child.Main(run) }

// run runs it. Each of its clients may send half as many requests again at once as in a second, as
// by its defaults.
func run(ctx context.Context, c child.Options) error {
	opts, err := options.NewKubeControllerManagerOptions()
	if err != nil {
		return fmt.Errorf("options: %w", err)
	}
	all, disabled, aliases := app.KnownControllers(), app.ControllersDisabledByDefault(), app.ControllerAliases()
	named := opts.Flags(all, disabled, aliases)
	flags := pflag.NewFlagSet("kube-controller-manager", pflag.ContinueOnError)
	for _, set := range named.FlagSets {
		flags.AddFlagSet(set)
	}
	err = flags.Parse([]string{
		"--kubeconfig=" + c.Kubeconfig,
		"--controllers=" + names.HorizontalPodAutoscalerController,
		"--leader-elect=false",
		"--secure-port=0",
		"--controller-start-interval=0s",
		"--horizontal-pod-autoscaler-sync-period=" + c.Period.String(),
		"--concurrent-horizontal-pod-autoscaler-syncs=" + strconv.Itoa(c.Workers),
		"--kube-api-qps=" + strconv.Itoa(c.QPS), "--kube-api-burst=" + strconv.Itoa(c.QPS*3/2),
	})
	if err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	opts.ParsedFlags = &named
	config, err := opts.Config(ctx, all, disabled, aliases)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	config.Kubeconfig.Wrap(c.Recorder.Wrap)
	return app.Run(ctx, config.Complete())
}
