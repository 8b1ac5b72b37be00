package topology

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
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
	if p.live != 51 {
		t.Errorf("%d nodes, want 51", p.live)
	}
}
