package worldcup_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/lab/trace"
	"github.com/plimsoll-k8s/plimsoll/lab/trace/worldcup"
)

func TestDataDir(t *testing.T) {
	root := t.TempDir()
	deep := filepath.Join(root, "lab", "trace")
	if err := os.MkdirAll(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.work"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for _, tc := range []struct{ name, variable, workDir, want string }{
		{"beside the repository, from its root", "", root, filepath.Join(root, "../shared/data")},
		{"beside the repository, from a package", "", deep, filepath.Join(root, "../shared/data")},
		{"beside the working directory outside a repository", "", outside, filepath.Join(outside, "../shared/data")},
		{"the variable wins", "/data/", deep, "/data"},
		{"a relative variable is below the working directory", "data", deep, filepath.Join(deep, "data")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			getenv := func(name string) string {
				if name != "PLIMSOLL_DATA" {
					t.Errorf("reads %s", name)
				}
				return tc.variable
			}
			if got := worldcup.DataDir(getenv, tc.workDir); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAbsentDataIsNotAnError(t *testing.T) {
	found, err := worldcup.Load(t.TempDir(), worldcup.OpeningDay())
	if found.There || err != nil {
		t.Errorf("there %v, error %v; want false and none", found.There, err)
	}
}

func TestLoadCutsTheExcerpt(t *testing.T) {
	noon := time.Date(1998, time.June, 10, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	write(t, dir, "minute_utc,requests\n1998-06-10 12:00:00,60\n1998-06-10 12:01:00,120\n1998-06-10 12:05:00,180\n")
	for _, tc := range []struct {
		name     string
		from, to int     // minutes after noon
		peak     float64 // requests per second
		gaps     []trace.Gap
	}{
		{"before the gap", 0, 2, 2, nil},
		{"within the gap", 3, 4, 0, []trace.Gap{{From: 0, Steps: 1}}},
		{"over the gap's end", 3, 6, 3, []trace.Gap{{From: 0, Steps: 2}}},
		{"over the whole gap", 1, 6, 3, []trace.Gap{{From: time.Minute, Steps: 3}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from := noon.Add(time.Duration(tc.from) * time.Minute)
			found, err := worldcup.Load(dir, worldcup.Excerpt{From: from, To: noon.Add(time.Duration(tc.to) * time.Minute)})
			if err != nil || !found.There {
				t.Fatalf("there %v, error %v", found.There, err)
			}
			got := found.Trace
			if got.Steps() != tc.to-tc.from || got.Peak() != tc.peak || !got.Start().Equal(from) {
				t.Errorf("%d steps from %v with peak %v", got.Steps(), got.Start(), got.Peak())
			}
			if diff := cmp.Diff(tc.gaps, found.Gaps); diff != "" {
				t.Errorf("gaps (-want +got):\n%s", diff)
			}
		})
	}
	found, err := worldcup.Load(dir, worldcup.Excerpt{From: noon, To: noon.Add(time.Hour)})
	if !found.There || err == nil || !strings.Contains(err.Error(), "world cup excerpt 1998-06-10T12:00:00Z to 1998-06-10T13:00:00Z") {
		t.Errorf("an excerpt past the end: there %v, error %v", found.There, err)
	}
}

func TestLoadReportsAWrongFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "hello\n")
	found, err := worldcup.Load(dir, worldcup.OpeningDay())
	if !found.There || err == nil {
		t.Errorf("there %v, error %v; want true and one", found.There, err)
	}
}

func TestTheRealFileLoadsAsItIs(t *testing.T) {
	workDir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	whole := worldcup.Excerpt{
		From: time.Date(1998, time.April, 30, 21, 30, 0, 0, time.UTC),
		To:   time.Date(1998, time.June, 21, 0, 0, 0, 0, time.UTC),
	}
	for _, tc := range []struct {
		name        string
		excerpt     worldcup.Excerpt
		steps, gaps int
		mean, peak  float64 // requests per second, rounded
	}{
		{"the opening day has no gap", worldcup.OpeningDay(), 1440, 0, 605, 2143},
		{"the whole file has seven", whole, 73590, 7, 130, 2565},
	} {
		t.Run(tc.name, func(t *testing.T) {
			found, err := worldcup.Load(worldcup.DataDir(os.Getenv, workDir), tc.excerpt)
			if err != nil {
				t.Fatal(err)
			}
			if !found.There {
				t.Skip("the data sets are not on this machine; set PLIMSOLL_DATA")
			}
			got := found.Trace
			if got.Steps() != tc.steps || len(found.Gaps) != tc.gaps || math.Round(got.Mean()) != tc.mean || math.Round(got.Peak()) != tc.peak {
				t.Errorf("%d steps, gaps %v, mean %v, peak %v", got.Steps(), found.Gaps, got.Mean(), got.Peak())
			}
		})
	}
}

func write(t *testing.T, dir, csv string) {
	t.Helper()
	path := filepath.Join(dir, worldcup.File)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(csv), 0o600); err != nil {
		t.Fatal(err)
	}
}
