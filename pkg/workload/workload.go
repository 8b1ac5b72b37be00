// Package workload says to which workload a pod belongs, across revisions and
// runs, so that what is learned of one pod serves the pods that follow it.
//
// It reads the pod alone, never the API. Where the pod does not tell, the answer
// is the nearest owner that it names.
package workload

import (
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Key names a workload. It is compared with ==. The zero value means that
// nothing owns the pod. Kinds of different API groups with one name are not told
// apart.
type Key struct {
	Namespace, Kind, Name string
}

// maxRunDelay is how long after its scheduled time a CronJob's pod may be
// created and still be recognised. A user's own Job name that ends in a number
// of this window, such as a date, is not: 20261231 minutes are in the year 2008.
const maxRunDelay = 7 * 24 * time.Hour

// maxClockSkew is how far a schedule may be ahead of the API server's clock.
const maxClockSkew = 5 * time.Minute

// Of returns the workload of a pod: the Deployment behind its ReplicaSet, the
// CronJob behind its Job, else the controller that owns it, else the zero Key.
func Of(pod *v1.Pod) Key {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return Key{}
	}
	key := Key{Namespace: pod.Namespace, Kind: owner.Kind, Name: owner.Name}
	switch owner.Kind {
	case "ReplicaSet":
		if name, found := deploymentOf(owner.Name, pod.Labels); found {
			key.Kind, key.Name = "Deployment", name
		}
	case "Job":
		if name, found := cronJobOf(owner.Name, pod.CreationTimestamp.Time); found {
			key.Kind, key.Name = "CronJob", name
		}
	}
	return key
}

// IsZero reports whether nothing owns the pod.
func (k Key) IsZero() bool { return k == Key{} }

// String prints kind, namespace and name as in "Deployment shop/cart".
func (k Key) String() string {
	if k.IsZero() {
		return "no workload"
	}
	return k.Kind + " " + k.Namespace + "/" + k.Name
}

// IsSystem reports whether a pod comes with its node: a pod of a DaemonSet, a
// static pod, or the mirror pod that stands for one. Such a pod keeps no node
// from being empty and is no demand that could go elsewhere.
func IsSystem(pod *v1.Pod) bool {
	if _, mirror := pod.Annotations[v1.MirrorPodAnnotationKey]; mirror {
		return true
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner != nil && (owner.Kind == "DaemonSet" || owner.Kind == "Node")
}

// Deadline returns how long a pod may run, counted from its start
// (status.startTime), above 0: its own activeDeadlineSeconds. The deadline of a
// Job stands in the Job's spec and never reaches its pods: see JobDeadline.
func Deadline(pod *v1.Pod) (time.Duration, bool) {
	return seconds(pod.Spec.ActiveDeadlineSeconds)
}

// JobDeadline returns when all pods of a Job will have been ended: its
// activeDeadlineSeconds after its start. A suspended Job and one that has not
// started have no deadline yet.
func JobDeadline(job *batchv1.Job) (time.Time, bool) {
	limit, limited := seconds(job.Spec.ActiveDeadlineSeconds)
	suspended := job.Spec.Suspend != nil && *job.Spec.Suspend
	if !limited || suspended || job.Status.StartTime == nil {
		return time.Time{}, false
	}
	return job.Status.StartTime.Add(limit), true
}

// deploymentOf takes the hash of the pod template off a ReplicaSet's name. The
// label carries the hash on every pod that a Deployment makes.
func deploymentOf(replicaSet string, labels map[string]string) (string, bool) {
	hash := labels[appsv1.DefaultDeploymentUniqueLabelKey]
	name, found := strings.CutSuffix(replicaSet, "-"+hash)
	return name, found && hash != "" && name != ""
}

// cronJobOf takes the scheduled time, in minutes since 1970, off the name that
// the CronJob controller gives a Job. The pod does not name the CronJob, so the
// number must be a time shortly before the pod's creation. A pod that is created
// later than maxRunDelay, as a late retry, stays with its Job.
func cronJobOf(job string, created time.Time) (string, bool) {
	dash := strings.LastIndexByte(job, '-')
	if dash <= 0 || created.IsZero() {
		return "", false
	}
	digits := job[dash+1:]
	minutes, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || minutes <= 0 || strconv.FormatInt(minutes, 10) != digits {
		return "", false
	}
	late := created.Sub(time.Unix(minutes*60, 0))
	return job[:dash], -maxClockSkew <= late && late <= maxRunDelay
}

// seconds reads an optional number of seconds; above 292 years it is no limit.
func seconds(number *int64) (time.Duration, bool) {
	if number == nil || *number <= 0 || *number > int64(time.Duration(1<<63-1)/time.Second) {
		return 0, false
	}
	return time.Duration(*number) * time.Second, true
}
