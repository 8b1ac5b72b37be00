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

func TestTheComparisonIsReadAlsoWhereItFails(t *testing.T) {
	const text = `=== RUN   TestDecisionsEqualUpstreams
    hpa_test.go:65: 99999 of 100000 equal
    hpa_test.go:67: Resource Utilization up: 4000
    hpa_test.go:70: a mismatch
--- FAIL: TestDecisionsEqualUpstreams (2.00s)
=== RUN   TestHistoriesEqualUpstreams
    hpa_test.go:65: 1000 of 1000 equal
--- PASS: TestHistoriesEqualUpstreams (9.00s)
FAIL
`
	got, err := parseDifferential(text)
	want := []figure{
		{"differential.cases", 100000, "cases", ""},
		{"differential.equal", 99999, "cases", "higher"},
		{"differential.histories", 1000, "cases", ""},
		{"differential.histories_equal", 1000, "cases", "higher"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(figure{})); diff != "" || err != nil {
		t.Errorf("error %v, figures (-want +got):\n%s", err, diff)
	}
	cut, _, _ := strings.Cut(text, "=== RUN   TestHistories")
	if _, err := parseDifferential(cut); err == nil || !strings.Contains(err.Error(), "TestHistoriesEqualUpstreams does not say") {
		t.Errorf("without histories: error %v", err)
	}
}
