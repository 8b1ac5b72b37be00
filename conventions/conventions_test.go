// Package conventions checks what the code's structure promises: which way imports
// go, what an importer inherits, what every folder's README says, and that every
// YAML file and example loads. Each check is a function of what it reads, so that
// beside the repository it is tried on input that breaks it.
//
// Run it with -count=1: Go's test cache does not see what a subprocess reads.
package conventions

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	module = "github.com/plimsoll-k8s/plimsoll"
	root   = ".." // of the repository, from here
)

// A goFile is what the checks know of one Go file.
type goFile struct {
	name        string   // path from the root, with slashes
	packageName string   // without the _test of an external test
	imports     []string // import paths
	functions   []string // names of the functions without receiver
	comment     bool     // it has a package comment
}

func (f goFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f goFile) dir() string { return path.Dir(f.name) }

// parse reads a Go file; source is its text.
func parse(name string, source []byte) (goFile, error) {
	syntax, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return goFile{}, err
	}
	f := goFile{
		name:        name,
		packageName: strings.TrimSuffix(syntax.Name.Name, "_test"),
		comment:     syntax.Doc != nil,
	}
	for _, spec := range syntax.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return goFile{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.imports = append(f.imports, imported)
	}
	for _, declaration := range syntax.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
			f.functions = append(f.functions, function.Name.Name)
		}
	}
	return f, nil
}

// goFiles reads every Go file of both modules.
func goFiles(t *testing.T) []goFile {
	t.Helper()
	var files []goFile
	for name, source := range repository(t, ".go") {
		f, err := parse(name, source)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// repository reads the files of both modules whose names end in one of suffixes,
// by their paths from the root. It leaves out what is hidden, built or test data.
func repository(t *testing.T, suffixes ...string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && isLeftOut(entry.Name()):
			return filepath.SkipDir
		case entry.IsDir() || !hasSuffix(file, suffixes) || strings.HasPrefix(entry.Name(), "."):
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		found[filepath.ToSlash(name)], err = os.ReadFile(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("no file ends in %q: a check that looks at nothing proves nothing", suffixes)
	}
	return found
}

func isLeftOut(dir string) bool {
	switch dir {
	case "bin", "dist", "testdata", "vendor", "node_modules":
		return true
	}
	return strings.HasPrefix(dir, ".")
}

func hasSuffix(name string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// read returns one file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// folders lists the folders directly in dir that hold code.
func folders(t *testing.T, dir string) []string {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(dir), "*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, source := range sources {
		name := filepath.Base(filepath.Dir(source))
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s holds no folder with code: a check that looks at nothing proves nothing", dir)
	}
	return names
}

// report fails the test for each problem, and says why there is such a rule.
func report(t *testing.T, problems []string, why string) {
	t.Helper()
	for _, problem := range problems {
		t.Error(problem)
	}
	if len(problems) > 0 {
		t.Log(why)
	}
}

// mustFind fails unless got holds exactly the problems of want.
func mustFind(t *testing.T, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.SortSlices(strings.Compare)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
