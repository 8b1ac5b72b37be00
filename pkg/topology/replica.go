package topology

import (
	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// Key names what replicas are counted for. It is compared with ==.
type Key struct {
	// Workload is the owner across its revisions.
	Workload workload.Key
	// Selector is the id of a label selector that stands for a workload, such as
	// "Service shop/cart"; empty for an owner.
	Selector string
}

// OwnedBy is the key of the replicas of an owner.
func OwnedBy(owner workload.Key) Key { return Key{Workload: owner} }

// SelectedBy is the key of the replicas that match a selector.
func SelectedBy(id string) Key { return Key{Selector: id} }

// State is what a replica counts for.
type State int8

const (
	// Gone is a pod that holds nothing: it has succeeded or failed.
	Gone State = iota
	// Leaving is a pod that is being deleted. It is still on its node, but no
	// longer one of the replicas that the workload will have.
	Leaving
	// Live is any other pod. It counts when it has a node.
	Live
)

// Replica is all that counts of a pod.
type Replica struct {
	UID types.UID
	// Node is where the pod is bound, empty for a pod that waits.
	Node  string
	State State
	// Revision tells the pods of one rollout from those of the others, empty where
	// the owner has none.
	Revision string
	// Keys are all for which the pod counts. Zero keys and repetitions are left out.
	Keys []Key
}

// ReplicaOf reads a pod that counts for keys. It is gone in phase Succeeded or
// Failed, leaving once it has a deletionTimestamp, live otherwise: a replica that
// is not ready yet is one that the workload will have. Its revision is the label
// of the Deployment, StatefulSet or DaemonSet controller. The slice of keys is
// not kept.
func ReplicaOf(pod *v1.Pod, keys ...Key) Replica {
	r := Replica{UID: pod.UID, Node: pod.Spec.NodeName, State: Live, Keys: keys}
	switch {
	case pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed:
		r.State = Gone
	case pod.DeletionTimestamp != nil:
		r.State = Leaving
	}
	r.Revision = RevisionOf(pod)
	return r
}

// RevisionOf returns the hash of a pod's template, empty where its owner has none.
func RevisionOf(pod *v1.Pod) string {
	if hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" {
		return hash
	}
	return pod.Labels[appsv1.ControllerRevisionHashLabelKey]
}
