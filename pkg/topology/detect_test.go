package topology_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
)

func TestDetect(t *testing.T) {
	const unique, row = "topology.example.com/rack", "topology.example.com/row"
	node := func(name string, pairs ...string) topology.NodeLabels {
		labels := map[string]string{"kubernetes.io/hostname": name, "app": "x"}
		for i := 0; i < len(pairs); i += 2 {
			labels[pairs[i]] = pairs[i+1]
		}
		return topology.NodeLabels{Name: name, Labels: labels}
	}
	const region, zone, csi = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.ebs.csi.aws.com/zone"
	tests := map[string]struct {
		nodes []topology.NodeLabels
		keys  []string
		want  []topology.Level
		found []topology.Candidate
	}{
		"no nodes, no levels": {},
		"hosts alone": {
			nodes: []topology.NodeLabels{node("n1"), node("n2")},
			want:  []topology.Level{{"host", "kubernetes.io/hostname"}},
			found: []topology.Candidate{{"kubernetes.io/hostname", 2, 2, ""}},
		},
		"region and zone of one node, and a driver's label of the zone": {
			nodes: []topology.NodeLabels{node("n1", region, "eu", zone, "a", csi, "a")},
			want:  []topology.Level{{"region", region}, {"zone", zone}, {"host", "kubernetes.io/hostname"}},
			found: []topology.Candidate{{region, 1, 1, ""}, {zone, 1, 1, ""}, {csi, 1, 1, "it makes the same domains as " + zone}, {"kubernetes.io/hostname", 1, 1, ""}},
		},
		"racks below rows below zones, some labels missing": {
			nodes: []topology.NodeLabels{
				node("n1", zone, "a", row, "r1", unique, "k1"), node("n2", zone, "a", row, "r2", unique, "k2"),
				node("n3", zone, "b", row, "r3", unique, "k3"), node("n4", zone, "b", row, "r3", unique, "k4"), node("n5"), node("n6", unique, "k1"),
			},
			want:  []topology.Level{{"zone", zone}, {"row", row}, {"rack", unique}, {"host", "kubernetes.io/hostname"}},
			found: []topology.Candidate{{zone, 2, 4, ""}, {row, 3, 4, ""}, {unique, 4, 5, ""}, {"kubernetes.io/hostname", 6, 6, ""}},
		},
		"rack numbers that begin anew contradict, with an example": {
			nodes: []topology.NodeLabels{
				node("n1", zone, "a", unique, "1"), node("n2", zone, "a", unique, "2"), node("n3", zone, "b", unique, "1"), node("n4", zone, "b", unique, "3"),
			},
			want: []topology.Level{{"zone", zone}, {"host", "kubernetes.io/hostname"}},
			found: []topology.Candidate{
				{zone, 2, 4, ""},
				{unique, 3, 4, `topology.example.com/rack=1 is under topology.kubernetes.io/zone=a on node "n1" and under topology.kubernetes.io/zone=b on node "n3"`},
				{"kubernetes.io/hostname", 4, 4, ""},
			},
		},
		"keys that are asked for, one of which is on no node": {
			nodes: []topology.NodeLabels{node("n1", "floor", "1", zone, "a"), node("n2", "floor", "1", zone, "a")},
			keys:  []string{"floor", "wing", "floor"},
			want:  []topology.Level{{"floor", "floor"}},
			found: []topology.Candidate{{"floor", 1, 2, ""}},
		},
		"two keys of one name": {
			nodes: []topology.NodeLabels{node("n1", "x/pod", "1", "y/Pod", "1"), node("n2", "x/pod", "1", "y/Pod", "2")},
			keys:  []string{"x/pod", "y/Pod"},
			want:  []topology.Level{{"pod", "x/pod"}, {"pod-2", "y/Pod"}},
			found: []topology.Candidate{{"x/pod", 1, 2, ""}, {"y/Pod", 2, 2, ""}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := topology.Detect(test.nodes, test.keys)
			if diff := cmp.Diff(topology.Detection{Levels: test.want, Found: test.found}, got); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if errs := topology.ValidateLevels(got.Levels, field.NewPath("levels")); len(got.Levels) > 0 && len(errs) > 0 {
				t.Errorf("levels that are found are not valid: %v", errs)
			}
			random := rand.New(rand.NewPCG(1, 2))
			random.Shuffle(len(test.nodes), func(i, j int) { test.nodes[i], test.nodes[j] = test.nodes[j], test.nodes[i] })
			if diff := cmp.Diff(got, topology.Detect(test.nodes, test.keys)); diff != "" {
				t.Errorf("in another order of nodes (-before +after):\n%s", diff)
			}
		})
	}
}

func TestDetectFindsAtMostEightLevels(t *testing.T) {
	labels := map[string]string{}
	for i := range 12 {
		labels[fmt.Sprintf("topology.example.com/level-%02d", i)] = "1"
	}
	one, two := topology.NodeLabels{Name: "1", Labels: labels}, topology.NodeLabels{Name: "2", Labels: map[string]string{}}
	var nodes []topology.NodeLabels
	for i := range 12 { // each key has one more value than the one before
		n := topology.NodeLabels{Name: fmt.Sprint("n", i), Labels: map[string]string{}}
		for j := range 12 {
			n.Labels[fmt.Sprintf("topology.example.com/level-%02d", j)] = fmt.Sprint(min(i, j))
		}
		nodes = append(nodes, n)
	}
	if got := topology.Detect(nodes, nil); len(got.Levels) != topology.MaxLevels || got.Found[11].Problem != "there are 8 levels already" {
		t.Errorf("%d levels, the last candidate %+v", len(got.Levels), got.Found[11])
	}
	if got := topology.Detect([]topology.NodeLabels{one, two}, nil); len(got.Levels) != 1 {
		t.Errorf("levels %v, want one of twelve that make the same domains", got.Levels)
	}
}
