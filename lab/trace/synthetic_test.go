package trace_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/lab/trace"
)

var update = flag.Bool("update", false, "rewrite the expected output under testdata")

func TestSyntheticDayLooksAsExpected(t *testing.T) {
	day, err := trace.Synthetic(1, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, from %s, mean %.0f, peak %.0f requests per second\n",
		day.Name(), day.Start().Format(time.DateTime), day.Mean(), day.Peak())
	for at := time.Duration(0); at < day.Duration(); at += 30 * time.Minute {
		load := day.At(at)
		fmt.Fprintf(&b, "%s %4.0f %s\n", day.Start().Add(at).Format("15:04"), load, strings.Repeat("#", int(load/10)))
	}
	const golden = "testdata/synthetic_day.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("(-want +got), rewrite with -update:\n%s", diff)
	}
}

func TestSyntheticHasOneFlashCrowd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		duration := rapid.SampledFrom([]time.Duration{4 * time.Hour, 24 * time.Hour, 72 * time.Hour}).Draw(t, "duration")
		load, err := trace.Synthetic(seed, duration)
		if err != nil {
			t.Fatal(err)
		}
		rates := values(load)
		top := slices.Index(rates, slices.Max(rates))
		peak := time.Duration(top) * load.Step()
		if share := float64(peak) / float64(duration); share < 0.3 || share > 0.6 {
			t.Fatalf("the peak is at %.2f of the duration", share)
		}
		before := median(rates[top-100 : top-50]) // 12.5 to 25 minutes before the peak
		if growth := rates[top] / before; growth < 3.4 || growth > 6 {
			t.Fatalf("the crowd is %.1f times the load before it, want 4 to 5 give or take the noise and the time of day", growth)
		}
		after := median(rates[top+220 : top+260]) // about an hour after
		if after > 1.6*before {
			t.Fatalf("an hour after the peak the load is %v, %v before the crowd", after, before)
		}
	})
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func TestSyntheticRepeatsUnderItsSeed(t *testing.T) {
	draw := func(seed uint64) []float64 {
		load, err := trace.Synthetic(seed, 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return values(load)
	}
	if !slices.Equal(draw(7), draw(7)) {
		t.Error("the same seed gave two loads")
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("two seeds gave the same load")
	}
}

func TestSyntheticDayHasItsMean(t *testing.T) {
	// Over many days the one crowd weighs little, and the daily curve has a mean of 100.
	load, err := trace.Synthetic(3, 30*24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(load.Mean()-100) > 2 {
		t.Errorf("mean %v, want 100 give or take 2", load.Mean())
	}
}

func TestSyntheticRejects(t *testing.T) {
	for _, tc := range []struct {
		name     string
		duration time.Duration
	}{
		{"too short for the crowd", 29 * time.Minute},
		{"longer than a month", 31 * 24 * time.Hour},
		{"not in whole steps", time.Hour + time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := trace.Synthetic(1, tc.duration)
			if err == nil || !strings.Contains(err.Error(), "allowed is 30m0s to 720h0m0s in steps of 15s") {
				t.Errorf("error %v", err)
			}
		})
	}
}
