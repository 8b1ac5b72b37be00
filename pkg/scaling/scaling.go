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
	// At 0 the policy is only asked if it was autoscaling that set it.
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
	// MinReplicas and MaxReplicas are the bounds of the moment, schedules
	// included, 0 <= min <= max. The answer is held within them afterwards.
	MinReplicas, MaxReplicas int32
	// Past is what was observed before, oldest first, as far back as the policy
	// asks for (Rememberer); empty if it does not.
	Past []Moment
}

// Moment is an observation of the past in brief.
type Moment struct {
	Time time.Time
	// SpecReplicas is what the workload asked for then.
	SpecReplicas int32
	// Values are the readings of the metrics in the order of the object's spec,
	// as Proposal.Current has them; NaN for those not known.
	Values []float64
}

// Rememberer is a policy that decides on the past as well.
type Rememberer interface {
	Policy
	// Memory is how far back Observation.Past has to reach, 0 or more. What is
	// remembered is lost when the process ends.
	Memory() time.Duration
}

// Factory makes a policy from the parameters of an object's spec.policy, JSON or
// nothing. Parameters that are unknown or out of range are an error that names
// the field, the value and what is allowed.
type Factory func(parameters []byte) (Policy, error)

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
	// Unready says that the pod says it does not serve. It is neither ready nor
	// unready if nothing is known of it, as when its node is lost.
	Unready bool
	// ReadyKnown says that the pod, or its node, has said something about its
	// being ready.
	ReadyKnown bool
	// ReadySince is when that last changed.
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
	// AverageValue compares the metric divided by the number of replicas, or, of
	// a metric that is read pod by pod, the average of the pods.
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
	// Optional says that the others may decide, and scale in, without this one.
	Optional bool
	// Unknown is set when the reading failed as a whole; the rest is then empty.
	Unknown Unknown
	// Value is the reading for targets of type Value and AverageValue, unless
	// PerPod is set.
	Value float64
	// At is when Value was true; zero if the source does not say.
	At time.Time
	// Activation is the value that must be exceeded for the metric to ask for
	// any replica at all, 0 or more; negative for none. It matters where the
	// minimum is 0.
	Activation float64
	// PerPod says that the metric is read pod by pod: Pods is set, not Value. It
	// is so for every target of type Utilization and of no target of type Value.
	PerPod bool
	// Pods are the readings of a metric that is read pod by pod, at most one for
	// each pod of the observation.
	Pods []PodReading
	// IgnoreUntilReady says that a pod's start distorts its readings, as it does
	// those of CPU: readings from before the pod was ready do not count.
	IgnoreUntilReady bool
}

// PodReading is a metric of one pod, and, for targets of type Utilization, the
// pod's request.
type PodReading struct {
	// Pod is the name of a pod of the observation.
	Pod string
	// RequestMilli is the pod's request in thousandths of the resource's unit;
	// 0 where nothing is compared with it.
	RequestMilli int64
	// NoRequest says why there is no request though one is needed; else empty.
	NoRequest string
	// Sampled says that there is a sample; without it the rest is empty.
	Sampled bool
	// UsageMilli is the metric in thousandths of its unit.
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
	// Optional says that the metric is.
	Optional bool
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
