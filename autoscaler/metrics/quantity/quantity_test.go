package quantity_test

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/quantity"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestQuantities(t *testing.T) {
	for text, c := range map[string]struct {
		milli int64
		valid bool
		value float64
	}{
		"0":                     {0, true, 0},
		"1":                     {1000, true, 1},
		"1m":                    {1, true, 0.001},
		"1n":                    {1, true, 0.001},
		"1500001u":              {1501, true, 1.501},
		"2Ki":                   {2048000, true, 2048},
		"-1n":                   {0, false, -0.001},
		"-2":                    {0, false, -2},
		"9223372036854775":      {9223372036854775000, true, 9223372036854775},
		"9223372036854775.0001": {0, false, 9223372036854775},
		"9223372036854776":      {0, false, 9223372036854776},
		"10P":                   {0, false, 1e16},
		"-10P":                  {0, false, -1e16},
		"9223372036854775807":   {0, false, 9223372036854775807},
		"1e30":                  {0, false, 1e30},
	} {
		t.Run(text, func(t *testing.T) {
			q := resource.MustParse(text)
			if milli, valid := quantity.Milli(&q); milli != c.milli || valid != c.valid {
				t.Errorf("Milli: got %d, %t, want %d, %t", milli, valid, c.milli, c.valid)
			}
			if value := quantity.Value(&q); value != c.value {
				t.Errorf("Value: got %v, want %v", value, c.value)
			}
		})
	}
}

func TestANegativeValueIsNoReading(t *testing.T) {
	at := time.Unix(1, 0)
	if m := quantity.Reading(-1, at); m.Unknown.Reason != scaling.ReasonNegative || !m.At.IsZero() {
		t.Errorf("got %+v", m)
	}
	if m := quantity.Reading(1, at); m.Unknown.Set() || m.Value != 1 || m.At != at {
		t.Errorf("got %+v", m)
	}
}
