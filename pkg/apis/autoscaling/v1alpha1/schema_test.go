package v1alpha1_test

import (
	"context"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

const (
	crdFile      = "../../../../manifests/crd/autoscaling.plimsoll.dev_workloadautoscalers.yaml"
	exampleDir   = "../../../../manifests/examples"
	completeFile = "testdata/complete.yaml"
)

func TestTheDefinitionIsAcceptedByAnAPIServer(t *testing.T) {
	internal := loadDefinition(t)
	internal.Status.StoredVersions = []string{"v1alpha1"}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal); len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
}

func TestThePrinterColumns(t *testing.T) {
	crd := loadDefinition(t)
	var names []string
	for _, c := range crd.Spec.AdditionalPrinterColumns {
		if c.Priority == 0 {
			names = append(names, c.Name)
		}
	}
	if got, want := strings.Join(names, " "), "Target Min Max Current Desired Metric Reason Age"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	if got := crd.Spec.Names.ShortNames; !slices.Equal(got, []string{"wa"}) {
		t.Errorf("short names %q, want wa", got)
	}
}

func TestTheTableHasEveryField(t *testing.T) {
	all := fieldsOfSchema(loadSchema(t).structural.Properties["spec"], "spec")
	edited := map[string]bool{}
	for _, cases := range rejected() {
		for _, c := range cases {
			for _, e := range c.edits {
				addFields(edited, pathOf(e.path), e.value)
			}
		}
	}
	for name, s := range all {
		// Nothing is wrong about a boolean or an object but its type and what is
		// in it, and a selector is tried by its labels and expressions.
		if s.Type == "boolean" || s.Type == "object" || strings.HasSuffix(name, "[]") || strings.Contains(name, ".selector.matchLabels") || strings.HasSuffix(name, ".selector.matchExpressions") {
			continue
		}
		if !edited[name] {
			t.Errorf("no wrong value of %s in the table", name)
		}
	}
}

func TestAFieldOfAnotherTypeIsRejected(t *testing.T) {
	schema := loadSchema(t)
	all := fieldsOfSchema(schema.structural.Properties["spec"], "spec")
	tried := map[string]bool{}
	for _, path := range withAmounts(pathsOf(loadComplete(t)["spec"], nil)) {
		name := pathOf(path)
		tried[name] = true
		t.Run(name, func(t *testing.T) {
			object := loadComplete(t)
			apply(t, object, edit{path, wrongType(all[name])})
			if got := schema.validate(object); !strings.Contains(got, fieldPath(path)) {
				t.Errorf("schema says %q, want %s in it", got, fieldPath(path))
			}
			wa, err := decode(object)
			if err != nil {
				return
			}
			v1alpha1.SetDefaults(wa)
			if got := errorText(v1alpha1.Validate(wa).ToAggregate()); !strings.Contains(got, fieldPath(path)) {
				t.Errorf("the Go types hold it, and Validate says %q, want %s in it", got, fieldPath(path))
			}
		})
	}
	for name := range all {
		if !tried[name] {
			t.Errorf("%s does not set %s", completeFile, name)
		}
	}
}

// TestValidateRefusesWhatTheSchemaRefuses edits some fields at random: an object
// that an API server would refuse must not pass for lack of one.
func TestValidateRefusesWhatTheSchemaRefuses(t *testing.T) {
	schema := loadSchema(t)
	random := rand.New(rand.NewPCG(5, 1))
	bySchema, byGo, byNone := 0, 0, 0
	complete := loadComplete(t)
	for range 600 {
		object := runtime.DeepCopyJSON(complete)
		var edits []edit
		for range 1 + random.IntN(3) {
			paths := leavesOf(object["spec"])
			path := paths[random.IntN(len(paths))]
			edits = append(edits, edit{path, anotherValue(random, valueAt(object["spec"], path))})
			apply(t, object, edits[len(edits)-1])
		}
		refused := schema.validate(object)
		wa, err := decode(object)
		if err == nil {
			v1alpha1.SetDefaults(wa)
			err = v1alpha1.Validate(wa).ToAggregate()
		}
		switch {
		case refused != "" && err == nil:
			t.Errorf("%v: Validate lets through what the schema refuses: %s", edits, refused)
		case refused != "":
			bySchema++
		case err != nil:
			byGo++
		default:
			byNone++
		}
	}
	if bySchema < 300 || byNone < 50 {
		t.Errorf("%d refused by both, %d by Validate alone, %d by none: too few to say anything", bySchema, byGo, byNone)
	}
	t.Logf("%d refused by both, %d by Validate alone, %d by none", bySchema, byGo, byNone)
}

// leavesOf are the paths of the values in spec that are no objects or lists.
func leavesOf(spec any) [][]any {
	return slices.DeleteFunc(pathsOf(spec, nil), func(path []any) bool {
		switch valueAt(spec, path).(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

func valueAt(value any, path []any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	return value
}

// anotherValue is one of the type of value, never empty: to the Go types that is
// the same as none.
func anotherValue(random *rand.Rand, value any) any {
	texts := []string{
		"0", "-1", "5", "100m", "a", "A", "a/b", "a b", "a.b", "cpu", "requests", strings.Repeat("a", 64), strings.Repeat("a", 300),
		"Value", "AverageValue", "Utilization", "Resource", "Pods", "External", "Prometheus", "Percent", "Max", "Target", "Watermark", "Schedule", "Tides",
		"0 1 * * *", "0 1 * * 9", "@daily", "UTC", "Local", "Paused", "Selector", "Zero", "apps/v1", "v1",
	}
	numbers := []int64{-1, 0, 1, 2, 5, 15, 21, 1800, 1801, 3600, 3601, 86400, 86401, math.MaxInt32}
	switch value.(type) {
	case bool:
		return random.IntN(2) == 0
	case int64:
		return numbers[random.IntN(len(numbers))]
	}
	return texts[random.IntN(len(texts))]
}

// wrongType is a value that a field of the schema cannot have.
func wrongType(s structuralschema.Structural) any {
	switch s.Type {
	case "object", "array", "boolean", "integer":
		return "text"
	}
	return map[string]any{"a": "b"}
}

// fieldsOfSchema are all fields below path, by their path without places: as in
// spec.metrics[].type.
func fieldsOfSchema(s structuralschema.Structural, path string) map[string]structuralschema.Structural {
	fields := map[string]structuralschema.Structural{}
	add := func(name string, s structuralschema.Structural) {
		fields[name] = s
		maps.Copy(fields, fieldsOfSchema(s, name))
	}
	for name, p := range s.Properties {
		add(path+"."+name, p)
	}
	if s.Items != nil {
		add(path+"[]", *s.Items)
	}
	return fields
}

// pathsOf are the paths of all that is set in value, except in free-form
// objects.
func pathsOf(value any, path []any) [][]any {
	var paths [][]any
	step := func(s any, v any) {
		p := append(slices.Clone(path), s)
		paths = append(append(paths, p), pathsOf(v, p)...)
	}
	if len(path) > 0 && slices.Contains([]any{"parameters", "matchLabels"}, path[len(path)-1]) {
		return nil
	}
	switch value := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(value)) {
			step(name, value[name])
		}
	case []any:
		for i, v := range value {
			step(i, v)
		}
	}
	return paths
}

// withAmounts adds the amounts of targets, only one of which can be set.
func withAmounts(paths [][]any) [][]any {
	for _, p := range slices.Clone(paths) {
		if p[len(p)-1] == "target" {
			for _, amount := range []string{"averageUtilization", "averageValue", "value"} {
				paths = append(paths, append(slices.Clone(p), amount))
			}
		}
	}
	return paths
}

// pathOf is the path of a field without places.
func pathOf(path []any) string {
	name := "spec"
	for _, step := range path {
		if s, isName := step.(string); isName {
			name += "." + s
		} else {
			name += "[]"
		}
	}
	return name
}

// fieldPath is the path of a field as an API server writes it.
func fieldPath(path []any) string {
	p := field.NewPath("spec")
	for _, step := range path {
		if s, isName := step.(string); isName {
			p = p.Child(s)
		} else {
			p = p.Index(step.(int))
		}
	}
	return p.String()
}

// addFields adds the field and, if the value is an object, those in it.
func addFields(fields map[string]bool, name string, value any) {
	fields[name] = true
	if object, isObject := value.(map[string]any); isObject {
		for n, v := range object {
			addFields(fields, name+"."+n, v)
		}
	}
}

// schema is the CustomResourceDefinition's, as an API server applies it.
type schema struct {
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

func (s schema) validate(object map[string]any) string {
	object = runtime.DeepCopyJSON(object)
	defaulting.Default(object, s.structural)
	errs := validation.ValidateCustomResource(nil, object, s.openAPI)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, object)...)
	if len(errs) == 0 {
		errs, _ = s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	return errorText(errs.ToAggregate())
}

func loadDefinition(t *testing.T) *apiextensions.CustomResourceDefinition {
	t.Helper()
	content, err := os.ReadFile(crdFile)
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.UnmarshalStrict(content, &crd); err != nil {
		t.Fatal(err)
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&crd)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, internal, nil); err != nil {
		t.Fatal(err)
	}
	return internal
}

func loadSchema(t *testing.T) schema {
	t.Helper()
	crd := loadDefinition(t)
	props := crd.Spec.Validation
	if props == nil {
		props = crd.Spec.Versions[0].Schema
	}
	structural, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	openAPI, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	return schema{structural, openAPI, cel.NewValidator(structural, true, celconfig.PerCallLimit)}
}

func loadComplete(t *testing.T) map[string]any { return load(t, completeFile) }

func load(t *testing.T, file string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(content))
}

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	json, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	object, err := runtime.Decode(unstructured.UnstructuredJSONScheme, json)
	if err != nil {
		t.Fatal(err)
	}
	return object.(runtime.Unstructured).UnstructuredContent()
}

func decode(object map[string]any) (*v1alpha1.WorkloadAutoscaler, error) {
	wa := &v1alpha1.WorkloadAutoscaler{}
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object, wa, true)
	return wa, err
}

// apply edits spec.
func apply(t *testing.T, object map[string]any, e edit) {
	t.Helper()
	var parent any = object["spec"]
	for _, step := range e.path[:len(e.path)-1] {
		switch step := step.(type) {
		case string:
			parent = parent.(map[string]any)[step]
		case int:
			parent = parent.([]any)[step]
		}
	}
	last := e.path[len(e.path)-1]
	switch {
	case e.value == nil:
		delete(parent.(map[string]any), last.(string))
	default:
		if place, isPlace := last.(int); isPlace {
			parent.([]any)[place] = e.value
			return
		}
		parent.(map[string]any)[last.(string)] = e.value
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
