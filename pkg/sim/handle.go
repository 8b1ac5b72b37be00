package sim

import (
	v1 "k8s.io/api/core/v1"
	resourceapi "k8s.io/api/resource/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
)

// noEvents records no event: nobody reads them.
type noEvents struct{}

var _ events.EventRecorderLogger = noEvents{}

func (noEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

func (n noEvents) WithLogger(klog.Logger) events.EventRecorderLogger { return n }

// noNominations knows no nominated pod: preemption, which nominates, does not run.
type noNominations struct{}

var _ fwk.PodNominator = noNominations{}

func (noNominations) AddNominatedPod(klog.Logger, fwk.PodInfo, *fwk.NominatingInfo) {}
func (noNominations) DeleteNominatedPodIfExists(*v1.Pod)                            {}
func (noNominations) UpdateNominatedPod(klog.Logger, *v1.Pod, fwk.PodInfo)          {}
func (noNominations) NominatedPodsForNode(string) []fwk.PodInfo                     { return nil }

// noActivation activates no pod: there is no queue, the caller decides who is next.
type noActivation struct{}

var _ fwk.PodActivator = noActivation{}

func (noActivation) Activate(klog.Logger, map[string]*v1.Pod) {}

// noDevices knows no device class, so that no extended resource is served by devices.
// What else a manager does is asked only for pods with claims, which are refused.
type noDevices struct{ fwk.SharedDRAManager }

func (noDevices) DeviceClassResolver() fwk.DeviceClassResolver { return noClasses{} }

type noClasses struct{}

func (noClasses) GetDeviceClass(v1.ResourceName) *resourceapi.DeviceClass { return nil }
