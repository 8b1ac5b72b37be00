// Package baseline holds the policies of the literature as score plugins, so that
// they run through the same framework as ours.
package baseline

import (
	"context"
	"math/rand/v2"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	fwk "k8s.io/kube-scheduler/framework"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// The plugins' names in a profile.
const (
	FGDName       = "FGD"
	BestFitName   = "PaperBestFit"
	LeastLeftName = "LeastLeft"
	RandomName    = "Random"
)

// FGD is Fragmentation Gradient Descent: the node on which the placement lessens
// fragmentation the most, as the paper's artifact computes it. Equal scores are
// frequent and are to go to a fixed order of nodes.
type FGD struct {
	source  devices.Source
	typical []openb.Share
	handle  fwk.Handle
}

// BestFit is the paper's best fit by CPU and GPUs.
type BestFit struct{ source devices.Source }

// LeastLeft is best fit by CPU and memory: the least mean share left free.
// Exactly computed; equal nodes get equal points.
type LeastLeft struct{}

// Random chooses any node that fits.
type Random struct{ rng *rand.Rand }

var (
	_ fwk.ScorePlugin     = (*FGD)(nil)
	_ fwk.SignPlugin      = (*FGD)(nil)
	_ fwk.ScorePlugin     = (*BestFit)(nil)
	_ fwk.ScoreExtensions = (*BestFit)(nil)
	_ fwk.SignPlugin      = (*BestFit)(nil)
	_ fwk.ScorePlugin     = (*LeastLeft)(nil)
	_ fwk.ScoreExtensions = (*LeastLeft)(nil)
	_ fwk.SignPlugin      = (*LeastLeft)(nil)
	_ fwk.ScorePlugin     = (*Random)(nil)
	_ fwk.ScoreExtensions = (*Random)(nil)
	_ fwk.SignPlugin      = (*Random)(nil)
)

// NewFGD makes the policy for the devices of source and the typical pods of the
// whole trace, which it knows beforehand.
func NewFGD(source devices.Source, typical []openb.Share) *FGD {
	return &FGD{source: source, typical: typical}
}

// Factory returns the policy as a plugin.
func (p *FGD) Factory(_ context.Context, _ runtime.Object, handle fwk.Handle) (fwk.Plugin, error) {
	p.handle = handle
	return p, nil
}

// Name returns the plugin's name.
func (p *FGD) Name() string { return FGDName }

// SignPod returns what the policy reads of a pod.
func (p *FGD) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return sign(p.source, pod)
}

// Score returns the steepness of the descent, 0 to 100.
func (p *FGD) Score(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	score, _ := roomOf(p.source, node).descent(classOf(p.source, pod), p.typical)
	return score, nil
}

// ScoreExtensions returns nil: scores stay as they are.
func (p *FGD) ScoreExtensions() fwk.ScoreExtensions { return nil }

// Choose picks the GPU for a share by the same score, of equal ones the first. It
// is a devicedriver.Choice.
func (p *FGD) Choose(nodeName string, pod *v1.Pod, _ []int64) int {
	node, err := p.handle.SnapshotSharedLister().NodeInfos().Get(nodeName)
	if err != nil {
		return -1
	}
	class, r := classOf(p.source, pod), roomOf(p.source, node)
	for _, info := range node.GetPods() {
		if info.GetPod().UID == pod.UID {
			r.cpuMilli += class.CPUMilli // assumed already
		}
	}
	_, gpu := r.descent(class, p.typical)
	return gpu
}

// NewBestFit makes the policy for the devices of source.
func NewBestFit(source devices.Source) *BestFit { return &BestFit{source: source} }

// Factory returns the policy as a plugin.
func (p *BestFit) Factory(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return p, nil
}

// Name returns the plugin's name.
func (p *BestFit) Name() string { return BestFitName }

// SignPod returns what the policy reads of a pod.
func (p *BestFit) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return sign(p.source, pod)
}

// Score returns how little the placement leaves, in whole points.
func (p *BestFit) Score(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	return roomOf(p.source, node).bestFit(classOf(p.source, pod)), nil
}

// ScoreExtensions returns the plugin.
func (p *BestFit) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore stretches the scores to 0 to 100, in whole points.
func (p *BestFit) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	low, high := extremes(scores)
	for i := range scores {
		if low == high {
			scores[i].Score = fwk.MinScore
			continue
		}
		scores[i].Score = (scores[i].Score - low) * fwk.MaxScore / (high - low)
	}
	return nil
}

// NewLeastLeft makes the policy.
func NewLeastLeft() *LeastLeft { return &LeastLeft{} }

// Factory returns the policy as a plugin.
func (p *LeastLeft) Factory(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return p, nil
}

// Name returns the plugin's name.
func (p *LeastLeft) Name() string { return LeastLeftName }

// SignPod returns what the policy reads of a pod.
func (p *LeastLeft) SignPod(_ context.Context, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	cpu, mem := requests(pod)
	return []fwk.SignFragment{{Key: "v1.Pod." + LeastLeftName + "()", Value: [2]int64{cpu, mem}}}, nil
}

// leftSteps is how finely LeastLeft tells shares apart.
const leftSteps = 1e12

// Score returns the mean share of CPU and memory left free, in steps. Less is
// better.
func (p *LeastLeft) Score(_ context.Context, _ fwk.CycleState, pod *v1.Pod, node fwk.NodeInfo) (int64, *fwk.Status) {
	cpu, mem := requests(pod)
	has, used := node.GetAllocatable(), node.GetRequested()
	left := share(has.GetMilliCPU()-used.GetMilliCPU()-cpu, has.GetMilliCPU()) +
		share(has.GetMemory()-used.GetMemory()-mem, has.GetMemory())
	return int64(left / 2 * leftSteps), nil
}

// ScoreExtensions returns the plugin.
func (p *LeastLeft) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore gives 100 to the nodes with the least left and 0 to the others:
// whole points between would make ties.
func (p *LeastLeft) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	least, _ := extremes(scores)
	for i := range scores {
		if scores[i].Score == least {
			scores[i].Score = fwk.MaxScore
		} else {
			scores[i].Score = fwk.MinScore
		}
	}
	return nil
}

// NewRandom makes the policy. Equal seeds choose alike.
func NewRandom(seed int64) *Random {
	return &Random{rng: rand.New(rand.NewPCG(uint64(seed), 0))} // Chance is to repeat itself.
}

// Factory returns the policy as a plugin.
func (p *Random) Factory(context.Context, runtime.Object, fwk.Handle) (fwk.Plugin, error) {
	return p, nil
}

// Name returns the plugin's name.
func (p *Random) Name() string { return RandomName }

// SignPod returns nothing: the policy reads nothing of a pod.
func (p *Random) SignPod(context.Context, *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return nil, nil
}

// Score returns 0.
func (p *Random) Score(context.Context, fwk.CycleState, *v1.Pod, fwk.NodeInfo) (int64, *fwk.Status) {
	return 0, nil
}

// ScoreExtensions returns the plugin.
func (p *Random) ScoreExtensions() fwk.ScoreExtensions { return p }

// NormalizeScore gives 100 to one node.
func (p *Random) NormalizeScore(_ context.Context, _ fwk.CycleState, _ *v1.Pod, scores fwk.NodeScoreList) *fwk.Status {
	for i := range scores {
		scores[i].Score = fwk.MinScore
	}
	if len(scores) > 0 {
		scores[p.rng.IntN(len(scores))].Score = fwk.MaxScore
	}
	return nil
}

func sign(source devices.Source, pod *v1.Pod) ([]fwk.SignFragment, *fwk.Status) {
	return []fwk.SignFragment{{Key: "v1.Pod.openb.Class()", Value: classOf(source, pod)}}, nil
}

func classOf(source devices.Source, pod *v1.Pod) openb.Class {
	cpu, _ := requests(pod)
	asks := source.Request(pod)
	return openb.Class{CPUMilli: cpu, GPUs: asks.Count, GPUMilli: asks.Milli}
}

func roomOf(source devices.Source, node fwk.NodeInfo) room {
	return room{
		cpuMilli: node.GetAllocatable().GetMilliCPU() - node.GetRequested().GetMilliCPU(),
		free:     source.State(node.Node().Name).Free,
		model:    node.Node().Labels[openb.ModelLabel],
	}
}

// requests sums what a pod's containers ask. Pods of traces have no others.
func requests(pod *v1.Pod) (cpuMilli, memory int64) {
	for i := range pod.Spec.Containers {
		asks := pod.Spec.Containers[i].Resources.Requests
		cpuMilli += asks.Cpu().MilliValue()
		memory += asks.Memory().Value()
	}
	return cpuMilli, memory
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func extremes(scores fwk.NodeScoreList) (low, high int64) {
	if len(scores) == 0 {
		return 0, 0
	}
	low, high = scores[0].Score, scores[0].Score
	for _, s := range scores[1:] {
		low, high = min(low, s.Score), max(high, s.Score)
	}
	return low, high
}
