// Package prometheus reads one number from a Prometheus server with a query in
// PromQL. Servers are the operator's to name, with their addresses and
// credentials; objects refer to them by name only.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Timeout is how long a server may take to answer.
const Timeout = 5 * time.Second

// Reasons for unknown metrics besides those of package scaling.
const (
	ReasonUnknownServer = "UnknownServer" // no server of that name is configured
	ReasonWrongType     = "WrongType"     // neither a scalar nor a vector of one float
	ReasonPartial       = "PartialAnswer" // the server answered with warnings
)

// Source implements source.Source.
type Source struct {
	servers map[string]*server
}

type server struct {
	api       promv1.API
	closeIdle func()
}

var _ source.Source = (*Source)(nil)

// New returns a source that asks the given servers. None at all is allowed:
// every metric is then unknown.
func New(servers []Server) (*Source, error) {
	s := &Source{servers: map[string]*server{}}
	for _, config := range servers {
		if _, found := s.servers[config.Name]; found {
			return nil, fmt.Errorf("prometheus server %q: configured twice", config.Name)
		}
		srv, err := connect(config)
		if err != nil {
			return nil, fmt.Errorf("prometheus server %q: %w", config.Name, err)
		}
		s.servers[config.Name] = srv
	}
	return s, nil
}

// Close closes the connections kept for later queries.
func (s *Source) Close() {
	for _, srv := range s.servers {
		srv.closeIdle()
	}
}

// Type implements source.Source.
func (s *Source) Type() v1alpha1.MetricSourceType { return v1alpha1.PrometheusMetricSourceType }

// Read implements source.Source.
func (s *Source) Read(ctx context.Context, q source.Query) scaling.Metric {
	spec := q.Spec.Prometheus
	srv, found := s.servers[spec.ServerName]
	if !found {
		return source.Unknown(ReasonUnknownServer, fmt.Sprintf("no server %q is configured, there are: %s", spec.ServerName, s.names()))
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	answer, warnings, err := ask(ctx, srv.api, spec.Query, q.Now)
	switch {
	case err != nil:
		return source.Unknown(scaling.ReasonUnreadable, fmt.Sprintf("query server %q: %v", spec.ServerName, err))
	case len(warnings) > 0:
		return source.Unknown(ReasonPartial, fmt.Sprintf("server %q warns: %s", spec.ServerName, strings.Join(warnings, "; ")))
	}
	return number(answer, q.Now)
}

// ask strips what changes from one failure to the next, such as the local port.
func ask(ctx context.Context, api promv1.API, query string, now time.Time) (model.Value, promv1.Warnings, error) {
	answer, warnings, _, err := api.Query(ctx, query, now)
	var broken *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, nil, fmt.Errorf("no answer within %s", Timeout)
	case errors.As(err, &broken):
		return nil, nil, broken.Err
	}
	return answer, warnings, err
}

// number takes the one number out of an answer.
func number(answer model.Value, now time.Time) scaling.Metric {
	switch v := answer.(type) {
	case *model.Scalar:
		return measured(v.Value, v.Timestamp, now)
	case model.Vector:
		switch {
		case len(v) == 0:
			return source.Unknown(scaling.ReasonNoData, "the query has no result")
		case len(v) > 1:
			return source.Unknown(scaling.ReasonManyValues, fmt.Sprintf("the query has %d results where one is wanted, for example %s and %s", len(v), v[0].Metric, v[1].Metric))
		case v[0].Histogram != nil:
			return source.Unknown(ReasonWrongType, "the query's result is a histogram")
		}
		return measured(v[0].Value, v[0].Timestamp, now)
	}
	return source.Unknown(ReasonWrongType, fmt.Sprintf("the query's result is a %s, a scalar or an instant vector is wanted", answer.Type()))
}

// measured leaves out what is no measurement. How old it may be is the policy's
// to say.
func measured(v model.SampleValue, at model.Time, now time.Time) scaling.Metric {
	m := scaling.Metric{Value: float64(v), At: at.Time()}
	if u := scaling.CheckValue(m.Value, m.At, now, 0); u.Set() {
		return scaling.Metric{Unknown: u}
	}
	return m
}

func (s *Source) names() string {
	if len(s.servers) == 0 {
		return "none"
	}
	var names []string
	for name := range s.servers {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
