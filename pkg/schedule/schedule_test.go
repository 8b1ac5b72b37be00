package schedule_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

func parse(t *testing.T, start, end, zone string) schedule.Window {
	t.Helper()
	w, err := schedule.Parse("w", start, end, zone)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// at reads a time as RFC 3339, with the offset that says which of two it is.
func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestWindow(t *testing.T) {
	const berlin = "Europe/Berlin" // +01:00, in summer +02:00: from 29 March to 25 October 2026
	for name, c := range map[string]struct {
		start, end, zone string
		now              string
		active           bool
		until            string // empty for never
	}{
		"active from the moment the start fires": {
			"0 8 * * *", "0 18 * * *", "UTC", "2026-01-05T08:00:00Z", true, "2026-01-05T18:00:00Z",
		},
		"not active a moment before": {
			"0 8 * * *", "0 18 * * *", "UTC", "2026-01-05T07:59:59Z", false, "2026-01-05T08:00:00Z",
		},
		"no longer active from the moment the end fires": {
			"0 8 * * *", "0 18 * * *", "UTC", "2026-01-05T18:00:00Z", false, "2026-01-06T08:00:00Z",
		},
		"a window may go over midnight": {
			"0 22 * * *", "0 6 * * *", "UTC", "2026-01-05T01:30:00Z", true, "2026-01-05T06:00:00Z",
		},
		"a window may go over a weekend": {
			"0 18 * * FRI", "0 6 * * MON", "UTC", "2026-01-04T12:00:00Z", true, "2026-01-05T06:00:00Z",
		},
		"times are those of the zone": {
			"0 8 * * *", "0 18 * * *", "Asia/Kolkata", "2026-01-05T02:30:00Z", true, "2026-01-05T12:30:00Z",
		},
		"without a zone it is UTC": {
			"0 8 * * *", "0 18 * * *", "", "2026-01-05T08:00:00Z", true, "2026-01-05T18:00:00Z",
		},
		"an end that fires more often than the start ends it once": { // Saturday
			"0 8 * * 1-5", "0 18 * * *", "UTC", "2026-01-10T12:00:00Z", false, "2026-01-12T08:00:00Z",
		},
		"a start that fires more often than the end goes on": { // Tuesday night
			"0 8 * * *", "0 18 * * 5", "UTC", "2026-01-06T22:00:00Z", true, "2026-01-09T18:00:00Z",
		},
		"where both fire at once the window begins": { // Monday
			"0 0 * * 1", "0 0 * * *", "UTC", "2026-01-05T00:00:00Z", true, "2026-01-06T00:00:00Z",
		},
		"an end at a start does not end it": { // Sunday night
			"0 0 * * *", "0 12 * * 3,4", "UTC", "2026-01-04T23:00:00Z", true, "2026-01-07T12:00:00Z",
		},
		"a day of the month or of the week is enough if both are given": { // Monday the 5th
			"0 8 13 * 1", "0 9 * * *", "UTC", "2026-01-05T08:30:00Z", true, "2026-01-05T09:00:00Z",
		},
		"a window of one day in leap years": {
			"0 0 29 2 *", "0 0 1 3 *", "UTC", "2028-02-29T12:00:00Z", true, "2028-03-01T00:00:00Z",
		},
		"between leap years it is remembered to have ended": {
			"0 0 29 2 *", "0 0 1 3 *", "UTC", "2027-02-28T12:00:00Z", false, "2028-02-29T00:00:00Z",
		},
		"before a century without leap year there is no next time in five years": {
			"0 0 29 2 *", "0 0 1 3 *", "UTC", "2097-01-01T00:00:00Z", false, "",
		},
		"a window that no other end follows lasts": {
			"0 0 29 2 *", "0 0 28 2 *", "UTC", "2026-01-01T00:00:00Z", false, "2028-02-29T00:00:00Z",
		},

		"a start in the hour left out in spring fires as it ends": {
			"30 2 * * *", "0 18 * * *", berlin, "2026-03-29T03:00:00+02:00", true, "2026-03-29T18:00:00+02:00",
		},
		"and not before": {
			"30 2 * * *", "0 18 * * *", berlin, "2026-03-29T01:59:59+01:00", false, "2026-03-29T03:00:00+02:00",
		},
		"an end in the hour left out in spring fires as it ends": {
			"0 22 * * *", "30 2 * * *", berlin, "2026-03-29T01:30:00+01:00", true, "2026-03-29T03:00:00+02:00",
		},
		"a start in the hour that comes twice fires the first time": {
			"30 2 * * *", "0 18 * * *", berlin, "2026-10-25T02:30:00+02:00", true, "2026-10-25T18:00:00+01:00",
		},
		"and holds when the clock goes back behind it": {
			"30 2 * * *", "0 18 * * *", berlin, "2026-10-25T02:10:00+01:00", true, "2026-10-25T18:00:00+01:00",
		},
		"an end in the hour that comes twice does not end it again": {
			"0 2 * * *", "45 2 * * *", berlin, "2026-10-25T02:15:00+01:00", false, "2026-10-26T02:00:00+01:00",
		},
		"before the clocks go back the first of the two hours is meant": {
			"30 2 * * *", "0 18 * * *", berlin, "2026-10-25T01:00:00+02:00", false, "2026-10-25T02:30:00+02:00",
		},
		"a day may begin at one": { // Cairo's clocks go forward at midnight
			"0 0 * * *", "0 12 * * *", "Africa/Cairo", "2026-04-24T01:00:00+03:00", true, "2026-04-24T12:00:00+03:00",
		},
		"a day may be left out": { // Samoa had no 30 December 2011
			"0 9 30 12 *", "0 9 31 12 *", "Pacific/Apia", "2011-12-31T00:00:00+14:00", true, "2011-12-31T09:00:00+14:00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, now := parse(t, c.start, c.end, c.zone), at(t, c.now)
			if got := w.Active(now); got != c.active {
				t.Errorf("active %t, want %t", got, c.active)
			}
			until := w.Until(now)
			if c.until == "" {
				if !until.IsZero() {
					t.Errorf("until %s, want never", until)
				}
				return
			}
			if want := at(t, c.until); !until.Equal(want) {
				t.Errorf("until %s, want %s", until, want)
			}
		})
	}
}

func TestParseRejects(t *testing.T) {
	const good = "0 8 * * *"
	for name, c := range map[string]struct {
		start, end, zone string
		want             []string
	}{
		"seconds":                        {"0 0 8 * * *", good, "", []string{"start", "0 0 8 * * *", "five fields"}},
		"too few fields":                 {"0 8 * *", good, "", []string{"start", "five fields"}},
		"@every":                         {"@every 1h", good, "", []string{"start", "@every 1h", "five fields"}},
		"@daily":                         {good, "@daily", "", []string{"end", "@daily"}},
		"CRON_TZ":                        {"CRON_TZ=Asia/Tokyo 0 8 * * *", good, "", []string{"start", "time zone is a field of its own"}},
		"TZ without a field":             {"TZ=UTC", good, "", []string{"start", "time zone is a field of its own"}},
		"nothing":                        {good, "", "", []string{"end", "five fields"}},
		"an hour that there is not":      {"0 24 * * *", good, "", []string{"start", "0 24 * * *"}},
		"a day of no week":               {"0 8 * * 8", good, "", []string{"start"}},
		"a date that there is not":       {good, "0 8 30 2 *", "", []string{"end", "0 8 30 2 *", "never fires"}},
		"an end only when it starts":     {"0 8 * * *", "0 8 * * 1-5", "", []string{"end", "0 8 * * 1-5", "never fires without start"}},
		"a start every minute":           {"* * * * *", "0-59 * * * *", "", []string{"end", "never fires without start"}},
		"a start that is the end":        {good, good, "", []string{"end", "no length"}},
		"a start that is the end spaced": {good, "0  8 * * *", "", []string{"end", "no length"}},
		"a zone that there is not":       {good, "0 9 * * *", "Europe/Atlantis", []string{"timeZone", "Europe/Atlantis", "IANA"}},
		"a zone of this machine":         {good, "0 9 * * *", "Local", []string{"timeZone", "Local"}},
		"a path":                         {good, "0 9 * * *", "../../etc/passwd", []string{"timeZone"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schedule.Parse("w", c.start, c.end, c.zone)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestTheZeroWindowIsNeverActive(t *testing.T) {
	var w schedule.Window
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if w.Active(now) || !w.Until(now).IsZero() {
		t.Errorf("active %t until %s", w.Active(now), w.Until(now))
	}
}

// Until says when Active changes: it holds until just before and not from then on.
func TestUntilIsWhenActiveChanges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fires := func(label string) string {
			field := func(name string, values ...string) string {
				return rapid.SampledFrom(values).Draw(t, label+" "+name)
			}
			return strings.Join([]string{
				field("minute", "0", "30", "*/15", "59"), field("hour", "*", "0", "1", "2", "3", "23", "*/6"),
				field("day", "*", "*", "1", "31"), field("month", "*", "*", "3", "10"), field("weekday", "*", "*", "0", "1-5"),
			}, " ")
		}
		zone := rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo", "Asia/Kathmandu", "America/St_Johns"}).Draw(t, "zone")
		w, err := schedule.Parse("w", fires("start"), fires("end"), zone)
		if err != nil {
			t.Skip(err)
		}
		now := time.Unix(rapid.Int64Range(1_577_836_800, 1_893_456_000).Draw(t, "now"), 0) // 2020 to 2030
		active := w.Active(now)
		until := w.Until(now)
		if until.IsZero() {
			return
		}
		if !until.After(now) {
			t.Fatalf("until %s is not after %s", until, now)
		}
		if w.Active(until) == active {
			t.Fatalf("active is %t at %s and still at %s", active, now, until)
		}
		between := now.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(now))-1).Draw(t, "between")))
		for _, moment := range []time.Time{between, until.Add(-1)} {
			if w.Active(moment) != active {
				t.Fatalf("active is %t at %s but not at %s, before %s", active, now, moment, until)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("0 8 * * *", "0 18 * * MON-FRI", "Europe/Berlin")
	f.Add("*/0 * * * *", "? ? ? ? ?", "UTC")
	f.Fuzz(func(t *testing.T, start, end, zone string) {
		w, err := schedule.Parse("w", start, end, zone)
		if err == nil {
			w.Active(time.Unix(1_800_000_000, 0))
			w.Until(time.Unix(1_800_000_000, 0))
		}
	})
}

func BenchmarkActive(b *testing.B) {
	w, err := schedule.Parse("w", "0 8 * * 1-5", "0 18 * * 1-5", "Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 1, 4, 12, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		if w.Active(now) {
			b.Fatal("active on a Sunday")
		}
	}
}
