package nodes

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and annotations of the lab's nodes beyond the well-known ones.
const (
	// RackLabel names a node's rack; a rack lies in one zone.
	RackLabel = "topology.plimsoll.dev/rack"
	// kubeletLabel marks a node whose simulated kubelet runs. Without it the node is dead:
	// nothing renews its lease or touches its pods.
	kubeletLabel = "lab.plimsoll.dev/kubelet"
	// resourceMetricsPath is where metrics-server finds a node's /metrics/resource.
	resourceMetricsPath = "metrics.k8s.io/resource-metrics-path"
)

// Pool is a set of identical nodes, spread evenly over zones and racks.
type Pool struct {
	Name         string // prefix of the nodes' names; unique among a cluster's pools
	Count        int    // nodes, at least 1
	Zones        []string
	RacksPerZone int    // at least 1; default 1
	CPU          string // cores a node, a quantity such as "16"
	Memory       string // bytes a node, a quantity such as "64Gi"
	PodSlots     int    // default 110
	Extended     map[corev1.ResourceName]string
	Labels       map[string]string
	Taints       []corev1.Taint
}

// Nodes lists the pool's nodes: node i lies in zone i mod zones, and round-robin in that zone's
// racks. All capacity is allocatable.
func (p Pool) Nodes() ([]*corev1.Node, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	capacity, err := p.capacity()
	if err != nil {
		return nil, err
	}
	out := make([]*corev1.Node, p.Count)
	for i := range out {
		out[i] = p.node(i, capacity)
	}
	return out, nil
}

func (p Pool) validate() error {
	switch {
	case p.Name == "":
		return fmt.Errorf("pool.name: required")
	case p.Count < 1:
		return fmt.Errorf("pool[%s].count: %d is not at least 1", p.Name, p.Count)
	case len(p.Zones) == 0:
		return fmt.Errorf("pool[%s].zones: at least one", p.Name)
	case p.RacksPerZone < 0:
		return fmt.Errorf("pool[%s].racksPerZone: %d is negative", p.Name, p.RacksPerZone)
	case p.PodSlots < 0:
		return fmt.Errorf("pool[%s].podSlots: %d is negative", p.Name, p.PodSlots)
	}
	return nil
}

func (p Pool) capacity() (corev1.ResourceList, error) {
	slots := p.PodSlots
	if slots == 0 {
		slots = 110
	}
	out := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(int64(slots), resource.DecimalSI)}
	quantities := map[corev1.ResourceName]string{
		corev1.ResourceCPU: p.CPU, corev1.ResourceMemory: p.Memory, corev1.ResourceEphemeralStorage: "100Gi",
	}
	for name, amount := range p.Extended {
		quantities[name] = amount
	}
	for name, amount := range quantities {
		q, err := resource.ParseQuantity(amount)
		if err != nil {
			return nil, fmt.Errorf("pool[%s].%s: quantity %q: %w", p.Name, name, amount, err)
		}
		if q.Sign() < 0 {
			return nil, fmt.Errorf("pool[%s].%s: %s is negative", p.Name, name, amount)
		}
		out[name] = q
	}
	return out, nil
}

func (p Pool) node(i int, capacity corev1.ResourceList) *corev1.Node {
	name := fmt.Sprintf("%s-%03d", p.Name, i)
	zone := p.Zones[i%len(p.Zones)]
	rack := (i / len(p.Zones)) % max(1, p.RacksPerZone)
	labels := map[string]string{
		corev1.LabelHostname:           name,
		corev1.LabelTopologyZone:       zone,
		corev1.LabelTopologyRegion:     "lab",
		corev1.LabelInstanceTypeStable: p.Name,
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         "amd64",
		RackLabel:                      fmt.Sprintf("%s-rack-%d", zone, rack),
		kubeletLabel:                   "running",
	}
	for k, v := range p.Labels {
		labels[k] = v
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: labels,
			Annotations: map[string]string{resourceMetricsPath: ResourceMetricsPath(name)},
		},
		Spec:   corev1.NodeSpec{Taints: p.Taints},
		Status: corev1.NodeStatus{Capacity: capacity, Allocatable: capacity},
	}
}

// ResourceMetricsPath is the path under which a node's resource metrics are to be served on the
// address given in Config.KubeletAddress.
func ResourceMetricsPath(node string) string { return "/nodes/" + node + "/metrics/resource" }
