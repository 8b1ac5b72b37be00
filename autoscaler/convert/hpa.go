package convert

import (
	"strings"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// defaultCPUUtilization is the target of a HorizontalPodAutoscaler without
// metrics, in percent.
const defaultCPUUtilization = 80

// statusAnnotations of autoscaling/v1 hold what autoscaling/v2 has in status.
var statusAnnotations = []string{
	"autoscaling.alpha.kubernetes.io/conditions",
	"autoscaling.alpha.kubernetes.io/current-metrics",
}

// FromHPA returns a WorkloadAutoscaler that does what the HorizontalPodAutoscaler
// does, with its name, namespace, labels and annotations, or what is wrong by the
// path of the field. All of the spec is kept. Where the type of a target and the
// amounts beside it disagree, what Kubernetes' controller reads counts, and a
// warning says so.
//
// By default the pods are chosen by owner, not by selector: see
// Options.PodSelection.
func FromHPA(hpa *autoscalingv2.HorizontalPodAutoscaler, o Options) (*v1alpha1.WorkloadAutoscaler, []Warning, field.ErrorList) {
	r := &report{}
	wa := newObject(hpa.ObjectMeta, o, r, statusAnnotations...)
	path := field.NewPath("spec")
	ref := hpa.Spec.ScaleTargetRef
	wa.Spec.ScaleTargetRef = v1alpha1.ScaleTargetRef{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name}
	if hpa.Spec.MinReplicas != nil {
		wa.Spec.MinReplicas = new(*hpa.Spec.MinReplicas)
	}
	wa.Spec.MaxReplicas = hpa.Spec.MaxReplicas
	wa.Spec.Behavior = hpa.Spec.Behavior.DeepCopy()
	for i, m := range hpa.Spec.Metrics {
		wa.Spec.Metrics = append(wa.Spec.Metrics, metricOf(*m.DeepCopy(), path.Child("metrics").Index(i), r))
	}
	if len(hpa.Spec.Metrics) == 0 {
		wa.Spec.Metrics = []v1alpha1.MetricSpec{cpuUtilization(defaultCPUUtilization)}
	}
	return r.finish(wa, "")
}

// FromHPAv1 is FromHPA for autoscaling/v1. Metrics and behavior that are kept in
// annotations there are refused: read the object as autoscaling/v2.
func FromHPAv1(hpa *autoscalingv1.HorizontalPodAutoscaler, o Options) (*v1alpha1.WorkloadAutoscaler, []Warning, field.ErrorList) {
	target := int32(defaultCPUUtilization)
	if t := hpa.Spec.TargetCPUUtilizationPercentage; t != nil {
		target = *t
	}
	v2 := &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: hpa.ObjectMeta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(hpa.Spec.ScaleTargetRef),
		MinReplicas:    hpa.Spec.MinReplicas,
		MaxReplicas:    hpa.Spec.MaxReplicas,
		Metrics: []autoscalingv2.MetricSpec{{
			Type:     autoscalingv2.ResourceMetricSourceType,
			Resource: cpuUtilization(target).Resource,
		}},
	}}
	wa, warnings, errs := FromHPA(v2, o)
	var refused field.ErrorList
	for _, name := range []string{"metrics", "behavior", "scale-up-tolerance", "scale-down-tolerance"} {
		key := "autoscaling.alpha.kubernetes.io/" + name
		if value, set := hpa.Annotations[key]; set {
			refused = append(refused, field.Invalid(field.NewPath("metadata", "annotations").Key(key), value, "must not be set: read the object as horizontalpodautoscalers.v2.autoscaling, where it is a field"))
		}
	}
	for _, err := range errs {
		err.Field = strings.Replace(err.Field, "spec.metrics[0].resource.target.averageUtilization", "spec.targetCPUUtilizationPercentage", 1)
		refused = append(refused, err)
	}
	if len(refused) > 0 {
		return nil, warnings, refused
	}
	return wa, warnings, nil
}

func cpuUtilization(percent int32) v1alpha1.MetricSpec {
	return v1alpha1.MetricSpec{Type: v1alpha1.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name:   "cpu",
		Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

func metricOf(m autoscalingv2.MetricSpec, path *field.Path, r *report) v1alpha1.MetricSpec {
	const utilization, value, average = autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType
	if m.Resource != nil {
		settle(&m.Resource.Target, path.Child("resource", "target"), r, average, utilization)
	}
	if m.ContainerResource != nil {
		settle(&m.ContainerResource.Target, path.Child("containerResource", "target"), r, average, utilization)
	}
	if m.Pods != nil {
		settle(&m.Pods.Target, path.Child("pods", "target"), r, average)
	}
	if m.Object != nil { // the only one whose type counts
		settle(&m.Object.Target, path.Child("object", "target"), r, m.Object.Target.Type)
	}
	if m.External != nil {
		settle(&m.External.Target, path.Child("external", "target"), r, average, value)
	}
	return v1alpha1.MetricSpec{
		Type: v1alpha1.MetricSourceType(m.Type), Resource: m.Resource, ContainerResource: m.ContainerResource,
		Pods: m.Pods, Object: m.Object, External: m.External,
	}
}

// settle leaves the amount that Kubernetes' controller reads, the first one that
// is set in the order given, and makes the type agree with it. An API server lets
// targets through that have more, and whose type says something else.
func settle(t *autoscalingv2.MetricTarget, path *field.Path, r *report, order ...autoscalingv2.MetricTargetType) {
	for _, kind := range order {
		settled := autoscalingv2.MetricTarget{Type: kind}
		switch {
		case kind == autoscalingv2.AverageValueMetricType && t.AverageValue != nil:
			settled.AverageValue = t.AverageValue
		case kind == autoscalingv2.UtilizationMetricType && t.AverageUtilization != nil:
			settled.AverageUtilization = t.AverageUtilization
		case kind == autoscalingv2.ValueMetricType && t.Value != nil:
			settled.Value = t.Value
		default:
			continue
		}
		if settled != *t {
			r.warn(path, "of the type and the amounts, which disagree, Kubernetes' controller reads %s alone: that is kept", kind)
		}
		*t = settled
		return
	}
}
