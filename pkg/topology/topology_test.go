package topology_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/topology"
)

// The indexes of the default levels.
const (
	region = iota
	zone
	rack
	host
)

func TestTheDefaultLevelsAreValid(t *testing.T) {
	if errs := topology.ValidateLevels(topology.DefaultLevels(), field.NewPath("levels")); len(errs) > 0 {
		t.Error(errs.ToAggregate())
	}
}

func TestValidateLevels(t *testing.T) {
	ten := make([]topology.Level, 10)
	for i := range ten {
		ten[i] = topology.Level{Name: string(rune('a' + i)), Key: "x/" + string(rune('a'+i))}
	}
	tests := map[string]struct {
		levels []topology.Level
		says   []string // empty for valid levels
	}{
		"one level of any key":          {[]topology.Level{{"row", "example.com/row"}}, nil},
		"a key without a domain":        {[]topology.Level{{"row", "row"}}, nil},
		"no levels":                     {nil, []string{"args.levels: Invalid value: 0: must be 1 to 8 levels"}},
		"ten levels":                    {ten, []string{"args.levels: Invalid value: 10: must be 1 to 8 levels"}},
		"a name twice":                  {[]topology.Level{{"a", "k1"}, {"a", "k2"}}, []string{`args.levels[1].name: Duplicate value: "a"`}},
		"a key twice":                   {[]topology.Level{{"a", "k"}, {"b", "k"}}, []string{`args.levels[1].key: Duplicate value: "k"`}},
		"a level without name":          {[]topology.Level{{"", "k"}}, []string{`args.levels[0].name: Invalid value: ""`}},
		"a name that is no label":       {[]topology.Level{{"Big Rack", "k"}}, []string{`args.levels[0].name: Invalid value: "Big Rack"`, "lower case"}},
		"a level without key":           {[]topology.Level{{"a", ""}}, []string{`args.levels[0].key: Invalid value: "": must be a label key`}},
		"a key that is no label key":    {[]topology.Level{{"a", "x/y/z"}}, []string{`args.levels[0].key: Invalid value: "x/y/z": must be a label key`}},
		"the host above another":        {[]topology.Level{{"host", "kubernetes.io/hostname"}, {"a", "k"}}, []string{"args.levels[0].key", "must be the last level"}},
		"all that is wrong is reported": {[]topology.Level{{"A", "/"}, {"a", "k"}, {"a", "k"}}, []string{"levels[0].name", "levels[0].key", "levels[2].name", "levels[2].key"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			errs := topology.ValidateLevels(test.levels, field.NewPath("args", "levels"))
			if (len(errs) == 0) != (len(test.says) == 0) {
				t.Fatalf("errors %v, want %v", errs, test.says)
			}
			for _, says := range test.says {
				if text := errs.ToAggregate().Error(); !strings.Contains(text, says) {
					t.Errorf("error %q does not say %q", text, says)
				}
			}
		})
	}
}

// labels writes the default levels as region, zone, rack, host; "-" is no label.
func labels(path string) map[string]string {
	out := map[string]string{}
	for i, value := range strings.Split(path, "/") {
		if value != "-" {
			out[topology.DefaultLevels()[i].Key] = value
		}
	}
	return out
}
