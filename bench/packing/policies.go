package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/utils/clock"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/baseline"
	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim/devicedriver"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

// policy is one way to place pods, under the name that figures have it by.
type policy struct {
	name  string
	what  string
	build func(inputs) (setup, error)
	// only is the one protocol that the policy is of; empty for all.
	only string
	// slow policies score every node for every pod: P3 takes their first seed only.
	slow bool
}

// inputs is what a policy may know before the first pod arrives.
type inputs struct {
	protocol string // p1, p2 or p3
	seed     int64
	// typical are the classes of the whole list of pods: P1 only, and only for
	// policies that are given them.
	typical []openb.Share
	clock   clock.PassiveClock
}

// setup is a policy made for one run.
type setup struct {
	profile config.KubeSchedulerProfile
	plugins frameworkruntime.Registry
	// driver hands out the devices; its plugin is in the profile. Only P1 has
	// devices.
	driver *devicedriver.Driver
	// due is asked before each pod: it learns what is due and reports whether raw
	// scores so far are void. Nil for a policy that learns nothing.
	due func(now time.Time) bool
}

// policies is the one table of policies. Its order is that of the reports.
func policies() []policy {
	return []policy{
		{
			name: "plimsoll", build: ours(variant{}),
			what: "ours with the arguments as shipped, all of it learned during the run",
		},
		{
			name: "plimsoll-given", only: "p1", build: ours(variant{given: true}),
			what: "ours, knowing the mix beforehand as FGD does; P1 only",
		},
		{
			name: "plimsoll-oracle", only: "p3", build: ours(variant{oracle: true}),
			what: "ours, told how long each pod lives; P3 only",
		},
		{
			name: "plimsoll-dra-order", only: "p1", build: ours(variant{inTreeOrder: true}),
			what: "ours, but the first device that fits is used, as the in-tree DRA allocator does; P1 only",
		},
		{
			name: "plimsoll-without-opening", build: ours(variant{without: "opening"}),
			what: "ours with the price of opening 0",
		},
		{
			name: "plimsoll-without-stranding", build: ours(variant{without: "stranding"}),
			what: "ours with the price of stranding 0",
		},
		{
			name: "plimsoll-without-lifetime", build: ours(variant{without: "lifetime"}),
			what: "ours with the price of lifetime 0",
		},
		{
			name: "fgd", only: "p1", build: fgd,
			what: "Fragmentation Gradient Descent, knowing the mix beforehand (Weng et al., ATC 2023); P1 only",
		},
		{
			name: "bestfit", build: bestFit,
			what: "P1: the paper's best fit by CPU and GPUs; P2, P3: the least mean share of CPU and memory left",
		},
		{
			name: "most-allocated", build: inTree(mostAllocated),
			what: "in-tree NodeResourcesFit with MostAllocated, CPU and memory",
		},
		{
			name: "kube-default", build: kubeDefault, slow: true,
			what: "in-tree LeastAllocated and BalancedAllocation; in P3 with the default spread of replicas",
		},
		{
			name: "kube-default-unspread", build: inTree(leastAllocated),
			what: "kube-default without its spread",
		},
		{
			name: "random", build: random,
			what: "any node that fits",
		},
	}
}

// choosePolicies finds policies by name, in the order of the table.
func choosePolicies(names []string) ([]policy, error) {
	all := policies()
	var known []string
	for _, p := range all {
		known = append(known, p.name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-policies: %q: must be one of %s", name, strings.Join(known, ", "))
		}
	}
	var chosen []policy
	for _, p := range all {
		if slices.Contains(names, p.name) {
			chosen = append(chosen, p)
		}
	}
	return chosen, nil
}

func fgd(in inputs) (setup, error) {
	if in.protocol != "p1" {
		return setup{}, fmt.Errorf("policy fgd: knows P1 only: its score is of GPUs")
	}
	var policy *baseline.FGD
	driver := devicedriver.New(func(node string, pod *v1.Pod, free []int64) int {
		return policy.Choose(node, pod, free)
	})
	policy = baseline.NewFGD(driver, in.typical)
	return scored(driver, []string{baseline.FGDName}, nil, frameworkruntime.Registry{baseline.FGDName: policy.Factory})
}

func bestFit(in inputs) (setup, error) {
	driver := devicedriver.New(devicedriver.Tightest)
	if in.protocol == "p1" {
		return scored(driver, []string{baseline.BestFitName}, nil,
			frameworkruntime.Registry{baseline.BestFitName: baseline.NewBestFit(driver).Factory})
	}
	return scored(driver, []string{baseline.LeastLeftName}, nil,
		frameworkruntime.Registry{baseline.LeastLeftName: baseline.NewLeastLeft().Factory})
}

func random(in inputs) (setup, error) {
	return scored(devicedriver.New(devicedriver.Tightest), []string{baseline.RandomName}, nil,
		frameworkruntime.Registry{baseline.RandomName: baseline.NewRandom(in.seed).Factory})
}

// scores is a set of in-tree score plugins and their arguments.
type scores struct {
	names  []string
	config map[string]string // arguments in JSON by plugin
}

func mostAllocated() scores {
	return scores{
		names: []string{"NodeResourcesFit"},
		config: map[string]string{"NodeResourcesFit": `{"scoringStrategy": {"type": "MostAllocated",
      "resources": [{"name": "cpu", "weight": 1}, {"name": "memory", "weight": 1}]}}`},
	}
}

func leastAllocated() scores {
	return scores{names: []string{"NodeResourcesFit", "NodeResourcesBalancedAllocation"}}
}

func leastAllocatedSpread() scores {
	return scores{names: append(leastAllocated().names, "PodTopologySpread")}
}

func inTree(of func() scores) func(inputs) (setup, error) {
	return func(inputs) (setup, error) {
		chosen := of()
		return scored(devicedriver.New(devicedriver.Tightest), chosen.names, chosen.config, nil)
	}
}

// kubeDefault is the default profile without what tells no nodes apart here. Only
// the pods of P3 have a ReplicaSet, by which the default spreads them.
func kubeDefault(in inputs) (setup, error) {
	if in.protocol == "p3" {
		return inTree(leastAllocatedSpread)(in)
	}
	return inTree(leastAllocated)(in)
}

// benchScheduler is the name of the profile of the policies of the literature.
const benchScheduler = "bench"

// scored makes a profile that filters by requests, node affinity and devices, and
// scores with the named plugins and with nothing else.
func scored(driver *devicedriver.Driver, names []string, args map[string]string, registry frameworkruntime.Registry) (setup, error) {
	filters := []string{"NodeResourcesFit", "NodeAffinity", devicedriver.Name}
	var stateful []string // plugins that prepare their score
	for _, name := range names {
		if _, stateless := registry[name]; !stateless || name == marginalcost.Name {
			stateful = append(stateful, name)
		}
	}
	if slices.Contains(names, "PodTopologySpread") {
		filters = append(filters, "PodTopologySpread")
	}
	text := &strings.Builder{}
	fmt.Fprintf(text, "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\nprofiles:\n")
	fmt.Fprintf(text, "- schedulerName: %s\n  plugins:\n    multiPoint: {disabled: [{name: \"*\"}]}\n", benchScheduler)
	for _, point := range []struct {
		name    string
		plugins []string
	}{
		{"queueSort", []string{"PrioritySort"}},
		{"preFilter", filters},
		{"filter", filters},
		{"preScore", stateful},
		{"score", names},
		{"reserve", []string{devicedriver.Name}},
		{"bind", []string{"DefaultBinder"}},
	} {
		fmt.Fprintf(text, "    %s: {enabled: [%s]}\n", point.name, listOf(point.plugins))
	}
	if len(args) > 0 {
		fmt.Fprintf(text, "  pluginConfig:\n")
		for name, value := range args {
			fmt.Fprintf(text, "  - name: %s\n    args: %s\n", name, value)
		}
	}
	profile, err := sim.LoadProfile([]byte(text.String()))
	if err != nil {
		return setup{}, err
	}
	if registry == nil {
		registry = frameworkruntime.Registry{}
	}
	registry[devicedriver.Name] = driver.Factory
	return setup{profile: profile, plugins: registry, driver: driver}, nil
}

func listOf(names []string) string {
	var items []string
	for _, name := range names {
		weight := ""
		if name == "PodTopologySpread" {
			weight = ", weight: 2" // as in the default profile
		}
		items = append(items, fmt.Sprintf("{name: %s%s}", name, weight))
	}
	return strings.Join(items, ", ")
}
