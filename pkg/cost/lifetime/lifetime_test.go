package lifetime_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost/lifetime"
	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

var (
	cart = workload.Key{Namespace: "shop", Kind: "Deployment", Name: "cart"}
	mail = workload.Key{Namespace: "shop", Kind: "Deployment", Name: "mail"}
	none workload.Key
)

type resident struct {
	owner workload.Key
	lives time.Duration
}

func occupied(residents ...resident) lifetime.Occupancy {
	var owners []lifetime.Owner
	for _, r := range residents {
		owners = lifetime.Join(owners, r.owner, lifetimes.Exact(r.lives))
	}
	return lifetime.Of(owners)
}

// Lives of 1, 2, 4, ... hours end where a part of the grid ends, so that the sum
// is exact.
func TestShareOfKnownLifetimes(t *testing.T) {
	const h = time.Hour
	const forever = 1000 * h
	tests := map[string]struct {
		lives   time.Duration
		node    lifetime.Occupancy
		longest time.Duration // of the node's pods
		want    float64       // hours
	}{
		"alone on a node a pod keeps it all its life":           {4 * h, lifetime.Empty(), 0, 4},
		"a pod that ends at once keeps nothing":                 {0, lifetime.Empty(), 0, 0},
		"a pod keeps no longer than the grid looks ahead":       {forever, lifetime.Empty(), 0, 307200.0 / 3600},
		"beside a pod that outlives it a pod costs nothing":     {2 * h, occupied(resident{cart, 64 * h}), 64 * h, 0},
		"beside a pod that ends with it a pod costs nothing":    {3 * h, occupied(resident{cart, 3 * h}), 3 * h, 0},
		"a pod costs the time by which it outlives the others":  {16 * h, occupied(resident{cart, 2 * h}), 2 * h, 14},
		"the longest of the others counts":                      {16 * h, occupied(resident{cart, 2 * h}, resident{mail, 8 * h}), 8 * h, 8},
		"siblings count as the longest of them":                 {16 * h, occupied(resident{cart, 8 * h}, resident{cart, 2 * h}), 8 * h, 8},
		"a pod without owner counts by itself, as others do":    {16 * h, occupied(resident{none, 2 * h}, resident{none, 8 * h}), 8 * h, 8},
		"a node whose pods are about to end is almost empty":    {4 * h, occupied(resident{cart, 0}), 0, 4},
		"a node whose pods never end costs nothing for any pod": {forever, occupied(resident{cart, forever}), forever, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := test.want * 3600 / lifetime.Horizon
			if got := lifetime.Share(lifetimes.Exact(test.lives), test.node); math.Abs(got-want) > 1e-9 {
				t.Errorf("share = %v, want %v", got, want)
			}
			if got := lifetime.ShareKnown(test.lives, test.longest); math.Abs(got-want) > 1e-9 {
				t.Errorf("share of known lives = %v, want %v", got, want)
			}
		})
	}
}

func TestSiblingsAreNotCountedEachByItself(t *testing.T) {
	half := lifetimes.Curve{1, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5, .5}
	twoOf := func(a, b workload.Key) float64 {
		owners := lifetime.Join(lifetime.Join(nil, a, half), b, half)
		return lifetime.Share(half, lifetime.Of(owners))
	}
	one := lifetime.Share(half, lifetime.Of(lifetime.Join(nil, cart, half)))
	if siblings := twoOf(cart, cart); siblings != one {
		t.Errorf("two siblings %v, one pod %v", siblings, one)
	}
	for name, share := range map[string]float64{"strangers": twoOf(cart, mail), "pods without owner": twoOf(none, none)} {
		if math.Abs(share-one/2) > 1e-12 {
			t.Errorf("two %s %v, want half of one, %v", name, share, one/2)
		}
	}
}

func TestAnOccupiedNodeCostsNothingNow(t *testing.T) {
	node := occupied(resident{cart, time.Hour})
	if node[0] != 0 || lifetime.Empty()[0] != 1 {
		t.Errorf("occupancy now is %v, of an empty node %v", node[0], lifetime.Empty()[0])
	}
}

// curve draws any curve that survival can take.
func curve(t *rapid.T, name string) lifetimes.Curve {
	var c lifetimes.Curve
	alive := 1.0
	for j := range c {
		c[j] = alive
		alive *= rapid.Float64Range(0, 1).Draw(t, name)
	}
	return c
}

func node(t *rapid.T) []lifetime.Owner {
	var owners []lifetime.Owner
	for range rapid.IntRange(0, 5).Draw(t, "pods") {
		owners = lifetime.Join(owners, rapid.SampledFrom([]workload.Key{none, cart, mail}).Draw(t, "owner"), curve(t, "resident"))
	}
	return owners
}

func TestShareStaysInItsRangeForAnyNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pod, resident lifetimes.Curve
		for j := range pod {
			pod[j], resident[j] = rapid.Float64().Draw(t, "pod"), rapid.Float64().Draw(t, "resident")
		}
		pod[3] = rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0.5}).Draw(t, "odd")
		resident[4] = pod[3]
		owners := lifetime.Join(node(t), cart, resident)
		got := lifetime.Share(pod, lifetime.Of(owners))
		if !(got >= 0 && got <= lifetime.MaxShare+1e-9) {
			t.Fatalf("share %v", got)
		}
	})
}

func TestShareNeverFallsWithThePodsSurvival(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod, occupancy := curve(t, "pod"), lifetime.Of(node(t))
		longer := pod
		for j := range longer {
			longer[j] = max(longer[j], rapid.Float64Range(0, 1).Draw(t, "more"))
		}
		if short, long := lifetime.Share(pod, occupancy), lifetime.Share(longer, occupancy); long < short {
			t.Fatalf("share %v of the pod that lives longer, %v of the other", long, short)
		}
	})
}

func TestShareNeverGrowsWithWhatTheNodeHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod, owners := curve(t, "pod"), node(t)
		before := lifetime.Share(pod, lifetime.Of(owners))
		owner := rapid.SampledFrom([]workload.Key{none, cart, mail}).Draw(t, "new owner")
		after := lifetime.Share(pod, lifetime.Of(lifetime.Join(owners, owner, curve(t, "new"))))
		if after > before {
			t.Fatalf("share %v beside one more pod, %v before", after, before)
		}
	})
}

func TestReusedBuffersAllocateNothing(t *testing.T) {
	buffer := make([]lifetime.Owner, 0, 8)
	pod := lifetimes.Exact(time.Hour)
	allocated := testing.AllocsPerRun(100, func() {
		owners := lifetime.Join(lifetime.Join(buffer[:0], cart, pod), mail, pod)
		if lifetime.Share(pod, lifetime.Of(owners)) < 0 {
			t.Error("share below 0")
		}
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func BenchmarkShare(b *testing.B) {
	occupancy, pod := occupied(resident{cart, time.Hour}), lifetimes.Exact(20*time.Hour)
	for b.Loop() {
		if lifetime.Share(pod, occupancy) <= 0 {
			b.Fatal("no share")
		}
	}
}
