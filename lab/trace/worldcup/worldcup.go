// Package worldcup finds the requests per minute of the 1998 World Cup's web site and cuts excerpts from them.
//
// The data is not part of this repository. That it is not there is an answer, not an error.
package worldcup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/trace"
)

const (
	// DataVariable is the environment variable that names the directory of the data sets.
	DataVariable = "PLIMSOLL_DATA"
	// File is the trace's place in that directory.
	File = "worldcup98/requests_per_minute.csv.gz"

	defaultData = "../shared/data" // from the root of the repository
	workspace   = "go.work"        // stands in the root of the repository
)

// Excerpt is a range of time, From up to but without To, in whole minutes.
type Excerpt struct{ From, To time.Time }

// OpeningDay is 10 June 1998, the first day of matches: 605 requests per second on average, 2143 at 17:26 UTC.
func OpeningDay() Excerpt {
	from := time.Date(1998, time.June, 10, 0, 0, 0, 0, time.UTC)
	return Excerpt{From: from, To: from.AddDate(0, 0, 1)}
}

// DataDir returns where the data sets are, for an absolute workDir: the value of PLIMSOLL_DATA (relative to workDir), else ../shared/data beside the
// repository that holds workDir, else beside workDir itself.
func DataDir(getenv func(string) string, workDir string) string {
	if dir := getenv(DataVariable); dir != "" {
		if filepath.IsAbs(dir) {
			return filepath.Clean(dir)
		}
		return filepath.Join(workDir, dir)
	}
	for root := filepath.Clean(workDir); ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, workspace)); err == nil {
			return filepath.Join(root, defaultData)
		}
		if root == filepath.Dir(root) {
			return filepath.Join(workDir, defaultData)
		}
	}
}

// Path returns the trace's path in the directory of the data sets, and whether the file is there.
func Path(dataDir string) (path string, there bool) {
	path = filepath.Join(dataDir, filepath.FromSlash(File))
	info, err := os.Stat(path)
	return path, err == nil && info.Mode().IsRegular()
}

// Found is what Load found.
type Found struct {
	// There is false when the file is not there; then the rest is empty.
	There bool
	// Trace is the excerpt, one value a minute.
	Trace trace.Trace
	// Gaps are the minutes of the excerpt that the file has no row for, given 0 requests in Trace: ten in all, between 8 and
	// 18 May. The file has no row with 0, so they may be minutes without a request or without a log.
	Gaps []trace.Gap
}

// Load reads the excerpt. An excerpt outside the file is an error.
func Load(dataDir string, excerpt Excerpt) (Found, error) {
	path, there := Path(dataDir)
	if !there {
		return Found{}, nil
	}
	whole, gaps, err := trace.LoadFilling(path)
	if errors.Is(err, fs.ErrNotExist) { // gone between the two looks
		return Found{}, nil
	}
	if err != nil {
		return Found{There: true}, err
	}
	from, length := excerpt.From.Sub(whole.Start()), excerpt.To.Sub(excerpt.From)
	part, err := whole.Slice(from, length)
	if err != nil {
		return Found{There: true}, fmt.Errorf("world cup excerpt %s to %s: %w",
			excerpt.From.Format(time.RFC3339), excerpt.To.Format(time.RFC3339), err)
	}
	return Found{There: true, Trace: part, Gaps: gapsWithin(gaps, whole.Step(), from, length)}, nil
}

// gapsWithin cuts the gaps to the excerpt and counts them from its start.
func gapsWithin(gaps []trace.Gap, step, from, length time.Duration) []trace.Gap {
	var within []trace.Gap
	for _, gap := range gaps {
		first := max(gap.From, from)
		end := min(gap.From+time.Duration(gap.Steps)*step, from+length)
		if first < end {
			within = append(within, trace.Gap{From: first - from, Steps: int((end - first) / step)})
		}
	}
	return within
}
