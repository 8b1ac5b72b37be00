package topology

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

func TestPlacesFindWhatAMapFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, want := newPlaces(), map[string][]DomainID{}
		for i := range rapid.IntRange(1, 300).Draw(t, "steps") {
			node := fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "node"))
			if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				p.remove(node)
				delete(want, node)
			} else {
				want[node] = []DomainID{{Index: int32(i)}}
				p.set(node, want[node])
			}
		}
		for i := range 62 {
			node := fmt.Sprint(i)
			if diff := cmp.Diff(want[node], p.find(node)); diff != "" {
				t.Fatalf("node %s (-want +got):\n%s", node, diff)
			}
		}
		if slots := len(p.table.Load().slots); p.live != len(want) || 2*p.used > slots || slots > 1024 {
			t.Fatalf("%d live, %d used of %d slots, want %d live", p.live, p.used, slots, len(want))
		}
	})
}

func TestNodesThatAreGoneAndHoldNothingAreForgotten(t *testing.T) {
	r := NewReplicas(NewTree(DefaultLevels()))
	for i := range 100 {
		name := fmt.Sprint(i)
		r.SetNode(name, nil)
		r.Add(Replica{UID: types.UID(name), Node: name, State: Live, Keys: []Key{SelectedBy("all")}})
		r.Add(Replica{UID: types.UID(name + " elsewhere"), Node: name + " elsewhere", State: Live, Keys: []Key{SelectedBy("all")}})
		r.RemoveNode(name)
		r.Remove(types.UID(name))
		r.Remove(types.UID(name + " elsewhere"))
	}
	if len(r.nodes) != 0 || len(r.groups) != 0 || len(r.pods) != 0 || r.tree.Nodes() != 0 {
		t.Errorf("left are %d nodes, %d groups, %d pods, %d nodes of the tree", len(r.nodes), len(r.groups), len(r.pods), r.tree.Nodes())
	}
}

// A node that is there all the time is found at any time, while others come and go.
func TestPlacesAreReadWhileTheyChange(t *testing.T) {
	p, done := newPlaces(), make(chan struct{})
	p.set("steady", []DomainID{{Generation: 1}})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if p.find("steady") == nil || p.find("never") != nil {
					t.Error("a node is lost, or one is found that never was")
					return
				}
			}
		})
	}
	for i := range 20_000 {
		p.set(fmt.Sprint(i), []DomainID{{}})
		p.set("steady", []DomainID{{Generation: uint32(i + 1)}})
		if i >= 50 {
			p.remove(fmt.Sprint(i - 50))
		}
	}
	close(done)
	readers.Wait()
	if slots := len(p.table.Load().slots); p.live != 51 || 2*p.used > slots {
		t.Errorf("%d nodes and %d of %d slots used, want 51 and at most half", p.live, p.used, slots)
	}
}
