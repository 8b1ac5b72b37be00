package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/world"
)

// A contender is one controller in one configuration.
type contender struct {
	name, what string
	objects    objects
	// program is the folder of the program that runs it, and workers and qps what that is told.
	program      string
	workers, qps int
	// own reads its own metrics; nil for one that is timed by what it asks.
	own func(ctx context.Context, p *process) (*ownMetrics, error)
}

// objects are the autoscalers of the API that a controller works on.
type objects struct {
	create, delete func(*world.World, context.Context) error
	// active counts those whose condition ScalingActive is true.
	active func(*world.World, context.Context) (int, error)
}

// contenders is the list of all.
func contenders() []contender {
	ours, theirs := workloadAutoscalers(), horizontalPodAutoscalers()
	return []contender{
		{
			name: "plimsoll", what: "plimsoll-autoscaler with its default flags",
			objects: ours, program: "plimsoll", own: readOwnMetrics,
		},
		{
			name: "hpa", what: "the horizontal-pod-autoscaler-controller with its 5 workers, and no limit on its requests",
			objects: theirs, program: "hpa", workers: 5, qps: unlimited,
		},
		{
			name: "hpa-50-workers", what: "the same with 50 workers",
			objects: theirs, program: "hpa", workers: 50, qps: unlimited,
		},
		{
			name: "hpa-20-qps", what: "the same with its 5 workers and its default limit of 20 requests a second",
			objects: theirs, program: "hpa", workers: 5, qps: 20,
		},
	}
}

// unlimited is a number of requests a second that nothing here comes near.
const unlimited = 10_000

func workloadAutoscalers() objects {
	return objects{(*world.World).CreateWorkloadAutoscalers, (*world.World).DeleteWorkloadAutoscalers, (*world.World).ActiveWorkloadAutoscalers}
}

func horizontalPodAutoscalers() objects {
	return objects{(*world.World).CreateHorizontalPodAutoscalers, (*world.World).DeleteHorizontalPodAutoscalers, (*world.World).ActiveHorizontalPodAutoscalers}
}

func describeContenders() string {
	var text strings.Builder
	for _, c := range contenders() {
		fmt.Fprintf(&text, "  %s: %s\n", c.name, c.what)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// contendersNamed finds contenders by names with commas between them.
func contendersNamed(names string) ([]contender, error) {
	var found []contender
	for name := range strings.SplitSeq(names, ",") {
		c, err := contenderNamed(name)
		if err != nil {
			return nil, fmt.Errorf("-controllers: %w", err)
		}
		found = append(found, c)
	}
	return found, nil
}

func contenderNamed(name string) (contender, error) {
	var known []string
	for _, c := range contenders() {
		if c.name == name {
			return c, nil
		}
		known = append(known, c.name)
	}
	return contender{}, fmt.Errorf("%q: must be one of %s", name, strings.Join(known, ", "))
}
