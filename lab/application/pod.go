package application

import (
	"math"
	"time"
)

// PodState is one running pod: what it shows as metrics, and its queue.
type PodState struct {
	Name string
	// Queued are the requests that wait, of wall time.
	Queued Requests
	// InFlight are the requests received and not yet answered, at the end of the latest step. As a level it has the trace's
	// value: load times latency.
	InFlight float64
	// CPUCores is the CPU used in the latest step, in cores.
	CPUCores float64
	// MemoryBytes is the working set at the end of the latest step.
	MemoryBytes int64
	// MeanLatency is the mean latency in the latest step, in trace time: ServiceTime for an idle pod, 0 for one that
	// has no CPU to serve with.
	MeanLatency time.Duration

	// The counters since the pod started.

	// Served and Lost are requests answered with 200 and with 503, which a full queue gives.
	Served, Lost Requests
	// CPUSeconds is the CPU used, in cores times wall seconds.
	CPUSeconds float64
	// Latency holds the requests in Served.
	Latency Histogram
}

// Histogram counts requests by latency in trace time.
type Histogram struct {
	// Buckets count the requests with a latency up to LatencyBounds()[i], those of the buckets before included.
	Buckets [LatencyBuckets]Requests
	// SumSeconds is the sum of the latencies, over requests of wall time.
	SumSeconds float64
}

// LatencyBuckets is the number of latency buckets that have a bound. One more without a bound is PodState.Served.
const LatencyBuckets = 14

// LatencyBounds are the upper bounds of the latency buckets, in seconds of trace time.
func LatencyBounds() [LatencyBuckets]float64 {
	return [LatencyBuckets]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10}
}

// capacity is what a pod with these cores can serve, in requests per second, at most MaxLoad: idle use is paid first.
func (p Params) capacity(cores float64) float64 {
	return min(MaxLoad, max(0, cores-p.IdleCPU)/p.coresPerLoad())
}

// coresPerLoad is the CPU that one request per second uses, in cores.
func (p Params) coresPerLoad() float64 { return (p.CPULimit - p.IdleCPU) / p.Capacity }

// serve lets a pod work for one step: it serves what it has queued and what arrives up to its capacity, queues the rest up to
// the bound, and loses what is over.
func (p Params) serve(pod PodState, cores float64, arriving Requests, wall time.Duration, step uint64) (
	after PodState, served, lost Requests,
) {
	capacity := p.capacity(cores)
	room := toRequests(capacity * wall.Seconds())
	bound := toRequests(capacity * p.MaxQueueDelay.Seconds() / float64(p.Pace))

	waiting := pod.Queued + arriving
	served = min(waiting, room)
	queued := min(waiting-served, bound)
	lost = waiting - served - queued

	var took latency
	if capacity > 0 {
		took = p.latency(capacity, served, room, (pod.Queued+queued)/2)
	}
	rate := served.Float() / wall.Seconds()
	noise := p.CPUNoise * gaussian(p.Seed, pod.Name, step)

	after = pod
	after.Queued = queued
	after.InFlight = rate*took.spread + queued.Float()*float64(p.Pace)
	after.CPUCores = min(cores, max(0, (p.IdleCPU+p.coresPerLoad()*rate)*(1+noise)))
	after.MemoryBytes = p.MemoryBytes + int64(after.InFlight*float64(p.MemoryPerRequestBytes))
	after.MeanLatency = time.Duration(took.mean() * float64(time.Second))
	after.Served += served
	after.Lost += lost
	after.CPUSeconds += after.CPUCores * wall.Seconds()
	after.Latency.add(served, took)
	return after, served, lost
}

// maxUtilisation is where the growth of the stationary wait ends. Above it a queue would need longer to reach its stationary
// length than the load stays as it is; there the queue that is really counted takes over.
const maxUtilisation = 0.95

// latency is the distribution of a step's latencies, in seconds of trace time: a constant wait for the queue that was there,
// then an exponential spread.
type latency struct{ drain, spread float64 }

func (l latency) mean() float64 { return l.drain + l.spread }

// upTo is the share of requests with a latency up to this one.
func (l latency) upTo(seconds float64) float64 {
	if seconds <= l.drain {
		return 0
	}
	return 1 - math.Exp(-(seconds-l.drain)/l.spread)
}

// latency is ServiceTime, plus the wait of random arrivals at this utilisation, plus the time to drain the queue:
//
//	k      = max(1, capacity * ServiceTime)                        servers that together have this capacity
//	wait   = u^(sqrt(2 (k+1)) - 1) / (capacity * (1 - u))          u = served / room, at most 0.95
//	drain  = queued * Pace / capacity
//
// The wait is Sakasegawa's approximation of M/M/k (H. Sakasegawa, An approximation formula Lq = a rho^b / (1 - rho), Annals of
// the Institute of Statistical Mathematics 29, 1977); for k = 1 it is M/M/1 exactly, whose latency is indeed exponential with
// mean ServiceTime / (1 - u). Nobody waits longer than MaxQueueDelay: who would is lost.
func (p Params) latency(capacity float64, served, room, queued Requests) latency {
	service, longest := p.ServiceTime.Seconds(), p.MaxQueueDelay.Seconds()
	utilisation := 0.0
	if room > 0 {
		utilisation = min(maxUtilisation, float64(served)/float64(room))
	}
	servers := max(1, capacity*service)
	wait := math.Pow(utilisation, math.Sqrt(2*(servers+1))-1) / (capacity * (1 - utilisation))
	drain := min(longest, queued.Float()*float64(p.Pace)/capacity)
	return latency{drain: drain, spread: service + min(wait, longest-drain)}
}

func (h *Histogram) add(served Requests, took latency) {
	if served == 0 {
		return
	}
	var below Requests // each bucket holds the ones before it, whatever the rounding
	for i, bound := range LatencyBounds() {
		below = max(below, Requests(math.Round(float64(served)*took.upTo(bound))))
		h.Buckets[i] += below
	}
	h.SumSeconds += served.Float() * took.mean()
}

// gaussian draws from the standard normal distribution, keyed by pod and step: it depends on no other pod and on no order.
// Two uniform numbers make one normal (Box and Muller, 1958).
func gaussian(seed uint64, name string, step uint64) float64 {
	key := mix(seed ^ mix(hash(name)^mix(step)))
	first, second := unit(mix(key+1)), unit(mix(key+2))
	return math.Sqrt(-2*math.Log(1-first)) * math.Cos(2*math.Pi*second)
}

// unit maps the upper 53 bits to [0, 1).
func unit(bits uint64) float64 { return float64(bits>>11) / (1 << 53) }

// hash is FNV-1a of 64 bits, stable over runs and machines; hash/fnv would allocate.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the output function of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
