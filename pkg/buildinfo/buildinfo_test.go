package buildinfo_test

import (
	"testing"

	"github.com/plimsoll-k8s/plimsoll/pkg/buildinfo"
)

func TestVersionIsNeverEmpty(t *testing.T) {
	if buildinfo.Version() == "" {
		t.Error("the version is empty; what is not recorded is called unknown")
	}
}

func TestAModuleThatIsNotPartOfTheProgramIsUnknown(t *testing.T) {
	if got := buildinfo.Module("example.com/none"); got != "unknown" {
		t.Errorf("got %q, want unknown", got)
	}
}
