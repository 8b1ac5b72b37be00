package marginalcost_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/component-base/metrics/legacyregistry"
	configv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

func TestReadmeExamplesLoad(t *testing.T) {
	examples := yamlBlock.FindAllStringSubmatch(readme(t), -1)
	if len(examples) == 0 {
		t.Fatal("the README has no yaml example")
	}
	for _, example := range examples {
		var config configv1.KubeSchedulerConfiguration
		if err := yaml.UnmarshalStrict([]byte(example[1]), &config); err != nil {
			t.Fatalf("%v in\n%s", err, example[1])
		}
		loaded := 0
		for _, profile := range config.Profiles {
			for _, plugin := range profile.PluginConfig {
				if plugin.Name != marginalcost.Name {
					continue
				}
				if _, err := marginalcost.New(t.Context(), &runtime.Unknown{Raw: plugin.Args.Raw}, nil); err != nil {
					t.Errorf("%v in\n%s", err, example[1])
				}
				loaded++
			}
		}
		if loaded == 0 {
			t.Errorf("no arguments of %s in\n%s", marginalcost.Name, example[1])
		}
	}
}

func TestReadmeExampleIsTheDefault(t *testing.T) {
	var config configv1.KubeSchedulerConfiguration
	if err := yaml.UnmarshalStrict([]byte(yamlBlock.FindStringSubmatch(readme(t))[1]), &config); err != nil {
		t.Fatal(err)
	}
	var args marginalcost.Args
	if err := yaml.UnmarshalStrict(config.Profiles[0].PluginConfig[0].Args.Raw, &args); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(marginalcost.DefaultArgs(), args); diff != "" {
		t.Errorf("the example is not the default (-default +example):\n%s", diff)
	}
}

func TestReadmeListsTheMetrics(t *testing.T) {
	TestMetricsAreSharedByAllInstances(t) // so that there are some
	newCluster(t, "", marginalcost.Options{}).relearn()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	text, own := readme(t), 0
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "plimsoll_") {
			continue
		}
		own++
		if !strings.Contains(text, "`"+family.GetName()+"`") {
			t.Errorf("the README does not list %s", family.GetName())
		}
	}
	if want := strings.Count(text, "| `plimsoll_"); own != want {
		t.Errorf("%d metrics are registered, the README lists %d", own, want)
	}
}

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
