package hpa

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
)

// scenario drives a workload through an hour: its load walks, its pods come and go
// with its replicas, and things happen to it.
type scenario struct {
	r        *rand.Rand
	workload *workload
	layout   layout
	created  int
	births   map[string]birth
	demand   float64 // the replicas that the metrics ask for, by and large
	loads    []load  // of the metrics, in their order
	events   []string
	rates    [2][]autoscalingv2.HPAScalingPolicy // out and in
	// even leaves out what no setting of our controller has it do as upstream:
	// restarts, other behavior, rates over periods of their own, and a 0 by hand
	// where there may be one of autoscaling's.
	even bool
}

// birth is how a pod comes to be ready.
type birth struct{ created, runs, ready time.Time }

// load is what one metric asks for, as a share of the demand.
type load struct {
	share float64
	step  float64   // the size of its steps, as a share
	fails time.Time // the metric is unreadable until then
}

func newScenario(r *rand.Rand, even bool) *scenario {
	s := &scenario{r: r, layout: anyLayout(r), births: make(map[string]birth), even: even}
	hpa := anyHPA(r, s.layout)
	s.workload = &workload{hpa: hpa, readings: make(map[string]adapter.Reading)}
	s.rates = [2][]autoscalingv2.HPAScalingPolicy{anyRules(r).Policies, anyRules(r).Policies}
	if even {
		for _, policies := range s.rates {
			for i := range policies {
				policies[i].PeriodSeconds = s.rates[0][0].PeriodSeconds
			}
		}
	}
	hpa.Spec.Behavior = s.otherBehavior()
	s.workload.spec = pick(r, *hpa.Spec.MinReplicas, int32(1+r.IntN(int(hpa.Spec.MaxReplicas))))
	s.demand = r.Float64() * float64(hpa.Spec.MaxReplicas)
	for range hpa.Spec.Metrics {
		s.loads = append(s.loads, load{share: 0.5 + r.Float64(), step: pick(r, 0.02, 0.1, 0.3)})
	}
	return s
}

// anyHPA draws a HorizontalPodAutoscaler as the API server would have it: valid,
// with its defaults filled in.
func anyHPA(r *rand.Rand, l layout) *autoscalingv2.HorizontalPodAutoscaler {
	hpa := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: namespace, UID: "web", ResourceVersion: "0"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"},
			MinReplicas:    new(int32),
			MaxReplicas:    pick[int32](r, 5, 10, 30, 60),
		},
	}
	used := make(map[string]bool)
	for i := range pick(r, 1, 1, 1, 2, 3) {
		m := AnyMetric(r, fmt.Sprintf("metric-%d", i), l.containers)
		if !used[key(m)] {
			hpa.Spec.Metrics = append(hpa.Spec.Metrics, m)
		}
		used[key(m)] = true
	}
	*hpa.Spec.MinReplicas = anyMinimum(r, hpa)
	return hpa
}

// anyMinimum is 0 only where that is allowed.
func anyMinimum(r *rand.Rand, hpa *autoscalingv2.HorizontalPodAutoscaler) int32 {
	if scalesFromZero(hpa) && chance(r, 0.7) {
		return 0
	}
	return pick[int32](r, 1, 1, 2, 5)
}

// scalesFromZero reports whether a metric exists without pods.
func scalesFromZero(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	for _, m := range hpa.Spec.Metrics {
		if m.Object != nil || m.External != nil {
			return true
		}
	}
	return false
}

// otherBehavior draws the behavior anew, but for the rates: upstream marks changes
// that no policy looks back to, and the mark stays when the policies are others.
func (s *scenario) otherBehavior() *autoscalingv2.HorizontalPodAutoscalerBehavior {
	if chance(s.r, 0.4) {
		return nil
	}
	b := anyBehavior(s.r)
	b.ScaleUp.Policies, b.ScaleDown.Policies = s.rates[0], s.rates[1]
	return b
}

func anyBehavior(r *rand.Rand) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	b := &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: anyRules(r), ScaleDown: anyRules(r)}
	if chance(r, 0.2) {
		b.ScaleDown.StabilizationWindowSeconds = nil // the controller's own
	}
	return b
}

func anyRules(r *rand.Rand) *autoscalingv2.HPAScalingRules {
	window := pick[int32](r, 0, 0, 15, 30, 60, 100, 300, 600)
	selected := pick(r, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect)
	if chance(r, 0.05) {
		selected = autoscalingv2.DisabledPolicySelect
	}
	rules := &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: &window, SelectPolicy: &selected}
	for range 1 + r.IntN(3) {
		rules.Policies = append(rules.Policies, anyPolicy(r))
	}
	if chance(r, 0.4) {
		rules.Tolerance = resource.NewMilliQuantity(pick[int64](r, 0, 10, 50, 200), resource.DecimalSI)
	}
	return rules
}

func anyPolicy(r *rand.Rand) autoscalingv2.HPAScalingPolicy {
	period := pick[int32](r, 1, 15, 15, 30, 60, 100, 300, 1800)
	if chance(r, 0.5) {
		return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: pick[int32](r, 1, 2, 4, 10), PeriodSeconds: period}
	}
	return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: pick[int32](r, 5, 10, 33, 50, 100, 150), PeriodSeconds: period}
}

// advance brings the workload to the time now of its next synchronization. It says
// whether the controller is started anew.
func (s *scenario) advance(now time.Time) (restart bool) {
	s.events = s.events[:0]
	s.change()
	s.follow(now)
	s.move()
	for i := range s.loads {
		s.walk(&s.loads[i], now)
	}
	for i, m := range s.workload.hpa.Spec.Metrics {
		s.workload.readings[key(m)] = s.reading(now, m, s.loads[i])
	}
	if !s.even && chance(s.r, 0.005) {
		s.happened("restart")
		return true
	}
	return false
}

func (s *scenario) happened(event string) { s.events = append(s.events, event) }

// change is what people do to the workload.
func (s *scenario) change() {
	w, r := s.workload, s.r
	if chance(r, 0.005) {
		w.spec = int32(r.IntN(int(w.hpa.Spec.MaxReplicas) * 5 / 4))
		if s.even {
			w.spec = max(w.spec, 1)
		}
		s.happened("scaled by hand")
	}
	if chance(r, 0.002) && !(s.even && scalesFromZero(w.hpa)) {
		w.spec = 0
		s.happened("set to zero by hand")
	}
	if w.spec == 0 && !scalesFromZero(w.hpa) && chance(r, 0.1) {
		w.spec = 1
		s.happened("set to one by hand")
	}
	if chance(r, 0.005) {
		hpa := w.hpa.DeepCopy()
		if !s.even {
			*hpa.Spec.MinReplicas = anyMinimum(r, hpa)
		}
		hpa.Spec.MaxReplicas = pick[int32](r, 5, 10, 30, 60)
		w.hpa = hpa
		s.happened("other bounds")
	}
	if !s.even && chance(r, 0.005) {
		hpa := w.hpa.DeepCopy()
		hpa.Spec.Behavior = s.otherBehavior()
		w.hpa = hpa
		s.happened("other behavior")
	}
}

// follow lets the pods come and go as the replicas say, the youngest first, and a
// rollout have some more of them for a while.
func (s *scenario) follow(now time.Time) {
	w := s.workload
	wanted := int(w.spec)
	if wanted > 0 && now.Minute()%20 < 2 && w.hpa.Spec.MaxReplicas > 10 {
		wanted += (wanted + 3) / 4 // the surge of a rollout
	}
	kept, live := w.pods[:0:0], 0
	for _, pod := range w.pods {
		switch {
		case pod.DeletionTimestamp != nil && now.Sub(pod.DeletionTimestamp.Time) > 30*time.Second:
			delete(s.births, pod.Name)
			continue
		case pod.DeletionTimestamp == nil && live == wanted:
			deleted := metav1.NewTime(now)
			pod.DeletionTimestamp = &deleted
		case pod.DeletionTimestamp == nil:
			live++
			s.age(now, pod)
		}
		kept = append(kept, pod)
	}
	for ; live < wanted; live++ {
		kept = append(kept, s.create(now))
	}
	w.pods, w.status = kept, int32(live)
}

func (s *scenario) create(now time.Time) *corev1.Pod {
	pod := anyPod(s.r, now, s.created, s.layout, 0)
	pod.Name = fmt.Sprintf("web-%06d", s.created)
	s.created++
	pod.Status.Phase, pod.Status.StartTime = corev1.PodPending, nil
	pod.Status.Conditions[1] = corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(now)}
	runs := now.Add(time.Duration(s.r.IntN(40)) * time.Second)
	s.births[pod.Name] = birth{created: now, runs: runs, ready: runs.Add(time.Duration(s.r.IntN(90)) * time.Second)}
	return pod
}

// age lets the pod run and be ready when it is time, and now and then something
// happen to it.
func (s *scenario) age(now time.Time, pod *corev1.Pod) {
	b, status := s.births[pod.Name], &pod.Status
	if status.Phase == corev1.PodPending && !now.Before(b.runs) {
		started := metav1.NewTime(b.runs)
		status.Phase, status.StartTime = corev1.PodRunning, &started
	}
	ready := &status.Conditions[1]
	turn := func(to corev1.ConditionStatus, at time.Time) {
		ready.Status, ready.LastTransitionTime = to, metav1.NewTime(at)
	}
	switch {
	case status.Phase != corev1.PodRunning:
	case ready.Status == corev1.ConditionFalse && !now.Before(b.ready):
		turn(corev1.ConditionTrue, b.ready)
	case ready.Status == corev1.ConditionTrue && chance(s.r, 0.002):
		turn(corev1.ConditionFalse, now)
		b.ready = now.Add(time.Duration(s.r.IntN(120)) * time.Second)
		s.births[pod.Name] = b
	case chance(s.r, 0.0005):
		status.Phase = pick(s.r, corev1.PodFailed, corev1.PodSucceeded)
	}
}

// move lets the demand rest, jump, or be gone for a while.
func (s *scenario) move() {
	r, most := s.r, float64(s.workload.hpa.Spec.MaxReplicas)
	switch {
	case chance(r, 0.02):
		s.demand *= pick(r, 0, 0, 0, 0.2, 0.5, 2, 5)
	case s.demand < 0.1 && chance(r, 0.05):
		s.demand = r.Float64() * most
	}
	s.demand = min(s.demand, 1.3*most)
}

// walk moves the share of one metric on, or has it fail for a while.
func (s *scenario) walk(l *load, now time.Time) {
	if chance(s.r, 0.5) {
		l.share = min(max(l.share*math.Exp(l.step*s.r.NormFloat64()), 0.1), 3)
	}
	if chance(s.r, 0.005) {
		l.fails = now.Add(time.Duration(s.r.IntN(300)) * time.Second)
		s.happened("a metric fails")
	}
}

// reading is what the metrics API says of a metric at its load.
func (s *scenario) reading(now time.Time, m autoscalingv2.MetricSpec, l load) adapter.Reading {
	if now.Before(l.fails) {
		return adapter.Reading{Err: errReading}
	}
	replicas, serving := s.demand*l.share, float64(max(s.serving(), 1))
	switch of := adapter.TargetOf(m); {
	case m.Object == nil && m.External == nil:
		return adapter.Reading{Pods: s.samples(now, m, replicas/serving)}
	case of.Value != nil:
		return adapter.Reading{Values: []int64{int64(float64(of.Value.MilliValue()) * replicas / serving)}}
	default:
		return adapter.Reading{Values: []int64{int64(float64(of.AverageValue.MilliValue()) * replicas)}}
	}
}

// serving is the number of pods that the load is spread over.
func (s *scenario) serving() int {
	n := 0
	for _, pod := range s.workload.pods {
		if pod.Status.Phase == corev1.PodRunning && pod.Status.Conditions[1].Status == corev1.ConditionTrue {
			n++
		}
	}
	return n
}

// samples are those of the running pods; of young ones there are none yet, and
// now and then one is missing.
func (s *scenario) samples(now time.Time, m autoscalingv2.MetricSpec, ratio float64) metrics.PodMetricsInfo {
	samples := make(metrics.PodMetricsInfo, len(s.workload.pods))
	for _, pod := range s.workload.pods {
		status := pod.Status
		if status.Phase != corev1.PodRunning || now.Sub(status.StartTime.Time) < 20*time.Second || chance(s.r, 0.005) {
			continue
		}
		share := ratio * (0.95 + 0.1*s.r.Float64())
		if status.Conditions[1].Status != corev1.ConditionTrue {
			share = 2 * s.r.Float64()
		}
		samples[pod.Name] = metrics.PodMetric{
			Value:     int64(share * perPodTarget(m, pod)),
			Timestamp: now.Add(-15 * time.Second), Window: 30 * time.Second,
		}
	}
	return samples
}
