package target

import (
	"math"
	"strconv"
)

// line is a message in the making. Each metric of each evaluation has one, so that
// they cost more than all else with package fmt.
type line []byte

func newLine() line { return make(line, 0, 128) }

func (l line) words(s string) line { return append(l, s...) }

func (l line) count(n int) line { return strconv.AppendInt(l, int64(n), 10) }

// figure adds four digits of v, or all of a whole number.
func (l line) figure(v float64) line {
	if a := math.Abs(v); a >= 1000 && a < 1e15 {
		return strconv.AppendFloat(l, v, 'f', 0, 64)
	}
	return strconv.AppendFloat(l, v, 'g', 4, 64)
}
