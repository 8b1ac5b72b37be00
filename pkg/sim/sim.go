// Package sim replays pods through the real scheduler framework in virtual time,
// without an API server: kube-scheduler's own code filters, scores, normalises and
// weighs, so that a simulation, a what-if and production share every line of that.
//
// One profile schedules one pod after another, each on all nodes. What is not
// simulated is refused with an error instead of answered wrongly: pod groups, claims
// of devices, binding of volumes, waiting in Permit, nominations. Preemption does not
// run: a pod that fits nowhere stays pending. A gated pod is pending too; Schedule it
// again without its gates.
//
// It is quick because it keeps, for each signature (SignPod), the verdict of Filter
// and the raw scores of every node, and asks again only about nodes that changed or
// joined. So what a plugin's Filter and Score say of a node has to follow from that
// node, from what the plugin signs of the pod, and from background state that changes
// with a call of FlushScores or Flush; what PreScore and NormalizeScore add may read
// every node. A plugin that looks at other nodes in Filter or Score refuses to sign, as in
// production, or is run with Config.Exhaustive.
//
// Most of what is left is the framework's normalisation, which allocates for every
// node: a program that runs long traces saves a third of its time with GOGC=400.
package sim

import (
	"context"
	"fmt"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedulercache "k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	frameworkplugins "k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/nodevolumelimits"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
	"k8s.io/utils/clock"
)

// Config says what is simulated.
type Config struct {
	// Profile is one scheduler profile with its defaults; see LoadProfile. Its
	// percentageOfNodesToScore is not read: every pod sees every node.
	Profile config.KubeSchedulerProfile
	// Plugins are factories beside the in-tree ones, by name. May be nil.
	Plugins frameworkruntime.Registry
	// Start is the virtual time at which the simulation begins.
	Start time.Time
	// Clock is the virtual clock, for plugins that are built around one. Start must
	// then be zero or the clock's time. Nil: a new one at Start.
	Clock *Clock
	// TieBreak orders the names of nodes with equal total scores: the first gets the
	// pod. It must tell any two names apart. Nil: the smallest name. kube-scheduler
	// takes any of them.
	TieBreak func(a, b string) int
	// Exhaustive filters and scores every node for every pod, as if nothing were
	// kept between pods of one signature. It is slow; the nodes chosen are the same.
	Exhaustive bool
}

// Simulator schedules pods one at a time in virtual time. It belongs to one
// goroutine; only its clock and its listers may be read by others.
type Simulator struct {
	ctx       context.Context // of New, which has to outlive the framework's goroutines
	logger    klog.Logger
	framework framework.Framework
	cache     schedulercache.Cache
	snapshot  *schedulercache.Snapshot
	informers *informerSet
	clock     *Clock
	work      []*periodic

	profile    string
	tieBreak   func(a, b string) int
	exhaustive bool

	pods     map[types.UID]*v1.Pod // as the informer has them: pending and bound
	revision int64                 // of the objects that the simulator wrote itself

	// The nodes, each at an index that holds until it leaves, or until another leaves
	// while it is the last: then it moves there, so that no gap remains.
	nodes       []fwk.NodeInfo // the snapshot's
	names       []string
	generations []int64 // never: not in the snapshot yet
	index       map[string]int
	touched     []string       // names of nodes that the snapshot shows as they were
	reaching    map[string]int // by node: bound pods that reach other nodes
	withImages  int            // nodes that list images

	memories memories
	scratch  scratch
}

// New builds the framework of one profile. The goroutines that the framework itself
// and its cache start (for their metrics) end with ctx.
func New(ctx context.Context, c Config) (*Simulator, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	informers, err := newInformerSet()
	if err != nil {
		return nil, err
	}
	metrics.Register() // first: the cache counts its nodes from a goroutine
	s := &Simulator{
		ctx:    ctx,
		logger: klog.FromContext(ctx),
		cache: schedulercache.New(ctx, nil,
			utilfeature.DefaultFeatureGate.Enabled(features.GenericWorkload),
			utilfeature.DefaultFeatureGate.Enabled(features.CompositePodGroup)),
		snapshot:   schedulercache.NewEmptySnapshot(),
		informers:  informers,
		clock:      c.Clock,
		profile:    c.Profile.SchedulerName,
		tieBreak:   c.TieBreak,
		exhaustive: c.Exhaustive,
		pods:       map[types.UID]*v1.Pod{},
		index:      map[string]int{},
		reaching:   map[string]int{},
		memories:   newMemories(),
	}
	if s.framework, err = s.newFramework(ctx, c); err != nil {
		return nil, err
	}
	return s, nil
}

func (c Config) complete() (Config, error) {
	if c.Profile.Plugins == nil {
		return c, fmt.Errorf("profile.plugins: must be set; see LoadProfile")
	}
	if c.Clock == nil {
		c.Clock = NewClock(c.Start)
	}
	if !c.Start.IsZero() && !c.Start.Equal(c.Clock.Now()) {
		return c, fmt.Errorf("start: %s is not the time of the clock, which is %s", c.Start, c.Clock.Now())
	}
	if c.TieBreak == nil {
		c.TieBreak = smallestName
	}
	return c, nil
}

// newFramework wires the framework as kube-scheduler's New does.
func (s *Simulator) newFramework(ctx context.Context, c Config) (framework.Framework, error) {
	registry := frameworkplugins.NewInTreeRegistry()
	if err := registry.Merge(c.Plugins); err != nil {
		return nil, fmt.Errorf("plugins: %w", err)
	}
	factory := s.informers.factory
	built, err := frameworkruntime.NewFramework(ctx, registry, &c.Profile,
		frameworkruntime.WithComponentConfigVersion("kubescheduler.config.k8s.io/v1"),
		frameworkruntime.WithClientSet(s.informers.client),
		frameworkruntime.WithEventRecorder(noEvents{}),
		frameworkruntime.WithInformerFactory(factory),
		frameworkruntime.WithSharedDRAManager(noDevices{}),
		frameworkruntime.WithSharedCSIManager(nodevolumelimits.NewCSIManager(factory.Storage().V1().CSINodes().Lister())),
		frameworkruntime.WithSnapshotSharedLister(s.snapshot),
		frameworkruntime.WithMutableSnapshotLister(s.snapshot),
		frameworkruntime.WithPodNominator(noNominations{}),
		frameworkruntime.WithPodActivator(noActivation{}),
		frameworkruntime.WithPodGroupManager(s.cache),
		frameworkruntime.WithParallelism(1),
		frameworkruntime.WithWaitingPods(frameworkruntime.NewWaitingPodsMap()),
		frameworkruntime.WithPodsInPreBind(frameworkruntime.NewPodsInPreBindMap()),
	)
	if err != nil {
		return nil, fmt.Errorf("profile %q: %w", c.Profile.SchedulerName, err)
	}
	return built, nil
}

// Framework returns the framework of the profile. Its informers and snapshot are the
// simulator's; the snapshot is as the pod scheduled last found it.
func (s *Simulator) Framework() framework.Framework { return s.framework }

// Clock returns the virtual clock.
func (s *Simulator) Clock() clock.PassiveClock { return s.clock }

// AddNode lets a node join. What was found on other nodes is kept.
func (s *Simulator) AddNode(node *v1.Node) error {
	if node.Name == "" {
		return fmt.Errorf("metadata.name: a node must have one")
	}
	nodes := s.informers.of(node)
	if nodes.has(node) {
		return fmt.Errorf("metadata.name: node %q is there already", node.Name)
	}
	s.cache.AddNode(s.logger, node)
	s.index[node.Name] = len(s.names)
	s.names = append(s.names, node.Name)
	s.nodes, s.generations = append(s.nodes, nil), append(s.generations, never)
	s.touched = append(s.touched, node.Name)
	s.withImages += countImages(node)
	s.voidForOthers(node.Name)
	return nodes.set(node)
}

// RemoveNode lets a node leave. Its pods stay bound to it, unseen by any plugin,
// until they are deleted. What was found on other nodes is kept.
func (s *Simulator) RemoveNode(name string) error {
	nodes := s.informers.of(&v1.Node{})
	found, there := nodes.get(name)
	if !there {
		return fmt.Errorf("node %q is not there", name)
	}
	node := found.(*v1.Node)
	if err := s.cache.RemoveNode(s.logger, node); err != nil {
		return fmt.Errorf("remove node %q: %w", name, err)
	}
	s.unlist(name)
	s.voidForOthers(name)
	s.withImages -= countImages(node)
	return nodes.remove(node)
}

// unlist moves the last node to the index of the one that leaves. What is kept for
// either there has another generation than the node that is there now, for those are
// unique among all nodes and times: it is not taken for this one's.
func (s *Simulator) unlist(name string) {
	i, last := s.index[name], len(s.names)-1
	s.names[i], s.nodes[i], s.generations[i] = s.names[last], s.nodes[last], s.generations[last]
	s.index[s.names[i]] = i
	delete(s.index, name)
	s.nodes[last] = nil
	s.names, s.nodes, s.generations = s.names[:last], s.nodes[:last], s.generations[:last]
}

// voidForOthers voids what the coming or going of a node changes on others. In tree
// two plugins sign a pod and then read more than its node:
//   - InterPodAffinity counts, over the domains of all nodes, the pods whose terms
//     reach the pod; a node that carries none changes no count. A change of its pods
//     is voided where it happens (touch).
//   - ImageLocality divides by the number of nodes, wherever a node has an image.
//
// PodTopologySpread and DynamicResources refuse to sign pods for which they read
// others. The plugins of volumes read others only for claims (see isRepeatable):
// NodeVolumeLimits and VolumeRestrictions count the volumes of the node at hand.
func (s *Simulator) voidForOthers(name string) {
	if s.reaching[name] > 0 {
		s.Flush()
	}
	if s.withImages > 0 {
		s.FlushScores()
	}
}

// countImages returns 1 for a node that lists images, else 0.
func countImages(node *v1.Node) int { return min(1, len(node.Status.Images)) }

// AddObject adds an object of any kind that the informer factory knows (ReplicaSets,
// Jobs, PodDisruptionBudgets), or replaces the one of that name. Pods and nodes have
// methods of their own.
func (s *Simulator) AddObject(obj runtime.Object) error {
	switch obj.(type) {
	case *v1.Pod:
		return fmt.Errorf("a pod is added by Schedule or Place")
	case *v1.Node:
		return fmt.Errorf("a node is added by AddNode")
	}
	kind := s.informers.of(obj)
	if kind == nil {
		return fmt.Errorf("%T: the informer factory knows no such kind", obj)
	}
	s.Flush()
	return kind.set(obj)
}

// FlushScores voids the raw scores kept. Call it when a plugin's background state
// changed, on which its Score depends beside the pod and the node. Verdicts of
// filters are kept.
func (s *Simulator) FlushScores() { s.memories.scoreEpoch++ }

// Flush voids all that is kept: scores, and verdicts of filters.
func (s *Simulator) Flush() { s.memories.epoch++ }

// NodeInfos returns the nodes as they are now, in the order of the snapshot. They are
// the framework's own and valid until the next call of any method: read only.
func (s *Simulator) NodeInfos() ([]fwk.NodeInfo, error) {
	if err := s.refresh(); err != nil {
		return nil, err
	}
	return s.snapshot.List()
}

// refresh brings the snapshot up to date with the cache.
func (s *Simulator) refresh() error {
	if err := s.cache.UpdateSnapshot(s.logger, s.snapshot); err != nil {
		return fmt.Errorf("update the snapshot: %w", err)
	}
	for _, name := range s.touched {
		i, listed := s.index[name]
		if !listed {
			continue
		}
		node, err := s.snapshot.Get(name)
		if err != nil {
			return fmt.Errorf("read node %q of the snapshot: %w", name, err)
		}
		s.nodes[i], s.generations[i] = node, node.GetGeneration()
	}
	s.touched = s.touched[:0]
	return nil
}

func (s *Simulator) nextRevision() string {
	s.revision++
	return strconv.FormatInt(s.revision, 10)
}

func smallestName(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
