package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// board shows how far all runs are, a line now and then.
type board struct {
	out   io.Writer
	began time.Time

	mu       sync.Mutex
	shown    time.Time
	running  map[*progress]bool
	finished int
	tasks    int
}

// progress is how far one run is.
type progress struct {
	board          *board
	name           string
	done, expected int
}

// showEvery is the time between two lines of a board.
const showEvery = 5 * time.Second

func newBoard(out io.Writer, tasks int) *board {
	now := time.Now()
	return &board{out: out, began: now, shown: now, tasks: tasks, running: map[*progress]bool{}}
}

// begin adds a run.
func (b *board) begin(name string) *progress {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := &progress{board: b, name: name}
	b.running[p] = true
	return p
}

// finish removes a run and says what came of it.
func (b *board) finish(p *progress, took time.Duration, result string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, p)
	b.finished++
	fmt.Fprintf(b.out, "[%d/%d] %s: %s (%s)\n", b.finished, b.tasks, p.name, result, took.Round(100*time.Millisecond))
}

// expect says how many decisions the run will make.
func (p *progress) expect(decisions int) {
	p.board.mu.Lock()
	defer p.board.mu.Unlock()
	p.done, p.expected = 0, decisions
}

// count adds decisions made.
func (p *progress) count(decisions int) {
	b := p.board
	b.mu.Lock()
	defer b.mu.Unlock()
	p.done += decisions
	if time.Since(b.shown) < showEvery {
		return
	}
	b.shown = time.Now()
	part := float64(b.finished)
	line := ""
	for r := range b.running {
		if r.expected > 0 {
			share := min(1, float64(r.done)/float64(r.expected))
			part += share
			line += fmt.Sprintf("  %s %.0f %%", r.name, 100*share)
		}
	}
	left := "unknown"
	if part > 0.01*float64(b.tasks) {
		passed := time.Since(b.began)
		left = time.Duration(float64(passed) * (float64(b.tasks) - part) / part).Round(time.Second).String()
	}
	fmt.Fprintf(b.out, "%d of %d runs, %s left;%s\n", b.finished, b.tasks, left, line)
}
