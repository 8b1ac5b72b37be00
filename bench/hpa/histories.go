package hpa

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// synchronizations is how many a history has, of a period each: an hour.
const synchronizations = int(time.Hour / syncPeriod)

// History compares one history, drawn from the seed and its number: upstream's
// HorizontalController against the policy, limits and decisions of ours, which
// live through the same. It ends at the first synchronization after which the
// replicas, or the reasons of AbleToScale and ScalingLimited, are not equal. It has to run in a testing/synctest bubble of its own.
func History(seed uint64, number int, policy scaling.Policy) Result {
	result := newResult()
	s := newScenario(generator(seed, number), false)
	ours := &autoscaler{Settings: CompatibleSettings(), policy: policy}
	log, mismatch := &trace{}, ""
	advance := func(i int, now time.Time) (restart bool) { return s.advance(now) && i > 0 }
	live(s.workload, ours, synchronizations, advance, func(_ int, before int32, v decision.Verdict) (goOn bool) {
		result.coverSynchronization(before, v, s.events)
		log.add(s, before, v)
		difference := ""
		if ours.spec != s.workload.spec {
			difference = fmt.Sprintf("%d replicas, upstream %d, ours %d", before, s.workload.spec, ours.spec)
		} else if upstream, ours := reasons(s.workload.hpa, before, v); upstream != ours {
			difference = fmt.Sprintf("upstream says %s, ours %s", upstream, ours)
		}
		if difference != "" {
			mismatch = fmt.Sprintf("seed %d, history %d, %s: %s\n%s%s",
				seed, number, s.workload.synced.Format(time.TimeOnly), difference, show(s.workload.hpa), log)
		}
		return mismatch == ""
	})
	result.add(mismatch)
	return result
}

// live has upstream's controller and ours live through n synchronizations of the
// workload. advance brings the workload to the i-th of them and says whether both
// are started anew before it; after is told what ours makes of it, and whether to go
// on. Our replicas are the workload's only where advance sets them.
func live(w *workload, ours *autoscaler, n int, advance func(i int, now time.Time) (restart bool), after func(i int, before int32, v decision.Verdict) (goOn bool)) {
	defer silence()()
	ctx := klog.NewContext(context.Background(), logr.Discard())
	advance(0, time.Now())
	ours.spec = w.spec
	stop := w.start(ctx)
	for i := range n {
		synctest.Wait()
		if w.synchronizations != i+1 {
			panic(fmt.Sprintf("upstream synchronized %d times where %d were due", w.synchronizations, i+1))
		}
		before := ours.spec
		if verdict := ours.synchronize(w.synced, w); !after(i, before, verdict) || i == n-1 {
			break
		}
		time.Sleep(syncPeriod / 2)
		had := w.spec
		restart := advance(i+1, time.Now().Add(syncPeriod/2))
		if w.spec != had {
			ours.spec = w.spec
		}
		if restart {
			stop()
			synctest.Wait()
			stop = w.start(ctx)
			ours.restart()
			continue
		}
		time.Sleep(syncPeriod / 2)
	}
	stop()
	synctest.Wait()
}

// reasons are those of upstream's conditions and of our verdict for what becomes of
// a number: why it is limited, and, unless the replicas change, why it is
// stabilized. They are empty where nothing is computed, and from 0 to a minimum that
// has been raised, which upstream does without a reason.
func reasons(hpa *autoscalingv2.HorizontalPodAutoscaler, before int32, v decision.Verdict) (upstream, ours string) {
	if !v.Decision.Known || before == 0 && v.Min > 0 {
		return "", ""
	}
	stabilized, limited := "ReadyForNewScale", "DesiredWithinRange"
	for _, constraint := range v.Constraints {
		if constraint == limits.ScaleUpStabilized || constraint == limits.ScaleDownStabilized {
			stabilized = constraint
		} else {
			limited = constraint
		}
	}
	if v.Limited != before {
		stabilized = "SucceededRescale"
	}
	return reason(hpa, autoscalingv2.AbleToScale) + " " + reason(hpa, autoscalingv2.ScalingLimited), stabilized + " " + limited
}

func reason(hpa *autoscalingv2.HorizontalPodAutoscaler, condition autoscalingv2.HorizontalPodAutoscalerConditionType) string {
	for _, c := range hpa.Status.Conditions {
		if c.Type == condition {
			return c.Reason
		}
	}
	return "nothing"
}

// silence takes upstream's handlers of errors away and returns how to put them
// back: one of them remembers when it last was called and sleeps, in a bubble
// decades in the past, until that time has come.
func silence() (restore func()) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	return func() { utilruntime.ErrorHandlers = handlers }
}

func (r *Result) coverSynchronization(before int32, v decision.Verdict, events []string) {
	r.Covered["synchronizations"]++
	r.Covered[way(before, v.Limited)]++
	for _, kind := range v.Constraints {
		r.Covered[kind]++
	}
	for _, event := range events {
		r.Covered[event]++
	}
}

// way is a word for how the replicas changed.
func way(before, after int32) string {
	switch {
	case before == after:
		return "kept"
	case before == 0:
		return "from zero"
	case after == 0:
		return "to zero"
	case after > before:
		return "up"
	}
	return "down"
}

// trace is the end of a history, for a person.
type trace struct{ lines []string }

func (t *trace) add(s *scenario, before int32, v decision.Verdict) {
	const last = 25
	if len(t.lines) == last {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, fmt.Sprintf("  %s %d -> %d (status %d, ours %d, raw %d) %s %v %v\n",
		s.workload.synced.Format(time.TimeOnly), before, s.workload.spec, s.workload.status, v.Limited, v.Raw, v.Message, v.Constraints, s.events))
}

func (t *trace) String() string { return strings.Join(t.lines, "") }

// show is an object for a person.
func show(hpa *autoscalingv2.HorizontalPodAutoscaler) string {
	text, err := json.Marshal(hpa.Spec)
	if err != nil {
		return err.Error()
	}
	return "  " + string(text) + "\n"
}
