package v1alpha1

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The defaults of optional fields. The schema of the CustomResourceDefinition
// has the same; these serve objects that did not pass an API server.
const (
	DefaultMinReplicas            int32 = 1
	DefaultServerName                   = "default"
	DefaultScaleUpWindowSeconds   int32 = 0
	DefaultScaleDownWindowSeconds int32 = 300
	defaultTolerance                    = "0.1"
)

// SetDefaults fills the optional fields of the spec that are not set.
func SetDefaults(wa *WorkloadAutoscaler) {
	spec := &wa.Spec
	if spec.MinReplicas == nil {
		spec.MinReplicas = new(DefaultMinReplicas)
	}
	if spec.Behavior == nil {
		spec.Behavior = &Behavior{}
	}
	spec.Behavior.ScaleUp = withDefaults(spec.Behavior.ScaleUp, DefaultScaleUpWindowSeconds)
	spec.Behavior.ScaleDown = withDefaults(spec.Behavior.ScaleDown, DefaultScaleDownWindowSeconds)
	for i := range spec.Metrics {
		if p := spec.Metrics[i].Prometheus; p != nil && p.ServerName == "" {
			p.ServerName = DefaultServerName
		}
	}
}

func withDefaults(rules *ScalingRules, windowSeconds int32) *ScalingRules {
	if rules == nil {
		rules = &ScalingRules{}
	}
	if rules.StabilizationWindowSeconds == nil {
		rules.StabilizationWindowSeconds = new(windowSeconds)
	}
	if rules.Tolerance == nil {
		rules.Tolerance = new(resource.MustParse(defaultTolerance))
	}
	return rules
}

// MetricName is the name of the metric at place i of spec.metrics in status,
// events and decisions.
func MetricName(i int, m MetricSpec) string {
	switch {
	case m.Resource != nil:
		return m.Resource.Name
	case m.Prometheus != nil && m.Prometheus.Name != "":
		return m.Prometheus.Name
	case m.Prometheus != nil:
		return fmt.Sprintf("prometheus[%d]", i)
	}
	return fmt.Sprintf("metrics[%d]", i)
}
