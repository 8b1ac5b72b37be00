// Package mirror keeps a copy of the objects of one kind, as small as its user
// likes, up to date with the API server: what is not read of an object is
// dropped as it arrives, one object at a time.
package mirror

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// Mirror is a copy of the objects of one kind, each as a value of type T.
type Mirror[T any] struct {
	convert func(runtime.Object) (T, error)
	changed func(Change[T])
	synced  atomic.Bool

	mu    sync.RWMutex
	items map[types.NamespacedName]T
}

// Change is one object before and after. New is nil if it is gone, Old if it was
// not there before.
type Change[T any] struct {
	Key      types.NamespacedName
	Old, New *T
}

// New returns an empty mirror. Convert makes the value that is kept of an object,
// which is its own to change; an object whose conversion fails is left out. Changed
// is told of every change, one after the other, and must not use the mirror; it
// may be nil.
func New[T any](convert func(runtime.Object) (T, error), changed func(Change[T])) *Mirror[T] {
	if changed == nil {
		changed = func(Change[T]) {}
	}
	return &Mirror[T]{convert: convert, changed: changed, items: map[types.NamespacedName]T{}}
}

// Run keeps the mirror up to date with what source lists and watches, objects of
// the type of kind, until ctx ends.
func (m *Mirror[T]) Run(ctx context.Context, source cache.ListerWatcher, kind runtime.Object) {
	cache.NewReflectorWithOptions(source, kind, &store[T]{m}, cache.ReflectorOptions{}).RunWithContext(ctx)
}

// HasSynced reports whether the mirror has once been complete.
func (m *Mirror[T]) HasSynced() bool { return m.synced.Load() }

// Get returns the value kept of an object.
func (m *Mirror[T]) Get(key types.NamespacedName) (value T, found bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	value, found = m.items[key]
	return value, found
}

// Len is the number of objects.
func (m *Mirror[T]) Len() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.items)
}

// Keys are the objects there are, in no order.
func (m *Mirror[T]) Keys() []types.NamespacedName {
	m.mu.RLock()
	defer m.mu.RUnlock()
	keys := make([]types.NamespacedName, 0, len(m.items))
	for key := range m.items {
		keys = append(keys, key)
	}
	return keys
}

func (m *Mirror[T]) set(key types.NamespacedName, value T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change := Change[T]{Key: key, New: &value}
	if old, found := m.items[key]; found {
		change.Old = &old
	}
	m.items[key] = value
	m.changed(change)
}

func (m *Mirror[T]) remove(key types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, found := m.items[key]
	if !found {
		return
	}
	delete(m.items, key)
	m.changed(Change[T]{Key: key, Old: &old})
}

// entry is a converted object on its way from the reflector, which wants to know
// its name. Err says why there is no value.
type entry[T any] struct {
	key   types.NamespacedName
	value T
	err   error
}

// GetObjectMeta implements metav1.ObjectMetaAccessor.
func (e *entry[T]) GetObjectMeta() metav1.Object {
	return &metav1.ObjectMeta{Namespace: e.key.Namespace, Name: e.key.Name}
}

// store is the mirror as the reflector sees it.
type store[T any] struct{ mirror *Mirror[T] }

var _ cache.TransformingStore = (*store[struct{}])(nil)

// Transformer implements cache.TransformingStore: the reflector converts the
// first list while it streams in.
func (s *store[T]) Transformer() cache.TransformFunc {
	return func(object any) (any, error) { return s.entryOf(object) }
}

func (s *store[T]) entryOf(object any) (*entry[T], error) {
	switch o := object.(type) {
	case *entry[T]:
		return o, nil
	case runtime.Object:
		accessor, err := meta.Accessor(o)
		if err != nil {
			return nil, err
		}
		value, err := s.mirror.convert(o)
		return &entry[T]{types.NamespacedName{Namespace: accessor.GetNamespace(), Name: accessor.GetName()}, value, err}, nil
	}
	return nil, fmt.Errorf("mirror: unexpected %T", object)
}

// Add implements cache.ReflectorStore.
func (s *store[T]) Add(object any) error {
	e, err := s.entryOf(object)
	if err != nil {
		return err
	}
	s.keep(e)
	return nil
}

// keep keeps the value of an entry, or nothing of it if there is none; the other
// objects must not suffer for it.
func (s *store[T]) keep(e *entry[T]) {
	if e.err != nil {
		klog.Background().Error(e.err, "Object left out", "object", e.key)
		s.mirror.remove(e.key)
		return
	}
	s.mirror.set(e.key, e.value)
}

// Update implements cache.ReflectorStore.
func (s *store[T]) Update(object any) error { return s.Add(object) }

// Delete implements cache.ReflectorStore.
func (s *store[T]) Delete(object any) error {
	if e, converted := object.(*entry[T]); converted {
		s.mirror.remove(e.key)
		return nil
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return err
	}
	s.mirror.remove(types.NamespacedName{Namespace: accessor.GetNamespace(), Name: accessor.GetName()})
	return nil
}

// Replace implements cache.ReflectorStore.
func (s *store[T]) Replace(objects []any, _ string) error {
	there := make(map[types.NamespacedName]bool, len(objects))
	for _, object := range objects {
		e, err := s.entryOf(object)
		if err != nil {
			return err
		}
		there[e.key] = true
		s.keep(e)
	}
	for _, key := range s.mirror.Keys() {
		if !there[key] {
			s.mirror.remove(key)
		}
	}
	s.mirror.synced.Store(true)
	return nil
}

// Resync implements cache.ReflectorStore; there is nothing to do.
func (s *store[T]) Resync() error { return nil }
