package main

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
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/requests"
	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// childCommand makes this program run one controller.
const childCommand = "controller"

// A child is a process that runs one controller and says what it asked. It ends when its standard
// input does, which the kernel closes however its parent ends.
type child struct {
	kubeconfig, prometheus string
	period                 time.Duration
	recorder               *requests.Recorder
	metrics                string // where the controller is to serve its own metrics
}

// config is what it reaches the API server with, recorded.
func (c child) config() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	config.Wrap(c.recorder.Wrap)
	return config, nil
}

// hello is what a child says first.
type hello struct {
	Stats   string `json:"stats"`   // URL: requests.Stats since it was last asked, as JSON
	Metrics string `json:"metrics"` // URL of the controller's own metrics, if it has any
	Debug   string `json:"debug"`   // URL of net/http/pprof
}

func runChild(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	set := flag.NewFlagSet(childCommand, flag.ContinueOnError)
	set.SetOutput(stderr)
	var c child
	name := set.String("name", "", "the controller")
	set.StringVar(&c.kubeconfig, "kubeconfig", "", "a kubeconfig")
	set.StringVar(&c.prometheus, "prometheus", "", "URL of Prometheus")
	set.DurationVar(&c.period, "period", 0, "time from one evaluation of an object to the next")
	if err := set.Parse(args); err != nil {
		return err
	}
	quiet.Redirect(stderr)
	chosen, err := contenderNamed(*name)
	if err != nil {
		return err
	}
	c.recorder = requests.NewRecorder(c.period, time.Now)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	if err := c.sayHello(ctx, stdout); err != nil {
		return err
	}
	if err := chosen.run(ctx, c); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run %s: %w", *name, err)
	}
	return nil
}

// sayHello serves what the parent asks for, and tells it where.
func (c *child) sayHello(ctx context.Context, stdout io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if c.metrics, err = freeAddress(); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/stats", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(c.recorder.Take()) // an error is a parent that is gone
	})
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }() // the parent sees what is wrong
	base := "http://" + listener.Addr().String()
	return json.NewEncoder(stdout).Encode(hello{
		Stats: base + "/stats", Debug: base + "/debug/pprof/", Metrics: "http://" + c.metrics + "/metrics",
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
