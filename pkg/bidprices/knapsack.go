package bidprices

import (
	"math"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// stages are the tables of a soft knapsack after each size of piece, in units of
// the temperature: log sum over all fillings of exp(value / temperature), each
// size in any number.
type stages struct {
	sizes []int
	bids  []float64   // log weight of one piece of each size
	logs  [][]float64 // after each size, by free cells; kept when asked for
	last  []float64
}

// fill runs the recursion Z(g) += a Z(g-s) for each size in turn, in logarithms:
// exponentials of a whole node's worth would overflow. last is the value of
// cells that nothing fills; it is written to.
func fill(last []float64, bids []float64, keep bool) stages {
	st := stages{last: last}
	for size := 1; size < len(last) && size < len(bids); size++ {
		bid := bids[size]
		if math.IsInf(bid, -1) {
			continue
		}
		for g := size; g < len(last); g++ {
			last[g] = logAdd(last[g], bid+last[g-size])
		}
		st.sizes = append(st.sizes, size)
		st.bids = append(st.bids, bid)
		if keep {
			st.logs = append(st.logs, append([]float64(nil), last...))
		}
	}
	return st
}

// drain runs the recursion backwards: nodes with so many free cells each, into
// how many pieces of each size those nodes would be cut. It empties held of all
// that was cut.
func (st *stages) drain(held []float64, cut func(size int, pieces float64)) {
	for i := len(st.sizes) - 1; i >= 0; i-- {
		size, bid, logs := st.sizes[i], st.bids[i], st.logs[i]
		pieces := 0.0
		for g := len(held) - 1; g >= size; g-- {
			if held[g] < 1e-12 {
				continue
			}
			taken := held[g] * math.Exp(bid+logs[g-size]-logs[g])
			pieces += taken
			held[g-size] += taken
			held[g] -= taken
		}
		cut(size, pieces)
	}
}

func logAdd(a, b float64) float64 {
	const negligible = 30 // exp(-30) is below 1e-13
	if a < b {
		a, b = b, a
	}
	if b < a-negligible {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// build fills one table at the present prices.
func (s *solver) build(m *market, index int, keep bool) {
	t := &m.tables[index]
	if t.built && (!keep || t.pieces.logs != nil) {
		return
	}
	bids := s.bids(m, t)
	cells := m.most
	if m.devices {
		cells = deviceCells
	}
	t.pieces = fill(make([]float64, cells+1), bids.pieces, keep)
	t.piece = scaled(t.pieces.last, m.temperature)
	if m.devices {
		alone := make([]float64, m.most+1)
		for f := range alone {
			alone[f] = float64(f) * t.pieces.last[deviceCells]
		}
		t.wholes = fill(alone, bids.wholes, keep)
		t.whole = scaled(t.wholes.last, m.temperature)
	}
	t.built = true
}

func scaled(logs []float64, temperature float64) []float64 {
	values := make([]float64, len(logs))
	for i, log := range logs {
		values[i] = log * temperature
	}
	return values
}

// bids are the log weights of pieces by size: cells, and devices from 2 up.
type bids struct{ pieces, wholes []float64 }

func (s *solver) bids(m *market, t *table) bids {
	b := bids{pieces: nothing(max(m.most, deviceCells) + 1), wholes: nothing(m.most + 1)}
	s.eachBid(m, t, func(_ int, pieces bool, size int, bid float64) {
		if pieces {
			b.pieces[size] = logAdd(b.pieces[size], bid)
		} else {
			b.wholes[size] = logAdd(b.wholes[size], bid)
		}
	})
	return b
}

func nothing(n int) []float64 {
	logs := make([]float64, n)
	for i := range logs {
		logs[i] = math.Inf(-1)
	}
	return logs
}

// eachBid calls do for every shape allowed in a market, with the size of the
// piece it takes and the log weight log p + (price - shadow prices) / temperature,
// where p is its part of the mix. A shape between two sizes bids for both.
func (s *solver) eachBid(m *market, t *table, do func(shape int, pieces bool, size int, bid float64)) {
	total := 0.0
	for i := range s.value {
		if s.isPriced(i, group(m.devices)) {
			total += s.problem.Shapes[i].Weight
		}
	}
	for _, i := range s.problem.Kinds[m.kind].Shapes {
		if !s.isPriced(i, group(m.devices)) {
			continue
		}
		shape := &s.problem.Shapes[i]
		gain := s.price[i]
		for r, amount := range shape.Requests {
			gain -= t.shadow[r] * amount
		}
		bid := math.Log(shape.Weight/total) + gain/m.temperature
		switch {
		case shape.Devices > 1 && shape.Devices <= m.most:
			do(i, false, shape.Devices, bid)
		case shape.Devices == 1:
			do(i, true, int((shape.Milli*deviceCells+devices.Whole-1)/devices.Whole), bid)
		case shape.Devices == 0:
			lower, upper, part := m.sizes(shape.Requests[m.primary])
			if upper <= m.most {
				do(i, true, upper, bid+math.Log(part))
			}
			if lower > 0 && part < 1 {
				do(i, true, lower, bid+math.Log1p(-part))
			}
		}
	}
}

// sizes returns the number of cells that an amount takes: rounded up, unless that
// adds more than 2 %: then it lies between lower and upper, and part of such pods
// count as the upper.
func (m *market) sizes(amount float64) (lower, upper int, part float64) {
	exact := amount / m.cell
	up := math.Ceil(exact - rounding)
	if up > float64(m.most) {
		return 0, m.most + 1, 1
	}
	if up <= exact*1.02 {
		return 0, int(up), 1
	}
	lower = int(up) - 1
	if lower == 0 {
		return 0, 1, 1
	}
	return lower, int(up), exact - float64(lower)
}

// stock is how many nodes of a market have so many free cells and devices.
type stock struct{ pieces, wholes []float64 }

func (m *market) newStock() *stock {
	return &stock{pieces: make([]float64, max(m.most, deviceCells)+1), wholes: make([]float64, m.most+1)}
}

func (m *market) stockUp(st *stock, n *Node, count float64) {
	if !m.devices {
		st.pieces[m.cells(n.Free[m.primary])] += count
		return
	}
	st.wholes[min(n.Whole, m.most)] += count
}

// serve adds to supply what nodes valued by one table would host.
func (s *solver) serve(kind, index int, st *stock, supply []float64) {
	m := &s.markets[kind]
	t := &m.tables[index]
	t.built = false
	s.build(m, index, true)
	pieces := make([]float64, len(st.pieces))
	wholes := make([]float64, len(st.wholes))
	if m.devices {
		t.wholes.drain(st.wholes, func(size int, n float64) { wholes[size] = n })
		for f, count := range st.wholes {
			st.pieces[deviceCells] += float64(f) * count
		}
	}
	t.pieces.drain(st.pieces, func(size int, n float64) { pieces[size] = n })
	all := s.bids(m, t)
	s.eachBid(m, t, func(shape int, piece bool, size int, bid float64) {
		if piece {
			supply[shape] += pieces[size] * math.Exp(bid-all.pieces[size])
		} else {
			supply[shape] += wholes[size] * math.Exp(bid-all.wholes[size])
		}
	})
	t.pieces.logs, t.wholes.logs = nil, nil
}
