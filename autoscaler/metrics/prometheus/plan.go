package prometheus

import (
	"fmt"
	"sync"

	"github.com/prometheus/prometheus/promql/parser"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// plan is what a workload's query comes to: what to ask.
type plan struct {
	// refused says why nothing is asked; the rest is then empty.
	refused scaling.Unknown
	value   *request
	// age asks for the time of the oldest sample that the value is made of; nil
	// if the query says itself what time it is about.
	age *request
}

// request is one query to a server.
type request struct {
	// text is what is asked if it is asked alone.
	text string
	// shape is nil if it has to be.
	shape *shape
	// confined is the namespace the query is confined to; empty for none.
	confined string
}

// planFor makes a plan. It depends on nothing else.
func planFor(query, namespace string, perPod bool, config *Server, confined bool) *plan {
	expr, err := parse(query)
	if err != nil {
		return refusedPlan(ReasonInvalidQuery, err.Error())
	}
	if confined {
		if u := confine(expr, config.NamespaceLabel, namespace); u.Set() {
			return &plan{refused: u}
		}
	} else {
		namespace = ""
	}
	text := expr.String()
	switch {
	case len(text) > config.MaxQueryLength:
		return refusedPlan(ReasonInvalidQuery, fmt.Sprintf("the query has %d bytes when confined to its namespace, at most %d are allowed", len(text), config.MaxQueryLength))
	case confined && !isConfined(text, config.NamespaceLabel, namespace):
		return refusedPlan(ReasonInvalidQuery, "the query cannot be confined to its namespace")
	}
	p := &plan{value: requestFor(text, namespace, config)}
	if s := p.value.shape; s != nil && s.otherwise != nil {
		expr, _ = defaulted(expr)
	}
	if age := ageQuery(expr, perPod, config.PodLabel); age != "" {
		p.age = requestFor(age, namespace, config)
	}
	return p
}

func refusedPlan(reason, message string) *plan {
	return &plan{refused: scaling.Unknown{Reason: reason, Message: message}}
}

// requestFor parses again: shapes are taken from what is sent.
func requestFor(text, confined string, config *Server) *request {
	r := &request{text: text, confined: confined}
	if expr, err := parse(text); err == nil {
		r.shape = shapeOf(expr, config.NamespaceLabel)
	}
	return r
}

// ageQuery is the query for the time of the oldest sample behind the value of
// expr, or empty. A selector alone looks back for up to 5 minutes and does not
// say how old its samples are. So it is asked for queries that have one selector,
// of the moment, and nothing that makes something of ages itself. All others,
// such as those with rate(x[1m]), say how far they look back.
func ageQuery(expr parser.Expr, perPod bool, podLabel string) string {
	var selector *parser.VectorSelector
	plain := true
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			plain = plain && selector == nil && n.Timestamp == nil && n.StartOrEnd == 0 && n.OriginalOffset == 0 && n.OriginalOffsetExpr == nil
			selector = n
		case *parser.MatrixSelector, *parser.SubqueryExpr:
			plain = false
		case *parser.Call:
			plain = plain && seriesBySeries(n.Func.Name) && n.Func.Name != "timestamp"
		}
		return nil
	})
	switch {
	case selector == nil || !plain:
		return ""
	case perPod:
		return fmt.Sprintf("min by (%s) (timestamp(%s))", podLabel, selector)
	}
	return fmt.Sprintf("min(timestamp(%s))", selector)
}

// planKey is what a plan depends on, for one server.
type planKey struct {
	query, namespace string
	perPod           bool
}

// maxPlans is how many plans are kept.
const maxPlans = 40_000

// plans remembers plans: the recent ones, and, until there are too many, those
// before them.
type plans struct {
	mu          sync.Mutex
	young, past map[planKey]*plan
}

func (c *plans) get(key planKey, make func() *plan) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, found := c.young[key]; found {
		return p
	}
	p, found := c.past[key]
	if !found {
		p = make()
	}
	if c.young == nil || len(c.young) >= maxPlans/2 {
		c.young, c.past = map[planKey]*plan{}, c.young
	}
	c.young[key] = p
	return p
}
