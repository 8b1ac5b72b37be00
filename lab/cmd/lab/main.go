// Command lab runs the whole of Plimsoll on one machine: a real control plane, real scheduling
// and autoscaling, and a load trace, in one process.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/plimsoll-k8s/plimsoll/pkg/buildinfo"
)

// Exit codes.
const (
	exitFailed = 1 // a promise broke, or something did not work
	exitUsage  = 2 // the command line or a file it names is wrong
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newCommand().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "lab: %v\n", err)
	var usage usageError
	if errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

// usageError is a mistake of the caller's.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func newCommand() *cobra.Command {
	// Linking the components has filled the process's own flag set; its flags are not ours.
	pflag.CommandLine = pflag.NewFlagSet("lab", pflag.ContinueOnError)
	root := &cobra.Command{
		Use:   "lab",
		Short: "Plimsoll on a real control plane, on one machine",
		Long: `lab runs Plimsoll on one machine: etcd, kube-apiserver, kube-controller-manager,
nodes by kwok, metrics-server and Prometheus in one process, on loopback, faster
than life. Only kubelets and applications are simulated.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		Version:       buildinfo.Version(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newDemo())
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}
