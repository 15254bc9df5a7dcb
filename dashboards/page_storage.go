package dashboards

import (
	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// storageTable is what the bucket holds, divided as in the bill: bytes now, and what
// they cost in the window.
type storageTable struct {
	Rows  []storageRow
	Bytes string // of the whole bucket
	Total amount
}

type storageRow struct {
	Label, Name, About, Bytes string
	Money                     amount
}

// storagePart is a component of storage, and what it is.
type storagePart struct {
	component    costkeys.Component
	label, about string
}

// storageParts are in the order of the table.
func storageParts() []storagePart {
	return []storagePart{
		{costkeys.ComponentStorage, "Live records", "what consumers can read; in each topic's row"},
		{costkeys.ComponentStorageDeleted, "Deleted records that wait",
			"of retention, of DeleteRecords, of deleted topics; in their topic's row until their objects are deleted: when the last record of an object is deleted, and a grace of ten minutes by default has passed"},
		{costkeys.ComponentPlatformStorage, "Platform",
			"archives and checkpoints (with deleted records that were written through the log), headers of objects, what was refused, and uploads that lost a race; in the row __platform__"},
	}
}

// newStorageTable sums a window's storage.
func newStorageTable(c *pricedWindow) storageTable {
	now := map[costkeys.Component]int64{
		costkeys.ComponentStorage:         c.storage.Live - c.storage.Unarchived,
		costkeys.ComponentStorageDeleted:  c.storage.Dead,
		costkeys.ComponentPlatformStorage: c.storage.Platform,
	}
	t := storageTable{Bytes: costkeys.UnitBytes.Human(costkeys.Units(uint64(c.storage.Bucket()))), Total: exactAmount(storageMoney(c.statement))}
	for _, p := range storageParts() {
		t.Rows = append(t.Rows, storageRow{p.label, p.component.String(), p.about,
			costkeys.UnitBytes.Human(costkeys.Units(uint64(now[p.component]))), exactAmount(componentMoney(c.statement, p.component))})
	}
	return t
}

// componentMoney returns what a component costs.
func componentMoney(s *costmodel.Statement, c costkeys.Component) (sum costmodel.NanoUSD) {
	for i := range s.Lines {
		if s.Lines[i].Component == c {
			sum += s.Lines[i].NanoUSD
		}
	}
	return sum
}

// storageMoney returns what all that is in the bucket costs.
func storageMoney(s *costmodel.Statement) (sum costmodel.NanoUSD) {
	for _, p := range storageParts() {
		sum += componentMoney(s, p.component)
	}
	return sum
}
