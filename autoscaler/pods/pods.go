// Package pods keeps what the autoscaler reads of pods, and no more: of fifty
// thousand pods a few megabytes.
package pods

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	helpers "k8s.io/component-helpers/resource"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Pod is a pod as the autoscaler knows it. It must not be modified.
type Pod struct {
	// Pod is what policies are told.
	scaling.Pod
	Namespace string
	UID       types.UID
	// Labels are shared between pods that have the same.
	Labels labels.Set
	// OwnerUID and OwnerKind are those of the controller; empty if there is none.
	OwnerUID  types.UID
	OwnerKind string
	// Requests are shared between pods that have the same.
	Requests *Requests
}

// Requests are what the containers of a pod request.
type Requests struct {
	// pod are those of the pod as a whole; nil if it has none of its own.
	pod        corev1.ResourceList
	containers []container
}

// container is one that runs as long as the pod does.
type container struct {
	name     string
	requests corev1.ResourceList
}

// From keeps of a pod what is read.
func From(pod *corev1.Pod) *Pod {
	p := &Pod{
		Pod: scaling.Pod{
			Name: pod.Name, Phase: scaling.Phase(pod.Status.Phase), Terminating: pod.DeletionTimestamp != nil,
		},
		Namespace: pod.Namespace, UID: pod.UID, Labels: pod.Labels, Requests: requestsOf(pod),
	}
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		p.OwnerUID, p.OwnerKind = owner.UID, owner.Kind
	}
	if pod.Status.StartTime != nil {
		p.Started = pod.Status.StartTime.Time
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue
			p.Unready = c.Status == corev1.ConditionFalse
			p.ReadySince = c.LastTransitionTime.Time
			p.ReadyKnown = true
		}
	}
	return p
}

func requestsOf(pod *corev1.Pod) *Requests {
	r := &Requests{containers: make([]container, 0, len(pod.Spec.Containers))}
	if helpers.IsPodLevelRequestsSet(pod) {
		r.pod = helpers.PodRequests(pod, helpers.PodResourcesOptions{})
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		r.containers = append(r.containers, container{c.Name, c.Resources.Requests})
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			r.containers = append(r.containers, container{c.Name, c.Resources.Requests})
		}
	}
	return r
}

// RequestMilli is what the pod requests of a resource, in thousandths of its
// unit, or why that is not known: of the named container, or, without a name, of
// the pod as a whole if it has requests of its own, else of all its containers and
// restartable init containers, each of which must have one.
func (p *Pod) RequestMilli(resource corev1.ResourceName, name string) (milli int64, missing string) {
	if name == "" && p.Requests.pod != nil {
		quantity, found := p.Requests.pod[resource]
		if !found {
			return 0, fmt.Sprintf("pod %s has no request for %s", p.Name, resource)
		}
		return quantity.MilliValue(), ""
	}
	found := false
	for i := range p.Requests.containers {
		c := &p.Requests.containers[i]
		if name != "" && c.name != name {
			continue
		}
		found = true
		quantity, requested := c.requests[resource]
		if !requested {
			return 0, fmt.Sprintf("container %s of pod %s has no request for %s", c.name, p.Name, resource)
		}
		milli += quantity.MilliValue()
	}
	if name != "" && !found {
		return 0, fmt.Sprintf("pod %s has no container %s", p.Name, name)
	}
	return milli, ""
}
