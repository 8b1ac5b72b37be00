package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/charts"
	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

// draw draws all that the files hold, not only what was measured now.
func draw(dir string, all, curves figures.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	if len(curves.Lines) > 0 {
		if err := drawCurves(filepath.Join(dir, "packing-p1.svg"), curves); err != nil {
			return err
		}
	}
	for _, bars := range []struct {
		protocol, measure, title, label string
		most                            float64
	}{
		{"p2", "nodes_over_bound_pct", "P2: nodes needed to host every pod", "% over the lower bound", 25},
		{"p3", "node_hours_over_bound_pct", "P3: node-hours with arrivals and departures", "% over the volume bound", 40},
	} {
		groups, series := barsOf(all, bars.protocol, bars.measure)
		if len(groups) == 0 {
			continue
		}
		file := filepath.Join(dir, "packing-"+bars.protocol+".svg")
		if err := charts.Bars(file, bars.title, bars.label, groups, series, bars.most); err != nil {
			return err
		}
	}
	return nil
}

func drawCurves(file string, curves figures.File) error {
	var traces, drawn []string
	lines := map[string]map[string]charts.Series{}
	for _, line := range curves.Lines {
		trace, policy := line[0], line[1]
		x, errX := strconv.ParseFloat(line[2], 64)
		y, errY := strconv.ParseFloat(line[3], 64)
		if errX != nil || errY != nil {
			return fmt.Errorf("draw %s: %q: must be numbers", file, line)
		}
		if lines[trace] == nil {
			lines[trace] = map[string]charts.Series{}
			traces = append(traces, trace)
		}
		s := lines[trace][policy]
		s.Name, s.Points = policy, append(s.Points, charts.Point{X: x, Y: y})
		lines[trace][policy] = s
		drawn = appendNew(drawn, policy)
	}
	names := inTableOrder(drawn)
	var panels []charts.Panel
	for _, trace := range traces {
		panel := charts.Panel{Title: trace}
		for _, name := range names {
			if s, ok := lines[trace][name]; ok {
				panel.Lines = append(panel.Lines, s)
			}
		}
		panels = append(panels, panel)
	}
	axes := charts.Axes{X: "arrived, % of GPUs", Y: "allocated, % of GPUs", XMin: 80, XMax: 130, YMin: 70, YMax: 100}
	return charts.Lines(file, axes, names, panels)
}

// barsOf finds the figures of one measure: workloads are groups, policies series.
func barsOf(all figures.File, protocol, measure string) (groups []string, series []charts.Series) {
	values := map[string]float64{}
	var drawn []string
	for _, line := range all.Lines {
		parts := strings.Split(line[0], ".")
		value, err := strconv.ParseFloat(line[1], 64)
		if len(parts) != 4 || parts[0] != protocol || parts[3] != measure || err != nil {
			continue
		}
		groups, drawn = appendNew(groups, parts[1]), appendNew(drawn, parts[2])
		values[parts[1]+"."+parts[2]] = value
	}
	for _, policy := range inTableOrder(drawn) {
		s := charts.Series{Name: policy}
		for _, g := range groups {
			value, ok := values[g+"."+policy]
			if !ok {
				value = -1
			}
			s.Values = append(s.Values, value)
		}
		series = append(series, s)
	}
	return groups, series
}

// inTableOrder sorts policies as the table has them; unknown ones come last.
func inTableOrder(names []string) []string {
	var ordered []string
	for _, p := range policies() {
		if slices.Contains(names, p.name) {
			ordered = append(ordered, p.name)
		}
	}
	for _, name := range names {
		ordered = appendNew(ordered, name)
	}
	return ordered
}
