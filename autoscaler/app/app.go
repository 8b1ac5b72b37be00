// Package app is the autoscaler's command and the same as a function, for
// programs that run the autoscaler in their own process.
package app

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics"
	promsource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

const none = "0" // the bind address that serves nothing

// Run runs the autoscaler against the API server of config until ctx ends, and
// returns when everything it started has ended. It may run several times in a
// process, one after the other or for different clusters at once. It makes
// o.Logger controller-runtime's logger, of which a process has only one.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if o.Logger.GetSink() == nil {
		o.Logger = klog.Background()
	}
	ctrl.SetLogger(o.Logger)

	limited := rest.AddUserAgent(rest.CopyConfig(config), controller.Name)
	limited.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(o.KubeAPIQPS, o.KubeAPIBurst)
	mgr, err := newManager(limited, config, o)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	defer utilnet.CloseIdleConnectionsFor(mgr.GetHTTPClient().Transport)
	if err := requireAPI(mgr); err != nil {
		return err
	}
	servers, err := o.prometheusServers()
	if err != nil {
		return err
	}
	source, err := promsource.New(servers)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := addController(mgr, limited, source, o); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return mgr.Start(logr.NewContext(ctx, o.Logger))
}

// newManager returns a manager that leads with config, past the rate limit, so
// that a busy controller does not lose its lease.
func newManager(limited, config *rest.Config, o Options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	skipNameValidation := true
	mgr, err := ctrl.NewManager(limited, manager.Options{
		Scheme:                        scheme,
		Logger:                        o.Logger,
		Cache:                         cacheOptions(o.Namespace),
		LeaderElection:                o.LeaderElect,
		LeaderElectionID:              LeaseName,
		LeaderElectionNamespace:       LeaseNamespace,
		LeaderElectionConfig:          config,
		LeaderElectionReleaseOnCancel: true,
		Metrics:                       metricsserver.Options{BindAddress: none},
		HealthProbeBindAddress:        o.HealthProbeBindAddress,
		Controller:                    ctrlconfig.Controller{SkipNameValidation: &skipNameValidation},
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return nil, err
	}
	return mgr, mgr.AddReadyzCheck("cache", cacheSynced(mgr.GetCache()))
}

// cacheOptions keeps of pods only what is read.
func cacheOptions(namespace string) cache.Options {
	o := cache.Options{
		DefaultTransform: cache.TransformStripManagedFields(),
		ByObject:         map[client.Object]cache.ByObject{&corev1.Pod{}: {Transform: controller.StripPod}},
	}
	if namespace != "" {
		o.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	}
	return o
}

func cacheSynced(c cache.Cache) healthz.Checker {
	return func(req *http.Request) error {
		ctx, cancel := context.WithTimeout(req.Context(), time.Second)
		defer cancel()
		if !c.WaitForCacheSync(ctx) {
			return fmt.Errorf("the cache has not synced yet")
		}
		return nil
	}
}

// requireAPI says what is missing before the controller would wait for it.
func requireAPI(mgr manager.Manager) error {
	gv := v1alpha1.GroupVersion()
	if _, err := mgr.GetRESTMapper().RESTMapping(schema.GroupKind{Group: gv.Group, Kind: "WorkloadAutoscaler"}, gv.Version); err != nil {
		return fmt.Errorf("find the API of WorkloadAutoscaler (is its CustomResourceDefinition installed?): %w", err)
	}
	return nil
}

// addController adds the controller and the server of its metrics.
func addController(mgr manager.Manager, config *rest.Config, source *promsource.Source, o Options) error {
	podMetrics, err := metricsclient.NewForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return err
	}
	scales, err := scaleClient(mgr, config)
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	own, err := controller.NewMetrics(registry)
	if err != nil {
		return err
	}
	if err := serveMetrics(mgr, o.MetricsBindAddress, registry); err != nil {
		return err
	}
	return controller.New(controller.Config{
		Client:  mgr.GetClient(),
		Live:    mgr.GetAPIReader(),
		Mapper:  mgr.GetRESTMapper(),
		Scales:  scales,
		Sources: metrics.New(metrics.Clients{PodMetrics: podMetrics, Prometheus: source}),
		Policy:  policies.New(o.Policies)[policies.Default],
		Events:  mgr.GetEventRecorder(controller.Name),
		Metrics: own,
		Period:  o.SyncPeriod,
		Now:     time.Now,
	}).SetupWithManager(mgr, o.ConcurrentSyncs)
}

func scaleClient(mgr manager.Manager, config *rest.Config) (scale.ScalesGetter, error) {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	return scale.NewForConfig(rest.CopyConfig(config), mgr.GetRESTMapper(), dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d))
}

// serveMetrics serves the controller's metrics beside controller-runtime's and
// client-go's, which are the process's. The manager's own server would take the
// latter only.
func serveMetrics(mgr manager.Manager, address string, registry *prometheus.Registry) error {
	if address == none {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{registry, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	return mgr.Add(&manager.Server{
		Name:     "metrics",
		Server:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		Listener: listener,
	})
}
