package resource

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/quantity"
)

// samples are what lists of pod metrics say, and no more.
type samples struct {
	// namespace is that of all samples; empty if each has its own.
	namespace string
	pods      map[podName]sample
	n         int
	// words are the strings that come back: namespaces, containers, resources.
	words map[string]string
}

type podName struct{ namespace, name string }

// sample is the use of one pod over the window that ends at at.
type sample struct {
	at         time.Time
	window     time.Duration
	containers []container
}

// container has the valid uses of a container.
type container struct {
	name string
	uses []use
}

type use struct {
	resource corev1.ResourceName
	milli    int64
}

// collect reads a list to its end.
func collect(ctx context.Context, from lister, s scope) (*samples, error) {
	got := &samples{namespace: s.namespace, pods: map[podName]sample{}, words: map[string]string{}}
	next := ""
	for {
		var err error
		if next, err = from.list(ctx, s, next, got.add); err != nil {
			return nil, err
		}
		if next == "" {
			got.words = nil
			return got, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("after %d samples: %w", got.n, context.Cause(ctx))
		}
	}
}

// add keeps what is read of m, which may be changed afterwards.
func (s *samples) add(m *metricsv1beta1.PodMetrics) {
	kept := sample{at: m.Timestamp.Time, window: m.Window.Duration}
	if len(m.Containers) > 0 {
		kept.containers = make([]container, len(m.Containers))
	}
	for i := range m.Containers {
		c := &m.Containers[i]
		uses := make([]use, 0, len(c.Usage))
		for name, q := range c.Usage {
			if milli, valid := quantity.Milli(&q); valid {
				uses = append(uses, use{corev1.ResourceName(s.word(string(name))), milli})
			}
		}
		kept.containers[i] = container{s.word(c.Name), uses}
	}
	namespace := s.namespace
	if namespace == "" {
		namespace = s.word(m.Namespace)
	}
	s.pods[podName{namespace, m.Name}] = kept
	s.n++
}

// word returns the one copy of w.
func (s *samples) word(w string) string {
	known, found := s.words[w]
	if !found {
		s.words[w], known = w, w
	}
	return known
}

func (s *samples) of(namespace, name string) (sample, bool) {
	if s == nil {
		return sample{}, false
	}
	got, found := s.pods[podName{namespace, name}]
	return got, found
}

// use is what the container uses of a resource, in thousandths of its unit.
func (c *container) use(name corev1.ResourceName) (milli int64, found bool) {
	for i := range c.uses {
		if c.uses[i].resource == name {
			return c.uses[i].milli, true
		}
	}
	return 0, false
}
