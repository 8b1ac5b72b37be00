package hpa_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var tables = flag.Bool("tables", false, "run upstream's own tables against our decisions (minutes of compiling the first time)")

const (
	upstreamPackage = "k8s.io/kubernetes/pkg/controller/podautoscaler"
	overlaid        = "podautoscaler" // the folder, beside this file, that is not there
)

// otherFactor is the one case that cannot hold for ours: upstream's tests raise its
// factor of scaling out from 2 to 8, and this case expects 8.
const otherFactor = "^TestConvertDesiredReplicasWithRules$/^scaleUpLimit_is_the_limit_because"

// replaced are the functions of upstream that testdata/podautoscaler.go.txt stands
// in for, by their file.
var replaced = map[string][]string{
	"replica_calculator.go": {
		"GetResourceReplicas", "GetRawResourceReplicas", "GetMetricReplicas", "GetObjectMetricReplicas",
		"GetObjectPerPodMetricReplicas", "GetExternalMetricReplicas", "GetExternalPerPodMetricReplicas",
	},
	"horizontal.go": {
		"stabilizeRecommendation", "convertDesiredReplicasWithRules",
		"stabilizeRecommendationWithBehaviors", "convertDesiredReplicasWithBehaviorRate",
	},
}

// TestUpstreamsTablesHoldForOurDecisions runs the tests of upstream's package with
// our policy and limits in the place of its calculator, windows and rates. Upstream's
// files are read where the module cache has them; only names change on the way.
func TestUpstreamsTablesHoldForOurDecisions(t *testing.T) {
	if !*tables {
		t.Skip("only with -tables")
	}
	out := goTest(t, overlay(t))
	passed := regexp.MustCompile(`(?m)^\s*--- PASS: (\S+)`).FindAllStringSubmatch(out, -1)
	for _, failed := range regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`).FindAllStringSubmatch(out, -1) {
		t.Errorf("%s:\n%s", failed[1], section(out, failed[1]))
	}
	t.Logf("%d tests and cases of upstream's pass", len(passed))
	record(t, map[string]int{"upstream_tests": len(passed)})
	const atLeast = 300 // of 1.37.2; fewer would mean that the tables did not run
	if len(passed) < atLeast {
		t.Errorf("%d tests and cases of upstream's pass, want at least %d:\n%s", len(passed), atLeast, last(out, 4000))
	}
}

// overlay lays upstream's files, those of replaced with other names and ours into a
// folder of this module that is not there, and returns the name of the list that
// go's -overlay wants: the module cache itself may not be overlaid.
func overlay(t *testing.T) string {
	t.Helper()
	upstream, temporary := upstreamDir(t), t.TempDir()
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(here, overlaid)
	replace := map[string]string{filepath.Join(folder, "ours.go"): filepath.Join(here, "testdata", "podautoscaler.go.txt")}
	files, err := filepath.Glob(filepath.Join(upstream, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", upstream, err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if functions := replaced[name]; functions != nil {
			file = write(t, temporary, name, rename(t, file, functions))
		}
		replace[filepath.Join(folder, name)] = file
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	return write(t, temporary, "overlay.json", list)
}

func write(t *testing.T, dir, name string, content []byte) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// rename puts upstream before the names of the functions a file declares.
func rename(t *testing.T, file string, functions []string) []byte {
	t.Helper()
	files := token.NewFileSet()
	syntax, err := parser.ParseFile(files, file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	missing := make(map[string]bool)
	for _, name := range functions {
		missing[name] = true
	}
	for _, declaration := range syntax.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && missing[f.Name.Name] {
			delete(missing, f.Name.Name)
			f.Name.Name = "upstream" + f.Name.Name
		}
	}
	if len(missing) > 0 {
		t.Fatalf("%s does not declare %v", file, missing)
	}
	var out bytes.Buffer
	if err := format.Node(&out, files, syntax); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func upstreamDir(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", upstreamPackage).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// goTest compiles and runs upstream's tests and returns what they print.
func goTest(t *testing.T, overlay string) string {
	t.Helper()
	temporary := t.TempDir()
	binary := filepath.Join(temporary, "podautoscaler.test")
	compile := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-o", binary, "-overlay", overlay, "./"+overlaid)
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile upstream's tests: %v\n%s", err, out)
	}
	var out bytes.Buffer
	run := exec.CommandContext(t.Context(), binary, "-test.v", "-test.skip", otherFactor)
	run.Dir, run.Stdout = temporary, &out
	if err := run.Run(); err != nil {
		t.Errorf("upstream's tests: %v", err)
	}
	return out.String()
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

// section is what a test printed.
func section(out, test string) string {
	_, after, _ := strings.Cut(out, "=== RUN   "+test+"\n")
	text, _, _ := strings.Cut(after, "=== RUN   ")
	return last(text, 1500)
}
