package v1alpha1

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The allowed ranges, both ends included.
const (
	maxMetrics         = 10 // more, and the schema's rules cost more than an API server allows
	maxSchedules       = 20
	maxNameLength      = 63
	maxCronLength      = 100
	maxTimeZoneLength  = 100
	maxQueryLength     = 4096
	maxWindowSeconds   = 3600
	maxPeriodSeconds   = 1800
	maxFallbackSeconds = 86400
)

// The policies that everybody has, and what Validate knows about them.
const (
	PolicyTarget    = "Target"    // needs metrics
	PolicyWatermark = "Watermark" // needs metrics
	PolicySchedule  = "Schedule"  // needs schedules
)

// Validate says what is wrong with the spec of an object that has its defaults
// (SetDefaults). The schema of the CustomResourceDefinition refuses most of it
// already; this serves objects that did not pass an API server, and what a
// schema cannot say: whether a selector, a cron expression and a time zone
// parse. Errors carry the path of the field, its value and what is allowed.
//
// Whether the policy and its parameters, the source of a Custom metric and the
// server of a Prometheus metric exist is for the autoscaler to say, which knows
// what it was built and configured with.
func Validate(wa *WorkloadAutoscaler) field.ErrorList {
	spec, path := &wa.Spec, field.NewPath("spec")
	return slices.Concat(
		validateScaleTarget(spec.ScaleTargetRef, path.Child("scaleTargetRef")),
		validateBounds(spec, path),
		validatePolicy(spec, path),
		validateMetrics(spec.Metrics, path.Child("metrics")),
		validateBehavior(spec.Behavior, path.Child("behavior")),
		validateSchedules(spec, path.Child("schedules")),
		validateFallback(spec, path.Child("fallback")),
		oneOf(path.Child("mode"), spec.Mode, ModeAuto, ModeRecommend, ModePaused),
		oneOf(path.Child("podSelection"), spec.PodSelection, PodSelectionOwner, PodSelectionSelector),
	)
}

func validateScaleTarget(ref ScaleTargetRef, path *field.Path) field.ErrorList {
	return slices.Concat(
		validateAPIVersion(ref.APIVersion, path.Child("apiVersion")),
		validateKind(ref.Kind, path.Child("kind")),
		validateObjectName(ref.Name, path.Child("name")),
	)
}

func validateAPIVersion(version string, path *field.Path) field.ErrorList {
	if version == "" {
		return field.ErrorList{field.Required(path, "for example apps/v1")}
	}
	gv, err := schema.ParseGroupVersion(version)
	if err == nil && (gv.Group == "" || len(validation.IsDNS1123Subdomain(gv.Group)) == 0) && versionPattern.MatchString(gv.Version) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, version, "must be group/version or version, for example apps/v1")}
}

func validateKind(kind string, path *field.Path) field.ErrorList {
	if kind == "" {
		return field.ErrorList{field.Required(path, "for example Deployment")}
	}
	if len(kind) > maxNameLength || !kindPattern.MatchString(kind) {
		return field.ErrorList{field.Invalid(path, kind, fmt.Sprintf("must be the name of a kind, at most %d letters and digits, for example Deployment", maxNameLength))}
	}
	return nil
}

func validateObjectName(name string, path *field.Path) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "the name of the object")}
	}
	if why := validation.IsDNS1123Subdomain(name); len(why) > 0 {
		return field.ErrorList{field.Invalid(path, name, strings.Join(why, "; "))}
	}
	return nil
}

func validateBounds(spec *WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	minReplicas := path.Child("minReplicas")
	if spec.MinReplicas != nil && *spec.MinReplicas < 0 {
		errs = append(errs, field.Invalid(minReplicas, *spec.MinReplicas, "must be 0 or more"))
	}
	if spec.MinReplicas != nil && *spec.MinReplicas == 0 && needsMetrics(spec) && len(spec.Metrics) > 0 && !slices.ContainsFunc(spec.Metrics, isReadAwayFromPods) {
		errs = append(errs, field.Invalid(minReplicas, 0, "must be 1 or more, or a metric must be one that is not read from the pods: of type Object, External, or Prometheus or Custom without perPod"))
	}
	if spec.MaxReplicas < 1 {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), spec.MaxReplicas, "must be 1 or more"))
	} else if spec.MinReplicas != nil && spec.MaxReplicas < *spec.MinReplicas {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), spec.MaxReplicas, fmt.Sprintf("must be minReplicas (%d) or more", *spec.MinReplicas)))
	}
	return errs
}

// needsMetrics reports whether the policy is one that is known to decide on
// metrics alone.
func needsMetrics(spec *WorkloadAutoscalerSpec) bool {
	return spec.Policy != nil && (spec.Policy.Name == PolicyTarget || spec.Policy.Name == PolicyWatermark)
}

// isReadAwayFromPods reports whether the metric has a value while there are no
// pods.
func isReadAwayFromPods(m MetricSpec) bool {
	switch m.Type {
	case ObjectMetricSourceType, ExternalMetricSourceType:
		return true
	case PrometheusMetricSourceType:
		return m.Prometheus != nil && !m.Prometheus.PerPod
	case CustomMetricSourceType:
		return m.Custom != nil && !m.Custom.PerPod
	}
	return false
}

func validatePolicy(spec *WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p := spec.Policy; p != nil {
		at := path.Child("policy")
		errs = append(errs, validateShortText(p.Name, at.Child("name"), "the name of a policy, for example Target", maxNameLength)...)
		errs = append(errs, validateParameters(p.Parameters, at.Child("parameters"))...)
	}
	if needsMetrics(spec) && len(spec.Metrics) == 0 {
		errs = append(errs, field.Required(path.Child("metrics"), fmt.Sprintf("at least one metric, policy is %s", spec.Policy.Name)))
	}
	if spec.Policy != nil && spec.Policy.Name == PolicySchedule && len(spec.Schedules) == 0 {
		errs = append(errs, field.Required(path.Child("schedules"), "at least one schedule, policy is Schedule"))
	}
	return errs
}

func validateSchedules(spec *WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(spec.Schedules) > maxSchedules {
		errs = append(errs, field.TooMany(path, len(spec.Schedules), maxSchedules))
	}
	seen := map[string]bool{}
	for i, s := range spec.Schedules {
		at := path.Index(i)
		errs = append(errs, validateShortText(s.Name, at.Child("name"), "the name of the schedule", maxNameLength)...)
		if seen[s.Name] {
			errs = append(errs, field.Duplicate(at.Child("name"), s.Name))
		}
		seen[s.Name] = true
		errs = append(errs, validateWindow(s, at)...)
		errs = append(errs, validateScheduleBounds(s, spec, at)...)
	}
	return errs
}

func validateScheduleBounds(s Schedule, spec *WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	floor, ceiling := s.MinReplicas, s.MaxReplicas
	if floor == nil && ceiling == nil {
		errs = append(errs, field.Required(path, "minReplicas or maxReplicas"))
	}
	if floor != nil && (*floor < 0 || *floor > spec.MaxReplicas) {
		errs = append(errs, field.Invalid(path.Child("minReplicas"), *floor, fmt.Sprintf("must be from 0 to the maxReplicas of the spec (%d)", spec.MaxReplicas)))
	}
	if ceiling != nil && *ceiling < 0 {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), *ceiling, "must be 0 or more"))
	} else if ceiling != nil && spec.MinReplicas != nil && *ceiling < *spec.MinReplicas {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), *ceiling, fmt.Sprintf("must be the minReplicas of the spec (%d) or more", *spec.MinReplicas)))
	}
	if floor != nil && ceiling != nil && *floor > *ceiling {
		errs = append(errs, field.Invalid(path.Child("maxReplicas"), *ceiling, fmt.Sprintf("must be minReplicas (%d) or more", *floor)))
	}
	return errs
}

func validateFallback(spec *WorkloadAutoscalerSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if spec.Fallback == nil {
		return nil
	}
	if after := spec.Fallback.AfterSeconds; after != nil && (*after < 0 || *after > maxFallbackSeconds) {
		errs = append(errs, field.Invalid(path.Child("afterSeconds"), *after, fmt.Sprintf("must be from 0 to %d", maxFallbackSeconds)))
	}
	if n := spec.Fallback.Replicas; n != nil && (*n < 1 || *n > spec.MaxReplicas) {
		errs = append(errs, field.Invalid(path.Child("replicas"), *n, fmt.Sprintf("must be from 1 to maxReplicas (%d)", spec.MaxReplicas)))
	}
	return errs
}

// validateShortText checks the length of a text that must not be empty, in
// characters.
func validateShortText(text string, path *field.Path, what string, maxLength int) field.ErrorList {
	if text == "" {
		return field.ErrorList{field.Required(path, what)}
	}
	if len([]rune(text)) > maxLength {
		return field.ErrorList{field.TooLong(path, text, maxLength)}
	}
	return nil
}

func oneOf[T ~string](path *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

// The patterns of the schema, never changed.
var (
	versionPattern    = regexp.MustCompile(`^[a-z0-9]+$`)
	kindPattern       = regexp.MustCompile(`^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$`)
	metricNamePattern = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
)
