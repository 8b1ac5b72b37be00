package conventions

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// heavy lists what only the lab may link, with what it is.
func heavy() map[string]string {
	return map[string]string{
		"go.etcd.io/etcd/server/v3":                     "the etcd server",
		"k8s.io/kubernetes/cmd/kube-apiserver":          "kube-apiserver",
		"k8s.io/kube-aggregator":                        "the API server's aggregator",
		"sigs.k8s.io/kwok":                              "kwok",
		"github.com/prometheus/prometheus":              "the Prometheus server",
		"sigs.k8s.io/metrics-server":                    "metrics-server",
		"github.com/plimsoll-k8s/plimsoll/lab":          "the lab",
		"k8s.io/kubernetes/cmd/kube-controller-manager": "kube-controller-manager",
	}
}

const whyLight = `Who imports Plimsoll, or installs its programs, must not fetch and build a demo with it: what
needs an API server, etcd, kwok or Prometheus' server belongs in the module lab.`

func TestTheRootModuleStaysLight(t *testing.T) {
	report(t, within(without(dependencies(t, "./..."), linkedBy(t, promqlParser)), heavy()), whyLight)
}

// promqlParser reads PromQL. It lies in the server's module, and what it links there
// are types of its syntax tree, no server.
const promqlParser = "github.com/prometheus/prometheus/promql/parser"

func TestTheParserOfPromQLIsNoServer(t *testing.T) {
	server := map[string]string{}
	for _, part := range []string{"scrape", "discovery", "web", "rules", "tsdb/wlog", "storage/remote"} {
		server["github.com/prometheus/prometheus/"+part] = "the Prometheus server's " + part
	}
	report(t, within(linkedBy(t, promqlParser), server), whyLight)
}

// linkedBy lists what a package of another module links, itself included.
func linkedBy(t *testing.T, path string) []string {
	t.Helper()
	return strings.Fields(runGo(t, root, []string{"GOWORK=off"}, "list", "-deps", path))
}

// without lists packages that are not among the excepted.
func without(packages, excepted []string) []string {
	return slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return slices.Contains(excepted, p) })
}

func TestLibrariesNeverReachKubernetesItself(t *testing.T) {
	itself := map[string]string{"k8s.io/kubernetes": "no library"}
	report(t, within(dependencies(t, libraries(t)...), itself), whyNoKubernetes)
	if len(within(dependencies(t, "./cmd/scheduler"), itself)) == 0 {
		t.Error("plimsoll-scheduler links no k8s.io/kubernetes: the check does not see dependencies of dependencies")
	}
}

// libraries lists the packages that others may import into a program of theirs: all
// of plugins, autoscaler and pkg but the simulator.
func libraries(t *testing.T) []string {
	t.Helper()
	listed := runGo(t, root, []string{"GOWORK=off"}, "list", "./plugins/...", "./autoscaler/...", "./pkg/...")
	return slices.DeleteFunc(strings.Fields(listed), func(library string) bool {
		return isWithin(library, module+"/"+simulator)
	})
}

func TestHeavyDependenciesAreFound(t *testing.T) {
	mustFind(t, within([]string{
		"go.etcd.io/etcd/client/v3",
		"go.etcd.io/etcd/server/v3/embed",
		"github.com/prometheus/client_golang/prometheus",
		"github.com/prometheus/prometheus/promql",
		"k8s.io/apiserver/pkg/server",
		"sigs.k8s.io/kwok/pkg/kwok/controllers",
		module + "/lab/trace",
		module + "/pkg/labels",
	}, heavy()), []string{
		"go.etcd.io/etcd/server/v3/embed is linked: the etcd server",
		"github.com/prometheus/prometheus/promql is linked: the Prometheus server",
		"sigs.k8s.io/kwok/pkg/kwok/controllers is linked: kwok",
		module + "/lab/trace is linked: the lab",
	})
}

// within finds the packages at or below one of the paths of unwanted.
func within(packages []string, unwanted map[string]string) []string {
	var problems []string
	for _, imported := range packages {
		for unwantedPath, what := range unwanted {
			if isWithin(imported, unwantedPath) {
				problems = append(problems, fmt.Sprintf("%s is linked: %s", imported, what))
			}
		}
	}
	return problems
}

// dependencies lists all packages that the packages and their tests link, with the
// versions that the root module alone selects.
func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	listed := runGo(t, root, []string{"GOWORK=off"}, append([]string{"list", "-test", "-deps"}, packages...)...)
	return strings.Fields(listed)
}

// runGo runs the go command without network in dir, and returns its output.
func runGo(t *testing.T, dir string, environment []string, arguments ...string) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", arguments...)
	command.Dir = dir
	command.Env = append(append(os.Environ(), "GOPROXY=off"), environment...)
	output, err := command.Output()
	if err != nil {
		said := ""
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			said = string(exit.Stderr)
		}
		t.Fatalf("go %s: %v\n%s\nIf a module is missing: make modules", strings.Join(arguments, " "), err, said)
	}
	return string(output)
}
