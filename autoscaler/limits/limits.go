// Package limits applies to a wanted number of replicas what holds whatever the
// policy: the stabilization windows, the rates and the bounds, in the order and
// with the reasons of the HorizontalPodAutoscaler. It is pure: its memory is a
// value that comes in and goes out.
package limits

import (
	"math"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/schedule"
)

// Rules are the limits of one workload.
type Rules struct {
	// MinReplicas and MaxReplicas bound the outcome, 0 <= min <= max.
	MinReplicas, MaxReplicas int32
	// Behavior says how quickly a wanted number is followed; nil for the rules of
	// the HorizontalPodAutoscaler without behavior: up at most to twice as many, or
	// to 4, at once, and never below the highest number of DownscaleStabilization.
	Behavior *Behavior
	// DownscaleStabilization is the window of scaling in without Behavior, 0 or
	// more.
	DownscaleStabilization time.Duration
	// Schedules are floors and ceilings that hold for a while.
	Schedules []Schedule
	// MemoryAsHPA makes the history remember as the HorizontalPodAutoscaler does,
	// which puts what is new in the place of something old: a change in that of one
	// that its own direction no longer looks back to, though the other may.
	MemoryAsHPA bool
}

// Schedule holds the bounds of a window.
type Schedule struct {
	schedule.Window
	// Min and Max are the floor and the ceiling, 0 or more; nil for none.
	Min, Max *int32
}

// Behavior says how quickly a wanted number is followed, in each direction.
type Behavior struct {
	ScaleUp, ScaleDown Direction
}

// Direction says how quickly a wanted number is followed in one direction.
type Direction struct {
	// Window is how long a number must have been wanted before it is followed, 0
	// or more; 0 for at once.
	Window time.Duration
	// Select says which of the policies counts.
	Select SelectPolicy
	// Policies are the rates; at least one, unless Select is Disabled.
	Policies []Policy
}

// SelectPolicy says which of several rates counts.
type SelectPolicy string

// The ways to select a rate.
const (
	SelectMax SelectPolicy = "Max"      // the one that allows the largest change
	SelectMin SelectPolicy = "Min"      // the one that allows the smallest change
	Disabled  SelectPolicy = "Disabled" // no change in this direction
)

// PolicyType is the unit of a rate.
type PolicyType string

// The units of rates.
const (
	Pods    PolicyType = "Pods"    // a number of replicas
	Percent PolicyType = "Percent" // percent of the replicas at the start of the period
)

// Policy is a rate: by how much the replicas may change in a period.
type Policy struct {
	Type PolicyType
	// Value is how much, greater than 0.
	Value int32
	// Period is greater than 0.
	Period time.Duration
}

// The constraints that change a number; the names are those of the
// HorizontalPodAutoscaler's conditions.
const (
	ScaleUpStabilized   = "ScaleUpStabilized"   // a lower number was wanted in the window
	ScaleDownStabilized = "ScaleDownStabilized" // a higher number was wanted in the window
	ScaleUpLimit        = "ScaleUpLimit"        // the rate of scaling out
	ScaleDownLimit      = "ScaleDownLimit"      // the rate of scaling in
	TooManyReplicas     = "TooManyReplicas"     // the maximum
	TooFewReplicas      = "TooFewReplicas"      // the minimum
)

// State is a number of replicas on its way through the limiters.
type State struct {
	// Current is what the workload has.
	Current int32
	// Raw is what is wanted.
	Raw int32
	// Replicas is what the limiters so far leave of it; Raw before the first.
	Replicas int32
	// Min and Max are the bounds of the moment, as Rules.At gives them.
	Min, Max int32
	// Constraints are those that changed the number, in the order they did.
	Constraints []string
}

// Limiter limits a number of replicas.
type Limiter interface {
	// Name is one CamelCase word, unique among limiters.
	Name() string
	// Limit returns the state with the limited number, and with the constraint if
	// it changed. It is pure. The history is what was before now.
	Limit(now time.Time, rules Rules, h History, s State) State
}

// Default is the one list of limiters, in the order in which they are applied.
func Default() []Limiter {
	return []Limiter{Stabilization{}, Rate{}, Bounds{}}
}

// At returns the bounds of the moment and the names of the schedules that are
// active, in their order. Of several floors, MinReplicas among them, the highest
// counts, of several ceilings the lowest, and a floor counts more than a ceiling;
// but nothing goes beyond MaxReplicas.
func (r Rules) At(now time.Time) (lowest, highest int32, active []string) {
	lowest, highest = r.MinReplicas, r.MaxReplicas
	for _, s := range r.Schedules {
		if !s.Active(now) {
			continue
		}
		active = append(active, s.Name)
		if s.Min != nil {
			lowest = max(lowest, *s.Min)
		}
		if s.Max != nil {
			highest = min(highest, *s.Max)
		}
	}
	lowest = min(lowest, r.MaxReplicas)
	return lowest, max(lowest, highest), active
}

// limit returns the state with another number and what it is due to.
func (s State) limit(replicas int32, constraint string) State {
	if replicas == s.Replicas {
		return s
	}
	s.Replicas = replicas
	s.Constraints = append(s.Constraints[:len(s.Constraints):len(s.Constraints)], constraint)
	return s
}

// Bounds holds the number within the bounds of the moment.
type Bounds struct{}

var _ Limiter = Bounds{}

// Name implements Limiter.
func (Bounds) Name() string { return "Bounds" }

// Limit implements Limiter.
func (Bounds) Limit(_ time.Time, _ Rules, _ History, s State) State {
	if s.Replicas < s.Min {
		return s.limit(s.Min, TooFewReplicas)
	}
	return s.limit(min(s.Replicas, s.Max), TooManyReplicas)
}

// saturate is n as a number of replicas or of changes.
func saturate(n int64) int32 {
	return int32(min(max(n, math.MinInt32), math.MaxInt32))
}
