// Package app is the autoscaler's command and the same as a function, for
// programs that run the autoscaler in their own process or with policies and
// sources of their own.
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
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/convert"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics"
	promsource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/prometheus"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/shadow"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

const none = "0" // the bind address that serves nothing

// Run runs the autoscaler against the API server of config until ctx ends, and
// returns when everything it started has ended. It may run several times in a
// process, one after the other or for different clusters at once. It makes
// o.Logger controller-runtime's logger, of which a process has only one.
func Run(ctx context.Context, config *rest.Config, o Options, extensions ...Option) error {
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
	a := &autoscaler{options: o, extensions: extended(extensions), manager: mgr, config: limited, registry: prometheus.NewRegistry()}
	if err := a.requireAPI(); err != nil {
		return err
	}
	servers, err := o.prometheusServers()
	if err != nil {
		return err
	}
	if a.prometheus, err = promsource.New(servers, a.registry); err != nil {
		return err
	}
	defer a.prometheus.Close()
	if err := a.add(); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return mgr.Start(logr.NewContext(ctx, o.Logger))
}

// newManager returns a manager that leads with config, past the rate limit, so
// that a busy controller does not lose its lease.
func newManager(limited, config *rest.Config, o Options) (manager.Manager, error) {
	kinds, err := newScheme()
	if err != nil {
		return nil, err
	}
	skipNameValidation := true
	mgr, err := ctrl.NewManager(limited, manager.Options{
		Scheme:                        kinds,
		Logger:                        o.Logger,
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
	return mgr, mgr.AddHealthzCheck("ping", healthz.Ping)
}

func newScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, autoscalingv2.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// autoscaler is one running autoscaler's parts while they are put together.
type autoscaler struct {
	options    Options
	extensions extensions
	manager    manager.Manager
	config     *rest.Config
	registry   *prometheus.Registry
	prometheus *promsource.Source
}

// requireAPI says what is missing before the controller would wait for it. Who
// only shadows existing objects needs no objects of ours.
func (a *autoscaler) requireAPI() error {
	if a.options.Shadow {
		return nil
	}
	gv := v1alpha1.GroupVersion()
	if _, err := a.manager.GetRESTMapper().RESTMapping(schema.GroupKind{Group: gv.Group, Kind: controller.Kind}, gv.Version); err != nil {
		return fmt.Errorf("find the API of WorkloadAutoscaler (is its CustomResourceDefinition installed?): %w", err)
	}
	return nil
}

// add adds to the manager what it is to run.
func (a *autoscaler) add() error {
	builtin := rest.CopyConfig(a.config)
	builtin.ContentType, builtin.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	kube, err := kubernetes.NewForConfigAndClient(builtin, a.manager.GetHTTPClient())
	if err != nil {
		return err
	}
	scales, err := a.scaleClient()
	if err != nil {
		return err
	}
	index := pods.NewIndex()
	reader := workloads.NewReader(a.manager.GetRESTMapper(), scales, index)
	claims := rivals.NewIndex()
	m := &mirrors{
		namespace: a.options.Namespace, kube: kube, pods: index.Mirror(), workloads: reader, claims: claims,
		mapper: a.manager.GetRESTMapper(),
	}
	if m.dynamic, err = dynamic.NewForConfigAndClient(a.config, a.manager.GetHTTPClient()); err != nil {
		return err
	}
	own, err := controller.NewMetrics(a.registry)
	if err != nil {
		return err
	}
	base, err := a.base(reader, claims, own)
	if err != nil {
		return err
	}
	if a.options.Shadow {
		a.addShadow(base, m)
	} else if err := a.addObjects(base, m); err != nil {
		return err
	}
	if err := a.manager.AddReadyzCheck("mirrors", m.ready); err != nil {
		return err
	}
	if err := a.manager.Add(m); err != nil {
		return err
	}
	if path := a.options.ConfigFile; path != "" {
		if err := a.manager.Add(&reload{path: path, options: a.options, source: a.prometheus, registry: a.registry}); err != nil {
			return err
		}
	}
	return a.serveMetrics(m.table)
}

// base is the configuration of a controller of any objects.
func (a *autoscaler) base(reader *workloads.Reader, claims *rivals.Index, own *controller.Metrics) (controller.Config, error) {
	o, x := a.options, a.extensions
	clients, err := metrics.Connect(a.config, a.manager.GetHTTPClient(), a.manager.GetRESTMapper(), time.Now)
	if err != nil {
		return controller.Config{}, err
	}
	clients.Prometheus = a.prometheus
	sources := metrics.New(clients)
	for _, s := range x.sources {
		if _, taken := sources[s.Name()]; taken {
			return controller.Config{}, fmt.Errorf("source %q: there is one of that name already", s.Name())
		}
		sources[s.Name()] = s
	}
	policies, err := x.allPolicies(o.Policies)
	if err != nil {
		return controller.Config{}, err
	}
	actuator := actuators.New(reader)[actuators.Default]
	if x.actuator != nil {
		actuator = x.actuator
	}
	return controller.Config{
		Workloads: reader, Rivals: claims, Sources: sources, Policies: policies,
		Limiters: x.allLimiters(), Actuator: actuator, DryRun: o.DryRun, Metrics: own,
		Period: o.SyncPeriod, Workers: o.ConcurrentSyncs,
		DownscaleStabilization: o.DownscaleStabilization, Tolerance: o.Tolerance, StatusRefresh: o.StatusRefresh,
		Now: time.Now,
	}, nil
}

// run adds a function that the manager runs whether it leads or not.
func (a *autoscaler) run(f func(context.Context) error) { _ = a.manager.Add(always(f)) }

// always is a function that the manager runs whether it leads or not.
type always func(context.Context) error

// Start implements manager.Runnable.
func (f always) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (always) NeedLeaderElection() bool { return false }

// addObjects adds the controller of our own objects.
func (a *autoscaler) addObjects(base controller.Config, m *mirrors) error {
	gvk := v1alpha1.GroupVersion().WithKind(controller.Kind)
	// Statuses are many and can wait; a limit of their own keeps replicas from
	// waiting behind them.
	apart := rest.CopyConfig(a.config)
	apart.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(a.options.KubeAPIQPS, a.options.KubeAPIBurst)
	client, err := apiutil.RESTClientForGVK(gvk, true, false, apart, serializer.NewCodecFactory(a.manager.GetScheme()), a.manager.GetHTTPClient())
	if err != nil {
		return err
	}
	objects := newObjects(client, runtime.NewParameterCodec(a.manager.GetScheme()))
	base.Objects, base.Statuses = objects, objects
	base.Events = a.manager.GetEventRecorder(controller.Name)
	c := controller.New(base)
	m.addObjects(objects, c.Changed)
	if err := a.registry.Register(c.Collector("")); err != nil {
		return err
	}
	return a.manager.Add(a.afterSync(m, c.Run))
}

// addShadow adds the controller that evaluates HorizontalPodAutoscalers and
// writes nothing.
func (a *autoscaler) addShadow(base controller.Config, m *mirrors) {
	m.table = shadow.NewTable(func(hpa *autoscalingv2.HorizontalPodAutoscaler) (*v1alpha1.WorkloadAutoscaler, field.ErrorList) {
		wa, _, faults := convert.FromHPA(hpa, convert.Options{})
		return wa, faults
	}, time.Now)
	base.Objects, base.Observe, base.DryRun = m.table, m.table.Observe, true
	base.Rivals = rivals.NewIndex() // whoever scales it, this does not
	c := controller.New(base)
	m.shadowChanged = c.Changed
	a.registry.MustRegister(c.Collector("shadow_"), m.table)
	a.run(a.afterSync(m, c.Run).Start)
}

// afterSync is a runnable for the leader that waits for the mirrors first.
func (a *autoscaler) afterSync(m *mirrors, run func(context.Context) error) manager.RunnableFunc {
	return func(ctx context.Context) error {
		if !m.wait(ctx) {
			return nil
		}
		return run(ctx)
	}
}

func (a *autoscaler) scaleClient() (scale.ScalesGetter, error) {
	d, err := discovery.NewDiscoveryClientForConfigAndClient(a.config, a.manager.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	return scale.NewForConfig(rest.CopyConfig(a.config), a.manager.GetRESTMapper(), dynamic.LegacyAPIPathResolverFunc, scale.NewDiscoveryScaleKindResolver(d))
}

// serveMetrics serves the controller's metrics beside controller-runtime's and
// client-go's, which are the process's. The manager's own server would take the
// latter only.
func (a *autoscaler) serveMetrics(table *shadow.Table) error {
	address := a.options.MetricsBindAddress
	if address == none {
		return nil
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("--metrics-bind-address: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(prometheus.Gatherers{a.registry, ctrlmetrics.Registry}, promhttp.HandlerOpts{}))
	if table != nil {
		mux.Handle("/shadow", table)
	}
	return a.manager.Add(&manager.Server{
		Name:     "metrics",
		Server:   &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second},
		Listener: listener,
	})
}

// reload has the Prometheus source follow the configuration file.
type reload struct {
	path     string
	options  Options
	source   *promsource.Source
	registry *prometheus.Registry
}

// reloadEvery is how often the configuration file is looked at.
const reloadEvery = 5 * time.Second

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (*reload) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (r *reload) Start(ctx context.Context) error {
	failures := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "plimsoll_autoscaler", Name: "config_last_reload_successful",
		Help: "1 if the configuration in force is that of the file, 0 if the file has an error and an older one is in force.",
	})
	if err := r.registry.Register(failures); err != nil {
		return err
	}
	failures.Set(1)
	logger := klog.FromContext(ctx)
	promsource.Watch(ctx, r.path, reloadEvery, func(servers []promsource.Server) error {
		all, err := r.options.withFlagServers(servers)
		if err == nil {
			err = r.source.Update(all)
		}
		if err == nil {
			failures.Set(1)
			logger.Info("The configuration was loaded", "file", r.path, "servers", len(all))
		}
		return err
	}, func(err error) {
		failures.Set(0)
		logger.Error(err, "The configuration was not loaded, the one before stays in force", "file", r.path)
	})
	return nil
}
