// Plimsoll runs our autoscaler for the benchmark: what plimsoll-autoscaler links, and what records
// its requests.
package main

import (
	"context"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/child"
)

func main() { child.Main(run) }

// run runs it with its defaults, but for leader election: nobody else is there.
func run(ctx context.Context, c child.Options) error {
	config, err := c.Config()
	if err != nil {
		return err
	}
	o := app.DefaultOptions()
	o.SyncPeriod = c.Period
	o.PrometheusServers = []string{c.Prometheus}
	o.MetricsBindAddress, o.HealthProbeBindAddress = c.Metrics, "0"
	o.LeaderElect = false
	return app.Run(ctx, config, o)
}
