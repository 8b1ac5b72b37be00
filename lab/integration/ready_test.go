package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// BenchmarkPodsReady reports how many bound pods a second become Ready, API server, controllers and kwok sharing the machine: without
// start-up delay, and with one that is drawn from a distribution (its longest, about a second, is part of the time).
func BenchmarkPodsReady(b *testing.B) {
	for _, bench := range []struct {
		name    string
		startup nodes.StartupDelay
	}{
		{"startup=none", nodes.StartupDelay{}},
		{"startup=200ms-to-1s", nodes.StartupDelay{Median: 200 * time.Millisecond, P99: time.Second}},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmarkPodsReady(b, bench.startup) })
	}
}

func benchmarkPodsReady(b *testing.B, startup nodes.StartupDelay) {
	const nodeCount, podCount = 20, 2000
	cp, err := controlplane.Start(context.WithoutCancel(b.Context()), controlplane.Config{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer func() {
		cancel() // the nodes first
		if err := cp.Stop(); err != nil {
			b.Errorf("stop: %v", err)
		}
	}()
	simulator, err := nodes.Start(ctx, cp.RESTConfig, nodes.Config{KubeletAddress: "127.0.0.1:10250", Startup: startup})
	if err != nil {
		b.Fatal(err)
	}
	pool := nodes.Pool{Name: "bench", Count: nodeCount, Zones: []string{"a", "b"}, CPU: "64", Memory: "256Gi", PodSlots: 250}
	if err := simulator.Create(b.Context(), pool); err != nil {
		b.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(cp.RESTConfig)
	var creating, all time.Duration
	n := 0
	for b.Loop() {
		begin := time.Now()
		createBoundPods(b, client, podCount, nodeCount)
		creating += time.Since(begin)
		waitRunning(b, client, podCount)
		all += time.Since(begin)
		deletePods(b, client)
		n += podCount
	}
	b.ReportMetric(float64(n)/all.Seconds(), "pods/s")
	b.ReportMetric(float64(n)/creating.Seconds(), "created/s")
	b.ReportMetric(0, "ns/op") // it holds the deletion
}

func createBoundPods(tb testing.TB, client kubernetes.Interface, pods, nodeCount int) {
	tb.Helper()
	group, ctx := errgroup.WithContext(tb.Context())
	group.SetLimit(32)
	for i := range pods {
		group.Go(func() error {
			_, err := client.CoreV1().Pods("default").Create(ctx, &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("p-%04d", i)},
				Spec: corev1.PodSpec{
					NodeName: fmt.Sprintf("bench-%03d", i%nodeCount),
					Containers: []corev1.Container{{
						Name: "app", Image: "app",
						Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
					}},
				},
			}, metav1.CreateOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
}

func waitRunning(tb testing.TB, client kubernetes.Interface, want int) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 3*time.Minute)
	defer cancel()
	for {
		list, err := client.CoreV1().Pods("default").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running", ResourceVersion: "0"})
		if err != nil {
			tb.Fatal(err)
		}
		if len(list.Items) == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func deletePods(tb testing.TB, client kubernetes.Interface) {
	tb.Helper()
	zero := int64(0)
	err := client.CoreV1().Pods("default").DeleteCollection(tb.Context(), metav1.DeleteOptions{GracePeriodSeconds: &zero}, metav1.ListOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	for {
		list, err := client.CoreV1().Pods("default").List(tb.Context(), metav1.ListOptions{Limit: 1})
		if err != nil {
			tb.Fatal(err)
		}
		if len(list.Items) == 0 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}
