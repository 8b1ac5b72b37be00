package prometheus

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxMerged is how many queries are merged at most.
const maxMerged = 500

// want is a request that equal requests share, and who waits for it.
type want struct {
	request *request
	// namespace is the first waiting workload's.
	namespace string
	waiting   []func(outcome)
}

// tell hands an outcome to all who wait.
func (w *want) tell(o outcome) {
	for _, told := range w.waiting {
		told(o)
	}
}

// text is what is asked if it is asked alone.
func (w *want) text() string {
	if w.request.shape != nil {
		return w.request.shape.source
	}
	return w.request.text
}

// group is some requests of one shape that are asked as one.
type group struct {
	wants []*want
	// varied are the labels in which they differ, by their places in the shape's.
	varied []int
	text   string
}

// groups puts requests of one shape together, at most so many and with a query
// no longer than so many bytes, each in as few groups as one pass finds.
func groups(wants []*want, most, length int) []*group {
	slices.SortFunc(wants, func(a, b *want) int {
		one, other := a.request.shape, b.request.shape
		return cmp.Or(strings.Compare(one.pivotValue(), other.pivotValue()), slices.Compare(one.values, other.values))
	})
	var all []*group
	for len(wants) > 0 {
		n := fitting(wants, most, length)
		g := newGroup(wants[:n])
		for len(g.text) > length && n > 1 {
			n = (n + 1) / 2
			g = newGroup(wants[:n])
		}
		all, wants = append(all, g), wants[n:]
	}
	return all
}

// fitting is how many requests fit, about: what the values add to the query is
// summed up.
func fitting(wants []*want, most, length int) int {
	s := wants[0].request.shape
	selectors := strings.Count(s.key, s.labels[0]+`=""`)
	seen := make([]map[string]bool, len(s.labels))
	for i := range seen {
		seen[i] = map[string]bool{}
	}
	total := len(s.key) + len(s.labels[0])
	for n, w := range wants {
		for i, value := range w.request.shape.values {
			if !seen[i][value] {
				seen[i][value] = true
				total += max(selectors, 1) * (len(strconv.Quote(regexp.QuoteMeta(value))) - 1)
			}
		}
		if n > 0 && (total > length || n == most) {
			return n
		}
	}
	return len(wants)
}

func newGroup(wants []*want) *group {
	g := &group{wants: wants, text: wants[0].text()}
	if len(wants) == 1 {
		return g
	}
	s := wants[0].request.shape
	values := map[string]string{}
	var names []string
	for i, label := range s.labels {
		distinct := make([]string, 0, len(wants))
		for _, w := range wants {
			distinct = append(distinct, w.request.shape.values[i])
		}
		slices.Sort(distinct)
		if distinct = slices.Compact(distinct); len(distinct) == 1 {
			continue
		}
		for j := range distinct {
			distinct[j] = regexp.QuoteMeta(distinct[j])
		}
		g.varied, names = append(g.varied, i), append(names, label)
		values[label] = strings.Join(distinct, "|")
	}
	g.text = mergedText(s.source, names, values)
	return g
}

// mergedText is a query for all values of the labels that differ.
func mergedText(source string, names []string, values map[string]string) string {
	expr, err := parse(source)
	if err != nil {
		panic("a query that was parsed before: " + err.Error())
	}
	eachMatcher(expr, names, func(_ int, m *labels.Matcher) {
		*m = labels.Matcher{Type: labels.MatchRegexp, Name: m.Name, Value: values[m.Name]}
	})
	spread(expr, names)
	return expr.String()
}

// halves divides a group, between two namespaces if there are two. A query for
// two labels selects every combination of their values, also of requests that are
// not in the group; with namespaces apart, those of one namespace do not get into
// the groups of others.
func (g *group) halves() (*group, *group) {
	pivot := func(i int) string { return g.wants[i].request.shape.pivotValue() }
	n := len(g.wants) / 2
	for d := range n + 1 {
		if n-d > 0 && pivot(n-d-1) != pivot(n-d) {
			n -= d
			break
		}
		if n+d < len(g.wants) && pivot(n+d-1) != pivot(n+d) {
			n += d
			break
		}
	}
	return newGroup(g.wants[:n]), newGroup(g.wants[n:])
}

// fanOut hands every request of a merged query what it would have been answered
// alone, or reports that the answer cannot be told apart.
func (g *group) fanOut(value model.Value) bool {
	vector, isVector := value.(model.Vector)
	if !isVector {
		return false
	}
	s := g.wants[0].request.shape
	parts := make(map[string]model.Vector, len(g.wants))
	for _, sample := range vector {
		key, complete := g.key(func(i int) string { return string(sample.Metric[model.LabelName(s.labels[i])]) })
		if !complete {
			return false
		}
		for _, i := range g.varied {
			if !s.kept.has(i) {
				delete(sample.Metric, model.LabelName(s.labels[i]))
			}
		}
		parts[key] = append(parts[key], sample)
	}
	for _, w := range g.wants {
		key, _ := g.key(func(i int) string { return w.request.shape.values[i] })
		part := parts[key]
		if part == nil {
			part = model.Vector{}
		}
		w.tell(outcome{value: part})
	}
	return true
}

// key tells the requests of a group apart.
func (g *group) key(value func(i int) string) (key string, complete bool) {
	var b strings.Builder
	for _, i := range g.varied {
		v := value(i)
		if v == "" {
			return "", false
		}
		b.WriteString(strconv.Itoa(len(v)))
		b.WriteByte(':')
		b.WriteString(v)
	}
	return b.String(), true
}

// byShape sorts requests into those that may be merged, by shape in the order of
// their first, and the others.
func byShape(wants []*want) (shaped [][]*want, alone []*want) {
	places := map[string]int{}
	for _, w := range wants {
		s := w.request.shape
		if s == nil {
			alone = append(alone, w)
			continue
		}
		place, found := places[s.key]
		if !found {
			place = len(shaped)
			places[s.key] = place
			shaped = append(shaped, nil)
		}
		shaped[place] = append(shaped[place], w)
	}
	return shaped, alone
}

// inOrder makes what is asked first independent of chance.
func inOrder(wants []*want) {
	slices.SortStableFunc(wants, func(a, b *want) int {
		return cmp.Or(strings.Compare(a.namespace, b.namespace), strings.Compare(a.text(), b.text()))
	})
}
