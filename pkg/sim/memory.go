package sim

import (
	"slices"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// maxRemembered bounds what is kept: verdicts and scores of this many pairs of
// signature and node, at some 50 bytes each.
const maxRemembered = 4 << 20

// never is the generation of what was not computed yet; real ones are above 0.
const never = -1

// memory holds what the framework found for the pods of one signature, node by node.
// A finding holds as long as its node has the generation at which it was made: the
// framework's own promise for equal signatures, which its batches rest on. No two
// nodes ever have one generation, so that a finding is not taken for another node's.
type memory struct {
	used       int64 // tick of the last use
	epoch      int64 // of memories, at which the rest was voided last
	scoreEpoch int64

	verdicts []*fwk.Status // nil: the node fits
	filtered []int64       // generation of the node at its verdict
	scored   []int64       // generation of the node at its raw scores
	raw      []int64       // raw scores, len(plugins) for each node
	plugins  []string      // score plugins, in the framework's order

	skippedFilters, skippedScores sets.Set[string]
}

// memories are the memory of each signature, those used latest.
type memories struct {
	bySignature map[string]*memory
	tick        int64
	epoch       int64 // raised when all that is kept becomes void
	scoreEpoch  int64 // raised when the scores do
	reasons     map[string]*fwk.Status
}

func newMemories() memories {
	return memories{bySignature: map[string]*memory{}, reasons: map[string]*fwk.Status{}}
}

// of returns the memory of a signature, sized for that many nodes; it makes one in
// place of the one that was unused for longest if there are too many.
func (m *memories) of(signature string, nodes int) *memory {
	m.tick++
	found := m.bySignature[signature]
	if found == nil {
		found = m.evict(max(1, maxRemembered/max(1, nodes)) - 1)
		m.bySignature[signature] = found
		found.reset(nodes)
		found.epoch, found.scoreEpoch = m.epoch, m.scoreEpoch
	}
	if found.epoch != m.epoch {
		found.reset(nodes)
	}
	found.resize(nodes)
	if found.scoreEpoch != m.scoreEpoch {
		found.forgetScores()
	}
	found.used, found.epoch, found.scoreEpoch = m.tick, m.epoch, m.scoreEpoch
	return found
}

// evict leaves at most that many memories, and returns one to use: the last evicted,
// or a new one.
func (m *memories) evict(most int) *memory {
	free := &memory{}
	for len(m.bySignature) > most {
		oldest := ""
		for signature, candidate := range m.bySignature {
			if found := m.bySignature[oldest]; found == nil || candidate.used < found.used {
				oldest = signature
			}
		}
		free = m.bySignature[oldest]
		delete(m.bySignature, oldest)
	}
	return free
}

// canonical returns one status for all that say the same, so that a verdict costs a
// pointer. The first reason may name an amount, hence the bound.
func (m *memories) canonical(status *fwk.Status) *fwk.Status {
	if status.IsSuccess() {
		return nil
	}
	key := status.Code().String() + "\x00" + status.Plugin() + "\x00" + status.Message()
	if known, found := m.reasons[key]; found {
		return known
	}
	if len(m.reasons) >= 10_000 {
		clear(m.reasons)
	}
	m.reasons[key] = status
	return status
}

// resize makes room for that many nodes and keeps what it can. What it finds in room
// used before is of a generation that is past, or never.
func (m *memory) resize(nodes int) {
	for len(m.filtered) < nodes {
		m.verdicts, m.filtered, m.scored = append(m.verdicts, nil), append(m.filtered, never), append(m.scored, never)
	}
	m.verdicts, m.filtered, m.scored = m.verdicts[:nodes], m.filtered[:nodes], m.scored[:nodes]
	width := nodes * len(m.plugins)
	m.raw = slices.Grow(m.raw, max(0, width-len(m.raw)))[:width]
}

// reset forgets everything and makes room for that many nodes.
func (m *memory) reset(nodes int) {
	m.verdicts = slices.Grow(m.verdicts[:0], nodes)[:nodes]
	m.filtered = slices.Grow(m.filtered[:0], nodes)[:nodes]
	m.scored = slices.Grow(m.scored[:0], nodes)[:nodes]
	m.forgetVerdicts()
	m.forgetScores()
}

func (m *memory) forgetVerdicts() {
	for i := range m.filtered {
		m.filtered[i], m.verdicts[i] = never, nil
	}
}

func (m *memory) forgetScores() {
	for i := range m.scored {
		m.scored[i] = never
	}
	m.plugins = m.plugins[:0]
}

// expectFilters forgets verdicts that were made with other filters skipped.
func (m *memory) expectFilters(skipped sets.Set[string]) {
	if !skipped.Equal(m.skippedFilters) {
		m.forgetVerdicts()
		m.skippedFilters = skipped
	}
}

// expectScores forgets scores that were made with other plugins skipped: the
// framework would count those that are missing as 0.
func (m *memory) expectScores(skipped sets.Set[string]) {
	if !skipped.Equal(m.skippedScores) {
		m.forgetScores()
		m.skippedScores = skipped
	}
}

// keepScores stores the raw scores of a node at a generation.
func (m *memory) keepScores(node int, generation int64, scores []fwk.PluginScore) {
	if len(m.plugins) != len(scores) {
		m.plugins = m.plugins[:0]
		for _, score := range scores {
			m.plugins = append(m.plugins, score.Name)
		}
		m.raw = slices.Grow(m.raw[:0], len(m.scored)*len(scores))[:len(m.scored)*len(scores)]
	}
	for k, score := range scores {
		m.raw[node*len(scores)+k] = score.Score
	}
	m.scored[node] = generation
}

// isRepeatable reports whether a signature holds all that plugins read of a pod
// besides its namespace. Claims of volumes are signed by name, but are used up.
func isRepeatable(pod *v1.Pod) bool {
	return !slices.ContainsFunc(pod.Spec.Volumes, func(volume v1.Volume) bool {
		return volume.PersistentVolumeClaim != nil || volume.Ephemeral != nil
	})
}

// reachesOtherNodes reports whether the pod, once on a node, changes what others may
// find on nodes that it is not on. In tree these are terms of pod affinity, which
// hold for a whole domain; a plugin that reads other nodes refuses to sign.
func reachesOtherNodes(pod *v1.Pod) bool {
	affinity := pod.Spec.Affinity
	return affinity != nil && (affinity.PodAffinity != nil || affinity.PodAntiAffinity != nil)
}
