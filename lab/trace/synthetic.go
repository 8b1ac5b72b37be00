package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// The synthetic day. Its mean without the crowd is near syntheticLoad; Scale sets another level.
const (
	// MinSyntheticDuration leaves room for the flash crowd to rise and to begin its decay.
	MinSyntheticDuration = 30 * time.Minute
	// MaxSyntheticDuration is a month.
	MaxSyntheticDuration = 30 * 24 * time.Hour

	syntheticStep = 15 * time.Second
	syntheticLoad = 100.0 // requests per second

	dayLength   = 24 * time.Hour
	troughClock = 4 * time.Hour  // the quietest time of day
	middayClock = 13 * time.Hour // the middle of a trace shorter than a day

	crowdRise  = 10 * time.Minute
	crowdDecay = 20 * time.Minute // time constant: 5 % of the crowd is left an hour after its peak

	noiseDeviation   = 0.03 // of the load
	noiseCorrelation = 0.8  // from one step to the next
)

// Synthetic returns a made-up load with a daily curve, noise and one flash crowd; the same seed gives the same trace.
// With c the time of day and u the time since the crowd's beginning:
//
//	load(t)  = 100 requests/s * day(c) * (1 + crowd(u)) * (1 + noise(t))
//	day(c)   = 1 - 0.55 cos(2 pi (c - 4 h) / 24 h)
//	crowd(u) = m * u / 10 min up to 10 minutes, then m * exp(-(u - 10 min) / 20 min); 0 before
//	noise    = first-order autoregression, deviation 3 %, correlation 0.8 between steps of 15 s
//
// so at its peak the crowd is 1 + m times the load before it; the seed draws m from 3 to 4 (a crowd of four to five times) and
// the crowd's beginning from 35 % to 50 % of the duration. A trace of a day or more begins at midnight; a shorter one is the
// part of the day around 13:00. The duration is MinSyntheticDuration to MaxSyntheticDuration, in steps of 15 s.
func Synthetic(seed uint64, duration time.Duration) (Trace, error) {
	if duration < MinSyntheticDuration || duration > MaxSyntheticDuration || duration%syntheticStep != 0 {
		return Trace{}, fmt.Errorf("synthetic trace: duration %v: allowed is %v to %v in steps of %v",
			duration, MinSyntheticDuration, MaxSyntheticDuration, syntheticStep)
	}
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a repeatable load, not a secret
	extra := 3 + random.Float64()
	begin := time.Duration((0.35 + 0.15*random.Float64()) * float64(duration))
	clock := time.Duration(0)
	if duration < dayLength {
		clock = max(0, middayClock-duration/2)
	}

	rates := make([]float64, duration/syntheticStep)
	noise := random.NormFloat64()
	for i := range rates {
		middle := time.Duration(i)*syntheticStep + syntheticStep/2
		load := syntheticLoad * day(clock+middle) * (1 + extra*crowd(middle-begin))
		rates[i] = max(0, load*(1+noiseDeviation*noise))
		noise = noiseCorrelation*noise + math.Sqrt(1-noiseCorrelation*noiseCorrelation)*random.NormFloat64()
	}
	monday := time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)
	return New(fmt.Sprintf("synthetic day, seed %d", seed), monday.Add(clock), syntheticStep, rates)
}

// day is the load at this time of day, as a share of the daily mean.
func day(clock time.Duration) float64 {
	return 1 - 0.55*math.Cos(2*math.Pi*float64(clock-troughClock)/float64(dayLength))
}

// crowd is the share of the crowd that is there, 0 to 1, this long after its beginning.
func crowd(since time.Duration) float64 {
	switch {
	case since <= 0:
		return 0
	case since <= crowdRise:
		return float64(since) / float64(crowdRise)
	}
	return math.Exp(-float64(since-crowdRise) / float64(crowdDecay))
}
