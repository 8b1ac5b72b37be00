package v1alpha1

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
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
// +kubebuilder:printcolumn:name="Mode",type=string,priority=1,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
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
// +kubebuilder:validation:XValidation:rule="!(has(self.policy) && has(self.policy.name)) || !(self.policy.name in ['Target', 'Watermark']) || has(self.metrics) && size(self.metrics) > 0",message="policies Target and Watermark need at least one metric",fieldPath=".metrics"
// +kubebuilder:validation:XValidation:rule="!(has(self.policy) && has(self.policy.name)) || self.policy.name != 'Schedule' || has(self.schedules) && size(self.schedules) > 0",message="policy Schedule needs at least one schedule",fieldPath=".schedules"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || self.minReplicas > 0 || !(has(self.policy) && has(self.policy.name)) || !(self.policy.name in ['Target', 'Watermark']) || !has(self.metrics) || self.metrics.exists(m, m.type in ['Object', 'External'] || has(m.prometheus) && !(has(m.prometheus.perPod) && m.prometheus.perPod) || has(m.custom) && !(has(m.custom.perPod) && m.custom.perPod))",message="minReplicas 0 needs a metric that is not read from the pods: of type Object, External, or Prometheus or Custom without perPod",fieldPath=".minReplicas"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || self.metrics.all(m, !has(m.prometheus) || !has(m.prometheus.name) || self.metrics.exists_one(o, has(o.prometheus) && has(o.prometheus.name) && o.prometheus.name == m.prometheus.name || has(o.custom) && has(o.custom.name) && o.custom.name == m.prometheus.name || has(o.resource) && o.resource.name == m.prometheus.name || has(o.pods) && o.pods.metric.name == m.prometheus.name || has(o.object) && o.object.metric.name == m.prometheus.name || has(o.external) && o.external.metric.name == m.prometheus.name))",message="the name of a Prometheus metric must be its own",fieldPath=".metrics"
// +kubebuilder:validation:XValidation:rule="!has(self.metrics) || self.metrics.all(m, !has(m.custom) || !has(m.custom.name) || self.metrics.exists_one(o, has(o.prometheus) && has(o.prometheus.name) && o.prometheus.name == m.custom.name || has(o.custom) && has(o.custom.name) && o.custom.name == m.custom.name || has(o.resource) && o.resource.name == m.custom.name || has(o.pods) && o.pods.metric.name == m.custom.name || has(o.object) && o.object.metric.name == m.custom.name || has(o.external) && o.external.metric.name == m.custom.name))",message="the name of a Custom metric must be its own",fieldPath=".metrics"
// +kubebuilder:validation:XValidation:rule="!has(self.schedules) || self.schedules.all(s, !has(s.minReplicas) || s.minReplicas <= self.maxReplicas)",message="the minReplicas of a schedule must not be greater than the maxReplicas of the spec",fieldPath=".schedules"
// +kubebuilder:validation:XValidation:rule="!has(self.schedules) || !has(self.minReplicas) || self.schedules.all(s, !has(s.maxReplicas) || s.maxReplicas >= self.minReplicas)",message="the maxReplicas of a schedule must not be less than the minReplicas of the spec",fieldPath=".schedules"
// +kubebuilder:validation:XValidation:rule="!has(self.fallback) || !has(self.fallback.replicas) || self.fallback.replicas <= self.maxReplicas",message="must not be greater than maxReplicas",fieldPath=".fallback.replicas"
type WorkloadAutoscalerSpec struct {
	// scaleTargetRef names the workload, in the namespace of this object.
	// Anything with a scale subresource will do.
	ScaleTargetRef ScaleTargetRef `json:"scaleTargetRef"`

	// minReplicas is the least number of replicas, 0 or more. With 0 and the
	// policies Target and Watermark, at least one metric must not be read from the
	// pods: of type Object, External, or Prometheus or Custom without perPod.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	MinReplicas *int32 `json:"minReplicas,omitempty"`

	// maxReplicas is the greatest number of replicas, at least minReplicas.
	// +kubebuilder:validation:Minimum=1
	MaxReplicas int32 `json:"maxReplicas"`

	// metrics are evaluated one by one, at most 10. They may be left out only if
	// the policy needs none, as Schedule; Target and Watermark need one.
	// +optional
	// +kubebuilder:validation:MaxItems=10
	// +listType=atomic
	Metrics []MetricSpec `json:"metrics,omitempty"`

	// behavior says how quickly proposals are followed, in each direction, as in
	// autoscaling/v2. Without it, scaling in follows the highest recommendation
	// of the last 5 minutes and scaling out at most doubles the replicas, or goes
	// to 4, at once; the tolerance is 10 %.
	// What is not set in it is as in autoscaling/v2: scaling out adds 4 replicas or
	// doubles them, whichever is more, in 15 s, without a stabilization window;
	// scaling in may remove all of them in 15 s, after one of 5 minutes.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.stabilizationWindowSeconds) || (self.scaleUp.stabilizationWindowSeconds >= 0 && self.scaleUp.stabilizationWindowSeconds <= 3600)",message="must be from 0 to 3600",fieldPath=".scaleUp.stabilizationWindowSeconds"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.selectPolicy) || self.scaleUp.selectPolicy in ['Max', 'Min', 'Disabled']",message="must be Max, Min or Disabled",fieldPath=".scaleUp.selectPolicy"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || size(self.scaleUp.policies) > 0",message="must have at least one policy",fieldPath=".scaleUp.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.type in ['Pods', 'Percent'])",message="type must be Pods or Percent",fieldPath=".scaleUp.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.value > 0)",message="value must be 1 or more",fieldPath=".scaleUp.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.policies) || self.scaleUp.policies.all(p, p.periodSeconds >= 1 && p.periodSeconds <= 1800)",message="periodSeconds must be from 1 to 1800",fieldPath=".scaleUp.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleUp) || !has(self.scaleUp.tolerance) || quantity(string(self.scaleUp.tolerance)).compareTo(quantity('0')) >= 0",message="must be 0 or more",fieldPath=".scaleUp.tolerance"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.stabilizationWindowSeconds) || (self.scaleDown.stabilizationWindowSeconds >= 0 && self.scaleDown.stabilizationWindowSeconds <= 3600)",message="must be from 0 to 3600",fieldPath=".scaleDown.stabilizationWindowSeconds"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.selectPolicy) || self.scaleDown.selectPolicy in ['Max', 'Min', 'Disabled']",message="must be Max, Min or Disabled",fieldPath=".scaleDown.selectPolicy"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || size(self.scaleDown.policies) > 0",message="must have at least one policy",fieldPath=".scaleDown.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.type in ['Pods', 'Percent'])",message="type must be Pods or Percent",fieldPath=".scaleDown.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.value > 0)",message="value must be 1 or more",fieldPath=".scaleDown.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.policies) || self.scaleDown.policies.all(p, p.periodSeconds >= 1 && p.periodSeconds <= 1800)",message="periodSeconds must be from 1 to 1800",fieldPath=".scaleDown.policies"
	// +kubebuilder:validation:XValidation:rule="!has(self.scaleDown) || !has(self.scaleDown.tolerance) || quantity(string(self.scaleDown.tolerance)).compareTo(quantity('0')) >= 0",message="must be 0 or more",fieldPath=".scaleDown.tolerance"
	Behavior *autoscalingv2.HorizontalPodAutoscalerBehavior `json:"behavior,omitempty"`

	// policy turns the metrics into a number of replicas.
	// +optional
	// +kubebuilder:default={name: Target}
	Policy *PolicySpec `json:"policy,omitempty"`

	// schedules hold a floor or a ceiling while they last, at most 20. Of several
	// floors the highest counts, of several ceilings the lowest; a floor counts more
	// than a ceiling. Policy Schedule needs one.
	// +optional
	// +kubebuilder:validation:MaxItems=20
	// +listType=map
	// +listMapKey=name
	Schedules []Schedule `json:"schedules,omitempty"`

	// mode is Auto, to scale the workload; Recommend, to say in status what would
	// be done and do nothing; or Paused, to do nothing and read no metrics.
	// +optional
	// +kubebuilder:default=Auto
	Mode Mode `json:"mode,omitempty"`

	// fallback says what to do when the metrics have been unknown for a while.
	// Without it the workload keeps the replicas it has.
	// +optional
	Fallback *Fallback `json:"fallback,omitempty"`

	// podSelection says which pods are the workload's: Owner, those it owns,
	// itself or by a ReplicaSet; or Selector, all that match its selector, as for
	// the HorizontalPodAutoscaler.
	// +optional
	// +kubebuilder:default=Owner
	PodSelection PodSelection `json:"podSelection,omitempty"`
}

// Mode says whether the workload is scaled.
//
// +kubebuilder:validation:Enum=Auto;Recommend;Paused
type Mode string

// The modes.
const (
	ModeAuto      Mode = "Auto"
	ModeRecommend Mode = "Recommend"
	ModePaused    Mode = "Paused"
)

// PodSelection says which pods are the workload's.
//
// +kubebuilder:validation:Enum=Owner;Selector
type PodSelection string

// The ways to select pods.
const (
	PodSelectionOwner    PodSelection = "Owner"
	PodSelectionSelector PodSelection = "Selector"
)

// PolicySpec names a scaling policy and configures it.
type PolicySpec struct {
	// name of the policy: Target, Watermark, Schedule, or one that this
	// autoscaler was built with.
	// +optional
	// +kubebuilder:default=Target
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`
	// parameters of the policy; its README lists them.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Parameters *apiextensionsv1.JSON `json:"parameters,omitempty"`
}

// Schedule is a window of time that comes back, and the bounds it holds.
//
// +kubebuilder:validation:XValidation:rule="has(self.minReplicas) || has(self.maxReplicas)",message="minReplicas or maxReplicas must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",message="minReplicas must not be greater than maxReplicas"
// +kubebuilder:validation:XValidation:rule="self.start != self.end",message="start and end must differ"
type Schedule struct {
	// name of the schedule in status and events.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// start of the window, as a cron expression of five fields.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:Pattern=`^\s*[^\s=@]+(\s+[^\s=@]+){4}\s*$`
	Start string `json:"start"`
	// end of the window, as a cron expression of five fields.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	// +kubebuilder:validation:Pattern=`^\s*[^\s=@]+(\s+[^\s=@]+){4}\s*$`
	End string `json:"end"`
	// timeZone in which start and end are read, a name of the IANA database.
	// +optional
	// +kubebuilder:default=UTC
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=100
	TimeZone string `json:"timeZone,omitempty"`
	// minReplicas is the floor in the window, at most the maxReplicas of the
	// spec.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MinReplicas *int32 `json:"minReplicas,omitempty"`
	// maxReplicas is the ceiling in the window, at least the minReplicas of the
	// spec.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxReplicas *int32 `json:"maxReplicas,omitempty"`
}

// Fallback says what to do when the metrics have been unknown for a while. It
// never scales in.
type Fallback struct {
	// afterSeconds is how long the metrics must have been unknown, from 0 to
	// 86400.
	// +optional
	// +kubebuilder:default=180
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	AfterSeconds *int32 `json:"afterSeconds,omitempty"`
	// replicas to go to, unless there are more, from 1 to maxReplicas; left out
	// to hold what there is.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Replicas *int32 `json:"replicas,omitempty"`
}

// ScaleTargetRef names an object with a scale subresource.
type ScaleTargetRef struct {
	// apiVersion of the workload, for example apps/v1.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[a-z0-9]+$`
	APIVersion string `json:"apiVersion"`
	// kind of the workload, for example Deployment.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?$`
	Kind string `json:"kind"`
	// name of the workload.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name"`
}

// MetricSourceType says where a metric comes from. Those of autoscaling/v2 mean
// what they mean there.
//
// +kubebuilder:validation:Enum=Resource;ContainerResource;Pods;Object;External;Prometheus;Custom
type MetricSourceType string

// The types of metrics.
const (
	// ResourceMetricSourceType is the use of a resource by whole pods, as
	// metrics.k8s.io reports it.
	ResourceMetricSourceType MetricSourceType = "Resource"
	// ContainerResourceMetricSourceType is the use of a resource by one container
	// of each pod, as metrics.k8s.io reports it.
	ContainerResourceMetricSourceType MetricSourceType = "ContainerResource"
	// PodsMetricSourceType is a metric of each pod, of custom.metrics.k8s.io.
	PodsMetricSourceType MetricSourceType = "Pods"
	// ObjectMetricSourceType is a metric of one object, of custom.metrics.k8s.io.
	ObjectMetricSourceType MetricSourceType = "Object"
	// ExternalMetricSourceType is a metric of external.metrics.k8s.io.
	ExternalMetricSourceType MetricSourceType = "External"
	// PrometheusMetricSourceType is the answer of a Prometheus server to a query.
	PrometheusMetricSourceType MetricSourceType = "Prometheus"
	// CustomMetricSourceType is a metric of a source that the autoscaler was built
	// with and that Kubernetes does not know.
	CustomMetricSourceType MetricSourceType = "Custom"
)

// MetricSpec is one metric and its target. The field named like the type is set,
// and no other. The fields of the types of autoscaling/v2 are those of
// autoscaling/v2.
//
// +kubebuilder:validation:XValidation:rule="has(self.resource) == (self.type == 'Resource')",message="resource must be set if and only if type is Resource",fieldPath=".resource"
// +kubebuilder:validation:XValidation:rule="has(self.containerResource) == (self.type == 'ContainerResource')",message="containerResource must be set if and only if type is ContainerResource",fieldPath=".containerResource"
// +kubebuilder:validation:XValidation:rule="has(self.pods) == (self.type == 'Pods')",message="pods must be set if and only if type is Pods",fieldPath=".pods"
// +kubebuilder:validation:XValidation:rule="has(self.object) == (self.type == 'Object')",message="object must be set if and only if type is Object",fieldPath=".object"
// +kubebuilder:validation:XValidation:rule="has(self.external) == (self.type == 'External')",message="external must be set if and only if type is External",fieldPath=".external"
// +kubebuilder:validation:XValidation:rule="has(self.prometheus) == (self.type == 'Prometheus')",message="prometheus must be set if and only if type is Prometheus",fieldPath=".prometheus"
// +kubebuilder:validation:XValidation:rule="has(self.custom) == (self.type == 'Custom')",message="custom must be set if and only if type is Custom",fieldPath=".custom"
type MetricSpec struct {
	// type says which field is set.
	Type MetricSourceType `json:"type"`
	// optional says that the other metrics may decide, and scale in, while this
	// one is unknown.
	// +optional
	Optional bool `json:"optional,omitempty"`
	// resource is the use of a resource by the pods of the workload.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.name != ''",message="must not be empty",fieldPath=".name"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Utilization', 'AverageValue']",message="type must be Utilization or AverageValue",fieldPath=".target.type"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageUtilization) == (self.target.type == 'Utilization')",message="averageUtilization must be set if and only if type is Utilization",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization) || self.target.averageUtilization > 0",message="averageUtilization must be greater than 0",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) == (self.target.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || quantity(string(self.target.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value)",message="value must not be set, type is Utilization or AverageValue",fieldPath=".target.value"
	Resource *autoscalingv2.ResourceMetricSource `json:"resource,omitempty"`
	// containerResource is the use of a resource by one container of each pod.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.name != ''",message="must not be empty",fieldPath=".name"
	// +kubebuilder:validation:XValidation:rule="self.container != '' && size(self.container) <= 63",message="must not be empty nor longer than 63",fieldPath=".container"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Utilization', 'AverageValue']",message="type must be Utilization or AverageValue",fieldPath=".target.type"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageUtilization) == (self.target.type == 'Utilization')",message="averageUtilization must be set if and only if type is Utilization",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization) || self.target.averageUtilization > 0",message="averageUtilization must be greater than 0",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) == (self.target.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || quantity(string(self.target.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value)",message="value must not be set, type is Utilization or AverageValue",fieldPath=".target.value"
	ContainerResource *autoscalingv2.ContainerResourceMetricSource `json:"containerResource,omitempty"`
	// pods is a metric of each pod.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.metric.name != '' && !self.metric.name.contains('/')",message="must not be empty nor contain '/'",fieldPath=".metric.name"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['AverageValue']",message="type must be AverageValue",fieldPath=".target.type"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",message="averageUtilization must not be set, type is AverageValue",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) == (self.target.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || quantity(string(self.target.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value)",message="value must not be set, type is AverageValue",fieldPath=".target.value"
	Pods *autoscalingv2.PodsMetricSource `json:"pods,omitempty"`
	// object is a metric of one object.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.describedObject.kind != '' && !self.describedObject.kind.contains('/')",message="must not be empty nor contain '/'",fieldPath=".describedObject.kind"
	// +kubebuilder:validation:XValidation:rule="self.describedObject.name != '' && !self.describedObject.name.contains('/')",message="must not be empty nor contain '/'",fieldPath=".describedObject.name"
	// +kubebuilder:validation:XValidation:rule="self.metric.name != '' && !self.metric.name.contains('/')",message="must not be empty nor contain '/'",fieldPath=".metric.name"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",message="type must be Value or AverageValue",fieldPath=".target.type"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",message="averageUtilization must not be set, type is Value or AverageValue",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) == (self.target.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || quantity(string(self.target.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="has(self.target.value) == (self.target.type == 'Value')",message="value must be set if and only if type is Value",fieldPath=".target.value"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value) || quantity(string(self.target.value)).isGreaterThan(quantity('0'))",message="value must be greater than 0",fieldPath=".target.value"
	Object *autoscalingv2.ObjectMetricSource `json:"object,omitempty"`
	// external is a metric of something outside of the cluster.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.metric.name != '' && !self.metric.name.contains('/')",message="must not be empty nor contain '/'",fieldPath=".metric.name"
	// +kubebuilder:validation:XValidation:rule="self.target.type in ['Value', 'AverageValue']",message="type must be Value or AverageValue",fieldPath=".target.type"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageUtilization)",message="averageUtilization must not be set, type is Value or AverageValue",fieldPath=".target.averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.target.averageValue) == (self.target.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.averageValue) || quantity(string(self.target.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".target.averageValue"
	// +kubebuilder:validation:XValidation:rule="has(self.target.value) == (self.target.type == 'Value')",message="value must be set if and only if type is Value",fieldPath=".target.value"
	// +kubebuilder:validation:XValidation:rule="!has(self.target.value) || quantity(string(self.target.value)).isGreaterThan(quantity('0'))",message="value must be greater than 0",fieldPath=".target.value"
	External *autoscalingv2.ExternalMetricSource `json:"external,omitempty"`
	// prometheus is a query to a Prometheus server.
	// +optional
	Prometheus *PrometheusMetricSource `json:"prometheus,omitempty"`
	// custom is a metric of a source that this autoscaler was built with.
	// +optional
	Custom *CustomMetricSource `json:"custom,omitempty"`
}

// CustomMetricSource is a metric of a source that the autoscaler was built with.
//
// +kubebuilder:validation:XValidation:rule="!has(self.perPod) || !self.perPod || self.target.type == 'AverageValue'",message="with perPod the type must be AverageValue",fieldPath=".target.type"
type CustomMetricSource struct {
	// source is the name of the source.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Source string `json:"source"`
	// name of the metric in status and events, unlike that of any other metric; by
	// default custom[i], where i is its place in metrics.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name,omitempty"`
	// parameters of the source.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	Parameters *apiextensionsv1.JSON `json:"parameters,omitempty"`
	// perPod says that the source answers with one value for each pod. The target
	// is then of type AverageValue.
	// +optional
	PerPod bool `json:"perPod,omitempty"`
	// target is the wanted value: of type Value or AverageValue.
	// +kubebuilder:validation:XValidation:rule="self.type in ['Value', 'AverageValue']",message="type must be Value or AverageValue",fieldPath=".type"
	// +kubebuilder:validation:XValidation:rule="!has(self.averageUtilization)",message="averageUtilization must not be set, type is Value or AverageValue",fieldPath=".averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.averageValue) == (self.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.averageValue) || quantity(string(self.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".averageValue"
	// +kubebuilder:validation:XValidation:rule="has(self.value) == (self.type == 'Value')",message="value must be set if and only if type is Value",fieldPath=".value"
	// +kubebuilder:validation:XValidation:rule="!has(self.value) || quantity(string(self.value)).isGreaterThan(quantity('0'))",message="value must be greater than 0",fieldPath=".value"
	Target autoscalingv2.MetricTarget `json:"target"`
}

// PrometheusMetricSource is a PromQL query and what its answer should be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.perPod) || !self.perPod || self.target.type == 'AverageValue'",message="with perPod the type must be AverageValue",fieldPath=".target.type"
type PrometheusMetricSource struct {
	// name of the metric in status and events, unlike that of any other metric; by
	// default prometheus[i], where i is its place in metrics.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`
	Name string `json:"name,omitempty"`
	// query in PromQL. Its answer is a scalar or a vector of exactly one sample;
	// with perPod a vector with one sample for each pod. NaN, an infinity or a
	// negative number, and several samples where one is wanted, count as unknown,
	// on which nothing is ever scaled in. Every selector in it is confined to the
	// namespace of this object.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Query string `json:"query"`
	// serverName is the name of a server in the operator's configuration.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ServerName string `json:"serverName,omitempty"`
	// perPod says that the answer has one sample for each pod, which its label
	// "pod" names. Pods without a sample count as pods without a metric do in
	// autoscaling/v2. The target is then of type AverageValue.
	// +optional
	PerPod bool `json:"perPod,omitempty"`
	// target is the wanted value: of type Value, of the answer itself; of type
	// AverageValue, of the answer divided by the number of replicas, or, with
	// perPod, of the average of the pods.
	// +kubebuilder:validation:XValidation:rule="self.type in ['Value', 'AverageValue']",message="type must be Value or AverageValue",fieldPath=".type"
	// +kubebuilder:validation:XValidation:rule="!has(self.averageUtilization)",message="averageUtilization must not be set, type is Value or AverageValue",fieldPath=".averageUtilization"
	// +kubebuilder:validation:XValidation:rule="has(self.averageValue) == (self.type == 'AverageValue')",message="averageValue must be set if and only if type is AverageValue",fieldPath=".averageValue"
	// +kubebuilder:validation:XValidation:rule="!has(self.averageValue) || quantity(string(self.averageValue)).isGreaterThan(quantity('0'))",message="averageValue must be greater than 0",fieldPath=".averageValue"
	// +kubebuilder:validation:XValidation:rule="has(self.value) == (self.type == 'Value')",message="value must be set if and only if type is Value",fieldPath=".value"
	// +kubebuilder:validation:XValidation:rule="!has(self.value) || quantity(string(self.value)).isGreaterThan(quantity('0'))",message="value must be greater than 0",fieldPath=".value"
	Target autoscalingv2.MetricTarget `json:"target"`
	// activationThreshold is the value that must be exceeded for the metric to
	// ask for any replica at all, 0 or more. It matters where minReplicas is 0.
	// +optional
	// +kubebuilder:validation:XValidation:rule="quantity(string(self)).compareTo(quantity('0')) >= 0",message="must be 0 or more"
	ActivationThreshold *resource.Quantity `json:"activationThreshold,omitempty"`
	// emptyResult says what it means that the query has no result: Unknown, or
	// Zero.
	// +optional
	// +kubebuilder:default=Unknown
	EmptyResult EmptyResult `json:"emptyResult,omitempty"`
}

// EmptyResult says what it means that a query has no result.
//
// +kubebuilder:validation:Enum=Unknown;Zero
type EmptyResult string

// What an empty result may mean.
const (
	EmptyResultUnknown EmptyResult = "Unknown"
	EmptyResultZero    EmptyResult = "Zero"
)

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
	// conditions are AbleToScale, ScalingActive, ScalingLimited and ScaledToZero
	// with the reasons of the HorizontalPodAutoscaler, and Ready, Paused and
	// Degraded.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// history is what the limits of behavior depend on, so that they hold across
	// a restart of the autoscaler.
	// +optional
	History *History `json:"history,omitempty"`
}

// History is what the limits of behavior depend on.
type History struct {
	// recommendations are the replicas wanted in the stabilization windows,
	// before any limit, oldest first; only those that may still matter.
	// +optional
	// +listType=atomic
	Recommendations []Recommendation `json:"recommendations,omitempty"`
	// scaleEvents are the changes of replicas in the periods of the scaling
	// policies, oldest first.
	// +optional
	// +listType=atomic
	ScaleEvents []ScaleEvent `json:"scaleEvents,omitempty"`
}

// Recommendation is what was wanted at one time.
type Recommendation struct {
	// time when it was last wanted.
	Time metav1.MicroTime `json:"time"`
	// replicas wanted.
	Replicas int32 `json:"replicas"`
}

// ScaleEvent is a change of replicas by the autoscaler.
type ScaleEvent struct {
	// time of the change.
	Time metav1.MicroTime `json:"time"`
	// change is the number of replicas added; negative for removed.
	Change int32 `json:"change"`
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
