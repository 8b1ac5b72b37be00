// Command plimsoll-autoscaler scales workloads by their metrics.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := app.New().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "plimsoll-autoscaler: %v\n", err)
		os.Exit(1)
	}
}
