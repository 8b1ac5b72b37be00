package prometheus

import (
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// outcome is what came of a request: a value, or the reason why there is none.
type outcome struct {
	value   model.Value
	unknown scaling.Unknown
	// assumed says that the value is what the query says for when there is none.
	assumed bool
}

// orElse is the outcome of `x or vector(otherwise)` from that of x.
func (o outcome) orElse(otherwise *float64, now time.Time) outcome {
	vector, isVector := o.value.(model.Vector)
	if otherwise == nil || !isVector || len(vector) > 0 {
		return o
	}
	sample := &model.Sample{Metric: model.Metric{}, Value: model.SampleValue(*otherwise), Timestamp: model.TimeFromUnixNano(now.UnixNano())}
	return outcome{value: model.Vector{sample}, assumed: true}
}

func failed(reason, message string) outcome {
	return outcome{unknown: scaling.Unknown{Reason: reason, Message: message}}
}

// metric is the answer to a workload's query, from the outcome of what was asked
// at the time now. The age is nil if it was not asked for.
func metric(q *source.Query, config *Server, now time.Time, value outcome, age *outcome) scaling.Metric {
	if value.unknown.Set() {
		return scaling.Metric{Unknown: value.unknown}
	}
	if value.assumed {
		age = nil
	}
	if age != nil && age.unknown.Set() {
		u := age.unknown
		return source.Unknown(u.Reason, "the age of the samples: "+u.Message)
	}
	vector, isVector := value.value.(model.Vector)
	if isVector && len(vector) == 0 {
		if q.Spec.Prometheus.EmptyResult != v1alpha1.EmptyResultZero {
			return source.Unknown(scaling.ReasonNoData, "the query has no result")
		}
		return zero(q, now)
	}
	if q.Spec.Prometheus.PerPod {
		return eachPod(q, config, vector, value.value.Type(), age)
	}
	m := number(value.value)
	if age == nil || m.Unknown.Set() {
		return m
	}
	at := number(age.value)
	if at.Unknown.Set() {
		return source.Unknown(at.Unknown.Reason, "the age of the samples: "+at.Unknown.Message)
	}
	m.At = unixTime(at.Value)
	return m
}

// zero is for objects that say what an empty result means.
func zero(q *source.Query, now time.Time) scaling.Metric {
	if !q.Spec.Prometheus.PerPod {
		return scaling.Metric{At: now}
	}
	m := scaling.Metric{PerPod: true, Pods: make([]scaling.PodReading, len(q.Pods))}
	for i, pod := range q.Pods {
		m.Pods[i] = scaling.PodReading{Pod: pod.Name, Sampled: true, At: now}
	}
	return m
}

// number takes the one number out of an answer that is not an empty vector.
func number(value model.Value) scaling.Metric {
	switch v := value.(type) {
	case *model.Scalar:
		return measured(v.Value, v.Timestamp)
	case model.Vector:
		switch {
		case len(v) == 0:
			return source.Unknown(scaling.ReasonNoData, "the query has no result")
		case len(v) > 1:
			return source.Unknown(scaling.ReasonManyValues, fmt.Sprintf("the query has %d results where one is wanted, for example %s and %s", len(v), v[0].Metric, v[1].Metric))
		case v[0].Histogram != nil:
			return source.Unknown(ReasonWrongType, "the query's result is a histogram")
		}
		return measured(v[0].Value, v[0].Timestamp)
	}
	return source.Unknown(ReasonWrongType, fmt.Sprintf("the query's result is a %s, a scalar or an instant vector is wanted", value.Type()))
}

// measured leaves out what is no measurement. How old it may be is the policy's
// to say.
func measured(value model.SampleValue, at model.Time) scaling.Metric {
	m := scaling.Metric{Value: float64(value), At: at.Time()}
	if u := scaling.CheckValue(m.Value, m.At, m.At, 0); u.Set() {
		return scaling.Metric{Unknown: u}
	}
	return m
}

// eachPod relates an answer to the pods of the workload. Pods that are not among
// its samples, or whose sample is no measurement, have none; if that is so of
// all, for the same reason, the metric is unknown.
func eachPod(q *source.Query, config *Server, vector model.Vector, kind model.ValueType, age *outcome) scaling.Metric {
	if vector == nil {
		return source.Unknown(ReasonWrongType, fmt.Sprintf("the query's result is a %s, an instant vector with one sample for each pod is wanted", kind))
	}
	samples, u := byPod(q, config, vector)
	if u.Set() {
		return scaling.Metric{Unknown: u}
	}
	var ages map[string]*model.Sample
	if age != nil {
		of, isVector := age.value.(model.Vector)
		if !isVector {
			return source.Unknown(ReasonWrongType, "the age of the samples is no vector")
		}
		if ages, u = byPod(q, config, of); u.Set() {
			return scaling.Metric{Unknown: scaling.Unknown{Reason: u.Reason, Message: "the age of the samples: " + u.Message}}
		}
	}
	m := scaling.Metric{PerPod: true, Pods: make([]scaling.PodReading, 0, len(q.Pods))}
	known := false
	for _, pod := range q.Pods {
		r, fault := podReading(pod, samples[pod.Name], ages, age != nil)
		if fault.Set() {
			u = fault
		}
		known = known || r.Sampled
		m.Pods = append(m.Pods, r)
	}
	if !known && u.Set() {
		return scaling.Metric{Unknown: u}
	}
	return m
}

// byPod finds the samples of the workload's pods. Other pods' are left out.
func byPod(q *source.Query, config *Server, vector model.Vector) (map[string]*model.Sample, scaling.Unknown) {
	ours := make(map[string]bool, len(q.Pods))
	for _, pod := range q.Pods {
		ours[pod.Name] = true
	}
	samples := make(map[string]*model.Sample, len(q.Pods))
	for _, sample := range vector {
		name, found := sample.Metric[model.LabelName(config.PodLabel)]
		if !found {
			return nil, scaling.Unknown{Reason: ReasonNoPodLabel, Message: fmt.Sprintf("the result %s has no label %q, which names the pod", sample.Metric, config.PodLabel)}
		}
		namespace, found := sample.Metric[model.LabelName(config.NamespaceLabel)]
		if !ours[string(name)] || found && string(namespace) != q.Namespace {
			continue
		}
		if first := samples[string(name)]; first != nil {
			return nil, scaling.Unknown{Reason: scaling.ReasonManyValues, Message: fmt.Sprintf("the query has several results for pod %s, for example %s and %s", name, first.Metric, sample.Metric)}
		}
		samples[string(name)] = sample
	}
	return samples, scaling.Unknown{}
}

// podReading is without a sample if there is none, or none that counts, which is
// then the fault.
func podReading(pod *pods.Pod, sample *model.Sample, ages map[string]*model.Sample, needsAge bool) (r scaling.PodReading, fault scaling.Unknown) {
	r.Pod = pod.Name
	if sample == nil {
		return r, fault
	}
	if sample.Histogram != nil {
		return r, scaling.Unknown{Reason: ReasonWrongType, Message: fmt.Sprintf("pod %s: the result is a histogram", pod.Name)}
	}
	m := measured(sample.Value, sample.Timestamp)
	if m.Unknown.Set() {
		return r, scaling.Unknown{Reason: m.Unknown.Reason, Message: fmt.Sprintf("pod %s: %s", pod.Name, m.Unknown.Message)}
	}
	milli := math.Round(m.Value * 1000)
	if milli >= math.MaxInt64 {
		return r, scaling.Unknown{Reason: scaling.ReasonNotANumber, Message: fmt.Sprintf("pod %s: the value %v is too great", pod.Name, m.Value)}
	}
	if needsAge {
		oldest := ages[pod.Name]
		if oldest == nil || oldest.Histogram != nil {
			return r, scaling.Unknown{Reason: scaling.ReasonNoData, Message: fmt.Sprintf("pod %s: the age of the sample is not known", pod.Name)}
		}
		m.At = unixTime(float64(oldest.Value))
	}
	r.Sampled, r.UsageMilli, r.At = true, int64(milli), m.At
	return r, fault
}

func unixTime(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000)))
}
