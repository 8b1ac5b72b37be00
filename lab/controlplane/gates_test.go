package controlplane

import (
	"strings"
	"testing"

	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
)

func TestFeatureGatesHoldUntilRestored(t *testing.T) {
	const gate = "GenericWorkload" // beta and off in 1.37
	if utilfeature.DefaultFeatureGate.Enabled(featuregate.Feature(gate)) {
		t.Fatalf("%s is on by default: choose another gate for this test", gate)
	}
	restore, err := setFeatureGates(map[string]bool{gate: true})
	if err != nil {
		t.Fatal(err)
	}
	if !utilfeature.DefaultFeatureGate.Enabled(featuregate.Feature(gate)) {
		t.Errorf("%s is off although it was set", gate)
	}
	if err := restore(); err != nil {
		t.Fatal(err)
	}
	if utilfeature.DefaultFeatureGate.Enabled(featuregate.Feature(gate)) {
		t.Errorf("%s is still on", gate)
	}
}

func TestAnUnknownFeatureGateIsRefused(t *testing.T) {
	_, err := setFeatureGates(map[string]bool{"NoSuchGate": true})
	if err == nil || !strings.Contains(err.Error(), `"NoSuchGate"`) {
		t.Fatalf("got %v, want an error that names the gate", err)
	}
}
