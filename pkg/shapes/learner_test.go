package shapes_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

var start = time.Unix(1_790_000_000, 0)

func cpu(milli int64) shapes.Shape {
	return shapes.Shape{Requests: []shapes.Request{{Name: v1.ResourceCPU, Amount: milli}}}
}

func newLearner(t testing.TB, c shapes.Config) *shapes.Learner {
	t.Helper()
	l, err := shapes.NewLearner(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// show writes a mix as "cpu=1000 x2, cpu=500 x1; cpu=2500".
func show(m *shapes.Mix) string {
	var lines, sums []string
	for _, s := range m.Shapes {
		lines = append(lines, fmt.Sprintf("%s x%.4g", s.Key, s.Weight))
	}
	for _, r := range m.Requested {
		sums = append(sums, fmt.Sprintf("%s=%d", r.Name, r.Amount))
	}
	return strings.Join(lines, ", ") + "; " + strings.Join(sums, ",")
}

func TestMix(t *testing.T) {
	const waiting, bound = false, true
	tests := map[string]struct {
		events func(l *shapes.Learner)
		want   string
	}{
		"no pods make an empty mix": {func(*shapes.Learner) {}, "; "},
		"bound and waiting pods count alike, the heaviest first": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), bound, start)
			l.Seen("b", cpu(1000), waiting, start)
			l.Seen("c", cpu(1000), bound, start)
		}, "cpu=1000 x2, cpu=500 x1; cpu=2500"},
		"equal weights stand in the order of their keys": {func(l *shapes.Learner) {
			l.Seen("a", cpu(900), bound, start)
			l.Seen("b", cpu(100), bound, start)
		}, "cpu=100 x1, cpu=900 x1; cpu=1000"},
		"an event told twice counts once": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), waiting, start)
			l.Seen("a", cpu(500), waiting, start)
			l.Seen("a", cpu(500), bound, start)
		}, "cpu=500 x1; cpu=500"},
		"a resize moves the pod to its new shape": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), bound, start)
			l.Seen("a", cpu(700), bound, start)
		}, "cpu=700 x1; cpu=700"},
		"a pod that ran counts no more once it ended": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), bound, start)
			l.Gone("a", start)
			l.Gone("a", start)
		}, "; "},
		"a bound pod stays bound, whatever an old update says": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), bound, start)
			l.Seen("a", cpu(500), waiting, start)
			l.Gone("a", start)
		}, "; "},
		"demand that was never met keeps half after a half-life": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), waiting, start)
			l.Gone("a", start.Add(-time.Hour))
		}, "cpu=500 x0.5; "},
		"unmet demand of two times adds up as it counts now": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), waiting, start)
			l.Seen("b", cpu(500), waiting, start)
			l.Gone("a", start.Add(-2*time.Hour))
			l.Gone("b", start.Add(-time.Hour))
		}, "cpu=500 x0.75; "},
		"unmet demand of long ago is forgotten": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), waiting, start)
			l.Gone("a", start.Add(-7*time.Hour))
		}, "; "},
		"a clock that steps back makes nothing heavier": {func(l *shapes.Learner) {
			l.Seen("a", cpu(500), waiting, start)
			l.Gone("a", start.Add(time.Hour))
		}, "cpu=500 x1; "},
		"a pod that was never seen is not missed": {func(l *shapes.Learner) { l.Gone("a", start) }, "; "},
		"sums beyond int64 come back exactly": {func(l *shapes.Learner) {
			l.Seen("a", cpu(math.MaxInt64), bound, start)
			l.Seen("b", cpu(math.MaxInt64), bound, start)
			l.Seen("c", cpu(7), bound, start)
			l.Gone("a", start)
			l.Gone("b", start)
		}, "cpu=7 x1; cpu=7"},
		"a sum beyond int64 is the largest": {func(l *shapes.Learner) {
			l.Seen("a", cpu(math.MaxInt64), bound, start)
			l.Seen("b", cpu(1), bound, start)
		}, "cpu=1 x1, cpu=9223372036854775807 x1; cpu=9223372036854775807"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := newLearner(t, shapes.Config{})
			test.events(l)
			if diff := cmp.Diff(test.want, show(l.Mix(start))); diff != "" {
				t.Errorf("mix (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLatestIsTheSnapshotBeforeAndChangedCountsNewPods(t *testing.T) {
	l := newLearner(t, shapes.Config{})
	if got := show(l.Latest()); got != "; " {
		t.Errorf("before the first snapshot the mix is %q", got)
	}
	l.Seen("a", cpu(500), false, start)
	l.Seen("a", cpu(500), true, start)
	l.Seen("b", cpu(500), false, start)
	first := l.Mix(start)
	l.Seen("c", cpu(500), false, start)
	if l.Latest() != first || first.Changed != 2 || show(first) != "cpu=500 x2; cpu=1000" {
		t.Errorf("the snapshot is %q with %d changes after one more pod", show(l.Latest()), l.Latest().Changed)
	}
	if second := l.Mix(start); second.Changed != 1 || second.Weight != 3 {
		t.Errorf("second snapshot: %d changes, weight %v", second.Changed, second.Weight)
	}
}

func TestLearnerFoldsTheLightestShapesAway(t *testing.T) {
	l := newLearner(t, shapes.Config{MaxShapes: 2})
	seen := func(uid types.UID, milli int64) { l.Seen(uid, cpu(milli), true, start) }
	seen("a1", 100)
	seen("a2", 100)
	seen("b1", 200)
	seen("c1", 300)
	want := "cpu=100 x2, cpu=300 x1; cpu=700"
	if got := show(l.Mix(start)); got != want {
		t.Fatalf("mix %q, want %q: the lightest is not listed, yet in the sum", got, want)
	}
	seen("b1", 200)
	if got := show(l.Mix(start)); got != want {
		t.Fatalf("an update of a folded pod made it %q", got)
	}
	l.Gone("c1", start)
	l.Mix(start)
	seen("b2", 200)
	seen("b1", 200)
	if got, want := show(l.Mix(start)), "cpu=100 x2, cpu=200 x2; cpu=600"; got != want {
		t.Fatalf("mix %q, want %q: a new pod lists the shape again, an update joins it", got, want)
	}
	for _, uid := range []types.UID{"a1", "a2", "b1", "b2"} {
		l.Gone(uid, start)
	}
	if got := show(l.Mix(start)); got != "; " {
		t.Fatalf("with all pods gone the mix is %q", got)
	}
}

func TestLearnerKeepsItsBoundsAndItsSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := shapes.NewLearner(shapes.Config{MaxShapes: 5})
		if err != nil {
			t.Fatal(err)
		}
		live := map[types.UID]int64{}
		now := start
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			uid := types.UID(rapid.StringMatching("[a-j]").Draw(t, "uid"))
			if rapid.Bool().Draw(t, "gone") {
				l.Gone(uid, now)
				delete(live, uid)
				continue
			}
			milli := rapid.Int64Range(1, 12).Draw(t, "milli")
			l.Seen(uid, cpu(milli), rapid.Bool().Draw(t, "bound"), now)
			live[uid] = milli
		}
		var want, got int64
		for _, milli := range live {
			want += milli
		}
		m := l.Mix(now)
		for _, r := range m.Requested {
			got += r.Amount
		}
		sum := 0.0
		for i, s := range m.Shapes {
			sum += s.Weight
			if s.Weight <= 0 || i > 0 && s.Weight > m.Shapes[i-1].Weight {
				t.Fatalf("weight %v after %v", s.Weight, m.Shapes[max(0, i-1)].Weight)
			}
		}
		if got != want || len(m.Shapes) > 5 || sum != m.Weight {
			t.Fatalf("requested %d, want %d; %d shapes; weight %v, want %v", got, want, len(m.Shapes), m.Weight, sum)
		}
	})
}

func TestNewLearnerRejects(t *testing.T) {
	for name, c := range map[string]shapes.Config{
		"fewer than one shape":    {MaxShapes: -1},
		"more shapes than fit":    {MaxShapes: shapes.MaxMaxShapes + 1},
		"a half-life in the past": {HalfLife: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := shapes.NewLearner(c); err == nil || !strings.Contains(err.Error(), "must be") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// An event is a pod that comes, is bound and goes, a third of it each. Of 600
// shapes 512 have a place, so that folding is in it.
func BenchmarkEvent(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	mix := make([]shapes.Shape, 600)
	for i := range mix {
		mix[i] = shapes.Shape{Requests: []shapes.Request{
			{Name: v1.ResourceCPU, Amount: int64(i) + 1}, {Name: v1.ResourceMemory, Amount: random.Int64N(1 << 40)},
		}}
	}
	uids := make([]types.UID, 10_000)
	for i := range uids {
		uids[i] = types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
	}
	l := newLearner(b, shapes.Config{})
	for i, uid := range uids {
		l.Seen(uid, mix[i%512], true, start)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		switch uid, shape := uids[n/3%len(uids)], mix[(n/3*7)%len(mix)]; n % 3 {
		case 0:
			l.Gone(uid, start)
		case 1:
			l.Seen(uid, shape, false, start)
		case 2:
			l.Seen(uid, shape, true, start)
		}
		n++
	}
	if m := l.Mix(start); len(m.Shapes) < 400 {
		b.Fatalf("%d shapes", len(m.Shapes))
	}
}

func BenchmarkMix(b *testing.B) {
	l := newLearner(b, shapes.Config{})
	for i := range 10_000 {
		l.Seen(types.UID(fmt.Sprint(i)), cpu(int64(i%512)+1), true, start)
	}
	for b.Loop() {
		if len(l.Mix(start).Shapes) != 512 {
			b.Fatal("wrong mix")
		}
	}
}
