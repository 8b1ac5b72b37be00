package marginalcost_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

func TestMetricsTellHowNodesAreUsed(t *testing.T) {
	web := pod("web")
	tests := map[string]struct {
		nodes            []*fakeNode
		packed, unusable map[string]float64
	}{
		"no node": {packed: map[string]float64{}, unusable: map[string]float64{}},
		"CPU beside which memory ran out is unusable": {
			nodes:    []*fakeNode{node("a", used(1000, 16*gib, web))},
			packed:   map[string]float64{"cpu": 0.25, "memory": 1},
			unusable: map[string]float64{"cpu": 0.75, "memory": 0},
		},
		"what is free in the proportions of the mix is not": {
			nodes:    []*fakeNode{node("a", used(1000, 4*gib, web))},
			packed:   map[string]float64{"cpu": 0.25, "memory": 0.25},
			unusable: map[string]float64{"cpu": 0, "memory": 0},
		},
		"nodes add up by size, and the empty do not count as packed": {
			nodes: []*fakeNode{
				node("a", used(1000, 16*gib, web)),
				node("b", size(12000, 48*gib), used(1000, 4*gib, pod("d", ownedBy("DaemonSet")))),
			},
			packed:   map[string]float64{"cpu": 0.25, "memory": 1},
			unusable: map[string]float64{"cpu": 3. / 16, "memory": 0},
		},
		"an overcommitted node has nothing free": {
			nodes:    []*fakeNode{node("a", used(8000, 0, web))},
			packed:   map[string]float64{"cpu": 2, "memory": 0},
			unusable: map[string]float64{"cpu": 0, "memory": 1},
		},
		"a node without allocatable changes nothing": {
			nodes:    []*fakeNode{node("a", used(1000, 4*gib, web)), node("b", size(0, 0))},
			packed:   map[string]float64{"cpu": 0.25, "memory": 0.25},
			unusable: map[string]float64{"cpu": 0, "memory": 0},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			legacyregistry.Reset()
			c := newCluster(t, `{"mix":[{"requests":{"cpu":"1","memory":"4Gi"},"weight":1}]}`, marginalcost.Options{}, test.nodes...)
			c.relearn()
			scores(t, c.Plugin, pod("p"), test.nodes)
			if diff := cmp.Diff(test.packed, byResource(t, "packed_ratio")); diff != "" {
				t.Errorf("packed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.unusable, byResource(t, "unusable_ratio")); diff != "" {
				t.Errorf("unusable (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheUseOfNodesIsReportedWithEachModel(t *testing.T) {
	legacyregistry.Reset()
	n := node("a", offers("example.com/gpu", 4), used(1000, 4*gib, pod("web")))
	n.requested.scalar = map[v1.ResourceName]int64{"example.com/gpu": 1}
	c := newCluster(t, "", marginalcost.Options{}, n)
	bound := c.arrive(pod("gpu", requests("cpu", "1", "memory", "4Gi", "example.com/gpu", "1")), "a")
	report := func() map[string]float64 {
		scores(t, c.Plugin, pod("p"), []*fakeNode{n})
		return byResource(t, "packed_ratio")
	}
	c.relearn()
	if diff := cmp.Diff(map[string]float64{"cpu": 0.25, "memory": 0.25, "example.com/gpu": 0.25}, report()); diff != "" {
		t.Errorf("with a pod that asks for a GPU (-want +got):\n%s", diff)
	}
	used(2000, 4*gib)(n)
	if got := report()["cpu"]; got != 0.25 {
		t.Errorf("packed CPU %v before a new model, want 0.25 as before", got)
	}
	c.handler.OnDelete(bound)
	c.relearn()
	if diff := cmp.Diff(map[string]float64{"cpu": 0.5, "memory": 0.25}, report()); diff != "" {
		t.Errorf("once nobody asks for a GPU (-want +got):\n%s", diff)
	}
}

// byResource reads one of the plugin's metrics that is told by resource.
func byResource(t *testing.T, name string) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != "plimsoll_marginalcost_"+name {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "resource" {
					values[label.GetValue()] = metric.GetGauge().GetValue()
				}
			}
		}
	}
	return values
}
