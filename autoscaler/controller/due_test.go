package controller_test

import (
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// TestARateOfAWholeNumberOfPeriodsEndsInTime scales out by two replicas in each
// period, with rounds that are late now more and now less, as on any machine.
func TestARateOfAWholeNumberOfPeriodsEndsInTime(t *testing.T) {
	wa := edited("web", func(spec *v1alpha1.WorkloadAutoscalerSpec) {
		spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{
			Policies: []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 2, PeriodSeconds: int32(period / time.Second)}},
		}}
	})
	inWorld(t, func(t *testing.T, w *world) {
		begin := time.Now()
		w.config.Now = func() time.Time { // a round is later than the one after it: less than a period apart
			return time.Now().Add(5 * time.Millisecond / (1 + time.Since(begin)/period))
		}
		w.numbers.set("web", 200)
		w.start()
		for want := int32(5); want <= 15; want += 2 {
			if got := w.fleet.get("web"); got != want {
				t.Fatalf("after %s %d replicas, want %d", time.Since(begin), got, want)
			}
			w.round()
		}
	}, wa)
}
