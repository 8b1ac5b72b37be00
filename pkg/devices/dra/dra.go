// Package dra tells what dynamic resource allocation (DRA) has handed out and
// what it has left: the devices of each node, from ResourceSlices and allocated
// ResourceClaims, and what a pod's claims ask for. It chooses no device and
// evaluates no CEL: it is not for deciding whether a pod fits.
package dra

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// Informer tells of the objects of one kind, as a cache.SharedIndexInformer does.
type Informer interface {
	AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error)
}

// Config is where the objects of resource.k8s.io/v1 come from. All three
// informers are needed.
type Config struct {
	Slices  Informer // of ResourceSlices
	Claims  Informer // of ResourceClaims
	Classes Informer // of DeviceClasses
	// Claimed is told of each claim that came or changed, once State and Request
	// know of it. It may call them. Nil: nobody is told.
	Claimed func(claim *resourceapi.ResourceClaim)
}

// Source knows the node-local devices of a cluster: those of complete pools, in
// slices that name one node. Of a node with several drivers it tells the devices
// of the driver that has most of them there, the first by name among equals. The
// class of a device is the name of its driver.
//
// It follows the informers, so a device that was reserved counts as free until
// its claim's allocation has been written and seen. It may be used by many
// goroutines; State takes no lock.
type Source struct {
	claimed func(claim *resourceapi.ResourceClaim)
	synced  []cache.ResourceEventHandlerRegistration

	// nodes is replaced when a node comes or goes; the states in it, whenever what
	// is free there changes.
	nodes atomic.Pointer[map[string]*atomic.Pointer[devices.State]]

	mu       sync.Mutex
	version  uint64
	pools    map[poolID]*pool
	freeOf   map[string]map[poolID][]int64 // by node
	claims   map[types.NamespacedName]*resourceapi.ResourceClaim
	classes  map[string]*resourceapi.DeviceClass
	extended map[v1.ResourceName]string // names of classes, by their extended resource
	drivers  map[string]*driver
	// allocator is the driver that allocated devices of a class, by its name.
	allocator map[string]string
}

var _ devices.Source = (*Source)(nil)

// New makes a Source that follows the informers from when they start.
func New(c Config) (*Source, error) {
	s := &Source{
		claimed: c.Claimed,
		pools:   map[poolID]*pool{}, freeOf: map[string]map[poolID][]int64{},
		claims: map[types.NamespacedName]*resourceapi.ResourceClaim{}, classes: map[string]*resourceapi.DeviceClass{},
		extended: map[v1.ResourceName]string{}, drivers: map[string]*driver{}, allocator: map[string]string{},
	}
	s.nodes.Store(&map[string]*atomic.Pointer[devices.State]{})
	for _, kind := range []struct {
		name     string
		informer Informer
		handler  cache.ResourceEventHandler
	}{
		{"ResourceSlices", c.Slices, handler(s.sliceChanged)},
		{"ResourceClaims", c.Claims, handler(s.claimChanged)},
		{"DeviceClasses", c.Classes, handler(s.classChanged)},
	} {
		if kind.informer == nil {
			return nil, fmt.Errorf("follow %s: no informer given", kind.name)
		}
		registration, err := kind.informer.AddEventHandler(kind.handler)
		if err != nil {
			return nil, fmt.Errorf("follow %s: %w", kind.name, err)
		}
		s.synced = append(s.synced, registration)
	}
	return s, nil
}

// handler calls changed with the object before and after: nil before for one that
// is new, nil after for one that is gone.
func handler[T any](changed func(before, after *T)) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { changed(nil, obj.(*T)) },
		UpdateFunc: func(before, after any) { changed(before.(*T), after.(*T)) },
		DeleteFunc: func(obj any) {
			if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = last.Obj
			}
			if before, ok := obj.(*T); ok {
				changed(before, nil)
			}
		},
	}
}

// HasSynced reports whether all that the API server held at the start is known.
func (s *Source) HasSynced() bool {
	for _, registration := range s.synced {
		if !registration.HasSynced() {
			return false
		}
	}
	return true
}

// State returns what a node has free: the zero value where DRA has no devices.
func (s *Source) State(nodeName string) devices.State {
	if state := (*s.nodes.Load())[nodeName]; state != nil {
		return *state.Load()
	}
	return devices.State{}
}

func (s *Source) sliceChanged(before, after *resourceapi.ResourceSlice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before != nil {
		id := poolOf(before)
		delete(s.pool(id).slices, before.Name)
		if after == nil || poolOf(after) != id {
			s.recount(id)
		}
	}
	if after != nil {
		s.pool(poolOf(after)).slices[after.Name] = after
		s.learn(after)
		s.recount(poolOf(after))
	}
}

func (s *Source) claimChanged(before, after *resourceapi.ResourceClaim) {
	s.take(before, after)
	if after != nil && s.claimed != nil {
		s.claimed(after)
	}
}

func (s *Source) take(before, after *resourceapi.ResourceClaim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	touched := map[poolID]struct{}{}
	for _, result := range resultsOf(before) {
		id := poolID{result.Driver, result.Pool}
		delete(s.pool(id).claims, keyOf(before))
		touched[id] = struct{}{}
	}
	if after == nil {
		delete(s.claims, keyOf(before))
	} else {
		s.claims[keyOf(after)] = after
		s.learnAllocator(after)
	}
	for _, result := range resultsOf(after) {
		id := poolID{result.Driver, result.Pool}
		s.pool(id).claims[keyOf(after)] = after
		touched[id] = struct{}{}
	}
	for id := range touched {
		s.recount(id)
	}
}

func (s *Source) classChanged(before, after *resourceapi.DeviceClass) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if before != nil {
		delete(s.classes, before.Name)
		delete(s.extended, extendedNameOf(before))
	}
	if after == nil {
		delete(s.allocator, before.Name)
	}
	if after != nil {
		s.classes[after.Name] = after
		if name := extendedNameOf(after); name != "" {
			s.extended[name] = after.Name
		}
	}
}

// pool returns a pool, which recount drops again if nothing is in it.
func (s *Source) pool(id poolID) *pool {
	p := s.pools[id]
	if p == nil {
		p = &pool{
			id:     id,
			slices: map[string]*resourceapi.ResourceSlice{},
			claims: map[types.NamespacedName]*resourceapi.ResourceClaim{},
		}
		s.pools[id] = p
	}
	return p
}

// recount brings the nodes of a pool up to date. The lock is held.
func (s *Source) recount(id poolID) {
	p := s.pools[id]
	before, free := p.nodes, p.free()
	p.nodes = slices.Sorted(maps.Keys(free))
	if len(p.slices) == 0 && len(p.claims) == 0 {
		delete(s.pools, id)
	}
	for _, node := range before {
		if _, stays := free[node]; !stays {
			delete(s.freeOf[node], id)
			s.publish(node)
		}
	}
	for _, node := range p.nodes {
		if s.freeOf[node] == nil {
			s.freeOf[node] = map[poolID][]int64{}
		}
		s.freeOf[node][id] = free[node]
		s.publish(node)
	}
}

// publish replaces the state of a node if it changed. The lock is held.
func (s *Source) publish(node string) {
	class, free := largest(s.freeOf[node])
	if class != "" {
		s.drivers[class].widest = max(s.drivers[class].widest, len(free))
	}
	known := *s.nodes.Load()
	state := known[node]
	switch {
	case class == "":
		delete(s.freeOf, node)
		if state != nil {
			rest := maps.Clone(known)
			delete(rest, node)
			s.nodes.Store(&rest)
		}
	case state == nil:
		state = &atomic.Pointer[devices.State]{}
		s.version++
		state.Store(&devices.State{Class: class, Free: free, Version: s.version})
		more := maps.Clone(known)
		more[node] = state
		s.nodes.Store(&more)
	case state.Load().Class != class || !slices.Equal(state.Load().Free, free):
		s.version++
		state.Store(&devices.State{Class: class, Free: free, Version: s.version})
	}
}

// largest returns the devices of the driver that has most of them, by the names of
// its pools.
func largest(pools map[poolID][]int64) (class string, free []int64) {
	of := map[string][]int64{}
	for _, id := range slices.SortedFunc(maps.Keys(pools), poolID.compare) {
		of[id.driver] = append(of[id.driver], pools[id]...)
	}
	for _, driver := range slices.Sorted(maps.Keys(of)) {
		if len(of[driver]) > len(free) {
			class, free = driver, of[driver]
		}
	}
	return class, free
}

func (id poolID) compare(other poolID) int {
	return cmp.Or(cmp.Compare(id.driver, other.driver), cmp.Compare(id.name, other.name))
}

func keyOf(claim *resourceapi.ResourceClaim) types.NamespacedName {
	return types.NamespacedName{Namespace: claim.Namespace, Name: claim.Name}
}
