package sim

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	fwk "k8s.io/kube-scheduler/framework"
)

func TestTheSignatureUnusedForLongestIsForgotten(t *testing.T) {
	m := newMemories()
	nodes := maxRemembered / 3 // room for three signatures
	a := m.of("a", nodes)
	m.of("b", nodes)
	m.of("c", nodes)
	a.filtered[0] = 7
	if again := m.of("a", nodes); again != a || again.filtered[0] != 7 {
		t.Error("a was forgotten with room for three")
	}
	d := m.of("d", nodes)
	if diff := cmp.Diff([]string{"a", "c", "d"}, slices.Sorted(maps.Keys(m.bySignature))); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if d.filtered[0] != never || d.scored[nodes-1] != never {
		t.Error("d knows what b knew")
	}
}

func TestStatusesThatSayTheSameAreOne(t *testing.T) {
	m := newMemories()
	first := m.canonical(fwk.NewStatus(fwk.Unschedulable, "Insufficient cpu").WithPlugin("Fit"))
	for name, c := range map[string]struct {
		status *fwk.Status
		same   bool
	}{
		"the same":       {fwk.NewStatus(fwk.Unschedulable, "Insufficient cpu").WithPlugin("Fit"), true},
		"another code":   {fwk.NewStatus(fwk.UnschedulableAndUnresolvable, "Insufficient cpu").WithPlugin("Fit"), false},
		"another plugin": {fwk.NewStatus(fwk.Unschedulable, "Insufficient cpu").WithPlugin("Other"), false},
		"another reason": {fwk.NewStatus(fwk.Unschedulable, "Insufficient memory").WithPlugin("Fit"), false},
	} {
		if got := m.canonical(c.status) == first; got != c.same {
			t.Errorf("%s: one with the first: %t, want %t", name, got, c.same)
		}
	}
	if m.canonical(&fwk.Status{}) != nil || m.canonical(nil) != nil {
		t.Error("a success is not nil")
	}
}
