package router

import "github.com/zonewise/zonewise/metadata"

// MaxSpread bounds the brokers over which a hot partition is spread: each one
// more splits its batches over one more object per linger.
const MaxSpread = 16

// hashSeedSpread separates this use of the hash from others. Brokers need not
// agree on it.
const hashSeedSpread metadata.Hash = 0x5bd1e9955bd1e995

// SpreadRequest is a request for one connection's hint for a hot partition.
type SpreadRequest struct {
	Partition metadata.TopicPartition
	Zone      metadata.ZoneID
	// Connection is a hash that does not change while the client is
	// connected: its hint moves only if the brokers change (the records of
	// a client that switches between brokers may be reordered, which its
	// retries pay for).
	Connection uint64
	// Width is over how many of the zone's brokers to spread, 1 to MaxSpread.
	Width int
}

// Spread returns the connection's hint: its rendezvous winner among the first
// Width healthy brokers of the partition's ranking in the zone. When the width
// grows, clients move to the brokers that were added and to no others.
func (v *View) Spread(r SpreadRequest, healthy func(metadata.BrokerID) bool) metadata.BrokerID {
	width := min(max(r.Width, 1), MaxSpread)
	var among []metadata.BrokerID
	for _, b := range v.placement.RankedBrokers(r.Partition, r.Zone) {
		if len(among) < width && (healthy == nil || healthy(b)) {
			among = append(among, b)
		}
	}
	if len(among) == 0 {
		return v.Leader(r.Partition, r.Zone, healthy)
	}
	return rankBrokers(hashSeedSpread.Word(r.Connection), among)[0]
}
