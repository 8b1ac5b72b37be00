package v1alpha1

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateMetrics(metrics []MetricSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(metrics) > maxMetrics {
		errs = append(errs, field.TooMany(path, len(metrics), maxMetrics))
	}
	names := map[string]int{}
	for i, m := range metrics {
		names[MetricName(i, m)]++
	}
	for i, m := range metrics {
		errs = append(errs, validateMetric(m, path.Index(i))...)
		// Other types take their name from elsewhere: MetricNames tells them apart.
		if name := MetricName(i, m); names[name] > 1 && (m.Prometheus != nil || m.Custom != nil) {
			errs = append(errs, field.Duplicate(path.Index(i).Child(fieldOf(m.Type), "name"), name))
		}
	}
	return errs
}

// fieldOf is the JSON name of the field for a type.
func fieldOf(t MetricSourceType) string {
	return strings.ToLower(string(t[:1])) + string(t[1:])
}

func validateMetric(m MetricSpec, path *field.Path) field.ErrorList {
	types := []MetricSourceType{
		ResourceMetricSourceType, ContainerResourceMetricSourceType, PodsMetricSourceType, ObjectMetricSourceType,
		ExternalMetricSourceType, PrometheusMetricSourceType, CustomMetricSourceType,
	}
	if errs := oneOf(path.Child("type"), m.Type, types...); len(errs) > 0 {
		return errs
	}
	set := map[MetricSourceType]bool{
		ResourceMetricSourceType: m.Resource != nil, ContainerResourceMetricSourceType: m.ContainerResource != nil,
		PodsMetricSourceType: m.Pods != nil, ObjectMetricSourceType: m.Object != nil, ExternalMetricSourceType: m.External != nil,
		PrometheusMetricSourceType: m.Prometheus != nil, CustomMetricSourceType: m.Custom != nil,
	}
	var errs field.ErrorList
	for _, t := range types {
		switch {
		case t == m.Type && !set[t]:
			errs = append(errs, field.Required(path.Child(fieldOf(t)), fmt.Sprintf("type is %s", m.Type)))
		case t != m.Type && set[t]:
			errs = append(errs, field.Forbidden(path.Child(fieldOf(t)), fmt.Sprintf("type is %s", m.Type)))
		}
	}
	if !set[m.Type] {
		return errs
	}
	return append(errs, validateMetricSource(m, path.Child(fieldOf(m.Type)))...)
}

func validateMetricSource(m MetricSpec, path *field.Path) field.ErrorList {
	switch m.Type {
	case ResourceMetricSourceType:
		return slices.Concat(
			validateResourceName(string(m.Resource.Name), path.Child("name")),
			validateMetricTarget(m.Resource.Target, path.Child("target"), autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType))
	case ContainerResourceMetricSourceType:
		return slices.Concat(
			validateResourceName(string(m.ContainerResource.Name), path.Child("name")),
			validateContainer(m.ContainerResource.Container, path.Child("container")),
			validateMetricTarget(m.ContainerResource.Target, path.Child("target"), autoscalingv2.UtilizationMetricType, autoscalingv2.AverageValueMetricType))
	case PodsMetricSourceType:
		return slices.Concat(
			validateIdentifier(m.Pods.Metric, path.Child("metric")),
			validateMetricTarget(m.Pods.Target, path.Child("target"), autoscalingv2.AverageValueMetricType))
	case ObjectMetricSourceType:
		return slices.Concat(
			validateDescribedObject(m.Object.DescribedObject, path.Child("describedObject")),
			validateIdentifier(m.Object.Metric, path.Child("metric")),
			validateMetricTarget(m.Object.Target, path.Child("target"), autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType))
	case ExternalMetricSourceType:
		return slices.Concat(
			validateIdentifier(m.External.Metric, path.Child("metric")),
			validateMetricTarget(m.External.Target, path.Child("target"), autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType))
	case PrometheusMetricSourceType:
		return validatePrometheus(m.Prometheus, path)
	}
	return validateCustom(m.Custom, path)
}

func validateResourceName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "the name of a resource, for example cpu")}
	}
	if why := validation.IsQualifiedName(name); len(why) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(why, "; "))}
	}
	return nil
}

func validateContainer(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "the name of a container")}
	}
	if why := validation.IsDNS1123Label(name); len(why) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(why, "; "))}
	}
	return nil
}

func validateDescribedObject(ref autoscalingv2.CrossVersionObjectReference, path *field.Path) field.ErrorList {
	errs := slices.Concat(
		validatePathSegment(ref.Kind, path.Child("kind"), "the kind of the object that the metric is about"),
		validatePathSegment(ref.Name, path.Child("name"), "the name of the object that the metric is about"))
	if ref.APIVersion == "" { // the core group, or what the kind stands for
		return errs
	}
	return append(errs, validateAPIVersion(ref.APIVersion, path.Child("apiVersion"))...)
}

func validateIdentifier(id autoscalingv2.MetricIdentifier, path *field.Path) field.ErrorList {
	errs := validatePathSegment(id.Name, path.Child("name"), "the name of the metric")
	if id.Selector == nil {
		return errs
	}
	return append(errs, metav1validation.ValidateLabelSelector(id.Selector, metav1validation.LabelSelectorValidationOptions{}, path.Child("selector"))...)
}

// validatePathSegment checks what becomes a part of a URL in a question to the
// metrics API.
func validatePathSegment(name string, path *field.Path, what string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, what)}
	}
	if why := content.IsPathSegmentName(name); len(why) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(why, "; "))}
	}
	return nil
}

func validatePrometheus(p *PrometheusMetricSource, path *field.Path) field.ErrorList {
	errs := slices.Concat(
		validateMetricName(p.Name, path.Child("name")),
		validateShortText(p.ServerName, path.Child("serverName"), "the name of a server in the operator's configuration", maxNameLength),
		validateValueTarget(p.Target, p.PerPod, path.Child("target")),
		oneOf(path.Child("emptyResult"), p.EmptyResult, EmptyResultUnknown, EmptyResultZero))
	errs = append(errs, validateShortText(p.Query, path.Child("query"), "a PromQL expression", maxQueryLength)...)
	if t := p.ActivationThreshold; t != nil && t.Sign() < 0 {
		errs = append(errs, field.Invalid(path.Child("activationThreshold"), t.String(), "must be 0 or more"))
	}
	return errs
}

func validateCustom(c *CustomMetricSource, path *field.Path) field.ErrorList {
	return slices.Concat(
		validateShortText(c.Source, path.Child("source"), "the name of a source that the autoscaler was built with", maxNameLength),
		validateMetricName(c.Name, path.Child("name")),
		validateParameters(c.Parameters, path.Child("parameters")),
		validateValueTarget(c.Target, c.PerPod, path.Child("target")))
}

func validateMetricName(name string, path *field.Path) field.ErrorList {
	if name == "" || len(name) <= maxNameLength && metricNamePattern.MatchString(name) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, name, fmt.Sprintf("must be 1 to %d letters, digits, '-', '_' or '.', with a letter or digit first and last", maxNameLength))}
}

func validateParameters(p *apiextensionsv1.JSON, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var object map[string]any
	if err := json.Unmarshal(p.Raw, &object); err != nil || object == nil {
		return field.ErrorList{field.Invalid(path, string(p.Raw), "must be an object")}
	}
	return nil
}

func validateValueTarget(t autoscalingv2.MetricTarget, perPod bool, path *field.Path) field.ErrorList {
	if perPod {
		return validateMetricTarget(t, path, autoscalingv2.AverageValueMetricType)
	}
	return validateMetricTarget(t, path, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType)
}

// validateMetricTarget checks that the type is one of the allowed ones, and
// that exactly the field of that type is set.
func validateMetricTarget(t autoscalingv2.MetricTarget, path *field.Path, allowed ...autoscalingv2.MetricTargetType) field.ErrorList {
	if errs := oneOf(path.Child("type"), t.Type, allowed...); len(errs) > 0 {
		return errs
	}
	var utilization *resource.Quantity
	if t.AverageUtilization != nil {
		utilization = resource.NewQuantity(int64(*t.AverageUtilization), resource.DecimalSI)
	}
	return slices.Concat(
		validateAmount(utilization, t.Type, autoscalingv2.UtilizationMetricType, path.Child("averageUtilization")),
		validateAmount(t.AverageValue, t.Type, autoscalingv2.AverageValueMetricType, path.Child("averageValue")),
		validateAmount(t.Value, t.Type, autoscalingv2.ValueMetricType, path.Child("value")))
}

// validateAmount checks the field of a target that belongs to the type of.
func validateAmount(amount *resource.Quantity, actual, of autoscalingv2.MetricTargetType, path *field.Path) field.ErrorList {
	switch {
	case actual != of && amount != nil:
		return field.ErrorList{field.Forbidden(path, fmt.Sprintf("type is %s", actual))}
	case actual == of && amount == nil:
		return field.ErrorList{field.Required(path, fmt.Sprintf("type is %s", actual))}
	case amount != nil && amount.Sign() <= 0:
		return field.ErrorList{field.Invalid(path, amount.String(), "must be greater than 0")}
	}
	return nil
}
