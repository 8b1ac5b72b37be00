package controlplane

import (
	"fmt"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
)

// setFeatureGates sets gates of the process and returns what puts them back.
func setFeatureGates(gates map[string]bool) (restore func() error, err error) {
	known, before := utilfeature.DefaultMutableFeatureGate.GetAll(), map[string]bool{}
	for name := range gates {
		if _, ok := known[featuregate.Feature(name)]; !ok {
			return nil, fmt.Errorf("feature gates: %q is not one of Kubernetes'", name)
		}
		before[name] = utilfeature.DefaultFeatureGate.Enabled(featuregate.Feature(name))
	}
	if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(gates); err != nil {
		return nil, fmt.Errorf("feature gates: %w", err)
	}
	return func() error {
		if err := utilfeature.DefaultMutableFeatureGate.SetFromMap(before); err != nil {
			return fmt.Errorf("put feature gates back: %w", err)
		}
		return nil
	}, nil
}
