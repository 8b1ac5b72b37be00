package sim

import (
	"fmt"

	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/validation"
)

// LoadProfile reads the one profile of a KubeSchedulerConfiguration in YAML, strictly
// and with the defaults, as kube-scheduler does. Arguments of plugins that are not in
// tree are checked when New builds these.
func LoadProfile(data []byte) (config.KubeSchedulerProfile, error) {
	decoded, kind, err := scheme.Codecs.UniversalDecoder().Decode(data, nil, nil)
	if err != nil {
		return config.KubeSchedulerProfile{}, fmt.Errorf("scheduler configuration: %w", err)
	}
	c, ok := decoded.(*config.KubeSchedulerConfiguration)
	if !ok {
		return config.KubeSchedulerProfile{}, fmt.Errorf("kind: must be KubeSchedulerConfiguration, is %s", kind.Kind)
	}
	c.APIVersion = kind.GroupVersion().String()
	if err := validation.ValidateKubeSchedulerConfiguration(c); err != nil {
		return config.KubeSchedulerProfile{}, fmt.Errorf("scheduler configuration: %w", err)
	}
	if len(c.Profiles) != 1 {
		return config.KubeSchedulerProfile{}, fmt.Errorf("profiles: must hold one profile, holds %d", len(c.Profiles))
	}
	if len(c.Extenders) != 0 {
		return config.KubeSchedulerProfile{}, fmt.Errorf("extenders: must be empty, for there is no server to ask; holds %d", len(c.Extenders))
	}
	return c.Profiles[0], nil
}
