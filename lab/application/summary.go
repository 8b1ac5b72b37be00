package application

import "time"

// riskUtilisation is the share of the ready pods' capacity above which a load counts as at risk.
const riskUtilisation = 0.8

// Summary is what a run came to, in trace time: wall durations and the requests counted in them are multiplied by the pace.
// The zero Summary is a run without steps.
type Summary struct {
	// Elapsed is the time summed.
	Elapsed time.Duration
	// Offered, Served and Lost are requests.
	Offered, Served, Lost float64
	// UnderProvisioned is the time with more load than the ready pods' capacity.
	UnderProvisioned time.Duration
	// AtRisk is the time with load above 0.8 of that capacity; it holds UnderProvisioned.
	AtRisk time.Duration
	// ReplicaHours are hours times pods, from their creation until they are gone.
	ReplicaHours float64
	// PeakReplicas is the highest number of pods.
	PeakReplicas int
}

// Add returns the summary with one more step.
func (s Summary) Add(flow Flow) Summary {
	length := flow.Pace.Trace(flow.Wall)
	pace := float64(flow.Pace)
	s.Elapsed += length
	s.Offered += flow.Offered.Float() * pace
	s.Served += flow.Served.Float() * pace
	s.Lost += flow.Lost.Sum().Float() * pace
	if flow.Load > flow.Capacity {
		s.UnderProvisioned += length
	}
	if flow.Load > riskUtilisation*flow.Capacity {
		s.AtRisk += length
	}
	s.ReplicaHours += length.Hours() * float64(flow.Replicas)
	s.PeakReplicas = max(s.PeakReplicas, flow.Replicas)
	return s
}

// Plus returns the sum over two applications that ran at the same time: UnderProvisioned and AtRisk become application-time,
// Elapsed is the longer one, and PeakReplicas is the sum of the peaks, which need not have come together.
func (s Summary) Plus(o Summary) Summary {
	return Summary{
		Elapsed:          max(s.Elapsed, o.Elapsed),
		Offered:          s.Offered + o.Offered,
		Served:           s.Served + o.Served,
		Lost:             s.Lost + o.Lost,
		UnderProvisioned: s.UnderProvisioned + o.UnderProvisioned,
		AtRisk:           s.AtRisk + o.AtRisk,
		ReplicaHours:     s.ReplicaHours + o.ReplicaHours,
		PeakReplicas:     s.PeakReplicas + o.PeakReplicas,
	}
}
