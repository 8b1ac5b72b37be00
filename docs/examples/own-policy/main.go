// Command own-autoscaler is plimsoll-autoscaler with one policy and one source of
// metrics more: the same flags, the same objects, a binary of one's own.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"

	"example.com/own-autoscaler/backlog"
	"example.com/own-autoscaler/stairs"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := app.New(
		app.WithPolicy(stairs.Name, stairs.New),
		app.WithSource(backlog.New(os.Getenv("BACKLOG_URL"))),
	).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "own-autoscaler: %v\n", err)
		os.Exit(1)
	}
}
