package topology_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
)

func TestANodeIsInTheDomainsOfItsLabels(t *testing.T) {
	tests := map[string]struct {
		labels map[string]string
		want   string // paths by level
	}{
		"all labels":                                       {labels("eu/a/1/h"), "eu | eu/a | eu/a/1 | eu/a/1/h"},
		"no label at all leaves the node itself":           {nil, "- | - | - | n"},
		"the host without label has the node's name":       {labels("eu/a/1/-"), "eu | eu/a | eu/a/1 | eu/a/1/n"},
		"a rack missing leaves the host in the zone":       {labels("eu/a/-/h"), "eu | eu/a | - | eu/a//h"},
		"a zone missing takes the rack with it":            {labels("eu/-/1/h"), "eu | - | - | eu///h"},
		"without regions zones are the roots":              {labels("-/a/1/h"), "- | a | a/1 | a/1/h"},
		"a rack alone is a root":                           {labels("-/-/1/h"), "- | - | 1 | 1/h"},
		"an empty value is no value":                       {labels("eu//1/h"), "eu | - | - | eu///h"},
		"an empty host has the node's name":                {labels("eu/a/1/"), "eu | eu/a | eu/a/1 | eu/a/1/n"},
		"other labels mean nothing":                        {map[string]string{"zone": "a", "x/y": "z"}, "- | - | - | n"},
		"a host named otherwise than its node is the host": {labels("eu/a/1/bare-metal"), "eu | eu/a | eu/a/1 | eu/a/1/bare-metal"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := topology.NewTree(topology.DefaultLevels())
			tree.SetNode("n", test.labels)
			if got := describe(tree, "n"); got != test.want {
				t.Errorf("the node is in %q, want %q", got, test.want)
			}
		})
	}
}

func TestDomains(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for _, path := range []string{"eu/a/1/h1", "eu/a/1/h2", "eu/b/1/h3", "eu/b/-/h4", "us/c/1/h5"} {
		tree.SetNode("node-"+path[len(path)-2:], labels(path))
	}
	var got []string
	for level := range tree.Levels() {
		for _, d := range tree.Domains(level) {
			children := make([]string, len(d.Children))
			for i, id := range d.Children {
				children[i] = tree.PathString(id)
			}
			got = append(got, fmt.Sprintf("%s in %q, %d nodes, above %v", d.Path, tree.PathString(d.Parent), d.Nodes, children))
			if one, found := tree.Domain(d.ID); !found || cmp.Diff(one, d) != "" {
				t.Errorf("Domain(%v) = %+v, want %+v", d.ID, one, d)
			}
		}
	}
	want := []string{
		`eu in "", 4 nodes, above [eu/a eu/b]`, `us in "", 1 nodes, above [us/c]`,
		`eu/a in "eu", 2 nodes, above [eu/a/1]`, `eu/b in "eu", 2 nodes, above [eu/b/1 eu/b//h4]`, `us/c in "us", 1 nodes, above [us/c/1]`,
		`eu/a/1 in "eu/a", 2 nodes, above [eu/a/1/h1 eu/a/1/h2]`, `eu/b/1 in "eu/b", 1 nodes, above [eu/b/1/h3]`, `us/c/1 in "us/c", 1 nodes, above [us/c/1/h5]`,
		`eu/a/1/h1 in "eu/a/1", 1 nodes, above []`, `eu/a/1/h2 in "eu/a/1", 1 nodes, above []`, `eu/b//h4 in "eu/b", 1 nodes, above []`,
		`eu/b/1/h3 in "eu/b/1", 1 nodes, above []`, `us/c/1/h5 in "us/c/1", 1 nodes, above []`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("domains (-want +got):\n%s", diff)
	}
	if got := tree.Nodes(); got != 5 {
		t.Errorf("%d nodes, want 5", got)
	}
	if got := tree.Domains(7); got != nil {
		t.Errorf("a level that does not exist has domains %v", got)
	}
}

func TestAStaleIDIsNoticed(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	tree.SetNode("n", labels("eu/a/1/n"))
	before, version := tree.At("n", zone), tree.Version()
	tree.RemoveNode("n")
	tree.SetNode("n", labels("eu/b/1/n"))
	after := tree.At("n", zone)
	if before.Index != after.Index || before == after {
		t.Errorf("the new zone has id %+v, want the index of %+v and another generation", after, before)
	}
	if _, found := tree.Domain(before); found || tree.PathString(before) != "" || tree.Ancestors(before, nil) != nil {
		t.Errorf("%+v is still found", before)
	}
	if _, found := tree.LowestCommonAncestor(before, after); found {
		t.Error("a domain that is gone has an ancestor")
	}
	if tree.Version() == version {
		t.Error("domains went and came, and the version is the same")
	}
	for _, id := range []topology.DomainID{{}, {Level: -1, Generation: 1}, {Level: 9, Generation: 1}, {Index: 99, Generation: 1}, {Index: -1, Generation: 1}} {
		if _, found := tree.Domain(id); found {
			t.Errorf("%+v is a domain", id)
		}
	}
}

func TestSetNodeAndRemoveNodeSayWhatChanged(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	if !tree.SetNode("n", labels("eu/a/1/n")) {
		t.Error("a new node is no change")
	}
	if tree.SetNode("n", map[string]string{"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "a", "topology.kubernetes.io/rack": "1", "x": "y"}) {
		t.Error("labels of no level are a change")
	}
	if !tree.SetNode("n", labels("eu/a/2/n")) {
		t.Error("another rack is no change")
	}
	if !tree.RemoveNode("n") || tree.RemoveNode("n") {
		t.Error("a node is removed once")
	}
	if got := tree.Path("n", nil); got != nil || !tree.At("n", zone).IsZero() {
		t.Errorf("a node that is gone is at %v", got)
	}
}

func TestDistance(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for name, path := range map[string]string{
		"n1": "eu/a/1/h1", "twin": "eu/a/1/h1", "rack": "eu/a/1/h2", "zone": "eu/a/2/h3", "same number": "eu/b/1/h4", "other": "us/c/1/h5",
		"no rack": "eu/a/-/h6", "bare": "-/-/-/-",
	} {
		tree.SetNode(name, labels(path))
	}
	tests := map[string]struct {
		a, b   string
		want   int
		common string
	}{
		"a node is at no distance from itself":          {"n1", "n1", 0, "eu/a/1/h1"},
		"two nodes of one host are at no distance":      {"n1", "twin", 0, "eu/a/1/h1"},
		"two hosts of a rack are one level apart":       {"n1", "rack", 1, "eu/a/1"},
		"two racks of a zone are two":                   {"n1", "zone", 2, "eu/a"},
		"racks of one number in two zones are not one":  {"n1", "same number", 3, "eu"},
		"two regions are as far apart as it goes":       {"n1", "other", 4, ""},
		"a node without rack is in its zone":            {"n1", "no rack", 2, "eu/a"},
		"a node without labels is far from all":         {"n1", "bare", 4, ""},
		"a node without labels is near itself at least": {"bare", "bare", 0, "bare"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a, b := tree.Path(test.a, nil), tree.Path(test.b, nil)
			if got, back := topology.Distance(a, b), topology.Distance(b, a); got != test.want || back != test.want {
				t.Errorf("distance %d and back %d, want %d", got, back, test.want)
			}
			common, found := tree.LowestCommonAncestor(a[host], b[host])
			if got := tree.PathString(common); got != test.common || found != (test.common != "") {
				t.Errorf("common ancestor %q, %v, want %q", got, found, test.common)
			}
			if found && tree.Height(common) != test.want {
				t.Errorf("height %d, want %d", tree.Height(common), test.want)
			}
			if diff := cmp.Diff(a, tree.Ancestors(a[host], nil)); diff != "" {
				t.Errorf("ancestors of the host (-path of the node +got):\n%s", diff)
			}
		})
	}
	if got := topology.Distance(tree.Path("n1", nil), nil); got != 4 {
		t.Errorf("distance to a node that is not known %d, want 4", got)
	}
}

func TestProblems(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for name, path := range map[string]string{
		"n1": "-/a/1/n1", "n2": "-/b/1/n2", "n3": "-/b/-/n3", "n4": "-/-/4/n4", "n5": "-//5/n5", "n6": "-/b/6/n6",
	} {
		tree.SetNode(name, labels(path))
	}
	tree.SetNode("n6", labels("-/c/6/n6"))
	tree.SetNode("n6", labels("-/c/7/n6"))
	tree.SetNode("n6", labels("-/c/-/n6"))
	want := []topology.Problem{
		{Kind: topology.UnusedLevel, Level: region, Count: 6, Examples: []string{"no node has the label topology.kubernetes.io/region"}},
		{Kind: topology.MissingLabel, Level: zone, Count: 1, Examples: []string{`node "n4" has no label topology.kubernetes.io/zone`}},
		{Kind: topology.EmptyLabel, Level: zone, Count: 1, Examples: []string{`node "n5" has the label topology.kubernetes.io/zone without a value`}},
		{Kind: topology.Moved, Level: zone, Count: 1, Examples: []string{`node "n6" moved from zone "b" to zone "c"`}},
		{Kind: topology.MissingLabel, Level: rack, Count: 2, Examples: []string{
			`node "n3" has no label topology.kubernetes.io/rack`, `node "n6" has no label topology.kubernetes.io/rack`,
		}},
		{Kind: topology.TwoParents, Level: rack, Count: 1, Examples: []string{`rack "1" is in zone "a" and in zone "b"`}},
		{Kind: topology.Moved, Level: rack, Count: 2, Examples: []string{
			`node "n6" moved from rack "c/7" to no rack`, `node "n6" moved from rack "c/6" to rack "c/7"`,
		}},
	}
	if diff := cmp.Diff(want, tree.Problems(2)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	for _, p := range tree.Problems(0) {
		if len(p.Examples) > 0 {
			t.Errorf("examples %q, want none", p.Examples)
		}
	}
}

func TestALabelBelowAGapAndAZoneInTwoRegionsAreReported(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for name, path := range map[string]string{"n1": "eu/a/1/n1", "n2": "us/a/2/n2", "n3": "eu/-/3/n3", "n4": "-/a/4/n4"} {
		tree.SetNode(name, labels(path))
	}
	var got []string
	for _, p := range tree.Problems(5) {
		if p.Kind == topology.BelowGap || p.Kind == topology.TwoParents {
			got = append(got, p.Examples...)
		}
	}
	want := []string{
		`zone "a" is in no domain above and in region "eu" and in region "us"`,
		`node "n3" has the label topology.kubernetes.io/rack, but not all above it`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	tree.RemoveNode("n1")
	tree.RemoveNode("n4")
	for _, p := range tree.Problems(5) {
		if p.Kind == topology.TwoParents {
			t.Errorf("still reported: %v", p.Examples)
		}
	}
}

func TestTheLatestMovesAreKept(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	for i := range 100 {
		tree.SetNode("n", labels(fmt.Sprintf("eu/%d/1/n", i)))
	}
	for _, p := range tree.Problems(3) {
		if p.Kind != topology.Moved {
			continue
		}
		if p.Count != 99 || len(p.Examples) != 3 || !strings.Contains(p.Examples[0], "eu/99") {
			t.Errorf("%d moves, the latest %q", p.Count, p.Examples)
		}
		return
	}
	t.Error("no move is reported")
}

// anyLabels draws labels from few values, so that nodes meet, with gaps and empty ones.
func anyLabels(t *rapid.T) map[string]string {
	var values []string
	for _, level := range topology.DefaultLevels() {
		values = append(values, rapid.SampledFrom([]string{"1", "2", "1", "2", "3", "-", ""}).Draw(t, level.Name))
	}
	return labels(strings.Join(values, "/"))
}

func TestAHistoryOfNodesLeavesTheTreeOfThoseThatAreThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree, now, peak := topology.NewTree(topology.DefaultLevels()), map[string]map[string]string{}, make([]int, 4)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "node")
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				tree.RemoveNode(name)
				delete(now, name)
			} else {
				now[name] = anyLabels(t)
				tree.SetNode(name, now[name])
			}
			for level := range peak {
				peak[level] = max(peak[level], tree.Count(level))
			}
		}
		fresh := topology.NewTree(topology.DefaultLevels())
		for name, labels := range now { // in the order of a map: any
			fresh.SetNode(name, labels)
		}
		for level := range peak {
			got, want := outline(tree, level), outline(fresh, level)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("level %d (-fresh +after the history):\n%s", level, diff)
			}
			for _, d := range tree.Domains(level) {
				// A node that moves is in the new domain before it leaves the old one.
				if int(d.ID.Index) > peak[level] {
					t.Fatalf("%s has index %d, but there were never more than %d domains", d.Path, d.ID.Index, peak[level])
				}
			}
		}
		for name := range now {
			if got, want := describe(tree, name), describe(fresh, name); got != want {
				t.Fatalf("%s is in %s, want %s", name, got, want)
			}
		}
		if diff := cmp.Diff(standing(fresh), standing(tree)); diff != "" {
			t.Fatalf("problems (-fresh +after the history):\n%s", diff)
		}
	})
}

func TestRenamedZonesChangeNothingButNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		was, is := topology.NewTree(topology.DefaultLevels()), topology.NewTree(topology.DefaultLevels())
		names := []string{"a", "b", "c", "d", "e", "f"}
		for _, name := range names {
			l := anyLabels(t)
			was.SetNode(name, l)
			if v := l["topology.kubernetes.io/zone"]; v != "" {
				l["topology.kubernetes.io/zone"] = "renamed-" + v
			}
			is.SetNode(name, l)
		}
		for _, a := range names {
			for _, b := range names {
				before, after := topology.Distance(was.Path(a, nil), was.Path(b, nil)), topology.Distance(is.Path(a, nil), is.Path(b, nil))
				if before != after {
					t.Fatalf("%s and %s were %d apart and are %d", a, b, before, after)
				}
			}
			if diff := cmp.Diff(was.Path(a, nil), is.Path(a, nil)); diff != "" {
				t.Fatalf("ids of %s (-before +after):\n%s", a, diff)
			}
		}
	})
}

// describe writes a node's domains.
func describe(tree *topology.Tree, node string) string {
	var out []string
	for _, id := range tree.Path(node, nil) {
		if id.IsZero() {
			out = append(out, "-")
		} else {
			out = append(out, tree.PathString(id))
		}
	}
	return strings.Join(out, " | ")
}

// outline writes a level without ids.
func outline(tree *topology.Tree, level int) []string {
	var out []string
	for _, d := range tree.Domains(level) {
		var children []string
		for _, id := range d.Children {
			children = append(children, tree.PathString(id))
		}
		slices.Sort(children)
		out = append(out, fmt.Sprintf("%s in %s: %d nodes, %v", d.Path, tree.PathString(d.Parent), d.Nodes, children))
	}
	return out
}

// standing leaves out what is of the history.
func standing(tree *topology.Tree) []topology.Problem {
	out := []topology.Problem{}
	for _, p := range tree.Problems(9) {
		if p.Kind != topology.Moved {
			out = append(out, p)
		}
	}
	return out
}
