// Package v1alpha1 is the API of the autoscaler: the WorkloadAutoscaler object,
// its defaults and its validation.
//
// +kubebuilder:object:generate=true
// +groupName=autoscaling.plimsoll.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of WorkloadAutoscaler.
const GroupName = "autoscaling.plimsoll.dev"

// GroupVersion returns the group and version of this package's types.
func GroupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: GroupName, Version: "v1alpha1"}
}

// AddToScheme registers this package's types with a scheme, so that clients
// and caches built on it can read and write them.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion(), &WorkloadAutoscaler{}, &WorkloadAutoscalerList{})
	metav1.AddToGroupVersion(s, GroupVersion())
	return nil
}
