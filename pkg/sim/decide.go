package sim

import (
	"fmt"
	"slices"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	fwk "k8s.io/kube-scheduler/framework"
)

// Result is what became of a pod.
type Result struct {
	// Node has the pod now. Empty: the pod is pending.
	Node string
	// Feasible is the number of nodes that fit it.
	Feasible int
	// Diagnosis says of a pending pod on how many nodes each reason kept it away; a
	// node may have several. Empty if the pod was placed, or there is no node.
	Diagnosis map[string]int
}

// Why returns the reasons as a sentence, the commonest first; empty for a pod that
// was placed.
func (r Result) Why() string {
	if r.Node != "" {
		return ""
	}
	if len(r.Diagnosis) == 0 {
		return "there is no node"
	}
	reasons := make([]string, 0, len(r.Diagnosis))
	for reason := range r.Diagnosis {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(a, b string) int {
		if r.Diagnosis[a] != r.Diagnosis[b] {
			return r.Diagnosis[b] - r.Diagnosis[a]
		}
		return strings.Compare(a, b)
	})
	for i, reason := range reasons {
		reasons[i] = fmt.Sprintf("%d %s", r.Diagnosis[reason], reason)
	}
	return strings.Join(reasons, ", ")
}

// scratch is room that each pod uses anew.
type scratch struct {
	blank      memory // of a pod that no other is like
	candidates []fwk.NodeInfo
	at         []int // their indexes
	scores     []fwk.NodePluginScores
	raw        []fwk.PluginScore
}

// decide finds the node of a pod, as kube-scheduler's schedulePod does: PreFilter,
// Filter, PreScore, Score, NormalizeScore and weights, choice.
func (s *Simulator) decide(state fwk.CycleState, pod *v1.Pod) (Result, error) {
	if err := s.refresh(); err != nil {
		return Result{}, err
	}
	if len(s.nodes) == 0 {
		return Result{}, nil
	}
	allowed, status, by := s.framework.RunPreFilterPlugins(s.ctx, state, pod)
	switch {
	case status.IsRejected():
		return Result{Diagnosis: count(status, len(s.nodes))}, nil
	case !status.IsSuccess():
		return Result{}, status.AsError()
	}
	known := s.recall(pod, allowed)
	known.expectFilters(state.GetSkipFilterPlugins())
	if !allowed.AllNodes() {
		s.rejectOthers(known, allowed, by)
	}
	if err := s.filter(state, pod, known); err != nil {
		return Result{}, err
	}
	feasible := len(s.scratch.candidates)
	switch feasible {
	case 0:
		return Result{Diagnosis: s.diagnose(known)}, nil
	case 1: // kube-scheduler does not score a lone candidate
		return Result{Node: s.names[s.scratch.at[0]], Feasible: 1}, nil
	}
	if err := s.score(state, pod, known); err != nil {
		return Result{}, err
	}
	return Result{Node: s.choose(), Feasible: feasible}, nil
}

// recall returns what is known for the signature of a pod, or a blank if it has none.
func (s *Simulator) recall(pod *v1.Pod, allowed *fwk.PreFilterResult) *memory {
	if !s.exhaustive && allowed.AllNodes() && isRepeatable(pod) {
		if signature := s.framework.SignPod(s.ctx, pod); signature != nil {
			return s.memories.of(pod.Namespace+"\x00"+string(signature), len(s.nodes))
		}
	}
	s.scratch.blank.reset(len(s.nodes))
	return &s.scratch.blank
}

// rejectOthers gives nodes that PreFilter did not allow the verdict that
// kube-scheduler gives them.
func (s *Simulator) rejectOthers(known *memory, allowed *fwk.PreFilterResult, by sets.Set[string]) {
	absent := fwk.NewStatus(fwk.UnschedulableAndUnresolvable, fmt.Sprintf("node(s) didn't satisfy plugin(s) %v", sets.List(by)))
	for i, name := range s.names {
		if !allowed.NodeNames.Has(name) {
			known.verdicts[i], known.filtered[i] = absent, s.generations[i]
		}
	}
}

// filter brings the verdicts up to date and lists the nodes that fit.
func (s *Simulator) filter(state fwk.CycleState, pod *v1.Pod, known *memory) error {
	s.scratch.candidates, s.scratch.at = s.scratch.candidates[:0], s.scratch.at[:0]
	for i, generation := range s.generations {
		if known.filtered[i] != generation {
			status := s.framework.RunFilterPlugins(s.ctx, state, pod, s.nodes[i])
			if !status.IsSuccess() && !status.IsRejected() {
				return fmt.Errorf("node %s: %w", s.names[i], status.AsError())
			}
			known.verdicts[i], known.filtered[i] = s.memories.canonical(status), generation
		}
		if known.verdicts[i] == nil {
			s.scratch.candidates = append(s.scratch.candidates, s.nodes[i])
			s.scratch.at = append(s.scratch.at, i)
		}
	}
	return nil
}

// score has the framework score the candidates: raw scores, normalised, weighed and
// added.
func (s *Simulator) score(state fwk.CycleState, pod *v1.Pod, known *memory) error {
	if !s.framework.HasScorePlugins() {
		s.scratch.scores = s.scratch.scores[:0]
		for _, i := range s.scratch.at {
			s.scratch.scores = append(s.scratch.scores, fwk.NodePluginScores{Name: s.names[i], TotalScore: 1})
		}
		return nil
	}
	if status := s.framework.RunPreScorePlugins(s.ctx, state, pod, s.scratch.candidates); !status.IsSuccess() {
		return status.AsError()
	}
	if known == &s.scratch.blank { // nothing to keep: as kube-scheduler does it
		scores, status := s.framework.RunScorePlugins(s.ctx, state, pod, s.scratch.candidates)
		s.scratch.scores = scores
		return status.AsError()
	}
	return s.scoreAgain(state, pod, known)
}

// scoreAgain scores the candidates that changed, and normalises the scores of all.
func (s *Simulator) scoreAgain(state fwk.CycleState, pod *v1.Pod, known *memory) error {
	known.expectScores(state.GetSkipScorePlugins())
	s.scratch.scores = slices.Grow(s.scratch.scores[:0], len(s.nodes))[:len(s.scratch.at)]
	for k, i := range s.scratch.at {
		if known.scored[i] == s.generations[i] {
			continue
		}
		raw, status := s.framework.RunRawScorePlugins(s.ctx, state, pod, s.scratch.candidates[k])
		if !status.IsSuccess() {
			return fmt.Errorf("node %s: %w", s.names[i], status.AsError())
		}
		known.keepScores(i, s.generations[i], raw)
	}
	s.layOut(known)
	return s.framework.NormalizeScores(s.ctx, state, pod, s.scratch.scores).AsError()
}

// layOut writes the raw scores of the candidates in the form that the framework takes.
func (s *Simulator) layOut(known *memory) {
	width := len(known.plugins)
	s.scratch.raw = slices.Grow(s.scratch.raw[:0], len(s.nodes)*width)[:len(s.scratch.at)*width]
	for k, i := range s.scratch.at {
		raw := s.scratch.raw[k*width : (k+1)*width : (k+1)*width]
		for p, name := range known.plugins {
			raw[p] = fwk.PluginScore{Name: name, Score: known.raw[i*width+p]}
		}
		s.scratch.scores[k] = fwk.NodePluginScores{Name: s.names[i], RawScores: raw}
	}
}

// choose returns the node of the highest total, the first by TieBreak of several.
func (s *Simulator) choose() string {
	best := &s.scratch.scores[0]
	for k := range s.scratch.scores[1:] {
		next := &s.scratch.scores[k+1]
		if next.TotalScore > best.TotalScore ||
			next.TotalScore == best.TotalScore && s.tieBreak(next.Name, best.Name) < 0 {
			best = next
		}
	}
	return best.Name
}

func (s *Simulator) diagnose(known *memory) map[string]int {
	nodes := map[*fwk.Status]int{}
	for _, verdict := range known.verdicts {
		nodes[verdict]++
	}
	reasons := map[string]int{}
	for status, n := range nodes {
		for reason := range count(status, n) {
			reasons[reason] += n
		}
	}
	return reasons
}

// count gives each reason of a status that many nodes.
func count(status *fwk.Status, nodes int) map[string]int {
	reasons := map[string]int{}
	for _, reason := range status.Reasons() {
		reasons[reason] = nodes
	}
	if len(reasons) == 0 {
		reasons[status.Code().String()] = nodes
	}
	return reasons
}
