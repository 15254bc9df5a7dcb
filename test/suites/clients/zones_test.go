//go:build clients

package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// checkUnknownZone produces and reads as a client without a zone, and checks that it
// is counted as such, and its bytes in the row without a zone.
func checkUnknownZone(t *testing.T, d *devserver.Dev) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	before := readZoneCounts(t, d)
	c, err := kgo.NewClient(kgo.SeedBrokers(d.UnzonedBootstrap()), kgo.ClientID("nobody-knows"), kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics("from-nowhere"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sent := &kgo.Record{Topic: "from-nowhere", Value: []byte("served all the same")}
	if err := c.ProduceSync(ctx, sent).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := c.PollFetches(ctx)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 || string(fetches.Records()[0].Value) != string(sent.Value) {
		t.Fatalf("read %d records, %v", fetches.NumRecords(), err)
	}
	after := readZoneCounts(t, d)
	if after.unknown == 0 {
		t.Errorf("/api/v1/zones counts no client without a zone while one is connected")
	}
	if len(after.missing) > 0 {
		t.Errorf("/api/v1/zones: clients of brokers %v are missing", after.missing)
	}
	// Brokers report read bytes every 10 s.
	for after.unknownBytes <= before.unknownBytes {
		select {
		case <-ctx.Done():
			t.Fatalf("/api/v1/zones: bytes of the row without a zone were %d and are %d", before.unknownBytes, after.unknownBytes)
		case <-time.After(200 * time.Millisecond):
			after = readZoneCounts(t, d)
		}
	}
}

// waitBilledPuts checks that records of a topic went to S3 and not only inline: its
// bill has a share of PUT requests.
func waitBilledPuts(t *testing.T, d *devserver.Dev, topic string) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		var bill struct {
			Rows []struct{ Topic, Component, Quantity string }
		}
		getJSON(t, d, "/api/v1/cost", &bill)
		for _, r := range bill.Rows {
			if q, err := strconv.ParseFloat(r.Quantity, 64); r.Topic == topic && r.Component == "s3_put" && err == nil && q > 0 {
				return
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("/api/v1/cost has no s3_put of %s in %d rows, though it holds records of 300 KiB", topic, len(bill.Rows))
		}
	}
}

// getJSON reads JSON from the HTTP port.
func getJSON(t *testing.T, d *devserver.Dev, path string, into any) {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", d.HTTP(), path))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, resp.Status, err)
	}
}

// zoneCounts is the part of /api/v1/zones about clients without a zone.
type zoneCounts struct {
	unknown      uint64 // connected now
	unknownBytes int64  // bytes in and out
	missing      []int  // brokers whose clients are not counted
}

func readZoneCounts(t *testing.T, d *devserver.Dev) zoneCounts {
	t.Helper()
	var found struct {
		Missing []int `json:"clients_missing_of"`
		Zones   []struct {
			Zone    string
			Clients []struct {
				Evidence            string
				Aligned, Misaligned uint64
			}
			In  int64 `json:"bytes_in"`
			Out int64 `json:"bytes_out"`
		}
	}
	getJSON(t, d, "/api/v1/zones", &found)
	n := zoneCounts{missing: found.Missing}
	for _, z := range found.Zones {
		for _, c := range z.Clients {
			if c.Evidence == "unknown" {
				n.unknown += c.Aligned + c.Misaligned
			}
		}
		if z.Zone == "" {
			n.unknownBytes += z.In + z.Out
		}
	}
	return n
}
