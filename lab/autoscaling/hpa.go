package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
	"k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmoptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"
)

// hpa runs kube-controller-manager with the autoscaler's controller and no other. Its clients have
// a limit of qps requests a second each, and half as much again at once, as its defaults do.
func hpa(workers, qps int) func(context.Context, child) error {
	return func(ctx context.Context, c child) error {
		opts, err := kcmoptions.NewKubeControllerManagerOptions()
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
			"--kubeconfig=" + c.kubeconfig,
			"--controllers=" + names.HorizontalPodAutoscalerController,
			"--leader-elect=false",
			"--secure-port=0",
			"--controller-start-interval=0s",
			"--horizontal-pod-autoscaler-sync-period=" + c.period.String(),
			"--concurrent-horizontal-pod-autoscaler-syncs=" + strconv.Itoa(workers),
			"--kube-api-qps=" + strconv.Itoa(qps), "--kube-api-burst=" + strconv.Itoa(qps*3/2),
		})
		if err != nil {
			return fmt.Errorf("flags: %w", err)
		}
		opts.ParsedFlags = &named
		config, err := opts.Config(ctx, all, disabled, aliases)
		if err != nil {
			return fmt.Errorf("configure: %w", err)
		}
		config.Kubeconfig.Wrap(c.recorder.Wrap)
		return app.Run(ctx, config.Complete())
	}
}
