// Package backlog is a source of metrics that asks one HTTP endpoint, once a
// period for all workloads together, how many messages wait in each queue:
//
//	GET BACKLOG_URL
//	{"shop/orders": 120, "shop/mails": 3}
//
// A queue is named after the namespace it belongs to, so that nobody can scale by
// the queues of others. Who runs the autoscaler says where the endpoint is; objects
// only name a queue.
package backlog

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is how objects refer to the source in spec.metrics[].custom.source.
const Name = "Backlog"

const (
	timeout  = 5 * time.Second
	maxBytes = 1 << 20 // of an answer
)

// Parameters are those of an object's metric, spec.metrics[].custom.parameters.
type Parameters struct {
	// Queue is the queue's name without its namespace.
	Queue string `json:"queue"`
}

// Source implements source.Source.
type Source struct {
	url string
	// Client asks; http.DefaultClient's transport by default.
	Client http.Client
}

var _ source.Source = (*Source)(nil)

// New returns a source that asks the endpoint at url.
func New(url string) *Source { return &Source{url: url, Client: http.Client{Timeout: timeout}} }

// Name implements source.Source.
func (s *Source) Name() string { return Name }

// Read implements source.Source.
func (s *Source) Read(ctx context.Context, now time.Time, queries []source.Query, answer func(int, scaling.Metric)) {
	lengths, err := s.fetch(ctx)
	for i := range queries {
		if err != nil {
			answer(i, source.Unknown(scaling.ReasonUnreadable, err.Error()))
			continue
		}
		answer(i, find(lengths, queries[i], now))
	}
}

// find answers one query. What is missing is unknown, and never 0: the autoscaler
// scales nothing in on what it does not know.
func find(lengths map[string]float64, q source.Query, now time.Time) scaling.Metric {
	queue, err := queueOf(q)
	if err != nil {
		return source.Unknown(scaling.ReasonUnreadable, err.Error())
	}
	length, found := lengths[queue]
	if !found {
		return source.Unknown(scaling.ReasonNoData, "there is no queue "+queue)
	}
	return scaling.Metric{Value: length, At: now}
}

func queueOf(q source.Query) (string, error) {
	var p Parameters
	if given := q.Spec.Custom.Parameters; given != nil {
		strict := json.NewDecoder(bytes.NewReader(given.Raw))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&p); err != nil {
			return "", fmt.Errorf("custom.parameters: %w", err)
		}
	}
	switch {
	case p.Queue == "":
		return "", errors.New("custom.parameters.queue: must not be empty")
	case q.Spec.Custom.PerPod:
		return "", errors.New("custom.perPod: true, must be false: a queue is no pod's own")
	}
	return q.Namespace + "/" + p.Queue, nil
}

func (s *Source) fetch(ctx context.Context) (map[string]float64, error) {
	if s.url == "" {
		return nil, errors.New("BACKLOG_URL is not set where the autoscaler runs")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("ask for the queues: %w", err)
	}
	response, err := s.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask for the queues: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for the queues: %s", response.Status)
	}
	var lengths map[string]float64
	if err := json.NewDecoder(io.LimitReader(response.Body, maxBytes)).Decode(&lengths); err != nil {
		return nil, fmt.Errorf("read the queues: %w", err)
	}
	return lengths, nil
}
