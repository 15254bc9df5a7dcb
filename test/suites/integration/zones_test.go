//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/test/testenv/cluster"
)

// refreshes of the metadata through each bootstrap (issue 3, done-when 3).
const refreshes = 100

func TestMetadataAlwaysNamesTheZonesOwnBrokers(t *testing.T) {
	c := cluster.Start(t, cluster.Options{Brokers: 6})
	createTopic(t, c, "zones", 24, nil)
	program, err := cluster.ClientsProgram(c.Folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range []string{"franz", "sarama", "kafka-go"} {
		for z := range cluster.Zones {
			// One broker is enough as bootstrap: it returns the others.
			k := c.Client(-1, program, "leaders", "--family", family, "--bootstrap", c.Bootstrap(z, z), "--topic", "zones", "--refreshes", fmt.Sprint(refreshes))
			if err := k.Wait(2 * time.Minute); err != nil {
				t.Fatalf("%s in zone %d: %v", family, z, err)
			}
			own, named := c.ZoneBootstrap(z), map[string]int{}
			k.Lines(func(line []byte) error {
				var out struct{ Leaders map[string]int }
				err := json.Unmarshal(line, &out)
				named = out.Leaders
				return err
			})
			total := 0
			for leader, n := range named {
				total += n
				if !slices.Contains(own, leader) {
					t.Errorf("%s in zone %d got leader %s %d times; its zone has %v", family, z, leader, n, own)
				}
			}
			if total != 24*refreshes || len(named) != len(own) {
				t.Errorf("%s in zone %d: %d leaders in %d refreshes, %v", family, z, total, refreshes, named)
			}
		}
		printMeasured(t, "%s: %d refreshes through each of three bootstraps named only brokers of that zone", family, refreshes)
	}
}

func TestAClientWithoutAZoneIsServedAndCounted(t *testing.T) {
	c := cluster.Start(t, cluster.Options{})
	createTopic(t, c, "unknown", 3, nil)
	k, err := kgo.NewClient(kgo.SeedBrokers(c.Bootstrap(0, -1)), kgo.ClientID("nobody"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	const records, size = 300, 1000
	for i := range records {
		r := &kgo.Record{Topic: "unknown", Partition: int32(i % 3), Value: []byte(strings.Repeat("x", size))}
		if err := k.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	readAll(t, c, 0, "unknown", func(*kgo.Record) { n++ })
	if n != records {
		t.Errorf("%d records read, want %d", n, records)
	}
	counted := 0
	for i := range c.Brokers {
		counted += unknownClients(c, i)
	}
	if counted == 0 {
		t.Error("no broker counts a client of unknown zone")
	}
	var sum int64
	for deadline := time.Now().Add(30 * time.Second); sum < records*size && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		sum = 0
		for _, r := range readCost(t, c, 0, "topic,component,zone").Rows {
			if r.Topic == "unknown" && r.Component == "produce" && (r.Src == "" || r.Dst == "") {
				sum += r.quantityValue(t)
			}
		}
	}
	if sum < records*size || sum > records*size*12/10 {
		t.Errorf("%d bytes produced by clients of unknown zone are in the ledger, want %d and a little", sum, records*size)
	}
	printMeasured(t, "a client without a zone: %d connections counted, %d bytes of Produce in the ledger for %d of values", counted, sum, records*size)
}

// unknownClients is how many connections of unknown zone a broker counts.
func unknownClients(c *cluster.Cluster, i int) (n int) {
	var zones struct {
		Zones []struct {
			Zone    string
			Clients []struct {
				Evidence            string
				Aligned, Misaligned int
			}
		}
	}
	c.GetJSON(i, "/api/v1/zones", &zones)
	for _, z := range zones.Zones {
		for _, k := range z.Clients {
			if z.Zone == "" {
				n += k.Aligned + k.Misaligned
			}
		}
	}
	return n
}
