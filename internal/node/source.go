package node

import (
	"context"
	"net"
	"strconv"

	"github.com/zonewise/zonewise/broker"
	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/metadata"
)

// source provides a node's applied state to the pages.
type source struct{ n *Node }

var _ dashboards.Source = (*source)(nil)

// Ledger implements dashboards.Source.
func (s *source) Ledger(plan func(metadata.UnixMilli) []dashboards.Window) (dashboards.Ledger, error) {
	return dashboards.ReadLedger(s.n.replica.Snapshot(), plan), nil
}

// Cluster implements dashboards.Source.
func (s *source) Cluster(ctx context.Context) dashboards.Cluster {
	n := s.n
	c := dashboards.Cluster{Name: n.cfg.Cluster, Version: n.cfg.Version, Broker: n.brokerID(),
		BytesMinutes: int(metadata.LedgerMinutesFor / 60_000)}
	var sessions []metadata.SessionView
	var zones []metadata.ZoneID
	st := n.replica.Snapshot()
	c.ID = st.ClusterID().String()
	c.FeatureLevel, c.Extent, c.AsOf = int(st.Level()), st.Extent(), st.Revision()
	sessions, zones = st.Sessions(), st.Zones()
	for _, t := range st.Topics() {
		if broker.InternalTopic(t.Name) {
			continue // a name without records
		}
		view := dashboards.Topic{Name: t.Name, ID: t.ID, Partitions: int(t.Partitions), Compacted: st.HasPolicy(&t, "compact")}
		for p := range t.Partitions {
			tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)}
			head, _ := st.Partition(tp)
			view.Bytes += uint64(head.Bytes)
			view.Records += st.Records(tp)
		}
		c.Topics = append(c.Topics, view)
	}
	if len(sessions) > 0 {
		c.Incarnation = sessions[len(sessions)-1].ID.Incarnation()
	}
	c.LagMs = int64(n.replica.Head() - n.replica.Applied())
	clients, missing := n.clusterClients(ctx, sessions)
	c.ClientsMissing = missing
	for _, z := range append(withClientZones(zones, clients), metadata.UnknownZone) {
		zone := s.describeZone(z, zones, sessions)
		zone.Clients = clients[z]
		c.Zones = append(c.Zones, zone)
	}
	return c
}

func addressOf(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}

func (s *source) describeZone(z metadata.ZoneID, zones []metadata.ZoneID, sessions []metadata.SessionView) dashboards.Zone {
	out := dashboards.Zone{ID: z}
	out.BytesIn, out.BytesOut = s.n.zoneBytes(z)
	for _, o := range sessions {
		if o.Open.Zone != z {
			continue
		}
		b := dashboards.Broker{ID: o.Broker, Version: o.Open.Version, Draining: o.Draining}
		b.Listeners = append(b.Listeners, dashboards.Listener{Address: addressOf(o.Open.Kafka.Host, o.Open.Kafka.Port)})
		for k, client := range zones {
			port := o.Open.Kafka.Port + 1 + int32(k)
			if k < len(o.Open.ZonePorts) {
				port = o.Open.ZonePorts[k]
			}
			b.Listeners = append(b.Listeners, dashboards.Listener{Address: addressOf(o.Open.Kafka.Host, port), ClientZone: client})
		}
		out.Brokers = append(out.Brokers, b)
	}
	return out
}
