package baseline

import (
	"math"
	"slices"
	"strings"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
)

// room is what a node has free, as far as FGD and BestFit look.
type room struct {
	cpuMilli int64
	free     []int64 // of each GPU, in thousandths
	model    string
}

// place returns what is left when the class takes whole GPUs or none. A share is
// placed by its caller, who knows the GPU.
func (r room) place(c openb.Class) room {
	left := room{cpuMilli: r.cpuMilli - c.CPUMilli, free: slices.Clone(r.free), model: r.model}
	missing := c.GPUs
	for i := range left.free {
		if missing > 0 && left.free[i] == openb.WholeGPU {
			left.free[i] = 0
			missing--
		}
	}
	return left
}

// The kinds of fragments, in the order in which the artifact adds them up: the
// order of floating-point sums decides scores at the edge of an integer. What is
// no fragment comes last and is not added.
const (
	lacksBoth = iota
	lacksGPU
	lacksCPU
	cpuOnlyFits
	cpuOnlyLacksCPU
	wrongModel
	noFragment
	kindsOfFragments
)

// fragments is how many thousandths of the node's free GPUs a pod drawn from the
// typical ones cannot use, in expectation (Weng et al., section 4.1).
func (r room) fragments(typical []openb.Share) float64 {
	var all int64
	for _, free := range r.free {
		all += free
	}
	if all == 0 {
		return 0
	}
	var sums [kindsOfFragments]float64
	for _, class := range typical {
		kind, tooSmall := r.fragmentOf(class.Class)
		if kind == noFragment {
			sums[lacksGPU] += class.Of * float64(tooSmall)
			continue
		}
		sums[kind] += class.Of * float64(all)
	}
	var sum float64
	for _, part := range sums[:noFragment] {
		sum += part
	}
	return sum
}

// fragmentOf says why a class cannot use the node. If it can, tooSmall is what is
// free of GPUs too small for it, in thousandths.
func (r room) fragmentOf(c openb.Class) (kind int, tooSmall int64) {
	cpuFits := r.cpuMilli >= c.CPUMilli
	if c.GPUs == 0 {
		if cpuFits {
			return cpuOnlyFits, 0
		}
		return cpuOnlyLacksCPU, 0
	}
	if c.Models != "" && !slices.Contains(strings.Split(c.Models, "|"), r.model) {
		return wrongModel, 0
	}
	fitting := 0
	for _, free := range r.free {
		if free >= c.GPUMilli {
			fitting++
		} else {
			tooSmall += free
		}
	}
	switch gpuFits := fitting >= c.GPUs; {
	case gpuFits && cpuFits:
		return noFragment, tooSmall
	case gpuFits:
		return lacksCPU, 0
	case cpuFits:
		return lacksGPU, 0
	default:
		return lacksBoth, 0
	}
}

// descent scores a placement by how much less is fragmented after it, 0 to 100:
// Fragmentation Gradient Descent. For a share it also returns the index of the GPU
// that it would take, otherwise -1. The class fits.
func (r room) descent(c openb.Class, typical []openb.Share) (score int64, gpu int) {
	before := r.fragments(typical)
	if c.GPUs != 1 || c.GPUMilli == openb.WholeGPU {
		return steepness(before - r.place(c).fragments(typical)), -1
	}
	score, gpu = -1, -1
	after := room{cpuMilli: r.cpuMilli - c.CPUMilli, free: slices.Clone(r.free), model: r.model}
	for i, free := range r.free {
		if free < c.GPUMilli || slices.Contains(r.free[:i], free) {
			continue // a GPU like an earlier one scores as that does
		}
		after.free[i] = free - c.GPUMilli
		if s := steepness(before - after.fragments(typical)); s > score {
			score, gpu = s, i
		}
		after.free[i] = free
	}
	return score, gpu
}

// steepness maps a decrease in thousandths of a GPU to 0 to 100. That it is a
// whole number is part of the policy: it makes ties, which the node order breaks.
func steepness(decrease float64) int64 {
	return int64(1 / (1 + math.Exp(-decrease/1000)) * 100)
}

// The largest node of the paper.
const (
	largestCPUMilli = 128000
	largestGPUMilli = 8 * openb.WholeGPU
)

// bestFit scores a placement by how little of CPU and GPUs it leaves, 0 to 100 on
// nodes no larger than the paper's largest.
func (r room) bestFit(c openb.Class) int64 {
	var gpus int64
	for _, free := range r.free {
		gpus += free
	}
	left := float64(r.cpuMilli-c.CPUMilli)/largestCPUMilli*0.5 +
		float64(gpus-int64(c.GPUs)*c.GPUMilli)/largestGPUMilli*0.5
	return int64((1 - left) * 100)
}
