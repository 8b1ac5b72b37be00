package mirror_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
)

// server lists and watches pods.
type server struct {
	// streams says that the server streams the first list, as API servers do.
	streams bool

	mu      sync.Mutex
	version int
	pods    map[string]*corev1.Pod
	watcher *watch.FakeWatcher
	lists   int
}

var _ cache.ListerWatcher = (*server)(nil)

// IsWatchListSemanticsUnSupported tells the reflector to list.
func (s *server) IsWatchListSemanticsUnSupported() bool { return !s.streams }

func (s *server) List(metav1.ListOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	list := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(s.version)}}
	for _, name := range slices.Sorted(maps.Keys(s.pods)) {
		list.Items = append(list.Items, *s.pods[name])
	}
	return list, nil
}

func (s *server) Watch(options metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watcher = watch.NewFakeWithChanSize(100, false)
	if options.SendInitialEvents != nil && *options.SendInitialEvents {
		s.lists++
		for _, name := range slices.Sorted(maps.Keys(s.pods)) {
			s.watcher.Add(s.pods[name].DeepCopy())
		}
		end := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			ResourceVersion: strconv.Itoa(s.version), Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"},
		}}
		s.watcher.Action(watch.Bookmark, end)
	}
	return s.watcher, nil
}

// put adds or changes a pod and, unless the change is missed, tells of it.
func (s *server) put(name, phase string, missed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, ResourceVersion: strconv.Itoa(s.version)},
		Status:     corev1.PodStatus{Phase: corev1.PodPhase(phase)},
	}
	_, there := s.pods[name]
	s.pods[name] = pod
	switch {
	case missed || s.watcher == nil:
	case there:
		s.watcher.Modify(pod.DeepCopy())
	default:
		s.watcher.Add(pod.DeepCopy())
	}
}

func (s *server) remove(name string, missed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	pod := s.pods[name].DeepCopy()
	pod.ResourceVersion = strconv.Itoa(s.version)
	delete(s.pods, name)
	if !missed {
		s.watcher.Delete(pod)
	}
}

// expire ends the watch as an API server does that has forgotten what was before.
func (s *server) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := apierrors.NewResourceExpired("too old").Status()
	s.watcher.Error(&status)
	s.watcher.Stop()
}

// phase keeps the phase of a pod; bad ones cannot be kept.
func phase(object runtime.Object) (string, error) {
	pod := object.(*corev1.Pod)
	if pod.Status.Phase == "Bad" {
		return "", errors.New("bad")
	}
	return string(pod.Status.Phase), nil
}

// followed is a mirror and what it told of changes.
type followed struct {
	*mirror.Mirror[string]
	mu      sync.Mutex
	changes []string
}

func follow() *followed {
	f := &followed{}
	f.Mirror = mirror.New(phase, func(c mirror.Change[string]) {
		f.mu.Lock()
		defer f.mu.Unlock()
		text := func(s *string) string {
			if s == nil {
				return "nothing"
			}
			return *s
		}
		f.changes = append(f.changes, fmt.Sprintf("%s: %s to %s", c.Key.Name, text(c.Old), text(c.New)))
	})
	return f
}

// told returns the changes since the last call.
func (f *followed) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	changes := f.changes
	f.changes = nil
	slices.Sort(changes)
	return changes
}

func (f *followed) contents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, key := range f.Keys() {
		value, found := f.Get(key)
		if !found {
			t.Errorf("%s is a key without a value", key)
		}
		all[key.Name] = value
	}
	if f.Len() != len(all) {
		t.Errorf("Len is %d, want %d", f.Len(), len(all))
	}
	return all
}

func TestAMirrorFollowsItsSource(t *testing.T) {
	for name, streams := range map[string]bool{"a source that lists": false, "a source that streams its list": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, f := &server{streams: streams, pods: map[string]*corev1.Pod{}}, follow()
				s.put("a", "Running", true)
				s.put("b", "Pending", true)
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan struct{})
				if f.HasSynced() {
					t.Error("it has synced before it runs")
				}
				go func() {
					f.Run(ctx, s, &corev1.Pod{})
					close(ended)
				}()
				for _, step := range []struct {
					what    string
					do      func()
					changes []string
					want    map[string]string
				}{
					{"at first", func() {}, []string{"a: nothing to Running", "b: nothing to Pending"}, map[string]string{"a": "Running", "b": "Pending"}},
					{"one is added", func() { s.put("c", "Pending", false) }, []string{"c: nothing to Pending"}, map[string]string{"a": "Running", "b": "Pending", "c": "Pending"}},
					{"one changes", func() { s.put("b", "Running", false) }, []string{"b: Pending to Running"}, map[string]string{"a": "Running", "b": "Running", "c": "Pending"}},
					{"one goes", func() { s.remove("a", false) }, []string{"a: Running to nothing"}, map[string]string{"b": "Running", "c": "Pending"}},
					{"the watch has missed all kinds of changes", func() {
						s.put("d", "Pending", true)
						s.put("c", "Running", true)
						s.remove("b", true)
						s.expire()
						time.Sleep(time.Minute)
					}, []string{"b: Running to nothing", "c: Pending to Running", "d: nothing to Pending"}, map[string]string{"c": "Running", "d": "Pending"}},
					{"one that cannot be kept is left out", func() { s.put("e", "Bad", false) }, nil, map[string]string{"c": "Running", "d": "Pending"}},
					{"in a list, too, and keeps no other out", func() {
						s.put("f", "Running", true)
						s.expire()
						time.Sleep(time.Minute)
					}, []string{"c: Running to Running", "d: Pending to Pending", "f: nothing to Running"}, map[string]string{"c": "Running", "d": "Pending", "f": "Running"}},
					{"one that can no longer be kept goes", func() { s.put("d", "Bad", false) }, []string{"d: Pending to nothing"}, map[string]string{"c": "Running", "f": "Running"}},
				} {
					step.do()
					synctest.Wait()
					if diff := cmp.Diff(step.want, f.contents(t)); diff != "" {
						t.Errorf("%s: contents (-want +got):\n%s", step.what, diff)
					}
					if diff := cmp.Diff(step.changes, f.told()); diff != "" {
						t.Errorf("%s: changes (-want +got):\n%s", step.what, diff)
					}
					if !f.HasSynced() {
						t.Errorf("%s: it has not synced", step.what)
					}
				}
				if s.lists != 3 {
					t.Errorf("%d lists, want 3", s.lists)
				}
				cancel()
				<-ended
			})
		})
	}
}

func TestWhatIsNotThereIsNotFound(t *testing.T) {
	f := follow()
	if value, found := f.Get(types.NamespacedName{Namespace: "shop", Name: "a"}); found || value != "" {
		t.Errorf("found %q in an empty mirror", value)
	}
}

// TestReadersSeeWholeValues reads while the source changes, with the race detector
// watching.
func TestReadersSeeWholeValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := &server{pods: map[string]*corev1.Pod{}}, follow()
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { f.Run(ctx, s, &corev1.Pod{}) })
		synctest.Wait()
		for range 4 {
			all.Go(func() {
				for range 200 {
					for _, key := range f.Keys() {
						if value, found := f.Get(key); found && value != "Pending" && value != "Running" {
							t.Errorf("%s is %q", key, value)
						}
					}
				}
			})
		}
		for i := range 80 {
			s.put(fmt.Sprintf("p%d", i%10), []string{"Pending", "Running"}[i/10%2], false)
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if f.Len() != 10 {
			t.Errorf("%d objects, want 10", f.Len())
		}
	})
}
