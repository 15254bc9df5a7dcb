package metadata

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// The vocabulary of cost is declared in package costkeys.
type (
	Component = costkeys.Component
	Quantity  = costkeys.Quantity
)

// Topic ids of the ledger's reserved rows. Real ids are random UUIDs of version
// 4 and never collide with them.
var (
	RowPlatform = reservedTopicID(costkeys.RowPlatform)
	RowControl  = reservedTopicID(costkeys.RowControl)
	RowOther    = reservedTopicID(costkeys.RowOther)
)

func reservedTopicID(r costkeys.Row) TopicID { return TopicID{15: byte(r)} }

// ReservedRow returns the reserved row of a topic id, or false for a real topic.
func ReservedRow(t TopicID) (costkeys.Row, bool) {
	if row := costkeys.Row(t[15]); row.Stored() && t == reservedTopicID(row) {
		return row, true
	}
	return 0, false
}

// CellKey is what a quantity is attributed to.
type CellKey struct {
	Topic     TopicID
	Component Component
	Src, Dst  ZoneID // equal or empty where nothing crosses; Src alone for what happens in a zone
	Principal string
	Group     string // read side only
}

// Cell is a quantity attributed to a key.
type Cell struct {
	Key      CellKey
	Quantity Quantity
}

// Compare is the order of cells wherever they are committed, stored or shown.
func (k *CellKey) Compare(o *CellKey) int {
	if d := bytes.Compare(k.Topic[:], o.Topic[:]); d != 0 {
		return d
	}
	return cmp.Or(cmp.Compare(k.Component, o.Component), strings.Compare(string(k.Src), string(o.Src)), strings.Compare(string(k.Dst), string(o.Dst)),
		strings.Compare(k.Principal, o.Principal), strings.Compare(k.Group, o.Group))
}

// SortCells puts cells in the order of their keys, so that what is committed
// does not depend on map order.
func SortCells(cells []Cell) {
	slices.SortFunc(cells, func(a, b Cell) int { return a.Key.Compare(&b.Key) })
}
