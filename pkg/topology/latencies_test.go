package topology_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
)

func measured() *topology.Tree {
	tree := topology.NewTree(topology.DefaultLevels())
	for _, path := range []string{"eu/a/1/h1", "eu/a/1/h2", "eu/a/2/h3", "eu/b/1/h4", "eu/c/1/h5", "us/d/1/h6", "eu/a/-/h7"} {
		tree.SetNode(path[len(path)-2:], labels(path))
	}
	return tree
}

func TestBetween(t *testing.T) {
	table := []topology.Latency{
		{Level: "zone", From: "eu/a", To: "eu/b", Milliseconds: 0.6}, // height 3
		{Level: "zone", From: "eu/b", To: "eu/a", Milliseconds: 0.6}, // the same once more
		{Level: "zone", From: "eu/a", To: "eu/a", Milliseconds: 0.2}, // height 2
		{Level: "rack", From: "eu/a/1", To: "eu/a/2", Milliseconds: 0.1},
		{Level: "region", From: "eu", To: "us", Milliseconds: 90},               // height 4
		{Level: "host", From: "eu/a/1/h1", To: "eu/a/1/h1", Milliseconds: 0.05}, // height 0
		{Level: "zone", From: "eu/a", To: "eu/gone", Milliseconds: 0.6},         // height 3
		{Level: "rack", From: "eu/b/1", To: "eu/b/1", Milliseconds: 0.1},        // height 1
	}
	unit := (0.6 + 0.2 + 0.1 + 90 + 0.6 + 0.1) / (3 + 2 + 2 + 4 + 3 + 1)
	tests := map[string]struct {
		a, b string
		want float64
	}{
		"a pair of zones":                           {"h1", "h4", 0.6},
		"racks are narrower than their zone":        {"h1", "h3", 0.1},
		"a pair within one rack falls to its level": {"h1", "h2", unit},
		"a pair of zones that is missing":           {"h1", "h5", 3 * unit},
		"regions stand for all below":               {"h4", "h6", 90},
		"a host with itself":                        {"h1", "h1", 0.05},
		"a host with itself that is missing":        {"h5", "h5", 0},
		"a node without rack has its zone's":        {"h1", "h7", 0.2},
		"a node that is not known is far":           {"h1", "none", 4 * unit},
	}
	tree := measured()
	latencies, errs := topology.NewLatencies(topology.DefaultLevels(), table, field.NewPath("latencies"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	d := latencies.Resolve(tree)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := tree.Path(test.a, nil), tree.Path(test.b, nil)
			got, back := d.Between(a, b), d.Between(b, a)
			if math.Abs(got-test.want) > 1e-12 || got != back {
				t.Errorf("%v and back %v, want %v", got, back, test.want)
			}
			if allocs := testing.AllocsPerRun(10, func() { d.Between(a, b) }); allocs != 0 {
				t.Errorf("%v allocations", allocs)
			}
		})
	}
	if diff := cmp.Diff([]string{`zone "eu/gone"`}, latencies.Unknown(tree)); diff != "" {
		t.Errorf("unknown domains (-want +got):\n%s", diff)
	}
}

func TestPathsWithoutRegionsAreOfTheirLevel(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for _, path := range []string{"-/a/1/h1", "-/a/2/h2", "-/b/1/h3", "-/c/1/h4"} {
		tree.SetNode(path[len(path)-2:], labels(path))
	}
	latencies, errs := topology.NewLatencies(topology.DefaultLevels(), []topology.Latency{
		{Level: "zone", From: "a", To: "b", Milliseconds: 8},     // height 4: nothing is common
		{Level: "rack", From: "a/1", To: "a/2", Milliseconds: 1}, // height 2
	}, field.NewPath("latencies"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	d := latencies.Resolve(tree)
	for node, want := range map[string]float64{"h1": 0, "h2": 1, "h3": 8, "h4": 4 * 9.0 / 6} {
		if got := d.Between(tree.Path("h1", nil), tree.Path(node, nil)); got != want {
			t.Errorf("h1 and %s are %v apart, want %v", node, got, want)
		}
	}
}

func TestWithoutATableDistancesAreHeights(t *testing.T) {
	empty, errs := topology.NewLatencies(topology.DefaultLevels(), nil, field.NewPath("latencies"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	rapid.Check(t, func(t *rapid.T) {
		tree := topology.NewTree(topology.DefaultLevels())
		tree.SetNode("a", anyLabels(t))
		tree.SetNode("b", anyLabels(t))
		a, b := tree.Path("a", nil), tree.Path("b", nil)
		for _, l := range []*topology.Latencies{nil, empty} {
			d := l.Resolve(tree)
			if got, want := d.Between(a, b), float64(topology.Distance(a, b)); got != want || l.Unknown(tree) != nil {
				t.Fatalf("%v, want %v", got, want)
			}
		}
	})
}

func TestNewLatenciesRejects(t *testing.T) {
	tests := map[string]struct {
		table []topology.Latency
		says  string
	}{
		"an unknown level":       {[]topology.Latency{{Level: "row", From: "a", To: "b"}}, `latencies[0].level: Invalid value: "row": must be one of the levels region, zone, rack, host`},
		"no domain":              {[]topology.Latency{{Level: "zone", From: "a"}}, "latencies[0].to: Required value: must be the path of a domain"},
		"a path below its level": {[]topology.Latency{{Level: "zone", From: "eu/a/1", To: "eu/b"}}, `latencies[0].from: Invalid value: "eu/a/1": must be at most 2 values`},
		"less than nothing":      {[]topology.Latency{{Level: "zone", From: "a", To: "b", Milliseconds: -1}}, "latencies[0].milliseconds: Invalid value: -1: must be at least 0"},
		"no number":              {[]topology.Latency{{Level: "zone", From: "a", To: "b", Milliseconds: math.NaN()}}, "latencies[0].milliseconds"},
		"infinity":               {[]topology.Latency{{Level: "zone", From: "a", To: "b", Milliseconds: math.Inf(1)}}, "latencies[0].milliseconds"},
		"another way back": {
			[]topology.Latency{{Level: "zone", From: "a", To: "b", Milliseconds: 1}, {Level: "zone", From: "b", To: "a", Milliseconds: 2}},
			"latencies[1].milliseconds: Invalid value: 2: must be 1 as above: latencies are the same both ways",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l, errs := topology.NewLatencies(topology.DefaultLevels(), test.table, field.NewPath("latencies"))
			if l != nil || len(errs) != 1 || !strings.Contains(errs[0].Error(), test.says) {
				t.Errorf("%v, %v, want an error with %s", l, errs, test.says)
			}
		})
	}
}
