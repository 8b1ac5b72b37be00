package prometheus

import (
	"fmt"
	"regexp"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// parse knows the experimental functions too: whether they are allowed is the
// server's to say.
func parse(query string) (parser.Expr, error) {
	return parser.NewParser(parser.Options{EnableExperimentalFunctions: true}).ParseExpr(query)
}

// confine makes every selector of a query select series whose label has the
// value namespace, or says why it cannot.
func confine(expr parser.Expr, label, namespace string) scaling.Unknown {
	var refused scaling.Unknown
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.Call:
			if n.Func.Name == "info" && !refused.Set() {
				refused = scaling.Unknown{Reason: ReasonForeignNamespace, Message: "info() reads series of all namespaces"}
			}
		case *parser.VectorSelector:
			if u := confineSelector(n, label, namespace); !refused.Set() {
				refused = u
			}
		}
		return nil
	})
	return refused
}

func confineSelector(s *parser.VectorSelector, label, namespace string) scaling.Unknown {
	kept := make([]*labels.Matcher, 0, len(s.LabelMatchers)+1)
	for _, m := range s.LabelMatchers {
		switch {
		case m.Name != label:
			kept = append(kept, m)
		case m.Type == labels.MatchEqual && m.Value == namespace:
		case m.Type == labels.MatchRegexp && (m.Value == namespace || m.Value == regexp.QuoteMeta(namespace)):
		default:
			return scaling.Unknown{Reason: ReasonForeignNamespace, Message: fmt.Sprintf("the selector %s has %s where only %s=%q is allowed", s, m, label, namespace)}
		}
	}
	s.LabelMatchers = append(kept, &labels.Matcher{Type: labels.MatchEqual, Name: label, Value: namespace})
	return scaling.Unknown{}
}

// isConfined reports whether every selector of a query that was printed and
// parsed again is confined: what is sent is what is checked.
func isConfined(query, label, namespace string) bool {
	expr, err := parse(query)
	if err != nil {
		return false
	}
	confined := true
	for _, matchers := range parser.ExtractSelectors(expr) {
		has := false
		for _, m := range matchers {
			has = has || m.Type == labels.MatchEqual && m.Name == label && m.Value == namespace
		}
		confined = confined && has
	}
	return confined
}
