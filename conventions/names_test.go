package conventions

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
)

const whyNamed = `Shared code is named for its subject: window, snapshot, forecast. A package that cannot be
named belongs to its caller.`

func TestPackagesAreNamedForTheirSubject(t *testing.T) {
	report(t, namelessPackages(goFiles(t)), whyNamed)
}

func TestNamelessPackagesAreFound(t *testing.T) {
	mustFind(t, namelessPackages([]goFile{
		{name: "pkg/util/strings.go", packageName: "util"},
		{name: "lab/clock/clock.go", packageName: "helpers"},
		{name: "pkg/typesetting/type.go", packageName: "typesetting"},
	}), []string{
		"pkg/util/strings.go is in a package called util",
		"lab/clock/clock.go is in a package called helpers",
	})
}

func namelessPackages(files []goFile) []string {
	nameless := []string{"util", "utils", "common", "helper", "helpers", "types", "base", "misc", "shared"}
	var problems []string
	for _, f := range files {
		for _, name := range []string{f.packageName, path.Base(f.dir())} {
			if slices.Contains(nameless, name) {
				problems = append(problems, fmt.Sprintf("%s is in a package called %s", f.name, name))
				break
			}
		}
	}
	return problems
}

const whyNoInit = `An init function acts because something was imported, in an order nobody sees. What is
wired stands in a list: plugins/plugins.go, autoscaler/policies/policies.go.`

func TestNothingHappensByImporting(t *testing.T) {
	report(t, initFunctions(goFiles(t)), whyNoInit)
}

func TestInitFunctionsAreFound(t *testing.T) {
	withInit, err := parse("pkg/a/a.go", []byte("package a\n\nfunc init() {}\n\ntype t struct{}\n\nfunc (t) start() {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	withMethod, err := parse("pkg/b/b.go", []byte("package b\n\ntype t struct{}\n\nfunc (t) init() {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	mustFind(t, initFunctions([]goFile{withInit, withMethod}), []string{"pkg/a/a.go has an init function"})
}

func initFunctions(files []goFile) []string {
	var problems []string
	for _, f := range files {
		if slices.Contains(f.functions, "init") {
			problems = append(problems, f.name+" has an init function")
		}
	}
	return problems
}

const whyCommented = `A package says in one sentence what it does for its caller, in the file named like it.`

func TestPackagesSayWhatTheyAreFor(t *testing.T) {
	report(t, packagesWithoutComment(goFiles(t)), whyCommented)
}

func TestPackagesWithoutCommentAreFound(t *testing.T) {
	mustFind(t, packagesWithoutComment([]goFile{
		{name: "pkg/a/a.go"},
		{name: "pkg/a/a_test.go", comment: true}, // of the test, not of the package
		{name: "pkg/b/b.go", comment: true},
		{name: "pkg/b/other.go"},
		{name: "pkg/c/c_test.go"}, // tests alone: nobody imports it
	}), []string{"pkg/a has no package comment"})
}

func packagesWithoutComment(files []goFile) []string {
	commented := map[string]bool{}
	for _, f := range files {
		if !f.isTest() {
			commented[f.dir()] = commented[f.dir()] || f.comment
		}
	}
	var problems []string
	for dir, has := range commented {
		if !has {
			problems = append(problems, dir+" has no package comment")
		}
	}
	return problems
}

const whyListed = `One visible list wires everything. What is not in it is not there, whatever its folder says.`

func TestRegistriesListEveryFolder(t *testing.T) {
	files := goFiles(t)
	report(t, unlisted(files, "plugins/plugins.go", "plugins", folders(t, "plugins")), whyListed)
	report(t, unlisted(files, "autoscaler/policies/policies.go", "autoscaler/policies", folders(t, "autoscaler/policies")), whyListed)
}

func TestFoldersOutsideTheRegistryAreFound(t *testing.T) {
	files := []goFile{{name: "plugins/plugins.go", imports: []string{"fmt", module + "/plugins/a"}}}
	mustFind(t, unlisted(files, "plugins/plugins.go", "plugins", []string{"a", "b"}), []string{"plugins/plugins.go does not list plugins/b"})
}

// unlisted finds the folders of dir that the file registry does not import.
func unlisted(files []goFile, registry, dir string, folders []string) []string {
	var listed []string
	for _, f := range files {
		if f.name == registry {
			listed = ownImports(f)
		}
	}
	var problems []string
	for _, folder := range folders {
		if !slices.Contains(listed, dir+"/"+folder) {
			problems = append(problems, fmt.Sprintf("%s does not list %s/%s", registry, dir, folder))
		}
	}
	return problems
}

func TestParseSeesWhatTheChecksRead(t *testing.T) {
	f, err := parse("pkg/a/a_test.go", []byte("// Package a is a.\npackage a_test\n\nimport renamed \"k8s.io/kubernetes\"\n\nvar _ renamed.T\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !f.comment || f.packageName != "a" || !f.isTest() || f.dir() != "pkg/a" || strings.Join(f.imports, " ") != "k8s.io/kubernetes" {
		t.Errorf("got %+v", f)
	}
}
