package shapes_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

func list(pairs ...string) v1.ResourceList {
	l := v1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[v1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func container(name string, requests v1.ResourceList) v1.Container {
	return v1.Container{Name: name, Resources: v1.ResourceRequirements{Requests: requests}}
}

func podWith(change func(*v1.Pod), requests ...string) *v1.Pod {
	pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{container("main", list(requests...))}}}
	if change != nil {
		change(pod)
	}
	return pod
}

func TestOf(t *testing.T) {
	sidecar := func(p *v1.Pod) {
		always := v1.ContainerRestartPolicyAlways
		c := container("proxy", list("cpu", "100m"))
		c.RestartPolicy = &always
		p.Spec.InitContainers = []v1.Container{c, container("init", list("cpu", "2"))}
	}
	resized := func(reason string) func(*v1.Pod) {
		return func(p *v1.Pod) {
			p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "main", AllocatedResources: list("cpu", "1")}}
			if reason != "" {
				p.Status.Conditions = []v1.PodCondition{{Type: v1.PodResizePending, Reason: reason}}
			}
		}
	}
	tests := map[string]struct {
		pod  *v1.Pod
		want string
	}{
		"a pod without requests asks for nothing":            {podWith(nil), ""},
		"CPU is in thousandths, the rest in units":           {podWith(nil, "memory", "1Gi", "cpu", "0.5", "example.com/fpga", "2"), "cpu=500,example.com/fpga=2,memory=1073741824"},
		"what is asked for as 0 is not asked for":            {podWith(nil, "cpu", "0", "memory", "1"), "memory=1"},
		"less than a thousandth is rounded up":               {podWith(nil, "cpu", "1u"), "cpu=1"},
		"a quantity beyond int64 is the largest":             {podWith(nil, "memory", "100E"), "memory=9223372036854775807"},
		"sidecars add up with init containers and main":      {podWith(sidecar, "cpu", "500m"), "cpu=2100"},
		"overhead counts":                                    {podWith(func(p *v1.Pod) { p.Spec.Overhead = list("cpu", "10m") }, "cpu", "1"), "cpu=1010"},
		"requests of the whole pod rule those of containers": {podWith(func(p *v1.Pod) { p.Spec.Resources = &v1.ResourceRequirements{Requests: list("cpu", "3")} }, "cpu", "1", "memory", "5"), "cpu=3000,memory=5"},
		"a pod that shrinks holds what it has until then":    {podWith(resized(""), "cpu", "500m"), "cpu=1000"},
		"a pod that grows asks for what it will have":        {podWith(resized(""), "cpu", "2"), "cpu=2000"},
		"a resize that the node cannot do is not asked for":  {podWith(resized(v1.PodReasonInfeasible), "cpu", "2"), "cpu=1000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := shapes.Of(test.pod, devices.Request{}).Key(); got != test.want {
				t.Errorf("key %q, want %q", got, test.want)
			}
		})
	}
}

func TestOfPlainPodsIsTheFrameworksSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests := v1.ResourceList{}
		for name, suffixes := range map[v1.ResourceName][]string{
			v1.ResourceCPU: {"u", "m", "", "k", "E"}, v1.ResourceMemory: {"", "Mi", "Ei", "m"}, "example.com/fpga": {"", "k"},
		} {
			if rapid.Bool().Draw(t, string(name)) {
				amount := rapid.IntRange(0, 3000).Draw(t, "amount")
				requests[name] = resource.MustParse(fmt.Sprint(amount) + rapid.SampledFrom(suffixes).Draw(t, "unit"))
			}
		}
		plain := podWith(nil)
		plain.Spec.Containers[0].Resources.Requests = requests
		beside := plain.DeepCopy() // a container without requests takes the long way to the same sum
		beside.Spec.Containers = append(beside.Spec.Containers, container("beside", nil))
		if got, want := shapes.Of(plain, devices.Request{}).Key(), shapes.Of(beside, devices.Request{}).Key(); got != want {
			t.Fatalf("%q by the short way, %q by the framework's", got, want)
		}
	})
}

func TestKeyTellsDevicesAndSelectorsApart(t *testing.T) {
	pod := podWith(nil, "cpu", "1")
	chosen := podWith(func(p *v1.Pod) { p.Spec.NodeSelector = map[string]string{"gpu": "t4"} }, "cpu", "1")
	half := devices.Request{Class: "gpu", Count: 1, Milli: 500}
	got := []string{
		shapes.Of(pod, devices.Request{}).Key(),
		shapes.Of(pod, half).Key(),
		shapes.Of(chosen, half).Key(),
	}
	want := []string{
		"cpu=1000",
		"cpu=1000;gpu*1@500",
		`cpu=1000;gpu*1@500|[{"matchExpressions":[{"key":"gpu","operator":"In","values":["t4"]}]}]`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

type requirement = v1.NodeSelectorRequirement

func affinity(terms ...v1.NodeSelectorTerm) *v1.Affinity {
	return &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &v1.NodeSelector{NodeSelectorTerms: terms},
	}}
}

func term(expressions ...requirement) v1.NodeSelectorTerm {
	return v1.NodeSelectorTerm{MatchExpressions: expressions}
}

func in(key string, values ...string) requirement {
	return requirement{Key: key, Operator: v1.NodeSelectorOpIn, Values: values}
}

func TestSelectorIsTheSameForTheSameDemand(t *testing.T) {
	selector := func(labels map[string]string, a *v1.Affinity) string {
		return shapes.Of(podWith(func(p *v1.Pod) { p.Spec.NodeSelector, p.Spec.Affinity = labels, a }), devices.Request{}).Selector
	}
	tests := map[string]struct{ a, b string }{
		"values in another order and twice": {
			selector(nil, affinity(term(in("gpu", "t4", "a10")))),
			selector(nil, affinity(term(in("gpu", "a10", "t4", "t4")))),
		},
		"terms in another order and twice": {
			selector(nil, affinity(term(in("a", "1")), term(in("b", "2")))),
			selector(nil, affinity(term(in("b", "2")), term(in("a", "1")), term(in("b", "2")))),
		},
		"a nodeSelector and the affinity that says the same": {
			selector(map[string]string{"a": "1", "b": "2"}, nil),
			selector(nil, affinity(term(in("b", "2"), in("a", "1")))),
		},
		"a nodeSelector repeated in the affinity": {
			selector(map[string]string{"a": "1"}, nil),
			selector(map[string]string{"a": "1"}, affinity(term(in("a", "1")))),
		},
		"an empty term beside another": {
			selector(nil, affinity(term(in("a", "1")))),
			selector(nil, affinity(term(), term(in("a", "1")))),
		},
		"a preference is no demand": {
			selector(nil, nil),
			selector(nil, &v1.Affinity{NodeAffinity: &v1.NodeAffinity{
				PreferredDuringSchedulingIgnoredDuringExecution: []v1.PreferredSchedulingTerm{{Weight: 1, Preference: term(in("a", "1"))}},
			}}),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if test.a != test.b {
				t.Errorf("%q and %q differ", test.a, test.b)
			}
		})
	}
}

func TestMatcher(t *testing.T) {
	node := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", Labels: map[string]string{"gpu": "t4", "zone": "a", "cores": "64"}}}
	named := v1.NodeSelectorTerm{MatchFields: []requirement{in("metadata.name", "n1")}}
	tests := map[string]struct {
		labels   map[string]string
		affinity *v1.Affinity
		want     bool
	}{
		"no demand accepts any node":             {nil, nil, true},
		"labels that the node has":               {map[string]string{"gpu": "t4", "zone": "a"}, nil, true},
		"a label that the node has not":          {map[string]string{"gpu": "t4", "zone": "b"}, nil, false},
		"one of two terms is enough":             {nil, affinity(term(in("gpu", "a10")), term(in("zone", "a"))), true},
		"labels rule out what a term allows":     {map[string]string{"zone": "b"}, affinity(term(in("gpu", "t4"))), false},
		"no term that selects anything: no node": {nil, affinity(term()), false},
		"the node's name as a field":             {nil, affinity(named), true},
		"more than a number":                     {nil, affinity(term(requirement{Key: "cores", Operator: v1.NodeSelectorOpGt, Values: []string{"32"}})), true},
		"a label that must not exist":            {nil, affinity(term(requirement{Key: "gpu", Operator: v1.NodeSelectorOpDoesNotExist})), false},
		"a value that must not be":               {nil, affinity(term(requirement{Key: "gpu", Operator: v1.NodeSelectorOpNotIn, Values: []string{"a10"}})), true},
		"an empty value is a value of its own":   {map[string]string{"gpu": ""}, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			pod := podWith(func(p *v1.Pod) { p.Spec.NodeSelector, p.Spec.Affinity = test.labels, test.affinity })
			matcher, err := shapes.NewMatcher(shapes.Of(pod, devices.Request{}).Selector)
			if err != nil {
				t.Fatal(err)
			}
			if got := matcher.Matches(node); got != test.want {
				t.Errorf("Matches = %v, want %v", got, test.want)
			}
		})
	}
}

func TestNewMatcherRejects(t *testing.T) {
	for name, selector := range map[string]string{
		"text that is no selector":            "gpu=t4",
		"an operator that nodes do not have":  `[{"matchExpressions":[{"key":"a","operator":"Like","values":["b"]}]}]`,
		"a label value that no node can have": `[{"matchExpressions":[{"key":"a","operator":"In","values":["<b>"]}]}]`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := shapes.NewMatcher(selector); err == nil {
				t.Error("no error")
			}
		})
	}
}

func BenchmarkOf(b *testing.B) {
	status := func(p *v1.Pod) {
		p.Status.ContainerStatuses = []v1.ContainerStatus{{Name: "main", AllocatedResources: list("cpu", "1")}}
	}
	for name, pod := range map[string]*v1.Pod{
		"waiting": podWith(nil, "cpu", "500m", "memory", "1Gi"),
		"running": podWith(status, "cpu", "500m", "memory", "1Gi"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if len(shapes.Of(pod, devices.Request{}).Requests) != 2 {
					b.Fatal("wrong shape")
				}
			}
		})
	}
}
