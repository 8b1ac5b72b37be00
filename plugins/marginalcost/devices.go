package marginalcost

import (
	"context"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices/dra"
)

// followDevices asks DRA for the devices, unless the program knows them. The
// scheduler follows the same objects whatever its plugins, so that no watch is
// added. It is called before pods are followed.
func (l *learner) followDevices(factory informers.SharedInformerFactory) error {
	if l.devices != nil {
		return nil
	}
	l.podInformer = factory.Core().V1().Pods().Informer()
	resources := factory.Resource().V1()
	source, err := dra.New(dra.Config{
		Slices:  resources.ResourceSlices().Informer(),
		Claims:  resources.ResourceClaims().Informer(),
		Classes: resources.DeviceClasses().Informer(),
		Claimed: l.claimed,
	})
	if err != nil {
		return fmt.Errorf("devices of DRA: %w", err)
	}
	l.devices, l.devicesSynced = source, source.HasSynced
	return nil
}

// claimed reads again the pods that a claim is for: what they ask was not known
// if they came before it.
func (l *learner) claimed(claim *resourceapi.ResourceClaim) {
	if owner := metav1.GetControllerOfNoCopy(claim); owner != nil && owner.Kind == "Pod" {
		l.reread(claim.Namespace + "/" + owner.Name)
	}
	for _, user := range claim.Status.ReservedFor {
		if user.APIGroup == "" && user.Resource == "pods" {
			l.reread(claim.Namespace + "/" + user.Name)
		}
	}
}

func (l *learner) reread(key string) {
	obj, found, err := l.podInformer.GetStore().GetByKey(key)
	if pod, isPod := obj.(*v1.Pod); err == nil && found && isPod {
		l.reshape(pod)
	}
}

// rereadAll reads all pods again once the devices that were there at the start are
// known: the informers do not wait for each other.
func (l *learner) rereadAll(ctx context.Context) {
	if l.devicesSynced == nil || !cache.WaitForCacheSync(ctx.Done(), l.devicesSynced) {
		return
	}
	for _, obj := range l.podInformer.GetStore().List() {
		if pod, isPod := obj.(*v1.Pod); isPod {
			l.reshape(pod)
		}
	}
}

// reshape corrects the shape of a pod that is followed.
func (l *learner) reshape(pod *v1.Pod) {
	shape, now := l.shapeOf(pod), l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pods[pod.UID] != nil {
		l.shapes.Seen(pod.UID, shape, pod.Spec.NodeName != "", now)
	}
}

// stateOf returns the devices of a node that a source knows: the zero value of a
// node that it does not know, and without a source.
func stateOf(source devices.Source, nodeName string) devices.State {
	if source == nil {
		return devices.State{}
	}
	return source.State(nodeName)
}
