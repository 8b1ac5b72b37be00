// Package quiet sends what the embedded components log somewhere else than the terminal.
package quiet

import (
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"

	"google.golang.org/grpc/grpclog"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// Redirect sends all process-wide loggers that the components use to out. Call it once, before
// anything is started.
func Redirect(out io.Writer) {
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	for name, value := range map[string]string{"logtostderr": "false", "alsologtostderr": "false", "stderrthreshold": "FATAL", "one_output": "true"} {
		if err := flags.Set(name, value); err != nil {
			panic(fmt.Sprintf("klog has no flag %s: %v", name, err)) // klog's flags are as old as Kubernetes
		}
	}
	klog.SetOutput(out)
	ctrl.SetLogger(klog.Background())
	log.SetOutput(out)
	slog.SetDefault(slog.New(slog.NewTextHandler(out, nil)))
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, out))
}
