package app

import (
	"fmt"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/actuator"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/limits"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Option adds something to the autoscaler that it does not come with, in the
// manner of kube-scheduler's WithPlugin.
type Option func(*extensions)

// extensions are what the autoscaler does not come with.
type extensions struct {
	policies map[string]scaling.Factory
	problems []error
	sources  []source.Source
	limiters []limits.Limiter
	actuator actuator.Actuator
}

// WithPolicy adds a policy, which objects name in spec.policy.name. Its name must
// be new.
func WithPolicy(name string, factory scaling.Factory) Option {
	return func(x *extensions) {
		if _, taken := x.policies[name]; taken {
			x.problems = append(x.problems, fmt.Errorf("policy %q: given twice", name))
		}
		x.policies[name] = factory
	}
}

// WithSource adds a source of metrics, which objects name in
// spec.metrics[].custom.source. Its name must be new.
func WithSource(s source.Source) Option {
	return func(x *extensions) { x.sources = append(x.sources, s) }
}

// WithLimiter adds a limiter after the rates and before the bounds, which have the
// last word. It holds for every object.
func WithLimiter(l limits.Limiter) Option {
	return func(x *extensions) { x.limiters = append(x.limiters, l) }
}

// WithActuator has another actuator than the scale subresource's set replicas.
func WithActuator(a actuator.Actuator) Option {
	return func(x *extensions) { x.actuator = a }
}

func extended(options []Option) extensions {
	x := extensions{policies: map[string]scaling.Factory{}}
	for _, add := range options {
		add(&x)
	}
	return x
}

// allPolicies are those that the autoscaler comes with and those added.
func (x extensions) allPolicies(c policies.Config) (map[string]scaling.Factory, error) {
	if len(x.problems) > 0 {
		return nil, x.problems[0]
	}
	all := policies.New(c)
	for name, factory := range x.policies {
		if _, taken := all[name]; taken {
			return nil, fmt.Errorf("policy %q: there is one of that name already", name)
		}
		all[name] = factory
	}
	return all, nil
}

// allLimiters are the usual ones with those added before the last, the bounds.
func (x extensions) allLimiters() []limits.Limiter {
	usual := limits.Default()
	last := len(usual) - 1
	all := append(append([]limits.Limiter{}, usual[:last]...), x.limiters...)
	return append(all, usual[last])
}
