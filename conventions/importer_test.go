package conventions

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAnImporterInheritsNoWeight makes a module that uses a scheduler plugin and
// the autoscaler's contract, as a program elsewhere would, and tidies and builds it
// from the module cache alone.
//
// The module replaces Plimsoll by this checkout, for what is tested is not published
// yet; a module that requires a published version needs no replace at all, and the
// test allows no other. What tidy looks at is in the cache after hack/modules, which
// does the same once online.
func TestAnImporterInheritsNoWeight(t *testing.T) {
	dir := t.TempDir()
	source := read(t, "conventions/testdata/importer/main.go")
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	alone := []string{"GOWORK=off", "GOFLAGS=-mod=mod"}
	runGo(t, dir, alone, "mod", "init", "example.com/importer")
	runGo(t, dir, alone, "mod", "edit", "-require="+module+"@v0.0.0", "-replace="+module+"="+checkout)
	runGo(t, dir, alone, "mod", "tidy")

	report(t, inherited(readGoMod(t, dir)), whyLight)
	linked := strings.Fields(runGo(t, dir, alone, "list", "-deps", "."))
	report(t, within(linked, unwantedByImporters()), whyLight)

	runGo(t, dir, []string{"GOWORK=off", "GOFLAGS=-mod=readonly"}, "build", "-o", filepath.Join(dir, "importer"), ".")
}

func TestInheritedWeightIsFound(t *testing.T) {
	const text = `module example.com/importer

go 1.26.0

require (
	github.com/plimsoll-k8s/plimsoll v0.0.0
	github.com/prometheus/client_golang v1.25.0 // indirect
	k8s.io/api v0.37.2 // indirect
	k8s.io/kubernetes v1.37.2 // indirect
	sigs.k8s.io/kwok v0.8.0 // indirect
)

replace github.com/plimsoll-k8s/plimsoll => /checkout

replace k8s.io/api => k8s.io/api v0.37.2
`
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	mustFind(t, inherited(readGoMod(t, dir)), []string{
		"an importer's go.mod requires k8s.io/kubernetes: Kubernetes itself",
		"an importer's go.mod requires sigs.k8s.io/kwok: kwok",
		"an importer's go.mod needs to replace k8s.io/api",
	})
}

// A goMod is what `go mod edit -json` says of a go.mod, as far as it is read.
type goMod struct {
	Require []requirement
	Replace []struct{ Old struct{ Path string } }
}

type requirement struct {
	Path     string
	Indirect bool
}

func readGoMod(t *testing.T, dir string) goMod {
	t.Helper()
	var file goMod
	if err := json.Unmarshal([]byte(runGo(t, dir, []string{"GOWORK=off"}, "mod", "edit", "-json")), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// inherited finds what an importer's go.mod should not have to name.
func inherited(file goMod) []string {
	var problems []string
	for _, required := range file.Require {
		for unwanted, what := range unwantedByImporters() {
			if isWithin(required.Path, unwanted) {
				problems = append(problems, fmt.Sprintf("an importer's go.mod requires %s: %s", required.Path, what))
			}
		}
	}
	for _, replaced := range file.Replace {
		if replaced.Old.Path != module {
			problems = append(problems, "an importer's go.mod needs to replace "+replaced.Old.Path)
		}
	}
	return problems
}

func unwantedByImporters() map[string]string {
	unwanted := heavy()
	for path := range unwanted {
		if isWithin(path, "k8s.io/kubernetes") {
			delete(unwanted, path)
		}
	}
	unwanted["k8s.io/kubernetes"] = "Kubernetes itself"
	return unwanted
}
