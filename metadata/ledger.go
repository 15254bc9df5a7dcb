package metadata

import (
	"fmt"
	"math/bits"
)

// Component says what a cell's quantity is of. The unit is fixed per
// component. Numbers are for ever; names are the API's.
type Component uint8

// The components. Requests are in nano-requests, because one PUT is shared by
// several topics; storage is in byte-milliseconds.
const (
	ComponentBytesIn      Component = iota + 1 // record bytes accepted (bytes; free)
	ComponentRecordsIn                         // offsets accepted (records; free)
	ComponentPut                               // share of WAL PUTs that became part of the log (nano-requests)
	ComponentPutHedge                          // share of PUTs given up or repeated (nano-requests)
	ComponentStorage                           // live bytes over state time (byte-ms)
	ComponentInline                            // inline record bytes x legs between zones (bytes, by pair)
	ComponentEtcd                              // the rest of each entry x legs between zones (bytes, by pair)
	ComponentPutPlatform                       // PUTs of archives, checkpoints, probes, usage (nano-requests)
	ComponentGetPlatform                       // GETs of archives, checkpoints, probes (nano-requests)
	ComponentListPlatform                      // LISTs (nano-requests)
	ComponentDelete                            // DELETEs (nano-requests; free on AWS)
	ComponentGet                               // GETs made to serve fetches (nano-requests)
	ComponentBytesOut                          // record bytes served (bytes; free)
	ComponentProduce                           // Produce requests, client to broker (bytes, by pair)
	ComponentProduceReply                      // Produce answers (bytes, by pair)
	ComponentFetch                             // Fetch requests (bytes, by pair)
	ComponentFetchReply                        // Fetch answers, broker to client (bytes, by pair)
	ComponentGroup                             // group requests and answers (bytes, by pair)
	ComponentControl                           // all other requests and answers (bytes, by pair)
	ComponentPeer                              // broker to broker (bytes, by pair)
	ComponentCacheSaved                        // GETs that a cache made needless (nano-requests; free)
	componentEnd
)

var componentNames = [componentEnd]string{
	ComponentBytesIn: "bytes_in", ComponentRecordsIn: "records_in", ComponentPut: "s3_put",
	ComponentPutHedge: "put_hedge", ComponentStorage: "storage", ComponentInline: "inline",
	ComponentEtcd: "etcd", ComponentPutPlatform: "platform_put", ComponentGetPlatform: "platform_get",
	ComponentListPlatform: "platform_list", ComponentDelete: "s3_delete", ComponentGet: "s3_get",
	ComponentBytesOut: "bytes_out", ComponentProduce: "produce", ComponentProduceReply: "produce_resp",
	ComponentFetch: "fetch", ComponentFetchReply: "fetch_resp", ComponentGroup: "group",
	ComponentControl: "control", ComponentPeer: "peer", ComponentCacheSaved: "cache_saved",
}

// String returns the component's name in the API.
func (c Component) String() string {
	if c > 0 && c < componentEnd {
		return componentNames[c]
	}
	return fmt.Sprintf("component-%d", uint8(c))
}

// Valid reports whether c is a component of this version.
func (c Component) Valid() bool { return c > 0 && c < componentEnd }

// Topic ids that stand for the ledger's reserved rows. Real ids are random
// UUIDs of version 4 and never collide with them.
var (
	RowPlatform = TopicID{15: 1} // __platform__: work for the service as a whole
	RowControl  = TopicID{15: 2} // __control__: entries and requests without records
	RowOther    = TopicID{15: 3} // __other__: past the cardinality limit
)

// ReservedRow returns the name of a reserved row, or false for a real topic.
func ReservedRow(t TopicID) (string, bool) {
	switch t {
	case RowPlatform:
		return "__platform__", true
	case RowControl:
		return "__control__", true
	case RowOther:
		return "__other__", true
	}
	return "", false
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

// Quantity is an unsigned 128-bit integer in its component's unit.
type Quantity struct{ Hi, Lo uint64 }

// Units returns n as a quantity.
func Units(n uint64) Quantity { return Quantity{Lo: n} }

// Requests returns n whole requests as nano-requests.
func Requests(n uint64) Quantity {
	hi, lo := bits.Mul64(n, NanoRequests)
	return Quantity{hi, lo}
}

// NanoRequests is how many nano-requests one request is.
const NanoRequests = 1_000_000_000

// Product returns a x b.
func Product(a, b uint64) Quantity {
	hi, lo := bits.Mul64(a, b)
	return Quantity{hi, lo}
}

// Add returns q + o. Overflow of 128 bits is not reachable: it would take 10^20
// bytes stored for 10^11 years.
func (q Quantity) Add(o Quantity) Quantity {
	lo, c := bits.Add64(q.Lo, o.Lo, 0)
	hi, _ := bits.Add64(q.Hi, o.Hi, c)
	return Quantity{hi, lo}
}

// IsZero reports whether q is nothing.
func (q Quantity) IsZero() bool { return q.Hi == 0 && q.Lo == 0 }
