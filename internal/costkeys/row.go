package costkeys

// Row is a reserved row of the ledger: usage that belongs to no single topic.
// Its number is the last byte of its topic id in the ledger, all others are 0.
type Row uint8

// The reserved rows, in the order in which they are shown. Every view by topic
// shows all of them, also where they are zero.
const (
	RowPlatform    Row = iota + 1 // work for the service as a whole
	RowControl                    // entries and requests without records
	RowOther                      // past the cardinality limit
	RowUnallocated                // charged, but no usage explains it; computed, never stored
)

// rowNames are the rows' names in the JSON, the CSV and on pages.
var rowNames = [...]string{RowPlatform: "__platform__", RowControl: "__control__", RowOther: "__other__", RowUnallocated: "__unallocated__"}

// Rows returns the reserved rows in the order in which they are shown.
func Rows() []Row { return []Row{RowPlatform, RowControl, RowOther, RowUnallocated} }

// String returns the row's name.
func (r Row) String() string { return rowNames[r] }

// Stored reports whether cells of the ledger may belong to the row.
func (r Row) Stored() bool { return r >= RowPlatform && r <= RowOther }

// RowOf returns the reserved row of a name, or 0 for the name of a topic.
func RowOf(name string) Row {
	for _, r := range Rows() {
		if r.String() == name {
			return r
		}
	}
	return 0
}
