package main

import (
	"strconv"
	"strings"
)

// Targets of issue 4 for our own policy; the other policies have none.
const (
	p1OverFGD     = 0.5  // points of GPU allocation above FGD, on every trace
	p1DefaultRate = 96.2 // % of GPUs on the trace default
)

func fixedTargets() map[string]string {
	return map[string]string{
		"p2.mean.plimsoll.nodes_over_bound_pct":          "1.0",
		"p2.default.plimsoll.nodes_over_bound_pct":       "1.0",
		"p2.cpu200.plimsoll.nodes_over_bound_pct":        "1.0",
		"p2.multigpu40.plimsoll.nodes_over_bound_pct":    "1.0",
		"p2.gpushare80.plimsoll.nodes_over_bound_pct":    "1.0",
		"p2.real.plimsoll.first_rejection_pct":           "98.1",
		"p3.n64.plimsoll.node_hours_over_bound_pct":      "9.0",
		"p3.n16.plimsoll.node_hours_over_bound_pct":      "5.7",
		"p3.fixed920.plimsoll.node_hours_over_bound_pct": "9.1",
		"p3.mixed.plimsoll.node_hours_over_bound_pct":    "14.8",
	}
}

// setTargets fills the target column (the fourth) of figures. Those of P1 depend
// on what FGD reached: half a point more on every trace, and no more failed pods
// of any kind.
func setTargets(lines [][]string) {
	values := map[string]float64{}
	for _, line := range lines {
		if v, err := strconv.ParseFloat(line[1], 64); err == nil {
			values[line[0]] = v
		}
	}
	fixed := fixedTargets()
	for _, line := range lines {
		line[3] = fixed[line[0]]
		parts := strings.Split(line[0], ".")
		if len(parts) != 4 || parts[0] != "p1" || !isOurs(parts[2]) {
			continue
		}
		reached, ok := values["p1."+parts[1]+".fgd."+parts[3]]
		switch measure := parts[3]; {
		case !ok:
		case measure == "alloc100":
			target := reached + p1OverFGD
			if parts[1] == "default" {
				target = max(target, p1DefaultRate)
			}
			line[3] = strconv.FormatFloat(target, 'f', 2, 64)
		case strings.HasPrefix(measure, "failed"):
			line[3] = format(reached)
		}
	}
}

// isOurs reports whether targets apply to a policy: the shipped one, learning or
// given the mix.
func isOurs(policy string) bool { return policy == "plimsoll" || policy == "plimsoll-given" }
