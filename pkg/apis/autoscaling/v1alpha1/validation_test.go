package v1alpha1_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

const (
	crdFile     = "../../../../manifests/crd/autoscaling.plimsoll.dev_workloadautoscalers.yaml"
	exampleDir  = "../../../../manifests/examples"
	exampleFile = exampleDir + "/workloadautoscaler.yaml"
)

// edit changes a field of an object by its path; a nil value removes it.
type edit struct {
	path  []any
	value any
}

func at(path ...any) []any { return path }

// rejected are objects that must not get through: by the schema, by Validate or
// by both, as said.
var rejected = map[string]struct {
	edit     edit
	bySchema string // part of the message, or empty if the schema lets it through
	byGo     string // "path: ... allowed", or empty if the Go types cannot hold it
}{
	"no target": {
		edit: edit{at("scaleTargetRef"), nil}, bySchema: "spec.scaleTargetRef: Required", byGo: "spec.scaleTargetRef.name: Required",
	},
	"no target kind": {
		edit: edit{at("scaleTargetRef", "kind"), ""}, bySchema: "spec.scaleTargetRef.kind", byGo: "spec.scaleTargetRef.kind: Required",
	},
	"a target name with a capital": {
		edit: edit{at("scaleTargetRef", "name"), "Web"}, bySchema: "spec.scaleTargetRef.name", byGo: "spec.scaleTargetRef.name",
	},
	"an API version of three parts": {
		edit: edit{at("scaleTargetRef", "apiVersion"), "a/b/c"}, bySchema: "spec.scaleTargetRef.apiVersion", byGo: `spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": must be`,
	},
	"a minimum of 0": {
		edit: edit{at("minReplicas"), int64(0)}, bySchema: "spec.minReplicas", byGo: "spec.minReplicas: Invalid value: 0: must be 1 or more",
	},
	"a maximum of 0": {
		edit: edit{at("maxReplicas"), int64(0)}, bySchema: "spec.maxReplicas", byGo: "spec.maxReplicas: Invalid value: 0: must be 1 or more",
	},
	"a maximum below the minimum": {
		edit: edit{at("maxReplicas"), int64(1)}, bySchema: "minReplicas must not be greater than maxReplicas", byGo: "spec.maxReplicas: Invalid value: 1: must be minReplicas (2) or more",
	},
	"no metrics": {
		edit: edit{at("metrics"), []any{}}, bySchema: "spec.metrics", byGo: "spec.metrics: Required",
	},
	"an unknown type of metric": {
		edit: edit{at("metrics", 0, "type"), "Pods"}, bySchema: "spec.metrics[0].type", byGo: `spec.metrics[0].type: Unsupported value: "Pods": supported values: "Resource", "Prometheus"`,
	},
	"a type without its field": {
		edit: edit{at("metrics", 0, "resource"), nil}, bySchema: "resource must be set if and only if", byGo: "spec.metrics[0].resource: Required",
	},
	"a type with another's field": {
		edit: edit{at("metrics", 1, "type"), "Resource"}, bySchema: "prometheus must be set if and only if", byGo: "spec.metrics[1].prometheus: Forbidden",
	},
	"two metrics of one name": {
		edit: edit{at("metrics", 1, "prometheus", "name"), "cpu"}, byGo: `spec.metrics[1]: Duplicate value: "cpu"`,
	},
	"a resource other than cpu": {
		edit: edit{at("metrics", 0, "resource", "name"), "memory"}, bySchema: "spec.metrics[0].resource.name", byGo: `spec.metrics[0].resource.name: Unsupported value: "memory"`,
	},
	"a utilization of 0": {
		edit: edit{at("metrics", 0, "resource", "target", "averageUtilization"), int64(0)}, bySchema: "averageUtilization", byGo: "spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
	},
	"a resource target of another type": {
		edit: edit{at("metrics", 0, "resource", "target", "type"), "AverageValue"}, bySchema: "target must be of type Utilization", byGo: "spec.metrics[0].resource.target.type: Unsupported value",
	},
	"a resource target with a second value": {
		edit: edit{at("metrics", 0, "resource", "target", "value"), "5"}, bySchema: "target must be of type Utilization", byGo: "spec.metrics[0].resource.target.value: Forbidden",
	},
	"an empty query": {
		edit: edit{at("metrics", 1, "prometheus", "query"), ""}, bySchema: "spec.metrics[1].prometheus.query", byGo: "spec.metrics[1].prometheus.query: Required",
	},
	"a query beyond the limit": {
		edit: edit{at("metrics", 1, "prometheus", "query"), strings.Repeat("x", 4097)}, bySchema: "spec.metrics[1].prometheus.query", byGo: "spec.metrics[1].prometheus.query: Too long: may not be more than 4096",
	},
	"a Prometheus target that is a utilization": {
		edit: edit{at("metrics", 1, "prometheus", "target"), map[string]any{"type": "Utilization", "averageUtilization": int64(5)}}, bySchema: "target type must be Value or AverageValue", byGo: "spec.metrics[1].prometheus.target.type: Unsupported value",
	},
	"a Prometheus target of 0": {
		edit: edit{at("metrics", 1, "prometheus", "target", "averageValue"), "0"}, bySchema: "averageValue must be greater than 0", byGo: `spec.metrics[1].prometheus.target.averageValue: Invalid value: "0": must be greater than 0`,
	},
	"a negative Prometheus target": {
		edit: edit{at("metrics", 1, "prometheus", "target", "averageValue"), int64(-3)}, bySchema: "averageValue must be greater than 0", byGo: `spec.metrics[1].prometheus.target.averageValue: Invalid value: "-3"`,
	},
	"a Prometheus target without its value": {
		edit: edit{at("metrics", 1, "prometheus", "target"), map[string]any{"type": "Value", "averageValue": "5"}}, bySchema: "target of type Value must have value", byGo: "spec.metrics[1].prometheus.target.value: Required",
	},
	"a quantity that is none": {
		edit: edit{at("metrics", 1, "prometheus", "target", "averageValue"), "many"}, bySchema: "averageValue",
	},
	"a window below 0": {
		edit: edit{at("behavior", "scaleDown", "stabilizationWindowSeconds"), int64(-1)}, bySchema: "stabilizationWindowSeconds", byGo: "spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: -1: must be from 0 to 3600",
	},
	"a window beyond an hour": {
		edit: edit{at("behavior", "scaleUp", "stabilizationWindowSeconds"), int64(3601)}, bySchema: "stabilizationWindowSeconds", byGo: "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be from 0 to 3600",
	},
	"a tolerance above 1": {
		edit: edit{at("behavior", "scaleUp", "tolerance"), "1001m"}, bySchema: "tolerance must be from 0 to 1", byGo: `spec.behavior.scaleUp.tolerance: Invalid value: "1001m": must be from 0 to 1`,
	},
	"a negative tolerance": {
		edit: edit{at("behavior", "scaleDown", "tolerance"), "-0.1"}, bySchema: "tolerance must be from 0 to 1", byGo: `spec.behavior.scaleDown.tolerance: Invalid value: "-100m": must be from 0 to 1`,
	},
}

func TestRejected(t *testing.T) {
	schema := loadSchema(t)
	for name, c := range rejected {
		t.Run(name, func(t *testing.T) {
			object := loadExample(t)
			apply(t, object, c.edit)
			checkRejection(t, "schema", schema.validate(object), c.bySchema)

			wa, err := decode(object)
			if err != nil {
				if c.byGo != "" {
					t.Fatalf("the Go types cannot hold it: %v", err)
				}
				return
			}
			v1alpha1.SetDefaults(wa)
			checkRejection(t, "Validate", errorText(v1alpha1.Validate(wa).ToAggregate()), c.byGo)
		})
	}
}

func checkRejection(t *testing.T, who, got, want string) {
	t.Helper()
	if want == "" && got != "" {
		t.Errorf("%s rejects what the table says it lets through: %s", who, got)
	}
	if !strings.Contains(got, want) {
		t.Errorf("%s says %q, want %q in it", who, got, want)
	}
}

func TestTheExamplesAreValid(t *testing.T) {
	schema := loadSchema(t)
	files, err := filepath.Glob(exampleDir + "/workloadautoscaler*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		object := load(t, file)
		if pruned := pruning.PruneWithOptions(runtime.DeepCopyJSON(object), schema.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(pruned) > 0 {
			t.Errorf("%s: unknown fields: %v", file, pruned)
		}
		if got := schema.validate(object); got != "" {
			t.Errorf("%s: %s", file, got)
		}
		wa, err := decode(object)
		if err != nil {
			t.Fatal(err)
		}
		v1alpha1.SetDefaults(wa)
		if errs := v1alpha1.Validate(wa); len(errs) > 0 {
			t.Errorf("%s: %v", file, errs.ToAggregate())
		}
	}
}

func TestSchemaAndGoHaveTheSameDefaults(t *testing.T) {
	schema := loadSchema(t)
	for name, remove := range map[string][]any{
		"without behavior":    at("behavior"),
		"without a direction": at("behavior", "scaleDown"),
		"without a minimum":   at("minReplicas"),
		"without server name": at("metrics", 1, "prometheus", "serverName"),
	} {
		t.Run(name, func(t *testing.T) {
			object := loadExample(t)
			apply(t, object, edit{remove, nil})
			byGo, err := decode(object)
			if err != nil {
				t.Fatal(err)
			}
			v1alpha1.SetDefaults(byGo)
			defaulting.Default(object, schema.structural)
			bySchema, err := decode(object)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(bySchema.Spec, byGo.Spec); diff != "" {
				t.Errorf("(-schema +Go):\n%s", diff)
			}
		})
	}
}

func TestTheDefinitionIsAcceptedByAnAPIServer(t *testing.T) {
	internal := loadDefinition(t)
	internal.Status.StoredVersions = []string{"v1alpha1"}
	if errs := crdvalidation.ValidateCustomResourceDefinition(context.Background(), internal); len(errs) > 0 {
		t.Error(errs.ToAggregate())
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

func loadExample(t *testing.T) map[string]any { return load(t, exampleFile) }

func load(t *testing.T, file string) map[string]any {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	json, err := yaml.YAMLToJSONStrict(content)
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
	fields, last := parent.(map[string]any), e.path[len(e.path)-1].(string)
	if e.value == nil {
		delete(fields, last)
		return
	}
	fields[last] = e.value
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
