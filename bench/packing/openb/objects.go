package openb

import (
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim/devicedriver"
)

const (
	// ModelLabel is a node's label with the model of its GPUs.
	ModelLabel = "sim.plimsoll.dev/gpu-model"
	// GPUClass is the class of the trace's devices.
	GPUClass = "gpu"
	// podSlots is more than any node is given, as in the artifact of the paper.
	podSlots = 1001
)

// Object returns the node as Kubernetes knows nodes.
func (n Node) Object() *v1.Node {
	has := v1.ResourceList{
		v1.ResourceCPU:    *resource.NewMilliQuantity(n.CPUMilli, resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(n.MemMiB<<20, resource.BinarySI),
		v1.ResourcePods:   *resource.NewQuantity(podSlots, resource.DecimalSI),
	}
	node := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:   n.Name,
			UID:    types.UID(n.Name),
			Labels: map[string]string{v1.LabelHostname: n.Name},
		},
		Status: v1.NodeStatus{Capacity: has, Allocatable: has},
	}
	if n.GPUs > 0 {
		node.Labels[ModelLabel] = n.Model
		node.Annotations = map[string]string{devicedriver.Annotation: asks(n.GPUs, WholeGPU)}
	}
	return node
}

// Object returns the pod as Kubernetes knows pods, for the named scheduler.
func (p Pod) Object(scheduler string) *v1.Pod {
	pod := &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: p.Name, Namespace: metav1.NamespaceDefault, UID: types.UID(p.Name)},
		Spec: v1.PodSpec{
			SchedulerName: scheduler,
			Containers: []v1.Container{{
				Name: "main",
				Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
					v1.ResourceCPU:    *resource.NewMilliQuantity(p.CPUMilli, resource.DecimalSI),
					v1.ResourceMemory: *resource.NewQuantity(p.MemMiB<<20, resource.BinarySI),
				}},
			}},
		},
	}
	if p.GPUs > 0 {
		pod.Annotations = map[string]string{devicedriver.Annotation: asks(p.GPUs, p.GPUMilli)}
	}
	if models := p.AllowedModels(); models != nil {
		pod.Spec.Affinity = oneOf(models)
	}
	return pod
}

// WithoutGPUs returns the pod as it would be on a cluster of CPU and memory only.
func (p Pod) WithoutGPUs() Pod {
	p.GPUs, p.GPUMilli, p.Models = 0, 0, ""
	return p
}

// WithoutGPUs returns the node as it would be on a cluster of CPU and memory only.
func (n Node) WithoutGPUs() Node {
	n.GPUs, n.Model = 0, ""
	return n
}

func asks(count int, milli int64) string {
	return fmt.Sprintf(`{"class":%q,"count":%d,"milli":%d}`, GPUClass, count, milli)
}

func oneOf(models []string) *v1.Affinity {
	models = slices.Clone(models)
	slices.Sort(models)
	return &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
			MatchExpressions: []v1.NodeSelectorRequirement{{
				Key: ModelLabel, Operator: v1.NodeSelectorOpIn, Values: models,
			}},
		}}},
	}}
}
