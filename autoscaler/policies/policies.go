// Package policies is the one list of scaling policies. A new policy is a folder
// of its own and a line here.
package policies

import (
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Default is the name of the policy of objects that name none.
const Default = target.Name

// Config holds each policy's own configuration.
type Config struct {
	Target target.Config
}

// DefaultConfig has each policy's own defaults.
func DefaultConfig() Config {
	return Config{Target: target.DefaultConfig()}
}

// New returns every policy by its name.
func New(c Config) map[string]scaling.Policy {
	return byName(
		target.New(c.Target),
	)
}

func byName(policies ...scaling.Policy) map[string]scaling.Policy {
	m := make(map[string]scaling.Policy, len(policies))
	for _, p := range policies {
		m[p.Name()] = p
	}
	return m
}
