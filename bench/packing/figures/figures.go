// Package figures keeps what benchmarks measured in CSV files into which later
// measurements merge: only what was measured anew changes.
package figures

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// File is a CSV file with a header line, and comments before it.
type File struct {
	// Comments say by whom, when and how lines were measured: by topic, a word.
	Comments map[string]string
	Header   []string
	Lines    [][]string
}

// Read reads a file with the given header; one that is not there is empty.
func Read(name string, header []string) (File, error) {
	f := File{Comments: map[string]string{}, Header: header}
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, fmt.Errorf("read figures: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if topic, comment, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "# "), ": "); ok && strings.HasPrefix(line, "# ") {
			f.Comments[topic] = comment
		}
	}
	lines := csv.NewReader(bytes.NewReader(text))
	lines.Comment = '#'
	all, err := lines.ReadAll()
	if err != nil {
		return f, fmt.Errorf("read figures: %s: %w", name, err)
	}
	if len(all) == 0 || !slices.Equal(all[0], header) {
		return f, fmt.Errorf("read figures: %s: the header must be %s", name, strings.Join(header, ","))
	}
	f.Lines = all[1:]
	return f, nil
}

// Replace drops the lines of which stale is true and adds others.
func (f *File) Replace(stale func(line []string) bool, lines [][]string) {
	f.Lines = append(slices.DeleteFunc(f.Lines, stale), lines...)
}

// Write sorts the lines (compare is of two lines, negative if the first comes
// first) and writes the file in place of the one that was there.
func (f File) Write(name string, compare func(a, b []string) int) error {
	slices.SortStableFunc(f.Lines, compare)
	var text bytes.Buffer
	topics := make([]string, 0, len(f.Comments))
	for topic := range f.Comments {
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	for _, topic := range topics {
		fmt.Fprintf(&text, "# %s: %s\n", topic, f.Comments[topic])
	}
	w := csv.NewWriter(&text)
	if err := w.WriteAll(append([][]string{f.Header}, f.Lines...)); err != nil {
		return fmt.Errorf("write figures: %s: %w", name, err)
	}
	return replaceFile(name, text.Bytes())
}

// replaceFile writes a file so that a reader sees the old one or the new one.
func replaceFile(name string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	draft := name + ".new"
	if err := os.WriteFile(draft, text, 0o644); err != nil { // Results are for everybody to read.
		return fmt.Errorf("write figures: %w", err)
	}
	if err := os.Rename(draft, name); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}
