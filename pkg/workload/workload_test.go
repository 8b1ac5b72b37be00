package workload_test

import (
	"math"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

// created is 29,800,000 minutes after 1970 and 30 seconds.
var created = time.Unix(29_800_000*60+30, 0)

func podOf(kind, owner string, change ...func(*v1.Pod)) *v1.Pod {
	pod := &v1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "pod", CreationTimestamp: metav1.NewTime(created), Labels: map[string]string{},
	}}
	if kind != "" {
		isController := true
		pod.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: &isController}}
	}
	for _, apply := range change {
		apply(pod)
	}
	return pod
}

func label(key, value string) func(*v1.Pod) { return func(p *v1.Pod) { p.Labels[key] = value } }

func TestOf(t *testing.T) {
	hash := label("pod-template-hash", "5d9c7b8f6")
	tests := map[string]struct {
		pod  *v1.Pod
		want string
	}{
		"a pod without owner has no workload":                      {podOf("", ""), "no workload"},
		"a ReplicaSet with the hash of the label is a Deployment":  {podOf("ReplicaSet", "cart-5d9c7b8f6", hash), "Deployment shop/cart"},
		"a bare ReplicaSet is itself":                              {podOf("ReplicaSet", "cart-5d9c7b8f6"), "ReplicaSet shop/cart-5d9c7b8f6"},
		"a hash of another revision does not fit":                  {podOf("ReplicaSet", "cart-77777", hash), "ReplicaSet shop/cart-77777"},
		"a name of nothing but the hash is not cut":                {podOf("ReplicaSet", "-5d9c7b8f6", hash), "ReplicaSet shop/-5d9c7b8f6"},
		"an empty hash is no hash":                                 {podOf("ReplicaSet", "cart-", label("pod-template-hash", "")), "ReplicaSet shop/cart-"},
		"the hash in another kind's name means nothing":            {podOf("StatefulSet", "cart-5d9c7b8f6", hash), "StatefulSet shop/cart-5d9c7b8f6"},
		"a Job named for the minute of its pod is a CronJob's":     {podOf("Job", "report-29800000"), "CronJob shop/report"},
		"a run that starts a day late is still the CronJob's":      {podOf("Job", "report-29798560"), "CronJob shop/report"},
		"a retry after a month stays with its Job":                 {podOf("Job", "report-29756800"), "Job shop/report-29756800"},
		"a Job named for an hour ahead is the user's own":          {podOf("Job", "report-29800060"), "Job shop/report-29800060"},
		"a Job named for a date is the user's own":                 {podOf("Job", "report-20261231"), "Job shop/report-20261231"},
		"a Job named for an index is the user's own":               {podOf("Job", "report-7"), "Job shop/report-7"},
		"zeros in front are not the CronJob controller's":          {podOf("Job", "report-0029800000"), "Job shop/report-0029800000"},
		"a plus sign is not the CronJob controller's":              {podOf("Job", "report-+29800000"), "Job shop/report-+29800000"},
		"a Job without dash is itself":                             {podOf("Job", "29800000"), "Job shop/29800000"},
		"a pod without creation time does not tell of a CronJob":   {podOf("Job", "report-29800000", func(p *v1.Pod) { p.CreationTimestamp = metav1.Time{} }), "Job shop/report-29800000"},
		"any other controller is the workload":                     {podOf("RayCluster", "train"), "RayCluster shop/train"},
		"an owner that does not control the pod is not its owner":  {podOf("ReplicaSet", "cart", func(p *v1.Pod) { p.OwnerReferences[0].Controller = nil }), "no workload"},
		"a number too large for minutes is part of the Job's name": {podOf("Job", "report-99999999999999999999"), "Job shop/report-99999999999999999999"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			key := workload.Of(test.pod)
			if got := key.String(); got != test.want {
				t.Errorf("Of = %q, want %q", got, test.want)
			}
			if key.IsZero() != (len(test.pod.OwnerReferences) == 0 || test.pod.OwnerReferences[0].Controller == nil) {
				t.Errorf("IsZero = %v of %v", key.IsZero(), key)
			}
		})
	}
}

func TestOfIsTheSameForTwoRevisionsAndTwoRuns(t *testing.T) {
	first := workload.Of(podOf("ReplicaSet", "cart-aaaa", label("pod-template-hash", "aaaa")))
	second := workload.Of(podOf("ReplicaSet", "cart-bbbb", label("pod-template-hash", "bbbb")))
	if first != second {
		t.Errorf("revisions of one Deployment are %v and %v", first, second)
	}
	monday, tuesday := workload.Of(podOf("Job", "report-29799000")), workload.Of(podOf("Job", "report-29799990"))
	if monday != tuesday {
		t.Errorf("runs of one CronJob are %v and %v", monday, tuesday)
	}
}

func TestIsSystem(t *testing.T) {
	mirror := func(p *v1.Pod) { p.Annotations = map[string]string{v1.MirrorPodAnnotationKey: "x"} }
	tests := map[string]struct {
		pod  *v1.Pod
		want bool
	}{
		"a DaemonSet's pod comes with the node":     {podOf("DaemonSet", "agent"), true},
		"a pod owned by its Node is static":         {podOf("Node", "n1"), true},
		"a mirror pod is static without an owner":   {podOf("", "", mirror), true},
		"a Deployment's pod does not":               {podOf("ReplicaSet", "cart"), false},
		"a pod without owner does not":              {podOf("", ""), false},
		"an owner that does not control is no sign": {podOf("DaemonSet", "agent", func(p *v1.Pod) { p.OwnerReferences[0].Controller = nil }), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := workload.IsSystem(test.pod); got != test.want {
				t.Errorf("IsSystem = %v, want %v", got, test.want)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	tests := map[string]struct {
		seconds *int64
		want    time.Duration
		known   bool
	}{
		"no deadline is none":                    {nil, 0, false},
		"seconds count from the start":           {new(int64(90)), 90 * time.Second, true},
		"zero, which the API refuses, is none":   {new(int64(0)), 0, false},
		"one beyond what a Duration holds is no": {new(int64(math.MaxInt64)), 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := podOf("Job", "import")
			pod.Spec.ActiveDeadlineSeconds = test.seconds
			if got, known := workload.Deadline(pod); got != test.want || known != test.known {
				t.Errorf("Deadline = %v, %v, want %v, %v", got, known, test.want, test.known)
			}
		})
	}
}

func TestJobDeadline(t *testing.T) {
	start := metav1.NewTime(created)
	tests := map[string]struct {
		job   batchv1.Job
		want  time.Time
		known bool
	}{
		"a running Job ends after its seconds": {
			batchv1.Job{Spec: batchv1.JobSpec{ActiveDeadlineSeconds: new(int64(60))}, Status: batchv1.JobStatus{StartTime: &start}},
			created.Add(time.Minute), true,
		},
		"a Job that has not started has no deadline yet": {
			batchv1.Job{Spec: batchv1.JobSpec{ActiveDeadlineSeconds: new(int64(60))}}, time.Time{}, false,
		},
		"a suspended Job's clock stands": {
			batchv1.Job{
				Spec:   batchv1.JobSpec{ActiveDeadlineSeconds: new(int64(60)), Suspend: new(true)},
				Status: batchv1.JobStatus{StartTime: &start},
			}, time.Time{}, false,
		},
		"a Job without deadline has none": {batchv1.Job{Status: batchv1.JobStatus{StartTime: &start}}, time.Time{}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got, known := workload.JobDeadline(&test.job); !got.Equal(test.want) || known != test.known {
				t.Errorf("JobDeadline = %v, %v, want %v, %v", got, known, test.want, test.known)
			}
		})
	}
}
