// Package schedule tells whether a time is in a window that comes back: from
// when one cron expression fires until when another one does.
//
// Expressions have five fields: minute, hour, day of month, month, day of week (0
// to 6 from Sunday, or names). If neither day is *, either may match. They are read
// on the clocks of a time zone. Where clocks are put forward, what would fire in
// the hour left out fires as it ends; where they are put back, what fires in the
// hour that comes twice fires the first time only.
package schedule

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // the image has no time zone database

	"github.com/robfig/cron/v3"
)

// Window is a window of time that comes back. It is a value without state; its
// zero value is never active.
type Window struct {
	// Name of the window in status and events.
	Name       string
	start, end *cron.SpecSchedule
	zone       *time.Location
}

// maxTies is how often in a row start may fire with end before the window counts as
// one that never ends.
const maxTies = 400

// Parse returns the window from when start fires until when end does, read on the
// clocks of timeZone, a name of the IANA database; empty for UTC.
func Parse(name, start, end, timeZone string) (Window, error) {
	w := Window{Name: name}
	var err error
	if w.start, err = parse(start); err != nil {
		return Window{}, fmt.Errorf("start: %w", err)
	}
	if w.end, err = parse(end); err != nil {
		return Window{}, fmt.Errorf("end: %w", err)
	}
	if *w.start == *w.end {
		return Window{}, fmt.Errorf("end: %q fires whenever start, %q, does; the window would have no length", end, start)
	}
	if w.nextEnd(longAgo()).IsZero() {
		return Window{}, fmt.Errorf("end: %q never fires without start, %q; the window would not end", end, start)
	}
	if timeZone == "Local" {
		return Window{}, fmt.Errorf(`timeZone: "Local" differs from machine to machine; want a name of the IANA database, for example Europe/Berlin`)
	}
	if w.zone, err = time.LoadLocation(timeZone); err != nil {
		return Window{}, fmt.Errorf("timeZone: %q is no name of the IANA database, for example Europe/Berlin", timeZone)
	}
	return w, nil
}

// parse accepts five fields that fire some time.
func parse(expression string) (*cron.SpecSchedule, error) {
	if strings.ContainsAny(expression, "=@") {
		return nil, fmt.Errorf("%q: want five fields: minute, hour, day of month, month, day of week; the time zone is a field of its own", expression)
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	parsed, err := parser.Parse(expression)
	if err != nil {
		return nil, fmt.Errorf("%q: want five fields: minute, hour, day of month, month, day of week: %w", expression, err)
	}
	s, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%q: want five fields: minute, hour, day of month, month, day of week", expression)
	}
	s.Location = time.UTC
	if s.Next(longAgo()).IsZero() {
		return nil, fmt.Errorf("%q never fires", expression)
	}
	return s, nil
}

// Active reports whether now is in the window: start fired last, or both did at
// once. It does not matter how often either fires in between.
func (w Window) Active(now time.Time) bool {
	if w.zone == nil {
		return false
	}
	return w.active(reached(now.In(w.zone)))
}

func (w Window) active(clock time.Time) bool {
	start := last(w.start, clock)
	return !start.IsZero() && !start.Before(last(w.end, clock))
}

// Until is when the window next begins or ends, whatever of it comes next; a zero
// time if that is more than five years away.
func (w Window) Until(now time.Time) time.Time {
	if w.zone == nil {
		return time.Time{}
	}
	clock := reached(now.In(w.zone))
	next := w.start.Next(clock)
	if w.active(clock) {
		next = w.nextEnd(clock)
	}
	if next.IsZero() {
		return next
	}
	return instant(next, w.zone)
}

// nextEnd is when end next fires without start.
func (w Window) nextEnd(clock time.Time) time.Time {
	end := clock
	for range maxTies {
		if end = w.end.Next(end); end.IsZero() || !w.start.Next(end.Add(-time.Second)).Equal(end) {
			return end
		}
	}
	return time.Time{}
}

// longAgo begins five years with a 29 February, as far as expressions are searched.
func longAgo() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

// reached is the latest time the clocks of t's zone have shown on the way to t, as
// if it was UTC: it never goes back, even where clocks do.
func reached(t time.Time) time.Time {
	shown := onClock(t)
	if begun, _ := t.ZoneBounds(); !begun.IsZero() {
		before := onClock(begun.Add(-time.Nanosecond).In(t.Location()))
		if before.After(shown) {
			return before
		}
	}
	return shown
}

// onClock is what the clock shows at t, as if it was UTC.
func onClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instant is when clocks of the zone first show clock or more: the inverse of
// reached.
func instant(clock time.Time, zone *time.Location) time.Time {
	t := time.Date(clock.Year(), clock.Month(), clock.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, zone)
	begun, ended := t.ZoneBounds()
	switch shown := onClock(t); {
	case shown.After(clock) && !begun.IsZero(): // left out, and t is after the gap
		return begun
	case shown.Before(clock) && !ended.IsZero(): // left out, and t is before the gap
		return ended
	}
	if begun.IsZero() {
		return t
	}
	_, after := t.Zone()
	_, before := begun.Add(-time.Nanosecond).Zone()
	if first := t.Add(time.Duration(after-before) * time.Second); first.Before(begun) && first.Before(t) {
		return first
	}
	return t
}

// last is the latest time at or before clock, read as UTC, when s fires; a zero
// time if that is more than 41 years ago: there is a 29 February on each day of
// the week in that time.
func last(s *cron.SpecSchedule, clock time.Time) time.Time {
	day := time.Date(clock.Year(), clock.Month(), clock.Day(), 0, 0, 0, 0, time.UTC)
	if at, found := lastOfDay(s, day, clock.Hour(), clock.Minute()); found {
		return at
	}
	for oldest := day.AddDate(-41, 0, 0); ; {
		if day = day.AddDate(0, 0, -1); day.Before(oldest) {
			return time.Time{}
		}
		if s.Month&(1<<day.Month()) == 0 {
			day = day.AddDate(0, 0, 1-day.Day()) // go on with the month before
			continue
		}
		if at, found := lastOfDay(s, day, 23, 59); found {
			return at
		}
	}
}

// lastOfDay is the latest time of the day, up to hour:minute, when s fires.
func lastOfDay(s *cron.SpecSchedule, day time.Time, hour, minute int) (time.Time, bool) {
	if s.Month&(1<<day.Month()) == 0 || !matches(s, day) {
		return time.Time{}, false
	}
	for h := hour; h >= 0; h-- {
		if s.Hour&(1<<h) != 0 {
			for m := minute; m >= 0; m-- {
				if s.Minute&(1<<m) != 0 {
					return day.Add(time.Duration(h)*time.Hour + time.Duration(m)*time.Minute), true
				}
			}
		}
		minute = 59
	}
	return time.Time{}, false
}

// matches reports whether s fires on the day, if in its month: on a day of the
// month or, if both are given, of the week. The highest bit marks a *.
func matches(s *cron.SpecSchedule, day time.Time) bool {
	const star = 1 << 63
	ofMonth, ofWeek := s.Dom&(1<<day.Day()) != 0, s.Dow&(1<<day.Weekday()) != 0
	if s.Dom&star != 0 || s.Dow&star != 0 {
		return ofMonth && ofWeek
	}
	return ofMonth || ofWeek
}
