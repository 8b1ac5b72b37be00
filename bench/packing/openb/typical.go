package openb

import (
	"cmp"
	"maps"
	"slices"
)

// Class is what pods of one kind ask, as FGD tells kinds apart: memory is not
// part of it.
type Class struct {
	CPUMilli int64
	GPUMilli int64 // of each GPU; 0 without GPUs
	GPUs     int
	Models   string // as in Pod
}

// ClassOf returns the pod's class.
func ClassOf(p Pod) Class {
	return Class{CPUMilli: p.CPUMilli, GPUMilli: p.GPUMilli, GPUs: p.GPUs, Models: p.Models}
}

// Share is a class and the share of pods that are of it, above 0, at most 1.
type Share struct {
	Class
	Of float64
}

// coveredPercent of the pods are typical in the paper.
const coveredPercent = 95

// Typical returns the most frequent classes that together cover 95 % of the pods,
// the most frequent first, their shares summing to 1: FGD's typical pods.
func Typical(pods []Pod) []Share {
	counts := map[Class]float64{}
	for _, p := range pods {
		counts[ClassOf(p)]++
	}
	classes := slices.SortedFunc(maps.Keys(counts), func(a, b Class) int {
		return cmp.Or(
			cmp.Compare(counts[b], counts[a]),
			cmp.Compare(b.CPUMilli, a.CPUMilli),
			cmp.Compare(b.GPUMilli, a.GPUMilli),
			cmp.Compare(b.GPUs, a.GPUs),
			cmp.Compare(b.Models, a.Models),
		)
	})
	// The order of these divisions decides scores at the edge of an integer.
	all := float64(len(pods))
	var covered float64
	var typical []Share
	for _, c := range classes {
		if covered >= coveredPercent*all/100 {
			break
		}
		covered += counts[c]
		typical = append(typical, Share{Class: c, Of: counts[c] / all})
	}
	if len(typical) < len(classes) {
		for i := range typical {
			typical[i].Of /= covered / all
		}
	}
	return typical
}
