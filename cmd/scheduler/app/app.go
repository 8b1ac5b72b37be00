// Package app is the command plimsoll-scheduler: kube-scheduler's own command
// with Plimsoll's plugins registered. Flags, leader election, metrics, health
// checks and configz are kube-scheduler's.
package app

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/spf13/cobra"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/plimsoll-k8s/plimsoll/pkg/buildinfo"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

const (
	name = "plimsoll-scheduler"

	long = `plimsoll-scheduler is kube-scheduler with Plimsoll's plugins: it places each
pod where it costs the cluster least, counted in shares of a node.

It takes kube-scheduler's flags and its KubeSchedulerConfiguration, in which a
profile enables the plugin MarginalCost. Without --config it schedules exactly
as kube-scheduler does.

Examples:
  # In a cluster: schedule the pods that name plimsoll-scheduler, with the
  # shipped profile. Elsewhere set clientConnection.kubeconfig in that file:
  # as in kube-scheduler, --kubeconfig does not count beside --config.
  plimsoll-scheduler --config=manifests/scheduler/config.yaml

  # Say why the latest pods are where they are: as log lines while it runs ...
  plimsoll-scheduler --config=manifests/scheduler/config.yaml -v=3
  # ... or on its standard error, when asked.
  kill -USR1 $(pidof plimsoll-scheduler)`
)

// Options returns what registers every plugin of plugins.Registry with
// kube-scheduler, for NewSchedulerCommand and Setup of
// k8s.io/kubernetes/cmd/kube-scheduler/app.
func Options(o plugins.Options) []schedulerapp.Option {
	registry := plugins.Registry(o)
	options := make([]schedulerapp.Option, 0, len(registry))
	for _, plugin := range slices.Sorted(maps.Keys(registry)) {
		options = append(options, schedulerapp.WithPlugin(plugin, registry[plugin]))
	}
	return options
}

// NewCommand returns the command. One process makes and runs it once: parts of
// kube-scheduler's command (flags, feature gates, signal handling) are global.
func NewCommand(o plugins.Options) *cobra.Command {
	cmd := schedulerapp.NewSchedulerCommand(Options(o)...)
	cmd.Use = name
	cmd.Long = long
	if help := cmd.Flags().Lookup("help"); help != nil {
		help.Usage = "help for " + name
	}
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		// --version=raw and --version=vX.Y.Z stay kube-scheduler's.
		if cmd.Flags().Lookup("version").Value.String() == "true" {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		}
		return run(cmd, args)
	}
	return cmd
}

// PrintDecisions writes the recent decisions as sentences, the oldest first,
// each time something arrives on asked, and returns when asked is closed.
func PrintDecisions(asked <-chan os.Signal, recent *decisions.Ring, out io.Writer) {
	for range asked {
		latest := recent.Latest(decisions.MaxCapacity)
		slices.Reverse(latest)
		for _, decision := range latest {
			fmt.Fprintf(out, "%s %s\n", decision.Time.Format("2006-01-02T15:04:05.000Z07:00"), decision.Sentence())
		}
		fmt.Fprintf(out, "%d of %d decisions since the start\n", len(latest), recent.Total())
	}
}

// version names this build and the kube-scheduler inside.
func version() string {
	return fmt.Sprintf("%s %s (kube-scheduler %s)", name, buildinfo.Version(), buildinfo.Module("k8s.io/kubernetes"))
}
