// Package prometheus runs a real Prometheus inside the calling process: its scrape manager, its
// time series database, its PromQL engine and its HTTP API, from their Go modules. Only service
// discovery is replaced: targets are handed over by the caller.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/notifications"
	webapi "github.com/prometheus/prometheus/web/api/v1"
)

// JobName is the scrape job under which every target runs.
const JobName = "pods"

// Limits of a query, Prometheus' own defaults but for the shorter timeout.
const (
	maxSamples   = 50_000_000
	queryTimeout = 30 * time.Second
	maxPoints    = 50_000_000
)

// Config of a Prometheus.
type Config struct {
	// Dir is an existing directory; the database lives in a directory below it.
	Dir string
	// ScrapeInterval between two scrapes of a target. Default 15 s, at least 10 ms.
	ScrapeInterval time.Duration
	// LookbackDelta is how long a sample stays current for instant queries. Default: Prometheus'
	// 5 min, the same multiple of ScrapeInterval (20) if that is set.
	LookbackDelta time.Duration
	// Logger receives what Prometheus logs. Default: nothing.
	Logger *slog.Logger
}

// Targets is a set of targets that replaces the one before: per group, addresses and labels.
type Targets []*targetgroup.Group

// Server is a running Prometheus.
type Server struct {
	// URL of its HTTP API, on loopback.
	URL string

	targets chan map[string][]*targetgroup.Group
	done    chan struct{}
	err     error // set before done is closed
}

// Start runs Prometheus until ctx ends.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	registry := promclient.NewRegistry()
	options := tsdb.DefaultOptions()
	options.RetentionDuration = int64(24 * time.Hour / time.Millisecond)
	options.NoLockfile = true // the directory is private
	db, err := tsdb.Open(filepath.Join(cfg.Dir, "prometheus"), cfg.Logger, registry, options, nil)
	if err != nil {
		return nil, fmt.Errorf("open time series database: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	scrapeConfig, err := config.Load(cfg.scrapeYAML(), cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("scrape configuration: %w", err)
	}
	manager, err := scrape.NewManager(&scrape.Options{
		DiscoveryReloadInterval: model.Duration(cfg.ScrapeInterval), DiscoveryReloadOnStartup: true,
	}, cfg.Logger, nil, nil, db, registry)
	if err != nil {
		return nil, fmt.Errorf("create scrape manager: %w", err)
	}
	if err := manager.ApplyConfig(scrapeConfig); err != nil {
		return nil, fmt.Errorf("apply scrape configuration: %w", err)
	}
	engine := promql.NewEngine(promql.EngineOpts{
		Logger: cfg.Logger, Reg: registry, MaxSamples: maxSamples, Timeout: queryTimeout,
		LookbackDelta: cfg.LookbackDelta, EnableAtModifier: true, EnableNegativeOffset: true,
		NoStepSubqueryIntervalFn: func(int64) int64 { return cfg.ScrapeInterval.Milliseconds() },
		Parser:                   parser.NewParser(parser.Options{}),
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for Prometheus: %w", err)
	}
	s := &Server{
		URL:     "http://" + listener.Addr().String(),
		targets: make(chan map[string][]*targetgroup.Group),
		done:    make(chan struct{}),
	}
	handler := &http.Server{
		Handler:           apiHandler(cfg, engine, db, manager, scrapeConfig, registry, listener.Addr().String()),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go s.run(ctx, manager, handler, listener, db, engine)
	return s, nil
}

// SetTargets replaces the targets. It takes effect within one scrape interval.
func (s *Server) SetTargets(ctx context.Context, targets Targets) error {
	select {
	case s.targets <- map[string][]*targetgroup.Group{JobName: targets}:
		return nil
	case <-s.done:
		return errors.New("prometheus has ended")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Wait returns when everything has ended, with what went wrong.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// run serves until ctx ends, then stops scraping before it closes the database.
func (s *Server) run(ctx context.Context, manager *scrape.Manager, handler *http.Server, listener net.Listener, db *tsdb.DB, engine *promql.Engine) {
	defer close(s.done)
	served, scraped := make(chan error, 1), make(chan error, 1)
	go func() { served <- handler.Serve(listener) }()
	go func() { scraped <- manager.Run(s.targets) }()
	<-ctx.Done()
	manager.Stop()
	closeErr := handler.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		s.err = err
	}
	s.err = errors.Join(s.err, closeErr, <-scraped, engine.Close(), db.Close())
}

func (c *Config) complete() error {
	if c.ScrapeInterval == 0 {
		c.ScrapeInterval = 15 * time.Second
	}
	if c.ScrapeInterval < 10*time.Millisecond {
		return fmt.Errorf("scrape interval: %v is below 10ms", c.ScrapeInterval)
	}
	if c.LookbackDelta < 0 {
		return fmt.Errorf("lookback: %v is negative", c.LookbackDelta)
	}
	if c.LookbackDelta == 0 {
		c.LookbackDelta = 20 * c.ScrapeInterval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(c.Dir); err != nil {
		return fmt.Errorf("directory of Prometheus: %w", err)
	}
	return nil
}

// scrapeYAML is the configuration a user would write, with targets left to SetTargets.
func (c *Config) scrapeYAML() string {
	interval := model.Duration(c.ScrapeInterval.Round(time.Millisecond))
	return fmt.Sprintf(`
global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
scrape_configs:
- job_name: %[2]s
  honor_labels: true
  track_timestamps_staleness: true # also a target that says when its values held goes stale at once
`, interval, JobName)
}

// apiHandler is Prometheus' own HTTP API under /api/v1.
func apiHandler(cfg Config, engine *promql.Engine, db *tsdb.DB, manager *scrape.Manager, scrapeConfig *config.Config, registry *promclient.Registry, address string) http.Handler {
	started := time.Now()
	api := webapi.NewAPI(
		engine, db, nil, db,
		func(context.Context) webapi.ScrapePoolsRetriever { return manager },
		func(context.Context) webapi.TargetRetriever { return manager },
		func(context.Context) webapi.AlertmanagerRetriever { return none{} },
		func() config.Config { return *scrapeConfig },
		map[string]string{},
		webapi.GlobalURLOptions{ListenAddress: address, Host: address, Scheme: "http"},
		func(next http.HandlerFunc) http.HandlerFunc { return next },
		nil, "", false, false, 0,
		cfg.Logger,
		func(context.Context) webapi.RulesRetriever { return none{} },
		maxPoints, 10, 1<<20, false,
		regexp.MustCompile("^$"), // no cross-origin requests
		func() (webapi.RuntimeInfo, error) {
			return webapi.RuntimeInfo{StartTime: started, ServerTime: time.Now(), GoroutineCount: runtime.NumGoroutine(), GOMAXPROCS: runtime.GOMAXPROCS(0), GOMEMLIMIT: math.MaxInt64, StorageRetention: "1d"}, nil
		},
		&webapi.PrometheusVersion{Version: "3.16.0-embedded", GoVersion: runtime.Version()},
		func() []notifications.Notification { return nil },
		func() (<-chan notifications.Notification, func(), bool) { return nil, nil, false },
		registry, registry, nil,
		false, nil, false, false, false,
		cfg.LookbackDelta, false, false, nil,
		features.NewRegistry(), webapi.OpenAPIOptions{}, parser.NewParser(parser.Options{}), false, queryTimeout,
	)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	router.Get("/-/healthy", ok)
	router.Get("/-/ready", ok)
	return router
}

func ok(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "Prometheus is ready.") }

// none has neither rules nor alert managers.
type none struct{}

func (none) Alertmanagers() []*url.URL            { return nil }
func (none) DroppedAlertmanagers() []*url.URL     { return nil }
func (none) RuleGroups() []*rules.Group           { return nil }
func (none) AlertingRules() []*rules.AlertingRule { return nil }
