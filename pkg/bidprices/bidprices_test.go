package bidprices_test

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/bidprices"
)

// cores has 10 nodes of 16 cores and 64 GiB, and pods of 4 cores with 8 GiB and
// of 3 cores with 16 GiB.
func cores() bidprices.Problem {
	return bidprices.Problem{
		Resources: 2,
		Shapes: []bidprices.Shape{
			{Weight: 100, Requests: []float64{4, 8}},
			{Weight: 50, Requests: []float64{3, 16}},
		},
		Kinds: []bidprices.Kind{{Shapes: []int{0, 1}}},
		Types: []bidprices.Type{{Capacity: []float64{16, 64}, Count: 10}},
	}
}

// gpus has nodes of two models with 2 and 8 devices; shares of half a device,
// single devices, and pods of 8; the second kind of node takes all, the first
// no pods of shape 2.
func gpus() bidprices.Problem {
	return bidprices.Problem{
		Resources: 1,
		Shapes: []bidprices.Shape{
			{Weight: 40, Requests: []float64{2}, Devices: 1, Milli: 500},
			{Weight: 40, Requests: []float64{8}, Devices: 1, Milli: 1000},
			{Weight: 5, Requests: []float64{32}, Devices: 8, Milli: 1000},
			{Weight: 20, Requests: []float64{1}},
		},
		Kinds: []bidprices.Kind{
			{Shapes: []int{0, 1}, Devices: true},
			{Shapes: []int{0, 1, 2}, Devices: true},
		},
		Types: []bidprices.Type{
			{Kind: 0, Capacity: []float64{32}, Devices: 2, Count: 20},
			{Kind: 1, Capacity: []float64{96}, Devices: 8, Count: 10},
		},
	}
}

func node(kind int, free ...float64) *bidprices.Node {
	n := &bidprices.Node{Kind: kind}
	copy(n.Free[:], free)
	return n
}

func value(p *bidprices.Prices, n *bidprices.Node) float64 {
	var hint bidprices.Hint
	return p.Value(n, &hint)
}

func TestWithoutPricesEverythingIsWorthNothing(t *testing.T) {
	var none *bidprices.Prices
	if got := value(none, node(0, 16, 64)); got != 0 {
		t.Errorf("nil prices: %v", got)
	}
	empty := cores()
	empty.Shapes = nil
	empty.Kinds[0].Shapes = nil
	if got := value(bidprices.Solve(empty, 10), node(0, 16, 64)); got != 0 {
		t.Errorf("empty mix: %v", got)
	}
	if got := value(bidprices.Solve(cores(), 10), node(7, 16, 64)); got != 0 {
		t.Errorf("unknown kind: %v", got)
	}
}

func TestAGapThatNoShapeFillsIsWorthNothing(t *testing.T) {
	p := bidprices.Solve(cores(), 100)
	gap, fits := value(p, node(0, 2.9, 64)), value(p, node(0, 3, 64))
	if fits < 0.1 || gap > 0.2*fits {
		t.Errorf("2.9 cores are worth %v, 3 cores %v: no pod asks for less than 3", gap, fits)
	}
	full := value(p, node(0, 16, 64))
	if full < 0.8 || full > 1.3 {
		t.Errorf("an empty node is worth %v nodes", full)
	}
	if left := value(p, node(0, 16, 1)); left > 0.1*full {
		t.Errorf("16 cores beside 1 GiB are worth %v of %v: no pod asks for less than 8 GiB", left, full)
	}
}

func TestTheShapeInShortSupplyIsDearer(t *testing.T) {
	p := gpus()
	solved := bidprices.Solve(p, 300)
	// A device cut into halves hosts two shares, so by size a share is worth half
	// of a whole one; the price of eight includes that only half the devices sit
	// where eight are together.
	if share, whole, eight := solved.Of(0), solved.Of(1), solved.Of(2); !(share < whole && 7*whole < eight) {
		t.Errorf("a half costs %v, a whole %v, eight %v", share, whole, eight)
	}
	if got := solved.Of(3); got != 0 {
		t.Errorf("a shape without devices has the price %v where all nodes have devices", got)
	}
	small := &bidprices.Node{Kind: 0, Free: [bidprices.MaxResources]float64{32}, Whole: 1}
	broken := &bidprices.Node{Kind: 1, Free: [bidprices.MaxResources]float64{96}, Whole: 8}
	after := *broken
	after.Whole = 7
	taken := *small
	taken.Whole = 0
	if lost, there := value(solved, broken)-value(solved, &after), value(solved, small)-value(solved, &taken); lost <= there {
		t.Errorf("breaking eight devices costs %v, a single one %v", lost, there)
	}
}

func TestSolveMeetsDemandEverywhere(t *testing.T) {
	// At the solution another hundred steps move nothing.
	first := gpus()
	solved := bidprices.Solve(first, 500)
	again := gpus()
	for i := range again.Shapes {
		again.Shapes[i].Price = solved.Of(i)
	}
	next := bidprices.Solve(again, 100)
	for i := range again.Shapes {
		if was, is := solved.Of(i), next.Of(i); math.Abs(was-is) > 0.01*was {
			t.Errorf("shape %d: price moved on from %v to %v", i, was, is)
		}
	}
}

func TestASizeIsNotLostToRounding(t *testing.T) {
	// 64 pods of a quarter core fill 16 cores whatever the cells are.
	p := cores()
	p.Shapes = []bidprices.Shape{{Weight: 1, Requests: []float64{0.257, 0}}}
	p.Kinds[0].Shapes = []int{0}
	solved := bidprices.Solve(p, 50)
	half, full := value(solved, node(0, 8, 64)), value(solved, node(0, 16, 64))
	if ratio := half / full; math.Abs(ratio-0.5) > 0.01 {
		t.Errorf("half a node is worth %v of a whole one", ratio)
	}
}

func TestHugeAndTinyPricesStayFinite(t *testing.T) {
	p := cores()
	p.Shapes = append(p.Shapes,
		bidprices.Shape{Weight: 1, Requests: []float64{1e18, 1e18}},
		bidprices.Shape{Weight: 1e9, Requests: []float64{1e-3, 1e-3}},
		bidprices.Shape{Weight: math.NaN(), Requests: []float64{1, 1}},
		bidprices.Shape{Weight: 1, Requests: []float64{0, 0}},
		bidprices.Shape{Weight: 1, Requests: []float64{15.9, 1}, Price: 1e9})
	p.Kinds[0].Shapes = []int{0, 1, 2, 3, 4, 5, 6}
	solved := bidprices.Solve(p, 100)
	for _, free := range [][]float64{{16, 64}, {0, 0}, {-5, -5}, {1e12, 1e12}} {
		if got := value(solved, node(0, free...)); math.IsNaN(got) || math.IsInf(got, 0) {
			t.Errorf("free %v: %v", free, got)
		}
	}
}

func TestMoreIsNeverWorthLess(t *testing.T) {
	problems := map[string]*bidprices.Prices{"cores": bidprices.Solve(cores(), 50), "gpus": bidprices.Solve(gpus(), 50)}
	rapid.Check(t, func(t *rapid.T) {
		for name, p := range problems {
			n := node(0, rapid.Float64Range(0, 16).Draw(t, "cpu"), rapid.Float64Range(0, 64).Draw(t, "memory"))
			n.Whole = rapid.IntRange(0, 1).Draw(t, "whole")
			n.Partial = []int64{rapid.Int64Range(0, 999).Draw(t, "partial")}
			more := *n
			more.Free[0] += rapid.Float64Range(0, 8).Draw(t, "more cpu")
			more.Free[1] += rapid.Float64Range(0, 8).Draw(t, "more memory")
			more.Whole++
			if was, is := value(p, n), value(p, &more); is < was-1e-9 {
				t.Fatalf("%s: %+v is worth %v, %+v is worth %v", name, n, was, more, is)
			}
		}
	})
}

func TestTheHintChangesNothing(t *testing.T) {
	p := bidprices.Solve(gpus(), 50)
	rapid.Check(t, func(t *rapid.T) {
		n := &bidprices.Node{Kind: 1, Whole: rapid.IntRange(0, 8).Draw(t, "whole")}
		n.Free[0] = rapid.Float64Range(0, 96).Draw(t, "cpu")
		hint := bidprices.Hint{rapid.Uint8().Draw(t, "hint")}
		if from, fresh := p.Value(n, &hint), value(p, n); math.Abs(from-fresh) > 1e-9 {
			t.Fatalf("%+v: %v from a hint, %v without", n, from, fresh)
		}
	})
}

func TestSolveDoesNotDependOnTheOrderOfShapes(t *testing.T) {
	forward, backward := gpus(), gpus()
	backward.Shapes[0], backward.Shapes[1] = backward.Shapes[1], backward.Shapes[0]
	backward.Kinds[0].Shapes = []int{1, 0}
	a, b := bidprices.Solve(forward, 50), bidprices.Solve(backward, 50)
	if math.Abs(a.Of(0)-b.Of(1)) > 1e-9 || math.Abs(a.Of(1)-b.Of(0)) > 1e-9 {
		t.Errorf("prices %v, %v and %v, %v", a.Of(0), a.Of(1), b.Of(1), b.Of(0))
	}
}

// many has a mix of 150 shapes over 5 resources and 100 types of node of 8 kinds.
func many(types int) bidprices.Problem {
	p := bidprices.Problem{Resources: 5}
	for i := range 150 {
		size := float64(1+i%37) / 4
		s := bidprices.Shape{Weight: float64(1 + i%11), Requests: []float64{size, size * float64(1+i%7), 1, float64(i % 3), 1}}
		if i%5 == 0 {
			s.Devices, s.Milli = 1+i%2, 1000
		}
		p.Shapes = append(p.Shapes, s)
	}
	for k := range 8 {
		kind := bidprices.Kind{Devices: k%4 == 0}
		for i := range p.Shapes {
			if (i+k)%5 > 0 {
				kind.Shapes = append(kind.Shapes, i)
			}
		}
		p.Kinds = append(p.Kinds, kind)
	}
	for i := range types {
		cores := float64(8 * (1 + i%12))
		p.Types = append(p.Types, bidprices.Type{Kind: i % 8, Capacity: []float64{cores, cores * 4, 100, 8, 110}, Devices: i % 9, Count: 50})
	}
	return p
}

func BenchmarkValue(b *testing.B) {
	p := bidprices.Solve(many(100), 10)
	for kind, name := range map[int]string{0: "devices", 1: "plain"} {
		b.Run(name, func(b *testing.B) {
			n := node(kind, 17, 60, 80, 4, 60)
			n.Whole, n.Partial = 2, []int64{370, 250}
			var hint bidprices.Hint
			b.ReportAllocs()
			sum := 0.0
			for b.Loop() {
				sum += p.Value(n, &hint)
			}
			if sum == 0 {
				b.Error("the node is worth nothing: nothing was measured")
			}
		})
	}
}

func BenchmarkSolve(b *testing.B) {
	for _, types := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("types=%d", types), func(b *testing.B) {
			p := many(types)
			solved := bidprices.Solve(p, 200)
			for i := range p.Shapes {
				p.Shapes[i].Price = solved.Of(i)
			}
			for b.Loop() {
				bidprices.Solve(p, 30)
			}
		})
	}
}
