package shapes_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

func pinned(t *testing.T, text string) (*shapes.Mix, error) {
	t.Helper()
	var list []shapes.Pin
	if err := yaml.UnmarshalStrict([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	m, errs := shapes.Pinned(list, field.NewPath("mix"))
	return m, errs.ToAggregate()
}

func TestPinned(t *testing.T) {
	m, err := pinned(t, `
- requests: {cpu: "1", memory: 2Gi}
  weight: 1
- requests: {cpu: 4, example.com/fpga: 1}
  devices: {class: nvidia.com/gpu, count: 1, milli: 250}
  nodeSelector: {gpu: t4}
  weight: 3
- requests: {cpu: 2}
  nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: gpu, operator: In, values: [t4, a10]}]}]}
  weight: 0.5
- requests: {memory: 2Gi, cpu: 1000m}
  weight: 2.5
- requests: {cpu: 9}
  weight: 0
`)
	if err != nil {
		t.Fatal(err)
	}
	want := "cpu=1000,memory=2147483648 x3.5, " +
		`cpu=4000,example.com/fpga=1;nvidia.com/gpu*1@250|[{"matchExpressions":[{"key":"gpu","operator":"In","values":["t4"]}]}] x3, ` +
		`cpu=2000|[{"matchExpressions":[{"key":"gpu","operator":"In","values":["a10","t4"]}]}] x0.5; ` +
		"cpu=2357142857,example.com/fpga=428571,memory=1073741824000000"
	if got := show(m); got != want || m.Weight != 7 {
		t.Errorf("weight %v, mix\n%s, want\n%s", m.Weight, got, want)
	}
}

func TestPinnedRejects(t *testing.T) {
	tests := map[string]struct{ mix, want string }{
		"no shapes":                            {`[]`, "mix: Invalid value: 0: the weights must have a sum above 0"},
		"weights that sum to zero":             {`[{requests: {cpu: 1}, weight: 0}]`, "mix: Invalid value: 1: the weights must have a sum above 0"},
		"a shape that asks for nothing":        {`[{requests: {cpu: 0}, weight: 1}]`, "mix[0].requests: Required"},
		"a resource that no pod has":           {`[{requests: {gpu: 1}, weight: 1}]`, `mix[0].requests[gpu]: Invalid value: "gpu": is no resource of a pod`},
		"a resource of a quota":                {`[{requests: {requests.example.com/a: 1}, weight: 1}]`, "mix[0].requests[requests.example.com/a]"},
		"an affinity that is no selector":      {`[{requests: {cpu: 1}, nodeAffinity: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Like}]}]}, weight: 1}]`, "mix[0].nodeAffinity: Invalid value"},
		"huge pages without a size":            {`[{requests: {hugepages-big: 1}, weight: 1}]`, "mix[0].requests[hugepages-big]"},
		"a negative amount":                    {`[{requests: {cpu: -1}, weight: 1}]`, `mix[0].requests[cpu]: Invalid value: "-1": must be from 0 to 9223372036854775807m`},
		"an amount that does not fit":          {`[{requests: {memory: 9E}, weight: 1}, {requests: {memory: 10E}, weight: 1}]`, `mix[1].requests[memory]: Invalid value: "10E": must be from 0 to 9223372036854775807`},
		"an amount that is no quantity":        {`[{requests: {memory: 2 GB}, weight: 1}]`, `mix[0].requests[memory]: Invalid value: "2 GB"`},
		"a negative weight":                    {`[{requests: {cpu: 1}, weight: -0.5}]`, "mix[0].weight: Invalid value: -0.5: must be from 0 to 1e+09"},
		"a weight beyond the range":            {`[{requests: {cpu: 1}, weight: 2e9}]`, "mix[0].weight"},
		"devices without a class":              {`[{devices: {count: 1, milli: 1000}, weight: 1}]`, "mix[0].devices.class: Required"},
		"a device class that cannot be":        {`[{devices: {class: "a;b", count: 1, milli: 1000}, weight: 1}]`, "mix[0].devices.class"},
		"a class of which no device is wanted": {`[{devices: {class: gpu}, weight: 1}]`, "mix[0].devices.count: Invalid value: 0: must be from 1 to 4096 devices"},
		"shares of several devices":            {`[{devices: {class: gpu, count: 2, milli: 500}, weight: 1}]`, "mix[0].devices.milli: Invalid value: 500"},
		"more than a whole device":             {`[{devices: {class: gpu, count: 1, milli: 1001}, weight: 1}]`, "mix[0].devices.milli: Invalid value: 1001"},
		"a label value that no node can have":  {`[{requests: {cpu: 1}, nodeSelector: {gpu: "a b"}, weight: 1}]`, "mix[0].nodeSelector"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := pinned(t, test.mix); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestPinnedKeepsProportionsOfHugeAmounts(t *testing.T) {
	m, err := pinned(t, `[{requests: {memory: 8E, cpu: 1M}, weight: 1e9}]`)
	if err != nil {
		t.Fatal(err)
	}
	cpuMilli, memory := float64(m.Requested[0].Amount), float64(m.Requested[1].Amount)
	if ratio := memory / cpuMilli; ratio < 7.99e9 || ratio > 8.01e9 {
		t.Errorf("memory is %v times cpu, want 8e9: %s", ratio, show(m))
	}
}
