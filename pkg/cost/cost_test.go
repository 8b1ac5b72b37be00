package cost_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
)

func TestBreakdownExplainsItself(t *testing.T) {
	tests := map[string]struct {
		breakdown cost.Breakdown
		sum       string
		reasons   string
	}{
		"the zero value costs nothing": {
			sum:     "0 = opening 0 + stranding 0 + lifetime 0",
			reasons: "nothing",
		},
		"one term is the whole sum": {
			breakdown: cost.Breakdown{}.With(cost.Stranding, 0.132),
			sum:       "0.132 = opening 0 + stranding 0.132 + lifetime 0",
			reasons:   "stranding 0.132",
		},
		"a ten-thousandth of a node still shows": {
			breakdown: cost.Breakdown{}.With(cost.Opening, 1).With(cost.Stranding, 0.0001),
			sum:       "1.0001 = opening 1 + stranding 0.0001 + lifetime 0",
			reasons:   "opening 1 + stranding 0.0001",
		},
		"all terms are added": {
			breakdown: cost.Breakdown{}.With(cost.Opening, 1).With(cost.Stranding, -0.25).With(cost.Lifetime, 0.5),
			sum:       "1.25 = opening 1 + stranding -0.25 + lifetime 0.5",
			reasons:   "opening 1 + stranding -0.25 + lifetime 0.5",
		},
		"less than half of that prints as 0, without a sign": {
			breakdown: cost.Breakdown{}.With(cost.Stranding, -0.00004),
			sum:       "0 = opening 0 + stranding 0 + lifetime 0",
			reasons:   "nothing",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.sum, test.breakdown.String()); diff != "" {
				t.Errorf("String (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.reasons, test.breakdown.Reasons()); diff != "" {
				t.Errorf("Reasons (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBreakdownMarshalsEveryTermAndTheTotal(t *testing.T) {
	got, err := json.Marshal(cost.Breakdown{}.With(cost.Opening, 1).With(cost.Stranding, 0.25))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"total":1.25,"opening":1,"stranding":0.25,"lifetime":0}`, string(got)); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

func TestBreakdownRejectsWhatItCannotCarry(t *testing.T) {
	if _, err := json.Marshal(cost.Breakdown{}.With(cost.Opening, math.NaN())); err == nil {
		t.Error("marshalling NaN: no error")
	}
	var read cost.Breakdown
	err := json.Unmarshal([]byte(`{"total":1,"gravity":1}`), &read)
	if err == nil || !strings.Contains(err.Error(), `unknown term "gravity"`) {
		t.Errorf("unknown term: got %v", err)
	}
}

func TestBreakdownSumsItsTermsAndSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, breakdown := 0.0, cost.Breakdown{}
		for _, term := range cost.Terms() {
			share := rapid.Float64Range(-10, 10).Draw(t, term.String())
			want += share
			breakdown = breakdown.With(term, share)
			if breakdown.Share(term) != share {
				t.Fatalf("%s reads %v after writing %v", term, breakdown.Share(term), share)
			}
		}
		if breakdown.Total() != want {
			t.Fatalf("total %v, sum of terms %v", breakdown.Total(), want)
		}
		data, err := json.Marshal(breakdown)
		if err != nil {
			t.Fatal(err)
		}
		var read cost.Breakdown
		if err := json.Unmarshal(data, &read); err != nil {
			t.Fatal(err)
		}
		if read != breakdown {
			t.Fatalf("read %v from %s, wrote %v", read, data, breakdown)
		}
	})
}

func TestBreakdownAllocatesNothing(t *testing.T) {
	total := 0.0
	allocs := testing.AllocsPerRun(100, func() {
		total += cost.Breakdown{}.With(cost.Opening, 1).With(cost.Stranding, 0.5).Total()
	})
	if allocs != 0 || total == 0 {
		t.Errorf("%v allocations a breakdown, total %v", allocs, total)
	}
}

func TestEveryTermHasAName(t *testing.T) {
	seen := map[string]bool{}
	for _, term := range cost.Terms() {
		if term.String() == "" || seen[term.String()] {
			t.Errorf("term %d is called %q, twice or not at all", term, term)
		}
		seen[term.String()] = true
	}
	if got := cost.Term(255).String(); got != "unknown term" {
		t.Errorf("a term outside the registry is called %q", got)
	}
}
