package policies_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

func TestEveryPolicyHasTheNameItIsListedUnderAndNeedsNoParameters(t *testing.T) {
	all := policies.New(policies.DefaultConfig())
	if all[policies.Default] == nil {
		t.Errorf("the default, %s, is not listed", policies.Default)
	}
	for name, factory := range all {
		policy, err := factory(nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if policy.Name() != name {
			t.Errorf("%s is listed as %s", policy.Name(), name)
		}
	}
}

func TestREADMEs(t *testing.T) {
	all := policies.New(policies.DefaultConfig())
	for name, factory := range all {
		t.Run(name, func(t *testing.T) {
			readme, err := os.ReadFile(filepath.Join(strings.ToLower(name), "README.md"))
			if err != nil {
				t.Fatal(err)
			}
			for _, heading := range []string{"# " + name, "## Behaviour", "## Parameters", "## Example"} {
				if !strings.Contains(string(readme), heading+"\n") {
					t.Errorf("there is no %q", heading)
				}
			}
			_, example, found := strings.Cut(string(readme), "```yaml\n")
			if !found {
				t.Fatal("there is no example")
			}
			example, _, _ = strings.Cut(example, "```")
			var wa v1alpha1.WorkloadAutoscaler
			if err := yaml.UnmarshalStrict([]byte(example), &wa); err != nil {
				t.Fatal(err)
			}
			if wa.Spec.Policy.Name != name {
				t.Errorf("the example is of %q", wa.Spec.Policy.Name)
			}
			var parameters []byte
			if wa.Spec.Policy.Parameters != nil {
				parameters = wa.Spec.Policy.Parameters.Raw
			}
			if _, err := factory(parameters); err != nil {
				t.Error(err)
			}
			for _, s := range wa.Spec.Schedules {
				if _, err := schedule.Parse(s.Name, s.Start, s.End, s.TimeZone); err != nil {
					t.Errorf("schedule %s: %v", s.Name, err)
				}
			}
		})
	}
}
