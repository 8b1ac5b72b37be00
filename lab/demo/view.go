package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/cluster"
	"github.com/plimsoll-k8s/plimsoll/lab/trace"
)

// View shows a run while it goes on.
type View interface {
	// Phase says what is being waited for before the trace starts and after it ends.
	Phase(what string)
	// Start says that the trace starts on this cluster.
	Start(c *cluster.Cluster)
	// Show is called ten times a second.
	Show(f Frame)
	// Event says that something happened.
	Event(elapsed time.Duration, what string)
}

// Frame is all that a view may show.
type Frame struct {
	System          System
	Elapsed, Length time.Duration
	Trace           trace.Trace
	Observation     Observation
	Scaled          []Scaled
	Result          *Result
}

// Lines is the view for a file, a pipe or CI: a line now and then.
type Lines struct {
	Out io.Writer
	// Every is the trace time between two lines.
	Every time.Duration

	next time.Duration
}

// Phase writes a line.
func (v *Lines) Phase(what string) { fmt.Fprintf(v.Out, "%s ...\n", what) }

// Start says how to join in.
func (v *Lines) Start(c *cluster.Cluster) {
	v.next = 0
	writeJoin(v.Out, c)
}

// Event writes a line.
func (v *Lines) Event(elapsed time.Duration, what string) {
	fmt.Fprintf(v.Out, "%s  * %s\n", clock(elapsed), what)
}

// Show writes a line when it is time for one.
func (v *Lines) Show(f Frame) {
	if f.Elapsed < v.next {
		return
	}
	v.next += v.Every
	fmt.Fprintln(v.Out, line(f))
}

func line(f Frame) string {
	inUse, cpu, memory := f.Observation.InUse()
	var b strings.Builder
	fmt.Fprintf(&b, "%s  load %5.0f/s", clock(f.Elapsed), f.Trace.At(f.Elapsed))
	for _, s := range f.Scaled {
		fmt.Fprintf(&b, "  %s %2d wanted %2d ready", s.Name, s.Wanted, s.Ready)
	}
	fmt.Fprintf(&b, "  pending %d  nodes %2d  cpu %2.0f %% mem %2.0f %%  lost %.0f",
		len(f.Observation.Pending), inUse, 100*cpu, 100*memory, f.Result.Scaled().Lost+f.Result.Steady().Lost)
	return b.String()
}

func writeJoin(out io.Writer, c *cluster.Cluster) {
	fmt.Fprintf(out, "join in:  export KUBECONFIG=%s\n", c.Kubeconfig)
	fmt.Fprintf(out, "          kubectl get nodes; kubectl top pods -n %s; kubectl get wa -n %s\n", Namespace, Namespace)
	fmt.Fprintf(out, "          Prometheus answers at %s/api/v1/query\n", c.Prometheus.URL)
}

func clock(d time.Duration) string {
	d = d.Round(time.Second)
	return fmt.Sprintf("%02d:%02d", int(d.Hours()), int(d.Minutes())%60)
}

// Screen is the view for a terminal: one picture, drawn over the last one.
type Screen struct {
	Out   io.Writer
	Width int // columns of the terminal

	join   string
	events []string
	height int // lines drawn last
	drawn  time.Time
}

// Redraw rate of the Screen, wall time.
const redraw = 250 * time.Millisecond

// keepEvents is how many events stay on the screen.
const keepEvents = 4

// Phase writes a line that stays.
func (v *Screen) Phase(what string) {
	v.height = 0
	fmt.Fprintf(v.Out, "%s ...\n", what)
}

// Start remembers how to join in.
func (v *Screen) Start(c *cluster.Cluster) {
	var b strings.Builder
	writeJoin(&b, c)
	v.join, v.events, v.height = b.String(), nil, 0
}

// Event stays on the screen for a while.
func (v *Screen) Event(elapsed time.Duration, what string) {
	v.events = append(v.events, clock(elapsed)+"  "+what)
	if len(v.events) > keepEvents {
		v.events = v.events[1:]
	}
}

// Show draws the picture a few times a second.
func (v *Screen) Show(f Frame) {
	last := f.Elapsed >= f.Length
	if now := time.Now(); last || now.Sub(v.drawn) >= redraw {
		v.drawn = now
		v.draw(f)
	}
}

func (v *Screen) draw(f Frame) {
	lines := strings.Split(strings.TrimRight(picture(f, v.Width)+strings.Join(v.events, "\n")+"\n"+v.join, "\n"), "\n")
	var b strings.Builder
	if v.height > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", v.height) // up to where the last picture began
	}
	for _, l := range lines {
		b.WriteString(cut(l, v.Width) + "\x1b[K\n")
	}
	b.WriteString("\x1b[J") // nothing of a taller picture stays
	v.height = len(lines)
	fmt.Fprint(v.Out, b.String())
}

// picture is the screen without what stays below it.
func picture(f Frame, width int) string {
	inUse, cpu, memory := f.Observation.InUse()
	var b strings.Builder
	fmt.Fprintf(&b, "%s  trace clock %s of %s  %s\n", strings.ToUpper(string(f.System)), clock(f.Elapsed), clock(f.Length), bar(float64(f.Elapsed)/float64(max(1, f.Length)), 30))
	fmt.Fprintf(&b, "load %6.0f/s  %s\n", f.Trace.At(f.Elapsed), spark(f, max(20, width-20)))
	for _, s := range f.Scaled {
		fmt.Fprintf(&b, "  %-8s wanted %2d  ready %2d  [%d..%d]  %s\n", s.Name, s.Wanted, s.Ready, s.Min, s.Max, bar(float64(s.Ready)/float64(s.Max), 30))
	}
	fmt.Fprintf(&b, "nodes in use %2d of %d   requested on them: cpu %3.0f %%  memory %3.0f %%   node-hours %.1f\n",
		inUse, len(f.Observation.Nodes), 100*cpu, 100*memory, f.Result.NodeHours)
	for _, zone := range zones(f.Observation.Nodes) {
		fmt.Fprintf(&b, "  %-8s %s\n", zone, row(f.Observation.Nodes, zone))
	}
	fmt.Fprintf(&b, "pods ready %d  pending %d  ending %d   requests lost %.0f   scale actions %d   promises broken %d\n",
		f.Observation.Ready, len(f.Observation.Pending), f.Observation.Terminating,
		f.Result.Scaled().Lost+f.Result.Steady().Lost, f.Result.ScaleActions, len(f.Result.Broken))
	return b.String()
}

// levels draw a share between nothing and all.
var levels = []rune("▁▂▃▄▅▆▇█")

func level(share float64) rune {
	return levels[min(len(levels)-1, max(0, int(share*float64(len(levels)))))]
}

func bar(share float64, width int) string {
	full := min(width, max(0, int(share*float64(width)+0.5)))
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// spark draws the trace, what is past in blocks and what is to come in dots.
func spark(f Frame, width int) string {
	peak := f.Trace.Peak()
	if peak == 0 || f.Length == 0 {
		return ""
	}
	var b strings.Builder
	for i := range width {
		at := time.Duration(float64(f.Length) * (float64(i) + 0.5) / float64(width))
		if at > f.Elapsed {
			b.WriteRune('·')
			continue
		}
		b.WriteRune(level(f.Trace.At(at) / peak))
	}
	return b.String()
}

// row draws a zone's nodes: x for a dead one, a dot for an empty one, else how full it is.
func row(list []NodeUse, zone string) string {
	var b strings.Builder
	for _, n := range list {
		switch {
		case n.Zone != zone:
		case !n.Alive || !n.Ready:
			b.WriteRune('x')
		case n.Pods == 0:
			b.WriteRune('·')
		default:
			b.WriteRune(level(max(n.CPU, n.Memory)))
		}
	}
	return b.String()
}

func zones(list []NodeUse) []string {
	var out []string
	seen := map[string]bool{}
	for _, n := range list {
		if !seen[n.Zone] {
			seen[n.Zone] = true
			out = append(out, n.Zone)
		}
	}
	return out
}

// cut shortens a line to the terminal's width, counted in runes.
func cut(s string, width int) string {
	if width <= 0 {
		return s
	}
	r := []rune(s)
	return string(r[:min(len(r), width)])
}
