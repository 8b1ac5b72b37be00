package convert

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	kjson "sigs.k8s.io/json"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// KEDA's defaults.
const (
	kedaMinReplicas     = 0
	kedaMaxReplicas     = 100
	kedaCooldownSeconds = 300
	kedaPollingSeconds  = 30
)

// scaleDownWindowSeconds is the stabilization window for scaling in where
// behavior has none.
const scaleDownWindowSeconds = 300

// maxFallbackSeconds is the longest that metrics may be unknown before a fallback.
const maxFallbackSeconds = 86400

// scaledObject is keda.sh/v1alpha1 ScaledObject, as far as its author writes it.
type scaledObject struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta `json:"metadata"`
	Spec            scaledObjectSpec  `json:"spec"`
	Status          json.RawMessage   `json:"status"` // what KEDA saw: of no use
}

type scaledObjectSpec struct {
	ScaleTargetRef struct {
		APIVersion             string `json:"apiVersion"`
		Kind                   string `json:"kind"`
		Name                   string `json:"name"`
		EnvSourceContainerName string `json:"envSourceContainerName"`
	} `json:"scaleTargetRef"`
	PollingInterval       *int32    `json:"pollingInterval"`
	InitialCooldownPeriod *int32    `json:"initialCooldownPeriod"`
	CooldownPeriod        *int32    `json:"cooldownPeriod"`
	IdleReplicaCount      *int32    `json:"idleReplicaCount"`
	MinReplicaCount       *int32    `json:"minReplicaCount"`
	MaxReplicaCount       *int32    `json:"maxReplicaCount"`
	Advanced              *advanced `json:"advanced"`
	Triggers              []trigger `json:"triggers"`
	Fallback              *fallback `json:"fallback"`
}

type advanced struct {
	HorizontalPodAutoscalerConfig *struct {
		Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior"`
		Name     string                                         `json:"name"`
	} `json:"horizontalPodAutoscalerConfig"`
	RestoreToOriginalReplicaCount bool            `json:"restoreToOriginalReplicaCount"`
	ScalingModifiers              json.RawMessage `json:"scalingModifiers"`
}

type fallback struct {
	FailureThreshold int32  `json:"failureThreshold"`
	Replicas         int32  `json:"replicas"`
	Behavior         string `json:"behavior"`
}

type trigger struct {
	Type              string                         `json:"type"`
	Name              string                         `json:"name"`
	UseCachedMetrics  bool                           `json:"useCachedMetrics"`
	Metadata          map[string]string              `json:"metadata"`
	AuthenticationRef json.RawMessage                `json:"authenticationRef"`
	MetricType        autoscalingv2.MetricTargetType `json:"metricType"`
}

// isOfPods reports whether the trigger reads the pods, and so cannot wake a
// workload that has none.
func (t trigger) isOfPods() bool { return t.Type == "cpu" || t.Type == "memory" }

// FromScaledObject returns a WorkloadAutoscaler that does what the KEDA
// ScaledObject in JSON does, with its name, namespace, labels and annotations, or
// what is wrong by the path of the field. Triggers of type prometheus, cpu,
// memory and cron are kept: prometheus as metrics of type Prometheus, cron as
// schedules with a floor. With cron triggers alone the policy is Schedule.
func FromScaledObject(raw []byte, o Options) (*v1alpha1.WorkloadAutoscaler, []Warning, field.ErrorList) {
	r, so := &report{}, &scaledObject{}
	if errs := decodeStrictly(raw, so); len(errs) > 0 {
		return nil, nil, errs
	}
	wa := newObject(so.Metadata, o, r, kedaAnnotations()...)
	spec := field.NewPath("spec")
	so.target(wa, spec.Child("scaleTargetRef"), r)
	so.bounds(wa, spec, r)
	so.triggers(wa, spec.Child("triggers"), o, r)
	so.advanced(wa, spec.Child("advanced"), r)
	so.annotations(wa, field.NewPath("metadata", "annotations"), r)
	so.cooldown(wa, spec, r)
	so.fallback(wa, spec.Child("fallback"), r)
	return r.finish(wa, "converted: ")
}

// decodeStrictly reads JSON. Unknown fields, fields given twice and values of a
// wrong type are errors.
func decodeStrictly(raw []byte, into any) field.ErrorList {
	strict, err := kjson.UnmarshalStrict(raw, into)
	var errs field.ErrorList
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		errs = append(errs, field.TypeInvalid(field.NewPath(cmp.Or(wrong.Field, "document")), wrong.Value, "must be of type "+wrong.Type.String()))
	case err != nil:
		errs = append(errs, field.Invalid(field.NewPath("document"), field.OmitValueType{}, err.Error()))
	}
	for _, err := range strict {
		name := "document"
		var at kjson.FieldError
		if errors.As(err, &at) {
			name = at.FieldPath()
		}
		errs = append(errs, field.Forbidden(field.NewPath(name), err.Error()))
	}
	return errs
}

func (so *scaledObject) target(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	ref := so.Spec.ScaleTargetRef
	wa.Spec.ScaleTargetRef = v1alpha1.ScaleTargetRef{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name}
	if ref.APIVersion == "" {
		wa.Spec.ScaleTargetRef.APIVersion = "apps/v1"
	}
	if ref.Kind == "" {
		wa.Spec.ScaleTargetRef.Kind = "Deployment"
	}
	if ref.EnvSourceContainerName != "" {
		r.warn(path.Child("envSourceContainerName"), "left out: nothing is read from the environment of containers")
	}
}

func (so *scaledObject) bounds(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	minReplicas, maxReplicas := so.minReplicas(), int32(kedaMaxReplicas)
	if n := so.Spec.MaxReplicaCount; n != nil {
		maxReplicas = *n
	}
	wa.Spec.MinReplicas, wa.Spec.MaxReplicas = &minReplicas, maxReplicas
	switch {
	case minReplicas < 0:
		r.refuse(path.Child("minReplicaCount"), minReplicas, "must be 0 or more")
	case maxReplicas < 1 || maxReplicas < minReplicas:
		r.refuse(path.Child("maxReplicaCount"), maxReplicas, fmt.Sprintf("must be 1 or more, and minReplicaCount (%d) or more", minReplicas))
	case minReplicas == 0 && slices.ContainsFunc(so.Spec.Triggers, trigger.isOfPods):
		r.refuse(path.Child("minReplicaCount"), minReplicas, "must be 1 or more with a trigger of type cpu or memory, and is 0 by default: KEDA goes to 0 whatever the pods use, here a pod that uses anything is needed")
	}
	if n := so.Spec.IdleReplicaCount; n != nil {
		r.refuse(path.Child("idleReplicaCount"), *n, "must not be set: there is no number of replicas below the minimum; minReplicaCount 0 goes to 0")
	}
	if n := so.Spec.PollingInterval; n != nil {
		r.warn(path.Child("pollingInterval"), "left out: all metrics are read in the period of the autoscaler")
	}
}

func (so *scaledObject) minReplicas() int32 {
	if n := so.Spec.MinReplicaCount; n != nil {
		return *n
	}
	return kedaMinReplicas
}

func (so *scaledObject) advanced(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	a := so.Spec.Advanced
	if a == nil {
		return
	}
	if a.RestoreToOriginalReplicaCount {
		r.refuse(path.Child("restoreToOriginalReplicaCount"), true, "must be false: a workload keeps its replicas when its autoscaler is deleted")
	}
	if text := strings.TrimSpace(string(a.ScalingModifiers)); text != "" && text != "{}" && text != "null" {
		r.refuse(path.Child("scalingModifiers"), text, "must not be set: of several metrics the largest number of replicas counts; combine them in one PromQL query")
	}
	c := a.HorizontalPodAutoscalerConfig
	if c == nil {
		return
	}
	path = path.Child("horizontalPodAutoscalerConfig")
	if c.Name != "" {
		r.warn(path.Child("name"), "left out: there is no HorizontalPodAutoscaler any more")
	}
	wa.Spec.Behavior = c.Behavior.DeepCopy()
	if b := c.Behavior; b != nil && so.minReplicas() == 0 {
		enabled(b.ScaleUp, path.Child("behavior", "scaleUp"), r)
		enabled(b.ScaleDown, path.Child("behavior", "scaleDown"), r)
	}
}

// enabled refuses rules that disable a direction where KEDA goes from and to 0
// all the same.
func enabled(rules *autoscalingv2.HPAScalingRules, path *field.Path, r *report) {
	if rules != nil && rules.SelectPolicy != nil && *rules.SelectPolicy == autoscalingv2.DisabledPolicySelect {
		r.refuse(path.Child("selectPolicy"), *rules.SelectPolicy, "must not be Disabled with minReplicaCount 0, which is the default: KEDA goes from and to 0 all the same, here it counts for that too")
	}
}

// cooldown settles when a workload goes to 0. KEDA does so when no trigger has
// been active for the cooldown, here it is done when 0 has been wanted during the
// whole of the stabilization window: the same, if the two are as long.
func (so *scaledObject) cooldown(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	initial, given := so.Spec.InitialCooldownPeriod, so.Spec.CooldownPeriod
	if so.minReplicas() > 0 {
		if given != nil || initial != nil {
			r.warn(path.Child("cooldownPeriod"), "left out, as initialCooldownPeriod: they have no effect where minReplicaCount is 1 or more")
		}
		return
	}
	if initial != nil && *initial > 0 {
		r.refuse(path.Child("initialCooldownPeriod"), *initial, "must be 0: a new object may go to 0 as soon as its window allows")
	}
	cooldown, window := int32(kedaCooldownSeconds), int32(scaleDownWindowSeconds)
	if given != nil {
		cooldown = *given
	}
	var rules autoscalingv2.HPAScalingRules
	if b := wa.Spec.Behavior; b != nil && b.ScaleDown != nil {
		rules = *b.ScaleDown
	}
	if w := rules.StabilizationWindowSeconds; w != nil {
		window = *w
	}
	behavior := "advanced.horizontalPodAutoscalerConfig.behavior.scaleDown"
	if cooldown != window {
		r.refuse(path.Child("cooldownPeriod"), cooldown, fmt.Sprintf("must be the stabilizationWindowSeconds of %s (%d): one window counts for every step down, that to 0 included", behavior, window))
	}
	if rules.Policies != nil && rules.SelectPolicy == nil || rules.SelectPolicy != nil && *rules.SelectPolicy != autoscalingv2.DisabledPolicySelect {
		r.warn(path.Child("cooldownPeriod"), "the policies of %s count for the way to 0 as well, which KEDA goes in one step", behavior)
	}
}

func (so *scaledObject) fallback(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	f := so.Spec.Fallback
	if f == nil {
		return
	}
	polling := int32(kedaPollingSeconds)
	if n := so.Spec.PollingInterval; n != nil {
		polling = *n
	}
	after := int64(f.FailureThreshold) * int64(polling)
	if after < 0 || after > maxFallbackSeconds {
		r.refuse(path.Child("failureThreshold"), f.FailureThreshold, fmt.Sprintf("must be 0 or more, and take at most a day at one in %d s", polling))
		return
	}
	r.warn(path.Child("failureThreshold"), "%d failures are counted as %d s, at one in %d s", f.FailureThreshold, after, polling)
	wa.Spec.Fallback = &v1alpha1.Fallback{AfterSeconds: new(int32(after))}
	if f.Replicas > 0 {
		wa.Spec.Fallback.Replicas = &f.Replicas
	}
	switch f.Behavior {
	case "", "static":
		if f.Replicas < 1 {
			r.refuse(path.Child("replicas"), f.Replicas, "must be 1 or more: nothing is scaled in on what is not known")
		}
		r.warn(path.Child("behavior"), "static may scale in: here a workload that has more than %d replicas keeps them, as with currentReplicasIfHigher", f.Replicas)
	case "currentReplicasIfHigher":
	case "currentReplicas":
		wa.Spec.Fallback.Replicas = nil // hold
	default:
		r.refuse(path.Child("behavior"), f.Behavior, "must be static, currentReplicas or currentReplicasIfHigher: nothing is scaled in on what is not known")
	}
}

const kedaPrefix = "autoscaling.keda.sh/"

// kedaAnnotations are the annotations that mean something to KEDA alone.
func kedaAnnotations() []string {
	return []string{
		kedaPrefix + "paused", kedaPrefix + "paused-scale-in", kedaPrefix + "paused-scale-out", kedaPrefix + "force-activation",
		"scaledobject.keda.sh/transfer-hpa-ownership", "scaledobject.keda.sh/hpa-excluded-labels", "validations.keda.sh/hpa-ownership",
	}
}

// annotations keeps those that tell KEDA to stand still.
func (so *scaledObject) annotations(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, r *report) {
	disabled := autoscalingv2.DisabledPolicySelect
	for _, name := range slices.Sorted(maps.Keys(so.Metadata.Annotations)) {
		value := so.Metadata.Annotations[name]
		word, isKEDA := strings.CutPrefix(name, kedaPrefix)
		if !isKEDA {
			continue
		}
		switch {
		case word == "paused-replicas":
			r.refuse(path.Key(name), value, "must not be set: scale the workload and set "+kedaPrefix+"paused instead")
		case !slices.Contains(kedaAnnotations(), name):
			r.refuse(path.Key(name), value, "must not be set: it is not known what it means")
		case !isTrue(value):
		case word == "paused":
			wa.Spec.Mode = v1alpha1.ModePaused
		case word == "paused-scale-in":
			behaviorOf(wa).ScaleDown = withSelection(behaviorOf(wa).ScaleDown, &disabled)
		case word == "paused-scale-out":
			behaviorOf(wa).ScaleUp = withSelection(behaviorOf(wa).ScaleUp, &disabled)
		default:
			r.refuse(path.Key(name), value, "must not be true: set minReplicaCount 1 instead")
		}
	}
}

// isTrue reads a value as KEDA does, to which all that is not false is true.
func isTrue(value string) bool {
	b, err := strconv.ParseBool(value)
	return b || err != nil
}

func behaviorOf(wa *v1alpha1.WorkloadAutoscaler) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	if wa.Spec.Behavior == nil {
		wa.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{}
	}
	return wa.Spec.Behavior
}

func withSelection(rules *autoscalingv2.HPAScalingRules, s *autoscalingv2.ScalingPolicySelect) *autoscalingv2.HPAScalingRules {
	if rules == nil {
		rules = &autoscalingv2.HPAScalingRules{}
	}
	rules.SelectPolicy = s
	return rules
}
