package bidprices

import (
	"math"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
)

// Cells of a device: shares are counted in hundredths, what is asked rounded up
// and what is free rounded down.
const deviceCells = 100

// gridPoints is how many shadow prices are tried for each resource.
const gridPoints = 16

// market values the nodes of one kind.
type market struct {
	kind int
	// devices: the pieces are devices, else cells of the resource primary.
	devices bool
	primary int
	// cell is how much of the primary resource one cell is.
	cell float64
	// most is the largest number of devices of a node, or of cells.
	most int
	// temperature in nodes.
	temperature float64
	resources   int
	axes        []axis
	tables      []table
}

// axis is one divisible resource with its shadow prices.
type axis struct {
	resource int
	// tables are indexes of market.tables by ascending price; all begin with the
	// same table, in which every resource is almost free.
	tables []int
}

// table is the value of pieces at one set of shadow prices.
type table struct {
	// shadow is the price of each divisible resource in nodes a unit, 0 for the
	// primary one.
	shadow [MaxResources]float64
	built  bool
	// piece is the value of so many free cells: of one device, or of the
	// primary resource, in nodes.
	piece []float64
	// whole is the value of so many free devices, in nodes.
	whole []float64
	// what supply needs: stages of the knapsacks.
	pieces, wholes stages
}

// scale says how much a node has, on average.
type scale struct {
	// devices of a node that has any, 0 without such nodes.
	devices float64
	// perNode of each resource, of nodes without and with devices.
	perNode [2][]float64
	// primary is the resource of nodes without devices that the mix would use up
	// first, -1 for none.
	primary int
}

func newScale(p Problem) scale {
	var s scale
	var nodes [2]float64
	for g := range s.perNode {
		s.perNode[g] = make([]float64, p.Resources)
	}
	for _, t := range p.Types {
		g := group(p.Kinds[t.Kind].Devices)
		nodes[g] += t.Count
		s.devices += float64(t.Devices) * t.Count
		for r := range p.Resources {
			s.perNode[g][r] += t.Capacity[r] * t.Count
		}
	}
	for g := range s.perNode {
		for r := range s.perNode[g] {
			if nodes[g] > 0 {
				s.perNode[g][r] /= nodes[g]
			}
		}
	}
	if nodes[1] > 0 {
		s.devices /= nodes[1]
	}
	s.primary = scarcest(p, s.perNode[0])
	return s
}

// scarcest returns the resource of which the shapes without devices ask the
// largest share of a node.
func scarcest(p Problem, perNode []float64) int {
	best, most := -1, 0.0
	for r := range p.Resources {
		asked := 0.0
		for _, shape := range p.Shapes {
			if shape.Devices == 0 && shape.Weight > 0 {
				asked += shape.Weight * shape.Requests[r]
			}
		}
		if perNode[r] > 0 && asked/perNode[r] > most {
			best, most = r, asked/perNode[r]
		}
	}
	return best
}

// newMarket lays out the tables of a kind without filling them.
func (s *solver) newMarket(kind int, scale scale) market {
	of := s.problem.Kinds[kind]
	g := group(of.Devices)
	m := market{kind: kind, devices: of.Devices, primary: -1, temperature: s.temperature[g], resources: s.problem.Resources}
	if m.temperature == 0 {
		return m // nothing in the mix has a price here
	}
	largest := 0.0
	for _, t := range s.problem.Types {
		if t.Kind != kind {
			continue
		}
		if m.devices {
			m.most = max(m.most, t.Devices)
		} else {
			largest = max(largest, t.Capacity[scale.primary])
		}
	}
	if !m.devices {
		if largest == 0 {
			return m
		}
		m.primary = scale.primary
		m.cell = cellOf(largest)
		m.most = int(largest/m.cell + rounding)
	}
	m.layOut(scale.perNode[g])
	return m
}

// cellOf returns a round number (1, 2 or 5 times a power of ten) of which a node
// has 400 to 1,000.
func cellOf(largest float64) float64 {
	exponent := math.Floor(math.Log10(largest / 1000))
	for {
		for _, digit := range []float64{1, 2, 5} {
			cell := digit * math.Pow(10, exponent)
			if largest/cell <= 1000 {
				return cell
			}
		}
		exponent++
	}
}

// layOut sets shadow prices: from almost nothing to 2.6 times what the resource
// would cost if it were all that a node is paid for, finer near nothing.
func (m *market) layOut(perNode []float64) {
	const almostFree, dearest = 0.0035, 2.6
	var free table
	for r := range perNode {
		if r != m.primary && perNode[r] > 0 {
			free.shadow[r] = almostFree / perNode[r]
		}
	}
	m.tables = append(m.tables, free)
	for r := range perNode {
		if free.shadow[r] == 0 {
			continue
		}
		along := axis{resource: r, tables: []int{0}}
		for i := 1; i < gridPoints; i++ {
			at := float64(i) / (gridPoints - 1)
			t := table{shadow: free.shadow}
			t.shadow[r] += dearest * at * at / perNode[r]
			along.tables = append(along.tables, len(m.tables))
			m.tables = append(m.tables, t)
		}
		m.axes = append(m.axes, along)
	}
}

func (m *market) forget() {
	for t := range m.tables {
		m.tables[t].built = false
	}
}

// at values a node by one table.
func (m *market) at(index int, n *Node) float64 {
	t := &m.tables[index]
	value := 0.0
	for r := range m.resources {
		value += t.shadow[r] * n.Free[r]
	}
	if !m.devices {
		return value + t.piece[m.cells(n.Free[m.primary])]
	}
	value += t.whole[min(n.Whole, m.most)]
	for _, free := range n.Partial {
		value += t.piece[min(max(free*deviceCells/devices.Whole, 0), deviceCells)]
	}
	return value
}

// rounding makes up for amounts that are whole cells but for the last bits.
const rounding = 1e-6

// cells rounds an amount of the primary resource down to what a table holds.
func (m *market) cells(amount float64) int {
	return int(min(max(amount/m.cell+rounding, 0), float64(m.most)))
}

// place is what all tables read of a node.
type place struct {
	// divisible is what the resources are worth where all are almost free.
	divisible float64
	cells     int // of the primary resource, else 0
	whole     int
}

func (m *market) place(n *Node) place {
	p := place{}
	for r := range m.resources {
		p.divisible += m.tables[0].shadow[r] * n.Free[r]
	}
	if m.devices {
		p.whole = min(n.Whole, m.most)
	} else {
		p.cells = m.cells(n.Free[m.primary])
	}
	return p
}

// along values a node at one price of one resource, the others almost free: at
// without the sum over all resources.
func (m *market) along(a *axis, i int, p *place, n *Node) float64 {
	t := &m.tables[a.tables[i]]
	value := p.divisible + (t.shadow[a.resource]-m.tables[0].shadow[a.resource])*n.Free[a.resource]
	if !m.devices {
		return value + t.piece[p.cells]
	}
	value += t.whole[p.whole]
	for _, free := range n.Partial {
		value += t.piece[min(max(free*deviceCells/devices.Whole, 0), deviceCells)]
	}
	return value
}

// descend walks along an axis to the least value.
func (m *market) descend(a *axis, p *place, n *Node, at *uint8) float64 {
	began := min(int(*at), len(a.tables)-1)
	i := began
	value := m.along(a, i, p, n)
	for i+1 < len(a.tables) {
		next := m.along(a, i+1, p, n)
		if next >= value {
			break
		}
		value, i = next, i+1
	}
	if i == began { // the value is convex in the price: it falls on one side at most
		for i > 0 {
			next := m.along(a, i-1, p, n)
			if next >= value {
				break
			}
			value, i = next, i-1
		}
	}
	*at = uint8(i)
	return value
}
