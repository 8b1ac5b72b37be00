package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
	"github.com/plimsoll-k8s/plimsoll/manifests"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Bounds of every autoscaler: the load asks for 5 to 15.
const (
	minReplicas = 2
	maxReplicas = 30
)

// ExternalMetric is the requests a second of the workload that the label "deployment" selects, as
// HorizontalPodAutoscalers ask for it.
const ExternalMetric = "http_requests_per_second"

// Query is the requests a second of a Deployment in PromQL, with any further matchers, each with a
// comma after it.
func Query(deployment, matchers string) string {
	return fmt.Sprintf(`sum(rate(http_requests_total{%sdeployment=%q}[1m]))`, matchers, deployment)
}

// CreateHorizontalPodAutoscalers creates one for every workload.
func (w *World) CreateHorizontalPodAutoscalers(ctx context.Context) error {
	return each(ctx, 0, w.size, func(ctx context.Context, workload Workload) error {
		_, err := w.client.AutoscalingV2().HorizontalPodAutoscalers(workload.Namespace()).
			Create(ctx, newHorizontalPodAutoscaler(workload), metav1.CreateOptions{})
		if err != nil {
			return fmt.Errorf("create HorizontalPodAutoscaler %s/%s: %w", workload.Namespace(), workload.Name(), err)
		}
		return nil
	})
}

// DeleteHorizontalPodAutoscalers deletes them all.
func (w *World) DeleteHorizontalPodAutoscalers(ctx context.Context) error {
	return each(ctx, 0, w.namespaces(), func(ctx context.Context, n Workload) error {
		namespace := (n * PerNamespace).Namespace()
		err := w.client.AutoscalingV2().HorizontalPodAutoscalers(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
		if err != nil {
			return fmt.Errorf("delete HorizontalPodAutoscalers of %s: %w", namespace, err)
		}
		return nil
	})
}

// ActiveHorizontalPodAutoscalers counts those that read their metric when they were last evaluated:
// their condition ScalingActive is true.
func (w *World) ActiveHorizontalPodAutoscalers(ctx context.Context) (int, error) {
	list, err := w.client.AutoscalingV2().HorizontalPodAutoscalers("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, fmt.Errorf("list HorizontalPodAutoscalers: %w", err)
	}
	active := 0
	for _, hpa := range list.Items {
		for _, c := range hpa.Status.Conditions {
			if c.Type == autoscalingv2.ScalingActive && c.Status == corev1.ConditionTrue {
				active++
			}
		}
	}
	return active, nil
}

// CreateWorkloadAutoscalers creates one for every workload.
func (w *World) CreateWorkloadAutoscalers(ctx context.Context) error {
	kube, err := w.ours()
	if err != nil {
		return err
	}
	return each(ctx, 0, w.size, func(ctx context.Context, workload Workload) error {
		if err := kube.Create(ctx, newWorkloadAutoscaler(workload)); err != nil {
			return fmt.Errorf("create WorkloadAutoscaler %s/%s: %w", workload.Namespace(), workload.Name(), err)
		}
		return nil
	})
}

// DeleteWorkloadAutoscalers deletes them all.
func (w *World) DeleteWorkloadAutoscalers(ctx context.Context) error {
	kube, err := w.ours()
	if err != nil {
		return err
	}
	return each(ctx, 0, w.namespaces(), func(ctx context.Context, n Workload) error {
		namespace := (n * PerNamespace).Namespace()
		if err := kube.DeleteAllOf(ctx, &v1alpha1.WorkloadAutoscaler{}, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("delete WorkloadAutoscalers of %s: %w", namespace, err)
		}
		return nil
	})
}

// ActiveWorkloadAutoscalers counts those that read their metric when they were last evaluated: their
// condition ScalingActive is true.
func (w *World) ActiveWorkloadAutoscalers(ctx context.Context) (int, error) {
	kube, err := w.ours()
	if err != nil {
		return 0, err
	}
	list := &v1alpha1.WorkloadAutoscalerList{}
	if err := kube.List(ctx, list); err != nil {
		return 0, fmt.Errorf("list WorkloadAutoscalers: %w", err)
	}
	active := 0
	for i := range list.Items {
		if meta.IsStatusConditionTrue(list.Items[i].Status.Conditions, string(autoscalingv2.ScalingActive)) {
			active++
		}
	}
	return active, nil
}

// InstallCRDs creates the shipped CustomResourceDefinitions and waits until they are served.
func (w *World) InstallCRDs(ctx context.Context) error {
	kube, err := w.ours()
	if err != nil {
		return err
	}
	files, err := fs.Glob(manifests.FS, "crd/*.yaml")
	if err != nil || len(files) == 0 {
		return fmt.Errorf("manifests crd: none found (%w)", err)
	}
	for _, file := range files {
		if err := createFile(ctx, kube, file); err != nil {
			return fmt.Errorf("create manifests/%s: %w", file, err)
		}
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		return kube.List(ctx, &v1alpha1.WorkloadAutoscalerList{}, client.Limit(1)) == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for the API of WorkloadAutoscaler: %w", err)
	}
	return nil
}

func createFile(ctx context.Context, kube client.Client, file string) error {
	text, err := manifests.FS.ReadFile(file)
	if err != nil {
		return err
	}
	decoder := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if err := kube.Create(ctx, object); err != nil {
			return err
		}
	}
}

// ours is a client for our API, which is JSON only.
func (w *World) ours() (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, fmt.Errorf("scheme: %w", err)
	}
	config := rest.CopyConfig(w.config)
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	kube, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return kube, nil
}

func (w *World) namespaces() int { return (w.size + PerNamespace - 1) / PerNamespace }

func newHorizontalPodAutoscaler(w Workload) *autoscalingv2.HorizontalPodAutoscaler {
	least := int32(minReplicas)
	metric := autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: cpuMetric()}
	if w.ByQuery() {
		metric = autoscalingv2.MetricSpec{
			Type: autoscalingv2.ExternalMetricSourceType,
			External: &autoscalingv2.ExternalMetricSource{
				Metric: autoscalingv2.MetricIdentifier{
					Name:     ExternalMetric,
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"deployment": w.Name()}},
				},
				Target: requestsTarget(),
			},
		}
	}
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name(), Namespace: w.Namespace()},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: w.Name()},
			MinReplicas:    &least, MaxReplicas: maxReplicas,
			Metrics: []autoscalingv2.MetricSpec{metric},
		},
	}
}

func newWorkloadAutoscaler(w Workload) *v1alpha1.WorkloadAutoscaler {
	least := int32(minReplicas)
	metric := v1alpha1.MetricSpec{Type: v1alpha1.ResourceMetricSourceType, Resource: cpuMetric()}
	if w.ByQuery() {
		metric = v1alpha1.MetricSpec{
			Type:       v1alpha1.PrometheusMetricSourceType,
			Prometheus: &v1alpha1.PrometheusMetricSource{Query: Query(w.Name(), ""), Target: requestsTarget()},
		}
	}
	return &v1alpha1.WorkloadAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name(), Namespace: w.Namespace()},
		Spec: v1alpha1.WorkloadAutoscalerSpec{
			ScaleTargetRef: v1alpha1.ScaleTargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: w.Name()},
			MinReplicas:    &least, MaxReplicas: maxReplicas,
			Metrics: []v1alpha1.MetricSpec{metric},
		},
	}
}

func cpuMetric() *autoscalingv2.ResourceMetricSource {
	percent := int32(utilization)
	return &autoscalingv2.ResourceMetricSource{
		Name:   corev1.ResourceCPU,
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}
}

func requestsTarget() autoscalingv2.MetricTarget {
	return autoscalingv2.MetricTarget{
		Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(load.TargetRequests, resource.DecimalSI),
	}
}
