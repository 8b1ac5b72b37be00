package controller

import (
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// observed is what a policy is told of the pods.
func observed(list []*pods.Pod) []scaling.Pod {
	out := make([]scaling.Pod, len(list))
	for i, p := range list {
		out[i] = p.Pod
	}
	return out
}
