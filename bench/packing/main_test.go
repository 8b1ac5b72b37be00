package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/azure"
	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

// file writes a file of a test and returns its name.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	twoNodes = "sn,cpu_milli,memory_mib,gpu,model\na,8000,8192,2,T4\nb,8000,8192,2,P100\n"
	fewPods  = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" +
		"p,1000,1024,1,500,\nq,1000,1024,1,1000,T4\nr,1000,1024,0,0,\ns,2000,1024,2,1000,P100\n"
	machines = "vm_id,arrival_s,vcpu,mem_gb,lifetime_s,censored,batch\n" +
		"0,0,2,2,3600,0,0\n" + // opens a node of 4 vCPU and 8 GB
		"1,0,2,2,7200,0,0\n" + // fills it
		"2,1800,4,4,1800,0,1\n" + // opens another, empty again at 3600
		"3,3600,2,2,9999,1,2\n" + // where machine 0 was
		"4,9000,1,1,60,0,3\n" // beside machine 3: the end of the trace
)

// Every policy runs every protocol that it knows, through the command's own path,
// and leaves the figures that the protocol promises.
func TestEveryPolicyIsMeasured(t *testing.T) {
	nodes, pods, vms := file(t, "nodes.csv", twoNodes), file(t, "few.csv", fewPods), file(t, "vms.csv", machines)
	for _, p := range policies() {
		for protocol, c := range map[string]struct {
			args []string
			want []string
		}{
			"p1": {[]string{"-pods", pods}, []string{"p1.few.@.alloc100", "p1.few.@.failed100_share"}},
			"p2": {[]string{"-pods", pods}, []string{"p2.few.@.nodes_over_bound_pct", "p2.mean.@.nodes_over_bound_pct", "p2.real.@.first_rejection_pct"}},
			"p3": {[]string{"-pods", vms, "-clusters", "4x8,3*4x8"}, []string{"p3.4x8.@.node_hours_over_bound_pct", "p3.3of4x8.@.node_hours_over_bound_pct"}},
		} {
			if p.only != "" && p.only != protocol {
				continue
			}
			t.Run(p.name+" in "+protocol, func(t *testing.T) {
				dir := t.TempDir()
				out := filepath.Join(dir, "packing.csv")
				args := append(c.args, "-protocol", protocol, "-policies", p.name, "-seeds", "1-2", "-nodes", nodes, "-out", out, "-plots", dir)
				if err := run(t.Context(), args, io.Discard, io.Discard); err != nil {
					t.Fatal(err)
				}
				names := figureNames(t, out)
				for _, want := range c.want {
					if want = strings.ReplaceAll(want, "@", p.name); !slices.Contains(names, want) {
						t.Errorf("there is no figure %s, only %v", want, names)
					}
				}
				if _, err := os.Stat(filepath.Join(dir, "packing-"+protocol+".svg")); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func figureNames(t *testing.T, out string) []string {
	t.Helper()
	f, err := figures.Read(out, []string{"figure", "value", "unit", "target", "better"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, line := range f.Lines {
		names = append(names, line[0])
	}
	return names
}

func TestProtocolsMergeIntoOneFile(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "packing.csv")
	nodes, pods, vms := file(t, "nodes.csv", twoNodes), file(t, "few.csv", fewPods), file(t, "vms.csv", machines)
	for _, args := range [][]string{
		{"-protocol", "p1", "-policies", "bestfit,random", "-pods", pods},
		{"-protocol", "p3", "-policies", "bestfit", "-pods", vms, "-clusters", "4x8"},
		{"-protocol", "p1", "-policies", "random", "-pods", pods},
	} {
		if err := run(t.Context(), append(args, "-seeds", "1", "-nodes", nodes, "-out", out, "-plots", ""), io.Discard, io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	names := figureNames(t, out)
	for _, want := range []string{"p1.few.bestfit.alloc100", "p1.few.random.alloc100", "p3.4x8.bestfit.node_hours_over_bound_pct"} {
		if n := len(slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name != want })); n != 1 {
			t.Errorf("figure %s is there %d times, want once", want, n)
		}
	}
}

func TestAnInterruptedRunLeavesTheFileAsItWas(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out := filepath.Join(t.TempDir(), "packing.csv")
	err := run(ctx, []string{"-protocol", "p1", "-nodes", file(t, "nodes.csv", twoNodes), "-pods", file(t, "few.csv", fewPods), "-out", out}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("there is a file of figures: %v", err)
	}
}

func TestWrongFlagsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown policy":            {[]string{"-policies", "best"}, `-policies: "best": must be one of plimsoll, plimsoll-given,`},
		"a policy of another protocol": {[]string{"-protocol", "p2", "-policies", "fgd"}, "-policies: [fgd]: none of them is of p2"},
		"an unknown protocol":          {[]string{"-protocol", "p4"}, `-protocol: "p4": must be p1, p2 or p3`},
		"an unknown cluster":           {[]string{"-protocol", "p3", "-clusters", "n65"}, `-clusters: "n65": must be n64`},
		"a cluster half standing":      {[]string{"-protocol", "p3", "-clusters", "3*4x8+4x8"}, `-clusters: "3*4x8+4x8": must be`},
		"seeds backwards":              {[]string{"-seeds", "5-1"}, `-seeds: "5-1": must be a number from 0 or a range`},
		"no run at a time":             {[]string{"-parallel", "0"}, `-parallel: 0: must be from 1 to 256`},
		"an argument":                  {[]string{"p1"}, `"p1": all arguments are flags`},
		"no such file":                 {[]string{"-protocol", "p1", "-nodes", "absent.csv"}, "absent.csv"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-pods", file(t, "vms.csv", machines), "-out", ""}, c.args...)
			err := run(t.Context(), args, io.Discard, io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to contain %s", err, c.want)
			}
		})
	}
}

// quiet is the progress of a test.
func quiet() *progress { return newBoard(io.Discard, 1).begin("test") }

func namedPolicy(t *testing.T, name string) policy {
	t.Helper()
	chosen, err := choosePolicies([]string{name})
	if err != nil {
		t.Fatal(err)
	}
	return chosen[0]
}

func valueOf(t *testing.T, o outcome, name string) float64 {
	t.Helper()
	for _, m := range o.measures {
		if m.name == name {
			return m.value
		}
	}
	t.Fatalf("there is no measure %s", name)
	return 0
}

func TestNodeHoursAreThoseOfNodesInUse(t *testing.T) {
	vms, err := azure.Read(file(t, "vms.csv", machines))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct{ hours, bound, opened float64 }{
		// One node all along (2.5 h); a second for machine 2 (0.5 h).
		"4x8":   {hours: 3, bound: 3, opened: 2},
		"3*4x8": {hours: 3, bound: 3, opened: 0},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parseCluster(name)
			if err != nil {
				t.Fatal(err)
			}
			o, err := runP3(t.Context(), c, vms, namedPolicy(t, "bestfit"), 1, quiet())
			if err != nil {
				t.Fatal(err)
			}
			if got := valueOf(t, o, "node_hours"); got != want.hours {
				t.Errorf("%g node-hours, want %g", got, want.hours)
			}
			if got := valueOf(t, o, "bound"); got != want.bound {
				t.Errorf("a bound of %g, want %g", got, want.bound)
			}
			if got := valueOf(t, o, "opened"); got != want.opened {
				t.Errorf("%g nodes joined, want %g", got, want.opened)
			}
		})
	}
}

func TestMachinesThatFitNoNodeAreCounted(t *testing.T) {
	vms := []azure.VM{{ID: "a", VCPU: 8, MemGB: 1, Lifetime: 60}, {ID: "b", Arrival: 90, VCPU: 1, MemGB: 1, Lifetime: 60}}
	for _, name := range []string{"4x8", "2*4x8"} {
		c, err := parseCluster(name)
		if err != nil {
			t.Fatal(err)
		}
		o, err := runP3(t.Context(), c, vms, namedPolicy(t, "bestfit"), 1, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if got := valueOf(t, o, "refused"); got != 1 {
			t.Errorf("%s: %g are refused, want 1", name, got)
		}
	}
}

func TestRunsRepeat(t *testing.T) {
	vms, err := azure.Read(file(t, "vms.csv", machines))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCluster("400*16x112+500*32x64")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range policies() {
		if p.only != "" && p.only != "p3" {
			continue
		}
		var first []measure
		for range 2 {
			o, err := runP3(t.Context(), c, vms, p, 3, quiet())
			if err != nil {
				t.Fatal(err)
			}
			measures := slices.DeleteFunc(o.measures, func(m measure) bool { return m.name == "decisions_per_second" })
			if first == nil {
				first = measures
			} else if diff := cmp.Diff(first, measures, cmp.AllowUnexported(measure{})); diff != "" {
				t.Errorf("%s (-first +second):\n%s", p.name, diff)
			}
		}
	}
}

func TestTheLowerBoundOfBins(t *testing.T) {
	for name, c := range map[string]struct {
		items []int64
		want  int
	}{
		"nothing":                       {nil, 0},
		"volume":                        {[]int64{4, 4, 4}, 2},
		"items above half":              {[]int64{6, 6, 6}, 3},
		"exactly half pairs up":         {[]int64{5, 5, 5}, 2},
		"what large ones leave is used": {[]int64{7, 7, 3, 3}, 2},
		"what large ones leave is lost": {[]int64{7, 7, 4, 4, 4}, 4},
		"medium ones share":             {[]int64{6, 4, 4}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := boundL2(c.items, 10); got != c.want {
				t.Errorf("bound is %d, want %d", got, c.want)
			}
		})
	}
}

func TestTargets(t *testing.T) {
	lines := [][]string{
		{"p1.default.fgd.alloc100", "95.24", "", "", ""},
		{"p1.default.plimsoll.alloc100", "96", "", "", ""},
		{"p1.cpu050.fgd.alloc100", "95.98", "", "", ""},
		{"p1.cpu050.plimsoll-given.alloc100", "96", "", "", ""},
		{"p1.cpu050.fgd.failed100_8", "2.8", "", "", ""},
		{"p1.cpu050.plimsoll.failed100_8", "3", "", "", ""},
		{"p1.cpu200.plimsoll.alloc100", "96", "", "", ""},
		{"p3.n64.plimsoll.node_hours_over_bound_pct", "9", "", "", ""},
	}
	setTargets(lines)
	var got []string
	for _, line := range lines {
		got = append(got, line[3])
	}
	want := []string{"", "96.20", "", "96.48", "", "2.8", "", "9.0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
}

// The acceptance test of the paper's policies in small: one trace and one seed.
// All of it: go run ./bench/packing -check-published -
func TestPublishedCurvesAreReproduced(t *testing.T) {
	data := os.Getenv("PLIMSOLL_DATA")
	if data == "" {
		data = "../../../shared/data"
	}
	if _, err := os.Stat(filepath.Join(data, "openb_fgd")); err != nil {
		t.Skipf("no traces (hack/fetch-data): %v", err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-check-published", "-", "-data", data, "-traces", "multigpu40", "-seeds", "42"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "| multigpu40 |"); got != 2 {
		t.Errorf("%d curves were compared, want 2:\n%s", got, &out)
	}
}

func TestACurveUnlikeThePublishedOneIsFound(t *testing.T) {
	r := result{task: task{workload: "w", policy: policy{name: "fgd"}, seed: 1}}
	r.curve = []point{{0, 1}, {1, 2.5}}
	published := []publishedCurve{{workload: "w", policy: "fgd", seed: 1, at: map[int]float64{0: 1.001, 1: 2}}}
	difference, at, err := fromPublished(r, published)
	if err != nil || difference != 0.5 || at != 1 {
		t.Errorf("difference is %g at %d (%v), want 0.5 at 1", difference, at, err)
	}
	r.seed = 2
	if _, _, err := fromPublished(r, published); err == nil {
		t.Error("a run that was not published is no error")
	}
}

func TestNamesOfTraces(t *testing.T) {
	for trace, want := range map[string]string{
		"default":                            "default",
		"/data/openb_pod_list_cpu050.csv.gz": "cpu050",
		"my.trace.csv":                       "my_trace",
	} {
		if got := traceName(trace); got != want {
			t.Errorf("%s is called %s, want %s", trace, got, want)
		}
	}
}
