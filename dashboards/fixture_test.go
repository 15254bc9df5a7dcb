package dashboards

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// fixtureNow is 2026-11-23 10:42:17 UTC.
const fixtureNow = metadata.UnixMilli(1_795_430_537_000)

// fixture is a Source with made-up usage, the same at every call.
type fixture struct {
	now     metadata.UnixMilli
	begin   metadata.UnixMilli // before it there is nothing
	gaps    int64
	names   []string
	cluster Cluster
	damage  bool // a meter that differs from its rows
}

func topicID(i int) metadata.TopicID {
	return metadata.TopicID{0: byte(i >> 8), 1: byte(i), 6: 0x40, 15: 0xff}
}

func (f *fixture) Ledger(plan func(metadata.UnixMilli) []Window) (Ledger, error) {
	out := Ledger{AsOf: 184_467, Now: f.now, Topics: map[metadata.TopicID]string{},
		Storage: metadata.StorageTotals{Live: 300 << 30, Unarchived: 1 << 20, Dead: 7 << 30, Platform: 9 << 30}}
	for i, name := range f.names {
		out.Topics[topicID(i)] = name
	}
	for _, w := range plan(f.now) {
		lw := metadata.LedgerWindow{From: w.From, To: w.To}
		step := minuteMs
		if w.To-w.From >= hourMs { // an hour's usage as one cell, as the ledger has it
			step = hourMs
		}
		for at := max(w.From, f.begin); at < min(w.To, f.now); at += step {
			lw.Cells = append(lw.Cells, f.minute(at)...)
		}
		sums := map[costkeys.Component]costkeys.Quantity{}
		for _, c := range lw.Cells {
			sums[c.Key.Component] = sums[c.Key.Component].Add(c.Quantity)
		}
		for component, sum := range sums {
			if f.damage {
				sum = sum.Add(costkeys.Units(1))
			}
			lw.Meters = append(lw.Meters, metadata.Cell{Key: metadata.CellKey{Component: component}, Quantity: sum})
		}
		if w.From <= f.now-10*minuteMs && w.To > f.now-10*minuteMs {
			lw.GapsMs = f.gaps
		}
		out.Windows = append(out.Windows, lw)
	}
	return out, nil
}

func (f *fixture) Cluster(context.Context) Cluster { return f.cluster }

// minute is the usage of one minute: a few topics over three zones, one of
// whose clients has no known zone.
func (f *fixture) minute(at metadata.UnixMilli) []metadata.Cell {
	zones := []metadata.ZoneID{"use1-az1", "use1-az2", "use1-az4"}
	var out []metadata.Cell
	add := func(topic metadata.TopicID, c costkeys.Component, src, dst metadata.ZoneID, q costkeys.Quantity) {
		out = append(out, metadata.Cell{Key: metadata.CellKey{Topic: topic, Component: c, Src: src, Dst: dst, Principal: "app"}, Quantity: q})
	}
	wave := uint64(at/minuteMs) % 37
	for i := range f.names {
		id, size := topicID(i), (40<<20)/uint64(i*i+1)*(30+wave)/50
		for k, z := range zones {
			other := zones[(k+1)%3]
			add(id, costkeys.ComponentBytesIn, z, "", costkeys.Units(size))
			add(id, costkeys.ComponentRecordsIn, z, "", costkeys.Units(size/1024))
			add(id, costkeys.ComponentBytesOut, z, "", costkeys.Units(2*size))
			add(id, costkeys.ComponentPut, z, "", costkeys.Units(size/(8<<10)*9_000_000))
			add(id, costkeys.ComponentGet, z, "", costkeys.Units(size/(8<<10)*7_000_000))
			add(id, costkeys.ComponentCacheSaved, z, "", costkeys.Units(size/(8<<10)*50_000_000))
			add(id, costkeys.ComponentStorage, z, "", costkeys.Product(size*3000, 60_000))
			add(id, costkeys.ComponentStorageDeleted, z, "", costkeys.Product(size*70, 60_000))
			add(id, costkeys.ComponentInline, z, other, costkeys.Units(size/60))
			add(id, costkeys.ComponentEtcd, z, other, costkeys.Units(size/2000))
			add(id, costkeys.ComponentProduce, z, z, costkeys.Units(size))
			add(id, costkeys.ComponentFetchReply, z, z, costkeys.Units(2*size))
		}
		if i%3 == 0 {
			add(id, costkeys.ComponentFetchReply, "use1-az1", "use1-az2", costkeys.Units(size/9))
			add(id, costkeys.ComponentProduce, "", "use1-az4", costkeys.Units(size/20))
		}
	}
	add(metadata.RowPlatform, costkeys.ComponentPutPlatform, "use1-az1", "", costkeys.Requests(7))
	add(metadata.RowPlatform, costkeys.ComponentGetPlatform, "use1-az1", "", costkeys.Requests(7))
	add(metadata.RowPlatform, costkeys.ComponentPlatformStorage, "", "", costkeys.Product(9<<30, 60_000))
	add(metadata.RowControl, costkeys.ComponentEtcd, "use1-az1", "use1-az2", costkeys.Units(90_000))
	add(metadata.RowControl, costkeys.ComponentControl, "use1-az1", "use1-az1", costkeys.Units(50_000))
	return out
}

// hostileNames are names that a client may choose or that a page must survive.
func hostileNames() []string {
	return []string{
		"orders", "<script>alert(1)</script>", `=cmd|' /C calc'!A0`, "payments.settled", `"><img src=x onerror=alert(1)>`,
		strings.Repeat("a-very-long-topic-name.", 11)[:249], "заказы-注文-🛒", "a\u202egnp.txt\x1b[31m", "-1+1", "{{.Secret}}",
	}
}

func newFixture(names []string) *fixture {
	f := &fixture{now: fixtureNow, names: names}
	f.cluster = Cluster{
		Name: "main", Version: "0.1.0", Broker: 1, Incarnation: 1, FeatureLevel: 1, Extent: 4711, AsOf: 184_467, LagMs: 4, BytesMinutes: 120,
		Zones: []Zone{
			{ID: "", Clients: []Clients{{"unknown", 0, 3}}, BytesIn: 9 << 20, BytesOut: 1 << 20},
			{ID: "use1-az1", Brokers: []Broker{{1, []Listener{{"10.0.1.7:9092", ""}, {"10.0.1.7:9093", "use1-az1"}}, "0.1.0", false}}, Clients: []Clients{{"listener", 14, 0}, {"tag", 3, 0}}, BytesIn: 41 << 30, BytesOut: 87 << 30},
			{ID: "use1-az2", Brokers: []Broker{{2, []Listener{{"10.0.2.7:9092", ""}, {"10.0.2.7:9094", "use1-az2"}}, "0.1.0", false}, {4, []Listener{{"10.0.2.8:9092", ""}}, "0.1.0", true}}, Clients: []Clients{{"listener", 11, 0}, {"rack", 2, 1}}, BytesIn: 39 << 30, BytesOut: 80 << 30},
			{ID: "use1-az4", Brokers: []Broker{{3, []Listener{{"10.0.4.7:9092", ""}, {"10.0.4.7:9095", "use1-az4"}}, "0.1.0", false}}, Clients: []Clients{{"cidr", 9, 0}}, BytesIn: 40 << 30, BytesOut: 78 << 30},
		},
	}
	for i, name := range names {
		f.cluster.Topics = append(f.cluster.Topics, Topic{Name: name, ID: topicID(i), Partitions: 1 + 11*(i%4), Bytes: (40 << 30) / uint64(i*i+1), Records: 42_000_000 / uint64(i+1)})
	}
	return f
}

func serve(t testing.TB, f *fixture) http.Handler {
	t.Helper()
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	h, err := New(f, Config{Book: book, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// get returns the answer to a GET.
func get(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// ordinaryNames are those of a company that sells something.
func ordinaryNames() []string {
	return slices.Clone([]string{"orders", "payments.settled", "clickstream", "inventory.changes", "audit-log", "shipments", "emails.outbound"})
}
