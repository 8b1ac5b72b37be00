package hpa

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Decisions compares the policy with upstream's ReplicaCalculator on n cases of
// the seed. It has to run in a testing/synctest bubble.
func Decisions(seed uint64, n int, policy scaling.Policy) Result {
	result := newResult()
	for i := range n {
		c := AnyCase(generator(seed, i), time.Now())
		upstream, ours := Upstream(c), adapter.Decide(policy, c)
		result.cover(c, upstream)
		mismatch := ""
		if !upstream.Equals(ours) {
			mismatch = fmt.Sprintf("seed %d, case %d: upstream %s, ours %s\n%s", seed, i, upstream, ours, describe(c))
		}
		result.add(mismatch)
	}
	return result
}

// cover counts what a case is about and which way it goes.
func (r *Result) cover(c adapter.Case, upstream adapter.Answer) {
	kind := string(c.Metric.Type) + " " + string(adapter.Target(adapter.TargetOf(c.Metric)).Type)
	direction := "kept"
	switch {
	case !upstream.Known:
		direction = "unknown"
	case c.SpecReplicas == 0:
		direction = "from zero"
	case upstream.Replicas > c.SpecReplicas:
		direction = "up"
	case upstream.Replicas < c.SpecReplicas:
		direction = "down"
	}
	r.Covered[kind+" "+direction]++
}

// describe shows a case to a person who has to find out why it differs.
func describe(c adapter.Case) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  spec %d, status %d, tolerance %+v, %s, target %+v\n",
		c.SpecReplicas, c.StatusReplicas, c.Tolerance, c.Metric.Type, adapter.Target(adapter.TargetOf(c.Metric)))
	if c.Metric.Resource != nil {
		fmt.Fprintf(&b, "  resource %s\n", c.Metric.Resource.Name)
	}
	if m := c.Metric.ContainerResource; m != nil {
		fmt.Fprintf(&b, "  resource %s of container %s\n", m.Name, m.Container)
	}
	if c.Reading.Values != nil {
		fmt.Fprintf(&b, "  values in thousandths %v\n", c.Reading.Values)
	}
	observed := adapter.Observe(c)
	for i, pod := range observed.Pods {
		fmt.Fprintf(&b, "  %s %s terminating=%v ready=%v/%v", pod.Name, pod.Phase, pod.Terminating, pod.Ready, pod.Unready)
		if !pod.Ready || c.Now.Sub(pod.Started) < 30*time.Minute {
			fmt.Fprintf(&b, " started %s ago, ready changed %s ago", c.Now.Sub(pod.Started), c.Now.Sub(pod.ReadySince))
		}
		if m := observed.Metrics[0]; i < len(m.Pods) {
			p := m.Pods[i]
			fmt.Fprintf(&b, "; request %d %s, sampled=%v usage %d, %s old, window %s", p.RequestMilli, p.NoRequest, p.Sampled, p.UsageMilli, c.Now.Sub(p.At), p.Window)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Kinds lists what was covered, in order.
func (r Result) Kinds() []string {
	kinds := make([]string, 0, len(r.Covered))
	for kind, n := range r.Covered {
		kinds = append(kinds, fmt.Sprintf("%s: %d", kind, n))
	}
	slices.Sort(kinds)
	return kinds
}
