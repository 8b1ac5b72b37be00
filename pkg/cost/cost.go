// Package cost is the one currency of Plimsoll: what a placement costs the
// cluster, in shares of the node it uses, as a sum that can explain itself.
//
// It is not for money and not for scores from 0 to 100: both lose the absolute
// scale on which terms can be added.
package cost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Breakdown is a cost as the sum of its terms. It has a fixed size, is compared
// with ==, and making or adding up one allocates nothing. The zero value costs
// nothing.
type Breakdown struct {
	shares [terms]float64
}

// With returns the breakdown with the term set to a value in shares of a node.
// It panics on a term that terms.go does not list.
func (b Breakdown) With(t Term, shares float64) Breakdown {
	b.shares[t] = shares
	return b
}

// Share returns the value of one term in shares of a node.
func (b Breakdown) Share(t Term) float64 { return b.shares[t] }

// Total returns the sum of the terms in shares of a node, added in the order
// of Terms, so that equal terms give an equal sum to the last bit.
func (b Breakdown) Total() float64 {
	total := 0.0
	for _, share := range b.shares {
		total += share
	}
	return total
}

// String prints the sum and every term, as in
// "0.132 = opening 0 + stranding 0.132 + lifetime 0". Each number is rounded by itself to
// 0.0001, so the printed terms may miss the printed sum by the last digit.
func (b Breakdown) String() string {
	parts := make([]string, 0, terms)
	for _, t := range Terms() {
		parts = append(parts, t.String()+" "+Format(b.shares[t]))
	}
	return Format(b.Total()) + " = " + strings.Join(parts, " + ")
}

// Reasons prints the terms that count, without the sum and without those that
// print as 0: "stranding 0.132". With none it says "nothing".
func (b Breakdown) Reasons() string {
	parts := make([]string, 0, terms)
	for _, t := range Terms() {
		if value := Format(b.shares[t]); value != "0" {
			parts = append(parts, t.String()+" "+value)
		}
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, " + ")
}

// MarshalJSON writes the total and each term by name, in shares of a node:
// {"total":0.132,"opening":0,"stranding":0.132,"lifetime":0}.
func (b Breakdown) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	if err := field(&out, `{"total":`, b.Total()); err != nil {
		return nil, err
	}
	for _, t := range Terms() {
		if err := field(&out, `,"`+t.String()+`":`, b.shares[t]); err != nil {
			return nil, err
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// UnmarshalJSON reads what MarshalJSON writes. The total is computed, not
// believed. A term that is not in the registry is an error: it comes from
// another version, and the sum would be wrong without it.
func (b *Breakdown) UnmarshalJSON(data []byte) error {
	var fields map[string]float64
	if err := json.Unmarshal(data, &fields); err != nil {
		return fmt.Errorf("read breakdown: %w", err)
	}
	delete(fields, "total")
	var read Breakdown
	for _, t := range Terms() {
		read.shares[t] = fields[t.String()]
		delete(fields, t.String())
	}
	for name := range fields {
		return fmt.Errorf("read breakdown: unknown term %q, known are %v", name, Terms())
	}
	*b = read
	return nil
}

func field(out *bytes.Buffer, prefix string, value float64) error {
	number, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write breakdown: %w", err)
	}
	out.WriteString(prefix)
	out.Write(number)
	return nil
}

// Format prints a number of shares rounded to 0.0001, the difference that
// scores still show, without zeros at the end.
func Format(shares float64) string {
	rounded := math.Round(shares*1e4) / 1e4
	if rounded == 0 {
		return "0" // never "-0"
	}
	return strconv.FormatFloat(rounded, 'f', -1, 64)
}
