package sim

import (
	"errors"
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework"
)

// Schedule runs one scheduling cycle and one binding cycle for a pod. The pod appears
// to the informers, unbound, unless it is pending already; then it is bound (an
// update), or stays pending with its condition PodScheduled false (an update, too).
// A bound pod runs at once: no kubelet is simulated. The pod given is not changed,
// and must not be changed by the caller.
//
// An error is an input that cannot be simulated or a plugin that failed, not a pod
// that fits nowhere.
func (s *Simulator) Schedule(pod *v1.Pod) (Result, error) {
	if err := s.check(pod).ToAggregate(); err != nil {
		return Result{}, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	pending, err := s.appear(pod)
	if err != nil {
		return Result{}, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	result, err := s.schedule(pending)
	if err == nil && result.Node == "" {
		err = s.turnDown(pending, result)
	}
	if err != nil {
		return Result{}, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return result, nil
}

// Place adds a pod that is bound already (spec.nodeName): one that ran before the
// simulation began, or came with its node. No plugin is asked.
func (s *Simulator) Place(pod *v1.Pod) error {
	if _, found := s.informers.of(&v1.Node{}).get(pod.Spec.NodeName); !found {
		return fmt.Errorf("pod %s/%s: spec.nodeName: there is no node %q", pod.Namespace, pod.Name, pod.Spec.NodeName)
	}
	if err := s.checkIdentity(pod).ToAggregate(); err != nil {
		return fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if known := s.pods[pod.UID]; known != nil {
		return fmt.Errorf("pod %s/%s: metadata.uid: %q is there already", pod.Namespace, pod.Name, pod.UID)
	}
	return s.bind(s.bound(pod, pod.Spec.NodeName))
}

// Delete lets a pod depart, bound or pending. One that is not there has departed.
func (s *Simulator) Delete(pod *v1.Pod) {
	known := s.pods[pod.UID]
	if known == nil {
		return
	}
	delete(s.pods, pod.UID)
	if known.Spec.NodeName != "" {
		if err := s.cache.RemovePod(s.logger, known); err != nil {
			panic(fmt.Sprintf("sim: a pod that was bound is not in the cache: %v", err))
		}
		s.touch(known, -1)
	}
	if err := s.informers.of(known).remove(known); err != nil {
		panic(fmt.Sprintf("sim: a pod that was stored has no key: %v", err))
	}
}

// check finds what cannot be simulated.
func (s *Simulator) check(pod *v1.Pod) field.ErrorList {
	problems := s.checkIdentity(pod)
	spec := field.NewPath("spec")
	if pod.Spec.NodeName != "" {
		problems = append(problems, field.Invalid(spec.Child("nodeName"), pod.Spec.NodeName, "must be empty: a bound pod is placed"))
	}
	if name := pod.Spec.SchedulerName; name != "" && name != s.profile {
		problems = append(problems, field.Invalid(spec.Child("schedulerName"), name, fmt.Sprintf("must be empty or the profile's, %q", s.profile)))
	}
	if pod.Spec.SchedulingGroup != nil {
		problems = append(problems, field.Forbidden(spec.Child("schedulingGroup"), "pod groups are not simulated"))
	}
	if len(pod.Spec.ResourceClaims) != 0 {
		problems = append(problems, field.Forbidden(spec.Child("resourceClaims"), "claims of devices are not simulated"))
	}
	if pod.Status.NominatedNodeName != "" {
		problems = append(problems, field.Forbidden(field.NewPath("status", "nominatedNodeName"), "nominations are not simulated"))
	}
	return append(problems, s.checkVolumes(pod)...)
}

func (s *Simulator) checkIdentity(pod *v1.Pod) field.ErrorList {
	var problems field.ErrorList
	metadata := field.NewPath("metadata")
	for _, needed := range []struct{ name, value string }{
		{"name", pod.Name}, {"namespace", pod.Namespace}, {"uid", string(pod.UID)},
	} {
		if needed.value == "" {
			problems = append(problems, field.Required(metadata.Child(needed.name), "a pod is known by it"))
		}
	}
	return problems
}

// checkVolumes refuses claims that are not bound: VolumeBinding would wait for them.
func (s *Simulator) checkVolumes(pod *v1.Pod) field.ErrorList {
	var problems field.ErrorList
	claims := s.informers.of(&v1.PersistentVolumeClaim{})
	for i, volume := range pod.Spec.Volumes {
		path := field.NewPath("spec", "volumes").Index(i)
		if volume.Ephemeral != nil {
			problems = append(problems, field.Forbidden(path.Child("ephemeral"), "binding of volumes is not simulated"))
		}
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		claim, found := claims.get(pod.Namespace + "/" + volume.PersistentVolumeClaim.ClaimName)
		if !found || claim.(*v1.PersistentVolumeClaim).Spec.VolumeName == "" {
			problems = append(problems, field.Invalid(path.Child("persistentVolumeClaim", "claimName"),
				volume.PersistentVolumeClaim.ClaimName, "must be a claim that is bound: binding of volumes is not simulated"))
		}
	}
	return problems
}

// appear shows a pod to the informers, unless it is pending there already.
func (s *Simulator) appear(pod *v1.Pod) (*v1.Pod, error) {
	known := s.pods[pod.UID]
	switch {
	case known == nil && s.informers.of(pod).has(pod):
		return nil, errors.New("metadata.name: another pod of this namespace has it")
	case known != nil && known.Spec.NodeName != "":
		return nil, fmt.Errorf("metadata.uid: %q is bound to node %s already", pod.UID, known.Spec.NodeName)
	case known != nil && len(known.Spec.SchedulingGates) == len(pod.Spec.SchedulingGates):
		return known, nil
	}
	pending := *pod // shallow: nobody changes what it points to
	if known != nil {
		pending.CreationTimestamp = known.CreationTimestamp
	}
	pending.ResourceVersion = s.nextRevision()
	pending.Spec.SchedulerName = s.profile
	pending.Status.Phase = v1.PodPending
	if pending.CreationTimestamp.IsZero() {
		pending.CreationTimestamp = metav1.NewTime(s.clock.Now())
	}
	return &pending, s.keep(&pending)
}

func (s *Simulator) keep(pod *v1.Pod) error {
	s.pods[pod.UID] = pod
	return s.informers.of(pod).set(pod)
}

// schedule asks every plugin that may keep the pod away, and binds it.
func (s *Simulator) schedule(pod *v1.Pod) (Result, error) {
	for _, plugin := range s.framework.PreEnqueuePlugins() {
		if status := plugin.PreEnqueue(s.ctx, pod); status.IsRejected() {
			nodes, err := s.NodeInfos()
			return Result{Diagnosis: count(status, len(nodes))}, err
		} else if !status.IsSuccess() {
			return Result{}, status.AsError()
		}
	}
	state := framework.NewCycleState()
	result, err := s.decide(state, pod)
	if err != nil || result.Node == "" {
		return result, err
	}
	bound := s.bound(pod, result.Node)
	if status := s.reserve(state, bound); !status.IsSuccess() {
		s.framework.RunReservePluginsUnreserve(s.ctx, state, bound, result.Node)
		if status.IsRejected() {
			return Result{Feasible: result.Feasible, Diagnosis: count(status, 1)}, nil
		}
		return Result{}, status.AsError()
	}
	if err := s.bind(bound); err != nil {
		return Result{}, err
	}
	s.framework.RunPostBindPlugins(s.ctx, state, bound, result.Node)
	return result, nil
}

// reserve runs Reserve, Permit and PreBind.
func (s *Simulator) reserve(state fwk.CycleState, bound *v1.Pod) *fwk.Status {
	node := bound.Spec.NodeName
	if status := s.framework.RunReservePluginsReserve(s.ctx, state, bound, node); !status.IsSuccess() {
		return status
	}
	if _, status := s.framework.RunPermitPlugins(s.ctx, state, bound, node); status.IsWait() {
		return fwk.AsStatus(fmt.Errorf("permit: waiting is not simulated: %s", status.Message()))
	} else if !status.IsSuccess() {
		return status
	}
	if status := s.framework.RunPreBindPreFlights(s.ctx, state, bound, node); !status.IsSuccess() && !status.IsSkip() {
		return status
	}
	return s.framework.RunPreBindPlugins(s.ctx, state, bound, node)
}

// bound returns a copy of the pod as it is once it runs on a node.
func (s *Simulator) bound(pod *v1.Pod, node string) *v1.Pod {
	now := metav1.NewTime(s.clock.Now())
	bound := *pod
	bound.ResourceVersion = s.nextRevision()
	bound.Spec.NodeName = node
	bound.Status.Phase = v1.PodRunning
	if bound.Status.StartTime == nil {
		bound.Status.StartTime = &now
	}
	if bound.CreationTimestamp.IsZero() {
		bound.CreationTimestamp = now
	}
	bound.Status.Conditions = withScheduled(pod.Status.Conditions, v1.PodCondition{
		Type: v1.PodScheduled, Status: v1.ConditionTrue, LastTransitionTime: now,
	})
	return &bound
}

// bind stands for the API server, which kube-scheduler's Bind plugin would ask.
func (s *Simulator) bind(bound *v1.Pod) error {
	if err := s.cache.AddPod(s.logger, bound); err != nil {
		return fmt.Errorf("bind to node %s: %w", bound.Spec.NodeName, err)
	}
	s.touch(bound, 1)
	return s.keep(bound)
}

// touch notes that the node of a pod is not as the snapshot shows it: it has one pod
// more, or fewer.
func (s *Simulator) touch(pod *v1.Pod, more int) {
	node := pod.Spec.NodeName
	s.touched = append(s.touched, node)
	if !reachesOtherNodes(pod) {
		return
	}
	s.Flush()
	if s.reaching[node] += more; s.reaching[node] == 0 {
		delete(s.reaching, node)
	}
}

// turnDown notes in the pod's condition that it found no node, as kube-scheduler does.
func (s *Simulator) turnDown(pod *v1.Pod, result Result) error {
	failed := v1.PodCondition{
		Type: v1.PodScheduled, Status: v1.ConditionFalse, Reason: v1.PodReasonUnschedulable,
		LastTransitionTime: metav1.NewTime(s.clock.Now()),
	}
	if len(pod.Spec.SchedulingGates) != 0 {
		failed.Reason = v1.PodReasonSchedulingGated
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == failed.Type && condition.Status == failed.Status && condition.Reason == failed.Reason {
			return nil
		}
	}
	failed.Message = result.Why()
	updated := *pod
	updated.ResourceVersion = s.nextRevision()
	updated.Status.Conditions = withScheduled(pod.Status.Conditions, failed)
	return s.keep(&updated)
}

// withScheduled returns the conditions with this one in place of another of its type.
func withScheduled(conditions []v1.PodCondition, scheduled v1.PodCondition) []v1.PodCondition {
	all := make([]v1.PodCondition, 0, len(conditions)+1)
	for _, condition := range conditions {
		if condition.Type != scheduled.Type {
			all = append(all, condition)
		}
	}
	return append(all, scheduled)
}
