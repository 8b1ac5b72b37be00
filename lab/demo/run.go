// Package demo runs the whole of Plimsoll on a lab cluster: it installs it from its manifests,
// creates workloads, replays a load trace, ends a node, watches that no promise breaks, and sums up.
// The same goes for the stock scheduler and autoscaler, to compare.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	appslisters "k8s.io/client-go/listers/apps/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/trace"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
)

// Scenario is what a run replays.
type Scenario struct {
	Trace trace.Trace
	// Length of trace time to replay, at most the trace's.
	Length time.Duration
	Pace   application.Pace
	Seed   uint64
	// FailNode ends the node with the most pods halfway and brings it back at three quarters.
	FailNode bool
	// AuditFile receives an audit log. Default: none.
	AuditFile string
	// Log receives the components' logs.
	Log io.Writer
}

// observePeriod is the wall time between two looks at the cluster.
const observePeriod = 100 * time.Millisecond

// settleTimeout bounds how long the workloads may take to be ready before the trace starts.
const settleTimeout = 2 * time.Minute

// How long, wall time, the autoscaled workloads must stay as they are to count as warm, and how
// long to wait for that.
const (
	steadyFor     = 4 * time.Second
	warmUpTimeout = time.Minute
)

// run is one system on one cluster, under way.
type run struct {
	Scenario
	system  System
	cluster *cluster.Cluster
	view    View

	pods        corelisters.PodLister
	nodes       corelisters.NodeLister
	deployments appslisters.DeploymentLister
	installed   installed

	result Result
	fits   fitting
}

// Run replays the scenario on a fresh cluster under the system and returns what it came to.
// When ctx ends early the result holds what there is until then, and the error says so.
func Run(ctx context.Context, scenario Scenario, system System, view View) (Result, error) {
	r := &run{Scenario: scenario, system: system, view: view, fits: fitting{}}
	r.result.System = system
	r.view.Phase("booting control plane, 40 nodes, metrics-server and Prometheus")
	c, err := cluster.Start(ctx, r.clusterConfig())
	if err != nil {
		return r.result, err
	}
	r.cluster = c
	r.result.BootTime = c.BootTime
	err = r.play(ctx)
	r.view.Phase("stopping")
	return r.result, errors.Join(err, c.Stop())
}

func (r *run) clusterConfig() cluster.Config {
	var apps []traffic.App
	for i, w := range workloads {
		apps = append(apps, w.app(r.Seed+uint64(i), r.Trace.At))
	}
	return cluster.Config{
		Pace: r.Pace, Pools: pools(), Startup: startup, Shutdown: shutdown, Apps: apps,
		HorizontalPodAutoscaler: r.system == Stock,
		AuditFile:               r.AuditFile, Log: r.Log,
	}
}

func (r *run) play(ctx context.Context) error {
	if err := r.watch(ctx); err != nil {
		return err
	}
	var err error
	if r.installed, err = r.system.install(ctx, r.cluster); err != nil {
		return err
	}
	if err := r.createWorkloads(ctx); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := r.createAutoscalers(ctx); err != nil {
		return err
	}
	if err := r.warmUp(ctx); err != nil {
		return err
	}
	r.view.Start(r.cluster)
	r.cluster.Traffic.Begin(r.Length)
	err = r.replay(ctx)
	r.finish()
	return err
}

// watch starts the informers that observations read.
func (r *run) watch(ctx context.Context) error {
	factory := r.cluster.Informers
	r.pods, r.nodes = factory.Core().V1().Pods().Lister(), factory.Core().V1().Nodes().Lister()
	deployments := factory.Apps().V1().Deployments()
	r.deployments = deployments.Lister()
	informer := deployments.Informer()
	factory.Start(r.cluster.Done())
	if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
		return ctx.Err()
	}
	return nil
}

func (r *run) createWorkloads(ctx context.Context) error {
	r.view.Phase("creating a dozen Deployments")
	kube := r.cluster.Client
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Namespace}}
	if _, err := kube.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	if err := controlplane.WaitForServiceAccount(ctx, kube, Namespace); err != nil {
		return err
	}
	for _, w := range workloads {
		if _, err := kube.AppsV1().Deployments(Namespace).Create(ctx, w.deployment(r.system.schedulerName()), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create Deployment %s: %w", w.name, err)
		}
	}
	return nil
}

// next waits for the next look. The error says why there is none: the caller has had enough, or
// a component has ended, whose error comes out of the cluster's Stop.
func (r *run) next(ctx context.Context, ticker *time.Ticker) error {
	select {
	case <-ctx.Done():
	case <-r.cluster.Done(): // also when the caller has had enough: asked next
	case <-ticker.C:
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("stopped at %v of trace time: %w", r.cluster.Traffic.Elapsed().Round(time.Second), context.Cause(ctx))
	}
	return errors.New("a component ended")
}

// settle waits until every Deployment is ready.
func (r *run) settle(ctx context.Context) error {
	deadline := time.Now().Add(settleTimeout)
	ticker := time.NewTicker(observePeriod)
	defer ticker.Stop()
	for {
		ready, all, err := r.ready()
		if err != nil {
			return err
		}
		if ready == len(workloads) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d Deployments ready after %v", ready, all, settleTimeout)
		}
		if err := r.next(ctx, ticker); err != nil {
			return err
		}
	}
}

// ready counts the Deployments that have all the ready replicas they want.
func (r *run) ready() (ready, all int, err error) {
	list, err := r.deployments.Deployments(Namespace).List(labels.Everything())
	if err != nil {
		return 0, 0, fmt.Errorf("list Deployments: %w", err)
	}
	for _, d := range list {
		if d.Status.ObservedGeneration == d.Generation && d.Status.ReadyReplicas == *d.Spec.Replicas {
			ready++
		}
	}
	return ready, len(list), nil
}

func (r *run) createAutoscalers(ctx context.Context) error {
	kube, err := newClient(r.cluster)
	if err != nil {
		return err
	}
	window := r.Pace.Wall(time.Minute) // four scrapes
	for _, w := range workloads {
		if !w.autoscaled() {
			continue
		}
		var object client.Object = w.horizontalPodAutoscaler()
		if r.system == Plimsoll {
			object = w.workloadAutoscaler(window)
		}
		if err := kube.Create(ctx, object); err != nil {
			return fmt.Errorf("create autoscaler of %s: %w", w.name, err)
		}
	}
	return nil
}

// warmUp waits until the autoscalers have met the load of trace time 0, so that how the demo
// starts does not count: no change for a while, or the time is up.
func (r *run) warmUp(ctx context.Context) error {
	r.view.Phase("waiting for the autoscalers to meet the first load")
	deadline := time.Now().Add(warmUpTimeout)
	ticker := time.NewTicker(observePeriod)
	defer ticker.Stop()
	var before []Scaled
	steadySince := time.Now()
	for time.Since(steadySince) < steadyFor {
		if time.Now().After(deadline) {
			return nil
		}
		if err := r.next(ctx, ticker); err != nil {
			return err
		}
		now, err := r.scaled()
		if err != nil {
			return err
		}
		unready := slices.ContainsFunc(now, func(s Scaled) bool { return s.Ready != s.Wanted })
		if unready || !slices.Equal(before, now) {
			steadySince = time.Now()
		}
		before = now
	}
	return nil
}

// replay observes until the trace has ended.
func (r *run) replay(ctx context.Context) error {
	ticker := time.NewTicker(observePeriod)
	defer ticker.Stop()
	last := time.Now()
	for {
		if err := r.next(ctx, ticker); err != nil {
			return err
		}
		now := time.Now()
		elapsed := r.cluster.Traffic.Elapsed()
		if err := r.observe(now, now.Sub(last), elapsed); err != nil {
			return err
		}
		last = now
		if elapsed >= r.Length {
			return nil
		}
		if err := r.disturb(ctx, elapsed); err != nil {
			return err
		}
	}
}

// observe takes one look and adds it to the result.
func (r *run) observe(now time.Time, wall, elapsed time.Duration) error {
	nodeList, err := r.nodes.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	podList, err := r.pods.Pods(Namespace).List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	scaled, err := r.scaled()
	if err != nil {
		return err
	}
	o := observe(nodeList, podList)
	r.fits = r.fits.next(o, now)
	r.result.add(sample{
		elapsed: elapsed, length: r.Pace.Trace(wall), observation: o, scaled: scaled,
		broken: brokenPromises(o, scaled, r.fits, now),
	})
	r.recordHealing(elapsed)
	r.result.Apps = r.cluster.Traffic.Stats()
	r.view.Show(Frame{
		System: r.system, Elapsed: elapsed, Length: r.Length, Trace: r.Trace, Observation: o, Scaled: scaled,
		Result: &r.result,
	})
	return nil
}

func (r *run) scaled() ([]Scaled, error) {
	var out []Scaled
	for _, w := range workloads {
		if !w.autoscaled() {
			continue
		}
		d, err := r.deployments.Deployments(Namespace).Get(w.name)
		if err != nil {
			return nil, fmt.Errorf("read Deployment %s: %w", w.name, err)
		}
		out = append(out, Scaled{
			Name: w.name, Wanted: *d.Spec.Replicas, Ready: d.Status.ReadyReplicas, Replicas: d.Status.Replicas,
			Min: minReplicas, Max: maxReplicas,
		})
	}
	return out, nil
}

// disturb ends a node halfway and brings it back at three quarters.
func (r *run) disturb(ctx context.Context, elapsed time.Duration) error {
	switch {
	case !r.FailNode:
		return nil
	case r.result.FailedNode == "" && elapsed >= r.Length/2:
		r.result.FailedNode, r.result.failedAt = r.result.last.observation.fullest(), elapsed
		r.view.Event(elapsed, "node "+r.result.FailedNode+" ends")
		return r.cluster.Nodes.Fail(ctx, r.result.FailedNode)
	case r.result.FailedNode != "" && !r.result.recovered && elapsed >= r.Length*3/4:
		r.result.recovered = true
		r.view.Event(elapsed, "node "+r.result.FailedNode+" comes back")
		return r.cluster.Nodes.Recover(ctx, r.result.FailedNode)
	}
	return nil
}

// recordHealing notes when, after the node's end was noticed, all workloads are ready again.
func (r *run) recordHealing(elapsed time.Duration) {
	if r.result.FailedNode == "" || r.result.HealedAfter > 0 {
		return
	}
	for _, n := range r.result.last.observation.Nodes {
		if n.Name == r.result.FailedNode && n.Ready {
			return // not noticed yet, or back before it was
		}
	}
	if ready, _, err := r.ready(); err == nil && ready == len(workloads) && r.result.last.observation.Terminating > 0 {
		r.result.HealedAfter = elapsed - r.result.failedAt
		r.view.Event(elapsed, fmt.Sprintf("healed: every workload has its replicas again, %v after the node ended", r.result.HealedAfter.Round(time.Second)))
	}
}

// finish reads what is only known at the end.
func (r *run) finish() {
	r.result.Apps = r.cluster.Traffic.Stats()
	if r.installed.decisions != nil {
		for _, d := range r.installed.decisions.Latest(maxSentences) {
			r.result.Decisions = append(r.result.Decisions, d.Sentence())
		}
		r.result.DecisionCount = r.installed.decisions.Total()
	}
}

// maxSentences is how many of the latest decisions a result keeps.
const maxSentences = 3

// fullest is the node with the most pods, the first by name among equals.
func (o Observation) fullest() string {
	best := NodeUse{Pods: -1}
	for _, n := range o.Nodes {
		if n.Pods > best.Pods {
			best = n
		}
	}
	return best.Name
}
