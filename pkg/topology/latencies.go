package topology

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Latency is what was measured between two domains of a level, or within one.
type Latency struct {
	// Level is the name of the level of both domains.
	Level string `json:"level"`
	// From and To are paths of domains, as Domain.Path has them. Latencies are the
	// same both ways; one way is enough.
	From string `json:"from"`
	To   string `json:"to"`
	// Milliseconds is at least 0, for one way or the round trip, the same in all of a table.
	Milliseconds float64 `json:"milliseconds"`
}

// Latencies is a table of measured latencies. A pair that it does not have is as
// far apart as its height says, at the table's own latency for a level of height:
// the sum of latencies over the sum of heights. Nil is an empty table, in which
// distances are heights.
type Latencies struct {
	levels []Level
	pairs  map[pair]float64 // both ways
	unit   float64          // milliseconds for each level of height
}

// pair is two domains of a level, by path.
type pair struct {
	level    int
	from, to string
}

// NewLatencies checks and takes a table: levels that exist, paths no longer than
// their level, latencies of at least 0, the same both ways.
func NewLatencies(levels []Level, list []Latency, path *field.Path) (*Latencies, field.ErrorList) {
	l := &Latencies{levels: slices.Clone(levels), pairs: map[pair]float64{}}
	var errs field.ErrorList
	var latencies, heights float64
	for i, entry := range list {
		at := path.Index(i)
		level, problems := entry.validate(levels, at)
		if errs = append(errs, problems...); len(problems) > 0 {
			continue
		}
		there, back := pair{level, entry.From, entry.To}, pair{level, entry.To, entry.From}
		if known, found := l.pairs[there]; found {
			if known != entry.Milliseconds {
				errs = append(errs, field.Invalid(at.Child("milliseconds"), entry.Milliseconds,
					fmt.Sprintf("must be %v as above: latencies are the same both ways", known)))
			}
			continue
		}
		l.pairs[there], l.pairs[back] = entry.Milliseconds, entry.Milliseconds
		if height := there.height(len(levels)); height > 0 {
			latencies, heights = latencies+entry.Milliseconds, heights+float64(height)
		}
	}
	if l.unit = 1; heights > 0 {
		l.unit = latencies / heights
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return l, nil
}

// Unknown returns the paths in the table that are of no domain of the tree now,
// with their levels, as in `zone "eu/eu-a"`, in order.
func (l *Latencies) Unknown(tree *Tree) []string {
	if l == nil {
		return nil
	}
	var unknown []string
	ids := l.ids(tree)
	for p := range l.pairs {
		if _, found := ids[p.level][p.from]; !found {
			unknown = append(unknown, fmt.Sprintf("%s %q", l.levels[p.level].Name, p.from))
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// Distances is a table for the domains of a tree as they are: made again when
// the tree's Version changes.
type Distances struct {
	pairs map[[2]DomainID]float64
	has   [MaxLevels]bool // whether pairs of a level are in the table
	unit  float64
}

// Resolve finds the table's domains in a tree. It takes a time that grows with
// the domains of the levels in the table.
func (l *Latencies) Resolve(tree *Tree) Distances {
	if l == nil {
		return Distances{unit: 1}
	}
	d := Distances{pairs: make(map[[2]DomainID]float64, len(l.pairs)), unit: l.unit}
	ids := l.ids(tree)
	for p, latency := range l.pairs {
		from, found := ids[p.level][p.from]
		to, found2 := ids[p.level][p.to]
		if found && found2 {
			d.pairs[[2]DomainID{from, to}] = latency
			d.has[p.level] = true
		}
	}
	return d
}

// Between returns how far apart two paths are, which hold domains by level: the
// latency of the narrowest level for which the table has one, else the height
// of the lowest common ancestor in the table's unit. It allocates nothing.
func (d *Distances) Between(a, b []DomainID) float64 {
	if len(a) != len(b) {
		return d.unit * float64(max(len(a), len(b)))
	}
	for i := len(a) - 1; i >= 0; i-- {
		if a[i].IsZero() || b[i].IsZero() {
			continue
		}
		if d.has[i] {
			if latency, found := d.pairs[[2]DomainID{a[i], b[i]}]; found {
				return latency
			}
		}
		if a[i] == b[i] {
			return d.unit * float64(len(a)-1-i)
		}
	}
	return d.unit * float64(len(a))
}

// ids returns the domains of the levels in the table, by path.
func (l *Latencies) ids(tree *Tree) map[int]map[string]DomainID {
	ids := map[int]map[string]DomainID{}
	for p := range l.pairs {
		if ids[p.level] != nil {
			continue
		}
		ids[p.level] = map[string]DomainID{}
		for _, d := range tree.Domains(p.level) {
			ids[p.level][d.Path] = d.ID
		}
	}
	return ids
}

func (l Latency) validate(levels []Level, path *field.Path) (level int, errs field.ErrorList) {
	if level = levelNamed(levels, l.Level); level < 0 {
		errs = append(errs, field.Invalid(path.Child("level"), l.Level, "must be one of the levels "+namesOf(levels)))
	}
	errs = append(errs, validatePath(l.From, level, levels, path.Child("from"))...)
	errs = append(errs, validatePath(l.To, level, levels, path.Child("to"))...)
	if !(l.Milliseconds >= 0) || math.IsInf(l.Milliseconds, 1) {
		errs = append(errs, field.Invalid(path.Child("milliseconds"), l.Milliseconds, "must be at least 0 and finite"))
	}
	return level, errs
}

func validatePath(domain string, level int, levels []Level, path *field.Path) field.ErrorList {
	switch {
	case domain == "":
		return field.ErrorList{field.Required(path, "must be the path of a domain")}
	case level >= 0 && strings.Count(domain, "/") > level:
		return field.ErrorList{field.Invalid(path, domain,
			fmt.Sprintf("must be at most %d values joined with /, from the %s down", level+1, levels[0].Name))}
	}
	return nil
}

// height is that of the lowest common ancestor of two paths, as Distance has it.
func (p pair) height(levels int) int {
	from, to := aligned(p.from, p.level), aligned(p.to, p.level)
	height := levels
	for i := range from {
		if from[i] != to[i] {
			break
		}
		if from[i] != "" {
			height = levels - 1 - i
		}
	}
	return height
}

// aligned splits a path into values by level; those missing at the top are empty.
func aligned(path string, level int) []string {
	values := make([]string, level+1)
	found := strings.Split(path, "/")
	copy(values[max(level+1-len(found), 0):], found)
	return values
}
