package target

import (
	"fmt"
	"math"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// value scales the ready pods by the metric's ratio to its target. From 0 replicas
// the ratio itself is the number.
func (c Config) value(o *scaling.Observation, m *scaling.Metric, rule Rule, ready int) scaling.Proposal {
	p := scaling.Proposal{Current: m.Value, Replicas: o.SpecReplicas, Reason: rule.WithinReason()}
	ratio := milli(m.Value) / milli(m.Target.Amount)
	switch {
	case o.SpecReplicas == 0:
		p.Replicas, p.Reason = follow(1, replicas(rule.Replicas(1, ratio)), 0, false)
		p.Message = string(newLine().figure(m.Value).words(" of target ").figure(m.Target.Amount).
			words(" from 0 replicas asks for ").count(int(p.Replicas)))
		return p
	case rule.Within(ratio):
	case len(o.Pods) == 0:
		return scaling.Proposal{Unknown: noReadyPods(0)}
	case ready == 0 && c.Differences.NoReadyPodsHold:
		return scaling.Proposal{Unknown: noReadyPods(len(o.Pods))}
	default:
		if c.Differences.SurgeNotCounted {
			ready = min(ready, int(o.SpecReplicas))
		}
		p.Replicas, p.Reason = c.follow(rule, ratio, ratio*float64(ready), o.SpecReplicas)
	}
	p.Message = string(newLine().figure(m.Value).words(" of target ").figure(m.Target.Amount).
		words(" with ").count(ready).words(" ready pods asks for ").count(int(p.Replicas)).words(" replicas"))
	return p
}

// averageValue divides the metric by the target. It needs no pods.
func (c Config) averageValue(o *scaling.Observation, m *scaling.Metric, rule Rule) scaling.Proposal {
	have := o.StatusReplicas
	if c.Differences.SurgeNotCounted {
		have = o.SpecReplicas
	}
	p := scaling.Proposal{Replicas: have, Reason: rule.WithinReason(), Current: m.Value}
	if o.StatusReplicas > 0 {
		p.Current = m.Value / float64(o.StatusReplicas)
	}
	value, target := milli(m.Value), milli(m.Target.Amount)
	if ratio := value / (target * float64(have)); !rule.Within(ratio) {
		p.Replicas, p.Reason = c.follow(rule, ratio, value/target, o.SpecReplicas)
	}
	p.Message = string(newLine().figure(m.Value).words(" at target ").figure(m.Target.Amount).
		words(" per replica with ").count(int(have)).words(" replicas asks for ").count(int(p.Replicas)))
	return p
}

// milli is v in thousandths, and a whole number of them if v is one but for the
// error of its representation: quotients of two such numbers are then bit for bit
// those of the integers that Kubernetes' quantities are.
func milli(v float64) float64 {
	scaled := v * 1000
	if whole := math.Round(scaled); math.Abs(scaled-whole) <= math.Abs(scaled)*0x1p-50 {
		return whole
	}
	return scaled
}

func (c Config) countReady(pods []scaling.Pod) int {
	n := 0
	for i := range pods {
		if pods[i].Phase == scaling.Running && pods[i].Ready && !(pods[i].Terminating && c.Differences.TerminatingNotServing) {
			n++
		}
	}
	return n
}

func noReadyPods(pods int) scaling.Unknown {
	if pods == 0 {
		return scaling.Unknown{Reason: scaling.ReasonNoPods, Message: "the workload has no pods"}
	}
	return scaling.Unknown{Reason: scaling.ReasonNoReadyPod, Message: fmt.Sprintf("none of %d pods is ready", pods)}
}
