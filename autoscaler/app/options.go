package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// The namespace and the name of the Lease that replicas of the autoscaler elect
// their leader with.
const (
	LeaseNamespace = "plimsoll-system"
	LeaseName      = "plimsoll-autoscaler"
)

// Options are the autoscaler's configuration; DefaultOptions has the defaults,
// Validate the allowed ranges.
type Options struct {
	// SyncPeriod is the time from one evaluation of an object to the next.
	SyncPeriod time.Duration
	// ConcurrentSyncs is how many objects are evaluated at a time.
	ConcurrentSyncs int
	// ConfigFile is a file that says which Prometheus servers objects may refer to,
	// and how they are asked; it is read again when it changes. Empty for none.
	ConfigFile string
	// PrometheusServers are more servers objects may refer to, each as name=URL,
	// or as URL for the name "default".
	PrometheusServers []string
	// PrometheusBearerTokenFile is a file with a token for the servers of
	// PrometheusServers; empty for none.
	PrometheusBearerTokenFile string
	// DownscaleStabilization is the scale-down window of objects that do not set
	// one, and Tolerance the tolerance of those that do not.
	DownscaleStabilization time.Duration
	Tolerance              float64
	// StatusRefresh is how long the figures in a status may be old if nothing else
	// has changed.
	StatusRefresh time.Duration
	// Shadow evaluates existing HorizontalPodAutoscalers instead of our own
	// objects, and writes nothing.
	Shadow bool
	// DryRun treats every object as if its mode were Recommend.
	DryRun bool
	// Policies configures the policies.
	Policies policies.Config
	// MetricsBindAddress is where /metrics is served as host:port; "0" for
	// nowhere.
	MetricsBindAddress string
	// HealthProbeBindAddress is where /healthz and /readyz are served as
	// host:port; "0" for nowhere.
	HealthProbeBindAddress string
	// LeaderElect has several replicas elect one that works.
	LeaderElect bool
	// Namespace confines the autoscaler to one namespace; empty for all.
	Namespace string
	// KubeAPIQPS and KubeAPIBurst limit requests to the API server; once more for
	// writes of status, for which no replica is to wait.
	KubeAPIQPS   float32
	KubeAPIBurst int
	// Logger takes logs; klog's if not set.
	Logger logr.Logger
}

// DefaultOptions has the defaults of all flags.
func DefaultOptions() Options {
	return Options{
		SyncPeriod:             15 * time.Second,
		ConcurrentSyncs:        10,
		DownscaleStabilization: 5 * time.Minute,
		Tolerance:              0.1,
		StatusRefresh:          time.Minute,
		Policies:               policies.DefaultConfig(),
		MetricsBindAddress:     ":8080",
		HealthProbeBindAddress: ":8081",
		LeaderElect:            true,
		KubeAPIQPS:             100,
		KubeAPIBurst:           200,
	}
}

// addFlags binds the options to flags.
func (o *Options) addFlags(fs *pflag.FlagSet) {
	t := &o.Policies.Target
	fs.DurationVar(&o.SyncPeriod, "sync-period", o.SyncPeriod, "Time from one evaluation of an object to the next, from 50ms to 1h.")
	fs.IntVar(&o.ConcurrentSyncs, "concurrent-syncs", o.ConcurrentSyncs, "Objects evaluated at a time, from 1 to 1000.")
	fs.DurationVar(&o.DownscaleStabilization, "downscale-stabilization", o.DownscaleStabilization, "Scale-down window of objects that do not set behavior.scaleDown.stabilizationWindowSeconds, from 0s to 1h.")
	fs.Float64Var(&o.Tolerance, "tolerance", o.Tolerance, "Relative distance from the target within which nothing is done, for objects that do not set one, from 0 to 1.")
	fs.DurationVar(&o.StatusRefresh, "status-refresh", o.StatusRefresh, "How old the figures in a status may be if nothing else has changed, from 0s to 1h.")
	fs.BoolVar(&o.DryRun, "dry-run", o.DryRun, "Recommend only: say in each status what would be done, and set no replicas.")
	fs.BoolVar(&o.Shadow, "shadow", o.Shadow, "Evaluate existing HorizontalPodAutoscalers instead of WorkloadAutoscalers, show the difference under /shadow and in metrics, and write nothing.")
	fs.StringVar(&o.ConfigFile, "config", o.ConfigFile, "File with the Prometheus servers that objects may refer to (kind AutoscalerConfiguration); read again when it changes.")
	fs.StringArrayVar(&o.PrometheusServers, "prometheus-server", o.PrometheusServers, `Prometheus server that objects may refer to, as name=URL, or as URL for the name "default". Repeatable.`)
	fs.StringVar(&o.PrometheusBearerTokenFile, "prometheus-bearer-token-file", o.PrometheusBearerTokenFile, "File with a bearer token for the servers of --prometheus-server, read again when it changes.")
	fs.DurationVar(&t.CPUInitializationPeriod, "cpu-initialization-period", t.CPUInitializationPeriod, "Time after a pod's start in which its CPU samples count only if taken while it was ready, from 0s to 24h.")
	fs.DurationVar(&t.InitialReadinessDelay, "initial-readiness-delay", t.InitialReadinessDelay, "Time after a pod's start in which a change to not ready means it has never been ready, from 0s to 24h.")
	fs.DurationVar(&t.MaxSampleAge, "max-sample-age", t.MaxSampleAge, "Age beyond which a sample counts as missing, from 0s, which is any age, to 24h.")
	fs.StringVar(&o.MetricsBindAddress, "metrics-bind-address", o.MetricsBindAddress, `Address to serve /metrics on, as host:port, or "0" for none.`)
	fs.StringVar(&o.HealthProbeBindAddress, "health-probe-bind-address", o.HealthProbeBindAddress, `Address to serve /healthz and /readyz on, as host:port, or "0" for none.`)
	fs.BoolVar(&o.LeaderElect, "leader-elect", o.LeaderElect, "Elect a leader among several replicas, with Lease "+LeaseNamespace+"/"+LeaseName+".")
	fs.StringVar(&o.Namespace, "namespace", o.Namespace, "Namespace to work in; all if empty.")
	fs.Float32Var(&o.KubeAPIQPS, "kube-api-qps", o.KubeAPIQPS, "Requests a second to the API server, and as many writes of status beside them; more than 0.")
	fs.IntVar(&o.KubeAPIBurst, "kube-api-burst", o.KubeAPIBurst, "Requests to the API server at once, and as many writes of status; 1 or more.")
}

// Validate says everything that is wrong, one line each, with the flag, its value
// and what is allowed.
func (o Options) Validate() error {
	t := o.Policies.Target
	_, serverErr := o.prometheusServers()
	return errors.Join(
		durationWithin("sync-period", o.SyncPeriod, 50*time.Millisecond, time.Hour),
		durationWithin("cpu-initialization-period", t.CPUInitializationPeriod, 0, 24*time.Hour),
		durationWithin("initial-readiness-delay", t.InitialReadinessDelay, 0, 24*time.Hour),
		durationWithin("downscale-stabilization", o.DownscaleStabilization, 0, time.Hour),
		durationWithin("status-refresh", o.StatusRefresh, 0, time.Hour),
		flagError(o.Tolerance >= 0 && o.Tolerance <= 1, "tolerance", o.Tolerance, "must be from 0 to 1"),
		durationWithin("max-sample-age", t.MaxSampleAge, 0, 24*time.Hour),
		flagError(o.ConcurrentSyncs >= 1 && o.ConcurrentSyncs <= 1000, "concurrent-syncs", o.ConcurrentSyncs, "must be from 1 to 1000"),
		flagError(o.KubeAPIQPS > 0, "kube-api-qps", o.KubeAPIQPS, "must be more than 0"),
		flagError(o.KubeAPIBurst >= 1, "kube-api-burst", o.KubeAPIBurst, "must be 1 or more"),
		flagError(o.MetricsBindAddress != "", "metrics-bind-address", `""`, `must be host:port, or "0" for none`),
		flagError(o.HealthProbeBindAddress != "", "health-probe-bind-address", `""`, `must be host:port, or "0" for none`),
		serverErr,
	)
}

func durationWithin(flag string, value, least, most time.Duration) error {
	return flagError(least <= value && value <= most, flag, value, fmt.Sprintf("must be from %s to %s", least, most))
}

func flagError(valid bool, flag string, value any, allowed string) error {
	if valid {
		return nil
	}
	return fmt.Errorf("--%s %v: %s", flag, value, allowed)
}

// prometheusServers reads the servers of the file and of the flags, and checks
// them by connecting to none.
func (o Options) prometheusServers() ([]prometheus.Server, error) {
	var servers []prometheus.Server
	if o.ConfigFile != "" {
		var err error
		if servers, err = prometheus.LoadConfig(o.ConfigFile); err != nil {
			return nil, fmt.Errorf("--config %s: %w", o.ConfigFile, err)
		}
	}
	return o.withFlagServers(servers)
}

// withFlagServers adds the servers of the flags to those of the file.
func (o Options) withFlagServers(servers []prometheus.Server) ([]prometheus.Server, error) {
	for _, text := range o.PrometheusServers {
		name, url, named := strings.Cut(text, "=")
		if !named || strings.Contains(name, "/") {
			name, url = v1alpha1.DefaultServerName, text
		}
		servers = append(servers, prometheus.Server{Name: name, URL: url, BearerTokenFile: o.PrometheusBearerTokenFile})
	}
	source, err := prometheus.New(servers, nil)
	if err != nil {
		return nil, fmt.Errorf("--prometheus-server: %w", err)
	}
	source.Close()
	return servers, nil
}
