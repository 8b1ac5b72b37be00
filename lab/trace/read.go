package trace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MaxBytes bounds a file, measured after it is uncompressed.
const MaxBytes = 128 << 20

// gapTolerance is how far a row may lie from its place, as a share of the step: offsets are often rounded to few digits.
const gapTolerance = 0.01

// maxQuoted bounds how much of a wrong value an error repeats, in bytes.
const maxQuoted = 40

// Error says where a file is wrong and what it may hold.
type Error struct {
	// File is the name given to Read.
	File string
	// Line counts from 1; 0 when the whole file is meant.
	Line int
	// Column is the name in the header, "time" and "value" before there is one; empty when the whole line is meant.
	Column string
	// Value is what was found, shortened.
	Value string
	// Allowed says what would be right.
	Allowed string
}

// Error is one line: file:line: column: value: what is allowed.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Column != "" {
		fmt.Fprintf(&b, ": column %q", e.Column)
	}
	if e.Value != "" {
		fmt.Fprintf(&b, ": %q", e.Value)
	}
	return b.String() + ": " + e.Allowed
}

// Gap is a run of steps that a file has no rows for.
type Gap struct {
	// From is the first missing step's time after the trace's start.
	From time.Duration
	// Steps is the number of missing steps.
	Steps int
}

// Load reads the trace in a CSV file, compressed with gzip or not; Read says what the file holds.
func Load(path string) (Trace, error) {
	t, _, err := load(path, false)
	return t, err
}

// LoadFilling is Load with gaps, as ReadFilling is Read with gaps.
func LoadFilling(path string) (Trace, []Gap, error) { return load(path, true) }

func load(path string, fill bool) (Trace, []Gap, error) {
	file, err := os.Open(path)
	if err != nil {
		return Trace{}, nil, fmt.Errorf("read trace: %w", err)
	}
	defer file.Close()
	return read(filepath.Base(path), file, fill, MaxBytes)
}

// Read reads a trace from CSV, compressed with gzip or not: a header and two columns, time and load, one row a step.
//
// The time is RFC 3339, or `2006-01-02 15:04:05` (taken as UTC), or a number: the offset in the unit that the column's name
// holds as a word (`seconds`, `minute`, `time_hours`). Rows follow each other by one step, which the first two set.
// The load's column is named for its unit: `rps` and `requests_per_second` are rates, `requests` and `count` are requests per
// step. A wrong file, one with a missing row too, gives an *Error.
func Read(name string, r io.Reader) (Trace, error) {
	t, _, err := read(name, r, false, MaxBytes)
	return t, err
}

// ReadFilling is Read for counts in which a step without a count has no row, as a log summed by the minute is: such steps
// get 0 requests and come back as gaps. Whether nothing happened then or nothing was written down, the caller must judge.
// A rate that is missing is an error here too.
func ReadFilling(name string, r io.Reader) (Trace, []Gap, error) {
	return read(name, r, true, MaxBytes)
}

func read(name string, r io.Reader, fill bool, maxBytes int64) (Trace, []Gap, error) {
	plain, err := uncompressed(r)
	if err != nil {
		return Trace{}, nil, &Error{File: name, Allowed: "read gzip: " + err.Error()}
	}
	rows := newRows(name, io.LimitReader(plain, maxBytes+1))
	t, gaps, err := readRows(rows, fill)
	if rows.csv.InputOffset() > maxBytes {
		return Trace{}, nil, &Error{File: name, Allowed: fmt.Sprintf("larger than the %d bytes allowed", maxBytes)}
	}
	return t, gaps, err
}

// uncompressed looks at the first two bytes, not at the file's name.
func uncompressed(r io.Reader) (io.Reader, error) {
	buffered := bufio.NewReader(r)
	magic, err := buffered.Peek(2)
	if err != nil || !bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		return buffered, nil //nolint:nilerr // an empty file, or one that cannot be read, is for the CSV reader to report
	}
	return gzip.NewReader(buffered)
}

func readRows(rows *rows, fill bool) (Trace, []Gap, error) {
	head, err := rows.header()
	if err != nil {
		return Trace{}, nil, err
	}
	times := axis{column: head.time, fill: fill && head.load.perStep}
	var values []float64
	var gaps []Gap
	for {
		row, err := rows.next(head)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Trace{}, nil, err
		}
		missing, allowed := times.add(row.time)
		if allowed != "" {
			return Trace{}, nil, rows.wrong(head.time, row.time, allowed)
		}
		if missing >= MaxSteps-len(values) {
			return Trace{}, nil, rows.wrong(head.time, row.time, fmt.Sprintf("past the %d steps allowed", MaxSteps))
		}
		if missing > 0 {
			gaps = append(gaps, Gap{From: time.Duration(len(values)) * times.step, Steps: missing})
			values = append(values, make([]float64, missing)...)
		}
		value, allowed := head.load.parse(row.value, times.step)
		if allowed != "" {
			return Trace{}, nil, rows.wrong(head.load.name, row.value, allowed)
		}
		values = append(values, value)
	}
	t, err := head.load.trace(rows.name, times, values)
	return t, gaps, err
}

// trace turns the values into rates, now that the step is known.
func (c loadColumn) trace(name string, times axis, values []float64) (Trace, error) {
	if len(values) < 2 {
		return Trace{}, &Error{File: name, Allowed: fmt.Sprintf("rows: %d; at least 2 are needed, they set the step", len(values))}
	}
	for i, value := range values {
		values[i] = c.rate(value, times.step)
	}
	t, err := New(name, times.start, times.step, values)
	if err != nil { // the whole is too long, or the first row, read before the step was known, is too high
		return Trace{}, &Error{File: name, Allowed: err.Error()}
	}
	return t, nil
}

// rows is the file as pairs of cells, with the place of the latest one.
type rows struct {
	name string
	csv  *csv.Reader
	line int
}

type (
	header struct {
		time string
		load loadColumn
	}
	row struct{ time, value string }
)

func newRows(name string, r io.Reader) *rows {
	c := csv.NewReader(r)
	c.ReuseRecord = true
	c.FieldsPerRecord = -1 // counted here, for a better message
	c.TrimLeadingSpace = true
	return &rows{name: name, csv: c}
}

func (r *rows) header() (header, error) {
	const allowed = "a header with two columns is needed, the time and one of requests, count, rps, requests_per_second"
	cells, err := r.cells()
	if errors.Is(err, io.EOF) {
		return header{}, &Error{File: r.name, Allowed: "the file is empty: " + allowed}
	}
	if err != nil {
		return header{}, err
	}
	if len(cells) != 2 {
		return header{}, r.wrong("", strings.Join(cells, ","), allowed)
	}
	load, known := newLoadColumn(strings.TrimSpace(cells[1]))
	if !known {
		return header{}, r.wrong("value", cells[1], allowed)
	}
	column := strings.TrimSpace(strings.TrimPrefix(cells[0], "\ufeff"))
	if column == "" {
		return header{}, r.wrong("time", cells[0], allowed)
	}
	return header{time: column, load: load}, nil
}

func (r *rows) next(head header) (row, error) {
	cells, err := r.cells()
	if err != nil {
		return row{}, err
	}
	if len(cells) != 2 {
		return row{}, r.wrong("", strings.Join(cells, ","),
			fmt.Sprintf("%d columns; allowed are two, %s and %s", len(cells), head.time, head.load.name))
	}
	return row{time: strings.TrimSpace(cells[0]), value: strings.TrimSpace(cells[1])}, nil
}

// cells returns the next line's cells, io.EOF after the last one, or an *Error.
func (r *rows) cells() ([]string, error) {
	cells, err := r.csv.Read()
	var parse *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case errors.As(err, &parse):
		return nil, &Error{File: r.name, Line: parse.Line, Allowed: parse.Err.Error()}
	case err != nil:
		return nil, &Error{File: r.name, Line: r.line + 1, Allowed: "read: " + err.Error()}
	}
	r.line, _ = r.csv.FieldPos(0)
	return cells, nil
}

func (r *rows) wrong(column, value, allowed string) error {
	if len(value) > maxQuoted {
		value = strings.ToValidUTF8(value[:maxQuoted], "") + "..."
	}
	return &Error{File: r.name, Line: r.line, Column: column, Value: value, Allowed: allowed}
}

// loadColumn is the second column.
type loadColumn struct {
	name    string
	perStep bool
}

func newLoadColumn(name string) (column loadColumn, known bool) {
	switch strings.ToLower(name) {
	case "requests", "count":
		return loadColumn{name: name, perStep: true}, true
	case "rps", "requests_per_second":
		return loadColumn{name: name}, true
	}
	return loadColumn{}, false
}

// parse reads a cell. It returns what would be allowed when the cell is wrong. In the first row the step is not known yet, 0.
func (c loadColumn) parse(cell string, step time.Duration) (value float64, allowed string) {
	value, err := strconv.ParseFloat(cell, 64)
	switch {
	case err != nil || math.IsNaN(value) || math.IsInf(value, 0) || value < 0:
		return 0, "not a number that is 0 or more"
	case (!c.perStep || step > 0) && !isRate(c.rate(value, step)):
		return 0, fmt.Sprintf("%v requests per second; allowed is 0 to %v", c.rate(value, step), MaxRate)
	}
	return value, ""
}

// rate turns a value into requests per second.
func (c loadColumn) rate(value float64, step time.Duration) float64 {
	if c.perStep {
		return value / step.Seconds()
	}
	return value
}

// axis checks that times follow each other by one step, or by whole steps when gaps may be filled.
type axis struct {
	column string
	fill   bool
	rows   int
	start  time.Time
	step   time.Duration
	latest time.Time
}

// add takes the next row's time and returns how many steps are missing before it, or what would be allowed when it is wrong.
func (a *axis) add(cell string) (missing int, allowed string) {
	at, allowed := a.parse(cell)
	if allowed != "" {
		return 0, allowed
	}
	distance := at.Sub(a.latest)
	switch {
	case a.rows == 0:
		a.start = at
	case distance <= 0:
		return 0, "not after the row before it"
	case a.rows == 1 && (distance < MinStep || distance > MaxStep):
		return 0, fmt.Sprintf("%v after the row before it; allowed is %v to %v", distance, MinStep, MaxStep)
	case a.rows == 1:
		a.step = distance
	default:
		steps := math.Round(float64(distance) / float64(a.step))
		if math.Abs(float64(distance)-steps*float64(a.step)) > gapTolerance*float64(a.step) || steps < 1 || steps > 1 && !a.fill {
			return 0, fmt.Sprintf("%v after the row before it; the step is %v, and a step without requests is a row with 0",
				distance, a.step)
		}
		missing = int(steps) - 1
	}
	a.rows++
	a.latest = at
	return missing, ""
}

func (a *axis) parse(cell string) (at time.Time, allowed string) {
	for _, layout := range []string{time.DateTime, time.RFC3339} {
		if at, err := time.Parse(layout, cell); err == nil {
			return at, ""
		}
	}
	const formats = "not a time: 2006-01-02T15:04:05Z, 2006-01-02 15:04:05 or a number are allowed"
	offset, err := strconv.ParseFloat(cell, 64)
	if err != nil || math.IsNaN(offset) {
		return time.Time{}, formats
	}
	unit := unitOf(a.column)
	if unit == 0 {
		return time.Time{}, "a number, and the column's name holds no unit: seconds, minutes or hours is needed"
	}
	if most := MaxDuration.Seconds() / unit.Seconds(); offset < 0 || offset > most {
		return time.Time{}, fmt.Sprintf("allowed is 0 to %v", most)
	}
	return time.Time{}.Add(time.Duration(math.Round(offset * float64(unit)))), ""
}

// unitOf reads the unit of an offset from the column's name, 0 if it has none.
func unitOf(column string) time.Duration {
	words := strings.FieldsFunc(strings.ToLower(column), func(r rune) bool { return r == '_' || r == ' ' || r == '-' })
	for _, unit := range []struct {
		length time.Duration
		names  []string
	}{
		{time.Second, []string{"s", "second", "seconds"}},
		{time.Minute, []string{"m", "minute", "minutes"}},
		{time.Hour, []string{"h", "hour", "hours"}},
	} {
		if slices.ContainsFunc(words, func(word string) bool { return slices.Contains(unit.names, word) }) {
			return unit.length
		}
	}
	return 0
}
