package conventions

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	schedulerv1 "k8s.io/kube-scheduler/config/v1"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/plugins"
)

const whyStrict = `What we ship and what we show must work when copied. A YAML file, and a block fenced with
three backquotes and yaml, holds whole objects with fields that exist; show fragments as
plain text.`

func TestEveryYAMLFileLoads(t *testing.T) {
	d := newDecoder(t)
	for name, text := range repository(t, ".yaml", ".yml") {
		report(t, d.check(name, text), whyStrict)
	}
}

func TestEveryYAMLExampleLoads(t *testing.T) {
	d, examples := newDecoder(t), 0
	for name, text := range repository(t, ".md") {
		for i, example := range yamlExamples(string(text)) {
			report(t, d.check(fmt.Sprintf("%s, yaml block %d", name, i+1), []byte(example)), whyStrict)
			examples++
		}
	}
	if examples == 0 {
		t.Error("no Markdown file has a yaml block: the check does not see them")
	}
}

func TestYAMLThatDoesNotLoadIsFound(t *testing.T) {
	const scheduler = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
	const autoscaler = "apiVersion: autoscaling.plimsoll.dev/v1alpha1\nkind: WorkloadAutoscaler\nmetadata: {name: a}\n"
	for name, c := range map[string]struct {
		text string
		want []string // each is part of one problem
	}{
		"two objects that load": {
			text: "# first\napiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
		},
		"a misspelt field": {
			text: "apiVersion: apps/v1\nkind: Deployment\nspec: {replica: 1}\n",
			want: []string{`unknown field "spec.replica"`},
		},
		"a field given twice": {
			text: "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nmetadata: {name: b}\n",
			want: []string{`key "metadata" already set`},
		},
		"the second of two objects": {
			text: "apiVersion: v1\nkind: Namespace\n---\napiVersion: v1\nkind: Namespac\n",
			want: []string{`no kind "Namespac"`},
		},
		"no object": {
			text: "- a\n- b\n",
			want: []string{"cannot unmarshal"},
		},
		"nothing": {
			text: "# later\n",
			want: []string{"holds no object"},
		},
		"an unknown field of a definition": {
			text: "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nspec: {names: {plurals: a}}\n",
			want: []string{`unknown field "spec.names.plurals"`},
		},
		"a scheduler field that does not exist": {
			text: scheduler + "percentageOfNodes: 100\n",
			want: []string{`unknown field "percentageOfNodes"`},
		},
		"a misspelt argument of a Kubernetes plugin": {
			text: scheduler + "profiles:\n- pluginConfig:\n  - name: PodTopologySpread\n    args: {defaultType: List}\n",
			want: []string{`unknown field "defaultType"`},
		},
		"a misspelt argument of our plugin": {
			text: scheduler + "profiles:\n- pluginConfig:\n  - name: MarginalCost\n    args: {price: {}}\n",
			want: []string{`unknown field "price"`},
		},
		"an argument of our plugin out of range": {
			text: scheduler + "profiles:\n- pluginConfig:\n  - name: MarginalCost\n    args: {prices: {opening: 11}}\n",
			want: []string{"must be from 0 to 10"},
		},
		"an unknown field of our object": {
			text: autoscaler + "spec: {replicas: 1}\n",
			want: []string{`unknown field "spec.replicas"`},
		},
		"our object with values out of range": {
			text: autoscaler + "spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}, maxReplicas: 0, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]}\n",
			want: []string{"maxReplicas"},
		},
		"an unknown field of a kustomization": {
			text: "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nressources: []\n",
			want: []string{`unknown field "ressources"`},
		},
		"a rule that allows everything": {
			text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [''], resources: ['*'], verbs: [get]}]\n",
			want: []string{"a wildcard grants what nobody has thought of"},
		},
		"a rule that reads all metrics": {
			text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [custom.metrics.k8s.io], resources: ['*'], verbs: [get]}]\n",
		},
		"a rule that writes all metrics, and one that reads all of others": {
			text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{apiGroups: [custom.metrics.k8s.io], resources: ['*'], verbs: [update]}]\n" +
				"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: b}\nrules: [{apiGroups: [custom.metrics.k8s.io, ''], resources: ['*'], verbs: [get]}]\n",
			want: []string{"a wildcard grants what nobody has thought of", "a wildcard grants what nobody has thought of"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := newDecoder(t).check("a.yaml", []byte(c.text))
			if len(got) != len(c.want) {
				t.Fatalf("problems %q, want %d", got, len(c.want))
			}
			for i, want := range c.want {
				if !strings.Contains(got[i], want) || !strings.HasPrefix(got[i], "a.yaml: ") {
					t.Errorf("problem %q, want a.yaml: ... %q", got[i], want)
				}
			}
		})
	}
}

func TestYAMLExamplesAreFound(t *testing.T) {
	const fence = "```"
	text := "a\n" + fence + "yaml\nkind: A\n" + fence + "\n" + fence + "console\nkind: B\n" + fence + "\n1. b\n\n   " +
		fence + "yaml\n   kind: C\n     d: 1\n   " + fence + "\n"
	mustFind(t, yamlExamples(text), []string{"kind: A\n", "kind: C\n  d: 1\n"})
}

var yamlFence = regexp.MustCompile("(?ms)^([ \t]*)```ya?ml[^\n]*\n(.*?)^[ \t]*```")

// yamlExamples returns the fenced yaml blocks of a Markdown text, without the
// indentation of their fence.
func yamlExamples(markdown string) []string {
	var examples []string
	for _, match := range yamlFence.FindAllStringSubmatch(markdown, -1) {
		var example strings.Builder
		for line := range strings.Lines(match[2]) {
			example.WriteString(strings.TrimPrefix(line, match[1]))
		}
		examples = append(examples, example.String())
	}
	return examples
}

// A decoder reads every kind of object that this repository may show, strictly.
type decoder struct {
	strict runtime.Decoder
}

func newDecoder(t *testing.T) decoder {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientgoscheme.AddToScheme, apiextensionsv1.AddToScheme, schedulerv1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return decoder{serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()}
}

// check decodes each object in text, and validates it where we know how.
func (d decoder) check(name string, text []byte) []string {
	var problems []string
	documents, objects := utilyaml.NewYAMLReader(newLines(text)), 0
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && isComment(document) {
			continue
		}
		objects++
		if err == nil {
			err = d.load(document)
		}
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", name, err))
		}
	}
	if objects == 0 {
		problems = append(problems, name+": holds no object")
	}
	return problems
}

func (d decoder) load(document []byte) error {
	var meta runtime.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return err
	}
	if meta.Kind == "Kustomization" {
		return yaml.UnmarshalStrict(document, &kustomization{})
	}
	object, _, err := d.strict.Decode(document, nil, nil)
	if err != nil {
		return err
	}
	switch o := object.(type) {
	case *schedulerv1.KubeSchedulerConfiguration:
		return d.loadPluginArgs(o)
	case *v1alpha1.WorkloadAutoscaler:
		v1alpha1.SetDefaults(o)
		return v1alpha1.Validate(o).ToAggregate()
	case *rbacv1.ClusterRole:
		return rejectWildcards(o.Rules)
	case *rbacv1.Role:
		return rejectWildcards(o.Rules)
	}
	return nil
}

// loadPluginArgs decodes the arguments of Kubernetes' own plugins, and builds ours
// from theirs, which validates them.
func (d decoder) loadPluginArgs(config *schedulerv1.KubeSchedulerConfiguration) error {
	ours := plugins.Registry(plugins.Options{})
	for _, profile := range config.Profiles {
		for _, plugin := range profile.PluginConfig {
			build, isOurs := ours[plugin.Name]
			if !isOurs {
				continue
			}
			args := &runtime.Unknown{Raw: plugin.Args.Raw, ContentType: runtime.ContentTypeJSON}
			if _, err := build(context.Background(), args, nil); err != nil {
				return err
			}
		}
	}
	return config.DecodeNestedObjects(d.strict)
}

func rejectWildcards(rules []rbacv1.PolicyRule) error {
	for _, rule := range rules {
		if namesMetrics(rule) {
			rule.Resources = nil
		}
		all := slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs, rule.NonResourceURLs)
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "*") }) {
			return fmt.Errorf("rule %v: a wildcard grants what nobody has thought of", all)
		}
	}
	return nil
}

// namesMetrics reports whether the resources of a rule are names of metrics, which
// are whatever somebody measures; reading them all is what an autoscaler is for.
func namesMetrics(rule rbacv1.PolicyRule) bool {
	for _, group := range rule.APIGroups {
		if group != "custom.metrics.k8s.io" && group != "external.metrics.k8s.io" {
			return false
		}
	}
	for _, verb := range rule.Verbs {
		if verb != "get" && verb != "list" {
			return false
		}
	}
	return len(rule.APIGroups) > 0
}

// A kustomization is the part of kustomize's file that this repository uses. Its own
// types would bring kustomize into everyone's go.mod.
type kustomization struct {
	runtime.TypeMeta   `json:",inline"`
	Resources          []string             `json:"resources"`
	ConfigMapGenerator []configMapGenerator `json:"configMapGenerator"`
}

type configMapGenerator struct {
	Name      string   `json:"name"`
	Namespace string   `json:"namespace"`
	Files     []string `json:"files"`
}

const whyInstalled = `kubectl apply -k manifests installs Plimsoll whole. A file that the kustomization forgets is not
installed; one that it lists and nobody ships stops it.`

func TestTheKustomizationInstallsAllThatIsShipped(t *testing.T) {
	var k kustomization
	if err := yaml.UnmarshalStrict([]byte(read(t, "manifests/kustomization.yaml")), &k); err != nil {
		t.Fatal(err)
	}
	var shipped []string
	for name := range repository(t, ".yaml") {
		if inside, ok := strings.CutPrefix(name, "manifests/"); ok {
			shipped = append(shipped, inside)
		}
	}
	report(t, notInstalled(k, shipped), whyInstalled)
}

func TestFilesThatAreNotInstalledAreFound(t *testing.T) {
	k := kustomization{
		Resources:          []string{"a.yaml", "gone.yaml"},
		ConfigMapGenerator: []configMapGenerator{{Name: "c", Files: []string{"config.yaml=c/config.yaml"}}},
	}
	shipped := []string{"kustomization.yaml", "a.yaml", "b/b.yaml", "c/config.yaml", "examples/e.yaml"}
	mustFind(t, notInstalled(k, shipped), []string{"b/b.yaml is not installed", "gone.yaml is not shipped"})
}

func notInstalled(k kustomization, shipped []string) []string {
	installed := map[string]bool{}
	for _, name := range k.Resources {
		installed[name] = true
	}
	for _, generator := range k.ConfigMapGenerator {
		for _, file := range generator.Files {
			_, name, _ := strings.Cut(file, "=")
			installed[name] = true
		}
	}
	var problems []string
	for _, name := range shipped {
		if !installed[name] && path.Dir(name) != "examples" && name != "kustomization.yaml" {
			problems = append(problems, name+" is not installed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(installed)) {
		if !slices.Contains(shipped, name) {
			problems = append(problems, name+" is not shipped")
		}
	}
	return problems
}

func newLines(text []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(text)) }

// isComment reports whether a YAML document holds comments and blank lines alone.
func isComment(document []byte) bool {
	for line := range bytes.Lines(document) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}
