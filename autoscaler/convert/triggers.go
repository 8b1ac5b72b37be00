package convert

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

func (so *scaledObject) triggers(wa *v1alpha1.WorkloadAutoscaler, path *field.Path, o Options, r *report) {
	if len(so.Spec.Triggers) == 0 {
		r.errs = append(r.errs, field.Required(path, "at least one trigger"))
	}
	for i, t := range so.Spec.Triggers {
		at := path.Index(i)
		if text := string(t.AuthenticationRef); text != "" && text != "null" {
			r.refuse(at.Child("authenticationRef"), text, "must not be set: how to log in to a server is in the operator's configuration")
		}
		if t.UseCachedMetrics {
			r.warn(at.Child("useCachedMetrics"), "left out: metrics are read once a period")
		}
		so.trigger(wa, i, t, at, o, r)
	}
	if len(wa.Spec.Metrics) == 0 && len(wa.Spec.Schedules) > 0 {
		wa.Spec.Policy = &v1alpha1.PolicySpec{Name: v1alpha1.PolicySchedule}
	}
}

func (so *scaledObject) trigger(wa *v1alpha1.WorkloadAutoscaler, i int, t trigger, path *field.Path, o Options, r *report) {
	m := metadata{values: maps.Clone(t.Metadata), path: path.Child("metadata"), report: r}
	switch t.Type {
	case "prometheus":
		wa.Spec.Metrics = append(wa.Spec.Metrics, v1alpha1.MetricSpec{Type: v1alpha1.PrometheusMetricSourceType, Prometheus: so.query(t, &m, path, o)})
	case "cpu", "memory":
		wa.Spec.Metrics = append(wa.Spec.Metrics, resourceOf(t, &m, path))
	case "cron":
		wa.Spec.Schedules = append(wa.Spec.Schedules, window(i, t, &m, path, wa.Spec.MaxReplicas))
	default:
		r.refuse(path.Child("type"), t.Type, "must be prometheus, cpu, memory or cron")
		return
	}
	m.refuseRest(t.Type)
}

// metadata of a trigger. What is taken from it is understood; the rest is
// refused.
type metadata struct {
	values map[string]string
	path   *field.Path
	report *report
}

func (m *metadata) take(key string) (value string, set bool) {
	value, set = m.values[key]
	delete(m.values, key)
	return value, set
}

func (m *metadata) need(key, what string) string {
	value, _ := m.take(key)
	if value == "" {
		m.report.errs = append(m.report.errs, field.Required(m.path.Child(key), what))
	}
	return value
}

// flag takes what KEDA reads as true or false.
func (m *metadata) flag(key string, byDefault bool) bool {
	text, set := m.take(key)
	if !set || text == "" {
		return byDefault
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		m.report.refuse(m.path.Child(key), text, "must be true or false")
	}
	return value
}

// amount reads a number as KEDA does, in thousandths, from the least given.
func (m *metadata) amount(key, text string, leastMilli int64) *resource.Quantity {
	value, err := strconv.ParseFloat(text, 64)
	milli := value * 1000
	if err != nil || math.IsNaN(value) || int64(milli) < leastMilli || milli > math.MaxInt64/2 {
		m.report.refuse(m.path.Child(key), text, fmt.Sprintf("must be a number of %g or more, read in thousandths", float64(leastMilli)/1000))
		return nil
	}
	return resource.NewMilliQuantity(int64(milli), resource.DecimalSI)
}

func (m *metadata) refuseRest(kind string) {
	const server = "must not be set: how to reach a server is in the operator's configuration"
	reasons := map[string]string{
		"namespace":       "must not be set: the query is confined to the namespace of the object",
		"queryParameters": server, "customHeaders": server, "unsafeSsl": server, "awsRegion": server, "timeout": server,
		"identityOwner": server, "authModes": server,
		"type": "must not be set: KEDA has left it out since 2.18; set metricType of the trigger",
	}
	for _, key := range slices.Sorted(maps.Keys(m.values)) {
		why, known := reasons[key]
		if !known {
			why = "must not be set: not a setting of triggers of type " + kind + " that can be kept"
		}
		m.report.refuse(m.path.Child(key), m.values[key], why)
	}
}

func (so *scaledObject) query(t trigger, m *metadata, path *field.Path, o Options) *v1alpha1.PrometheusMetricSource {
	p := &v1alpha1.PrometheusMetricSource{Name: t.Name, Query: m.need("query", "a PromQL expression")}
	p.ServerName = m.server(o)
	if threshold := m.need("threshold", "the wanted value"); threshold != "" {
		p.Target = target(t.MetricType, m.amount("threshold", threshold, 1), path, m.report)
	}
	if text, set := m.take("activationThreshold"); set && text != "" {
		p.ActivationThreshold = so.activation(m, text)
	}
	if m.flag("ignoreNullValues", true) {
		p.EmptyResult = v1alpha1.EmptyResultZero
		m.report.warn(m.path.Child("ignoreNullValues"), "true, as it is by default, makes no result a 0, on which is scaled in; with emptyResult: Unknown it would not be. NaN and infinities, a 0 to KEDA as well, are unknown here")
	}
	if _, set := m.take("metricName"); set {
		m.report.warn(m.path.Child("metricName"), "left out: KEDA has not read it since 2.12")
	}
	if m.values["unsafeSsl"] == "false" {
		delete(m.values, "unsafeSsl")
	}
	m.report.warn(m.path.Child("query"), "confined to the namespace of the object: series of other namespaces do not count")
	return p
}

// server is the name of the server of the trigger, empty for the default one.
func (m *metadata) server(o Options) string {
	url := m.need("serverAddress", "the URL of a Prometheus server")
	if url == "" {
		return ""
	}
	name, known := o.serverNamed(url)
	if !known {
		m.report.refuse(m.path.Child("serverAddress"), url, "must be the URL of a server whose name is given: "+o.serverURLs())
	}
	if name == v1alpha1.DefaultServerName {
		return ""
	}
	return name
}

// activation keeps the threshold above which a trigger wakes a workload of 0
// replicas. In KEDA it says nothing where the minimum is higher, and, once awake,
// about how many replicas there are.
func (so *scaledObject) activation(m *metadata, text string) *resource.Quantity {
	q := m.amount("activationThreshold", text, 0)
	if q == nil {
		return nil
	}
	if so.minReplicas() > 0 {
		m.report.warn(m.path.Child("activationThreshold"), "left out: it has no effect where minReplicaCount is 1 or more")
		return nil
	}
	if q.Sign() > 0 && len(so.Spec.Triggers) > 1 {
		m.report.warn(m.path.Child("activationThreshold"), "up to it the query asks for no replica; to KEDA it counts in full as soon as another trigger is active")
	}
	return q
}

// target is that of a query: of type AverageValue unless it says otherwise.
func target(kind autoscalingv2.MetricTargetType, q *resource.Quantity, path *field.Path, r *report) autoscalingv2.MetricTarget {
	switch kind {
	case "", autoscalingv2.AverageValueMetricType:
		return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: q}
	case autoscalingv2.ValueMetricType:
		return autoscalingv2.MetricTarget{Type: kind, Value: q}
	}
	r.refuse(path.Child("metricType"), kind, "must be AverageValue or Value")
	return autoscalingv2.MetricTarget{}
}

func resourceOf(t trigger, m *metadata, path *field.Path) v1alpha1.MetricSpec {
	goal := autoscalingv2.MetricTarget{Type: t.MetricType}
	text := m.need("value", "the wanted use")
	switch t.MetricType {
	case autoscalingv2.UtilizationMetricType:
		percent, err := strconv.ParseInt(text, 10, 32)
		if text != "" && (err != nil || percent < 1) {
			m.report.refuse(m.path.Child("value"), text, "must be percent, 1 or more, where metricType is Utilization")
		}
		goal.AverageUtilization = new(int32(percent))
	case autoscalingv2.AverageValueMetricType:
		q, err := resource.ParseQuantity(text)
		if text != "" && (err != nil || q.Sign() <= 0) {
			m.report.refuse(m.path.Child("value"), text, "must be a quantity greater than 0, where metricType is AverageValue")
		}
		goal.AverageValue = &q
	default:
		m.report.refuse(path.Child("metricType"), t.MetricType, "must be Utilization or AverageValue")
	}
	name := corev1.ResourceName(t.Type)
	if container, set := m.take("containerName"); set && container != "" {
		return v1alpha1.MetricSpec{Type: v1alpha1.ContainerResourceMetricSourceType, ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: name, Container: container, Target: goal}}
	}
	return v1alpha1.MetricSpec{Type: v1alpha1.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: name, Target: goal}}
}

// window is the floor that a cron trigger is.
func window(i int, t trigger, m *metadata, path *field.Path, maxReplicas int32) v1alpha1.Schedule {
	s := v1alpha1.Schedule{
		Name:     t.Name,
		Start:    m.need("start", "a cron expression of five fields"),
		End:      m.need("end", "a cron expression of five fields"),
		TimeZone: m.need("timezone", "a name of the IANA database, for example Europe/Berlin"),
	}
	if s.Name == "" {
		s.Name = fmt.Sprintf("cron-%d", i)
	}
	if t.MetricType != "" && t.MetricType != autoscalingv2.AverageValueMetricType {
		m.report.refuse(path.Child("metricType"), t.MetricType, "must be AverageValue")
	}
	if text := m.need("desiredReplicas", "the replicas in the window"); text != "" {
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 1 || n > int64(maxReplicas) {
			m.report.refuse(m.path.Child("desiredReplicas"), text, fmt.Sprintf("must be from 1 to maxReplicaCount (%d)", maxReplicas))
		}
		s.MinReplicas = new(int32(n))
	}
	if s.Start == "" || s.End == "" || s.TimeZone == "" {
		return s
	}
	if _, err := schedule.Parse(s.Name, s.Start, s.End, s.TimeZone); err != nil {
		key, why, _ := strings.Cut(err.Error(), ": ")
		values := map[string]string{"start": s.Start, "end": s.End, "timeZone": s.TimeZone}
		m.report.refuse(m.path.Child(strings.ToLower(key)), values[key], why)
	}
	return s
}
