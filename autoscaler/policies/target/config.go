package target

import "time"

// Config says how a pod's start is treated, how old a sample may be and where to
// depart from the HorizontalPodAutoscaler. All durations are 0 or more.
type Config struct {
	// CPUInitializationPeriod is how long after a pod's start its CPU samples
	// count only if they were taken entirely while it was ready.
	CPUInitializationPeriod time.Duration
	// InitialReadinessDelay is how long after a pod's start a change to not
	// ready still means that it has never been ready.
	InitialReadinessDelay time.Duration
	// MaxSampleAge is the age beyond which a sample counts as missing; 0 for
	// any age.
	MaxSampleAge time.Duration
	// Differences are those from the HorizontalPodAutoscaler.
	Differences Differences
}

// Differences are the deliberate ones from the HorizontalPodAutoscaler, each true
// to be different. README.md says what each is for.
type Differences struct {
	// FinishedPodsIgnored: Succeeded pods do not count, as Failed ones do not.
	FinishedPodsIgnored bool
	// NoReadyPodsHold: a metric of one value is unknown, instead of asking for 0 or
	// fewer replicas, while no pod is ready.
	NoReadyPodsHold bool
	// TerminatingNotServing: terminating pods are not ready pods.
	TerminatingNotServing bool
	// SurgeNotCounted: replicas are those the workload asks for, not those it has
	// for the time of a rollout: one value is compared with no more of them, and
	// pods beyond that number that do not serve do not count.
	SurgeNotCounted bool
	// DirectionKept: a metric above target never asks for fewer replicas than
	// there are, nor one below target for more.
	DirectionKept bool
	// BadValuesUnknown: a negative value is unknown, a negative sample missing.
	// What is no number is so in any case.
	BadValuesUnknown bool
	// RequestsOfCountingPodsOnly: a pod without a request matters only if the
	// result depends on it.
	RequestsOfCountingPodsOnly bool
	// StaleSamplesMissing: MaxSampleAge holds.
	StaleSamplesMissing bool
	// ForeignSamplesIgnored: samples of pods that are not in the observation, as
	// of those just deleted, do not count.
	ForeignSamplesIgnored bool
}

// AllDifferences has every difference.
func AllDifferences() Differences {
	return Differences{
		FinishedPodsIgnored: true, NoReadyPodsHold: true, TerminatingNotServing: true,
		SurgeNotCounted: true, DirectionKept: true, BadValuesUnknown: true,
		RequestsOfCountingPodsOnly: true, StaleSamplesMissing: true, ForeignSamplesIgnored: true,
	}
}

// DefaultConfig has the durations of the HorizontalPodAutoscaler, lets samples be
// five minutes old and has every difference.
func DefaultConfig() Config {
	c := Compatible()
	c.MaxSampleAge = 5 * time.Minute
	c.Differences = AllDifferences()
	return c
}

// Compatible is the HorizontalPodAutoscaler with its defaults, except that numbers
// saturate where its may overflow.
func Compatible() Config {
	return Config{CPUInitializationPeriod: 5 * time.Minute, InitialReadinessDelay: 30 * time.Second}
}

// maxSampleAge is the age beyond which a sample does not count; 0 for any age.
func (c Config) maxSampleAge() time.Duration {
	if !c.Differences.StaleSamplesMissing {
		return 0
	}
	return c.MaxSampleAge
}
