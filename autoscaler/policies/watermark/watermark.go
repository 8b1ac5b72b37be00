// Package watermark is the policy with a high and a low mark: above the high one
// it scales out until the metric is at the high mark, below the low one it scales
// in until the metric is at the low mark, and between them it does nothing. A load
// that sways between the marks moves nothing, however long. In all else it does as
// the Target policy.
package watermark

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	kjson "sigs.k8s.io/json"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// Name is the policy's name.
const Name = "Watermark"

// maxMark is the highest mark, in shares of the target.
const maxMark = 10

// ReasonBetween is the reason of proposals of metrics between the marks.
const ReasonBetween = "BetweenMarks"

// Parameters are the marks in shares of each metric's target, 0 < low < high <= 10.
type Parameters struct {
	// High is the mark above which to scale out; 1 by default.
	High Mark `json:"high"`
	// Low is the mark below which to scale in; 0.7 by default.
	Low Mark `json:"low"`
}

// DefaultParameters scale out above the target and in below 70 % of it.
func DefaultParameters() Parameters { return Parameters{High: 1, Low: 0.7} }

// Mark is a share of a target: in JSON a number, or a string with one, as API
// conventions prefer for fractions.
type Mark float64

// UnmarshalJSON implements json.Unmarshaler.
func (m *Mark) UnmarshalJSON(data []byte) error {
	text := string(data)
	if text != "" && text[0] == '"' {
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("a mark is a number, not %s", data)
	}
	*m = Mark(f)
	return nil
}

// Policy implements scaling.Policy.
type Policy struct {
	config target.Config
	marks  marks
}

var _ scaling.Policy = (*Policy)(nil)

// New returns the policy; the config is the Target policy's.
func New(config target.Config, p Parameters) (*Policy, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	return &Policy{config, marks{low: float64(p.Low), high: float64(p.High)}}, nil
}

// Factory makes the policy from its parameters.
func Factory(config target.Config) scaling.Factory {
	return func(parameters []byte) (scaling.Policy, error) {
		p := DefaultParameters()
		if len(parameters) > 0 {
			strict, err := kjson.UnmarshalStrict(parameters, &p)
			if err = errors.Join(append(strict, err)...); err != nil {
				return nil, fmt.Errorf("spec.policy.parameters: %w", err)
			}
		}
		policy, err := New(config, p)
		if err != nil {
			return nil, fmt.Errorf("spec.policy.parameters.%w", err)
		}
		return policy, nil
	}
}

func (p Parameters) validate() error {
	switch {
	case !(p.High > 0 && p.High <= maxMark):
		return fmt.Errorf("high: %v: want more than 0, at most %d", p.High, maxMark)
	case !(p.Low > 0 && p.Low < p.High):
		return fmt.Errorf("low: %v: want more than 0, less than high, %v", p.Low, p.High)
	}
	return nil
}

// Name implements scaling.Policy.
func (p *Policy) Name() string { return Name }

// Decide implements scaling.Policy.
func (p *Policy) Decide(now time.Time, o scaling.Observation) scaling.Decision {
	return p.config.Decide(now, o, p.marks)
}

// marks are shares of a target; nothing is done between them, both included.
type marks struct {
	low, high float64
}

var _ target.Rule = marks{}

// Side implements target.Rule.
func (m marks) Side(ratio float64) int {
	switch {
	case ratio > m.high:
		return 1
	case ratio < m.low:
		return -1
	}
	return 0
}

// Within implements target.Rule.
func (m marks) Within(ratio float64) bool { return m.low <= ratio && ratio <= m.high }

// WithinReason implements target.Rule.
func (m marks) WithinReason() string { return ReasonBetween }

// Replicas implements target.Rule: with loaded replicas' worth of load, the number
// that brings the metric between the marks, as few as it must move, given that it
// is beyond one of them. More than loaded/high are needed; of those, if it is the
// lower mark that was passed, the most that stay above it.
func (m marks) Replicas(side int, loaded float64) float64 {
	needed := math.Ceil(snap(loaded / m.high))
	if side >= 0 {
		return needed
	}
	return max(needed, math.Floor(snap(loaded/m.low)))
}

// snap is the whole number that f is but for rounding errors.
func snap(f float64) float64 {
	if whole := math.Round(f); math.Abs(f-whole) <= 1e-9*math.Abs(f) {
		return whole
	}
	return f
}
