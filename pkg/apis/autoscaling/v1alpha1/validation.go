package v1alpha1

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The allowed ranges, both ends included.
const (
	maxWindowSeconds = 3600
	maxMetrics       = 10 // more, and the schema's rules cost more than an API server allows
	maxQueryLength   = 4096
)

// Validate says what is wrong with the spec of an object that has its defaults
// (SetDefaults). The schema of the CustomResourceDefinition refuses most of it
// already; this serves objects that did not pass an API server, and what a
// schema cannot say. Errors carry the path of the field, its value and what is
// allowed.
func Validate(wa *WorkloadAutoscaler) field.ErrorList {
	spec, path := wa.Spec, field.NewPath("spec")
	errs := validateTarget(spec.ScaleTargetRef, path.Child("scaleTargetRef"))
	errs = append(errs, validateBounds(spec, path)...)
	errs = append(errs, validateMetrics(spec.Metrics, path.Child("metrics"))...)
	if b := spec.Behavior; b != nil {
		errs = append(errs, validateRules(b.ScaleUp, path.Child("behavior", "scaleUp"))...)
		errs = append(errs, validateRules(b.ScaleDown, path.Child("behavior", "scaleDown"))...)
	}
	return errs
}

func validateTarget(ref ScaleTargetRef, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if ref.APIVersion == "" {
		errs = append(errs, field.Required(path.Child("apiVersion"), "for example apps/v1"))
	} else if _, err := schema.ParseGroupVersion(ref.APIVersion); err != nil {
		errs = append(errs, field.Invalid(path.Child("apiVersion"), ref.APIVersion, "must be group/version or version, for example apps/v1"))
	}
	if ref.Kind == "" {
		errs = append(errs, field.Required(path.Child("kind"), "for example Deployment"))
	}
	if ref.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), "the name of the workload"))
	} else if why := validation.IsDNS1123Subdomain(ref.Name); len(why) > 0 {
		errs = append(errs, field.Invalid(path.Child("name"), ref.Name, strings.Join(why, "; ")))
	}
	return errs
}

func validateBounds(spec WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.MinReplicas != nil && *spec.MinReplicas < 1 {
		errs = append(errs, field.Invalid(path.Child("minReplicas"), *spec.MinReplicas, "must be 1 or more; scaling to zero is not supported yet"))
	}
	if spec.MaxReplicas < 1 {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), spec.MaxReplicas, "must be 1 or more"))
	} else if spec.MinReplicas != nil && spec.MaxReplicas < *spec.MinReplicas {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), spec.MaxReplicas, fmt.Sprintf("must be minReplicas (%d) or more", *spec.MinReplicas)))
	}
	return errs
}

func validateMetrics(metrics []MetricSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(metrics) == 0 {
		errs = append(errs, field.Required(path, "at least one metric"))
	}
	if len(metrics) > maxMetrics {
		errs = append(errs, field.TooMany(path, len(metrics), maxMetrics))
	}
	seen := map[string]bool{}
	for i, m := range metrics {
		errs = append(errs, validateMetric(m, path.Index(i))...)
		name := MetricName(i, m)
		if seen[name] {
			errs = append(errs, field.Duplicate(path.Index(i), name))
		}
		seen[name] = true
	}
	return errs
}

func validateMetric(m MetricSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch m.Type {
	case ResourceMetricSourceType:
		if m.Resource == nil {
			errs = append(errs, field.Required(path.Child("resource"), "type is Resource"))
		}
		if m.Prometheus != nil {
			errs = append(errs, field.Forbidden(path.Child("prometheus"), "type is Resource"))
		}
	case PrometheusMetricSourceType:
		if m.Prometheus == nil {
			errs = append(errs, field.Required(path.Child("prometheus"), "type is Prometheus"))
		}
		if m.Resource != nil {
			errs = append(errs, field.Forbidden(path.Child("resource"), "type is Prometheus"))
		}
	default:
		errs = append(errs, field.NotSupported(path.Child("type"), m.Type, []MetricSourceType{ResourceMetricSourceType, PrometheusMetricSourceType}))
	}
	if m.Resource != nil {
		errs = append(errs, validateResource(m.Resource, path.Child("resource"))...)
	}
	if m.Prometheus != nil {
		errs = append(errs, validatePrometheus(m.Prometheus, path.Child("prometheus"))...)
	}
	return errs
}

func validateResource(r *ResourceMetricSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r.Name != "cpu" {
		errs = append(errs, field.NotSupported(path.Child("name"), r.Name, []string{"cpu"}))
	}
	return append(errs, validateMetricTarget(r.Target, path.Child("target"), autoscalingv2.UtilizationMetricType)...)
}

func validatePrometheus(p *PrometheusMetricSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.Query == "" {
		errs = append(errs, field.Required(path.Child("query"), "a PromQL expression"))
	}
	if len(p.Query) > maxQueryLength {
		errs = append(errs, field.TooLong(path.Child("query"), "", maxQueryLength))
	}
	return append(errs, validateMetricTarget(p.Target, path.Child("target"), autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType)...)
}

// validateMetricTarget checks that the type is one of the allowed ones, and
// that exactly the field of that type is set.
func validateMetricTarget(t MetricTarget, path *field.Path, allowed ...autoscalingv2.MetricTargetType) field.ErrorList {
	var errs field.ErrorList
	typeAllowed := false
	for _, a := range allowed {
		typeAllowed = typeAllowed || a == t.Type
	}
	if !typeAllowed {
		return append(errs, field.NotSupported(path.Child("type"), t.Type, allowed))
	}
	for _, f := range []struct {
		name     string
		typ      autoscalingv2.MetricTargetType
		value    any
		set      bool
		positive bool
	}{
		{"averageUtilization", autoscalingv2.UtilizationMetricType, deref(t.AverageUtilization), t.AverageUtilization != nil, t.AverageUtilization != nil && *t.AverageUtilization > 0},
		{"averageValue", autoscalingv2.AverageValueMetricType, text(t.AverageValue), t.AverageValue != nil, t.AverageValue != nil && t.AverageValue.Sign() > 0},
		{"value", autoscalingv2.ValueMetricType, text(t.Value), t.Value != nil, t.Value != nil && t.Value.Sign() > 0},
	} {
		switch {
		case f.typ != t.Type && f.set:
			errs = append(errs, field.Forbidden(path.Child(f.name), fmt.Sprintf("type is %s", t.Type)))
		case f.typ == t.Type && !f.set:
			errs = append(errs, field.Required(path.Child(f.name), fmt.Sprintf("type is %s", t.Type)))
		case f.typ == t.Type && !f.positive:
			errs = append(errs, field.Invalid(path.Child(f.name), f.value, "must be greater than 0"))
		}
	}
	return errs
}

func validateRules(r *ScalingRules, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if r == nil {
		return nil
	}
	if w := r.StabilizationWindowSeconds; w != nil && (*w < 0 || *w > maxWindowSeconds) {
		errs = append(errs, field.Invalid(path.Child("stabilizationWindowSeconds"), *w, fmt.Sprintf("must be from 0 to %d", maxWindowSeconds)))
	}
	if t := r.Tolerance; t != nil && (t.Sign() < 0 || t.Cmp(resource.MustParse("1")) > 0) {
		errs = append(errs, field.Invalid(path.Child("tolerance"), t.String(), "must be from 0 to 1"))
	}
	return errs
}

func deref(v *int32) int32 {
	if v == nil {
		return 0
	}
	return *v
}

func text(q *resource.Quantity) string {
	if q == nil {
		return ""
	}
	return q.String()
}
