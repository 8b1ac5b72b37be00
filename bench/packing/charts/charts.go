// Package charts draws the packing benchmark's results as SVG files.
package charts

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Series is one line, or the bars of one colour.
type Series struct {
	Name   string
	Points []Point // of a line
	Values []float64
}

// Point is a point of a line.
type Point struct{ X, Y float64 }

// Panel is one of several small plots with the same axes.
type Panel struct {
	Title string
	Lines []Series
}

// Axes are the labels and the range of both axes.
type Axes struct {
	X, Y                   string
	XMin, XMax, YMin, YMax float64
}

// palette tells up to eight series apart, also for most who see colours otherwise
// (Okabe and Ito, 2008).
func palette(i int) color.Color {
	colors := []color.RGBA{
		{0, 114, 178, 255},
		{213, 94, 0, 255},
		{0, 158, 115, 255},
		{204, 121, 167, 255},
		{86, 180, 233, 255},
		{230, 159, 0, 255},
		{120, 120, 120, 255},
		{0, 0, 0, 255},
	}
	return colors[i%len(colors)]
}

// dashes tell series apart when colours repeat.
func dashes(i int) []vg.Length {
	if i < 8 {
		return nil
	}
	return []vg.Length{vg.Points(3), vg.Points(2)}
}

const columns = 3

// Lines draws panels in rows of three, with one legend. names are all series in
// the order of their colours.
func Lines(file string, axes Axes, names []string, panels []Panel) error {
	rows := (len(panels) + columns - 1) / columns
	grid := make([][]*plot.Plot, rows)
	for i := range grid {
		grid[i] = make([]*plot.Plot, columns)
	}
	for i, panel := range panels {
		p, err := linePlot(axes, names, panel, i == 0)
		if err != nil {
			return fmt.Errorf("draw %s: %s: %w", file, panel.Title, err)
		}
		grid[i/columns][i%columns] = p
	}
	canvas := vgsvg.New(vg.Length(columns)*8*vg.Centimeter, vg.Length(rows)*6*vg.Centimeter)
	tiles := draw.Tiles{
		Rows: rows, Cols: columns, PadX: vg.Points(8), PadY: vg.Points(8),
		PadTop: vg.Points(4), PadBottom: vg.Points(4), PadLeft: vg.Points(4), PadRight: vg.Points(8),
	}
	for r, row := range plot.Align(grid, tiles, draw.New(canvas)) {
		for c, where := range row {
			if grid[r][c] != nil {
				grid[r][c].Draw(where)
			}
		}
	}
	return write(file, canvas)
}

func linePlot(axes Axes, names []string, panel Panel, legend bool) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = panel.Title
	p.X.Label.Text, p.Y.Label.Text = axes.X, axes.Y
	p.Add(plotter.NewGrid())
	for i, name := range names {
		for _, series := range panel.Lines {
			if series.Name != name {
				continue
			}
			points := make(plotter.XYs, 0, len(series.Points))
			for _, at := range series.Points {
				if at.X >= axes.XMin && at.X <= axes.XMax && at.Y >= axes.YMin {
					points = append(points, plotter.XY{X: at.X, Y: at.Y})
				}
			}
			if len(points) == 0 {
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				return nil, err
			}
			line.Color, line.Dashes, line.Width = palette(i), dashes(i), vg.Points(1.2)
			p.Add(line)
			if legend {
				p.Legend.Add(name, line)
			}
		}
	}
	p.Title.TextStyle.Font.Size = vg.Points(11)
	for _, style := range []*text.Style{&p.X.Label.TextStyle, &p.Y.Label.TextStyle, &p.X.Tick.Label, &p.Y.Tick.Label} {
		style.Font.Size = vg.Points(9)
	}
	// The thumbnail left of the text: viewers draw text in fonts of other widths.
	p.Legend.Left, p.Legend.XOffs = true, vg.Points(110)
	p.Legend.TextStyle.Font.Size = vg.Points(8)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = axes.XMin, axes.XMax, axes.YMin, axes.YMax
	return p, nil
}

// Bars draws groups of bars side by side: a group for each name of groups, in it a
// bar for each series, whose Values are in the order of groups (below 0 for none).
// Bars longer than most are cut there. Every bar has its value written on it.
func Bars(file, title, label string, groups []string, series []Series, most float64) error {
	p := plot.New()
	p.Title.Text, p.Y.Label.Text = title, label
	width := vg.Points(16)
	for i, s := range series {
		bars, labels, err := barsOf(s, most)
		if err != nil {
			return fmt.Errorf("draw %s: %s: %w", file, s.Name, err)
		}
		chart, err := plotter.NewBarChart(bars, width)
		if err != nil {
			return fmt.Errorf("draw %s: %s: %w", file, s.Name, err)
		}
		offset := width * vg.Length(float64(i)-float64(len(series)-1)/2)
		chart.Color, chart.Offset, chart.LineStyle.Width = palette(i), offset, 0
		labels.Offset.X, labels.Offset.Y = offset, vg.Points(2)
		p.Add(chart, labels)
		p.Legend.Add(s.Name, chart)
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.NominalX(groups...)
	p.X.Min, p.X.Max = -0.6, float64(len(groups))-0.4
	p.Y.Min, p.Y.Max = 0, 1.5*highest(series, most) // room for the legend
	canvas := vgsvg.New(max(14*vg.Centimeter, vg.Length(len(groups)*(len(series)+1))*width+3*vg.Centimeter), 12*vg.Centimeter)
	p.Draw(draw.New(canvas))
	return write(file, canvas)
}

// highest is the height of the highest bar drawn.
func highest(series []Series, most float64) float64 {
	high := 1.
	for _, s := range series {
		for _, value := range s.Values {
			high = max(high, min(value, most))
		}
	}
	return high
}

func barsOf(s Series, most float64) (plotter.Values, *plotter.Labels, error) {
	var heights plotter.Values
	var at plotter.XYLabels
	for i, value := range s.Values {
		heights = append(heights, max(0, min(value, most)))
		written := ""
		if value >= 0 {
			written = strconv.FormatFloat(value, 'f', 1, 64)
		}
		at.XYs = append(at.XYs, plotter.XY{X: float64(i), Y: heights[i]})
		at.Labels = append(at.Labels, written)
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return nil, nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i].Font.Size = vg.Points(6)
		labels.TextStyle[i].XAlign = draw.XCenter
	}
	return heights, labels, nil
}

func write(file string, canvas *vgsvg.Canvas) error {
	var svg bytes.Buffer
	if _, err := canvas.WriteTo(&svg); err != nil {
		return fmt.Errorf("draw %s: %w", file, err)
	}
	if err := os.WriteFile(file, svg.Bytes(), 0o644); err != nil { // Results are for everybody to read.
		return fmt.Errorf("draw: %w", err)
	}
	return nil
}
