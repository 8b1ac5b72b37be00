package lifetimes_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/lifetimes"
	"github.com/plimsoll-k8s/plimsoll/pkg/workload"
)

var (
	start = time.Unix(1_790_000_000, 0)
	small = lifetimes.Key{Shape: "small"}
	cron  = workload.Key{Namespace: "shop", Kind: "CronJob", Name: "report"}
)

func newLearner(t testing.TB, c lifetimes.Config) *lifetimes.Learner {
	t.Helper()
	l, err := lifetimes.NewLearner(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// town is a learner with a clock and names for the pods.
type town struct {
	*lifetimes.Learner
	now  time.Time
	pods int
}

func newTown(t testing.TB, c lifetimes.Config) *town {
	return &town{Learner: newLearner(t, c), now: start}
}

// live lets n pods of a key start now and end after their life.
func (c *town) live(n int, key lifetimes.Key, life time.Duration) {
	for range n {
		c.pods++
		uid := types.UID(fmt.Sprint(c.pods))
		c.Started(uid, key, c.now)
		c.Ended(uid, c.now.Add(life))
	}
}

// half returns after what time about half of the pods of a key are gone.
func half(s *lifetimes.Snapshot, key lifetimes.Key, age time.Duration) time.Duration {
	grid := lifetimes.Grid()
	for j, alive := range s.Survival(key, age) {
		if alive < 0.5 {
			return grid[j]
		}
	}
	return math.MaxInt64
}

func near(t *testing.T, got lifetimes.Curve, want func(seconds float64) float64, tolerance float64) {
	t.Helper()
	for j, ahead := range lifetimes.Grid() {
		if w := want(ahead.Seconds()); math.Abs(got[j]-w) > tolerance {
			t.Errorf("alive after %v: %.3f, want %.3f", ahead, got[j], w)
		}
	}
}

func TestNothingLearnedIsTheLomaxCurve(t *testing.T) {
	l := newLearner(t, lifetimes.Config{})
	for _, age := range []time.Duration{0, time.Minute, time.Hour, 24 * time.Hour, 27 * 24 * time.Hour} {
		a := age.Seconds() + 900
		near(t, l.Latest().Survival(small, age), func(s float64) float64 { return math.Pow(a/(a+s), 0.7) }, 0.01)
	}
}

func TestSurvivalConvergesToWhatIsSeen(t *testing.T) {
	const mean = 4 * 3600
	random := rand.New(rand.NewPCG(7, 7))
	c := newTown(t, lifetimes.Config{})
	for range 20_000 {
		c.live(1, small, time.Duration(random.ExpFloat64()*mean*float64(time.Second)))
	}
	s := c.Refresh(c.now)
	for _, age := range []time.Duration{0, time.Hour, 8 * time.Hour} { // of exponential lives age tells nothing
		near(t, s.Survival(small, age), func(s float64) float64 { return math.Exp(-s / mean) }, 0.03)
	}
}

func TestAnEndOnAnEdgeIsOfTheBinThatThePodLivedIn(t *testing.T) {
	c := newTown(t, lifetimes.Config{})
	c.live(1000, small, 5*time.Minute) // the first bin ends there
	if got := c.Refresh(c.now).Survival(small, 0); math.Abs(got[1]-math.Exp(-1)) > 0.02 {
		t.Errorf("alive after 5 minutes: %.2f, want a constant hazard's 0.37", got[1])
	}
}

func TestPodsThatStillRunCountWithTheirTime(t *testing.T) {
	c := newTown(t, lifetimes.Config{})
	c.live(50, small, 10*time.Minute)
	before := c.Refresh(c.now).Survival(small, 0)
	for i := range 1000 {
		c.Started(types.UID(fmt.Sprint("running", i)), small, c.now)
	}
	after := c.Refresh(c.now.Add(time.Hour)).Survival(small, 0)
	if after[3] < 0.8 || before[3] > 0.3 {
		t.Errorf("alive after 20 minutes: %.2f, %.2f once 1000 pods ran for an hour", before[3], after[3])
	}
}

func TestGroupsSayWhatTheyKnowAndElseWhatTheirParentKnows(t *testing.T) {
	const short, long = 10 * time.Minute, 20 * time.Hour
	large := lifetimes.Key{Shape: "large"}
	c := newTown(t, lifetimes.Config{})
	c.live(400, small, short)
	c.live(200, large, long)
	c.live(200, lifetimes.Key{Shape: "small", Replicas: 100}, long)
	for range 5 { // five runs of a CronJob, an hour apart
		c.now = c.now.Add(time.Hour)
		c.live(10, lifetimes.Key{Shape: "small", Workload: cron}, 3*time.Hour)
	}
	s := c.Refresh(c.now)
	cluster := half(s, lifetimes.Key{Shape: "never seen"}, 0)
	tests := map[string]struct {
		key            lifetimes.Key
		atLeast, below time.Duration
	}{
		"a shape of short lives":                                  {small, 0, 6 * time.Hour},
		"a shape of long lives":                                   {large, 10 * time.Hour, 43 * time.Hour},
		"many replicas of the shape live long":                    {lifetimes.Key{Shape: "small", Replicas: 64}, 10 * time.Hour, 43 * time.Hour},
		"a number of replicas not seen is as the shape":           {lifetimes.Key{Shape: "small", Replicas: 7}, half(s, small, 0), half(s, small, 0) + 1},
		"a workload with a history knows itself":                  {lifetimes.Key{Shape: "never seen", Workload: cron}, 160 * time.Minute, 6 * time.Hour},
		"a workload without history is as its shape":              {lifetimes.Key{Shape: "large", Workload: workload.Key{Kind: "Job", Name: "x"}}, 10 * time.Hour, 43 * time.Hour},
		"a shape not seen is as the cluster, between all of them": {lifetimes.Key{Shape: "never seen"}, cluster, cluster + 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := half(s, test.key, 0); got < test.atLeast || got >= test.below {
				t.Errorf("half are gone after %v, want %v to %v", got, test.atLeast, test.below)
			}
		})
	}
	if shortest, longest := half(s, small, 0), half(s, large, 0); !(shortest < cluster && cluster <= longest) {
		t.Errorf("half gone after %v small, %v all, %v large", shortest, cluster, longest)
	}
}

func TestPodsThatStartedTogetherAreNoHistoryOfTheirOwn(t *testing.T) {
	c := newTown(t, lifetimes.Config{})
	c.live(500, small, 20*time.Hour)
	batch := lifetimes.Key{Shape: "small", Workload: workload.Key{Kind: "ReplicaSet", Name: "batch"}}
	c.live(100, batch, 5*time.Minute)
	s := c.Refresh(c.now)
	if s.Group(batch) != s.Group(small) {
		t.Error("one batch of siblings has a group of its own")
	}
	for range 2 {
		c.now = c.now.Add(11 * time.Minute)
		c.live(1, batch, 5*time.Minute)
	}
	if s := c.Refresh(c.now); s.Group(batch) == s.Group(small) {
		t.Error("three runs are no history")
	}
}

func TestAgeTellsThePodsThatOutlivedTheirKind(t *testing.T) {
	c := newTown(t, lifetimes.Config{})
	c.live(200, small, 10*time.Minute)
	c.live(200, small, 30*time.Hour)
	s := c.Refresh(c.now)
	if young, old := s.Survival(small, 0)[4], s.Survival(small, time.Hour)[4]; young > 0.7 || old < 0.9 {
		t.Errorf("alive 40 minutes on: %.2f new, %.2f an hour old", young, old)
	}
}

func TestEvents(t *testing.T) {
	const life = 2 * time.Hour
	end := start.Add(life)
	reference := func(l *lifetimes.Learner) { l.Started("a", small, start); l.Ended("a", end) }
	tests := map[string]struct {
		events func(l *lifetimes.Learner)
		same   func(l *lifetimes.Learner)
	}{
		"an event told twice counts once": {func(l *lifetimes.Learner) {
			l.Started("a", small, start)
			l.Started("a", lifetimes.Key{Shape: "other"}, end)
			l.Ended("a", end)
			l.Ended("a", end.Add(life))
		}, reference},
		"refreshes in between change nothing": {func(l *lifetimes.Learner) {
			l.Started("a", small, start)
			l.Refresh(start.Add(7 * time.Minute))
			l.Refresh(start.Add(70 * time.Minute))
			l.Ended("a", end)
		}, reference},
		"news of an end that come after a refresh take the time back": {func(l *lifetimes.Learner) {
			l.Started("a", small, start)
			l.Refresh(end.Add(50 * time.Hour))
			l.Ended("a", end)
		}, reference},
		"an end before the start is an end at once": {func(l *lifetimes.Learner) {
			l.Started("a", small, start)
			l.Ended("a", start.Add(-time.Hour))
		}, func(l *lifetimes.Learner) { l.Started("a", small, start); l.Ended("a", start) }},
		"the time before a pod was found does not count": {func(l *lifetimes.Learner) {
			l.Found("a", small, start.Add(-100*time.Hour), start.Add(-100*time.Hour).Add(time.Hour))
			l.Censored("a", start.Add(-100*time.Hour).Add(2*time.Hour))
			l.Started("b", small, start)
			l.Censored("b", start.Add(time.Hour))
		}, func(l *lifetimes.Learner) { l.Started("a", small, start); l.Censored("a", end) }},
		"an end before a pod was found tells nothing": {func(l *lifetimes.Learner) {
			l.Found("a", small, start, end)
			l.Refresh(end.Add(time.Hour))
			l.Ended("a", end.Add(-time.Minute))
		}, func(l *lifetimes.Learner) { l.Found("a", small, start, end); l.Censored("a", end) }},
		"a pod that was moved ran, but did not end": {func(l *lifetimes.Learner) {
			l.Started("a", small, start)
			l.Censored("a", end)
			l.Ended("a", end)
		}, func(l *lifetimes.Learner) { l.Started("a", small, start); l.Refresh(end); l.Censored("a", end) }},
		"a pod that was never seen is not missed": {func(l *lifetimes.Learner) {
			l.Ended("x", end)
			l.Censored("y", end)
		}, func(*lifetimes.Learner) {}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, want := newLearner(t, lifetimes.Config{}), newLearner(t, lifetimes.Config{})
			test.events(got)
			test.same(want)
			for _, age := range []time.Duration{0, time.Hour, 30 * time.Hour} {
				if g, w := got.Refresh(end).Survival(small, age), want.Refresh(end).Survival(small, age); g != w {
					t.Errorf("at age %v survival is %v, want %v", age, g, w)
				}
			}
		})
	}
}

func TestSurvivalUntilADeadline(t *testing.T) {
	s := newLearner(t, lifetimes.Config{}).Latest()
	free, bound := s.Survival(small, time.Hour), s.SurvivalUntil(small, time.Hour, 3*time.Hour)
	grid := lifetimes.Grid()
	for j := range free {
		switch {
		case grid[j] <= 80*time.Minute && bound[j] != free[j]:
			t.Errorf("after %v, before the deadline, %v, want %v", grid[j], bound[j], free[j])
		case grid[j] >= 160*time.Minute && bound[j] != 0:
			t.Errorf("after %v, past the deadline, %v", grid[j], bound[j])
		}
	}
	if got := s.SurvivalUntil(small, 4*time.Hour, 3*time.Hour); got != (lifetimes.Curve{}) {
		t.Errorf("past its deadline a pod lives on: %v", got)
	}
}

func TestSurvivalIsAChanceThatNeverRises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := lifetimes.NewLearner(lifetimes.Config{MaxGroups: rapid.IntRange(1, 8).Draw(t, "groups")})
		if err != nil {
			t.Fatal(err)
		}
		now := start
		key := rapid.Custom(func(t *rapid.T) lifetimes.Key {
			return lifetimes.Key{
				Shape:    rapid.StringMatching("[ab]").Draw(t, "shape"),
				Replicas: rapid.IntRange(-1, 5).Draw(t, "replicas"),
				Workload: workload.Key{Name: rapid.StringMatching("[xy]?").Draw(t, "workload")},
			}
		})
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(50*time.Hour)).Draw(t, "later")))
			uid := types.UID(rapid.StringMatching("[a-h]").Draw(t, "uid"))
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				l.Started(uid, key.Draw(t, "key"), now)
			case 1:
				l.Found(uid, key.Draw(t, "key"), now.Add(-time.Hour), now)
			case 2:
				l.Ended(uid, now.Add(-time.Minute))
			case 3:
				l.Refresh(now)
			}
		}
		s := l.Refresh(now)
		age := time.Duration(rapid.Int64Range(-1, int64(2000*time.Hour)).Draw(t, "age"))
		c := s.Survival(key.Draw(t, "asked"), age)
		for j := range c {
			if !(c[j] >= 0 && c[j] <= 1) || j > 0 && c[j] > c[j-1] || c[0] != 1 {
				t.Fatalf("at age %v survival is %v", age, c)
			}
		}
	})
}

func TestGroupsAreBoundedAndTheRecurringStay(t *testing.T) {
	c := newTown(t, lifetimes.Config{MaxGroups: 20})
	recurring := lifetimes.Key{Shape: "small", Workload: cron}
	for range 4 {
		c.live(5, recurring, 10*time.Minute)
		c.now = c.now.Add(time.Hour)
	}
	for i := range 1000 { // jobs that come once
		c.live(1, lifetimes.Key{Shape: "small", Workload: workload.Key{Kind: "Job", Name: fmt.Sprint(i)}}, time.Hour)
	}
	s := c.Refresh(c.now)
	if s.Group(recurring) == s.Group(small) {
		t.Error("what comes once displaced what recurs")
	}
	for i := range 1000 {
		c.live(1, lifetimes.Key{Shape: fmt.Sprint("shape", i), Replicas: i}, time.Hour)
	}
	s = c.Refresh(c.now)
	if s.Groups() > 20 {
		t.Errorf("%d groups", s.Groups())
	}
	if s.Group(recurring) != 0 || s.SurvivalOf(s.Group(recurring), 0) != s.SurvivalOf(0, 0) {
		t.Error("a group that made way is not told by the cluster's history")
	}
	if s.SurvivalOf(12345, 0) != s.SurvivalOf(0, 0) {
		t.Error("an unknown id is not the cluster")
	}
}

func TestTheSameEventsGiveTheSameSurvival(t *testing.T) {
	run := func() lifetimes.Curve {
		c := newTown(t, lifetimes.Config{})
		random := rand.New(rand.NewPCG(3, 3))
		for i := range 3000 { // enough that maps differ in order
			c.Started(types.UID(fmt.Sprint("r", i)), small, c.now.Add(-time.Duration(random.Int64N(int64(100*time.Hour)))))
		}
		c.live(100, small, time.Hour)
		return c.Refresh(c.now).Survival(small, time.Minute)
	}
	if first, second := run(), run(); first != second {
		t.Errorf("%v and %v", first, second)
	}
}

func TestNewLearnerRejects(t *testing.T) {
	for _, groups := range []int{-1, lifetimes.MaxMaxGroups + 1} {
		if _, err := lifetimes.NewLearner(lifetimes.Config{MaxGroups: groups}); err == nil || !strings.Contains(err.Error(), "must be from 1 to 65536") {
			t.Errorf("%d groups: error %v", groups, err)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	c := newTown(t, lifetimes.Config{})
	key := lifetimes.Key{Shape: "small", Replicas: 5, Workload: cron}
	c.live(10, key, time.Hour)
	s := c.Refresh(c.now)
	if n := testing.AllocsPerRun(100, func() { s.SurvivalUntil(key, time.Hour, 2*time.Hour) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// busy is a learner with n running pods of 1000 workloads in 200 shapes.
func busy(b *testing.B, n int) (*lifetimes.Learner, func(i int) lifetimes.Key) {
	l := newLearner(b, lifetimes.Config{})
	key := func(i int) lifetimes.Key {
		i %= 1000
		return lifetimes.Key{
			Shape:    fmt.Sprintf("cpu=%d,memory=1073741824", i%200),
			Replicas: i % 64,
			Workload: workload.Key{Namespace: "default", Kind: "Deployment", Name: fmt.Sprint("service-", i)},
		}
	}
	for i := range n {
		l.Started(types.UID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), key(i), start.Add(time.Duration(i)*time.Second))
	}
	return l, key
}

func BenchmarkRefresh10000Running(b *testing.B) {
	l, _ := busy(b, 10_000)
	now := start.Add(10_000 * time.Second)
	groups := 0
	for b.Loop() {
		now = now.Add(10 * time.Minute)
		groups = l.Refresh(now).Groups()
	}
	if groups < 500 {
		b.Fatalf("%d groups", groups)
	}
}

// An event is a start or an end. New workloads come once each and make others
// make way.
func BenchmarkEvent(b *testing.B) {
	for name, workloads := range map[string]int{"known workloads": 1000, "new workloads": 20_000} {
		b.Run(name, func(b *testing.B) {
			l, keyOf := busy(b, 10_000)
			keys, uids := make([]lifetimes.Key, workloads), make([]types.UID, workloads)
			for i := range keys {
				keys[i], uids[i] = keyOf(i), types.UID(fmt.Sprintf("00000000-0000-4000-9000-%012d", i))
				keys[i].Workload.Name = fmt.Sprint("service-", i)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if i := n / 2 % workloads; n%2 == 0 {
					l.Started(uids[i], keys[i], start)
				} else {
					l.Ended(uids[i], start.Add(time.Hour))
				}
				n++
			}
		})
	}
}

func BenchmarkSurvival(b *testing.B) {
	l, keyOf := busy(b, 10_000)
	s, key := l.Refresh(start.Add(30_000*time.Second)), keyOf(77)
	id := s.Group(key)
	if id == 0 {
		b.Fatal("the key has no group")
	}
	b.Run("by key", func(b *testing.B) {
		for b.Loop() {
			s.Survival(key, 3*time.Hour)
		}
	})
	b.Run("by id", func(b *testing.B) {
		for b.Loop() {
			s.SurvivalOf(id, 3*time.Hour)
		}
	})
}
