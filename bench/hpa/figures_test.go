package hpa_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

var out = flag.String("out", "", "file of figures to put those measured now into, from this folder; none if empty")

// record puts figures, by their names after "differential.", in place of the same
// ones in the file of results.
func record(t *testing.T, measured map[string]int) {
	t.Helper()
	if *out == "" {
		return
	}
	f, err := figures.Read(*out, []string{"figure", "value", "unit", "target", "better"})
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]string{
		"cases": "100000", "equal": fmt.Sprint(measured["cases"]),
		"histories": "1000", "histories_equal": fmt.Sprint(measured["histories"]),
		"twins": "1000", "twins_equal": fmt.Sprint(measured["twins"]),
	}
	var lines [][]string
	for _, name := range slices.Sorted(maps.Keys(measured)) {
		lines = append(lines, []string{"differential." + name, fmt.Sprint(measured[name]), "count", targets[name], "higher"})
	}
	f.Comments["differential"] = fmt.Sprintf("%s, %d cores, %s, go test ./bench/hpa -args %s",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.Version(), ownArguments())
	f.Replace(func(line []string) bool {
		_, again := measured[strings.TrimPrefix(line[0], "differential.")]
		return again && strings.HasPrefix(line[0], "differential.")
	}, lines)
	if err := f.Write(*out, func(_, _ []string) int { return 0 }); err != nil {
		t.Fatal(err)
	}
}

// ownArguments are those that are not go test's.
func ownArguments() string {
	var own []string
	for _, argument := range os.Args[1:] {
		if !strings.HasPrefix(argument, "-test.") {
			own = append(own, argument)
		}
	}
	return strings.Join(own, " ")
}
