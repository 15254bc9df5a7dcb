package dashboards

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// clusterView is the cluster, ready to print.
type clusterView struct {
	Name, Version, Lag  string
	BytesHours          string // over which bytes of zones are summed
	Incarnation         uint32
	FeatureLevel        int
	Extent              uint64
	Broker              int32
	Brokers, Partitions int
	Zones               []zoneView
	Topics              []topicView
	MoreTopics          int
	ClientsMissing      []metadata.BrokerID // whose clients are not among those of the zones
}

type zoneView struct {
	Name     string
	Unknown  bool
	Brokers  []brokerView
	Clients  []clientView
	In, Out  string
	Crossing uint64 // connections to another zone's broker
}

type brokerView struct {
	ID        int32
	Listeners string
	Version   string
	Draining  bool
}

type clientView struct {
	Evidence            string
	Aligned, Misaligned uint64
}

type topicView struct {
	Name, Bytes, Records string
	Partitions           int
	Compacted            bool // it wants to be: that is not enforced yet
}

// shownClusterTopics bounds the page's list of topics; the API has them all.
const shownClusterTopics = 100

func viewCluster(c *Cluster) clusterView {
	v := clusterView{
		Name: costmodel.Printable(c.Name), Version: costmodel.Printable(c.Version), Lag: fmt.Sprintf("%d.%03d s", c.LagMs/1000, max(c.LagMs, -c.LagMs)%1000),
		Incarnation: uint32(c.Incarnation), FeatureLevel: c.FeatureLevel, Extent: uint64(c.Extent), Broker: int32(c.Broker), ClientsMissing: c.ClientsMissing,
		BytesHours: fmt.Sprintf("%d h", c.BytesMinutes/60),
	}
	for i := range c.Zones {
		zone := viewZone(&c.Zones[i])
		v.Brokers += len(zone.Brokers)
		v.Zones = append(v.Zones, zone)
	}
	slices.SortStableFunc(v.Zones, func(a, b zoneView) int {
		if a.Unknown != b.Unknown { // the unknown zone comes last
			if a.Unknown {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.Name, b.Name)
	})
	for i := range c.Topics {
		t := &c.Topics[i]
		v.Partitions += t.Partitions
		v.Topics = append(v.Topics, topicView{
			costmodel.Printable(t.Name), costkeys.UnitBytes.Human(costkeys.Units(t.Bytes)),
			strings.TrimSuffix(costkeys.UnitRecords.Human(costkeys.Units(t.Records)), " records"), t.Partitions, t.Compacted,
		})
	}
	slices.SortStableFunc(v.Topics, func(a, b topicView) int { return cmp.Compare(a.Name, b.Name) })
	if len(v.Topics) > shownClusterTopics {
		v.MoreTopics = len(v.Topics) - shownClusterTopics
		v.Topics = v.Topics[:shownClusterTopics]
	}
	return v
}

func viewZone(z *Zone) zoneView {
	v := zoneView{
		Name: zoneName(string(z.ID)), Unknown: z.ID == "",
		In: costkeys.UnitBytes.Human(costkeys.Units(z.BytesIn)), Out: costkeys.UnitBytes.Human(costkeys.Units(z.BytesOut)),
	}
	for _, b := range z.Brokers {
		var listeners []string
		for _, l := range b.Listeners {
			listeners = append(listeners, costmodel.Printable(l.String()))
		}
		v.Brokers = append(v.Brokers, brokerView{int32(b.ID), strings.Join(listeners, ", "), costmodel.Printable(b.Version), b.Draining})
	}
	for _, c := range z.Clients {
		v.Clients = append(v.Clients, clientView{costmodel.Printable(c.Evidence), c.Aligned, c.Misaligned})
		v.Crossing += c.Misaligned
	}
	return v
}
