package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/decision"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// evaluation is what one evaluation saw, decided and did.
type evaluation struct {
	now time.Time
	// problem is why there is no decision; no other field but current is then
	// set, and that only if the scale was read.
	problem problem
	// current is the number of replicas before.
	current int32
	// metrics are what the sources answered, if they were asked.
	metrics []scaling.Metric
	verdict decision.Verdict
	// applied is the number of replicas after.
	applied int32
	// writeError is why applied is not what the verdict says.
	writeError error
}

// problem is the condition it is reported in and the reason; the zero value is
// none.
type problem struct {
	condition, reason, message string
}

func (e evaluation) rescaled() bool { return e.applied != e.current }

// evaluate reads, decides and writes the scale; it sets the defaults of wa.
func (r *Reconciler) evaluate(ctx context.Context, now time.Time, wa *v1alpha1.WorkloadAutoscaler) evaluation {
	e := evaluation{now: now}
	v1alpha1.SetDefaults(wa)
	if errs := v1alpha1.Validate(wa); len(errs) > 0 {
		e.problem = problem{ConditionReady, ReasonInvalidSpec, errs.ToAggregate().Error()}
		return e
	}
	target, err := r.readScale(ctx, wa)
	if err != nil {
		e.problem = problem{ConditionAbleToScale, ReasonFailedGetScale, err.Error()}
		return e
	}
	e.current, e.applied = target.scale.Spec.Replicas, target.scale.Spec.Replicas

	rules := rulesOf(wa)
	o := scaling.Observation{SpecReplicas: e.current, StatusReplicas: target.scale.Status.Replicas, Tolerance: toleranceOf(wa)}
	if decision.NeedsMetrics(e.current, rules) {
		if e.problem = r.observe(ctx, now, wa, target.scale, &o); e.problem != (problem{}) {
			return e
		}
	}
	e.metrics = o.Metrics
	verdict, history := decision.Make(now, r.Policy, o, rules, r.history(now, wa, e.current))
	r.remember(wa, history)
	e.verdict = verdict
	if verdict.Limited != e.current {
		if e.writeError = r.writeScale(ctx, target, verdict.Limited); e.writeError == nil {
			e.applied = verdict.Limited
		}
	}
	return e
}

// target is a workload as its scale subresource shows it.
type target struct {
	resource schema.GroupResource
	scale    *autoscalingv1.Scale
}

func (r *Reconciler) readScale(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) (target, error) {
	ref := wa.Spec.ScaleTargetRef
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return target{}, fmt.Errorf("spec.scaleTargetRef.apiVersion: %w", err)
	}
	mapping, err := r.Mapper.RESTMapping(schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, gv.Version)
	if err != nil {
		return target{}, fmt.Errorf("spec.scaleTargetRef: %w", err)
	}
	resource := mapping.Resource.GroupResource()
	s, err := r.Scales.Scales(wa.Namespace).Get(ctx, resource, ref.Name, metav1.GetOptions{})
	if err != nil {
		return target{}, fmt.Errorf("spec.scaleTargetRef: read the scale of %s %s: %w", ref.Kind, ref.Name, err)
	}
	return target{resource, s}, nil
}

// errChanged ends a write whose number was decided on for another number.
var errChanged = errors.New("somebody else has changed the number of replicas meanwhile")

// writeScale sets the replicas. A conflict is tried again, unless the number of
// replicas itself has changed: then it is for the next evaluation to decide.
func (r *Reconciler) writeScale(ctx context.Context, t target, replicas int32) error {
	scales, current := r.Scales.Scales(t.scale.Namespace), t.scale.Spec.Replicas
	next := t.scale.DeepCopy()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		next.Spec.Replicas = replicas
		_, err := scales.Update(ctx, t.resource, next, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
		latest, readErr := scales.Get(ctx, t.resource, next.Name, metav1.GetOptions{})
		switch {
		case readErr != nil:
			return fmt.Errorf("read the scale again: %w", readErr)
		case latest.Spec.Replicas != current:
			return errChanged
		}
		next = latest
		return err
	})
}

// observe adds the workload's pods and metrics to the observation.
func (r *Reconciler) observe(ctx context.Context, now time.Time, wa *v1alpha1.WorkloadAutoscaler, s *autoscalingv1.Scale, o *scaling.Observation) problem {
	if s.Status.Selector == "" {
		return problem{ConditionScalingActive, ReasonInvalidSelector, "the scale of the target has no selector"}
	}
	selector, err := labels.Parse(s.Status.Selector)
	if err != nil {
		return problem{ConditionScalingActive, ReasonInvalidSelector, fmt.Sprintf("the selector of the target's scale: %v", err)}
	}
	pods, err := r.listPods(ctx, wa.Namespace, selector)
	if err != nil {
		return problem{ConditionScalingActive, ReasonFailedListPods, fmt.Sprintf("list pods: %v", err)}
	}
	for _, pod := range pods {
		o.Pods = append(o.Pods, observed(pod))
	}
	o.Metrics = r.readMetrics(ctx, wa, source.Query{Now: now, Namespace: wa.Namespace, Selector: selector, Pods: pods})
	return problem{}
}

// listPods returns the pods in the order of their names. They belong to the
// cache and must not be modified.
func (r *Reconciler) listPods(ctx context.Context, namespace string, selector labels.Selector) ([]*corev1.Pod, error) {
	var list corev1.PodList
	err := r.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}, client.UnsafeDisableDeepCopy)
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pods[i] = &list.Items[i]
	}
	slices.SortFunc(pods, func(a, b *corev1.Pod) int { return strings.Compare(a.Name, b.Name) })
	return pods, err
}

// observed is what a policy may know of a pod.
func observed(pod *corev1.Pod) scaling.Pod {
	p := scaling.Pod{Name: pod.Name, Phase: scaling.Phase(pod.Status.Phase), Terminating: pod.DeletionTimestamp != nil}
	if pod.Status.StartTime != nil {
		p.Started = pod.Status.StartTime.Time
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			p.Ready = c.Status == corev1.ConditionTrue
			p.ReadySince = c.LastTransitionTime.Time
		}
	}
	return p
}

// readMetrics asks the sources for all metrics at once, so that a slow one
// delays no other.
func (r *Reconciler) readMetrics(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler, q source.Query) []scaling.Metric {
	metrics := make([]scaling.Metric, len(wa.Spec.Metrics))
	var reads sync.WaitGroup
	for i, spec := range wa.Spec.Metrics {
		q := q
		q.Spec = spec
		reads.Go(func() {
			start := r.Now()
			metrics[i] = r.readMetric(ctx, q)
			metrics[i].Name = v1alpha1.MetricName(i, spec)
			metrics[i].Target = targetOf(spec)
			r.Metrics.observeRead(spec.Type, metrics[i].Unknown.Set(), r.Now().Sub(start))
		})
	}
	reads.Wait()
	return metrics
}

func (r *Reconciler) readMetric(ctx context.Context, q source.Query) scaling.Metric {
	s, found := r.Sources[q.Spec.Type]
	if !found {
		return source.Unknown(scaling.ReasonUnreadable, fmt.Sprintf("no source reads metrics of type %s", q.Spec.Type))
	}
	return s.Read(ctx, q)
}
