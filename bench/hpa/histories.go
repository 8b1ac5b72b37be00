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
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// length is that of a history.
const length = time.Hour

// History compares one history, drawn from the seed and its number: upstream's
// HorizontalController against the policy, limits and decisions of ours, which
// live through the same. It ends at the first synchronization after which the
// replicas are not equal. It has to run in a testing/synctest bubble of its own.
func History(seed uint64, number int, policy scaling.Policy) Result {
	defer silence()()
	result := newResult()
	ctx := klog.NewContext(context.Background(), logr.Discard())
	s := newScenario(generator(seed, number))
	s.advance(time.Now())
	ours := autoscaler{policy: policy, spec: s.workload.spec}
	stop := s.workload.start(ctx)
	log, end := &trace{}, time.Now().Add(length)
	for {
		synctest.Wait()
		mismatch := ours.compare(s, log, &result)
		if mismatch != "" || !time.Now().Before(end) {
			if mismatch != "" {
				mismatch = fmt.Sprintf("seed %d, history %d, %s\n%s%s", seed, number, mismatch, show(s.workload.hpa), log)
			}
			result.add(mismatch)
			break
		}
		time.Sleep(syncPeriod / 2)
		restart := s.advance(time.Now().Add(syncPeriod / 2))
		ours.spec = s.workload.spec
		if restart {
			stop()
			synctest.Wait()
			stop = s.workload.start(ctx)
			ours.restart()
			continue
		}
		time.Sleep(syncPeriod / 2)
	}
	stop()
	synctest.Wait()
	return result
}

// silence takes upstream's handlers of errors away and returns how to put them
// back: one of them remembers when it last was called and sleeps, in a bubble
// decades in the past, until that time has come.
func silence() (restore func()) {
	handlers := utilruntime.ErrorHandlers
	utilruntime.ErrorHandlers = nil
	return func() { utilruntime.ErrorHandlers = handlers }
}

// compare lets the autoscaler live through the synchronization that upstream's
// controller has just been through, and says what is not equal afterwards.
func (a *autoscaler) compare(s *scenario, log *trace, result *Result) (mismatch string) {
	w, before := s.workload, a.spec
	if w.synchronizations != 1 {
		return fmt.Sprintf("upstream synchronized %d times where once was due", w.synchronizations)
	}
	w.synchronizations = 0
	verdict := a.synchronize(w.synced, w)
	result.Covered["synchronizations"]++
	for _, kind := range append(verdict.Constraints, s.events...) {
		result.Covered[kind]++
	}
	result.Covered[way(before, a.spec)]++
	log.add(w.synced, s, before, w.spec, verdict)
	if a.spec != w.spec {
		return fmt.Sprintf("%s: %d replicas, upstream %d, ours %d", w.synced.Format(time.TimeOnly), before, w.spec, a.spec)
	}
	return ""
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

func (t *trace) add(now time.Time, s *scenario, before, upstream int32, v decision.Verdict) {
	const last = 25
	if len(t.lines) == last {
		t.lines = t.lines[1:]
	}
	t.lines = append(t.lines, fmt.Sprintf("  %s %d -> %d (status %d, ours %d, raw %d) %s %v %v\n",
		now.Format(time.TimeOnly), before, upstream, s.workload.status, v.Limited, v.Raw, v.Message, v.Constraints, s.events))
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
