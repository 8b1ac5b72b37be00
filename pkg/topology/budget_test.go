package topology_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
)

func number(n int) *intstr.IntOrString            { return new(intstr.FromInt32(int32(n))) }
func percent(s string) *intstr.IntOrString        { return new(intstr.FromString(s)) }
func share(value float64) topology.Share          { return topology.Share{Value: value, Set: true} }
func domains(n ...int32) []int32                  { return n }
func shares(s ...topology.Share) []topology.Share { return s }

func TestBudgetOf(t *testing.T) {
	var unset topology.Share
	tests := map[string]struct {
		in   topology.BudgetInput // of the default levels: region, zone, rack, host
		want []int32
		says string
	}{
		"a single replica has a budget of one": {
			topology.BudgetInput{Replicas: 1, Domains: domains(2, 3, 9, 90)},
			[]int32{1, 1, 1, 1}, "zone 1 of 1: a single replica",
		},
		"no replicas count as one": {
			topology.BudgetInput{Replicas: 0, Domains: domains(2, 3, 9, 90)},
			[]int32{1, 1, 1, 1}, "a single replica",
		},
		"a level with one domain or none leaves no choice": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 0, 0, 10), Slack: 0.08},
			[]int32{10, 10, 10, 1}, "rack 10 of 10: 0 domains to choose from; zone 10 of 10: 0 domains to choose from; region 10 of 10: 1 domain to choose from",
		},
		"with nothing declared it is the even part and a slack": {
			topology.BudgetInput{Replicas: 100, Domains: domains(1, 3, 10, 1000), Slack: 0.08},
			[]int32{100, 41, 18, 8}, "zone 41 of 100: the even part of 3 domains and a slack of 0.08",
		},
		"a few replicas are as even as they can be": {
			topology.BudgetInput{Replicas: 4, Domains: domains(1, 3, 10, 1000), Slack: 0.08},
			[]int32{4, 2, 1, 1}, "",
		},
		"a slack of nothing is the even part": {
			topology.BudgetInput{Replicas: 100, Domains: domains(1, 3, 10, 1000)},
			[]int32{100, 34, 10, 1}, "",
		},
		"a slack of all is no limit": {
			topology.BudgetInput{Replicas: 100, Domains: domains(1, 3, 10, 1000), Slack: 1},
			[]int32{100, 100, 100, 100}, "",
		},
		"maxUnavailable is the budget where the topology allows": {
			topology.BudgetInput{Replicas: 6, Domains: domains(1, 3, 10, 1000), MaxUnavailable: number(2)},
			[]int32{6, 2, 2, 2}, "zone 2 of 6: what the PodDisruptionBudget lets be unavailable; region",
		},
		"maxUnavailable that zones cannot keep leaves them even": {
			topology.BudgetInput{Replicas: 30, Domains: domains(1, 3, 10, 1000), MaxUnavailable: number(1)},
			[]int32{30, 10, 3, 1}, "zone 10 of 30: what the PodDisruptionBudget lets be unavailable would be 1, but 3 domains hold no fewer",
		},
		"maxUnavailable of 0 cannot be kept at all": {
			topology.BudgetInput{Replicas: 3, Domains: domains(1, 3, 10, 1000), MaxUnavailable: number(0)},
			[]int32{3, 1, 1, 1}, "host 1 of 3: what the PodDisruptionBudget lets be unavailable would be 0, but 1000 domains hold no fewer",
		},
		"minAvailable leaves the rest": {
			topology.BudgetInput{Replicas: 9, Domains: domains(1, 3, 10, 1000), MinAvailable: number(5)},
			[]int32{9, 4, 4, 4}, "",
		},
		"a percentage of minAvailable is rounded up": {
			topology.BudgetInput{Replicas: 7, Domains: domains(1, 4, 10, 1000), MinAvailable: percent("50%")},
			[]int32{7, 3, 3, 3}, "",
		},
		"more than there are may be unavailable": {
			topology.BudgetInput{Replicas: 7, Domains: domains(1, 4, 10, 1000), MaxUnavailable: number(100)},
			[]int32{7, 7, 7, 7}, "",
		},
		"a PodDisruptionBudget that does not read is left out": {
			topology.BudgetInput{Replicas: 4, Domains: domains(1, 3, 10, 1000), MaxUnavailable: percent("half")},
			[]int32{4, 2, 1, 1}, `maxUnavailable "half" is neither a number nor a percentage; host 1 of 4: the even part`,
		},
		"a declared share comes before the PodDisruptionBudget, for its level": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 3, 10, 1000), MaxUnavailable: number(5), Shares: shares(unset, share(0.4), unset, share(0.1))},
			[]int32{10, 4, 5, 1}, "zone 4 of 10: the declared share 0.4",
		},
		"a share that is a whole number but for rounding is that number": {
			topology.BudgetInput{Replicas: 100, Domains: domains(4, 4, 10, 1000), Shares: shares(share(0.29), share(0.57), share(0.14), share(0.07))},
			[]int32{29, 57, 14, 7}, "",
		},
		"a share that the domains cannot keep is the least that they can": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 3, 10, 5), Shares: shares(unset, share(0.1), unset, share(0))},
			[]int32{10, 4, 1, 2}, "zone 4 of 10: the declared share 0.1 would be 1, but 3 domains hold no fewer",
		},
		"capacities make the least larger": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 3, 10, 100), Capacities: [][]int32{1: {2, 100, 0, 100}}},
			[]int32{10, 4, 1, 1}, "zone 4 of 10: the even part of 3 domains and a slack of 0",
		},
		"capacities that leave one domain large": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 3, 10, 100), Capacities: [][]int32{1: {2, 100, 1}}},
			[]int32{10, 7, 1, 1}, "would be 4, but 3 domains hold no fewer",
		},
		"no room for all": {
			topology.BudgetInput{Replicas: 10, Domains: domains(1, 3, 10, 100), Capacities: [][]int32{1: {2, 5, 1}}},
			[]int32{10, 5, 1, 1}, "would be 4, but 3 domains have no room for all",
		},
		"levels of which nothing is said are without domains": {
			topology.BudgetInput{Replicas: 10},
			[]int32{10, 10, 10, 10}, "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.in.Levels = topology.DefaultLevels()
			got := topology.BudgetOf(test.in)
			if diff := cmp.Diff(test.want, got.PerLevel); diff != "" || !strings.Contains(got.Reason, test.says) {
				t.Errorf("budget (-want +got):\n%s because %s; want %q", diff, got.Reason, test.says)
			}
		})
	}
}

func TestMayBeUnavailable(t *testing.T) {
	tests := map[string]struct {
		min, max *intstr.IntOrString
		replicas int32
		want     int32
		fails    bool
	}{
		"nothing declared":                         {nil, nil, 10, 10, false},
		"a number":                                 {nil, number(3), 10, 3, false},
		"a percentage is rounded up":               {nil, percent("25%"), 10, 3, false},
		"a percentage of minAvailable as well":     {percent("25%"), nil, 10, 7, false},
		"minAvailable of more than there are":      {number(12), nil, 10, 0, false},
		"minAvailable of all":                      {percent("100%"), nil, 10, 0, false},
		"both are taken as the controller does":    {number(1), number(1), 10, 1, false},
		"a negative number, which the API refuses": {nil, number(-3), 10, 0, false},
		"a number as text":                         {percent("3"), nil, 10, 0, true},
		"no replicas":                              {nil, percent("30%"), 0, 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := topology.MayBeUnavailable(test.min, test.max, test.replicas)
			if got != test.want || (err != nil) != test.fails {
				t.Errorf("%d, %v, want %d", got, err, test.want)
			}
		})
	}
}

// anyBudget draws an input without capacities.
func anyBudget(t *rapid.T) topology.BudgetInput {
	in := topology.BudgetInput{
		Levels: topology.DefaultLevels(), Slack: rapid.Float64Range(0, 0.5).Draw(t, "slack"), Replicas: rapid.Int32Range(0, 300).Draw(t, "replicas"),
		Shares: make([]topology.Share, 4),
	}
	for i := range in.Levels {
		in.Domains = append(in.Domains, rapid.Int32Range(0, 50).Draw(t, "domains"))
		if rapid.IntRange(0, 3).Draw(t, "declared") == 0 {
			in.Shares[i] = share(rapid.Float64Range(0, 1).Draw(t, "share"))
		}
	}
	value := rapid.SampledFrom([]*intstr.IntOrString{nil, number(0), number(1), number(20), percent("0%"), percent("35%"), percent("65%"), percent("100%")}).Draw(t, "pdb")
	if rapid.Bool().Draw(t, "min") {
		in.MinAvailable = value
	} else {
		in.MaxUnavailable = value
	}
	return in
}

func TestBudgetsAreFeasibleAndGrowWithReplicas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyBudget(t)
		now := topology.BudgetOf(in)
		more := in
		more.Replicas += rapid.Int32Range(1, 20).Draw(t, "more")
		then := topology.BudgetOf(more)
		for i, budget := range now.PerLevel {
			n := max(in.Replicas, 1)
			if budget < 1 || budget > n {
				t.Fatalf("%s: budget %d of %d", in.Levels[i].Name, budget, n)
			}
			if budget*max(in.Domains[i], 1) < n {
				t.Fatalf("%s: %d domains of %d do not hold %d", in.Levels[i].Name, in.Domains[i], budget, n)
			}
			if then.PerLevel[i] < budget {
				t.Fatalf("%s: %d with %d replicas and %d with %d", in.Levels[i].Name, budget, n, then.PerLevel[i], more.Replicas)
			}
		}
	})
}

func TestTheDisruptionBudgetIsKeptWhereDomainsAllow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyBudget(t)
		in.Shares = nil
		if in.MinAvailable == nil && in.MaxUnavailable == nil {
			in.MaxUnavailable = number(2)
		}
		n := max(in.Replicas, 1)
		unavailable, err := topology.MayBeUnavailable(in.MinAvailable, in.MaxUnavailable, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, budget := range topology.BudgetOf(in).PerLevel {
			if d := in.Domains[i]; d > 1 && d*unavailable >= n && budget > max(unavailable, 1) {
				t.Fatalf("%s: budget %d with %d domains, %d of %d may be unavailable", in.Levels[i].Name, budget, d, unavailable, n)
			}
		}
	})
}

func TestLeastMaximumIsTheLeast(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacities := rapid.SliceOfN(rapid.Int32Range(-1, 9), 0, 6).Draw(t, "capacities")
		n := rapid.Int32Range(0, 40).Draw(t, "n")
		got, fits := topology.LeastMaximum(n, capacities)
		want, found := int32(0), false
		for ; want <= 9 && !found; want++ { // one replica after the other into the emptiest domain
			sum := int32(0)
			for _, c := range capacities {
				sum += max(min(c, want), 0)
			}
			found = sum >= n
		}
		if fits != found || fits && got != want-1 {
			t.Fatalf("%d, %v, want %d, %v", got, fits, want-1, found)
		}
		if !fits && got != max(0, slices.Max(append(capacities, 0))) {
			t.Fatalf("%d where they do not fit, want the largest", got)
		}
	})
}

func TestMostWithin(t *testing.T) {
	tree := topology.NewTree(topology.DefaultLevels())
	var paths [][]topology.DomainID
	for _, path := range []string{"eu/a/1/h1", "eu/a/1/h2", "eu/a/2/h3", "eu/b/-/h4", "-/-/-/h5", "-/-/-/h6"} {
		tree.SetNode(path[len(path)-2:], labels(path))
		paths = append(paths, tree.Path(path[len(path)-2:], nil))
	}
	roomy := []int32{9, 9, 9, 9, 9, 9}
	tests := map[string]struct {
		budgets, capacities []int32
		want                int64
	}{
		"hosts alone":                         {[]int32{99, 99, 99, 2}, roomy, 12},
		"capacities that are less":            {[]int32{99, 99, 99, 2}, []int32{1, 0, 9, 9, 9, -9}, 7},
		"racks, of which three hosts are out": {[]int32{99, 99, 3, 2}, roomy, 11},
		"zones, of which two hosts are out":   {[]int32{99, 3, 3, 2}, roomy, 9},
		"a region and two hosts outside":      {[]int32{4, 3, 3, 2}, roomy, 8},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := topology.MostWithin(test.budgets, paths, test.capacities); got != test.want {
				t.Errorf("%d replicas, want %d", got, test.want)
			}
		})
	}
}

// mostByTrying places replicas one by one, trying all nodes: the truth for few.
func mostByTrying(budgets []int32, paths [][]topology.DomainID, capacities []int32) int64 {
	held := map[topology.DomainID]int32{}
	var try func(node int) int64
	try = func(node int) int64 {
		if node == len(paths) {
			return 0
		}
		best := try(node + 1)
		open := capacities[node] > 0
		for level, id := range paths[node] {
			open = open && (id.IsZero() || held[id] < budgets[level])
		}
		if !open {
			return best
		}
		add := func(by int32) {
			capacities[node] -= by
			for _, id := range paths[node] {
				held[id] += by
			}
		}
		add(1)
		best = max(best, 1+try(node))
		add(-1)
		return best
	}
	return try(0)
}

func TestMostWithinIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := topology.NewTree(topology.DefaultLevels())
		var paths [][]topology.DomainID
		var capacities []int32
		n := rapid.IntRange(0, 4).Draw(t, "nodes")
		for i := range n {
			tree.SetNode(fmt.Sprint(i), anyLabels(t))
			capacities = append(capacities, rapid.Int32Range(0, 3).Draw(t, "capacity"))
		}
		for i := range n {
			paths = append(paths, tree.Path(fmt.Sprint(i), nil))
		}
		budgets := rapid.SliceOfN(rapid.Int32Range(0, 5), 4, 4).Draw(t, "budgets")
		if got, want := topology.MostWithin(budgets, paths, capacities), mostByTrying(budgets, paths, slices.Clone(capacities)); got != want {
			t.Fatalf("%d, want %d", got, want)
		}
	})
}

func TestParseShares(t *testing.T) {
	var unset topology.Share
	tests := map[string]struct {
		text string
		want []topology.Share
		says []string
	}{
		"two levels":          {"zone=0.34,host=0.1", shares(unset, share(0.34), unset, share(0.1)), nil},
		"spaces do not count": {" zone = 0.34 , host=1 ", shares(unset, share(0.34), unset, share(1)), nil},
		"nothing may be lost": {"region=0", shares(share(0), unset, unset, unset), nil},
		"empty text":          {"", nil, []string{`must be level=share, separated by commas, as in "zone=0.34,host=0.1"`}},
		"a comma at the end":  {"zone=0.3,", nil, []string{"must be level=share"}},
		"no share":            {"zone", nil, []string{`Invalid value: "zone": must be level=share`}},
		"an unknown level":    {"row=0.3", nil, []string{`[row]: Invalid value: "row": must be one of the levels region, zone, rack, host`}},
		"a level twice":       {"zone=0.3,zone=0.3", nil, []string{`[zone]: Duplicate value: "zone"`}},
		"a percentage":        {"zone=30%", nil, []string{`[zone]: Invalid value: "30%": must be a number from 0 to 1`}},
		"more than all":       {"zone=1.01", nil, []string{"[zone]: Invalid value: 1.01: must be from 0 to 1, a share of the replicas"}},
		"less than nothing":   {"zone=-0.1", nil, []string{"[zone]: Invalid value: -0.1: must be from 0 to 1"}},
		"no number at all":    {"zone=NaN", nil, []string{"must be from 0 to 1"}},
		"all that is wrong":   {"row=1,zone=2,host", nil, []string{"[row]", "[zone]", `"host"`}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := field.NewPath("metadata", "annotations").Key(topology.BudgetAnnotation)
			got, errs := topology.ParseShares(test.text, topology.DefaultLevels(), path)
			if diff := cmp.Diff(test.want, got); diff != "" || (len(errs) > 0) != (len(test.says) > 0) {
				t.Fatalf("shares (-want +got):\n%s errors %v", diff, errs)
			}
			for _, says := range test.says {
				text := errs.ToAggregate().Error()
				if !strings.Contains(text, says) || !strings.Contains(text, "metadata.annotations[topology.plimsoll.dev/budget]") {
					t.Errorf("error %q does not say %q", text, says)
				}
			}
		})
	}
}

func FuzzParseSharesNeverPanics(f *testing.F) {
	f.Add("zone=0.34,host=0.1")
	f.Add("=,=")
	f.Fuzz(func(t *testing.T, text string) {
		got, errs := topology.ParseShares(text, topology.DefaultLevels(), field.NewPath("budget"))
		if (got == nil) != (len(errs) > 0) {
			t.Errorf("%v comes with %v", got, errs)
		}
		for _, s := range got {
			if !(s.Value >= 0 && s.Value <= 1) {
				t.Errorf("a share of %v is accepted", s.Value)
			}
		}
	})
}

func BenchmarkBudgetOf(b *testing.B) {
	in := topology.BudgetInput{Levels: topology.DefaultLevels(), Replicas: 500, Domains: domains(1, 3, 99, 5000), MaxUnavailable: percent("25%")}
	b.ReportAllocs()
	for b.Loop() {
		if got := topology.BudgetOf(in); got.PerLevel[1] != 167 {
			b.Fatalf("zone budget %d, want 167", got.PerLevel[1])
		}
	}
}
