//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// crossZoneBytes sums the bytes that the zones have sent to each other, by the
// kernel's counters.
func crossZoneBytes(c *cluster.Cluster) (bytes int64) {
	for z := range cluster.Zones {
		bytes += c.ZoneTraffic(z).Sent
	}
	return bytes
}

// crossZoneRate measures the bytes per second between zones during wait.
func crossZoneRate(c *cluster.Cluster, wait time.Duration) float64 {
	before, began := crossZoneBytes(c), time.Now()
	time.Sleep(wait)
	return float64(crossZoneBytes(c)-before) / time.Since(began).Seconds()
}

// produceIn runs clients-go in a zone's network and returns the bytes of
// values acknowledged.
func produceIn(t *testing.T, c *cluster.Cluster, program string, z int, bootstrap []string, rate float64, run time.Duration, more ...string) *cluster.Client {
	t.Helper()
	name := fmt.Sprintf("in-%d", z)
	return c.Client(z, program, append([]string{"produce", "--family", "franz", "--topic", "wire", "--partitions", "3", "--record-bytes", "16000",
		"--rate", fmt.Sprint(rate), "--duration", run.String(), "--producer", fmt.Sprintf("%s,%s,%s", name, strings.Join(bootstrap, ";"), name)}, more...)...)
}

func ackedBytes(t *testing.T, k *cluster.Client) (sum int64) {
	t.Helper()
	if err := k.Wait(2 * time.Minute); err != nil {
		t.Fatal(err)
	}
	for _, p := range k.ProducerResults() {
		sum += p.Bytes
	}
	return sum
}

func TestTheKernelSeesNoPayloadCrossForAlignedClients(t *testing.T) {
	if err := cluster.CanNamespace(); err != nil {
		t.Fatalf("not run: %v", err)
	}
	c := cluster.Start(t, cluster.Options{Namespaces: true, Broker: map[string]string{"inline-rate": "0"}})
	createTopic(t, c, "wire", 3, nil)
	program, err := cluster.ClientsProgram(c.Folder)
	if err != nil {
		t.Fatal(err)
	}
	run := testLength(15*time.Second, 60*time.Second)
	time.Sleep(3 * time.Second)
	idle := crossZoneRate(c, testLength(10*time.Second, 30*time.Second))

	// A trickle costs only its commits: no payload, but entries, acks and followers'
	// responses, independent of the size.
	alignedRun(t, c, program, alignedLoad{idle: idle, rate: 1e6, run: run, most: 0.10})
	// At a rate that fills objects, promise 8 holds: half a per cent.
	alignedRun(t, c, program, alignedLoad{idle: idle, rate: 16e6, run: run, most: 0.005})
	unalignedRun(t, c, program, idle, run)
}

// alignedLoad is a run of clients that stay in their zones.
type alignedLoad struct {
	idle float64 // bytes per second between zones without clients
	rate float64 // of each zone's producer, bytes per second
	run  time.Duration
	most float64 // allowed share of the produced bytes beyond idle
}

// alignedRun lets each zone's client produce and consume in its own zone.
func alignedRun(t *testing.T, c *cluster.Cluster, program string, a alignedLoad) {
	t.Helper()
	before, began := crossZoneBytes(c), time.Now()
	var clients, readers []*cluster.Client
	for z := range cluster.Zones {
		clients = append(clients, produceIn(t, c, program, z, c.ZoneBootstrap(z), a.rate, a.run))
		readers = append(readers, c.Client(z, program, "consume", "--family", "franz", "--topic", "wire", "--group", fmt.Sprintf("group-%d-%.0f", z, a.rate),
			"--member", fmt.Sprintf("m,%s,m-%d", c.ZoneBootstrap(z)[0], z), "--idle", "6s"))
	}
	var produced int64
	for _, k := range clients {
		produced += ackedBytes(t, k)
	}
	for _, k := range readers {
		if err := k.Wait(time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(began).Seconds()
	all := float64(crossZoneBytes(c) - before)
	net := all - a.idle*took
	printMeasured(t, "aligned, inline 0: %.1f MB produced and three times read in %.0f s; %.3f MB crossed between zones in all (%.2f %% of produced), %.3f MB (%.2f %%) beyond what crosses idle (%.0f B/s)",
		float64(produced)/1e6, took, all/1e6, 100*all/float64(produced), net/1e6, 100*net/float64(produced), a.idle)
	if net > a.most*float64(produced) {
		t.Errorf("%.3f MB crossed for %.1f MB produced and read by aligned clients", net/1e6, float64(produced)/1e6)
	}
}

// unalignedRun has a client in zone 1 that only knows zone 0's listener for zone 0's
// clients, and must be counted as one of them.
func unalignedRun(t *testing.T, c *cluster.Cluster, program string, idle float64, run time.Duration) {
	t.Helper()
	before, began := crossZoneBytes(c), time.Now()
	far := ackedBytes(t, produceIn(t, c, program, 1, c.ZoneBootstrap(0), 1e6, run))
	net := float64(crossZoneBytes(c)-before) - idle*time.Since(began).Seconds()
	printMeasured(t, "unaligned: %.2f MB of values produced from zone b to zone a; the kernel counted %.2f MB across zones (%.3f of it)", float64(far)/1e6, net/1e6, net/float64(far))
	if net < float64(far) || net > 1.15*float64(far) {
		t.Errorf("%.2f MB crossed for %.2f MB of values of the unaligned client", net/1e6, float64(far)/1e6)
	}
}

// etcdBytes returns the bytes between etcd's members, and between them and their
// clients, by etcd's own counters.
func etcdBytes(c *cluster.Cluster) (peer, client float64) {
	for z := range cluster.Zones {
		m := c.EtcdMetrics(z)
		peer += m.Sum("etcd_network_peer_sent_bytes_total")
		client += m.Sum("etcd_network_client_grpc_sent_bytes_total") + m.Sum("etcd_network_client_grpc_received_bytes_total")
	}
	return peer, client
}

// etcdSpan is what was counted in an interval: by etcd, and in the bill.
type etcdSpan struct{ peer, client, inline, etcd, taken, seconds float64 }

func TestTheInlineRowEqualsEtcdsCounters(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Broker: map[string]string{"inline-rate": "4000000"}})
	createTopic(t, c, "inline", 3, nil)
	row := func(component string) (sum float64) {
		for _, r := range readCost(t, c, 0, "component,zone").Rows {
			if r.Component == component && r.Src != r.Dst {
				sum += float64(r.quantityValue(t))
			}
		}
		return sum
	}
	taken := func() (sum float64) { // record bytes, inline or in objects
		for _, r := range readCost(t, c, 0, "component,zone").Rows {
			if r.Component == "bytes_in" {
				sum += float64(r.quantityValue(t))
			}
		}
		return sum
	}
	measure := func(wait time.Duration) (s etcdSpan) {
		p0, k0 := etcdBytes(c)
		i0, e0, b0, began := row("inline"), row("etcd"), taken(), time.Now()
		time.Sleep(wait)
		p1, k1 := etcdBytes(c)
		return etcdSpan{p1 - p0, k1 - k0, row("inline") - i0, row("etcd") - e0, taken() - b0, time.Since(began).Seconds()}
	}
	wait := testLength(15*time.Second, 60*time.Second)
	time.Sleep(3 * time.Second)
	idle := measure(wait)
	l := startLoad(t, c, loadOptions{topic: "inline", partitions: 3, perFamily: 3, bytesPerSec: 1.5e6, recordBytes: 40_000, more: []string{"--linger", "0s"}})
	time.Sleep(2 * time.Second)
	s := measure(wait)
	l.stopProducers(t)
	inline, seconds := s.inline, s.seconds
	net := s.peer - idle.peer/idle.seconds*seconds
	rest := s.etcd - idle.etcd/idle.seconds*seconds
	clients := s.client - idle.client/idle.seconds*seconds
	printMeasured(t, "inline row %.2f MB and %.2f MB of the rest of entries, times network hops between zones, in %.0f s; etcd's members counted %.2f MB sent to each other beyond an idle run (%.2f MB in all): inline row / counters = %.4f, both rows / counters = %.4f",
		inline/1e6, rest/1e6, seconds, net/1e6, s.peer/1e6, inline/net, (inline+rest)/net)
	// An entry goes into its broker's member once, out to every broker's watch, and
	// again to the broker that archives its extent, if that is in the window: each
	// within a zone, so that no row has them.
	printMeasured(t, "%.2f MB of records; etcd's members counted %.2f MB to and from clients beyond an idle run: 1 + %d times that is %.4f of it",
		s.taken/1e6, clients/1e6, cluster.Zones, (1+cluster.Zones)*s.taken/clients)
	if ratio := (1 + cluster.Zones) * s.taken / clients; ratio < 0.76 || ratio > 1.05 {
		t.Errorf("records are %.4f of what etcd counted to and from its clients", ratio)
	}
	if ratio := inline / net; ratio < 0.95 || ratio > 1.05 {
		t.Errorf("the inline row is %.4f of what etcd counted", ratio)
	}
}
