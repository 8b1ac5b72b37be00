package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
	"k8s.io/component-base/configz"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"sigs.k8s.io/yaml"
)

// Scheduler is a kube-scheduler to run in this process.
type Scheduler struct {
	// Configuration is a KubeSchedulerConfiguration. Empty: upstream's defaults. Its
	// clientConnection.kubeconfig is set to Kubeconfig, and leader election is switched off:
	// upstream ends the process when it stops leading.
	Configuration []byte
	// Kubeconfig says as whom it acts.
	Kubeconfig string
	// Plugins are registered beside the in-tree ones.
	Plugins []schedulerapp.Option
}

// RunScheduler starts a scheduler that runs until the cluster stops. The path it takes is
// kube-scheduler's own: only the command line's signal handling is left out.
func (c *Cluster) RunScheduler(s Scheduler) error {
	file, err := s.write(c.Dir)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for kube-scheduler: %w", err)
	}
	opts := options.NewOptions()
	flags := pflag.NewFlagSet("kube-scheduler", pflag.ContinueOnError)
	for _, set := range opts.Flags.FlagSets {
		flags.AddFlagSet(set)
	}
	if err := flags.Parse([]string{"--config=" + file, "--authentication-kubeconfig=" + s.Kubeconfig, "--authorization-kubeconfig=" + s.Kubeconfig}); err != nil {
		listener.Close()
		return fmt.Errorf("flags of kube-scheduler: %w", err)
	}
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	opts.SecureServing.ServerCert.CertDirectory = c.Dir

	// Plugins keep the context they are made with: it must be the one the scheduler runs with.
	runCtx, cancel := context.WithCancel(c.ctx)
	config, scheduler, err := schedulerapp.Setup(runCtx, opts, s.Plugins...)
	if err != nil {
		cancel()
		listener.Close()
		return fmt.Errorf("set up kube-scheduler: %w", err)
	}
	c.Go("kube-scheduler", func(ctx context.Context) error {
		defer cancel()
		defer configz.Delete("componentconfig") // a global: the next start would find it taken
		err := schedulerapp.Run(runCtx, config, scheduler)
		if ctx.Err() != nil {
			return nil // it has no clean end: upstream always returns an error
		}
		return errors.Join(errors.New("ended by itself"), err)
	})
	return nil
}

// write puts the configuration, changed as said, where kube-scheduler reads it.
func (s Scheduler) write(dir string) (file string, err error) {
	config := map[string]any{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
	if len(s.Configuration) > 0 {
		config = map[string]any{}
		if err := yaml.UnmarshalStrict(s.Configuration, &config); err != nil {
			return "", fmt.Errorf("read scheduler configuration: %w", err)
		}
	}
	connection, _ := config["clientConnection"].(map[string]any)
	if connection == nil {
		connection = map[string]any{}
	}
	connection["kubeconfig"] = s.Kubeconfig
	config["clientConnection"] = connection
	config["leaderElection"] = map[string]any{"leaderElect": false}
	out, err := yaml.Marshal(config)
	if err != nil {
		return "", fmt.Errorf("write scheduler configuration: %w", err)
	}
	file = filepath.Join(dir, "scheduler-config.yaml")
	if err := os.WriteFile(file, out, 0o600); err != nil {
		return "", fmt.Errorf("write scheduler configuration: %w", err)
	}
	return file, nil
}
