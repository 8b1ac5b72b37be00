package marginalcost_test

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	coreinformers "k8s.io/client-go/informers/core"
	corev1informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/metrics/legacyregistry"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// cluster is a plugin with informers whose events a test sends, one after the
// other, and whose background work it does when it likes.
type cluster struct {
	*marginalcost.Plugin
	t        testing.TB
	handle   *fakeHandle
	handler  cache.ResourceEventHandler // of pods
	clock    *clocktesting.FakePassiveClock
	learn    func(now time.Time) bool
	recorded *decisions.Ring
}

func newCluster(t testing.TB, args string, o marginalcost.Options, nodes ...*fakeNode) *cluster {
	t.Helper()
	c := &cluster{t: t, clock: clocktesting.NewFakePassiveClock(newYear), recorded: &decisions.Ring{}}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	objects := factory.Core().V1().Nodes().Informer().GetIndexer()
	for _, n := range nodes {
		n.node.Status.Allocatable = n.list()
		if err := objects.Add(n.node); err != nil {
			t.Fatal(err)
		}
	}
	c.handle = &fakeHandle{nodes: nodes, factory: fakeFactory{factory, &c.handler}}
	o.Clock, o.Decisions = c.clock, c.recorded
	o.Background = func(learn func(now time.Time) bool) { c.learn = learn }
	c.Plugin = build(t, args, o, c.handle)
	return c
}

func (c *cluster) pass(d time.Duration) { c.clock.SetTime(c.clock.Now().Add(d)) }

// arrive sends what a pod goes through that is bound while it is watched.
func (c *cluster) arrive(p *v1.Pod, node string) *v1.Pod {
	c.handler.OnAdd(p, false)
	bound := p.DeepCopy()
	bound.Spec.NodeName = node
	c.handler.OnUpdate(p, bound)
	return bound
}

// relearn makes a new model of what was seen.
func (c *cluster) relearn() {
	c.t.Helper()
	c.pass(11 * time.Minute)
	if !c.learn(c.clock.Now()) {
		c.t.Fatal("after 11 minutes no new model was made")
	}
}

// decide places a pod on the node of least cost and returns what was recorded.
func (c *cluster) decide(p *v1.Pod, nodes []*fakeNode) decisions.Decision {
	c.t.Helper()
	state, best := newState(), ""
	list := scoresIn(c.t, state, c.Plugin, p, nodes)
	c.NormalizeScore(c.t.Context(), state, p, list)
	for _, s := range list {
		if s.Score == 100 {
			best = s.Name
		}
	}
	c.Reserve(c.t.Context(), state, p, best)
	c.PostBind(c.t.Context(), state, p, best)
	return c.recorded.Latest(1)[0]
}

// gauge reads one of the plugin's metrics, which the latest model has set.
func gauge(t testing.TB, name string) float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "plimsoll_marginalcost_"+name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// fakeFactory is a factory that is never started, whose pods are what tests send.
type fakeFactory struct {
	informers.SharedInformerFactory
	into *cache.ResourceEventHandler
}

type fakeCore struct {
	coreinformers.Interface
	into *cache.ResourceEventHandler
}

type fakeCoreV1 struct {
	corev1informers.Interface
	into *cache.ResourceEventHandler
}

type fakePods struct {
	corev1informers.TypedPodInformer
	into *cache.ResourceEventHandler
}

type fakeInformer struct {
	cache.SharedIndexInformer
	into *cache.ResourceEventHandler
}

func (f fakeFactory) Core() coreinformers.Interface {
	return fakeCore{f.SharedInformerFactory.Core(), f.into}
}
func (c fakeCore) V1() corev1informers.Interface { return fakeCoreV1{c.Interface.V1(), c.into} }
func (c fakeCoreV1) Pods() corev1informers.TypedPodInformer {
	return fakePods{c.Interface.Pods(), c.into}
}

func (p fakePods) Informer() cache.SharedIndexInformer {
	return fakeInformer{p.TypedPodInformer.Informer(), p.into}
}

func (i fakeInformer) AddEventHandler(h cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	*i.into = h
	return nil, nil
}
