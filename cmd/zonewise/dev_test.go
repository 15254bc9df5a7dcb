package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
)

// devOptionsOf are the defaults with a folder and ports that are free.
func devOptionsOf(t *testing.T, dir string, zones int) *devOptions {
	t.Helper()
	o := &devOptions{dataDir: dir, cluster: "main", zones: zones, noSync: true}
	d := node.DefaultConfig()
	o.tune = tuneOptions{storage: storageOptions{5 * time.Minute, 10 * time.Minute, 2 * time.Minute}, autoCreate: true, deleteTopics: true, partitions: 3, linger: 20 * time.Millisecond, rebalanceDelay: 0, commitRate: 2000, entryRate: 1e7, runRate: 1e5,
		inlineRate: d.Rates.InlineBytes, walMemory: devMemory, tailMemory: devMemory, blockMemory: devMemory}
	for port := 21000; port < 32000; port += 40 {
		o.kafkaPort, o.httpPort = port, port+39
		p, err := openDevPorts(o)
		if err != nil {
			continue
		}
		p.close()
		return o
	}
	t.Fatal("no free ports")
	return nil
}

func startDevTest(t *testing.T, o *devOptions) *devCluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := startDev(ctx, o, slog.New(slog.DiscardHandler), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func client(t *testing.T, port int, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(fmt.Sprintf("127.0.0.1:%d", port)), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(20)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// write sends one record from each zone and from a client without one.
func (d *devCluster) write(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for j := node.NoZone; j < d.o.zones; j++ {
		c := client(t, devPort(d.o.kafkaPort, max(j, 0), j))
		err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%s from %d", text, j)}).FirstErr()
		c.Close()
		if err != nil {
			t.Fatalf("produce from zone %d: %v", j, err)
		}
	}
}

// readAll reads so many records in a zone, and fails where one comes twice.
func (d *devCluster) readAll(t *testing.T, zone, want int) map[string]bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := client(t, devPort(d.o.kafkaPort, zone, zone), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	got := map[string]bool{}
	for len(got) < want {
		f := c.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("zone %d: %d records of %d: %v", zone, len(got), want, f.Errors())
		}
		f.EachRecord(func(r *kgo.Record) {
			if got[string(r.Value)] {
				t.Errorf("zone %d read %q twice", zone, r.Value)
			}
			got[string(r.Value)] = true
		})
	}
	return got
}

func TestDevServesEveryZoneAndKeepsWhatItAcknowledgedOverACrash(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 3)
	d := startDevTest(t, o)
	d.write(t, "before")
	for z := range o.zones {
		d.readAll(t, z, 4)
	}
	second := *o
	if _, err := startDev(t.Context(), &second, d.logger, nil); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("two of one folder: %v", err)
	}
	second.dataDir = t.TempDir()
	if _, err := startDev(t.Context(), &second, d.logger, nil); err == nil || !strings.Contains(err.Error(), "--kafka-port") || !strings.Contains(err.Error(), fmt.Sprint(o.kafkaPort)) {
		t.Errorf("two of one port: %v", err)
	}
	d.kill()

	d = startDevTest(t, o)
	d.write(t, "after")
	for z := range o.zones {
		got := d.readAll(t, z, 8)
		for j := node.NoZone; j < o.zones; j++ {
			if !got[fmt.Sprintf("before from %d", j)] || !got[fmt.Sprintf("after from %d", j)] {
				t.Errorf("zone %d lacks records from %d: %v", z, j, got)
			}
		}
	}
	base := fmt.Sprintf("http://127.0.0.1:%d", o.httpPort)
	for path, want := range map[string]string{"/readyz": "ok", "/": "dev-c", "/dev-b/metrics": "zonewise_ready 1", "/metrics": "process_cpu_seconds_total"} {
		if body := get(t, base+path); !strings.Contains(body, want) {
			t.Errorf("%s lacks %q:\n%.500s", path, want, body)
		}
	}
	if code, out, stderr := zonewise(t, "zones", "--server", base); code != cli.ExitOK || !strings.Contains(out, fmt.Sprintf("127.0.0.1:%d (dev-c)", devPort(o.kafkaPort, 0, 2))) {
		t.Errorf("zones: exit %d, %s\n%s", code, stderr, out)
	}
	if err := d.drain(); err != nil {
		t.Errorf("drain: %v", err)
	}
	if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.kafkaPort)); err != nil {
		t.Errorf("after the drain: %v", err)
	} else {
		ln.Close()
	}
}

// A group is where it stays: the first broker of a fresh dev does not take all
// and hand most of them on while clients use them.
func TestDevHasSpreadItsGroupsWhenItIsReady(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 3)
	d := startDevTest(t, o)
	defer d.kill()
	c := client(t, devPort(o.kafkaPort, 0, 0))
	defer c.Close()
	req := kmsg.NewPtrFindCoordinatorRequest()
	for i := range 60 {
		req.CoordinatorKeys = append(req.CoordinatorKeys, fmt.Sprint("g", i))
	}
	resp, err := req.RequestWith(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	of := map[int32]int{}
	for _, found := range resp.Coordinators {
		if found.ErrorCode != 0 {
			t.Fatalf("coordinator of %s: error %d", found.Key, found.ErrorCode)
		}
		of[found.NodeID]++
	}
	for _, n := range d.nodes {
		if of[int32(n.Broker())] < 60/3/4 {
			t.Errorf("groups by broker: %v", of)
			break
		}
	}
}

func TestDevWorksWithOneZoneAndGrowsToFour(t *testing.T) {
	o := devOptionsOf(t, t.TempDir(), 1)
	d := startDevTest(t, o)
	d.write(t, "one")
	d.readAll(t, 0, 2)
	if err := d.drain(); err != nil {
		t.Errorf("drain: %v", err)
	}
	o.zones = 4
	d = startDevTest(t, o)
	defer d.kill()
	d.write(t, "four")
	for z := range o.zones {
		d.readAll(t, z, 7)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", url, resp.Status, err)
	}
	return string(body)
}

func TestPortsFollowTheRuleAndNeverMeet(t *testing.T) {
	seen := map[int]string{}
	for i := range maxDevZones {
		for j := node.NoZone; j < maxDevZones; j++ {
			port, name := devPort(9092, i, j), fmt.Sprintf("broker %d for zone %d", i, j)
			if other, ok := seen[port]; ok {
				t.Errorf("%s and %s both have %d", name, other, port)
			}
			seen[port] = name
		}
	}
	if devPort(9092, 1, 1) != 9093 || devPort(9092, 2, 1) != 9092+10+8+1 || devPort(9092, 2, node.NoZone) != 9124 {
		t.Error("the rule of the issue does not hold")
	}
}
