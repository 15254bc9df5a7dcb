package dashboards

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
)

// Every component of the ledger is priced once and shown once: a cell of each
// becomes one line of the bill and one row of the page, charged unless it is free.
func TestEveryLedgerComponentIsPricedAndShown(t *testing.T) {
	book, err := costmodel.Default()
	if err != nil {
		t.Fatal(err)
	}
	var usage []costmodel.Usage
	for c := costkeys.Component(1); c.Valid(); c++ {
		usage = append(usage, usageOf(&metadata.Cell{Key: metadata.CellKey{Component: c, Src: "a", Dst: "b"}, Quantity: costkeys.Product(1<<40, 3_600_000)}, new(Ledger)))
	}
	segment := costmodel.Segment{Window: costmodel.Window{FromMS: 0, ToMS: 60_000}, Usage: usage}
	s, err := costmodel.Bill(costmodel.Request{Book: book, Segments: []costmodel.Segment{segment}})
	if err != nil {
		t.Fatal(err)
	}
	lines, rows := map[costkeys.Component]int{}, map[string]int{}
	var split categorySplit
	for i := range s.Lines {
		lines[s.Lines[i].Component]++
		split.addLine(&s.Lines[i])
		if info, ok := s.Lines[i].Component.Info(); !ok || info.Category == costkeys.CategoryFree && s.Lines[i].NanoUSD != 0 {
			t.Errorf("%s costs %s", s.Lines[i].Component, s.Lines[i].NanoUSD)
		}
	}
	table := newComponentTable(s)
	for _, r := range slices.Concat(table.Charged, table.Free) {
		rows[r.Name]++
	}
	for c := costkeys.Component(1); c.Valid(); c++ {
		if lines[c] != 1 || rows[c.String()] != 1 {
			t.Errorf("%s has %d lines in the bill and %d rows on the page, want 1 of each", c, lines[c], rows[c.String()])
		}
	}
	if split.total() != s.Total || len(rows) != len(lines) || len(categories()) != costkeys.CategoryCount {
		t.Errorf("categories have %s, the bill %s; %d rows, %d lines, %d categories", split.total(), s.Total, len(rows), len(lines), len(categories()))
	}
}

func TestReservedRowsHaveTheLedgersNames(t *testing.T) {
	for _, id := range []metadata.TopicID{metadata.RowPlatform, metadata.RowControl, metadata.RowOther} {
		if text, name := new(Ledger).topicName(id); costkeys.RowOf(name) == 0 || text != name || aboutReserved(costkeys.RowOf(name)) == "" {
			t.Errorf("row %v is called %q, %q", id, text, name)
		}
	}
	if _, ok := metadata.ReservedRow(metadata.TopicID{15: byte(costkeys.RowUnallocated)}); ok {
		t.Error("the row that is computed is taken for one that is stored")
	}
}

func TestHostileNamesDoNothingOnThePage(t *testing.T) {
	h := serve(t, newFixture(hostileNames()))
	w := get(t, h, "/")
	body := w.Body.String()
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, body)
	}
	for _, bad := range []string{"<script", "<img", "onerror=alert(1)>\"", "\x1b", "\u202e", "style=\"", "javascript:", "ZgotmplZ"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;alert(1)&lt;/script&gt;", "заказы-注文-🛒", "{{.Secret}}", `a\u202egnp.txt\x1b[31m`, "__unallocated__", "__other__"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not contain %q", want)
		}
	}
	bare := regexp.MustCompile(`"[^"]*"`).ReplaceAllString(body, `""`) // attributes without their values
	if tags := regexp.MustCompile(`<\w+[^>]*\son\w+\s*=`).FindAllString(bare, -1); tags != nil {
		t.Errorf("event handlers: %q", tags)
	}
}

func TestThePageLoadsNothingFromOutside(t *testing.T) {
	h := serve(t, newFixture(ordinaryNames()))
	w := get(t, h, "/")
	if got := w.Header().Get("Content-Security-Policy"); !strings.Contains(got, "default-src 'none'") || strings.Contains(got, "unsafe") {
		t.Errorf("policy %q", got)
	}
	for _, m := range regexp.MustCompile(`(?:href|src|action)="([^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		link := strings.ReplaceAll(m[1], "&amp;", "&")
		switch {
		case strings.HasPrefix(link, "#"):
		case strings.HasPrefix(link, "/") && !strings.HasPrefix(link, "//"):
			if code := get(t, h, link).Code; code != http.StatusOK {
				t.Errorf("%s answers %d", link, code)
			}
		default:
			t.Errorf("the page refers to %q", link)
		}
	}
}

// amounts reads the money cells of a table's body or foot.
func amounts(t *testing.T, html string) []*big.Int {
	t.Helper()
	var out []*big.Int
	for _, m := range regexp.MustCompile(`<td class="num money[^"]*">\$([0-9,.]+)<span>(\d+)</span></td></tr>|<td class="num money[^"]*">\$([0-9,.]+)<span>(\d+)</span></td>\s*</tr>`).FindAllStringSubmatch(html, -1) {
		text := strings.NewReplacer(",", "", ".", "").Replace(m[1] + m[2] + m[3] + m[4])
		n, ok := new(big.Int).SetString(text, 10)
		if !ok {
			t.Fatalf("amount %q", m[0])
		}
		out = append(out, n)
	}
	return out
}

// I14: on the page, in every table with money, the total is the sum of the
// visible rows, and it is the API's.
func TestTheTotalIsTheSumOfTheVisibleRowsInEveryTable(t *testing.T) {
	many := make([]string, 3*shownTopics)
	for i := range many {
		many[i] = fmt.Sprintf("topic-%03d", i)
	}
	for name, names := range map[string][]string{"ordinary": ordinaryNames(), "hostile": hostileNames(), "many": many, "none": nil} {
		windows := []string{"15m", "24h"}
		if name == "many" {
			windows = []string{"15m"}
		}
		for _, window := range windows {
			h := serve(t, newFixture(names))
			page := get(t, h, "/?window="+window).Body.String()
			var api struct {
				Total string              `json:"total_nano_usd"`
				Rows  []map[string]string `json:"rows"`
			}
			if err := json.Unmarshal(get(t, h, "/api/v1/cost?window="+window).Body.Bytes(), &api); err != nil {
				t.Fatal(err)
			}
			tables := 0
			for _, table := range regexp.MustCompile(`(?s)<table.*?</table>`).FindAllString(page, -1) {
				body, foot, ok := strings.Cut(table, "<tfoot>")
				if !ok {
					continue
				}
				tables++
				sum := new(big.Int)
				for _, n := range amounts(t, body) {
					sum.Add(sum, n)
				}
				total, want := amounts(t, foot), api.Total
				if strings.HasPrefix(table, `<table class="storage"`) {
					want = sumComponents(api.Rows, "storage", "storage_deleted", "platform_storage")
				}
				if len(total) != 1 || sum.Cmp(total[0]) != 0 || total[0].String() != want {
					t.Errorf("%s, %s, table %d: rows sum to %v, total %v, API %s", name, window, tables, sum, total, want)
				}
			}
			if tables != 5 {
				t.Errorf("%s: %d tables with a total, want 5", name, tables)
			}
			sum := new(big.Int)
			for _, row := range api.Rows {
				n, _ := new(big.Int).SetString(row["nano_usd"], 10)
				sum.Add(sum, n)
			}
			if sum.String() != api.Total {
				t.Errorf("%s, %s: API rows sum to %v, total %s", name, window, sum, api.Total)
			}
		}
	}
}

// sumComponents sums the money of the API's rows of some components.
func sumComponents(rows []map[string]string, components ...string) string {
	sum := new(big.Int)
	for _, row := range rows {
		if slices.Contains(components, row["component"]) {
			n, _ := new(big.Int).SetString(row["nano_usd"], 10)
			sum.Add(sum, n)
		}
	}
	return sum.String()
}

// The page says what the bucket holds, divided as in the bill.
func TestWhatTheBucketHoldsIsShownInParts(t *testing.T) {
	page := get(t, serve(t, newFixture(ordinaryNames())), "/").Body.String()
	_, section, _ := strings.Cut(page, `<table class="storage">`)
	section, _, _ = strings.Cut(section, "</table>")
	for _, want := range []string{"Live records <code>storage</code>", "299.999 GiB", "Deleted records that wait <code>storage_deleted</code>", "7 GiB", "a grace of ten minutes",
		"Platform <code>platform_storage</code>", "9 GiB", ">315.999 GiB"} {
		if !strings.Contains(section, want) {
			t.Errorf("the section has no %q", want)
		}
	}
}

// A deleted topic is shown by its name, which no topic that exists can have.
func TestDeletedTopicsAreShownByName(t *testing.T) {
	l := Ledger{Topics: map[metadata.TopicID]string{topicID(1): "orders"}, Deleted: map[metadata.TopicID]string{topicID(2): "orders"}}
	for id, want := range map[metadata.TopicID]string{topicID(1): "orders", topicID(2): "orders (deleted)", topicID(3): "deleted topic " + topicID(3).String()[:8]} {
		if _, got := l.topicName(id); got != want {
			t.Errorf("topic %v is called %q, want %q", id, got, want)
		}
	}
}

func TestTheCSVHasARowPerRowAndRunsNothing(t *testing.T) {
	h := serve(t, newFixture(hostileNames()))
	w := get(t, h, "/api/v1/cost?by=topic,component&format=csv")
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/csv") || !strings.Contains(w.Header().Get("Content-Disposition"), "attachment") {
		t.Errorf("headers %v", w.Header())
	}
	rows, err := csv.NewReader(w.Body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, cell := range row {
			if cell != "" && strings.Contains("=+-@\t\r", cell[:1]) {
				t.Errorf("a spreadsheet would run %q", cell)
			}
		}
	}
	if len(rows) < 50 || rows[len(rows)-1][2] != "TOTAL" {
		t.Errorf("%d rows, last %v", len(rows), rows[len(rows)-1])
	}
}

func TestBadParametersAreRefusedWithAClearError(t *testing.T) {
	h := serve(t, newFixture(ordinaryNames()))
	for path, want := range map[string]string{
		"/api/v1/cost?window=soon":                "want a length from 1m to 7d",
		"/api/v1/cost?window=8d":                  "want a length",
		"/api/v1/cost?window=-1h":                 "want a length",
		"/api/v1/cost?window=9999999999d":         "want a length",
		"/api/v1/cost?window=90s":                 "whole minutes",
		"/api/v1/cost?window=150m":                "whole hours",
		"/api/v1/cost?window=":                    "want a length",
		"/api/v1/cost?by=colour":                  "cannot group by",
		"/api/v1/cost?by=topic,topic":             "twice",
		"/api/v1/cost?format=xml":                 "want json, csv or table",
		"/api/v1/cost?windw=1h":                   "unknown parameter",
		"/api/v1/cost?window=1h&window=2h":        "give it once",
		"/api/v1/cost?by=%zz":                     "query",
		"/?window=%3Cscript%3Ealert(1)%3C/script": "want a length",
	} {
		w := get(t, h, path)
		var body map[string]string
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != http.StatusBadRequest || !strings.Contains(body["error"], want) {
			t.Errorf("%s: status %d, body %s, want 400 with %q", path, w.Code, w.Body, want)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s: content type %q", path, kind)
		}
	}
}

func TestNoNumberIsShownWhenRowsAndMetersDiffer(t *testing.T) {
	f := newFixture(ordinaryNames())
	f.damage = true
	h := serve(t, f)
	for _, path := range []string{"/", "/api/v1/cost", "/api/v1/cost?format=csv"} {
		w := get(t, h, path)
		if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), ErrLedger.Error()[:20]) || w.Header().Get("Content-Disposition") != "" {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Body)
		}
	}
}

func TestRequestsWaitForTheirTurnAndGiveUpWithTheirReader(t *testing.T) {
	h := &handler{statementSlots: make(chan struct{}, maxConcurrent)}
	for range maxConcurrent {
		h.statementSlots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.priceWindow(ctx, hourMs, false); !errors.Is(err, ErrBusy) {
		t.Errorf("a request past the limit: %v", err)
	}
}

func TestGapsAndUnknownZonesAreShown(t *testing.T) {
	f := newFixture(ordinaryNames())
	f.gaps = 7250
	h := serve(t, f)
	if page := get(t, h, "/").Body.String(); !strings.Contains(page, "7.250 s of read-side counting were lost") || !strings.Contains(page, "Clients of unknown zone could add at most $") || !strings.Contains(page, "MiB, at most $") {
		t.Error("the page hides a gap or the unknown zone")
	}
	if api := get(t, h, "/api/v1/cost").Body.String(); !strings.Contains(api, `"gaps_ms": 7250`) {
		t.Error("the API hides the gap")
	}
}

func TestAYoungClusterIsNotComparedWithTheTimeBeforeIt(t *testing.T) {
	f := newFixture(ordinaryNames())
	f.begin = fixtureNow - 70*minuteMs
	if page := get(t, serve(t, f), "/").Body.String(); !strings.Contains(page, "no complete window") || strings.Contains(page, ">Change<") {
		t.Error("a window is compared with one in which the cluster began")
	}
	f.begin = 0
	if page := get(t, serve(t, f), "/").Body.String(); !strings.Contains(page, "against the 1h before") {
		t.Error("a full window is not compared with the one before")
	}
}

func TestAClusterWithoutATickYetHasAPage(t *testing.T) {
	f := newFixture(nil)
	f.now, f.begin = 0, hourMs
	w := get(t, serve(t, f), "/?window=7d")
	if body := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(body, "Nothing has been booked") || strings.Contains(body, "December 1969") {
		t.Errorf("status %d", w.Code)
	}
}

func TestZonesAreAnsweredAsJSON(t *testing.T) {
	w := get(t, serve(t, newFixture(ordinaryNames())), "/api/v1/zones")
	var got struct {
		Cluster string
		Zones   []struct {
			Zone    string
			Brokers []struct {
				Broker    int
				Listeners []struct {
					Address    string
					ClientZone string `json:"client_zone"`
				}
			}
			Clients []struct {
				Evidence            string
				Aligned, Misaligned int
			}
			BytesIn uint64 `json:"bytes_in"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Cluster != "main" || len(got.Zones) != 4 || got.Zones[2].Brokers[1].Broker != 4 || got.Zones[2].Clients[1].Misaligned != 1 || got.Zones[1].BytesIn != 44023414784 ||
		got.Zones[1].Brokers[0].Listeners[1].ClientZone != "use1-az1" || got.Zones[1].Brokers[0].Listeners[1].Address != "10.0.1.7:9093" {
		t.Errorf("zones %+v", got)
	}
	empty := newFixture(nil)
	empty.cluster.Zones = nil
	if body := get(t, serve(t, empty), "/api/v1/zones").Body.String(); strings.Contains(body, "null") {
		t.Errorf("an empty list is null: %s", body)
	}
}

func TestOnlyGetIsAnsweredAndOnlyWhatExists(t *testing.T) {
	h := serve(t, newFixture(nil))
	for _, path := range []string{"/nope", "/api/v1/", "/static/page.css", "/assets/../api.go"} {
		if w := get(t, h, path); w.Code == http.StatusOK {
			t.Errorf("%s answers %d", path, w.Code)
		}
	}
}

// The windows that are read follow each other, end with the present minute or
// hour, and stay within what the ledger keeps and its grain.
func TestWindowsCoverTheirLengthOnTheLedgersGrain(t *testing.T) {
	times := []metadata.UnixMilli{fixtureNow, fixtureNow - fixtureNow%hourMs, 1_793_491_200_000, 1_793_491_200_000 + 37*minuteMs, 5 * minuteMs}
	for _, now := range times {
		for _, name := range []string{"1m", "15m", "59m", "1h", "61m", "2h", "3h", "24h", "45h", "3d", "7d"} {
			length, err := parseWindow(name)
			if err != nil {
				t.Fatal(err)
			}
			p := planWindow(now, length, true)
			windows := p.windows[p.previous:]
			last := windows[len(windows)-1]
			if last.To <= now || last.To > now+hourMs || windows[0].From != last.To-length || len(windows) > maxSteps+1 {
				t.Errorf("%s at %d: %d windows from %d to %d", name, now, len(windows), windows[0].From, last.To)
			}
			if p.previous > 0 && p.windows[0].From != last.To-2*length {
				t.Errorf("%s at %d: the window before begins at %d", name, now, p.windows[0].From)
			}
			kept := metadata.LedgerMinutesFor
			if length > kept {
				kept = metadata.LedgerHoursFor
			}
			for i, w := range p.windows {
				grain := minuteMs
				if length > metadata.LedgerMinutesFor {
					grain = hourMs
				}
				month := metadata.UnixMilli(costmodel.NextMonth(int64(w.From)))
				if w.From >= w.To || w.From%grain != 0 || w.To%grain != 0 || i > 0 && w.From != p.windows[i-1].To || month < w.To || p.previous > 0 && w.From < now-kept {
					t.Errorf("%s at %d: window %d is %v", name, now, i, w)
				}
			}
		}
	}
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	if _, err := New(newFixture(nil), Config{}); err == nil {
		t.Error("New accepted an empty config")
	}
}

func TestAxisNumbersAreShortAndNotBelowTheirBars(t *testing.T) {
	for _, m := range []costmodel.NanoUSD{0, 1, 7, 99, 100, 101, 6_500_000, 9_223_372_036_854_775_807} {
		if got := roundUp(m); got < m || m > 0 && m < 1<<60 && got > 2*m+1 {
			t.Errorf("roundUp(%d) = %d", m, got)
		}
	}
}

// The page of a source is the same bytes every time: nothing follows the order
// of a map.
func TestThePageIsTheSameEveryTime(t *testing.T) {
	h := serve(t, newFixture(hostileNames()))
	for _, path := range []string{"/", "/api/v1/cost", "/api/v1/cost?by=zone&format=table", "/api/v1/zones"} {
		want, err := io.ReadAll(get(t, h, path).Body)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := get(t, h, path).Body.Bytes(); !bytes.Equal(got, want) {
				t.Fatalf("%s differs between two requests", path)
			}
		}
	}
}

func TestBrokersThatDidNotCountAreNamed(t *testing.T) {
	f := newFixture(ordinaryNames())
	if body := get(t, serve(t, f), "/").Body.String(); strings.Contains(body, "Not answered in time") {
		t.Error("the page says that clients are missing")
	}
	f.cluster.ClientsMissing = []metadata.BrokerID{3, 4}
	if body := get(t, serve(t, f), "/").Body.String(); !strings.Contains(body, "not counted here: broker 3, broker 4.") {
		t.Error("the page does not say whose clients are missing")
	}
	var got struct {
		Missing []int `json:"clients_missing_of"`
	}
	if err := json.Unmarshal(get(t, serve(t, f), "/api/v1/zones").Body.Bytes(), &got); err != nil || !slices.Equal(got.Missing, []int{3, 4}) {
		t.Errorf("missing %v, %v", got.Missing, err)
	}
}

func TestTopicsThatAreNotCompactedAreMarked(t *testing.T) {
	f := newFixture(ordinaryNames())
	const mark = "compaction not enforced yet"
	if body := get(t, serve(t, f), "/").Body.String(); strings.Contains(body, mark) {
		t.Error("a topic that deletes is marked")
	}
	f.cluster.Topics[1].Compacted = true
	if body := get(t, serve(t, f), "/").Body.String(); strings.Count(body, mark) != 1 {
		t.Error("the page does not say which topic is not compacted")
	}
}
