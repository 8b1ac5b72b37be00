// Package scaling is the contract of the autoscaler: what a policy is told
// about a workload and what it answers. It depends on the standard library
// only, so that a policy can be written, tested and simulated without a
// cluster.
package scaling

import (
	"fmt"
	"math"
	"time"
)

// Policy turns an observation into a number of replicas. Decide is a pure
// function: equal arguments give equal decisions. It keeps no state, reads no
// clock, calls nobody and logs nothing. It does not modify the observation.
//
// Bounds and stabilization are not a policy's business: they are applied to its
// decision afterwards, the same for every policy.
type Policy interface {
	// Name is how objects and operators refer to the policy.
	Name() string
	// Decide answers what the workload needs at the time now.
	Decide(now time.Time, o Observation) Decision
}

// Observation is all a policy knows about one workload at one moment.
type Observation struct {
	// SpecReplicas is the number of replicas the workload asks for, 0 or more.
	SpecReplicas int32
	// StatusReplicas is the number of pods the workload says it has, 0 or more.
	StatusReplicas int32
	// Pods are the pods of the workload, in the order of their names, finished
	// and terminating ones included: the policy knows which count.
	Pods []Pod
	// Metrics are the readings to decide on, in the order of the object's spec.
	Metrics []Metric
	// Tolerance is how far a metric may be from its target before anything is
	// done.
	Tolerance Tolerance
}

// Tolerance is a relative distance from the target, 0 to 1, for each direction:
// with Up = 0.1 nothing is done until a metric is more than 10 % above target.
type Tolerance struct {
	Up, Down float64
}

// Contains reports whether a metric at ratio times its target is near enough to
// be left alone. Both ends are included. NaN is not.
func (t Tolerance) Contains(ratio float64) bool {
	return 1-t.Down <= ratio && ratio <= 1+t.Up
}

// Phase is how far a pod has come in its life.
type Phase string

// The phases of a pod, as in Kubernetes. Succeeded and Failed pods have ended.
const (
	Pending   Phase = "Pending"
	Running   Phase = "Running"
	Succeeded Phase = "Succeeded"
	Failed    Phase = "Failed"
)

// Pod is what a policy may know about a pod.
type Pod struct {
	Name string
	// Phase is empty if not known.
	Phase Phase
	// Terminating says that the pod has been told to end.
	Terminating bool
	// Started is when the node took the pod on; zero if it has not.
	Started time.Time
	// Ready says that the pod serves.
	Ready bool
	// ReadySince is when Ready last changed; zero if the pod has never said
	// whether it is ready.
	ReadySince time.Time
}

// Active reports whether the pod is there to serve now or soon: neither
// terminating nor ended.
func (p Pod) Active() bool {
	return !p.Terminating && p.Phase != Succeeded && p.Phase != Failed
}

// TargetType says what a target is compared with.
type TargetType string

const (
	// Utilization compares the pods' use with their requests, in percent.
	Utilization TargetType = "Utilization"
	// Value compares the metric as it is; the answer is proportional to the
	// ready pods.
	Value TargetType = "Value"
	// AverageValue compares the metric divided by the number of replicas.
	AverageValue TargetType = "AverageValue"
)

// Target is what a metric should be.
type Target struct {
	Type TargetType
	// Amount is greater than 0: percent for Utilization, else in the unit of
	// the metric.
	Amount float64
}

// Metric is one reading, or the reason why there is none.
type Metric struct {
	// Name is unique in an observation.
	Name   string
	Target Target
	// Unknown is set when the reading failed as a whole; the rest is then empty.
	Unknown Unknown
	// Value is the reading for targets of type Value and AverageValue.
	Value float64
	// At is when Value was true; zero if the source does not say.
	At time.Time
	// Pods are the readings for targets of type Utilization, at most one for
	// each pod of the observation.
	Pods []PodReading
	// IgnoreUntilReady says that a pod's start distorts its readings, as it does
	// those of CPU: readings from before the pod was ready do not count.
	IgnoreUntilReady bool
}

// PodReading is the use of one resource by one pod, relative to its request.
type PodReading struct {
	// Pod is the name of a pod of the observation.
	Pod string
	// RequestMilli is the pod's request in thousandths of the resource's unit.
	RequestMilli int64
	// NoRequest says why there is no request; empty if there is one.
	NoRequest string
	// Sampled says that there is a sample; without it the rest is empty.
	Sampled bool
	// UsageMilli is the pod's use in thousandths of the resource's unit.
	UsageMilli int64
	// At is the end of the interval the sample was taken over.
	At time.Time
	// Window is the length of that interval.
	Window time.Duration
}

// Unknown says why something is not known. The zero value says that it is.
type Unknown struct {
	// Reason is one CamelCase word, one of the Reason constants below or one of
	// the source's own.
	Reason string
	// Message says what happened, for a person.
	Message string
}

// Set reports whether u stands for something unknown.
func (u Unknown) Set() bool { return u.Reason != "" }

// Why a metric is unknown.
const (
	ReasonNoData     = "NoData"         // the source has no sample
	ReasonManyValues = "ManyValues"     // the source has several where one is wanted
	ReasonNotANumber = "NotANumber"     // NaN or an infinity
	ReasonNegative   = "NegativeValue"  // below 0
	ReasonStale      = "StaleSample"    // too old
	ReasonUnreadable = "Unreadable"     // the source could not be read
	ReasonNoRequest  = "MissingRequest" // a pod requests nothing to relate its use to
	ReasonNoReadyPod = "NoReadyPods"    // nothing to relate the metric to
	ReasonNoPods     = "NoPods"         // the workload has no pods
)

// CheckValue says why v, measured at the time at, is no measurement at the time
// now, or nothing if it is one. Samples older than maxAge are stale; a zero time
// is never stale, nor is anything if maxAge is 0.
func CheckValue(v float64, at, now time.Time, maxAge time.Duration) Unknown {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return Unknown{ReasonNotANumber, fmt.Sprintf("the value is %v", v)}
	case v < 0:
		return Unknown{ReasonNegative, fmt.Sprintf("the value is %v", v)}
	case IsStale(at, now, maxAge):
		return Unknown{ReasonStale, fmt.Sprintf("the sample is %s old, at most %s is allowed", now.Sub(at).Round(time.Second), maxAge)}
	}
	return Unknown{}
}

// IsStale reports whether a sample taken at the time at is older than maxAge at
// the time now. A zero time is never stale, nor is anything if maxAge is 0.
func IsStale(at, now time.Time, maxAge time.Duration) bool {
	return maxAge > 0 && !at.IsZero() && now.Sub(at) > maxAge
}

// Decision is a policy's answer.
type Decision struct {
	// Known is false if the observation does not allow an answer. Replicas is
	// then what the workload has: hold.
	Known bool
	// Replicas is the number wanted, before any limit; 0 or more.
	Replicas int32
	// Metric is the name of the metric that decided; empty if none did.
	Metric string
	// Reason is one CamelCase word.
	Reason string
	// Message says the reason with figures, for a person.
	Message string
	// Proposals are what each metric alone asks for, in the order of the
	// observation's metrics.
	Proposals []Proposal
}

// Proposal is what one metric alone asks for.
type Proposal struct {
	// Metric is the metric's name.
	Metric string
	// Unknown says why the metric proposes nothing; the rest is then empty.
	Unknown Unknown
	// Replicas is the number the metric asks for; 0 or more.
	Replicas int32
	// Current is the reading in the unit of the target: percent for
	// Utilization, the metric for Value, the metric per pod for AverageValue.
	Current float64
	// CurrentMilli is the average use per pod for Utilization, in thousandths
	// of the resource's unit.
	CurrentMilli int64
	// Reason is one CamelCase word.
	Reason string
	// Message says the reason with figures, for a person.
	Message string
}
