// Package workloads finds what is scaled: how many replicas it asks for and has,
// and which pods are its own. Deployments, ReplicaSets and StatefulSets are read
// from mirrors, without a request; anything else with a scale subresource from
// the API server.
package workloads

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/scale"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Workload is something that is scaled, at one moment.
type Workload struct {
	// Resource is how the API server calls its kind.
	Resource        schema.GroupResource
	Kind            string
	Namespace, Name string
	UID             types.UID
	// ResourceVersion is the version of the object this was read from.
	ResourceVersion string
	// SpecReplicas is how many replicas it asks for, StatusReplicas how many it
	// says it has.
	SpecReplicas, StatusReplicas int32
	// Selector matches its pods; nil if it has none, or one that says nothing.
	Selector labels.Selector
}

// Key tells workloads apart.
type Key struct {
	Kind schema.GroupKind
	Name types.NamespacedName
}

// KeyOf is the key of the workload that an object of the namespace refers to.
func KeyOf(namespace string, ref v1alpha1.ScaleTargetRef) Key {
	gv, _ := schema.ParseGroupVersion(ref.APIVersion) // what cannot be parsed is its own group
	return Key{schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, types.NamespacedName{Namespace: namespace, Name: ref.Name}}
}

// String implements fmt.Stringer.
func (k Key) String() string { return k.Kind.Kind + " " + k.Name.String() }

// Reader finds workloads and their pods.
type Reader struct {
	mapper meta.RESTMapper
	scales scale.ScalesGetter
	pods   *pods.Index

	deployments, replicaSetObjects, statefulSets *mirror.Mirror[*replicated]

	mu sync.RWMutex
	// replicaSets are those of an owner.
	replicaSets map[types.UID][]types.UID
	// owners are the controllers of ReplicaSets.
	owners map[types.UID]types.UID
	// written is what was last written of a workload and is not yet in a mirror.
	written map[Key]string
}

// NewReader returns a Reader whose mirrors are empty.
func NewReader(mapper meta.RESTMapper, scales scale.ScalesGetter, index *pods.Index) *Reader {
	r := &Reader{
		mapper: mapper, scales: scales, pods: index,
		replicaSets: map[types.UID][]types.UID{}, owners: map[types.UID]types.UID{}, written: map[Key]string{},
	}
	r.deployments = mirror.New(convert, nil)
	r.statefulSets = mirror.New(convert, nil)
	r.replicaSetObjects = mirror.New(convert, r.indexReplicaSet)
	return r
}

// Run keeps the mirrors up to date until ctx ends. Source says where the objects
// of a resource of group apps come from.
func (r *Reader) Run(ctx context.Context, source func(resource string) cache.ListerWatcher) {
	var all sync.WaitGroup
	all.Go(func() { r.deployments.Run(ctx, source("deployments"), &appsv1.Deployment{}) })
	all.Go(func() { r.replicaSetObjects.Run(ctx, source("replicasets"), &appsv1.ReplicaSet{}) })
	all.Go(func() { r.statefulSets.Run(ctx, source("statefulsets"), &appsv1.StatefulSet{}) })
	all.Wait()
}

// HasSynced reports whether the mirrors have once been complete.
func (r *Reader) HasSynced() bool {
	return r.deployments.HasSynced() && r.replicaSetObjects.HasSynced() && r.statefulSets.HasSynced()
}

// replicated is what is kept of an object in a mirror.
type replicated struct {
	uid, owner      types.UID
	resourceVersion string
	spec, status    int32
	selector        labels.Selector
}

func convert(object runtime.Object) (*replicated, error) {
	switch o := object.(type) {
	case *appsv1.Deployment:
		return keep(o, o.Spec.Replicas, o.Status.Replicas, o.Spec.Selector), nil
	case *appsv1.StatefulSet:
		return keep(o, o.Spec.Replicas, o.Status.Replicas, o.Spec.Selector), nil
	case *appsv1.ReplicaSet:
		selector := o.Spec.Selector
		if metav1.GetControllerOfNoCopy(o) != nil {
			selector = nil // nobody scales it, and there are many
		}
		return keep(o, o.Spec.Replicas, o.Status.Replicas, selector), nil
	}
	return nil, fmt.Errorf("unexpected %T", object)
}

func keep(o metav1.Object, spec *int32, status int32, selector *metav1.LabelSelector) *replicated {
	r := &replicated{uid: o.GetUID(), resourceVersion: o.GetResourceVersion(), spec: 1, status: status}
	if spec != nil {
		r.spec = *spec
	}
	if selector != nil {
		r.selector, _ = metav1.LabelSelectorAsSelector(selector) // the API server has checked it
	}
	if owner := metav1.GetControllerOfNoCopy(o); owner != nil {
		r.owner = owner.UID
	}
	return r
}

func (r *Reader) indexReplicaSet(c mirror.Change[*replicated]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c.Old != nil && (c.New == nil || (*c.New).uid != (*c.Old).uid || (*c.New).owner != (*c.Old).owner) {
		old := *c.Old
		delete(r.owners, old.uid)
		rest := slices.DeleteFunc(slices.Clone(r.replicaSets[old.owner]), func(uid types.UID) bool { return uid == old.uid })
		if r.replicaSets[old.owner] = rest; len(rest) == 0 {
			delete(r.replicaSets, old.owner)
		}
	}
	if c.New == nil {
		return
	}
	n := *c.New
	if _, known := r.owners[n.uid]; known || n.owner == "" {
		return
	}
	r.owners[n.uid] = n.owner
	r.replicaSets[n.owner] = append(slices.Clone(r.replicaSets[n.owner]), n.uid)
}

// mirrored is the mirror of a kind, nil if there is none.
func (r *Reader) mirrored(kind schema.GroupKind) (*mirror.Mirror[*replicated], string) {
	if kind.Group == appsv1.GroupName {
		switch kind.Kind {
		case "Deployment":
			return r.deployments, "deployments"
		case "ReplicaSet":
			return r.replicaSetObjects, "replicasets"
		case "StatefulSet":
			return r.statefulSets, "statefulsets"
		}
	}
	return nil, ""
}

// IsLocal reports whether such a workload is read from a mirror.
func (r *Reader) IsLocal(ref v1alpha1.ScaleTargetRef) bool {
	m, _ := r.mirrored(KeyOf("", ref).Kind)
	return m != nil
}

// Read returns the workload that an object of the namespace refers to.
func (r *Reader) Read(ctx context.Context, namespace string, ref v1alpha1.ScaleTargetRef) (Workload, error) {
	if _, err := schema.ParseGroupVersion(ref.APIVersion); err != nil {
		return Workload{}, fmt.Errorf("spec.scaleTargetRef.apiVersion: %w", err)
	}
	key := KeyOf(namespace, ref)
	m, resource := r.mirrored(key.Kind)
	if m == nil {
		return r.readLive(ctx, key)
	}
	o, found := m.Get(key.Name)
	gr := schema.GroupResource{Group: key.Kind.Group, Resource: resource}
	if !found {
		r.forgetWritten(key)
		return Workload{}, fmt.Errorf("spec.scaleTargetRef: %w", apierrors.NewNotFound(gr, key.Name.Name))
	}
	if r.isBehind(key, o.resourceVersion) || (o.selector == nil && o.owner != "") {
		return r.get(ctx, key, gr)
	}
	return Workload{
		Resource: gr, Kind: key.Kind.Kind, Namespace: namespace, Name: key.Name.Name, UID: o.uid, ResourceVersion: o.resourceVersion,
		SpecReplicas: o.spec, StatusReplicas: o.status, Selector: o.selector,
	}, nil
}

// isBehind reports whether a mirror does not show yet what was written.
func (r *Reader) isBehind(key Key, resourceVersion string) bool {
	r.mu.RLock()
	written, waiting := r.written[key]
	r.mu.RUnlock()
	if !waiting {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(resourceVersion, written); err == nil && order < 0 {
		return true
	}
	r.forgetWritten(key)
	return false
}

func (r *Reader) forgetWritten(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.written, key)
}

// readLive tries all versions of the kind, as the HorizontalPodAutoscaler does.
func (r *Reader) readLive(ctx context.Context, key Key) (Workload, error) {
	mappings, err := r.mapper.RESTMappings(key.Kind)
	if err != nil {
		return Workload{}, fmt.Errorf("spec.scaleTargetRef: %w", err)
	}
	var first error
	for _, mapping := range mappings {
		w, err := r.get(ctx, key, mapping.Resource.GroupResource())
		if err == nil {
			return w, nil
		}
		if first == nil {
			first = err
		}
	}
	return Workload{}, first
}

func (r *Reader) get(ctx context.Context, key Key, resource schema.GroupResource) (Workload, error) {
	s, err := r.scales.Scales(key.Name.Namespace).Get(ctx, resource, key.Name.Name, metav1.GetOptions{})
	if err != nil {
		return Workload{}, fmt.Errorf("spec.scaleTargetRef: read the scale of %s %s: %w", key.Kind.Kind, key.Name.Name, err)
	}
	return FromScale(key, resource, s), nil
}

// FromScale is the workload that a scale subresource shows.
func FromScale(key Key, resource schema.GroupResource, s *autoscalingv1.Scale) Workload {
	w := Workload{
		Resource: resource, Kind: key.Kind.Kind, Namespace: key.Name.Namespace, Name: key.Name.Name, UID: s.UID, ResourceVersion: s.ResourceVersion,
		SpecReplicas: s.Spec.Replicas, StatusReplicas: s.Status.Replicas,
	}
	if selector, err := labels.Parse(s.Status.Selector); err == nil && s.Status.Selector != "" {
		w.Selector = selector
	}
	return w
}

// Scale sets the replicas of a workload that still asks for as many as w says.
// A conflict is tried again, unless the number of replicas itself has changed:
// then it is for the next evaluation to decide (ErrChanged).
func (r *Reader) Scale(ctx context.Context, w Workload, replicas int32) error {
	scales := r.scales.Scales(w.Namespace)
	next := &autoscalingv1.Scale{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Name, UID: w.UID, ResourceVersion: w.ResourceVersion},
		Spec:       autoscalingv1.ScaleSpec{Replicas: replicas},
	}
	for range conflictRetries {
		written, err := scales.Update(ctx, w.Resource, next, metav1.UpdateOptions{})
		if err == nil {
			r.wrote(w, written.ResourceVersion)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return err
		}
		latest, err := scales.Get(ctx, w.Resource, w.Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return fmt.Errorf("read the scale again: %w", err)
		case latest.Spec.Replicas != w.SpecReplicas || latest.UID != w.UID:
			return ErrChanged
		}
		next.ResourceVersion = latest.ResourceVersion
	}
	return ErrBusy
}

const conflictRetries = 5

// ErrChanged ends a write whose number was decided on for another number.
var ErrChanged = errors.New("somebody else has changed the number of replicas meanwhile")

// ErrBusy ends a write after as many conflicts in a row as are tried.
var ErrBusy = errors.New("the object keeps changing")

func (r *Reader) wrote(w Workload, resourceVersion string) {
	if m, _ := r.mirrored(schema.GroupKind{Group: w.Resource.Group, Kind: w.Kind}); m == nil {
		return
	}
	key := Key{schema.GroupKind{Group: w.Resource.Group, Kind: w.Kind}, types.NamespacedName{Namespace: w.Namespace, Name: w.Name}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.written[key] = resourceVersion
}

// Pods returns the workload's pods in the order of their names. They must not be
// modified.
func (r *Reader) Pods(w Workload, selection v1alpha1.PodSelection) []*pods.Pod {
	if selection == v1alpha1.PodSelectionSelector {
		return r.pods.Selected(w.Namespace, w.Selector)
	}
	if w.Resource.Group == appsv1.GroupName || w.Resource.Group == "" {
		switch w.Kind {
		case "Deployment":
			return r.pods.Owned(w.Namespace, r.replicaSetsOf(w.UID)...)
		case "ReplicaSet", "StatefulSet", "ReplicationController":
			return r.pods.Owned(w.Namespace, w.UID)
		}
	}
	var owned []*pods.Pod
	for _, p := range r.pods.Selected(w.Namespace, w.Selector) {
		if r.owns(w.UID, p) {
			owned = append(owned, p)
		}
	}
	return owned
}

func (r *Reader) replicaSetsOf(uid types.UID) []types.UID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.replicaSets[uid]
}

// owns reports whether a pod that matches the selector belongs to a workload of a
// kind of its own. What stands between the two may be of a kind we do not know;
// then the selector's word is taken for it.
func (r *Reader) owns(uid types.UID, p *pods.Pod) bool {
	switch p.OwnerKind {
	case "", "StatefulSet", "DaemonSet", "Job", "ReplicationController", "Node":
		return p.OwnerUID == uid
	case "ReplicaSet":
		r.mu.RLock()
		defer r.mu.RUnlock()
		return p.OwnerUID == uid || r.owners[p.OwnerUID] == uid
	}
	return true
}
