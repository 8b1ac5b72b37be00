package conventions

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

// mayImport says, for each top folder, of which others its code may import.
var mayImport = map[string][]string{
	"pkg":         {"pkg"},
	"plugins":     {"plugins", "pkg"},
	"autoscaler":  {"autoscaler", "pkg"},
	"manifests":   {},
	"cmd":         {"cmd", "plugins", "autoscaler", "pkg", "manifests"},
	"bench":       {"bench", "cmd", "plugins", "autoscaler", "pkg", "manifests"},
	"conventions": {"cmd", "plugins", "autoscaler", "pkg", "manifests"},
	"docs":        {"autoscaler", "pkg"}, // examples, as a user would write them
	"lab":         {"lab", "bench", "cmd", "plugins", "autoscaler", "pkg", "manifests"},
}

const whyArrows = `Imports go one way: cmd, bench -> plugins | autoscaler -> pkg; the lab is a module of its
own that may import them all. Plugins and autoscaler stay usable without each other, and
what both need moves to pkg, where it gets a name and tests.`

func TestImportsGoOneWay(t *testing.T) {
	report(t, againstTheArrows(goFiles(t)), whyArrows)
}

func TestImportsAgainstTheArrowsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		file goFile
		want []string
	}{
		"a plugin may import pkg": {
			file: goFile{name: "plugins/a/a.go", imports: []string{"fmt", module + "/pkg/cost", "k8s.io/api/core/v1"}},
		},
		"a plugin must not import the autoscaler": {
			file: goFile{name: "plugins/a/a.go", imports: []string{module + "/autoscaler/limits"}},
			want: []string{"plugins/a/a.go imports autoscaler/limits"},
		},
		"the autoscaler must not import a plugin, not even in a test": {
			file: goFile{name: "autoscaler/b/b_test.go", imports: []string{module + "/plugins"}},
			want: []string{"autoscaler/b/b_test.go imports plugins"},
		},
		"pkg must import neither": {
			file: goFile{name: "pkg/c/c.go", imports: []string{module + "/plugins/a", module + "/autoscaler/b"}},
			want: []string{"pkg/c/c.go imports plugins/a", "pkg/c/c.go imports autoscaler/b"},
		},
		"nothing of the root imports the lab": {
			file: goFile{name: "cmd/d/main.go", imports: []string{module + "/lab/trace"}},
			want: []string{"cmd/d/main.go imports lab/trace"},
		},
		"a test may read the manifests": {
			file: goFile{name: "pkg/c/c_test.go", imports: []string{module + "/manifests"}},
		},
		"code must not": {
			file: goFile{name: "pkg/c/c.go", imports: []string{module + "/manifests"}},
			want: []string{"pkg/c/c.go imports manifests"},
		},
		"a test of the simulator may run the plugins": {
			file: goFile{name: "pkg/sim/s_test.go", imports: []string{module + "/plugins"}},
		},
		"its code must not know them": {
			file: goFile{name: "pkg/sim/s.go", imports: []string{module + "/plugins"}},
			want: []string{"pkg/sim/s.go imports plugins"},
		},
		"nor may the tests of others in pkg": {
			file: goFile{name: "pkg/simple/s_test.go", imports: []string{module + "/plugins"}},
			want: []string{"pkg/simple/s_test.go imports plugins"},
		},
		"a new top folder needs a rule": {
			file: goFile{name: "internal/e/e.go"},
			want: []string{"internal/e/e.go: no rule says what internal may import; add it to mayImport"},
		},
	} {
		t.Run(name, func(t *testing.T) { mustFind(t, againstTheArrows([]goFile{c.file}), c.want) })
	}
}

func againstTheArrows(files []goFile) []string {
	var problems []string
	for _, f := range files {
		allowed, ruled := mayImport[topFolder(f.name)]
		if !ruled {
			problems = append(problems, fmt.Sprintf("%s: no rule says what %s may import; add it to mayImport", f.name, topFolder(f.name)))
			continue
		}
		for _, ours := range ownImports(f) {
			if !slices.Contains(allowed, topFolder(ours)) && !(f.isTest() && testMayImport(f, topFolder(ours))) {
				problems = append(problems, fmt.Sprintf("%s imports %s", f.name, ours))
			}
		}
	}
	return problems
}

// testMayImport says what a test may import that code beside it may not: what is
// shipped, to try it; and the simulator's tests the plugins that it is made to run.
func testMayImport(f goFile, top string) bool {
	return top == "manifests" || top == "plugins" && isWithin(f.dir(), simulator)
}

// simulator is the one folder of pkg that imports k8s.io/kubernetes.
const simulator = "pkg/sim"

const whyNoKubernetes = `k8s.io/kubernetes is no library: it promises no Go API, and requires its own parts at versions
that do not exist. Only programs (cmd, bench, lab) import it, tests of libraries included,
so that nobody who imports a plugin has to. Plugins use k8s.io/kube-scheduler/framework.
The simulator (pkg/sim) runs kube-scheduler's own code, or it would simulate something else:
programs import it, no other library does.`

func TestOnlyProgramsImportKubernetesItself(t *testing.T) {
	report(t, importsOfKubernetes(goFiles(t)), whyNoKubernetes)
}

func TestImportsOfKubernetesItselfAreFound(t *testing.T) {
	itself := []string{"k8s.io/kubernetes/pkg/scheduler/testing"}
	mustFind(t, importsOfKubernetes([]goFile{
		{name: "plugins/a/a_test.go", imports: itself},
		{name: "autoscaler/b/b.go", imports: itself},
		{name: "pkg/c/c.go", imports: []string{"k8s.io/kubernetes"}},
		{name: "pkg/d/d.go", imports: []string{"k8s.io/client-go/kubernetes"}},
		{name: "cmd/e/main.go", imports: itself},
		{name: "lab/f/f.go", imports: itself},
		{name: "pkg/sim/s.go", imports: itself},
		{name: "pkg/simple/s.go", imports: itself},
	}), []string{
		"plugins/a/a_test.go imports k8s.io/kubernetes/pkg/scheduler/testing",
		"autoscaler/b/b.go imports k8s.io/kubernetes/pkg/scheduler/testing",
		"pkg/c/c.go imports k8s.io/kubernetes",
		"pkg/simple/s.go imports k8s.io/kubernetes/pkg/scheduler/testing",
	})
}

func importsOfKubernetes(files []goFile) []string {
	var problems []string
	for _, f := range files {
		if slices.Contains([]string{"cmd", "bench", "lab"}, topFolder(f.name)) || isWithin(f.dir(), simulator) {
			continue
		}
		for _, imported := range f.imports {
			if isWithin(imported, "k8s.io/kubernetes") {
				problems = append(problems, fmt.Sprintf("%s imports %s", f.name, imported))
			}
		}
	}
	return problems
}

const whyTermsApart = `A term of the cost is arithmetic that can be read, tried and priced alone. What two terms
share is not a term: give it a name and a folder under pkg.`

func TestTermsDoNotKnowEachOther(t *testing.T) {
	report(t, termsThatKnowEachOther(goFiles(t)), whyTermsApart)
}

func TestTermsThatKnowEachOtherAreFound(t *testing.T) {
	mustFind(t, termsThatKnowEachOther([]goFile{
		{name: "pkg/cost/opening/opening.go", imports: []string{module + "/pkg/cost/stranding"}},
		{name: "pkg/cost/opening/opening_test.go", imports: []string{module + "/pkg/cost/opening", module + "/pkg/cost"}},
		{name: "plugins/a/a.go", imports: []string{module + "/pkg/cost/stranding"}},
	}), []string{"pkg/cost/opening/opening.go imports pkg/cost/stranding"})
}

func termsThatKnowEachOther(files []goFile) []string {
	var problems []string
	for _, f := range files {
		if path.Dir(f.dir()) != "pkg/cost" {
			continue
		}
		for _, ours := range ownImports(f) {
			if isWithin(ours, "pkg/cost") && ours != "pkg/cost" && ours != f.dir() {
				problems = append(problems, fmt.Sprintf("%s imports %s", f.name, ours))
			}
		}
	}
	return problems
}

const whyPlainContract = `pkg/scaling is the contract of every scaling policy. With the standard library alone a policy
stays values in, value and reason out, and simulation runs the same code.`

func TestTheScalingContractNeedsTheStandardLibraryAlone(t *testing.T) {
	report(t, beyondTheStandardLibrary(goFiles(t), "pkg/scaling"), whyPlainContract)
}

func TestImportsBeyondTheStandardLibraryAreFound(t *testing.T) {
	mustFind(t, beyondTheStandardLibrary([]goFile{
		{name: "pkg/scaling/a.go", imports: []string{"time", "math/rand/v2", "k8s.io/api/core/v1"}},
		{name: "pkg/scaling/a_test.go", imports: []string{"github.com/google/go-cmp/cmp"}},
	}, "pkg/scaling"), []string{"pkg/scaling/a.go imports k8s.io/api/core/v1"})
}

func beyondTheStandardLibrary(files []goFile, dir string) []string {
	var problems []string
	for _, f := range files {
		if f.dir() != dir || f.isTest() {
			continue
		}
		for _, imported := range f.imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				problems = append(problems, fmt.Sprintf("%s imports %s", f.name, imported))
			}
		}
	}
	return problems
}

// ownImports lists a file's imports of this repository, as paths from its root.
func ownImports(f goFile) []string {
	var ours []string
	for _, imported := range f.imports {
		if strings.HasPrefix(imported, module+"/") {
			ours = append(ours, strings.TrimPrefix(imported, module+"/"))
		}
	}
	return ours
}

// isWithin reports whether path is dir or below it.
func isWithin(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

func topFolder(name string) string {
	top, _, _ := strings.Cut(name, "/")
	return top
}
