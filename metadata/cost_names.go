package metadata

import "github.com/zonewise/zonewise/internal/costkeys"

// What broker's meter counts, by the names that it uses until it imports
// package costkeys itself.
const (
	ComponentGet          = costkeys.ComponentGet
	ComponentBytesOut     = costkeys.ComponentBytesOut
	ComponentProduce      = costkeys.ComponentProduce
	ComponentProduceReply = costkeys.ComponentProduceReply
	ComponentFetch        = costkeys.ComponentFetch
	ComponentFetchReply   = costkeys.ComponentFetchReply
	ComponentGroup        = costkeys.ComponentGroup
	ComponentControl      = costkeys.ComponentControl
	NanoRequests          = costkeys.NanoRequests
)

// Units returns n as a quantity.
func Units(n uint64) Quantity { return costkeys.Units(n) }
