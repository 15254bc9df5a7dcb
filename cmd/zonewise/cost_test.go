package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/dashboards"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// fakeSource has one topic with a name that a spreadsheet would run.
type fakeSource struct{}

func (fakeSource) Ledger(plan func(metadata.UnixMilli) []dashboards.Window) (dashboards.Ledger, error) {
	id := metadata.TopicID{1}
	l := dashboards.Ledger{AsOf: 77, Now: 3_600_000, Topics: map[metadata.TopicID]string{id: "=SUM(A1)"}}
	for i, w := range plan(l.Now) {
		lw := metadata.LedgerWindow{From: w.From, To: w.To}
		if i == 0 {
			cell := metadata.Cell{Key: metadata.CellKey{Topic: id, Component: costkeys.ComponentBytesIn, Src: "dev-a"}, Quantity: costkeys.Units(1000)}
			meter := cell
			meter.Key = metadata.CellKey{Component: costkeys.ComponentBytesIn}
			lw.Cells, lw.Meters = []metadata.Cell{cell}, []metadata.Cell{meter}
		}
		l.Windows = append(l.Windows, lw)
	}
	return l, nil
}

func (fakeSource) Cluster(context.Context) dashboards.Cluster {
	return dashboards.Cluster{Name: "main", Incarnation: 1, AsOf: 77, BytesMinutes: 120, Zones: []dashboards.Zone{
		{ID: "dev-a", BytesIn: 1 << 20, Brokers: []dashboards.Broker{{ID: 0, Listeners: []dashboards.Listener{{Address: "127.0.0.1:9092", ClientZone: "dev-a"}}, Draining: true}},
			Clients: []dashboards.Clients{{Evidence: "listener", Aligned: 3, Misaligned: 1}}},
		{ID: "", BytesOut: 5},
	}, Topics: []dashboards.Topic{{Name: "orders", Partitions: 3, Bytes: 10, Records: 2}}}
}

func fakeServer(t *testing.T) string {
	t.Helper()
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	h, err := dashboards.New(fakeSource{}, dashboards.Config{Book: book, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestCostsInCSVHaveNoCellThatASpreadsheetRuns(t *testing.T) {
	code, out, stderr := zonewise(t, "cost", "--server", fakeServer(t), "--format", "csv", "--by", "topic,component")
	if code != cli.ExitOK {
		t.Fatalf("exit %d, %s", code, stderr)
	}
	if !strings.Contains(out, "SUM(A1)") {
		t.Errorf("the topic is not there:\n%s", out)
	}
	for line := range strings.Lines(out) {
		for _, cell := range strings.Split(strings.TrimSpace(line), ",") {
			if cell = strings.Trim(cell, `"`); cell != "" && strings.ContainsRune("=+-@", rune(cell[0])) {
				t.Errorf("cell %q would be run", cell)
			}
		}
	}
}

func TestCostsAndZonesAreShownAsTablesAndJSON(t *testing.T) {
	url := fakeServer(t)
	for _, c := range []struct{ args, want string }{
		{"cost", "TOTAL"},
		{"cost --format json --window 15m", `"as_of_revision": `},
		{"zones", "0 (draining)"},
		{"zones", "listener 3/1"},
		{"zones", "(none)"},
		{"zones --format json", `"zone": "dev-a"`},
		{"dump state", "orders"},
	} {
		code, out, stderr := zonewise(t, append(strings.Fields(c.args), "--server", url)...)
		if code != cli.ExitOK || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d, %s, no %q in:\n%s", c.args, code, stderr, c.want, out)
		}
	}
}

func TestABrokersRefusalIsShownInItsOwnWords(t *testing.T) {
	code, _, stderr := zonewise(t, "cost", "--server", fakeServer(t), "--window", "3s")
	if code != cli.ExitFailure || !strings.Contains(stderr, "15m, 1h, 24h or 7d") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if code, _, stderr := zonewise(t, "zones", "--server", other.URL); code != cli.ExitFailure || !strings.Contains(stderr, "404") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	other.Close()
	if code, _, stderr := zonewise(t, "zones", "--server", other.URL); code != cli.ExitFailure || !strings.Contains(stderr, "is it running") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
