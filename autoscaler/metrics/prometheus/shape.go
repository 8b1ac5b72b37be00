package prometheus

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// shape is what queries have in common that may be merged: they differ in the
// values of some labels only, each of which every selector of the query compares
// with one value, and the answers can be told apart by those labels.
type shape struct {
	// key is equal for queries of one shape.
	key string
	// source is the query, or the part of it that is merged.
	source string
	// labels are those that may differ, in alphabetical order; values are this
	// query's.
	labels, values []string
	// pivot is the place of the label by which trouble is told apart: the
	// namespace, if it is among them.
	pivot int
	// kept are the labels, by their place in labels, that the answer to the query
	// alone has.
	kept mask
	// otherwise is the answer if there is no other, of `x or vector(otherwise)`.
	otherwise *float64
}

// pivotValue is the namespace, or what comes nearest.
func (s *shape) pivotValue() string { return s.values[s.pivot] }

// place names all requests of a shape and a namespace.
func (s *shape) place() string { return s.key + "\n" + s.pivotValue() }

// mask is a set of places in a list of at most 64.
type mask uint64

const maxLabels = 64

func (m mask) has(i int) bool { return m&(1<<i) != 0 }

// shapeOf finds the shape of a query, or nil if it has to be asked alone. The
// expression is modified.
func shapeOf(expr parser.Expr, namespaceLabel string) *shape {
	s := &shape{}
	if merged, otherwise := defaulted(expr); merged != nil {
		expr, s.otherwise = merged, otherwise
	}
	if expr.Type() != parser.ValueTypeVector {
		return nil
	}
	a := analysis{labels: sharedLabels(expr)}
	if a.labels == nil {
		return nil
	}
	kept := a.vector(expr)
	if a.alone || s.otherwise != nil && kept != 0 {
		return nil
	}
	for i, label := range a.labels {
		if a.bad.has(i) {
			continue
		}
		if kept.has(i) {
			s.kept |= 1 << len(s.labels)
		}
		s.labels = append(s.labels, label)
	}
	if len(s.labels) == 0 {
		return nil
	}
	s.pivot = max(slices.Index(s.labels, namespaceLabel), 0)
	s.source = expr.String()
	s.values = hollow(expr, s.labels)
	s.key = strings.Join(s.labels, ",") + "\n" + expr.String()
	return s
}

// defaulted takes apart `x or vector(number)` where x is an aggregation to one
// value.
func defaulted(expr parser.Expr) (parser.Expr, *float64) {
	or, isBinary := bare(expr).(*parser.BinaryExpr)
	if !isBinary || or.Op != parser.LOR || len(or.VectorMatching.MatchingLabels) > 0 {
		return nil, nil
	}
	call, isCall := bare(or.RHS).(*parser.Call)
	if !isCall || call.Func.Name != "vector" {
		return nil, nil
	}
	number, isNumber := bare(call.Args[0]).(*parser.NumberLiteral)
	sum, isAggregate := bare(or.LHS).(*parser.AggregateExpr)
	if !isNumber || !isAggregate || sum.Without || len(sum.Grouping) > 0 {
		return nil, nil
	}
	return sum, &number.Val
}

func bare(expr parser.Expr) parser.Expr {
	for {
		paren, isParen := expr.(*parser.ParenExpr)
		if !isParen {
			return expr
		}
		expr = paren.Expr
	}
}

// sharedLabels are the labels that every selector compares with one and the same
// value, and with nothing else, in alphabetical order.
func sharedLabels(expr parser.Expr) []string {
	var shared map[string]string
	for _, matchers := range parser.ExtractSelectors(expr) {
		here := onlyEqual(matchers)
		if shared == nil {
			shared = here
			continue
		}
		for label, value := range shared {
			if other, found := here[label]; !found || other != value {
				delete(shared, label)
			}
		}
	}
	var names []string
	for label := range shared {
		names = append(names, label)
	}
	slices.Sort(names)
	return names[:min(len(names), maxLabels)]
}

// onlyEqual are the labels that are compared once, with one value. The name of
// the metric and the bound of a bucket are not the workload's.
func onlyEqual(matchers []*labels.Matcher) map[string]string {
	equal, seen := map[string]string{}, map[string]bool{}
	for _, m := range matchers {
		if m.Type == labels.MatchEqual && m.Value != "" && utf8.ValidString(m.Value) && !seen[m.Name] {
			equal[m.Name] = m.Value
		} else {
			delete(equal, m.Name)
		}
		seen[m.Name] = true
	}
	delete(equal, model.MetricNameLabel)
	delete(equal, labels.BucketLabel)
	return equal
}

// analysis finds out by which labels the answers to queries of one shape can be
// told apart if they are asked as one. It goes by induction: the elements of
// every part of the merged query have all the labels, and those with a query's
// values are, but for these labels, the elements of the same part of that query.
type analysis struct {
	labels []string
	// bad are the labels of which that is not so.
	bad mask
	// alone says that it is so of none.
	alone bool
}

// vector answers which of the labels the elements of a part have in the query
// alone: each, all of them or none.
func (a *analysis) vector(expr parser.Expr) mask {
	switch e := expr.(type) {
	case *parser.ParenExpr:
		return a.vector(e.Expr)
	case *parser.UnaryExpr:
		return a.vector(e.Expr)
	case *parser.VectorSelector:
		return 1<<len(a.labels) - 1
	case *parser.MatrixSelector:
		return a.vector(e.VectorSelector)
	case *parser.SubqueryExpr:
		return a.vector(e.Expr)
	case *parser.Call:
		return a.call(e)
	case *parser.AggregateExpr:
		return a.aggregation(e)
	case *parser.BinaryExpr:
		return a.binary(e)
	}
	a.alone = true
	return 0
}

// call is for functions that look at each series for itself, or at the buckets
// of one histogram.
func (a *analysis) call(e *parser.Call) mask {
	var of parser.Expr
	for _, arg := range e.Args {
		switch {
		case isConstant(arg):
		case of == nil && arg.Type() != parser.ValueTypeScalar:
			of = arg
		default:
			a.alone = true
		}
	}
	if of == nil || !seriesBySeries(e.Func.Name) {
		a.alone = true
		return 0
	}
	return a.vector(of)
}

func (a *analysis) aggregation(e *parser.AggregateExpr) mask {
	switch e.Op {
	case parser.SUM, parser.AVG, parser.MIN, parser.MAX, parser.COUNT, parser.GROUP, parser.STDDEV, parser.STDVAR:
	case parser.QUANTILE:
		a.alone = a.alone || !isConstant(e.Param)
	default:
		a.alone = true
	}
	kept, grouping := a.vector(e.Expr), a.places(e.Grouping)
	if e.Without {
		return kept &^ grouping
	}
	return kept & grouping
}

func (a *analysis) binary(e *parser.BinaryExpr) mask {
	switch {
	case isConstant(e.RHS):
		return a.vector(e.LHS)
	case isConstant(e.LHS):
		return a.vector(e.RHS)
	case e.VectorMatching == nil || e.VectorMatching.FillValues.LHS != nil || e.VectorMatching.FillValues.RHS != nil:
		a.alone = true
		return 0
	}
	left, right := a.vector(e.LHS), a.vector(e.RHS)
	matching := a.places(e.VectorMatching.MatchingLabels)
	matched := matching
	if !e.VectorMatching.On {
		matched = ^matching
	}
	// A label that one side has and the other has not never matches in the query
	// alone, but would in the merged one.
	a.bad |= (left ^ right) & matched
	a.bad |= a.places(e.VectorMatching.Include)
	switch {
	case e.Op == parser.LOR:
		a.bad |= left ^ right
		return left
	case e.VectorMatching.Card == parser.CardOneToOne:
		return left & matched
	case e.VectorMatching.Card == parser.CardOneToMany:
		return right
	}
	return left
}

// places are those of the labels among names.
func (a *analysis) places(names []string) (m mask) {
	for i, label := range a.labels {
		if slices.Contains(names, label) {
			m |= 1 << i
		}
	}
	return m
}

// isConstant reports whether a scalar is the same in every query of a shape.
func isConstant(expr parser.Expr) bool {
	switch e := expr.(type) {
	case *parser.NumberLiteral, *parser.StringLiteral:
		return true
	case *parser.ParenExpr:
		return isConstant(e.Expr)
	case *parser.UnaryExpr:
		return isConstant(e.Expr)
	case *parser.BinaryExpr:
		return isConstant(e.LHS) && isConstant(e.RHS)
	case *parser.Call:
		return e.Func.Name == "time" || e.Func.Name == "pi"
	}
	return false
}

// seriesBySeries reports whether a function of PromQL gives for each series, or
// each histogram, one that has its labels and depends on nothing else.
func seriesBySeries(function string) bool {
	switch function {
	case "rate", "irate", "increase", "delta", "idelta", "deriv", "changes", "resets", "predict_linear", "double_exponential_smoothing",
		"avg_over_time", "min_over_time", "max_over_time", "sum_over_time", "count_over_time", "quantile_over_time", "stddev_over_time",
		"stdvar_over_time", "last_over_time", "present_over_time", "mad_over_time", "first_over_time",
		"abs", "ceil", "floor", "round", "clamp", "clamp_min", "clamp_max", "sgn", "exp", "ln", "log2", "log10", "sqrt",
		"timestamp", "histogram_quantile", "histogram_avg", "histogram_count", "histogram_sum", "histogram_fraction":
		return true
	}
	return false
}

// hollow takes the values of the labels out of every selector.
func hollow(expr parser.Expr, names []string) []string {
	values := make([]string, len(names))
	eachMatcher(expr, names, func(i int, m *labels.Matcher) {
		values[i], m.Value = m.Value, ""
	})
	return values
}

func eachMatcher(expr parser.Expr, names []string, do func(i int, m *labels.Matcher)) {
	for _, matchers := range parser.ExtractSelectors(expr) {
		for j, m := range matchers {
			if i := slices.Index(names, m.Name); i >= 0 {
				own := *m
				matchers[j] = &own
				do(i, &own)
			}
		}
	}
}

// spread makes a query answer for several values of the labels at once, in groups
// by these labels.
func spread(expr parser.Expr, names []string) {
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch e := node.(type) {
		case *parser.AggregateExpr:
			if e.Without {
				e.Grouping = without(e.Grouping, names)
			} else {
				e.Grouping = append(without(e.Grouping, names), names...)
			}
		case *parser.BinaryExpr:
			switch m := e.VectorMatching; {
			case m == nil:
			case m.On:
				m.MatchingLabels = append(without(m.MatchingLabels, names), names...)
			default:
				m.MatchingLabels = without(m.MatchingLabels, names)
			}
		}
		return nil
	})
}

func without(list, names []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(names, s) })
}
