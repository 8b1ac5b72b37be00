package nodes

import (
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// delays draws any distribution that Validate accepts and that does not start at once.
func delays(t *rapid.T) StartupDelay {
	median := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Hour)).Draw(t, "median"))
	factor := rapid.Float64Range(1, 100).Draw(t, "p99 by median")
	return StartupDelay{Median: median, P99: time.Duration(float64(median) * factor)}
}

// near allows for rounding to a nanosecond and for floating point.
func near(got, want time.Duration) bool {
	return math.Abs(float64(got-want)) <= 2+1e-9*float64(want)
}

func TestQuantileHitsMedianAndP99(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := delays(t)
		if err := d.Validate(); err != nil {
			t.Fatal(err)
		}
		if got := d.Quantile(0.5); !near(got, d.Median) {
			t.Errorf("median: got %v, want %v", got, d.Median)
		}
		if got := d.Quantile(0.99); !near(got, d.P99) {
			t.Errorf("p99: got %v, want %v", got, d.P99)
		}
	})
}

func TestQuantileNeverFallsAsTheShareGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := delays(t)
		share := rapid.Float64Range(0.001, 0.999)
		low, high := share.Draw(t, "low"), share.Draw(t, "high")
		if low > high {
			low, high = high, low
		}
		if d.Quantile(low) > d.Quantile(high) {
			t.Errorf("quantile %v is %v, above quantile %v: %v", low, d.Quantile(low), high, d.Quantile(high))
		}
	})
}

func TestSlicesCoverTheDistributionWithoutGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, n := delays(t), rapid.IntRange(1, 32).Draw(t, "slices")
		pieces := d.slices(n)
		if len(pieces) != n {
			t.Fatalf("got %d slices, want %d", len(pieces), n)
		}
		for i, piece := range pieces {
			if piece.from > piece.to {
				t.Errorf("slice %d goes backwards: %v", i, piece)
			}
			if i > 0 && piece.from != pieces[i-1].to {
				t.Errorf("slice %d starts at %v, the one before ends at %v", i, piece.from, pieces[i-1].to)
			}
		}
		if first, last := pieces[0].from, pieces[n-1].to; !near(first, d.Quantile(0.005)) || !near(last, d.Quantile(0.995)) {
			t.Errorf("slices run from %v to %v, want %v to %v", first, last, d.Quantile(0.005), d.Quantile(0.995))
		}
		if n%2 == 0 && !near(pieces[n/2].from, d.Median) {
			t.Errorf("the middle is %v, want the median %v", pieces[n/2].from, d.Median)
		}
	})
}

func TestNoMedianMeansReadyAtOnce(t *testing.T) {
	var d StartupDelay
	if err := d.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := d.Quantile(0.99); got != 0 {
		t.Errorf("got %v, want 0", got)
	}
}

func TestStartupDelayRejects(t *testing.T) {
	for _, tc := range []struct {
		name  string
		delay StartupDelay
		want  string
	}{
		{"a negative median", StartupDelay{Median: -time.Second}, "pod start-up median: -1s is negative"},
		{"a p99 below the median", StartupDelay{Median: time.Second, P99: time.Millisecond}, "pod start-up p99: 1ms is below the median 1s"},
		{"a p99 without a median", StartupDelay{P99: time.Second}, "pod start-up median: 0 with a p99 of 1s"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.delay.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}
