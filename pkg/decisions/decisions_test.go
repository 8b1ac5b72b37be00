package decisions_test

import (
	"encoding/json"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
)

func stranded(shares float64) cost.Breakdown {
	return cost.Breakdown{}.With(cost.Stranding, shares)
}

func TestSentence(t *testing.T) {
	chosen := decisions.Option{Node: "node-a-03", Cost: stranded(0.031)}
	runnersUp := []decisions.Option{{Node: "node-b-07", Cost: stranded(0.047)}, {Node: "node-d-01", Cost: stranded(0.05)}}
	tests := map[string]struct {
		decision decisions.Decision
		want     string
		outcome  decisions.Outcome
	}{
		"the node of least cost wins": {
			decision: decisions.Decision{Chosen: chosen, RunnersUp: runnersUp, Candidates: 38, Favourite: "node-a-03"},
			want: "default/web-5c9 went to node-a-03 (cost 0.031 of a node: stranding 0.031)" +
				" rather than node-b-07 (0.047: stranding 0.047), 38 candidates",
			outcome: decisions.Won,
		},
		"another plugin outweighs the cost": {
			decision: decisions.Decision{
				Chosen:     decisions.Option{Node: "node-c", Cost: stranded(0.2).With(cost.Opening, 1)},
				RunnersUp:  runnersUp,
				Candidates: 2,
				Favourite:  "node-b-07",
			},
			want: "default/web-5c9 went to node-c (cost 1.2 of a node: opening 1 + stranding 0.2)" +
				" rather than node-b-07 (0.047: stranding 0.047), 2 candidates;" +
				" node-b-07 costs least, but other plugins outweighed it",
			outcome: decisions.Outweighed,
		},
		"nothing was compared": {
			decision: decisions.Decision{Chosen: chosen},
			want:     "default/web-5c9 went to node-a-03 (cost 0.031 of a node: stranding 0.031), no other node compared",
			outcome:  decisions.Uncompared,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.decision.Namespace, test.decision.Pod = "default", "web-5c9"
			if diff := cmp.Diff(test.want, test.decision.Sentence()); diff != "" {
				t.Errorf("Sentence (-want +got):\n%s", diff)
			}
			if got := test.decision.Outcome(); got != test.outcome {
				t.Errorf("Outcome = %s, want %s", got, test.outcome)
			}
		})
	}
}

func TestDecisionSurvivesJSON(t *testing.T) {
	want := decisions.Decision{
		Time:       time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		Namespace:  "default",
		Pod:        "web",
		UID:        "u1",
		Chosen:     decisions.Option{Node: "a", Cost: stranded(0.25)},
		RunnersUp:  []decisions.Option{{Node: "b", Cost: stranded(0.5)}, {Node: "c", Cost: stranded(0.75)}},
		Candidates: 2,
		Favourite:  "a",
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got decisions.Decision
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b cost.Breakdown) bool { return a == b })); diff != "" {
		t.Errorf("after %s (-want +got):\n%s", data, diff)
	}
}

func TestRingKeepsTheLatest(t *testing.T) {
	tests := map[string]struct {
		capacity, add, ask int
		want               []string
	}{
		"nothing added, nothing kept":          {capacity: 3, add: 0, ask: 5, want: []string{}},
		"newest first":                         {capacity: 3, add: 2, ask: 5, want: []string{"1", "0"}},
		"the oldest goes when it is full":      {capacity: 3, add: 7, ask: 5, want: []string{"6", "5", "4"}},
		"no more than asked for":               {capacity: 3, add: 7, ask: 1, want: []string{"6"}},
		"a negative number asks for none":      {capacity: 3, add: 7, ask: -1, want: []string{}},
		"capacity 0 keeps nothing":             {capacity: 0, add: 7, ask: 5, want: []string{}},
		"a negative capacity keeps nothing":    {capacity: -2, add: 7, ask: 5, want: []string{}},
		"asking for all with a huge number":    {capacity: 2, add: 2, ask: 1 << 40, want: []string{"1", "0"}},
		"a capacity beyond the range is moved": {capacity: 1 << 40, add: 1, ask: 5, want: []string{"0"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ring := decisions.NewRing(test.capacity)
			add(ring, 0, test.add)
			if diff := cmp.Diff(test.want, pods(ring.Latest(test.ask))); diff != "" {
				t.Errorf("Latest (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRingForgetsNothingWhenItGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity, ring := 0, &decisions.Ring{}
		var model []string // newest last
		for next := 0; next < 60; {
			if rapid.Bool().Draw(t, "grow") {
				asked := rapid.IntRange(0, 20).Draw(t, "capacity")
				ring.Grow(asked)
				capacity = max(capacity, asked)
			}
			n := rapid.IntRange(1, 10).Draw(t, "add")
			add(ring, next, n)
			for range n {
				model = append(model, strconv.Itoa(next))
				next++
				model = model[max(0, len(model)-capacity):]
			}
		}
		want := make([]string, 0, len(model))
		for i := len(model) - 1; i >= 0; i-- {
			want = append(want, model[i])
		}
		if diff := cmp.Diff(want, pods(ring.Latest(100))); diff != "" {
			t.Fatalf("Latest (-want +got):\n%s", diff)
		}
	})
}

func TestRingServesManyAtOnce(t *testing.T) {
	ring := decisions.NewRing(8)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() { add(ring, 0, 100) })
		group.Go(func() { ring.Grow(16); _ = ring.Latest(8) })
	}
	group.Wait()
	if got := ring.Total(); got != 400 {
		t.Errorf("%d decisions added, want 400", got)
	}
}

func add(ring *decisions.Ring, first, n int) {
	for i := first; i < first+n; i++ {
		ring.Add(decisions.Decision{Pod: strconv.Itoa(i)})
	}
}

func pods(kept []decisions.Decision) []string {
	names := make([]string, 0, len(kept))
	for _, d := range kept {
		names = append(names, d.Pod)
	}
	return names
}
