package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WorkloadAutoscaler keeps the number of replicas of one workload in step with
// its metrics, the way autoscaling/v2 HorizontalPodAutoscaler does, and says in
// status.lastDecision how it came to its number.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=wa,categories=autoscaling,scope=Namespaced
// +kubebuilder:printcolumn:name="Target",type=string,JSONPath=`.spec.scaleTargetRef.name`
// +kubebuilder:printcolumn:name="Min",type=integer,JSONPath=`.spec.minReplicas`
// +kubebuilder:printcolumn:name="Max",type=integer,JSONPath=`.spec.maxReplicas`
// +kubebuilder:printcolumn:name="Current",type=integer,JSONPath=`.status.currentReplicas`
// +kubebuilder:printcolumn:name="Desired",type=integer,JSONPath=`.status.desiredReplicas`
// +kubebuilder:printcolumn:name="Metric",type=string,JSONPath=`.status.lastDecision.selectedMetric`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type WorkloadAutoscaler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says what to scale, between which bounds, on which metrics.
	Spec WorkloadAutoscalerSpec `json:"spec"`
	// status is written by the controller.
	// +optional
	Status WorkloadAutoscalerStatus `json:"status,omitempty"`
}

// WorkloadAutoscalerList is a list of WorkloadAutoscaler.
//
// +kubebuilder:object:root=true
type WorkloadAutoscalerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []WorkloadAutoscaler `json:"items"`
}

// WorkloadAutoscalerSpec says what to scale, between which bounds, on which
// metrics.
//
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas must not be greater than maxReplicas"
type WorkloadAutoscalerSpec struct {
	// scaleTargetRef names the workload, in the namespace of this object.
	// Anything with a scale subresource will do.
	ScaleTargetRef ScaleTargetRef `json:"scaleTargetRef"`

	// minReplicas is the least number of replicas, 1 or more.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the greatest number of replicas, at least minReplicas.
	// +kubebuilder:validation:Minimum=1
	MaxReplicas int32 `json:"maxReplicas"`

	// metrics are evaluated one by one; the largest proposal wins.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Metrics []MetricSpec `json:"metrics"`

	// behavior says how quickly proposals are followed, in each direction.
	// +optional
	// +kubebuilder:default={scaleUp: {stabilizationWindowSeconds: 0, tolerance: "0.1"}, scaleDown: {stabilizationWindowSeconds: 300, tolerance: "0.1"}}
	Behavior *Behavior `json:"behavior,omitempty"`
}

// ScaleTargetRef names an object with a scale subresource.
type ScaleTargetRef struct {
	// apiVersion of the workload, for example apps/v1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[a-z0-9]+$`
	APIVersion string `json:"apiVersion"`
	// kind of the workload, for example Deployment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$`
	Kind string `json:"kind"`
	// name of the workload.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`
	Name string `json:"name"`
}

// MetricSourceType says where a metric comes from.
//
// +kubebuilder:validation:Enum=Resource;Prometheus
type MetricSourceType string

const (
	// ResourceMetricSourceType is the use of a resource as metrics.k8s.io
	// reports it.
	ResourceMetricSourceType MetricSourceType = "Resource"
	// PrometheusMetricSourceType is the answer of a Prometheus server to a query.
	PrometheusMetricSourceType MetricSourceType = "Prometheus"
)

// MetricSpec is one metric and its target. The field named like the type, in
// lower case, is set, and no other.
//
// +kubebuilder:validation:XValidation:rule="(self.type == 'Resource') == has(self.resource)",message="resource must be set if and only if type is Resource"
// +kubebuilder:validation:XValidation:rule="(self.type == 'Prometheus') == has(self.prometheus)",message="prometheus must be set if and only if type is Prometheus"
type MetricSpec struct {
	// type is Resource or Prometheus.
	Type MetricSourceType `json:"type"`
	// resource is the use of a resource by the pods of the workload, relative
	// to their requests.
	// +optional
	Resource *ResourceMetricSource `json:"resource,omitempty"`
	// prometheus is a query whose answer is one number.
	// +optional
	Prometheus *PrometheusMetricSource `json:"prometheus,omitempty"`
}

// ResourceMetricSource has the fields of autoscaling/v2 ResourceMetricSource.
//
// +kubebuilder:validation:XValidation:rule="self.target.type == 'Utilization' && has(self.target.averageUtilization) && !has(self.target.value) && !has(self.target.averageValue)",message="target must be of type Utilization with averageUtilization, and nothing else, set"
type ResourceMetricSource struct {
	// name of the resource: cpu.
	// +kubebuilder:validation:Enum=cpu
	Name string `json:"name"`
	// target is the wanted average utilization, in percent of the request.
	Target MetricTarget `json:"target"`
}

// PrometheusMetricSource is a PromQL query and what its answer should be.
//
// +kubebuilder:validation:XValidation:rule="self.target.type != 'Value' || (has(self.target.value) && !has(self.target.averageValue) && !has(self.target.averageUtilization))",message="target of type Value must have value, and nothing else, set"
// +kubebuilder:validation:XValidation:rule="self.target.type != 'AverageValue' || (has(self.target.averageValue) && !has(self.target.value) && !has(self.target.averageUtilization))",message="target of type AverageValue must have averageValue, and nothing else, set"
// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",message="target type must be Value or AverageValue"
type PrometheusMetricSource struct {
	// name of the metric in status and events; by default prometheus[i], where
	// i is its place in metrics.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name,omitempty"`
	// query in PromQL. Its answer is a scalar or a vector of exactly one
	// sample; no sample, several, NaN, an infinity or a negative number count
	// as unknown, on which nothing is ever scaled in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`
	// serverName is the name of a server in the operator's configuration.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ServerName string `json:"serverName,omitempty"`
	// target is the wanted value: of type Value, of the answer itself; of type
	// AverageValue, of the answer divided by the number of replicas.
	Target MetricTarget `json:"target"`
}

// MetricTarget has the fields of autoscaling/v2 MetricTarget.
//
// +kubebuilder:validation:XValidation:rule="!has(self.value) || quantity(string(self.value)).isGreaterThan(quantity('0'))",message="value must be greater than 0"
// +kubebuilder:validation:XValidation:rule="!has(self.averageValue) || quantity(string(self.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0"
type MetricTarget struct {
	// type is Utilization, Value or AverageValue.
	// +kubebuilder:validation:Enum=Utilization;Value;AverageValue
	Type autoscalingv2.MetricTargetType `json:"type"`
	// value is the wanted value of the metric, greater than 0.
	// +optional
	Value *resource.Quantity `json:"value,omitempty"`
	// averageValue is the wanted value per replica, greater than 0.
	// +optional
	AverageValue *resource.Quantity `json:"averageValue,omitempty"`
	// averageUtilization is the wanted use in percent of the request, 1 or more.
	// +optional
	// +kubebuilder:validation:Minimum=1
	AverageUtilization *int32 `json:"averageUtilization,omitempty"`
}

// Behavior says how quickly proposals are followed, in each direction.
type Behavior struct {
	// scaleUp governs more replicas.
	// +optional
	// +kubebuilder:default={stabilizationWindowSeconds: 0, tolerance: "0.1"}
	ScaleUp *ScalingRules `json:"scaleUp,omitempty"`
	// scaleDown governs fewer replicas.
	// +optional
	// +kubebuilder:default={stabilizationWindowSeconds: 300, tolerance: "0.1"}
	ScaleDown *ScalingRules `json:"scaleDown,omitempty"`
}

// ScalingRules has the fields of autoscaling/v2 HPAScalingRules that this
// version applies.
//
// +kubebuilder:validation:XValidation:rule="!has(self.tolerance) || (quantity(string(self.tolerance)).compareTo(quantity('0')) >= 0 && quantity(string(self.tolerance)).compareTo(quantity('1')) <= 0)",message="tolerance must be from 0 to 1"
type ScalingRules struct {
	// stabilizationWindowSeconds is how far back recommendations are looked at,
	// from 0 to 3600; by default 0 for scaleUp and 300 for scaleDown. Scaling
	// in goes no lower than the highest recommendation in the window, scaling
	// out no higher than the lowest.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=3600
	StabilizationWindowSeconds *int32 `json:"stabilizationWindowSeconds,omitempty"`
	// tolerance is the relative distance from the target within which nothing
	// is done, from 0 to 1; by default 0.1.
	// +optional
	Tolerance *resource.Quantity `json:"tolerance,omitempty"`
}

// WorkloadAutoscalerStatus is what the controller saw and decided.
type WorkloadAutoscalerStatus struct {
	// observedGeneration is the generation of the spec this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// lastScaleTime is when the number of replicas was last changed.
	// +optional
	LastScaleTime *metav1.Time `json:"lastScaleTime,omitempty"`
	// currentReplicas is the number of replicas the target asked for when it
	// was last read.
	// +optional
	CurrentReplicas int32 `json:"currentReplicas"`
	// desiredReplicas is the number of replicas last decided on.
	// +optional
	DesiredReplicas int32 `json:"desiredReplicas"`
	// metrics are the metrics as last read, in the order of spec.metrics.
	// +optional
	// +listType=atomic
	Metrics []MetricStatus `json:"metrics,omitempty"`
	// lastDecision is the latest decision that differed from the one before.
	// +optional
	LastDecision *Decision `json:"lastDecision,omitempty"`
	// conditions are AbleToScale, ScalingActive and ScalingLimited with the
	// reasons of the HorizontalPodAutoscaler, and Ready, which sums them up.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// MetricStatus is one metric as last read and what it proposes.
type MetricStatus struct {
	// name of the metric.
	Name string `json:"name"`
	// current is the value as last read; absent if it is unknown.
	// +optional
	Current *autoscalingv2.MetricValueStatus `json:"current,omitempty"`
	// proposal is the number of replicas this metric alone asks for; absent if
	// it is unknown.
	// +optional
	Proposal *int32 `json:"proposal,omitempty"`
	// reason in one CamelCase word.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message says the reason with figures.
	// +optional
	Message string `json:"message,omitempty"`
}

// Decision is how one evaluation came to its number of replicas, step by step.
type Decision struct {
	// time of the first evaluation with this outcome.
	Time metav1.Time `json:"time"`
	// raw is what the metrics ask for, before any limit.
	Raw int32 `json:"raw"`
	// stabilized is raw after the stabilization windows.
	Stabilized int32 `json:"stabilized"`
	// limited is stabilized after the scale-up limit, minimum and maximum.
	Limited int32 `json:"limited"`
	// applied is what the target was set to, or left at.
	Applied int32 `json:"applied"`
	// selectedMetric is the metric whose proposal won; empty if none did.
	// +optional
	SelectedMetric string `json:"selectedMetric,omitempty"`
	// reason in one CamelCase word.
	Reason string `json:"reason"`
	// message says the reason with figures.
	// +optional
	Message string `json:"message,omitempty"`
	// constraints that changed the number on its way from raw to limited, in
	// the order in which they were applied.
	// +optional
	// +listType=atomic
	Constraints []string `json:"constraints,omitempty"`
}
