package dashboards

import (
	"context"
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// Source provides the data of the pages. Both methods return copies and may be
// called from many goroutines.
type Source interface {
	// Ledger calls plan with the present state time for the windows to
	// read, and returns them all as of one applied revision. plan is pure
	// and calls nothing back. It never blocks on the network.
	Ledger(plan func(now metadata.UnixMilli) []Window) (Ledger, error)
	// Cluster returns the cluster as this broker has applied it, and the
	// clients of all brokers that respond within a second.
	Cluster(ctx context.Context) Cluster
}

// Window is a stretch of state time, end exclusive, on whole minutes, or on
// whole hours where it begins more than metadata.LedgerMinutesFor ago.
type Window struct{ From, To metadata.UnixMilli }

// Ledger is the applied ledger over the requested windows.
type Ledger struct {
	AsOf    metadata.Revision
	Now     metadata.UnixMilli          // state time at AsOf
	Windows []metadata.LedgerWindow     // one per requested window, in that order
	Topics  map[metadata.TopicID]string // names of the topics that exist
	Deleted map[metadata.TopicID]string // names of deleted topics that still have rows
	Storage metadata.StorageTotals      // what the bucket holds at AsOf
}

// Cluster describes a cluster, as the broker that answers sees it.
type Cluster struct {
	Name         string               `json:"cluster"`
	ID           string               `json:"cluster_id"` // as Kafka's clients receive it
	Version      string               `json:"version"`    // of this broker
	Broker       metadata.BrokerID    `json:"broker"`     // that answers
	Incarnation  metadata.Incarnation `json:"incarnation"`
	FeatureLevel int                  `json:"feature_level"`
	Extent       metadata.Extent      `json:"generation"`
	AsOf         metadata.Revision    `json:"as_of_revision"`
	LagMs        int64                `json:"follower_lag_ms"` // how far this broker's state is behind the log
	Zones        []Zone               `json:"zones"`
	BytesMinutes int                  `json:"bytes_minutes"` // over which bytes of zones are summed, up to now
	Topics       []Topic              `json:"topics"`
	// ClientsMissing are the brokers that did not return their clients: the
	// zones below count those of the others.
	ClientsMissing []metadata.BrokerID `json:"clients_missing_of"`
}

// Zone is one availability zone. The zone with an empty id is for clients
// without evidence of a zone.
type Zone struct {
	ID       metadata.ZoneID `json:"zone"`
	Brokers  []Broker        `json:"brokers"`
	Clients  []Clients       `json:"clients"`
	BytesIn  uint64          `json:"bytes_in"`  // from clients of this zone, over Cluster.BytesMinutes
	BytesOut uint64          `json:"bytes_out"` // to clients of this zone
}

// Broker is one live broker.
type Broker struct {
	ID        metadata.BrokerID `json:"broker"`
	Listeners []Listener        `json:"listeners"`
	Version   string            `json:"version"`
	Draining  bool              `json:"draining"`
}

// Listener is an address at which a broker is reached by the clients of one
// zone, or, where that is empty, by those that nothing places.
type Listener struct {
	Address    string          `json:"address"` // host:port
	ClientZone metadata.ZoneID `json:"client_zone"`
}

// String is the listener in a line of text.
func (l Listener) String() string {
	if l.ClientZone == metadata.UnknownZone {
		return l.Address + " (no zone)"
	}
	return fmt.Sprintf("%s (%s)", l.Address, l.ClientZone)
}

// Clients counts connections of a zone that produce or fetch, by the evidence
// that placed them there: listener, tag, rack, cidr or unknown. An aligned
// client talks to a broker of its own zone.
type Clients struct {
	Evidence   string `json:"evidence"`
	Aligned    uint64 `json:"aligned"`
	Misaligned uint64 `json:"misaligned"`
}

// Topic is one topic. Bytes are what its partitions hold at present.
type Topic struct {
	Name       string           `json:"topic"`
	ID         metadata.TopicID `json:"-"`
	Partitions int              `json:"partitions"`
	Bytes      uint64           `json:"bytes"`
	Records    uint64           `json:"records"`
	// Compacted: cleanup.policy has compact, which is not enforced yet.
	Compacted bool `json:"compaction_not_enforced,omitempty"`
}
