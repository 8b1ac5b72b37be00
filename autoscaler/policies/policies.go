// Package policies is the one list of scaling policies. A new policy is a folder
// of its own and a line here.
package policies

import (
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/schedule"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/watermark"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Default is the name of the policy of objects that name none.
const Default = target.Name

// Config holds each policy's own configuration.
type Config struct {
	// Target is that of every policy which compares metrics with targets.
	Target target.Config
}

// DefaultConfig has each policy's own defaults.
func DefaultConfig() Config {
	return Config{Target: target.DefaultConfig()}
}

// New returns what makes each policy, by its name.
func New(c Config) map[string]scaling.Factory {
	return map[string]scaling.Factory{
		schedule.Name:  schedule.Factory,
		target.Name:    target.Factory(c.Target),
		watermark.Name: watermark.Factory(c.Target),
	}
}
