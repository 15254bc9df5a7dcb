package metadata

import "github.com/zonewise/zonewise/internal/costkeys"

// The vocabulary of cost is declared in package costkeys.
type (
	Component = costkeys.Component
	Quantity  = costkeys.Quantity
)

// Topic ids that stand for the ledger's reserved rows. Real ids are random
// UUIDs of version 4 and never collide with them.
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

// CellKey says what a quantity is attributed to.
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
