package scaling_test

import (
	"math"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestCheckValue(t *testing.T) {
	now := time.Unix(10_000, 0)
	for name, c := range map[string]struct {
		value float64
		at    time.Time
		want  string
	}{
		"a fresh value is known":                {value: 3, at: now.Add(-time.Minute)},
		"zero is known":                         {value: 0, at: now},
		"a value without a time is known":       {value: 3},
		"a sample as old as allowed is known":   {value: 3, at: now.Add(-5 * time.Minute)},
		"an older sample is stale":              {value: 3, at: now.Add(-5*time.Minute - 1), want: scaling.ReasonStale},
		"NaN is unknown":                        {value: math.NaN(), at: now, want: scaling.ReasonNotANumber},
		"infinity is unknown":                   {value: math.Inf(1), at: now, want: scaling.ReasonNotANumber},
		"minus infinity is not a number first":  {value: math.Inf(-1), at: now, want: scaling.ReasonNotANumber},
		"a negative value is unknown":           {value: -0.001, at: now, want: scaling.ReasonNegative},
		"a sample from the future is not stale": {value: 3, at: now.Add(time.Hour)},
	} {
		t.Run(name, func(t *testing.T) {
			got := scaling.CheckValue(c.value, c.at, now, 5*time.Minute)
			if got.Reason != c.want {
				t.Errorf("reason %q, want %q", got.Reason, c.want)
			}
			if got.Set() != (c.want != "") {
				t.Errorf("Set() is %t for reason %q", got.Set(), got.Reason)
			}
		})
	}
}

func TestToleranceIncludesBothEndsAndNoNaN(t *testing.T) {
	tolerance := scaling.Tolerance{Up: 0.5, Down: 0.25}
	for ratio, want := range map[float64]bool{0.75: true, 1.5: true, 0.7499: false, 1.5001: false} {
		if got := tolerance.Contains(ratio); got != want {
			t.Errorf("Contains(%v) is %t, want %t", ratio, got, want)
		}
	}
	if tolerance.Contains(math.NaN()) {
		t.Error("NaN is within tolerance")
	}
}

func TestEndedAndTerminatingPodsAreNotActive(t *testing.T) {
	for _, c := range []struct {
		pod  scaling.Pod
		want bool
	}{
		{scaling.Pod{Phase: scaling.Running}, true},
		{scaling.Pod{Phase: scaling.Pending}, true},
		{scaling.Pod{Phase: scaling.Running, Terminating: true}, false},
		{scaling.Pod{Phase: scaling.Succeeded}, false},
		{scaling.Pod{Phase: scaling.Failed}, false},
	} {
		if got := c.pod.Active(); got != c.want {
			t.Errorf("%+v: Active() is %t, want %t", c.pod, got, c.want)
		}
	}
}
