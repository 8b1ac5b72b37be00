package resource_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	resourcesource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var sampled = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// podMetrics answers List in one namespace.
type podMetrics struct {
	metricsclient.PodMetricsInterface
	list     metricsv1beta1.PodMetricsList
	err      error
	selector string
}

func (p *podMetrics) PodMetricses(string) metricsclient.PodMetricsInterface { return p }

func (p *podMetrics) List(_ context.Context, o metav1.ListOptions) (*metricsv1beta1.PodMetricsList, error) {
	p.selector = o.LabelSelector
	return &p.list, p.err
}

func cpu(quantity string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(quantity)}
}

func container(name string, requests corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: name, Resources: corev1.ResourceRequirements{Requests: requests}}
}

func restartable(c corev1.Container) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

func sample(usages ...corev1.ResourceList) *metricsv1beta1.PodMetrics {
	s := &metricsv1beta1.PodMetrics{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Timestamp: metav1.NewTime(sampled), Window: metav1.Duration{Duration: 15 * time.Second}}
	for _, usage := range usages {
		s.Containers = append(s.Containers, metricsv1beta1.ContainerMetrics{Usage: usage})
	}
	return s
}

func TestReadings(t *testing.T) {
	app, sidecar := container("app", cpu("500m")), container("sidecar", cpu("100m"))
	for name, c := range map[string]struct {
		spec   corev1.PodSpec
		sample *metricsv1beta1.PodMetrics
		want   scaling.PodReading
	}{
		"containers are added up": {
			corev1.PodSpec{Containers: []corev1.Container{app, sidecar}},
			sample(cpu("200m"), cpu("50m")),
			scaling.PodReading{RequestMilli: 600, Sampled: true, UsageMilli: 250, At: sampled, Window: 15 * time.Second},
		},
		"restartable init containers count, others do not": {
			corev1.PodSpec{Containers: []corev1.Container{app}, InitContainers: []corev1.Container{restartable(sidecar), container("init", cpu("2"))}},
			nil,
			scaling.PodReading{RequestMilli: 600},
		},
		"an init container that ends needs no request": {
			corev1.PodSpec{Containers: []corev1.Container{app}, InitContainers: []corev1.Container{container("init", nil)}},
			nil,
			scaling.PodReading{RequestMilli: 500},
		},
		"the request of the pod as a whole wins": {
			corev1.PodSpec{Containers: []corev1.Container{app, container("bare", nil)}, Resources: &corev1.ResourceRequirements{Requests: cpu("2")}},
			nil,
			scaling.PodReading{RequestMilli: 2000},
		},
		"a container without request is named": {
			corev1.PodSpec{Containers: []corev1.Container{app, container("bare", nil)}},
			nil,
			scaling.PodReading{NoRequest: "container bare of pod p has no request for cpu"},
		},
		"a sidecar without request is named": {
			corev1.PodSpec{Containers: []corev1.Container{app}, InitContainers: []corev1.Container{restartable(container("proxy", nil))}},
			nil,
			scaling.PodReading{NoRequest: "container proxy of pod p has no request for cpu"},
		},
		"a sample that lacks a container's use is none": {
			corev1.PodSpec{Containers: []corev1.Container{app}}, sample(cpu("200m"), nil), scaling.PodReading{RequestMilli: 500},
		},
		"a sample without containers is none": {
			corev1.PodSpec{Containers: []corev1.Container{app}}, sample(), scaling.PodReading{RequestMilli: 500},
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := &podMetrics{}
			if c.sample != nil {
				client.list.Items = append(client.list.Items, *c.sample)
			}
			m := resourcesource.New(client).Read(context.Background(), query(c.spec))
			c.want.Pod = "p"
			if diff := cmp.Diff(scaling.Metric{IgnoreUntilReady: true, Pods: []scaling.PodReading{c.want}}, m); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if client.selector != "app=web" {
				t.Errorf("asked for %q", client.selector)
			}
		})
	}
}

func TestAnUnreadableAPIIsUnknown(t *testing.T) {
	m := resourcesource.New(&podMetrics{err: errors.New("the server is currently unable")}).Read(context.Background(), query(corev1.PodSpec{}))
	if m.Unknown.Reason != scaling.ReasonUnreadable || !strings.Contains(m.Unknown.Message, "list pod metrics: the server is currently unable") {
		t.Errorf("got %+v", m.Unknown)
	}
}

func query(spec corev1.PodSpec) source.Query {
	return source.Query{
		Spec:     v1alpha1.MetricSpec{Type: v1alpha1.ResourceMetricSourceType, Resource: &v1alpha1.ResourceMetricSource{Name: "cpu"}},
		Selector: labels.SelectorFromSet(labels.Set{"app": "web"}),
		Pods:     []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Spec: spec}},
	}
}
