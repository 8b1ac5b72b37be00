// Package world fills an API server with what autoscalers work on: Deployments with their
// ReplicaSets and running pods, and an autoscaler for each. Nothing runs: all of it is status, and
// no controller of workloads may run beside it, for it would delete the pods.
package world

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// The shape of the world.
const (
	// Pods of each workload, which is also what each asks for at first.
	Pods = 10
	// PerNamespace is how many workloads share a namespace.
	PerNamespace = 50
	// parallel requests fill the API server.
	parallel = 32
)

// Workload is one Deployment with its pods and its autoscaler. Its number says all.
type Workload int

// Name of the Deployment, of its autoscaler, and value of the label "app" of its pods.
func (w Workload) Name() string { return fmt.Sprintf("d%05d", int(w)) }

// Namespace that it is in.
func (w Workload) Namespace() string { return fmt.Sprintf("load-%03d", int(w)/PerNamespace) }

// Pod is the name of one of its pods, from 0 to Pods-1.
func (w Workload) Pod(i int) string { return fmt.Sprintf("%s-7f9c6d5b8-%05d", w.Name(), i) }

// ByQuery says that it is scaled by requests a second, from Prometheus; others are by the CPU use of
// their pods.
func (w Workload) ByQuery() bool { return w%2 == 1 }

// World is what has been created on one API server.
type World struct {
	client kubernetes.Interface
	config *rest.Config
	now    func() time.Time
	size   int
}

// New returns an empty world.
func New(config *rest.Config, now func() time.Time) (*World, error) {
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1
	config.UserAgent = "plimsoll-bench-world"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return &World{client: client, config: config, now: now}, nil
}

// Workloads are all that there are.
func (w *World) Workloads() []Workload {
	all := make([]Workload, w.size)
	for i := range all {
		all[i] = Workload(i)
	}
	return all
}

// Grow creates the workloads that are missing to size.
func (w *World) Grow(ctx context.Context, size int) error {
	first := w.size
	for n := first / PerNamespace * PerNamespace; n < size; n += PerNamespace {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: Workload(n).Namespace()}}
		_, err := w.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create namespace %s: %w", namespace.Name, err)
		}
	}
	err := each(ctx, first, size, func(ctx context.Context, workload Workload) error {
		if err := w.create(ctx, workload); err != nil {
			return fmt.Errorf("create workload %s/%s: %w", workload.Namespace(), workload.Name(), err)
		}
		return nil
	})
	if err == nil {
		w.size = max(first, size)
	}
	return err
}

// create creates one workload: its Deployment, ReplicaSet and pods with their status.
func (w *World) create(ctx context.Context, workload Workload) error {
	namespace := workload.Namespace()
	deployments := w.client.AppsV1().Deployments(namespace)
	deployment, err := deployments.Create(ctx, newDeployment(workload), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	deployment.Status = deploymentStatus(deployment.Generation)
	if _, err := deployments.UpdateStatus(ctx, deployment, metav1.UpdateOptions{}); err != nil {
		return err
	}
	sets := w.client.AppsV1().ReplicaSets(namespace)
	set, err := sets.Create(ctx, newReplicaSet(workload, deployment), metav1.CreateOptions{})
	if err != nil {
		return err
	}
	set.Status = replicaSetStatus(set.Generation)
	if _, err := sets.UpdateStatus(ctx, set, metav1.UpdateOptions{}); err != nil {
		return err
	}
	pods := w.client.CoreV1().Pods(namespace)
	for i := range Pods {
		pod, err := pods.Create(ctx, newPod(workload, i, set), metav1.CreateOptions{})
		if err != nil {
			return err
		}
		pod.Status = runningStatus(pod.Spec, metav1.NewTime(w.now().Add(-time.Hour)))
		if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// Reset sets every Deployment back to its first number of replicas, and returns how many had
// another one.
func (w *World) Reset(ctx context.Context) (scaled int, err error) {
	list, err := w.client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return 0, fmt.Errorf("list deployments: %w", err)
	}
	for _, deployment := range list.Items {
		if *deployment.Spec.Replicas == Pods {
			continue
		}
		scaled++
		scale, err := w.client.AppsV1().Deployments(deployment.Namespace).GetScale(ctx, deployment.Name, metav1.GetOptions{})
		if err == nil {
			scale.Spec.Replicas = Pods
			_, err = w.client.AppsV1().Deployments(deployment.Namespace).UpdateScale(ctx, deployment.Name, scale, metav1.UpdateOptions{})
		}
		if err != nil {
			return scaled, fmt.Errorf("scale %s/%s back: %w", deployment.Namespace, deployment.Name, err)
		}
	}
	return scaled, nil
}

// each does something with the workloads from first to below last, several at a time.
func each(ctx context.Context, first, last int, do func(context.Context, Workload) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i := first; i < last && ctx.Err() == nil; i++ {
		group.Go(func() error { return do(ctx, Workload(i)) })
	}
	return group.Wait()
}
