package dashboards

import (
	"slices"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// matrix is traffic by pair of zones: rows send, columns receive.
type matrix struct {
	Zones []string
	Rows  []matrixRow
	Any   bool
}

type matrixRow struct {
	Zone  string
	Cells []matrixCell
}

// matrixCell is the traffic of one pair. Heat is 0 to 4, by money.
type matrixCell struct {
	Bytes string
	Money string
	Bound string // what it would cost at most, where a zone is unknown
	Kind  string // "local", "cross", "unknown" or "none"
	Heat  int64
}

// unknownZone is how a zone that no evidence gives is shown.
const unknownZone = "unknown"

// zoneMatrix sums the statement's transfers by pair of zones.
func zoneMatrix(s *costmodel.Statement, c *Cluster) matrix {
	type pair struct{ src, dst string }
	type sum struct {
		bytes        costkeys.Quantity
		money, bound costmodel.NanoUSD
	}
	sums, zones := map[pair]sum{}, []string{}
	for _, z := range c.Zones {
		zones = append(zones, string(z.ID))
	}
	var most costmodel.NanoUSD
	for i := range s.Lines {
		line := &s.Lines[i]
		if !line.Component.IsTransfer() {
			continue
		}
		p := pair{line.Src, line.Dst}
		now := sums[p]
		now.bytes = now.bytes.Add(line.Quantity) // cannot wrap: part of a meter that Bill summed
		now.money += line.NanoUSD
		now.bound += line.UpperBound
		sums[p] = now
		zones = append(zones, p.src, p.dst)
		most = max(most, now.money)
	}
	slices.Sort(zones)
	zones = slices.Compact(zones)
	if len(zones) > 0 && zones[0] == "" { // the unknown zone comes last
		zones = append(zones[1:], "")
	}
	m := matrix{Any: len(sums) > 0}
	for _, src := range zones {
		m.Zones = append(m.Zones, zoneName(src))
		row := matrixRow{Zone: zoneName(src)}
		for _, dst := range zones {
			found, ok := sums[pair{src, dst}]
			cell := matrixCell{Kind: "none"}
			if ok {
				cell = matrixCell{Bytes: costkeys.UnitBytes.Human(found.bytes), Money: formatShort(found.money), Kind: "cross", Heat: heatOf(found.money, most)}
			}
			switch {
			case ok && (src == "" || dst == ""):
				cell.Kind = "unknown"
				if found.bound > 0 {
					cell.Bound = formatShort(found.bound)
				}
			case ok && src == dst:
				cell.Kind = "local"
			}
			row.Cells = append(row.Cells, cell)
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

func heatOf(m, most costmodel.NanoUSD) int64 {
	if m == 0 {
		return 0
	}
	return 1 + min(3, mulDiv(int64(m), 4, int64(most)))
}

func zoneName(id string) string {
	if id == "" {
		return unknownZone
	}
	return costmodel.Printable(id)
}
