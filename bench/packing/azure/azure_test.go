package azure

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

const header = "vm_id,arrival_s,vcpu,mem_gb,lifetime_s,censored,batch\n"

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vms.csv")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestMachinesAreReadInTheOrderOfArrival(t *testing.T) {
	got, err := Read(write(t, header+"b,20,2.0,3.5,60,1,7\na,10,0.5,1,300,0,6\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []VM{
		{ID: "a", Arrival: 10, VCPU: 0.5, MemGB: 1, Lifetime: 300, Batch: 6},
		{ID: "b", Arrival: 20, VCPU: 2, MemGB: 3.5, Lifetime: 60, Censored: true, Batch: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("machines (-want +got):\n%s", diff)
	}
}

func TestWrongMachinesAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no machine":             {header, "no machine"},
		"memory is not a number": {header + "a,1,1,NaN,1,0,0\n", `vms.csv:2: mem_gb: "NaN": must be a number from 0 to`},
		"no lifetime":            {header + "a,1,1,1,0,0,0\n", `vms.csv:2: lifetime_s: "0": must be a whole number from 1 to`},
		"censored is no bool":    {header + "a,1,1,1,1,2,0\n", `vms.csv:2: censored: "2": must be a whole number from 0 to 1`},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Read(write(t, c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want it to contain %s", err, c.want)
			}
		})
	}
}

func TestEventsOfOneSecondAreDeparturesFirst(t *testing.T) {
	vms := []VM{
		{Arrival: 0, Lifetime: 10},
		{Arrival: 5, Lifetime: 1, Censored: true},
		{Arrival: 10, Lifetime: 1}, // leaves after the last arrival
	}
	want := []Event{{At: 0, VM: 0}, {At: 5, VM: 1}, {At: 10, VM: 0, Departs: true}, {At: 10, VM: 2}}
	if diff := cmp.Diff(want, Events(vms)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTheBoundOfOneShapeIsWholeNodes(t *testing.T) {
	b := NewBound([]Shape{{VCPU: 10, MemGB: 100, Price: 1}})
	for name, c := range map[string]struct{ vcpu, mem, want float64 }{
		"nothing":        {0, 0, 0},
		"a little":       {0.1, 0, 1},
		"CPU decides":    {25, 100, 3},
		"memory decides": {10, 201, 3},
		"exactly full":   {20, 200, 2},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.Of(c.vcpu, c.mem); got != c.want {
				t.Errorf("bound is %g, want %g", got, c.want)
			}
		})
	}
}

// The dual is at most the price of any purchase, and some purchase of at most two
// shapes reaches it.
func TestTheBoundIsTheCheapestPurchase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var shapes []Shape
		for range rapid.IntRange(2, 4).Draw(t, "shapes") {
			shapes = append(shapes, Shape{
				VCPU:  float64(rapid.IntRange(1, 100).Draw(t, "vcpu")),
				MemGB: float64(rapid.IntRange(1, 100).Draw(t, "mem")),
				Price: float64(rapid.IntRange(1, 100).Draw(t, "price")),
			})
		}
		vcpu, mem := rapid.Float64Range(0.1, 1000).Draw(t, "V"), rapid.Float64Range(0.1, 1000).Draw(t, "M")
		want := math.Inf(1)
		for i, a := range shapes {
			want = min(want, max(vcpu/a.VCPU, mem/a.MemGB)*a.Price)
			for _, b := range shapes[i+1:] {
				det := a.VCPU*b.MemGB - a.MemGB*b.VCPU
				x, y := (vcpu*b.MemGB-mem*b.VCPU)/det, (mem*a.VCPU-vcpu*a.MemGB)/det
				if det != 0 && x >= 0 && y >= 0 {
					want = min(want, x*a.Price+y*b.Price)
				}
			}
		}
		if got := NewBound(shapes).Of(vcpu, mem); math.Abs(got-want) > 1e-6*want {
			t.Fatalf("bound is %g, want %g", got, want)
		}
	})
}
