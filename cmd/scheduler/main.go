// Plimsoll-scheduler is kube-scheduler with Plimsoll's plugins.
package main

import (
	"os"
	"os/signal"
	"syscall"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json, as kube-scheduler has it
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics, as kube-scheduler has them
	_ "k8s.io/component-base/metrics/prometheus/version"  // the version metric, as kube-scheduler has it

	"github.com/plimsoll-k8s/plimsoll/cmd/scheduler/app"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

func main() {
	recent := &decisions.Ring{}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1) // SIGUSR2 is kube-scheduler's own dump of its cache
	go app.PrintDecisions(asked, recent, os.Stderr)
	os.Exit(cli.Run(app.NewCommand(plugins.Options{Decisions: recent})))
}
