package pods

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
)

// Index finds pods by their owner and by labels.
type Index struct {
	mu sync.RWMutex
	// byOwner holds for each controller its pods in the order of their names, and
	// those without a controller under the empty UID of their namespace. A list is
	// never modified once it stands here: readers hold on to it without the lock.
	byOwner map[owner][]*Pod
	// owners are the controllers of a namespace that have pods.
	owners map[string]map[types.UID]bool
	// shared holds what many pods have alike.
	shared sharedValues
}

type owner struct {
	namespace string
	uid       types.UID
}

// NewIndex returns an empty index.
func NewIndex() *Index {
	return &Index{
		byOwner: map[owner][]*Pod{}, owners: map[string]map[types.UID]bool{},
		shared: sharedValues{labels: map[string]labels.Set{}, requests: map[string]*Requests{}},
	}
}

// Mirror returns a mirror of pods that keeps the index up to date.
func (x *Index) Mirror() *mirror.Mirror[*Pod] {
	return mirror.New(x.convert, func(c mirror.Change[*Pod]) {
		switch {
		case c.New == nil:
			x.remove(*c.Old)
		case c.Old == nil:
			x.add(*c.New)
		case (*c.Old).OwnerUID != (*c.New).OwnerUID:
			x.remove(*c.Old)
			x.add(*c.New)
		default:
			x.add(*c.New)
		}
	})
}

func (x *Index) convert(object runtime.Object) (*Pod, error) {
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return nil, fmt.Errorf("not a pod: %T", object)
	}
	p := From(pod)
	x.shared.replace(p)
	return p, nil
}

// Owned returns the pods of the controllers, in the order of their names. The
// list and the pods must not be modified.
func (x *Index) Owned(namespace string, controllers ...types.UID) []*Pod {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(controllers) == 1 {
		return x.byOwner[owner{namespace, controllers[0]}]
	}
	var pods []*Pod
	for _, uid := range controllers {
		pods = append(pods, x.byOwner[owner{namespace, uid}]...)
	}
	slices.SortFunc(pods, byName)
	return pods
}

// Selected returns the pods of a namespace that the selector matches, in the order
// of their names. They must not be modified.
func (x *Index) Selected(namespace string, selector labels.Selector) []*Pod {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var pods []*Pod
	for uid := range x.owners[namespace] {
		for _, p := range x.byOwner[owner{namespace, uid}] {
			if selector.Matches(p.Labels) {
				pods = append(pods, p)
			}
		}
	}
	slices.SortFunc(pods, byName)
	return pods
}

// add adds the pod or replaces the one of its name.
func (x *Index) add(p *Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := owner{p.Namespace, p.OwnerUID}
	old := x.byOwner[key]
	at, found := slices.BinarySearchFunc(old, p, byName)
	fresh := make([]*Pod, 0, len(old)+1)
	fresh = append(append(fresh, old[:at]...), p)
	if found {
		at++
	}
	x.byOwner[key] = append(fresh, old[at:]...)
	if x.owners[p.Namespace] == nil {
		x.owners[p.Namespace] = map[types.UID]bool{}
	}
	x.owners[p.Namespace][p.OwnerUID] = true
}

func (x *Index) remove(p *Pod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := owner{p.Namespace, p.OwnerUID}
	old := x.byOwner[key]
	at, found := slices.BinarySearchFunc(old, p, byName)
	if !found {
		return
	}
	fresh := append(slices.Clone(old[:at]), old[at+1:]...)
	if len(fresh) > 0 {
		x.byOwner[key] = fresh
		return
	}
	delete(x.byOwner, key)
	if delete(x.owners[p.Namespace], p.OwnerUID); len(x.owners[p.Namespace]) == 0 {
		delete(x.owners, p.Namespace)
	}
}

func byName(a, b *Pod) int { return strings.Compare(a.Name, b.Name) }

// maxShared bounds the values kept for sharing; when there are more, all are
// forgotten and found again.
const maxShared = 50_000

// sharedValues keeps one copy of what many pods have alike. Only the goroutine
// that converts pods uses it.
type sharedValues struct {
	mu       sync.Mutex
	labels   map[string]labels.Set
	requests map[string]*Requests
}

func (s *sharedValues) replace(p *Pod) {
	p.Namespace = unique.Make(p.Namespace).Value()
	p.OwnerUID = types.UID(unique.Make(string(p.OwnerUID)).Value())
	p.OwnerKind = unique.Make(p.OwnerKind).Value()
	p.Name = strings.Clone(p.Name)
	p.UID = types.UID(strings.Clone(string(p.UID)))
	labelsKey, requestsKey := p.Labels.String(), p.Requests.String()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.labels) > maxShared {
		clear(s.labels)
	}
	if len(s.requests) > maxShared {
		clear(s.requests)
	}
	if same, found := s.labels[labelsKey]; found {
		p.Labels = same
	} else {
		s.labels[labelsKey] = p.Labels
	}
	if same, found := s.requests[requestsKey]; found {
		p.Requests = same
	} else {
		s.requests[requestsKey] = p.Requests
	}
}

// String tells requests apart.
func (r *Requests) String() string {
	var b strings.Builder
	list := func(l corev1.ResourceList) {
		names := make([]string, 0, len(l))
		for name := range l {
			names = append(names, string(name))
		}
		sort.Strings(names)
		for _, name := range names {
			quantity := l[corev1.ResourceName(name)]
			fmt.Fprintf(&b, " %s=%s", name, quantity.String())
		}
	}
	if r.pod != nil {
		b.WriteString("pod")
		list(r.pod)
	}
	for _, c := range r.containers {
		b.WriteString("; " + c.name)
		list(c.requests)
	}
	return b.String()
}
