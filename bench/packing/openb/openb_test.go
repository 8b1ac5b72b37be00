package openb

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/table"
)

const podHeader = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n"

func TestPodListsAreRead(t *testing.T) {
	got, err := DecodePods(strings.NewReader(podHeader+"a,1000,2048,1,460,T4|P100\nb,500,1,0,0,\n"), "pods.csv")
	if err != nil {
		t.Fatal(err)
	}
	want := []Pod{
		{Name: "a", CPUMilli: 1000, MemMiB: 2048, GPUs: 1, GPUMilli: 460, Models: "T4|P100"},
		{Name: "b", CPUMilli: 500, MemMiB: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
	if got, want := got[0].AllowedModels(), []string{"T4", "P100"}; !slices.Equal(got, want) {
		t.Errorf("allowed models are %v, want %v", got, want)
	}
}

func TestWrongPodListsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"a column is missing":            {"name,cpu_milli\na,1\n", `pods.csv:2: memory_mib: "": there must be such a column`},
		"a number is none":               {podHeader + "a,1,1,0,0,\nb,x,1,0,0,\n", `pods.csv:3: cpu_milli: "x": must be a whole number from 0 to`},
		"a number is negative":           {podHeader + "a,1,-1,0,0,\n", `pods.csv:2: memory_mib: "-1": must be a whole number from 0 to`},
		"a share is more than a GPU":     {podHeader + "a,1,1,1,1001,\n", `pods.csv:2: gpu_milli: "1001": must be a whole number from 0 to 1000`},
		"several GPUs are shared":        {podHeader + "a,1,1,2,500,\n", `pods.csv:2: gpu_milli: "500": must be 1000 with num_gpu above 1`},
		"a GPU is asked for, none of it": {podHeader + "a,1,1,1,0,\n", `pods.csv:2: gpu_milli: "0": must be from 1 to 1000`},
		"a pod has no name":              {podHeader + ",1,1,0,0,\n", `pods.csv:2: name: "": must name the pod`},
		"a line is short":                {podHeader + "a,1\n", `pods.csv: record on line 2: wrong number of fields`},
		"there is no header":             {"", `pods.csv:1: header: EOF`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := DecodePods(strings.NewReader(c.text), "pods.csv")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to contain %s", err, c.want)
			}
		})
	}
}

func TestWrongNodeListsAreRefused(t *testing.T) {
	_, err := table.Read(strings.NewReader("sn,cpu_milli,memory_mib,gpu,model\n,1,1,0,\n"), "nodes.csv", parseNode)
	if want := `nodes.csv:2: sn: "": must name the node`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want it to contain %s", err, want)
	}
}

func someNodes() []Node {
	return []Node{{Name: "y", GPUs: 4, CPUMilli: 9000}, {Name: "x", GPUs: 6, CPUMilli: 9000}, {Name: "z"}}
}

func somePods() []Pod {
	return []Pod{
		{Name: "c", CPUMilli: 1000, GPUs: 1, GPUMilli: 500},
		{Name: "a", CPUMilli: 2000, GPUs: 2, GPUMilli: WholeGPU},
		{Name: "b", CPUMilli: 500},
	}
}

func TestArrivalsAskTheInflatedAmount(t *testing.T) {
	for name, c := range map[string]struct {
		inflation float64
		demand    Demand
		low, high int64
	}{
		"GPUs are multiplied":      {1.3, GPUDemand(), 12_000, 13_000 + 1_000}, // the artifact looks at one of a pod's GPUs
		"GPUs are too many":        {0.2, GPUDemand(), 0, 2_000},
		"CPU is multiplied":        {1.3, CPUDemand(), 21_400, 23_400},
		"CPU is asked for exactly": {3500. / 18000, CPUDemand(), 3_500, 3_500},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range int64(20) {
				pods := Arrive(someNodes(), somePods(), seed, c.inflation, c.demand).Pods
				if asked := total(pods, c.demand.OfPod); asked < c.low || asked > c.high {
					t.Errorf("seed %d: %d is asked for, want %d to %d", seed, asked, c.low, c.high)
				}
			}
		})
	}
}

func TestArrivalsRepeatAndLeaveTheListsAlone(t *testing.T) {
	nodes, pods := someNodes(), somePods()
	first := Arrive(nodes, pods, 7, Inflation, GPUDemand())
	if diff := cmp.Diff(first, Arrive(nodes, pods, 7, Inflation, GPUDemand())); diff != "" {
		t.Errorf("a second time (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(someNodes(), nodes); diff != "" {
		t.Errorf("the nodes given (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(somePods(), pods); diff != "" {
		t.Errorf("the pods given (-before +after):\n%s", diff)
	}
	names := map[string]bool{}
	for _, p := range first.Pods {
		if names[p.Name] {
			t.Errorf("two pods are called %s", p.Name)
		}
		names[p.Name] = true
	}
}

func TestPodsWithoutDemandArriveOnce(t *testing.T) {
	pods := []Pod{{Name: "a", CPUMilli: 1}}
	if got := Arrive(someNodes(), pods, 1, Inflation, GPUDemand()).Pods; len(got) != 1 {
		t.Errorf("%d pods arrive, want 1: no number of copies would ask for a GPU", len(got))
	}
}

func TestTypicalPodsCoverMostAndSumToOne(t *testing.T) {
	var pods []Pod
	for i, count := range []int{60, 36, 3, 1} {
		for range count {
			pods = append(pods, Pod{CPUMilli: int64(i+1) * 1000, MemMiB: int64(len(pods))})
		}
	}
	got := Typical(pods)
	if len(got) != 2 || got[0].CPUMilli != 1000 || got[1].CPUMilli != 2000 {
		t.Fatalf("typical are %v, want the two classes that cover 95 %%, the more frequent first", got)
	}
	if sum := got[0].Of + got[1].Of; math.Abs(sum-1) > 1e-12 {
		t.Errorf("their shares sum to %g, want 1", sum)
	}
}

func TestCurvesMeanEventsByRoundedArrivals(t *testing.T) {
	var c Curve
	c.Add(0.4, 1)
	c.Add(0.5, 2) // half goes to the even neighbour
	c.Add(1.5, 3.004)
	if got, ok := c.At(0); !ok || got != 1.5 {
		t.Errorf("at 0 %% it is %g, %t; want 1.5", got, ok)
	}
	if got, ok := c.At(2); !ok || got != 3 {
		t.Errorf("at 2 %% it is %g, %t; want 3: two decimals are kept", got, ok)
	}
	if _, ok := c.At(1); ok {
		t.Error("there is a value at 1 %, where no event was")
	}
}
