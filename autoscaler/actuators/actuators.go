// Package actuators is the one list of actuators. A new actuator is a folder of
// its own and a line here.
package actuators

import (
	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/actuator"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/actuators/scale"
)

// Default is the name of the actuator used if none is named.
const Default = scale.Name

// New returns every actuator by its name.
func New(w scale.Writer) map[string]actuator.Actuator {
	return byName(
		scale.New(w),
	)
}

func byName(actuators ...actuator.Actuator) map[string]actuator.Actuator {
	m := make(map[string]actuator.Actuator, len(actuators))
	for _, a := range actuators {
		m[a.Name()] = a
	}
	return m
}
