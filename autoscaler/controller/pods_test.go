package controller_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	metricsv1beta1 "k8s.io/metrics/pkg/apis/metrics/v1beta1"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	resourcesource "github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/resource"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// noMetrics has no sample of any pod.
type noMetrics struct {
	metricsclient.PodMetricsInterface
}

func (n noMetrics) PodMetricses(string) metricsclient.PodMetricsInterface { return n }

func (noMetrics) List(context.Context, metav1.ListOptions) (*metricsv1beta1.PodMetricsList, error) {
	return &metricsv1beta1.PodMetricsList{}, nil
}

func TestAStrippedPodKeepsWhatIsReadAndNothingElse(t *testing.T) {
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
	always := corev1.ContainerRestartPolicyAlways
	full := pod("web-1", "web")
	full.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	full.Annotations = map[string]string{"large": "value"}
	full.Spec.NodeName = "node-1"
	full.Spec.Containers = []corev1.Container{{Name: "app", Image: "app:1", Env: []corev1.EnvVar{{Name: "A"}}, Resources: corev1.ResourceRequirements{Requests: requests, Limits: requests}}}
	full.Spec.InitContainers = []corev1.Container{{Name: "proxy", Image: "proxy:1", RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: requests}}}
	full.Status.Conditions = append(full.Status.Conditions, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	full.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app"}}

	object, err := controller.StripPod(full.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	want := pod("web-1", "web")
	want.Spec.Containers = []corev1.Container{{Name: "app", Resources: corev1.ResourceRequirements{Requests: requests}}}
	want.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: &always, Resources: corev1.ResourceRequirements{Requests: requests}}}
	if diff := cmp.Diff(want, object); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	read := func(p *corev1.Pod) any {
		return resourcesource.New(noMetrics{}).Read(context.Background(), source.Query{
			Spec:     v1alpha1.MetricSpec{Resource: &v1alpha1.ResourceMetricSource{Name: "cpu"}},
			Selector: labels.Everything(), Pods: []*corev1.Pod{p},
		})
	}
	if diff := cmp.Diff(read(full), read(object.(*corev1.Pod))); diff != "" {
		t.Errorf("the source reads something else from it (-full +stripped):\n%s", diff)
	}
}

func TestStripPodPassesOnWhatIsNoPod(t *testing.T) {
	node := &corev1.Node{}
	if got, err := controller.StripPod(node); got != any(node) || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}
