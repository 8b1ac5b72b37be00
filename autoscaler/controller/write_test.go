package controller_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestAStatusIsWrittenOnlyWhenItSaysSomethingNew(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		steps := []struct {
			what string
			do   func()
			want int
		}{
			{"nothing has changed", func() {}, 0},
			{"nothing has changed for long", func() { w.pass(10 * period) }, 0},
			{"a figure has moved, long after the last write", func() { w.numbers.set("web", 31) }, 1},
			{"a figure has moved, soon after", func() { w.numbers.set("web", 32) }, 0},
			{"a figure has moved again, soon after", func() { w.numbers.set("web", 31.5) }, 0},
			{"a metric is unknown", func() { w.numbers.lose("web") }, 1},
			{"it is unknown still", func() {}, 0},
			{"it is known again", func() { w.numbers.set("web", 31.5) }, 1},
			{"the workload is scaled", func() { w.numbers.set("web", 41) }, 1},
			{"somebody has undone that, and it is scaled again", func() { w.fleet.set("web", 3) }, 1},
			{"what was wanted is there", func() {}, 1},
			{"nothing has changed since", func() {}, 0},
			{"somebody else has scaled it", func() { w.fleet.set("web", 4) }, 1},
		}
		w.start()
		if n := w.objects.wrote(); n != 1 {
			t.Errorf("the first status: %d writes, want 1", n)
		}
		for _, step := range steps {
			step.do()
			w.round()
			if n := w.objects.wrote(); n != step.want {
				t.Errorf("%s: %d writes, want %d", step.what, n, step.want)
			}
		}
	}, autoscaler("web"))
}

func TestARestartWritesNoStatusThatIsThere(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.start()
		w.round()
		w.objects.wrote()
		w.start()
		if n := w.objects.wrote(); n != 0 {
			t.Errorf("%d writes after a restart, want none", n)
		}
	}, autoscaler("web"))
}

func TestFiguresAreWrittenOnceARefresh(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		began := time.Now()
		var at []string
		w.objects.hook(func(context.Context, *v1alpha1.WorkloadAutoscaler) error {
			at = append(at, time.Since(began).String())
			return nil
		})
		w.start()
		for i := range 12 { // three minutes of figures that never stand still
			w.numbers.set("web", 30+float64(i%7+1)/10)
			w.round()
		}
		if diff := cmp.Diff([]string{"0s", "1m0s", "2m0s", "3m0s"}, at); diff != "" {
			t.Errorf("written at (-want +got):\n%s", diff)
		}
	}, autoscaler("web"))
}

func TestAStatusThatCouldNotBeWrittenIsWrittenByTheNextEvaluation(t *testing.T) {
	for name, failure := range map[string]error{
		"a conflict":          apierrors.NewConflict(schema.GroupResource{}, "web", errRefused),
		"another error":       errRefused,
		"no answer in time":   context.DeadlineExceeded,
		"an error of a while": apierrors.NewTooManyRequests("later", 1),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.objects.hook(func(context.Context, *v1alpha1.WorkloadAutoscaler) error { return failure })
				w.numbers.set("web", 47)
				w.start()
				if w.objects.wrote() != 1 || w.status("web").LastDecision != nil {
					t.Fatalf("the status is %+v after one failed write", w.status("web"))
				}
				w.objects.hook(nil)
				w.round()
				if s := w.status("web"); w.objects.wrote() != 1 || s.LastScaleTime == nil || s.DesiredReplicas != 5 {
					t.Errorf("the status is %+v after the next evaluation", s)
				}
				if diff := cmp.Diff([]string{"web 3 to 5"}, w.fleet.done()); diff != "" {
					t.Errorf("scaled (-want +got):\n%s", diff)
				}
				want := `
# HELP plimsoll_autoscaler_status_writes_total Writes of status by result: written, failed, gone.
# TYPE plimsoll_autoscaler_status_writes_total counter
plimsoll_autoscaler_status_writes_total{result="failed"} 1
plimsoll_autoscaler_status_writes_total{result="written"} 1
`
				if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "plimsoll_autoscaler_status_writes_total"); err != nil {
					t.Error(err)
				}
			}, autoscaler("web"))
		})
	}
}

// TestSlowStatusWritesDelayNoDecision has every write of a status hang for as long
// as it may.
func TestSlowStatusWritesDelayNoDecision(t *testing.T) {
	var list []*v1alpha1.WorkloadAutoscaler
	for i := range 50 {
		list = append(list, autoscaler(fmt.Sprintf("web-%02d", i)))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.objects.hook(func(ctx context.Context, _ *v1alpha1.WorkloadAutoscaler) error {
			<-ctx.Done()
			return ctx.Err()
		})
		for _, wa := range list {
			w.numbers.set(wa.Name, 47)
		}
		w.start()
		if got := w.fleet.done(); len(got) != len(list) {
			t.Errorf("%d of %d scaled at once", len(got), len(list))
		}
	}, list...)
}

// TestRescaledObjectsAreWrittenFirst has the writers busy while a round goes by.
func TestRescaledObjectsAreWrittenFirst(t *testing.T) {
	const writers = 8
	var list []*v1alpha1.WorkloadAutoscaler
	for i := range 40 {
		list = append(list, autoscaler(fmt.Sprintf("web-%02d", i)))
	}
	inWorld(t, func(t *testing.T, w *world) {
		w.objects.hook(func(context.Context, *v1alpha1.WorkloadAutoscaler) error {
			time.Sleep(time.Second)
			return nil
		})
		w.numbers.set("web-38", 47)
		w.numbers.set("web-39", 47)
		w.start()
		w.pass(10 * time.Second)
		w.objects.mu.Lock()
		order := slices.Clone(w.objects.writes)
		w.objects.mu.Unlock()
		if len(order) != len(list) {
			t.Fatalf("%d writes, want %d", len(order), len(list))
		}
		for _, name := range []string{"web-38", "web-39"} {
			if at := slices.Index(order, name); at >= 2*writers {
				t.Errorf("%s was rescaled and is written as number %d, want it among the first after the %d that the writers had already", name, at+1, writers)
			}
		}
	}, list...)
}

// TestOfOneObjectOnlyTheNewestStatusIsWritten has one write last for several
// evaluations.
func TestOfOneObjectOnlyTheNewestStatusIsWritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.config.Period = time.Second
		var written []string
		atOnce := 0
		w.objects.hook(func(_ context.Context, wa *v1alpha1.WorkloadAutoscaler) error {
			if atOnce++; atOnce > 1 {
				t.Error("one object's status is written twice at a time")
			}
			time.Sleep(5500 * time.Millisecond)
			atOnce--
			written = append(written, fmt.Sprintf("%d to %d", wa.Status.CurrentReplicas, wa.Status.DesiredReplicas))
			return nil
		})
		w.start()
		for i := range 5 {
			w.numbers.set("web", float64(50+20*i))
			w.round()
		}
		w.pass(20 * time.Second)
		if diff := cmp.Diff([]string{"3 to 3", "11 to 13", "13 to 13"}, written); diff != "" {
			t.Errorf("statuses written, by their replicas (-want +got):\n%s", diff)
		}
	}, autoscaler("web"))
}

func TestAStatusIsWrittenOnTopOfTheLastOneWritten(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stale, _ := w.objects.Get(keyOf("web"))
		w.config.Objects = lagging{w.objects, stale}
		var versions []string
		w.objects.hook(func(_ context.Context, wa *v1alpha1.WorkloadAutoscaler) error {
			versions = append(versions, wa.ResourceVersion)
			return nil
		})
		w.start()
		w.numbers.set("web", 47)
		w.round()
		if diff := cmp.Diff([]string{"1", "2"}, versions); diff != "" {
			t.Errorf("resource versions written upon, though the mirror shows 1 still (-want +got):\n%s", diff)
		}
	}, autoscaler("web"))
}

// lagging are objects as a mirror shows them that is behind.
type lagging struct {
	*objects
	wa *v1alpha1.WorkloadAutoscaler
}

func (l lagging) Get(key types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool) {
	if key.Name == l.wa.Name {
		return l.wa, true
	}
	return l.objects.Get(key)
}

func TestAStatusOfAnObjectThatIsGoneIsNoFailure(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stale, _ := w.objects.Get(keyOf("web"))
		w.config.Objects = lagging{w.objects, stale}
		anew := autoscaler("web")
		anew.UID = "another"
		w.objects.put(anew)
		w.start()
		want := `
# HELP plimsoll_autoscaler_status_writes_total Writes of status by result: written, failed, gone.
# TYPE plimsoll_autoscaler_status_writes_total counter
plimsoll_autoscaler_status_writes_total{result="gone"} 1
`
		if err := testutil.GatherAndCompare(w.registry, strings.NewReader(want), "plimsoll_autoscaler_status_writes_total"); err != nil {
			t.Error(err)
		}
		if s := w.status("web"); s.LastDecision != nil {
			t.Errorf("the new object has the old one's status: %+v", s)
		}
	}, autoscaler("web"))
}

// TestStatusesWaitForTheEndOfARoundButNotForLong has a source that takes its time
// with one object while another is decided on.
func TestStatusesWaitForTheEndOfARoundButNotForLong(t *testing.T) {
	for takes, want := range map[time.Duration]string{2 * time.Second: "2s", 14 * time.Second: "5s"} {
		t.Run(takes.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				began := time.Now()
				w.config.Sources["Own"] = sourceFunc{"Own", func(_ context.Context, queries []source.Query, answer func(int, scaling.Metric)) {
					time.Sleep(takes)
					for i := range queries {
						answer(i, scaling.Metric{Value: 30})
					}
				}}
				at := map[string]string{}
				w.objects.hook(func(_ context.Context, wa *v1alpha1.WorkloadAutoscaler) error {
					if at[wa.Name] == "" {
						at[wa.Name] = time.Since(began).String()
					}
					return nil
				})
				w.start()
				w.pass(takes + time.Second/2)
				if at["web"] != want {
					t.Errorf("the status was written after %s, want %s", at["web"], want)
				}
			}, autoscaler("web"), edited("slow", custom("Own")))
		})
	}
}
