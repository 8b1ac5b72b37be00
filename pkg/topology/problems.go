package topology

import (
	"fmt"
	"slices"
	"strings"
)

// ProblemKind is what is wrong with labels.
type ProblemKind string

const (
	// MissingLabel counts nodes without the label of a level that others have.
	MissingLabel ProblemKind = "MissingLabel"
	// EmptyLabel counts nodes whose label has no value; they are in no domain of the level.
	EmptyLabel ProblemKind = "EmptyLabel"
	// BelowGap counts nodes whose label is not read, because one above it is missing.
	BelowGap ProblemKind = "BelowGap"
	// TwoParents counts label values that stand under more than one domain. They are
	// as many domains: right for rack numbers that begin anew in each zone, a
	// contradiction of the order of levels for a zone in two regions.
	TwoParents ProblemKind = "TwoParents"
	// Moved counts the times that nodes went to another domain of a level, and of none above it.
	Moved ProblemKind = "Moved"
	// UnusedLevel counts all nodes, where none has the label of a level.
	UnusedLevel ProblemKind = "UnusedLevel"
)

// Problem is one kind of problem at one level.
type Problem struct {
	Kind ProblemKind
	// Level is the index of the level.
	Level int
	// Count is of nodes, values or times, as the kind says, at least 1.
	Count int
	// Examples are sentences that name nodes and domains.
	Examples []string
}

// maxMoves is how many of the latest moves are kept as examples.
const maxMoves = 16

// moves counts the nodes that moved.
type moves struct {
	byLevel []int // by the widest level that changed
	latest  []move
}

// move is kept in words: its domains may be gone.
type move struct {
	level    int
	sentence string
}

// Problems returns what is wrong with the labels, the widest level first, with up
// to n examples each. It walks all nodes and is for events, metrics and reports,
// not for a scheduling cycle.
func (t *Tree) Problems(n int) []Problem {
	t.mu.RLock()
	defer t.mu.RUnlock()
	names := make([]string, 0, len(t.nodes))
	for name := range t.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []Problem
	for i := range t.levels {
		for _, p := range []Problem{t.missing(i, names, n), t.empty(i, names, n), t.belowGap(i, names, n), t.twoParents(i, n), t.moved(i, n)} {
			if p.Count > 0 {
				all = append(all, p)
			}
		}
	}
	return all
}

func (t *Tree) missing(level int, names []string, n int) Problem {
	p := Problem{Kind: MissingLabel, Level: level}
	for _, name := range names {
		if t.nodes[name].missing>>level&1 == 1 {
			p.note(n, "node %q has no label %s", name, t.levels[level].Key)
		}
	}
	if p.Count > 0 && p.Count == len(names) {
		p = Problem{Kind: UnusedLevel, Level: level, Count: len(names)}
		if n > 0 {
			p.Examples = []string{fmt.Sprintf("no node has the label %s", t.levels[level].Key)}
		}
	}
	return p
}

func (t *Tree) empty(level int, names []string, n int) Problem {
	p := Problem{Kind: EmptyLabel, Level: level}
	for _, name := range names {
		if t.nodes[name].empty>>level&1 == 1 {
			p.note(n, "node %q has the label %s without a value", name, t.levels[level].Key)
		}
	}
	return p
}

func (t *Tree) belowGap(level int, names []string, n int) Problem {
	p := Problem{Kind: BelowGap, Level: level}
	for _, name := range names {
		if t.nodes[name].belowGap>>level&1 == 1 {
			p.note(n, "node %q has the label %s, but not all above it", name, t.levels[level].Key)
		}
	}
	return p
}

func (t *Tree) twoParents(level, n int) Problem {
	p := Problem{Kind: TwoParents, Level: level}
	var values []string
	for value, same := range t.tables[level].byValue {
		if len(same) > 1 {
			values = append(values, value)
		}
	}
	slices.Sort(values)
	for _, value := range values {
		parents := make([]string, 0, 2)
		for _, d := range t.tables[level].byValue[value] {
			parents = append(parents, d.parentPath(t.levels))
		}
		slices.Sort(parents)
		p.note(n, "%s %q is in %s", t.levels[level].Name, value, strings.Join(parents, " and in "))
	}
	return p
}

func (t *Tree) moved(level, n int) Problem {
	p := Problem{Kind: Moved, Level: level, Count: t.moves.byLevel[level]}
	for i := len(t.moves.latest) - 1; i >= 0 && len(p.Examples) < n; i-- {
		if m := t.moves.latest[i]; m.level == level {
			p.Examples = append(p.Examples, m.sentence)
		}
	}
	return p
}

func (p *Problem) note(n int, format string, args ...any) {
	p.Count++
	if len(p.Examples) < n {
		p.Examples = append(p.Examples, fmt.Sprintf(format, args...))
	}
}

func (m *moves) note(levels []Level, name string, was, is *node) {
	for i := range levels {
		from, to := was.domains[i], is.domains[i]
		if from == to {
			continue
		}
		m.byLevel[i]++
		if len(m.latest) == maxMoves {
			m.latest = m.latest[:copy(m.latest, m.latest[1:])]
		}
		m.latest = append(m.latest, move{i, fmt.Sprintf("node %q moved from %s to %s",
			name, from.inWords(levels[i]), to.inWords(levels[i]))})
		return
	}
}

func (d *domain) inWords(level Level) string {
	if d == nil {
		return "no " + level.Name
	}
	return fmt.Sprintf("%s %q", level.Name, d.path())
}

func (d *domain) parentPath(levels []Level) string {
	if d.parent == nil {
		return "no domain above"
	}
	return d.parent.inWords(levels[d.parent.id.Level])
}
