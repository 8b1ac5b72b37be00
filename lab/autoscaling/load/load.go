// Package load says what the workloads of the autoscaler benchmark are asked for and use at any
// time. It is a pure function of a seed and the time, so that every controller, and every server
// that is asked, sees the same world.
package load

import (
	"math"
	"time"
)

// What a pod is asked for and uses where the load is exactly on its target.
const (
	// TargetCPUMilli is a pod's CPU use in thousandths of a core.
	TargetCPUMilli = 60
	// TargetRequests is a pod's requests a second.
	TargetRequests = 10
)

const (
	// wave is the length of one rise and fall.
	wave = 10 * time.Minute
	// calm and wild are amplitudes as shares of the target. The calm ones leave the tolerance of
	// 10 % for a part of each wave; the wild ones really scale.
	calm, wild = 0.15, 0.50
	// oneInWild is how many workloads there are for a wild one.
	oneInWild = 50
	// podSpread is how far a pod is from the mean of its workload at most, and sampleNoise how far a
	// sample of its CPU use is from its mean, as shares.
	podSpread, sampleNoise = 0.05, 0.01
)

// Load is a world of load. The zero value is one of them.
type Load struct {
	// Seed chooses phases and noise.
	Seed uint64
	// Origin is when the counters of requests stood at 0.
	Origin time.Time
}

// Level is the load of a workload at t as a share of its target: 1 is right on it.
func (l Load) Level(workload int, t time.Time) float64 {
	return 1 + amplitude(workload)*math.Sin(l.phase(workload, t))
}

// CPUNano is the CPU use of one pod, in billionths of a core, as sampled in the interval of the
// given length that holds t. All of an interval see the same sample.
func (l Load) CPUNano(workload, pod int, t time.Time, interval time.Duration) int64 {
	t = t.Truncate(interval)
	noise := sampleNoise * l.draw(uint64(workload), uint64(pod), uint64(t.UnixNano()))
	return int64(1e6 * TargetCPUMilli * l.Level(workload, t) * l.share(workload, pod) * (1 + noise))
}

// Requests is how many requests one pod has served since the origin: the integral of its rate.
// It never falls with t from the origin on.
func (l Load) Requests(workload, pod int, t time.Time) float64 {
	swing := amplitude(workload) * wave.Seconds() / (2 * math.Pi) *
		(math.Cos(l.phase(workload, l.Origin)) - math.Cos(l.phase(workload, t)))
	return TargetRequests * l.share(workload, pod) * (t.Sub(l.Origin).Seconds() + swing)
}

func amplitude(workload int) float64 {
	if workload%oneInWild == workload/oneInWild%2 { // even ones and odd ones in turns
		return wild
	}
	return calm
}

// phase is where in its wave a workload is at t, in radians.
func (l Load) phase(workload int, t time.Time) float64 {
	turns := t.Sub(l.Origin).Seconds()/wave.Seconds() + l.draw(uint64(workload))/2
	return 2 * math.Pi * turns
}

// share is a pod's load over the mean of its workload.
func (l Load) share(workload, pod int) float64 {
	return 1 + podSpread*l.draw(uint64(workload), uint64(pod))
}

// draw is a number from -1 to 1 that the seed and the keys determine: SplitMix64's mixing function
// (https://prng.di.unimi.it/splitmix64.c), applied key by key.
func (l Load) draw(keys ...uint64) float64 {
	x := mix(l.Seed)
	for _, key := range keys {
		x = mix(x ^ mix(key))
	}
	return float64(x>>11)/(1<<52) - 1
}

func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
