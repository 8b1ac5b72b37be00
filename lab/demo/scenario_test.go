package demo

import (
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/trace"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

func TestScenarioIsWhatTheREADMESays(t *testing.T) {
	count, zones := 0, map[string]bool{}
	for _, pool := range pools() {
		list, err := pool.Nodes()
		if err != nil {
			t.Fatal(err)
		}
		count += len(list)
		for _, node := range list {
			zones[node.Labels["topology.kubernetes.io/zone"]] = true
		}
	}
	if count != 40 || len(zones) != 3 || len(workloads) != 12 {
		t.Errorf("%d nodes in %d zones, %d Deployments; want 40, 3, 12", count, len(zones), len(workloads))
	}
	driven := map[driver]int{}
	for _, w := range workloads {
		driven[w.metric]++
	}
	if driven[byPrometheus] != 1 || driven[byCPU] != 1 {
		t.Errorf("driven by %v; want one by each", driven)
	}
}

func TestEveryWorkloadIsAccepted(t *testing.T) {
	for _, w := range workloads {
		app := w.app(1, func(time.Duration) float64 { return 100 })
		app.Params.Pace = 120
		if _, err := application.New(app.Params); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		requests := w.deployment("any").Spec.Template.Spec.Containers[0].Resources.Requests
		if got := requests.Cpu().AsApproximateFloat64(); got != w.cores {
			t.Errorf("%s: requests %v cores, the model has %v", w.name, got, w.cores)
		}
		if !w.autoscaled() {
			continue
		}
		object := w.workloadAutoscaler(time.Second)
		v1alpha1.SetDefaults(object)
		if errs := v1alpha1.Validate(object); len(errs) > 0 {
			t.Errorf("%s: %v", w.name, errs)
		}
	}
}

func TestTheTracesPeakNeedsThirtyReplicas(t *testing.T) {
	day, err := trace.Synthetic(1, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if day, err = ScaleLoad(day); err != nil {
		t.Fatal(err)
	}
	shop := workloads[0]
	if got := day.Peak() / shop.capacity(); got < 29.99 || got > 30.01 {
		t.Errorf("the peak needs %v replicas of %s at full capacity, want 30", got, shop.name)
	}
}

func TestPeriodsKeepTheirFloorsAtAnyPace(t *testing.T) {
	for _, pace := range []application.Pace{1, 60, 240} {
		if grace := cluster.NodeGrace(pace); grace < 4*time.Second {
			t.Errorf("pace %v: a node is dead after %v, before its lease can be renewed", pace, grace)
		}
		if resolution := cluster.MetricsResolution(pace); resolution < 500*time.Millisecond {
			t.Errorf("pace %v: metrics-server scrapes every %v, faster than it staggers", pace, resolution)
		}
	}
	if got := cluster.NodeGrace(1); got != 40*time.Second {
		t.Errorf("at life's pace a node is dead after %v, want upstream's 40s", got)
	}
}
