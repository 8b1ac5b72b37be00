package topology

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// BudgetAnnotation declares a workload's budgets, as "zone=0.34,host=0.1": the
// share of its replicas that the loss of one domain of the level may take.
const BudgetAnnotation = "topology.plimsoll.dev/budget"

// DefaultSlack is what one domain may hold beyond its even part, as a share of
// all replicas: 0.41 of them in each of three zones. Up to there spread was free
// in simulation.
const DefaultSlack = 0.08

// rounding is what a share may miss a whole number of replicas by: 0.29 of 100 are 29.
const rounding = 1e-9

// Share is a share of a workload's replicas, if one is set.
type Share struct {
	// Value is 0..1.
	Value float64
	Set   bool
}

// BudgetInput is all that budgets depend on.
type BudgetInput struct {
	// Levels are the widest first.
	Levels []Level
	// Replicas is how many the workload is to have in the end, not how many are
	// alive now. Below 1 it counts as 1.
	Replicas int32
	// Domains is how many domains of each level the workload can use, at least 0.
	Domains []int32
	// Capacities, where they are given for a level, are how many replicas each of
	// these domains can hold, 0 for one that the workload cannot use.
	Capacities [][]int32
	// MinAvailable and MaxUnavailable are those of the workload's
	// PodDisruptionBudget, nil where they are not set.
	MinAvailable, MaxUnavailable *intstr.IntOrString
	// Shares are declared for single levels and count before anything else; nil for none.
	Shares []Share
	// Slack is for levels of which nothing is declared, 0..1: see DefaultSlack.
	Slack float64
}

// Budget is how many replicas one domain may hold.
type Budget struct {
	// PerLevel is 1..Replicas for each level.
	PerLevel []int32
	// Reason says in words why, the narrowest level first.
	Reason string
}

// BudgetOf derives budgets. A level's declared share counts first; else what the
// PodDisruptionBudget lets be unavailable at one time; else the even part of each
// domain and the slack. It is never below the least that lets the domains hold
// all replicas, and Reason says so where that is more than was declared. With
// more replicas no budget is smaller.
func BudgetOf(in BudgetInput) Budget {
	n := max(in.Replicas, 1)
	b := Budget{PerLevel: make([]int32, len(in.Levels))}
	declared, err := declaredBy(in, n)
	reasons := make([]string, 0, len(in.Levels)+1)
	if err != nil {
		reasons = append(reasons, err.Error())
	}
	for i := len(in.Levels) - 1; i >= 0; i-- {
		var why string
		b.PerLevel[i], why = in.level(i, n, declared)
		reasons = append(reasons, fmt.Sprintf("%s %d of %d: %s", in.Levels[i].Name, b.PerLevel[i], n, why))
	}
	b.Reason = strings.Join(reasons, "; ")
	return b
}

// disruptions is what a PodDisruptionBudget says.
type disruptions struct {
	declared    bool
	unavailable int32
}

func declaredBy(in BudgetInput, n int32) (disruptions, error) {
	if in.MinAvailable == nil && in.MaxUnavailable == nil {
		return disruptions{}, nil
	}
	unavailable, err := MayBeUnavailable(in.MinAvailable, in.MaxUnavailable, n)
	if err != nil {
		return disruptions{}, err
	}
	return disruptions{true, unavailable}, nil
}

// level derives the budget of one level.
func (in BudgetInput) level(i int, n int32, pdb disruptions) (int32, string) {
	if n == 1 {
		return 1, "a single replica"
	}
	domains, least, fits := in.least(i, n)
	if domains <= 1 {
		return n, fmt.Sprintf("%d %s to choose from", domains, domainsOf(domains))
	}
	budget, why := in.wish(i, n, domains, pdb)
	if budget >= least {
		return min(budget, n), why
	}
	if !fits {
		return least, fmt.Sprintf("%s would be %d, but %d domains have no room for all", why, budget, domains)
	}
	return least, fmt.Sprintf("%s would be %d, but %d domains hold no fewer", why, budget, domains)
}

// least returns how many domains of a level are of use, the least maximum with
// which they hold n replicas, and whether they hold as many at all.
func (in BudgetInput) least(i int, n int32) (domains, least int32, fits bool) {
	if i >= len(in.Capacities) || in.Capacities[i] == nil {
		if i < len(in.Domains) {
			domains = max(in.Domains[i], 0)
		}
		return domains, ceilDiv(n, max(domains, 1)), true
	}
	for _, capacity := range in.Capacities[i] {
		if capacity > 0 {
			domains++
		}
	}
	least, fits = LeastMaximum(n, in.Capacities[i])
	return domains, max(min(least, n), 1), fits
}

// wish is the budget before the topology has its say.
func (in BudgetInput) wish(i int, n, domains int32, pdb disruptions) (int32, string) {
	switch {
	case i < len(in.Shares) && in.Shares[i].Set:
		return shareOf(n, in.Shares[i].Value), fmt.Sprintf("the declared share %v", in.Shares[i].Value)
	case pdb.declared:
		return pdb.unavailable, "what the PodDisruptionBudget lets be unavailable"
	}
	even := ceilDiv(n, domains)
	return max(even, shareOf(n, 1/float64(domains)+in.Slack)), fmt.Sprintf("the even part of %d domains and a slack of %v", domains, in.Slack)
}

// MayBeUnavailable returns how many of a workload's replicas a
// PodDisruptionBudget lets be unavailable at one time, 0..replicas. Percentages
// are of replicas and are rounded up, minAvailable's as well, as the disruption
// controller does. A budget that covers several workloads is taken as if it
// covered this one alone.
func MayBeUnavailable(minAvailable, maxUnavailable *intstr.IntOrString, replicas int32) (int32, error) {
	if maxUnavailable != nil {
		value, err := intstr.GetScaledValueFromIntOrPercent(maxUnavailable, int(replicas), true)
		if err != nil {
			return 0, fmt.Errorf("maxUnavailable %q is neither a number nor a percentage", maxUnavailable.String())
		}
		return int32(min(max(value, 0), int(replicas))), nil
	}
	if minAvailable == nil {
		return replicas, nil
	}
	value, err := intstr.GetScaledValueFromIntOrPercent(minAvailable, int(replicas), true)
	if err != nil {
		return 0, fmt.Errorf("minAvailable %q is neither a number nor a percentage", minAvailable.String())
	}
	return int32(min(max(int(replicas)-value, 0), int(replicas))), nil
}

// LeastMaximum returns the smallest number of replicas for the fullest domain
// with which n replicas, at least 0, fit into domains of these capacities. Where
// they do not fit it returns the largest capacity and false.
func LeastMaximum(n int32, capacities []int32) (int32, bool) {
	var largest int32
	for _, capacity := range capacities {
		largest = max(largest, capacity)
	}
	if !Feasible(n, largest, capacities) {
		return largest, false
	}
	low, high := int32(0), largest // high is feasible; below low nothing is
	for low < high {
		if middle := low + (high-low)/2; Feasible(n, middle, capacities) {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, true
}

// Feasible reports whether n replicas fit into domains of these capacities with
// at most budget in each.
func Feasible(n, budget int32, capacities []int32) bool {
	var sum int64
	for _, capacity := range capacities {
		sum += int64(max(min(capacity, budget), 0))
	}
	return sum >= int64(n)
}

// MostWithin returns how many replicas of one workload fit on nodes when the
// budgets of all levels hold at the same time. Paths are the nodes' domains by
// level, capacities how many each node can hold. Domains are nested, so that
// filling from the narrowest level up is exact.
func MostWithin(budgets []int32, paths [][]DomainID, capacities []int32) int64 {
	type held struct {
		path   []DomainID
		amount int64
	}
	all := make([]held, len(paths))
	for i, path := range paths {
		all[i] = held{path, int64(max(capacities[i], 0))}
	}
	for level := len(budgets) - 1; level >= 0; level-- {
		wider, at := all[:0:0], map[DomainID]int{}
		for _, h := range all {
			id := h.path[level]
			if found, known := at[id]; known && !id.IsZero() {
				wider[found].amount += h.amount
				continue
			}
			at[id] = len(wider)
			wider = append(wider, h)
		}
		for i := range wider {
			if !wider[i].path[level].IsZero() {
				wider[i].amount = min(wider[i].amount, int64(budgets[level]))
			}
		}
		all = wider
	}
	var sum int64
	for _, h := range all {
		sum += h.amount
	}
	return sum
}

// ParseShares reads the value of BudgetAnnotation, such as "zone=0.34,host=0.1",
// into shares by level. Spaces around names and shares are left out.
func ParseShares(text string, levels []Level, path *field.Path) ([]Share, field.ErrorList) {
	shares := make([]Share, len(levels))
	var errs field.ErrorList
	for entry := range strings.SplitSeq(text, ",") {
		name, number, found := strings.Cut(strings.TrimSpace(entry), "=")
		if !found {
			errs = append(errs, field.Invalid(path, entry, `must be level=share, separated by commas, as in "zone=0.34,host=0.1"`))
			continue
		}
		name = strings.TrimSpace(name)
		i := levelNamed(levels, name)
		if i < 0 {
			errs = append(errs, field.Invalid(path.Key(name), name, "must be one of the levels "+namesOf(levels)))
			continue
		}
		if shares[i].Set {
			errs = append(errs, field.Duplicate(path.Key(name), name))
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		if err != nil {
			errs = append(errs, field.Invalid(path.Key(name), number, "must be a number from 0 to 1"))
			continue
		}
		errs = append(errs, ValidateShare(value, path.Key(name))...)
		shares[i] = Share{value, true}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return shares, nil
}

// ValidateShare checks a share of replicas: 0..1.
func ValidateShare(share float64, path *field.Path) field.ErrorList {
	if !(share >= 0 && share <= 1) { // NaN is neither
		return field.ErrorList{field.Invalid(path, share, "must be from 0 to 1, a share of the replicas")}
	}
	return nil
}

func shareOf(n int32, share float64) int32 {
	return int32(math.Floor(math.Min(share, 1)*float64(n) + rounding))
}

func ceilDiv(n, by int32) int32 { return (n-1)/by + 1 }

func domainsOf(n int32) string {
	if n == 1 {
		return "domain"
	}
	return "domains"
}
