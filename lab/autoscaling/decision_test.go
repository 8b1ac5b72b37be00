package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheSlowestCaseOfABenchmarkCounts(t *testing.T) {
	got, err := parseDecision(`goos: linux
BenchmarkMake/steady         	 1117232	      1069 ns/op	     400 B/op	       5 allocs/op
BenchmarkMake/held           	 1000000	      1312.5 ns/op	     100.0 extra/op	     416 B/op	       4 allocs/op
PASS
`)
	want := []figure{{"decision.ns", 1312.5, "ns", "lower"}, {"decision.allocs", 5, "1/decision", "lower"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(figure{})); diff != "" || err != nil {
		t.Errorf("error %v, figures (-want +got):\n%s", err, diff)
	}
	if _, err := parseDecision("PASS\n"); err == nil || !strings.Contains(err.Error(), "no case in") {
		t.Errorf("without a case: error %v", err)
	}
}
