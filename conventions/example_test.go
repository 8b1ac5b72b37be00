package conventions

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ownPolicy is the example of a program with a policy and a source of its own.
const ownPolicy = "docs/examples/own-policy"

const whyExample = `Who extends the autoscaler copies the example. It is a module of its own, which needs nothing but a
requirement of Plimsoll: a replacement would be copied, too.`

// TestTheExampleOfAnOwnPolicyIsWhatItShows copies the example as a user would, and
// has the copy replace Plimsoll by this checkout, for what is tested is not
// published yet. What a copy needs beyond that is in the module cache with what the
// autoscaler itself needs.
func TestTheExampleOfAnOwnPolicyIsWhatItShows(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "own-autoscaler")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, filepath.FromSlash(ownPolicy)))); err != nil {
		t.Fatal(err)
	}
	report(t, exampleRequirements(readGoMod(t, dir)), whyExample)

	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	alone := []string{"GOWORK=off", "GOFLAGS=-mod=mod"}
	runGo(t, dir, alone, "mod", "edit", "-replace="+module+"="+checkout)
	program := filepath.Join(dir, "program")
	runGo(t, dir, alone, "build", "-o", program, ".")
	if tested := runGo(t, dir, alone, "test", "./..."); strings.Count(tested, "ok") < 2 {
		t.Errorf("the example's own tests did not run:\n%s", tested)
	}
	help, err := exec.CommandContext(t.Context(), program, "--help").Output()
	if err != nil {
		t.Fatalf("--help: %v", err)
	}
	for _, flag := range []string{"--sync-period", "--prometheus-server", "--shadow", "--kubeconfig"} {
		if !strings.Contains(string(help), flag) {
			t.Errorf("--help does not know %s, which plimsoll-autoscaler has:\n%s", flag, help)
		}
	}
}

// exampleRequirements finds what the go.mod of an example should not have.
func exampleRequirements(file goMod) []string {
	var problems []string
	for _, replaced := range file.Replace {
		problems = append(problems, "the example replaces "+replaced.Old.Path)
	}
	if len(file.Require) != 1 || file.Require[0].Path != module {
		problems = append(problems, "the example does not require "+module+" alone")
	}
	return problems
}

func TestExamplesThatReplaceAreFound(t *testing.T) {
	replaced := goMod{Require: []requirement{{Path: module}}}
	replaced.Replace = append(replaced.Replace, struct{ Old struct{ Path string } }{})
	replaced.Replace[0].Old.Path = module
	mustFind(t, exampleRequirements(replaced), []string{"the example replaces " + module})
	mustFind(t, exampleRequirements(goMod{}), []string{"the example does not require " + module + " alone"})
	mustFind(t, exampleRequirements(goMod{Require: []requirement{{Path: module}}}), nil)
}
