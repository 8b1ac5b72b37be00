package conventions

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const whyLinks = `A link that leads nowhere costs every reader who follows it. Paths are relative to the file.`

func TestLinksBetweenDocumentsLeadSomewhere(t *testing.T) {
	exists := func(name string) bool {
		_, err := os.Stat(filepath.Join(root, filepath.FromSlash(name)))
		return err == nil
	}
	checked := 0
	for name, text := range repository(t, ".md") {
		report(t, deadLinks(name, string(text), exists), whyLinks)
		checked += len(localLinks(string(text)))
	}
	if checked == 0 {
		t.Error("no Markdown file links to another file: the check does not see them")
	}
}

func TestDeadLinksAreFound(t *testing.T) {
	exists := func(name string) bool { return name == "docs/a.md" || name == "README.md" }
	text := "[a](a.md) [b](../README.md#try-it) ![c](c.svg) [d](../docs) [e](https://example.com/x) [f](#here)\n" +
		"```\n[g](g.md)\n```\n[h](/a.md)\n"
	mustFind(t, deadLinks("docs/b.md", text, exists), []string{
		"docs/b.md links to c.svg, which does not exist",
		"docs/b.md links to ../docs, which does not exist",
		"docs/b.md links to /a.md, which is no relative path",
	})
}

func deadLinks(name, text string, exists func(string) bool) []string {
	var problems []string
	for _, link := range localLinks(text) {
		switch {
		case strings.HasPrefix(link, "/"):
			problems = append(problems, fmt.Sprintf("%s links to %s, which is no relative path", name, link))
		case !exists(path.Join(path.Dir(name), link)):
			problems = append(problems, fmt.Sprintf("%s links to %s, which does not exist", name, link))
		}
	}
	return problems
}

var (
	fencedBlock  = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```")
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// localLinks returns the targets of links to files, without fragments. What stands in
// a fenced block is no link.
func localLinks(markdown string) []string {
	var links []string
	for _, match := range markdownLink.FindAllStringSubmatch(fencedBlock.ReplaceAllString(markdown, ""), -1) {
		target, _, _ := strings.Cut(match[1], "#")
		if target != "" && !strings.Contains(target, ":") {
			links = append(links, target)
		}
	}
	return links
}
