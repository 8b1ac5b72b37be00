package nodes_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
)

// small is the least a pool must say.
func small() nodes.Pool {
	return nodes.Pool{Name: "small", Count: 1, Zones: []string{"a"}, CPU: "4", Memory: "8Gi"}
}

func TestNodesLieRoundRobinInZonesAndRacks(t *testing.T) {
	place := func(node *corev1.Node) string {
		return strings.Join([]string{node.Name, node.Labels[corev1.LabelHostname], node.Labels[corev1.LabelTopologyZone], node.Labels[nodes.RackLabel]}, " ")
	}
	for _, tc := range []struct {
		name  string
		count int
		zones []string
		racks int
		want  []string
	}{
		{
			name: "one zone without racks has one rack", count: 2, zones: []string{"a"},
			want: []string{"small-000 small-000 a a-rack-0", "small-001 small-001 a a-rack-0"},
		},
		{
			name: "zones first, then racks in each zone", count: 7, zones: []string{"a", "b"}, racks: 2,
			want: []string{
				"small-000 small-000 a a-rack-0", "small-001 small-001 b b-rack-0",
				"small-002 small-002 a a-rack-1", "small-003 small-003 b b-rack-1",
				"small-004 small-004 a a-rack-0", "small-005 small-005 b b-rack-0",
				"small-006 small-006 a a-rack-1",
			},
		},
		{
			name: "fewer nodes than zones leaves zones empty", count: 1, zones: []string{"a", "b", "c"}, racks: 3,
			want: []string{"small-000 small-000 a a-rack-0"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pool := small()
			pool.Count, pool.Zones, pool.RacksPerZone = tc.count, tc.zones, tc.racks
			list, err := pool.Nodes()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, node := range list {
				got = append(got, place(node))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

func TestNodesHaveTheirPoolsShape(t *testing.T) {
	pool := small()
	pool.PodSlots = 7
	pool.Extended = map[corev1.ResourceName]string{"example.com/gpu": "2"}
	pool.Labels = map[string]string{"team": "search"}
	pool.Taints = []corev1.Taint{{Key: "dedicated", Value: "search", Effect: corev1.TaintEffectNoSchedule}}
	list, err := pool.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	node := list[0]
	want := map[corev1.ResourceName]string{
		corev1.ResourceCPU: "4", corev1.ResourceMemory: "8Gi", corev1.ResourceEphemeralStorage: "100Gi",
		corev1.ResourcePods: "7", "example.com/gpu": "2",
	}
	for name, amount := range want {
		if got := node.Status.Allocatable[name]; got.Cmp(resource.MustParse(amount)) != 0 {
			t.Errorf("allocatable %s: got %s, want %s", name, got.String(), amount)
		}
	}
	if len(node.Status.Allocatable) != len(want) {
		t.Errorf("allocatable: got %v, want %d resources", node.Status.Allocatable, len(want))
	}
	if diff := cmp.Diff(node.Status.Capacity, node.Status.Allocatable); diff != "" {
		t.Error("capacity and allocatable differ", diff)
	}
	if diff := cmp.Diff(pool.Taints, node.Spec.Taints); diff != "" {
		t.Error("taints (-want +got)", diff)
	}
	if node.Labels["team"] != "search" || node.Labels[corev1.LabelInstanceTypeStable] != "small" {
		t.Errorf("labels: got %v", node.Labels)
	}
	if !nodes.Alive(node) {
		t.Error("a new node's kubelet must run")
	}
	if !slices.Contains(slices.Collect(maps.Values(node.Annotations)), nodes.ResourceMetricsPath("small-000")) {
		t.Errorf("annotations %v do not tell metrics-server the path %s", node.Annotations, nodes.ResourceMetricsPath("small-000"))
	}
}

func TestPoolRejects(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*nodes.Pool)
		want   string
	}{
		{"no name", func(p *nodes.Pool) { p.Name = "" }, "pool.name: required"},
		{"no node", func(p *nodes.Pool) { p.Count = 0 }, "pool[small].count: 0 is not at least 1"},
		{"a negative count", func(p *nodes.Pool) { p.Count = -1 }, "pool[small].count: -1 is not at least 1"},
		{"no zone", func(p *nodes.Pool) { p.Zones = nil }, "pool[small].zones: at least one"},
		{"negative racks", func(p *nodes.Pool) { p.RacksPerZone = -1 }, "pool[small].racksPerZone: -1 is negative"},
		{"negative pod slots", func(p *nodes.Pool) { p.PodSlots = -1 }, "pool[small].podSlots: -1 is negative"},
		{"CPU that is no quantity", func(p *nodes.Pool) { p.CPU = "four" }, `pool[small].cpu: quantity "four"`},
		{"no CPU", func(p *nodes.Pool) { p.CPU = "" }, `pool[small].cpu: quantity ""`},
		{"negative memory", func(p *nodes.Pool) { p.Memory = "-1Gi" }, "pool[small].memory: -1Gi is negative"},
		{
			"an extended resource that is no quantity",
			func(p *nodes.Pool) { p.Extended = map[corev1.ResourceName]string{"example.com/gpu": "two"} },
			`pool[small].example.com/gpu: quantity "two"`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			pool := small()
			tc.change(&pool)
			list, err := pool.Nodes()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %d nodes and error %v, want an error with %q", len(list), err, tc.want)
			}
		})
	}
}
