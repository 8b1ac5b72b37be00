package main

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"

	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
)

// task is one run: one protocol, one workload, one policy, one seed. Tasks are
// independent of each other and give the same measures each time, but for speed.
type task struct {
	protocol string
	workload string // trace or cluster
	policy   policy
	seed     int64
	run      func(ctx context.Context, progress *progress) (outcome, error)
}

func (t task) String() string {
	return fmt.Sprintf("%s %s %s seed %d", t.protocol, t.workload, t.policy.name, t.seed)
}

// outcome is what one run measured.
type outcome struct {
	measures []measure
	curve    []point // P1 only
}

// measure is one figure of one run.
type measure struct {
	name  string
	value float64
	unit  string
}

// point is a point of a P1 curve, both in percent of the GPUs.
type point struct{ arrived, allocated float64 }

// start is when simulations begin. Any time will do.
func start() time.Time { return time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC) }

// replay is a simulator and the policy that runs in it.
type replay struct {
	*sim.Simulator
	scheduler string                   // the profile's name
	due       func(now time.Time) bool // see setup
	decisions int64
	progress  *progress
}

// newReplay builds the policy and a simulator around it. ctx ends what the
// framework started.
func newReplay(ctx context.Context, p policy, in inputs, progress *progress) (*replay, error) {
	clock := sim.NewClock(start())
	in.clock = clock
	made, err := p.build(in)
	if err != nil {
		return nil, err
	}
	simulator, err := sim.New(ctx, sim.Config{Profile: made.profile, Plugins: made.plugins, Clock: clock})
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", p.name, err)
	}
	return &replay{Simulator: simulator, scheduler: made.profile.SchedulerName, due: made.due, progress: progress}, nil
}

// place lets a pod arrive and be scheduled. It returns the name of its node, empty
// if none fits; the pod is then pending.
func (r *replay) place(pod *v1.Pod) (string, error) {
	if r.due != nil && r.due(r.Clock().Now()) {
		r.FlushScores()
	}
	result, err := r.Schedule(pod)
	if err != nil {
		return "", err
	}
	r.decisions++
	r.progress.count(1)
	return result.Node, nil
}

// speed is the measure of decisions a second of one run.
func (r *replay) speed(since time.Time) measure {
	return measure{"decisions_per_second", float64(r.decisions) / time.Since(since).Seconds(), "1/s"}
}
