package app_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/component-base/metrics/testutil"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-scheduler/app/options"
	"k8s.io/kubernetes/pkg/scheduler"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	st "k8s.io/kubernetes/pkg/scheduler/testing"

	"github.com/plimsoll-k8s/plimsoll/cmd/scheduler/app"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

// TestSchedulerPacksInBatchesAndSaysWhy runs the whole scheduler with the shipped
// profile against an API server in memory, in a bubble of virtual time.
func TestSchedulerPacksInBatchesAndSaysWhy(t *testing.T) {
	// kube-scheduler listens for a signal. Go starts what delivers signals on
	// first use, which must not be inside the bubble.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	defer signal.Stop(signals)
	legacyregistry.Reset()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := cluster()
		ring := &decisions.Ring{}
		factory := informers.NewSharedInformerFactory(client, 0)
		sched := live(t, ctx, client, factory, ring)
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		if err := sched.WaitForHandlersSync(ctx); err != nil {
			t.Fatal(err)
		}

		stopped := make(chan struct{})
		go func() { sched.Run(ctx); close(stopped) }()
		synctest.Wait()

		kept := ring.Latest(100)
		perNode, outcomes := map[string]int{}, map[decisions.Outcome]int{}
		for _, d := range kept {
			t.Log(d.Sentence())
			perNode[d.Chosen.Node]++
			outcomes[d.Outcome()]++
		}
		// 12 pods of 1 core fill three nodes of 4 cores; the fourth stays empty.
		if len(kept) != 12 || len(perNode) != 3 {
			t.Fatalf("%d decisions on nodes %v, want 12 on 3 nodes", len(kept), perNode)
		}
		if first := kept[11]; first.Chosen.Node != "node-0" || first.Candidates != 4 || len(first.RunnersUp) != 3 || first.RunnersUp[0].Node != "node-1" {
			t.Errorf("of four equal nodes the first pod takes the first by name before the second, got: %s", first.Sentence())
		}
		// One full cycle; each later pod is handed the next of its batch, compared
		// anew unless the node chosen last has filled up.
		if got := hints(t); got != 11 {
			t.Errorf("%v pods were placed in a batch, want 11", got)
		}
		want := map[decisions.Outcome]int{decisions.Won: 10, decisions.Uncompared: 2}
		if diff := cmp.Diff(want, outcomes); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
		cancel()
		<-stopped
		factory.Shutdown()
	})
}

// hints counts the pods that kube-scheduler says it placed in a batch.
func hints(t *testing.T) float64 {
	t.Helper()
	values, err := testutil.GetCounterValuesFromGatherer(legacyregistry.DefaultGatherer,
		"scheduler_batch_attempts_total", map[string]string{"result": "hint_used"}, "profile")
	if err != nil {
		t.Fatal(err)
	}
	return values["plimsoll-scheduler"]
}

// cluster is four empty nodes of 4 cores and twelve pods of 1 core.
func cluster() *fake.Clientset {
	var objects []runtime.Object
	for i := range 4 {
		objects = append(objects, st.MakeNode().Name(fmt.Sprint("node-", i)).
			Capacity(map[v1.ResourceName]string{"cpu": "4", "memory": "16Gi", "pods": "110"}).Obj())
	}
	for i := range 12 {
		name := fmt.Sprintf("web-%02d", i)
		objects = append(objects, st.MakePod().Namespace("default").Name(name).UID(name).SchedulerName("plimsoll-scheduler").
			Req(map[v1.ResourceName]string{"cpu": "1", "memory": "4Gi"}).Obj())
	}
	client := fake.NewClientset(objects...)
	client.PrependReactor("create", "pods", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "binding" {
			return false, nil, nil
		}
		binding := action.(clienttesting.CreateAction).GetObject().(*v1.Binding)
		found, err := client.Tracker().Get(action.GetResource(), action.GetNamespace(), binding.Name)
		if err != nil {
			return true, nil, err
		}
		bound := found.(*v1.Pod).DeepCopy()
		bound.Spec.NodeName = binding.Target.Name
		return true, binding, client.Tracker().Update(action.GetResource(), bound, action.GetNamespace())
	})
	return client
}

func live(t *testing.T, ctx context.Context, client *fake.Clientset, factory informers.SharedInformerFactory, ring *decisions.Ring) *scheduler.Scheduler {
	t.Helper()
	cfg, err := options.LoadConfigFromFile(klog.FromContext(ctx), shipped)
	if err != nil {
		t.Fatal(err)
	}
	registry := frameworkruntime.Registry{}
	for _, option := range app.Options(plugins.Options{Decisions: ring}) {
		if err := option(registry); err != nil {
			t.Fatal(err)
		}
	}
	sched, err := scheduler.New(ctx, client, factory, nil,
		func(string) events.EventRecorderLogger { return events.NewFakeRecorder(1000) },
		scheduler.WithProfiles(cfg.Profiles...),
		scheduler.WithPercentageOfNodesToScore(cfg.PercentageOfNodesToScore),
		scheduler.WithFrameworkOutOfTreeRegistry(registry))
	if err != nil {
		t.Fatal(err)
	}
	return sched
}
