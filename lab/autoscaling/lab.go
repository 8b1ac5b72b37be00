package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/kubernetes/cmd/kube-controller-manager/names"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/endpoints"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/prometheus"
)

// lab is everything but the controllers, in this process.
type lab struct {
	*controlplane.ControlPlane
	world         *world.World
	podMetrics    *endpoints.PodMetrics
	exposition    *endpoints.Exposition
	door          *endpoints.Door
	prometheus    *prometheus.Server
	prometheusURL string // of the door
	direct        promv1.API
	log           io.Writer
	period        time.Duration
	cancel        context.CancelFunc
}

// startLab starts an API server without the controllers that would mind the pods, Prometheus, and
// the servers of metrics. Samples are taken once a period.
func startLab(ctx context.Context, o options, log io.Writer) (_ *lab, err error) {
	cp, err := controlplane.Start(context.WithoutCancel(ctx), controlplane.Config{
		Dir: o.dir, Controllers: []string{names.ServiceAccountController},
		// Pods get no token: that would be a volume in each.
		APIServerFlags: []string{"--disable-admission-plugins=ServiceAccount"},
	})
	if err != nil {
		return nil, err
	}
	l := &lab{ControlPlane: cp, log: log, period: o.period}
	ctx, l.cancel = context.WithCancel(ctx)
	defer func() {
		if err != nil {
			err = errors.Join(err, l.stop())
		}
	}()
	if l.world, err = world.New(cp.RESTConfig, time.Now); err != nil {
		return nil, err
	}
	if err := l.world.InstallCRDs(ctx); err != nil {
		return nil, err
	}
	rates := load.Load{Seed: o.seed, Origin: time.Now()}
	if err := l.startPrometheus(ctx, rates); err != nil {
		return nil, err
	}
	return l, l.serveMetrics(ctx, rates)
}

func (l *lab) startPrometheus(ctx context.Context, rates load.Load) (err error) {
	l.exposition = endpoints.NewExposition(rates, time.Now)
	port, err := endpoints.Serve(ctx, l.exposition, "", "")
	if err != nil {
		return err
	}
	if l.prometheus, err = prometheus.Start(ctx, prometheus.Config{Dir: l.Dir, ScrapeInterval: l.period}); err != nil {
		return err
	}
	if l.door, err = endpoints.NewDoor(l.prometheus.URL); err != nil {
		return err
	}
	doorPort, err := endpoints.Serve(ctx, l.door, "", "")
	if err != nil {
		return err
	}
	l.prometheusURL = fmt.Sprintf("http://127.0.0.1:%d", doorPort)
	client, err := promapi.NewClient(promapi.Config{Address: l.prometheus.URL})
	if err != nil {
		return fmt.Errorf("client of Prometheus: %w", err)
	}
	l.direct = promv1.NewAPI(client)
	return l.prometheus.SetTargets(ctx, prometheus.Targets{&targetgroup.Group{
		Source:  "exposition",
		Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(fmt.Sprintf("127.0.0.1:%d", port))}},
	}})
}

// serveMetrics serves metrics.k8s.io and external.metrics.k8s.io.
func (l *lab) serveMetrics(ctx context.Context, rates load.Load) error {
	l.podMetrics = endpoints.NewPodMetrics(rates, l.period, time.Now)
	external, err := endpoints.NewExternal(l.prometheusURL, time.Now)
	if err != nil {
		return err
	}
	return errors.Join(
		l.serveAPI(ctx, l.podMetrics, endpoints.Registration{Group: "metrics.k8s.io", Version: "v1beta1", Service: "pod-metrics"}),
		l.serveAPI(ctx, external, endpoints.Registration{Group: "external.metrics.k8s.io", Version: "v1beta1", Service: "external-metrics"}),
	)
}

// serveAPI serves an API through kube-apiserver.
func (l *lab) serveAPI(ctx context.Context, handler http.Handler, r endpoints.Registration) error {
	certFile, keyFile, err := l.ServingCertificate(r.Service, r.Service+".kube-system.svc")
	if err != nil {
		return err
	}
	if r.Port, err = endpoints.Serve(ctx, handler, certFile, keyFile); err != nil {
		return err
	}
	r.CABundle = l.CABundle()
	return endpoints.Register(ctx, l.RESTConfig, r)
}

// stop ends it all, last things first.
func (l *lab) stop() error {
	l.cancel()
	var err error
	if l.prometheus != nil {
		err = l.prometheus.Wait()
	}
	return errors.Join(err, l.ControlPlane.Stop())
}

// grow creates workloads until there are n, and waits until Prometheus knows the rates of all.
func (l *lab) grow(ctx context.Context, n int) error {
	if err := l.world.Grow(ctx, n); err != nil {
		return err
	}
	l.podMetrics.SetWorkloads(l.world.Workloads())
	l.exposition.SetWorkloads(l.world.Workloads())
	byQuery := model.SampleValue(n / 2)
	err := wait.PollUntilContextTimeout(ctx, l.period/10, 10*l.period+time.Minute, true, func(ctx context.Context) (bool, error) {
		answer, _, _, err := l.direct.Query(ctx, `count(count by (deployment) (rate(http_requests_total[1m])))`, time.Now())
		vector, _ := answer.(model.Vector)
		return err == nil && (byQuery == 0 || len(vector) == 1 && vector[0].Value == byQuery), nil
	})
	if err != nil {
		return fmt.Errorf("wait for the rates of %v workloads in Prometheus: %w", byQuery, err)
	}
	return nil
}
