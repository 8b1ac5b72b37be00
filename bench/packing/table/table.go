// Package table reads CSV files with a header line into values, and says in
// which line of which file, and in which column, something is wrong.
package table

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Row is one line of a table. Its methods remember the first error.
type Row struct {
	columns []string
	fields  []string
	failure *error
	where   string // file:line
}

// ReadFile reads a file, gzipped if its name ends in .gz, one value a line.
func ReadFile[T any](file string, parse func(Row) (T, error)) ([]T, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	defer f.Close()
	if !strings.HasSuffix(file, ".gz") {
		return Read(f, file, parse)
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("read table: %s: %w", file, err)
	}
	return Read(z, file, parse)
}

// Read reads a table from r, one value a line. file names it in errors.
func Read[T any](r io.Reader, file string, parse func(Row) (T, error)) ([]T, error) {
	lines := csv.NewReader(r)
	header, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("read table: %s:1: header: %w", file, err)
	}
	lines.ReuseRecord = true
	header = slices.Clone(header)
	var values []T
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return values, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read table: %s: %w", file, err)
		}
		line, _ := lines.FieldPos(0)
		row := Row{columns: header, fields: fields, failure: new(error), where: fmt.Sprintf("%s:%d", file, line)}
		value, err := parse(row)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
}

// Err returns the first error of this row.
func (r Row) Err() error { return *r.failure }

// Fail notes that a column's value is wrong, unless something was wrong before.
func (r Row) Fail(column, value, want string) {
	if *r.failure == nil {
		*r.failure = fmt.Errorf("%s: %s: %q: %s", r.where, column, value, want)
	}
}

// Text returns a column as it stands.
func (r Row) Text(column string) string {
	at := slices.Index(r.columns, column)
	if at < 0 {
		r.Fail(column, "", "there must be such a column; there are "+strings.Join(r.columns, ", "))
		return ""
	}
	return strings.Clone(r.fields[at])
}

// TextOr returns a column as it stands, or fallback in a table without it.
func (r Row) TextOr(column, fallback string) string {
	if !slices.Contains(r.columns, column) {
		return fallback
	}
	return r.Text(column)
}

// Int returns a column as a whole number from low to high.
func (r Row) Int(column string, low, high int64) int64 {
	text := r.Text(column)
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < low || value > high {
		r.Fail(column, text, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return value
}

// Float returns a column as a number from low to high.
func (r Row) Float(column string, low, high float64) float64 {
	text := r.Text(column)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || !(value >= low && value <= high) {
		r.Fail(column, text, fmt.Sprintf("must be a number from %g to %g", low, high))
	}
	return value
}
