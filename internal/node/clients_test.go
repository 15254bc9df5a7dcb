package node

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

const peerToken = "between brokers"

// doors are the broker-to-broker handlers of brokers, by broker, which
// HTTPPeers reaches.
type doors struct {
	HTTPPeers
	at map[metadata.BrokerID]string
}

func (d *doors) Clients(ctx context.Context, id metadata.BrokerID, _ string) (ZoneClients, error) {
	return d.HTTPPeers.Clients(ctx, id, d.at[id])
}

// openDoors gives every broker a broker-to-broker handler and the addresses of
// the others.
func openDoors(t *testing.T, nodes ...*Node) map[metadata.BrokerID]*httptest.Server {
	t.Helper()
	d := &doors{HTTPPeers{Client: http.DefaultClient, Token: peerToken, Scheme: "http"}, map[metadata.BrokerID]string{}}
	servers := map[metadata.BrokerID]*httptest.Server{}
	for _, n := range nodes {
		s := httptest.NewServer(n.PeerHandler(peerToken, nil))
		t.Cleanup(s.Close)
		servers[n.Broker()], d.at[n.Broker()] = s, strings.TrimPrefix(s.URL, "http://")
		n.cfg.ClientCounter = d // before any page is asked for
	}
	return servers
}

// A client without evidence of a zone talks to the leading broker. Whichever
// broker serves the page, the client is counted.
func TestEveryBrokerCountsTheClientsOfAll(t *testing.T) {
	log, b := metadata.NewMemLog(), bucket.NewMem()
	first, firstAddrs := startNode(t, log, b, "a", 2)
	second, secondAddrs := startNode(t, log, b, "b", 2)
	nodes := []*Node{first, second}
	servers := openDoors(t, nodes...)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	// Partition by partition, so that both brokers lead some.
	for _, seed := range []string{firstAddrs[NoZone], secondAddrs[NoZone], firstAddrs[0]} {
		c, err := kgo.NewClient(kgo.SeedBrokers(seed), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("t"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		for p := range DefaultConfig().DefaultPartitions {
			if err := c.ProduceSync(ctx, &kgo.Record{Partition: p, Value: []byte("v")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var pages []dashboards.Cluster
	for _, n := range nodes {
		pages = append(pages, (&source{n}).Cluster(ctx))
	}
	for k, page := range pages {
		got := map[string]dashboards.Clients{}
		for _, z := range page.Zones {
			for _, c := range z.Clients {
				got[string(z.ID)+" "+c.Evidence] = c
			}
		}
		// Two clients without a zone, each at the leaders of its partitions,
		// which may be one broker or both; one of zone a, at its own broker.
		unknown := got[" unknown"]
		if n := unknown.Aligned + unknown.Misaligned; n < 2 || n > 4 {
			t.Errorf("page of broker %d: %d connections without a zone, want 2 to 4", k, n)
		}
		if c := got["a listener"]; c.Aligned != 1 || c.Misaligned != 0 {
			t.Errorf("page of broker %d: clients of zone a: %+v", k, c)
		}
		if len(page.ClientsMissing) != 0 {
			t.Errorf("page of broker %d: brokers %v did not tell", k, page.ClientsMissing)
		}
		if !reflect.DeepEqual(zoneClients(page), zoneClients(pages[0])) {
			t.Errorf("the pages differ: %v and %v", zoneClients(page), zoneClients(pages[0]))
		}
	}
	// One that is gone is named, and does not hold up the page.
	servers[second.Broker()].Close()
	if page := (&source{first}).Cluster(ctx); !reflect.DeepEqual(page.ClientsMissing, []metadata.BrokerID{second.Broker()}) {
		t.Errorf("brokers that did not tell: %v, want %d", page.ClientsMissing, second.Broker())
	}
}

func zoneClients(c dashboards.Cluster) string {
	text := ""
	for _, z := range c.Zones {
		text += fmt.Sprintln(z.ID, z.Clients)
	}
	return text
}

// Rows of several brokers are added up, in the order of the evidence's
// strength; zones in which no broker ever was have a row, too.
func TestClientsAreAddedUpByZoneAndEvidence(t *testing.T) {
	got := sumClients([]ZoneClients{
		{"a": {{Evidence: "tag", Aligned: 1}, {Evidence: "listener", Aligned: 2, Misaligned: 1}}},
		{"a": {{Evidence: "newer-kind", Misaligned: 9}, {Evidence: "listener", Misaligned: 4}}, "": {{Evidence: "unknown", Misaligned: 3}}, "far": {{Evidence: "cidr", Misaligned: 1}}},
		nil,
	})
	want := ZoneClients{
		"a":   {{Evidence: "listener", Aligned: 2, Misaligned: 5}, {Evidence: "tag", Aligned: 1}, {Evidence: "newer-kind", Misaligned: 9}},
		"":    {{Evidence: "unknown", Misaligned: 3}},
		"far": {{Evidence: "cidr", Misaligned: 1}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if zones := withClientZones([]metadata.ZoneID{"b", "a"}, got); !reflect.DeepEqual(zones, []metadata.ZoneID{"b", "a", "far"}) {
		t.Errorf("zones %v", zones)
	}
}

// The broker-to-broker interface lists clients to authenticated peers only.
func TestClientsAreToldToBrokersOnly(t *testing.T) {
	n, _ := startNode(t, metadata.NewMemLog(), bucket.NewMem(), "a", 1)
	s := httptest.NewServer(n.PeerHandler(peerToken, nil))
	defer s.Close()
	stranger := HTTPPeers{Client: s.Client(), Token: "guessed", Scheme: "http"}
	if of, err := stranger.Clients(t.Context(), 0, strings.TrimPrefix(s.URL, "http://")); err == nil {
		t.Errorf("a stranger was told %v", of)
	}
}
