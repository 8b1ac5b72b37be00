package world

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/load"
)

// utilization is what pods use of their request where the load is on its target, in percent.
const utilization = 60

// Container is the name of the only container of a pod.
const Container = "app"

const templateHash = "7f9c6d5b8"

func newDeployment(w Workload) *appsv1.Deployment {
	replicas := int32(Pods)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: w.Name(), Namespace: w.Namespace(), Labels: labels(w)},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels(w)},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels(w)}, Spec: podSpec()},
		},
	}
}

func deploymentStatus(generation int64) appsv1.DeploymentStatus {
	return appsv1.DeploymentStatus{
		ObservedGeneration: generation,
		Replicas:           Pods, UpdatedReplicas: Pods, ReadyReplicas: Pods, AvailableReplicas: Pods,
	}
}

func newReplicaSet(w Workload, owner *appsv1.Deployment) *appsv1.ReplicaSet {
	replicas := int32(Pods)
	selected := hashed(w)
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{
			Name: w.Name() + "-" + templateHash, Namespace: w.Namespace(), Labels: selected,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("Deployment"))},
		},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: selected},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: selected}, Spec: podSpec()},
		},
	}
}

func replicaSetStatus(generation int64) appsv1.ReplicaSetStatus {
	return appsv1.ReplicaSetStatus{
		ObservedGeneration: generation,
		Replicas:           Pods, FullyLabeledReplicas: Pods, ReadyReplicas: Pods, AvailableReplicas: Pods,
	}
}

func newPod(w Workload, i int, owner *appsv1.ReplicaSet) *corev1.Pod {
	spec := podSpec()
	spec.NodeName = fmt.Sprintf("node-%04d", (int(w)*Pods+i)/30)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: w.Pod(i), Namespace: w.Namespace(), Labels: hashed(w),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
		},
		Spec: spec,
	}
}

func podSpec() corev1.PodSpec {
	request := *resource.NewMilliQuantity(load.TargetCPUMilli*100/utilization, resource.DecimalSI)
	return corev1.PodSpec{
		Containers: []corev1.Container{{
			Name: Container, Image: "registry.example.com/shop/app:1.4.2",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: request, corev1.ResourceMemory: resource.MustParse("128Mi"),
			}},
		}},
	}
}

// runningStatus is that of a pod which has been ready since the given time.
func runningStatus(spec corev1.PodSpec, since metav1.Time) corev1.PodStatus {
	started := true
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, QOSClass: corev1.PodQOSBurstable, StartTime: &since,
		HostIP: "10.0.0.1", PodIP: "10.1.0.1", PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: Container, Image: spec.Containers[0].Image, Ready: true, Started: &started,
			ImageID:     "registry.example.com/shop/app@sha256:4355a46b19d348dc2f57c046f8ef63d4538ebb936000f3c9ee954a27460dd865",
			ContainerID: "containerd://53c234e5e8472b6ac51c1ae1cab3fe06fad053beb8ebfd8977b010655bfdd3c3",
			State:       corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
		}},
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodInitialized, corev1.ContainersReady, corev1.PodReady} {
		status.Conditions = append(status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: since})
	}
	return status
}

func labels(w Workload) map[string]string { return map[string]string{"app": w.Name()} }

func hashed(w Workload) map[string]string {
	return map[string]string{"app": w.Name(), "pod-template-hash": templateHash}
}
