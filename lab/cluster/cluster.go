// Package cluster puts the lab together: control plane, nodes, metrics.k8s.io, Prometheus and
// traffic, on one clock that runs faster than life. Tests, the demo and benchmarks start one and
// add what they try: a scheduler, an autoscaler, workloads.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/metricsapi"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/lab/prometheus"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
)

// Config of a cluster. Durations are trace time: the pace shrinks them.
type Config struct {
	// Pace is seconds of trace time a second of wall time, 1 to 10000. Default 1.
	Pace application.Pace
	// Pools are the cluster's nodes.
	Pools []nodes.Pool
	// Startup is the time from a pod's binding until it is Ready.
	Startup nodes.StartupDelay
	// Shutdown is how long a pod takes to end. Default 0.
	Shutdown time.Duration
	// Apps are the applications under load.
	Apps []traffic.App
	// ScrapeInterval of Prometheus. Default 15 s.
	ScrapeInterval time.Duration
	// HorizontalPodAutoscaler runs the upstream autoscaler, with its default periods on this
	// clock.
	HorizontalPodAutoscaler bool
	// AuditFile receives one line an API request. Default: none.
	AuditFile string
	// Log receives what the nodes' simulator and Prometheus log. Default: nothing.
	Log io.Writer
}

// Periods that cannot shrink further in wall time.
const (
	// minMetricsResolution leaves metrics-server its staggered scrape of some fifty nodes.
	minMetricsResolution = 500 * time.Millisecond
	// minNodeGrace: a node's lease says whole seconds, and is renewed every quarter of it.
	minNodeGrace = 4 * time.Second
)

// MetricsResolution is the wall time between metrics-server's scrapes at a pace.
func MetricsResolution(pace application.Pace) time.Duration {
	return max(minMetricsResolution, pace.Wall(metricsResolution))
}

// NodeGrace is the wall time after which a silent node is not ready at a pace.
func NodeGrace(pace application.Pace) time.Duration {
	return max(minNodeGrace, pace.Wall(nodeMonitorGrace))
}

// Upstream's defaults, shrunk by the pace.
const (
	hpaSyncPeriod             = 15 * time.Second
	hpaDownscaleStabilization = 5 * time.Minute
	hpaCPUInitialization      = 5 * time.Minute
	hpaInitialReadiness       = 30 * time.Second
	nodeMonitorGrace          = 40 * time.Second
	podEvictionDelay          = 5 * time.Minute
	metricsResolution         = time.Minute
)

// Cluster is a running lab.
type Cluster struct {
	*controlplane.ControlPlane
	Client     kubernetes.Interface
	Informers  informers.SharedInformerFactory // started; add informers before Sync
	Nodes      *nodes.Simulator
	Prometheus *prometheus.Server
	Traffic    *traffic.Driver
	Pace       application.Pace
	// BootTime is how long the control plane took, wall time.
	BootTime time.Duration

	ctx    context.Context // of everything that Go runs
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex // guards errs
	errs   []error
}

// Start boots everything and returns once all nodes are ready and metrics.k8s.io answers. Stop,
// or the end of ctx followed by Stop, ends it.
func Start(ctx context.Context, cfg Config) (_ *Cluster, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	// The control plane outlives what runs on it: components end first, with their own context.
	begin := time.Now()
	cp, err := controlplane.Start(context.WithoutCancel(ctx), cfg.controlPlane())
	if err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	c := &Cluster{ControlPlane: cp, Pace: cfg.Pace, BootTime: time.Since(begin)}
	ctx, c.cancel = context.WithCancel(ctx)
	c.ctx = ctx
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if c.Client, err = kubernetes.NewForConfig(cp.RESTConfig); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c.Informers = informers.NewSharedInformerFactory(c.Client, 0)
	if c.Traffic, err = traffic.New(c.Informers, cfg.Pace, cfg.Apps); err != nil {
		return nil, err
	}
	address, err := c.serveEndpoints()
	if err != nil {
		return nil, err
	}
	c.Informers.Start(ctx.Done())
	c.Go("traffic", c.Traffic.Run)
	if c.Nodes, err = nodes.Start(ctx, cp.RESTConfig, cfg.nodes(address)); err != nil {
		return nil, err
	}
	if err := c.Nodes.Create(ctx, cfg.Pools...); err != nil {
		return nil, err
	}
	return c, c.startMetrics(ctx, cfg, address)
}

func (c *Cluster) startMetrics(ctx context.Context, cfg Config, address string) error {
	served, err := metricsapi.Start(ctx, c.ControlPlane, metricsapi.Config{Resolution: MetricsResolution(cfg.Pace)})
	if err != nil {
		return err
	}
	c.Go("metrics-server", func(context.Context) error { return <-served })
	interval := cfg.Pace.Wall(cfg.ScrapeInterval).Round(time.Millisecond)
	c.Prometheus, err = prometheus.Start(ctx, prometheus.Config{
		Dir: c.Dir, ScrapeInterval: interval, Logger: slog.New(slog.NewTextHandler(cfg.Log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	c.Go("prometheus", func(context.Context) error { return c.Prometheus.Wait() })
	c.Go("discovery", func(ctx context.Context) error { return c.discover(ctx, address, interval) })
	return nil
}

// discover tells Prometheus which pods to scrape, once a scrape interval.
func (c *Cluster) discover(ctx context.Context, address string, interval time.Duration) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := c.Prometheus.SetTargets(ctx, c.Traffic.Targets(address)); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// serveEndpoints serves the kubelets' and pods' metrics on a loopback port.
func (c *Cluster) serveEndpoints() (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for kubelets: %w", err)
	}
	server := &http.Server{Handler: c.Traffic, ReadHeaderTimeout: 10 * time.Second}
	c.Go("kubelets", func(context.Context) error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	c.Go("kubelets' end", func(ctx context.Context) error {
		<-ctx.Done()
		return server.Close()
	})
	return listener.Addr().String(), nil
}

// Go runs a component until the cluster stops. An error of it ends the cluster and comes out of
// Stop.
func (c *Cluster) Go(name string, run func(ctx context.Context) error) {
	c.wait.Go(func() {
		if err := run(c.ctx); err != nil {
			c.mu.Lock()
			c.errs = append(c.errs, fmt.Errorf("%s: %w", name, err))
			c.mu.Unlock()
			c.cancel()
		}
	})
}

// Done is closed when the cluster is ending: stopped, or after a component's error.
func (c *Cluster) Done() <-chan struct{} { return c.ctx.Done() }

// Stop ends everything in order, components before the control plane, and waits.
func (c *Cluster) Stop() error {
	c.cancel()
	c.wait.Wait()
	c.Informers.Shutdown()
	err := c.ControlPlane.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(append(c.errs, err)...)
}

// evictionDelay is how long pods stay on a dead node once it is known to be dead, wall time.
func (c Config) evictionDelay() time.Duration {
	return max(time.Second, c.Pace.Wall(podEvictionDelay))
}

func (c Config) controlPlane() controlplane.Config {
	out := controlplane.Config{
		AuditFile:        c.AuditFile,
		NodeMonitorGrace: NodeGrace(c.Pace),
		PodEvictionDelay: c.evictionDelay(),
	}
	if c.HorizontalPodAutoscaler {
		out.HorizontalPodAutoscaler = &controlplane.HorizontalPodAutoscaler{
			SyncPeriod:             c.Pace.Wall(hpaSyncPeriod),
			DownscaleStabilization: c.Pace.Wall(hpaDownscaleStabilization),
			CPUInitialization:      c.Pace.Wall(hpaCPUInitialization),
			InitialReadinessDelay:  c.Pace.Wall(hpaInitialReadiness),
		}
	}
	return out
}

func (c Config) nodes(address string) nodes.Config {
	return nodes.Config{
		Startup:        nodes.StartupDelay{Median: c.Pace.Wall(c.Startup.Median), P99: c.Pace.Wall(c.Startup.P99)},
		Shutdown:       c.Pace.Wall(c.Shutdown),
		LeaseDuration:  NodeGrace(c.Pace),
		KubeletAddress: address,
		Log:            c.Log,
	}
}

// validate finds, before anything is booted, what the nodes would refuse.
func (c Config) validate() error {
	for _, pool := range c.Pools {
		if _, err := pool.Nodes(); err != nil {
			return err
		}
	}
	switch {
	case !(c.Pace >= 1 && c.Pace <= 10_000): // false for NaN too
		return fmt.Errorf("pace: %v: allowed is 1 to 10000 seconds of trace per second", float64(c.Pace))
	case c.Shutdown < 0:
		return fmt.Errorf("shutdown: %v: allowed is 0s or more", c.Shutdown)
	}
	return c.Startup.Validate()
}

func (c Config) withDefaults() Config {
	if c.Pace == 0 {
		c.Pace = 1
	}
	if c.ScrapeInterval == 0 {
		c.ScrapeInterval = 15 * time.Second
	}
	if c.Log == nil {
		c.Log = io.Discard
	}
	return c
}
