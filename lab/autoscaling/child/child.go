// Package child is what the programs that run one controller each for the benchmark have in common:
// they record what the controller asks the API server, and tell the benchmark about it.
package child

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/requests"
	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// Options are what a controller is run with. Validation is the benchmark's, which is the only one to
// start it.
type Options struct {
	// Kubeconfig is a file.
	Kubeconfig string
	// Prometheus is the URL of a server.
	Prometheus string
	// Period is the time from one evaluation of an object to the next.
	Period time.Duration
	// Workers and QPS are the controller's workers and its client's limit of requests a second.
	Workers, QPS int
	// Metrics is where the controller is to serve its own metrics, as host:port.
	Metrics string
	// Recorder records what goes through the transports it wraps.
	Recorder *requests.Recorder
}

// Args are the command line that says the same; Metrics and Recorder are the child's own.
func (o Options) Args() []string {
	return []string{
		"-kubeconfig", o.Kubeconfig, "-prometheus", o.Prometheus, "-period", o.Period.String(),
		"-workers", fmt.Sprint(o.Workers), "-qps", fmt.Sprint(o.QPS),
	}
}

// Config is what reaches the API server, recorded.
func (o Options) Config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.Kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.Wrap(o.Recorder.Wrap)
	return config, nil
}

// Hello is what a child says first, as a line of JSON. Its fields are URLs.
type Hello struct {
	Stats   string `json:"stats"`   // requests.Stats since it was last asked, as JSON
	Metrics string `json:"metrics"` // the controller's own metrics, if it has any
	Debug   string `json:"debug"`   // net/http/pprof
}

// Main runs a controller until it ends, or standard input does, which the kernel closes however the
// benchmark ends. It is a program's only statement.
func Main(run func(context.Context, Options) error) {
	if err := start(run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func start(run func(context.Context, Options) error) error {
	set := flag.NewFlagSet("controller", flag.ContinueOnError)
	var o Options
	set.StringVar(&o.Kubeconfig, "kubeconfig", "", "a kubeconfig")
	set.StringVar(&o.Prometheus, "prometheus", "", "URL of Prometheus")
	set.DurationVar(&o.Period, "period", 15*time.Second, "time from one evaluation of an object to the next")
	set.IntVar(&o.Workers, "workers", 0, "workers of the controller")
	set.IntVar(&o.QPS, "qps", 0, "limit of requests a second")
	if err := set.Parse(os.Args[1:]); err != nil {
		return err
	}
	quiet.Redirect(os.Stderr)
	o.Recorder = requests.NewRecorder(o.Period, time.Now)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := o.sayHello(ctx, os.Stdout); err != nil {
		return err
	}
	if err := run(ctx, o); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// sayHello serves what the benchmark asks for, and tells it where.
func (o *Options) sayHello(ctx context.Context, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if o.Metrics, err = freeAddress(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(o.Recorder.Take()) // an error is a benchmark that is gone
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // the benchmark sees what is wrong
	base := "http://" + listener.Addr().String()
	return json.NewEncoder(stdout).Encode(Hello{
		Stats: base + "/stats", Debug: base + "/debug/pprof/", Metrics: "http://" + o.Metrics + "/metrics",
	})
}

// freeAddress is an address on loopback that nobody listened on a moment ago.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
