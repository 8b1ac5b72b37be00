package sim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// informerSet is a real informer factory whose informers, of every kind, are told
// what happens by the simulator instead of watching an API server.
type informerSet struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	byType  map[reflect.Type]*informer
}

func newInformerSet() (*informerSet, error) {
	client, err := kubernetes.NewForConfigAndClient(&rest.Config{Host: "http://simulator.invalid"}, &http.Client{Transport: noServer{}})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	set := &informerSet{
		client:  client,
		factory: informers.NewSharedInformerFactory(client, 0),
		byType:  map[reflect.Type]*informer{},
	}
	for _, kind := range scheme.Scheme.AllKnownTypes() {
		obj, isObject := reflect.New(kind).Interface().(runtime.Object)
		if _, isNamed := obj.(metav1.Object); !isObject || !isNamed {
			continue // a list, or options of a request
		}
		// The factory asks for an informer once a type and hands out that one ever after.
		set.factory.InformerFor(obj, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
			set.byType[reflect.TypeOf(obj)] = newInformer()
			return set.byType[reflect.TypeOf(obj)]
		})
	}
	return set, nil
}

// of returns the informer of the kind of obj, nil if there is none.
func (s *informerSet) of(obj runtime.Object) *informer { return s.byType[reflect.TypeOf(obj)] }

// noServer refuses every request: a plugin that talks to the API server itself is
// told so, and does not wait.
type noServer struct{}

func (noServer) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s %s: a simulation has no API server", r.Method, r.URL.Path)
}

// informer calls its handlers synchronously, in the order in which they were added,
// from the goroutine of the simulator.
type informer struct {
	indexer  cache.Indexer
	handlers []*registration
}

var _ cache.SharedIndexInformer = (*informer)(nil)

func newInformer() *informer {
	return &informer{indexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})}
}

func (i *informer) has(obj runtime.Object) bool {
	_, found, err := i.indexer.Get(obj)
	return err == nil && found
}

// get returns the object of a key: a name, or namespace/name.
func (i *informer) get(key string) (any, bool) {
	obj, found, err := i.indexer.GetByKey(key)
	return obj, err == nil && found
}

// set stores an object and tells the handlers: an update if there was one, else an add.
func (i *informer) set(obj runtime.Object) error {
	old, found, err := i.indexer.Get(obj)
	if err != nil {
		return fmt.Errorf("store %T: %w", obj, err)
	}
	if err := i.indexer.Update(obj); err != nil {
		return fmt.Errorf("store %T: %w", obj, err)
	}
	for _, h := range i.handlers {
		if found {
			h.handler.OnUpdate(old, obj)
		} else {
			h.handler.OnAdd(obj, false)
		}
	}
	return nil
}

// remove forgets an object that is stored, and tells the handlers.
func (i *informer) remove(obj any) error {
	if err := i.indexer.Delete(obj); err != nil {
		return fmt.Errorf("forget %T: %w", obj, err)
	}
	for _, h := range i.handlers {
		h.handler.OnDelete(obj)
	}
	return nil
}

// AddEventHandler adds a handler and tells it what is stored, in the order of keys.
func (i *informer) AddEventHandler(handler cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	keys := i.indexer.ListKeys()
	slices.Sort(keys)
	for _, key := range keys {
		if obj, found := i.get(key); found {
			handler.OnAdd(obj, true)
		}
	}
	added := &registration{handler: handler}
	i.handlers = append(i.handlers, added)
	return added, nil
}

// AddEventHandlerWithResyncPeriod is AddEventHandler: nothing is ever out of sync.
func (i *informer) AddEventHandlerWithResyncPeriod(handler cache.ResourceEventHandler, _ time.Duration) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(handler)
}

// AddEventHandlerWithOptions is AddEventHandler.
func (i *informer) AddEventHandlerWithOptions(handler cache.ResourceEventHandler, _ cache.HandlerOptions) (cache.ResourceEventHandlerRegistration, error) {
	return i.AddEventHandler(handler)
}

// RemoveEventHandler removes a handler. One that is not there is removed already.
func (i *informer) RemoveEventHandler(added cache.ResourceEventHandlerRegistration) error {
	i.handlers = slices.DeleteFunc(i.handlers, func(h *registration) bool { return h == added })
	return nil
}

func (i *informer) AddIndexers(indexers cache.Indexers) error { return i.indexer.AddIndexers(indexers) }
func (i *informer) GetIndexer() cache.Indexer                 { return i.indexer }
func (i *informer) GetStore() cache.Store                     { return i.indexer }
func (i *informer) GetController() cache.Controller           { return i }

// Run waits for the end: there is nothing to watch.
func (i *informer) Run(stop <-chan struct{}) { <-stop }

// RunWithContext waits for the end of ctx.
func (i *informer) RunWithContext(ctx context.Context) { <-ctx.Done() }

func (i *informer) HasSynced() bool                     { return true }
func (i *informer) HasSyncedChecker() cache.DoneChecker { return synced{} }
func (i *informer) LastSyncResourceVersion() string     { return "" }
func (i *informer) IsStopped() bool                     { return false }

// SetWatchErrorHandler takes any handler: without a watch there is no error of one.
func (i *informer) SetWatchErrorHandler(cache.WatchErrorHandler) error { return nil }

// SetWatchErrorHandlerWithContext takes any handler.
func (i *informer) SetWatchErrorHandlerWithContext(cache.WatchErrorHandlerWithContext) error {
	return nil
}

// SetTransform refuses: plugins would see other objects than the simulator.
func (i *informer) SetTransform(cache.TransformFunc) error {
	return errors.New("a simulation's informers do not transform objects")
}

type registration struct{ handler cache.ResourceEventHandler }

func (*registration) HasSynced() bool                     { return true }
func (*registration) HasSyncedChecker() cache.DoneChecker { return synced{} }

// synced is done before anybody asks.
type synced struct{}

func (synced) Name() string { return "simulator" }

func (synced) Done() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
