package conventions

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/plimsoll-k8s/plimsoll/pkg/cost"
)

const whySections = `Readers find the same things in the same places: a plugin's README says what it does and how
to set it, a term's what one unit of it means and what it leaves out.`

func pluginSections() []string { return []string{"Behaviour", "Arguments", "Example", "Metrics"} }

func termSections() []string { return []string{"Meaning", "Formula", "Price", "Limits"} }

func TestPluginsAreDescribed(t *testing.T) {
	for _, folder := range folders(t, "plugins") {
		name := "plugins/" + folder + "/README.md"
		report(t, missingSections(name, read(t, name), pluginSections()), whySections)
	}
}

func TestTermsAreDescribed(t *testing.T) {
	for _, folder := range folders(t, "pkg/cost") {
		name := "pkg/cost/" + folder + "/README.md"
		report(t, missingSections(name, read(t, name), termSections()), whySections)
	}
}

func TestMissingSectionsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"all there": {
			text: "# a\n\n## Meaning\nx\n## Formula\ny\n### How\n## Price\nz\n## Limits\nnone\n",
		},
		"one missing": {
			text: "# a\n\n## Meaning\nx\n## Price\nz\n## Limits\nnone\n",
			want: []string{"a/README.md has sections [Meaning Price Limits], want [Meaning Formula Price Limits] in this order"},
		},
		"in another order": {
			text: "## Formula\nx\n## Meaning\nx\n## Price\nz\n## Limits\nnone\n",
			want: []string{"a/README.md has sections [Formula Meaning Price Limits], want [Meaning Formula Price Limits] in this order"},
		},
		"one empty": {
			text: "## Meaning\nx\n## Formula\n\n## Price\nz\n## Limits\nnone\n",
			want: []string{"a/README.md says nothing under Formula"},
		},
		"one more": {
			text: "## Meaning\nx\n## Formula\ny\n## Price\nz\n## History\nh\n## Limits\nnone\n",
		},
	} {
		t.Run(name, func(t *testing.T) { mustFind(t, missingSections("a/README.md", c.text, termSections()), c.want) })
	}
}

// missingSections wants each section as a heading of level 2, with text below it,
// in the order given. There may be others between them.
func missingSections(name, text string, want []string) []string {
	var problems, headings, found []string
	body := map[string]string{}
	for line := range strings.Lines(text) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			headings = append(headings, strings.TrimSpace(heading))
		} else if len(headings) > 0 {
			body[headings[len(headings)-1]] += strings.TrimSpace(line)
		}
	}
	for _, heading := range headings {
		if slices.Contains(want, heading) {
			found = append(found, heading)
		}
	}
	if !slices.Equal(found, want) {
		problems = append(problems, fmt.Sprintf("%s has sections %v, want %v in this order", name, found, want))
	}
	for _, heading := range found {
		if body[heading] == "" {
			problems = append(problems, fmt.Sprintf("%s says nothing under %s", name, heading))
		}
	}
	return problems
}

func TestEveryTermHasItsFolder(t *testing.T) {
	var names []string
	for _, term := range cost.Terms() {
		names = append(names, term.String())
	}
	slices.Sort(names)
	if got := folders(t, "pkg/cost"); !slices.Equal(got, names) {
		t.Errorf("folders of pkg/cost are %v, its terms %v: a term is one folder and one line in terms.go", got, names)
	}
}

const whyCommands = `A visitor's first two commands are in the README, and CI runs the README's own test command, so
that what we tell people to run is what we know to work.`

func TestTheReadmesCommandsAreWhatCIRuns(t *testing.T) {
	report(t, missingCommands(read(t, "README.md"), read(t, "Makefile"), read(t, ".ci/run")), whyCommands)
}

func TestMissingCommandsAreFound(t *testing.T) {
	const readme, makefile, ci = "Run `make demo`.\n\n    make test\n", "demo:\ntest: modules ## Tests\n", "step make test\n"
	for name, c := range map[string]struct {
		readme, makefile, ci string
		want                 []string
	}{
		"all there":             {readme, makefile, ci, nil},
		"a README without demo": {"    make test\n", makefile, ci, []string{"README.md does not name make demo"}},
		"a longer target":       {"make demo, make tests", makefile, ci, []string{"README.md does not name make test"}},
		"a Makefile without":    {readme, "test: ## Tests\n", ci, []string{"the Makefile has no target demo"}},
		"another CI":            {readme, makefile, "step make test-integration\n", []string{".ci/run does not run make test"}},
		"a CI that only says it": {readme, makefile, "# make test\necho make test\n", []string{
			".ci/run does not run make test",
		}},
	} {
		t.Run(name, func(t *testing.T) { mustFind(t, missingCommands(c.readme, c.makefile, c.ci), c.want) })
	}
}

func missingCommands(readme, makefile, ci string) []string {
	var problems []string
	for _, target := range []string{"demo", "test"} {
		if !hasCommand(readme, "make "+target) {
			problems = append(problems, "README.md does not name make "+target)
		}
		if !strings.Contains("\n"+makefile, "\n"+target+":") {
			problems = append(problems, "the Makefile has no target "+target)
		}
	}
	if !slices.Contains(strings.Split(ci, "\n"), "step make test") {
		problems = append(problems, ".ci/run does not run make test")
	}
	return problems
}

// hasCommand reports whether text has the command with no word character or dash
// right behind it: make test-integration is another command than make test.
func hasCommand(text, command string) bool {
	for _, rest := range strings.Split(text, command)[1:] {
		if rest == "" || !strings.ContainsAny(rest[:1], "-_abcdefghijklmnopqrstuvwxyz") {
			return true
		}
	}
	return false
}

const whyReasons = `A dependency is code we answer for. One sentence in docs/rationale.md says what it is for, so
that the next one is weighed against it, and this one goes when the reason does.`

func TestEveryDirectDependencyHasItsReason(t *testing.T) {
	rationale := read(t, "docs/rationale.md")
	for _, dir := range []string{root, filepath.Join(root, "lab")} {
		report(t, withoutReason(readGoMod(t, dir), rationale), whyReasons)
	}
}

func TestDependenciesWithoutReasonAreFound(t *testing.T) {
	file := goMod{Require: []requirement{
		{Path: "example.com/a"},
		{Path: "example.com/a/v2"},
		{Path: "example.com/b", Indirect: true},
	}}
	mustFind(t, withoutReason(file, "| `example.com/a` | a reason |"), []string{"docs/rationale.md does not name example.com/a/v2"})
}

func withoutReason(file goMod, rationale string) []string {
	var problems []string
	for _, required := range file.Require {
		if !required.Indirect && !strings.Contains(rationale, "`"+required.Path+"`") {
			problems = append(problems, "docs/rationale.md does not name "+required.Path)
		}
	}
	return problems
}
