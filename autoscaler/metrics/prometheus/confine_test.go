package prometheus

import (
	"strings"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

var testServer = Server{Name: "default", URL: "http://a"}.withDefaults()

func TestEverySelectorIsConfined(t *testing.T) {
	for query, want := range map[string]string{
		`up`:                                    `up{namespace="shop"}`,
		`up{namespace="shop"}`:                  `up{namespace="shop"}`,
		`up{namespace=~"shop"}`:                 `up{namespace="shop"}`,
		`up{namespace="shop",namespace="shop"}`: `up{namespace="shop"}`,
		`{__name__=~".+"}`:                      `{__name__=~".+",namespace="shop"}`,
		`{"a.b", "c.d"="x"}`:                    `{"c.d"="x",__name__="a.b",namespace="shop"}`,
		`rate(a[5m] offset 1m)`:                 `rate(a{namespace="shop"}[5m] offset 1m)`,
		`a @ 1000`:                              `a{namespace="shop"} @ 1000.000`,
		`max_over_time(sum(rate(a[1m]))[5m:1m] @ end())`: `max_over_time(sum(rate(a{namespace="shop"}[1m]))[5m:1m] @ end())`,
		`a / on (pod) group_left (node) b`:               `a{namespace="shop"} / on (pod) group_left (node) b{namespace="shop"}`,
		`absent(a) or topk(scalar(b), c)`:                `absent(a{namespace="shop"}) or topk(scalar(b{namespace="shop"}), c{namespace="shop"})`,
		`label_replace(a, "namespace", "other", "", "")`: `label_replace(a{namespace="shop"}, "namespace", "other", "", "")`,
		`quantile_over_time(scalar(a), b[5m])`:           `quantile_over_time(scalar(a{namespace="shop"}), b{namespace="shop"}[5m])`,
		`clamp_max(a, scalar(b))`:                        `clamp_max(a{namespace="shop"}, scalar(b{namespace="shop"}))`,
		`vector(1)`:                                      `vector(1)`,
		`time() - 5`:                                     `time() - 5`,
		"sum(a) # namespace=\"other\"":                   `sum(a{namespace="shop"})`,
		`a{x="}{namespace=\"other\"}"}`:                  `a{namespace="shop",x="}{namespace=\"other\"}"}`,
	} {
		p := planFor(query, "shop", false, &testServer, true)
		if p.refused.Set() {
			t.Errorf("%s: %+v", query, p.refused)
		} else if p.value.text != want {
			t.Errorf("%s becomes %s, want %s", query, p.value.text, want)
		}
	}
}

func TestWhatCannotBeConfinedIsRefused(t *testing.T) {
	for query, c := range map[string]struct{ reason, message string }{
		`up{namespace="other"}`:             {ReasonForeignNamespace, `namespace="other" where only namespace="shop" is allowed`},
		`sum(a) + b{namespace!="shop"}`:     {ReasonForeignNamespace, `namespace!="shop"`},
		`up{namespace=~"shop|other"}`:       {ReasonForeignNamespace, `namespace=~"shop|other"`},
		`up{namespace=~".*"}`:               {ReasonForeignNamespace, `namespace=~".*"`},
		`up{namespace!~"other"}`:            {ReasonForeignNamespace, `namespace!~"other"`},
		`up{namespace=""}`:                  {ReasonForeignNamespace, `namespace=""`},
		`rate(up{"namespace"="other"}[1m])`: {ReasonForeignNamespace, `namespace="other"`},
		`info(up)`:                          {ReasonForeignNamespace, "info() reads series of all namespaces"},
		`sum(info(up, {data=~".+"}))`:       {ReasonForeignNamespace, "info()"},
		`sum(`:                              {ReasonInvalidQuery, "parse error"},
		``:                                  {ReasonInvalidQuery, "parse error"},
		`nosuch(up)`:                        {ReasonInvalidQuery, "nosuch"},
		`{a="b" or namespace="other"}`:      {ReasonInvalidQuery, "parse error"},
		strings.Repeat("up+", 1<<12) + "up": {ReasonInvalidQuery, "at most 16384 are allowed"},
	} {
		p := planFor(query, "shop", false, &testServer, true)
		if p.refused.Reason != c.reason || !strings.Contains(p.refused.Message, c.message) {
			t.Errorf("%.60s: %+v, want %s and %q", query, p.refused, c.reason, c.message)
		}
	}
}

// FuzzConfinement: whatever is sent parses and names the namespace in every
// selector.
func FuzzConfinement(f *testing.F) {
	for _, query := range []string{`up`, `sum(rate(a{b="c"}[5m])) / b offset 1m`, `{__name__="x"} @ start()`, `a[5m:1m] and on() b`, `"namespace"`} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p := planFor(query, "shop", false, &testServer, true)
		if p.refused.Set() {
			return
		}
		for _, r := range []*request{p.value, p.age} {
			if r != nil && !isConfined(r.text, "namespace", "shop") {
				t.Errorf("%q becomes %q", query, r.text)
			}
		}
	})
}

func TestQueriesOfOneShape(t *testing.T) {
	for name, c := range map[string]struct {
		a, b   string // of the namespaces a and b
		merged string // empty if they are not of one shape
	}{
		"namespaces differ":       {`sum(x)`, `sum(x)`, `sum by (namespace) (x{namespace=~"a|b"})`},
		"an order differs too":    {`sum(x{p="1",q="2"})`, `sum(x{q="2",p="1"})`, `sum by (namespace) (x{namespace=~"a|b",p="1",q="2"})`},
		"workloads differ too":    {`sum(x{app="v"})`, `sum(x{app="w"})`, `sum by (app, namespace) (x{app=~"v|w",namespace=~"a|b"})`},
		"values are quoted":       {`sum(x{app="v.1"})`, `sum(x{app="w|2"})`, `sum by (app, namespace) (x{app=~"v\\.1|w\\|2",namespace=~"a|b"})`},
		"grouped already":         {`sum by (pod, namespace) (x)`, `sum by (pod, namespace) (x)`, `sum by (pod, namespace) (x{namespace=~"a|b"})`},
		"without":                 {`sum without (pod, namespace) (x)`, `sum without (pod, namespace) (x)`, `sum without (pod) (x{namespace=~"a|b"})`},
		"a ratio":                 {`sum(x) / sum(y)`, `sum(x) / sum(y)`, `sum by (namespace) (x{namespace=~"a|b"}) / sum by (namespace) (y{namespace=~"a|b"})`},
		"ignoring":                {`x / ignoring (namespace) y`, `x / ignoring (namespace) y`, `x{namespace=~"a|b"} / y{namespace=~"a|b"}`},
		"on":                      {`x / on (pod) y`, `x / on (pod) y`, `x{namespace=~"a|b"} / on (pod, namespace) y{namespace=~"a|b"}`},
		"a quantile of histogram": {`histogram_quantile(0.9, sum by (le) (x))`, `histogram_quantile(0.9, sum by (le) (x))`, `histogram_quantile(0.9, sum by (le, namespace) (x{namespace=~"a|b"}))`},
		"a default":               {`sum(x) or vector(0)`, `sum(x) or vector(0)`, `sum by (namespace) (x{namespace=~"a|b"})`},
		"a subquery":              {`max_over_time(sum(x)[5m:1m])`, `max_over_time(sum(x)[5m:1m])`, `max_over_time(sum by (namespace) (x{namespace=~"a|b"})[5m:1m])`},
		"a label of one selector": {`sum(x{app="v"}) / sum(y)`, `sum(x{app="w"}) / sum(y)`, ""},
		"one side lost the label": {`sum by (namespace) (x) / sum(y)`, `sum by (namespace) (x) / sum(y)`, ""},
		"another threshold":       {`sum(x) > 1`, `sum(x) > 2`, ""},
		"absent":                  {`absent(x)`, `absent(x)`, ""},
		"label_replace":           {`label_replace(x, "namespace", "z", "", "")`, `label_replace(x, "namespace", "z", "", "")`, ""},
		"topk":                    {`topk(1, x)`, `topk(1, x)`, ""},
		"scalar":                  {`sum(x) / scalar(sum(y))`, `sum(x) / scalar(sum(y))`, ""},
		"a default that adds":     {`sum by (pod) (x) or vector(0)`, `sum by (pod) (x) or vector(0)`, ""},
		"a bound of a bucket":     {`sum(x{le="1"})`, `sum(x{le="2"})`, ""},
		"a regular expression":    {`sum(x{app=~"v.*"})`, `sum(x{app=~"w.*"})`, ""},
		"no selector":             {`vector(1)`, `vector(1)`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := planFor(c.a, "a", false, &testServer, true), planFor(c.b, "b", false, &testServer, true)
			if a.refused.Set() || b.refused.Set() {
				t.Fatal(a.refused, b.refused)
			}
			shaped, _ := byShape([]*want{{request: a.value}, {request: b.value}})
			merged := ""
			if len(shaped) == 1 && len(shaped[0]) == 2 {
				merged = newGroup(shaped[0]).text
			}
			if merged != c.merged {
				t.Errorf("merged: %q\n want: %q", merged, c.merged)
			}
		})
	}
}

func TestGroupsAreBoundedInNumberAndLength(t *testing.T) {
	var wants []*want
	for i := range 1200 {
		p := planFor(`sum(rate(x[1m])) / sum(rate(y[1m]))`, "namespace-"+strings.Repeat("n", i%40)+string(rune('a'+i/40)), false, &testServer, true)
		wants = append(wants, &want{request: p.value})
	}
	for _, c := range []struct{ most, length, atMost int }{{500, 1 << 20, 3}, {10, 1 << 20, 120}, {500, 4096, 45}, {500, 100, 1200}} {
		all, n := groups(wants, c.most, c.length), 0
		for _, g := range all {
			n += len(g.wants)
			if len(g.wants) > c.most || len(g.wants) > 1 && len(g.text) > c.length {
				t.Errorf("%+v: a group of %d with %d bytes", c, len(g.wants), len(g.text))
			}
		}
		if n != len(wants) || len(all) > c.atMost {
			t.Errorf("%+v: %d requests in %d groups", c, n, len(all))
		}
	}
}

func TestAgeIsAskedWhereTheQueryHidesIt(t *testing.T) {
	for query, want := range map[string]string{
		`x`:                       `min(timestamp(x{namespace="shop"}))`,
		`sum(x) * 2`:              `min(timestamp(x{namespace="shop"}))`,
		`avg(x) or vector(0)`:     `min(timestamp(x{namespace="shop"}))`,
		`sum(rate(x[1m]))`:        "",
		`max_over_time(x[1m])`:    "",
		`max_over_time(x[1m:5s])`: "",
		`x offset 1m`:             "",
		`x @ 1000`:                "",
		`x - y`:                   "",
		`time() - timestamp(x)`:   "",
		`absent(x)`:               "",
		`vector(1)`:               "",
	} {
		got := ""
		if p := planFor(query, "shop", false, &testServer, true); p.age != nil {
			got = p.age.text
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if p := planFor(`x`, "shop", true, &testServer, true); p.age.text != `min by (pod) (timestamp(x{namespace="shop"}))` {
		t.Errorf("for each pod: %s", p.age.text)
	}
}

func TestBreakerOverTime(t *testing.T) {
	at := func(seconds int) time.Time { return time.Unix(1000+int64(seconds), 0) }
	var b breaker
	fail := func(now time.Time) { b.settle(now, b.begin(), reply{err: errTest, down: true}) }
	expect := func(now time.Time, want admission) {
		t.Helper()
		if got := b.admit(now); got != want {
			t.Errorf("at %d s: admission %v, want %v", now.Unix()-1000, got, want)
		}
	}
	for range failuresToOpen - 1 {
		fail(at(0))
	}
	expect(at(0), admitted)
	began := b.begin()
	b.settle(at(0), b.begin(), reply{})
	for range failuresToOpen {
		b.settle(at(0), began, reply{err: errTest, down: true}) // slow, while the server answered others
	}
	expect(at(0), admitted)
	for range failuresToOpen {
		b.settle(at(0), b.begin(), reply{err: errTest})                  // refused, by a server that is there
		b.settle(at(0), b.begin(), reply{err: errTest, undecided: true}) // given up
	}
	expect(at(0), admitted)
	for range failuresToOpen {
		fail(at(0))
	}
	expect(at(4), refused)
	now := 5
	for _, pause := range []int{10, 20, 40, 60, 60} { // twice as long each time
		expect(at(now), probe)
		expect(at(now), refused) // one at a time
		fail(at(now))
		expect(at(now+pause-1), refused)
		now += pause
	}
	expect(at(now), probe)
	b.settle(at(now), b.begin(), reply{err: errTest, undecided: true})
	expect(at(now), probe)
	b.settle(at(now), b.begin(), reply{})
	expect(at(now), admitted)
	for range failuresToOpen {
		fail(at(now))
	}
	expect(at(now+4), refused)
	expect(at(now+5), probe)
}

var errTest = &limitError{1}

func TestQueueIsFairBetweenNamespaces(t *testing.T) {
	q := newQueue(2)
	single := func(namespace string) *group { return &group{wants: []*want{{namespace: namespace}}} }
	for _, namespace := range []string{"many", "many", "many", "many", "few"} {
		q.add(single(namespace))
	}
	q.add(&group{wants: []*want{{namespace: "x"}, {namespace: "y"}}})
	var order []string
	var ends []func()
	take := func() {
		g, done := q.next()
		order, ends = append(order, g.wants[0].namespace), append(ends, done)
	}
	take()
	take()
	take()
	take()
	ends[1]() // the first of many
	take()
	ends[3]()
	take()
	if got, want := strings.Join(order, " "), "x many few many many many"; got != want {
		t.Errorf("order %q, want %q", got, want)
	}
	if g, _ := q.next(); g != nil {
		t.Error("more than was added")
	}
}

func TestPlansAreBounded(t *testing.T) {
	var c plans
	p := &plan{refused: scaling.Unknown{Reason: "x"}}
	for i := range 3 * maxPlans {
		c.get(planKey{query: "q", namespace: string(rune(i))}, func() *plan { return p })
		if n := len(c.young) + len(c.past); n > maxPlans {
			t.Fatalf("%d plans are kept, at most %d are allowed", n, maxPlans)
		}
	}
	made := 0
	for range 2 {
		c.get(planKey{query: "once"}, func() *plan { made++; return p })
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}
