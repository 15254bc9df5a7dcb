package costmodel

import (
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

func hostileStatement(t testing.TB) *Statement {
	return bill(t, []Segment{{Window{from, from + minuteMS}, []Usage{
		{Key{TopicID: "1", Topic: "=cmd|' /C calc'!A0", Component: costkeys.ComponentPut, Principal: "@SUM(1)", Group: "+1"}, costkeys.Units(2_000_000_000)},
		{Key{TopicID: "1", Topic: "=cmd|' /C calc'!A0", Component: costkeys.ComponentBytesIn}, costkeys.Units(1 << 30)},
		{Key{TopicID: "2", Topic: "-2+3", Component: costkeys.ComponentProduce, Src: "a", Dst: "b"}, costkeys.Units(1 << 30)},
		{Key{TopicID: "3", Topic: "a\"b,c\n\x1b[31md", Component: costkeys.ComponentFetchReply, Src: "a"}, costkeys.Units(5)},
		{Key{TopicID: "4", Topic: "  =1", Component: costkeys.ComponentStorage, Src: "a"}, costkeys.Units(5)},
	}}}, nil)
}

func TestCSVCellsThatASpreadsheetWouldRunAreEscaped(t *testing.T) {
	for _, by := range [][]Dimension{{ByTopic}, {ByTopic, ByComponent, ByZone, ByPrincipal, ByGroup}} {
		r := hostileStatement(t).Report(by...)
		var b strings.Builder
		if err := r.WriteCSV(&b); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(b.String())).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != len(r.Rows)+2 || rows[0][0] != "from_ms" || rows[len(rows)-1][2] != "TOTAL" || rows[len(rows)-1][12] != formatNano(r.Total) {
			t.Errorf("%d CSV rows for %d of the report; last %v", len(rows), len(r.Rows), rows[len(rows)-1])
		}
		for _, row := range rows {
			for _, cell := range row {
				if bare := strings.TrimLeft(cell, " "); bare != "" && strings.Contains("=+-@\t\r\n", bare[:1]) {
					t.Errorf("cell %q would be run", cell)
				}
			}
		}
	}
}

func TestTheJSONHasTheFieldsOfTheAPIWithNumbersAsDecimalStrings(t *testing.T) {
	raw, err := json.Marshal(hostileStatement(t).Report(ByTopic, ByComponent, ByZone))
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Window       map[string]int64    `json:"window"`
		AsOfRevision int64               `json:"as_of_revision"`
		PriceBook    string              `json:"price_book"`
		Currency     string              `json:"currency"`
		Rows         []map[string]string `json:"rows"`
		Meters       []map[string]string `json:"meters"`
		Total        string              `json:"total_nano_usd"`
		GapsMS       *int64              `json:"gaps_ms"`
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Window["to_ms"]-got.Window["from_ms"] != minuteMS || got.AsOfRevision != 7 || got.Currency != "USD" || got.GapsMS == nil || got.PriceBook != book(t).ID() {
		t.Errorf("head of %s", raw)
	}
	for _, row := range append(got.Rows, got.Meters...) {
		for _, field := range []string{"quantity", "unit", "price", "nano_usd"} {
			if row[field] == "" {
				t.Errorf("row %v has no %s", row, field)
			}
		}
	}
	for _, row := range got.Rows {
		for _, field := range []string{"topic", "topic_id", "component", "src_zone", "dst_zone"} {
			if _, ok := row[field]; !ok {
				t.Errorf("row %v has no %s", row, field)
			}
		}
	}
	if got.Total != "20010000" {
		t.Errorf("total %s", got.Total)
	}
}

func TestReservedRowsAreShownWheneverTopicsAre(t *testing.T) {
	s := bill(t, []Segment{{Window: Window{from, from + minuteMS}}}, nil)
	for _, by := range [][]Dimension{{ByTopic}, {ByTopic, ByComponent}, {ByComponent, ByTopic}} {
		var names []string
		for _, row := range s.Report(by...).Rows {
			names = append(names, row.Topic)
		}
		if got := strings.Join(names, " "); got != "__platform__ __control__ __other__ __unallocated__" {
			t.Errorf("by %v: %s", by, got)
		}
	}
}

func TestARowOfSeveralUnitsShowsBytesWrittenAndABlendedPrice(t *testing.T) {
	r := hostileStatement(t).Report(ByTopic)
	for _, row := range r.Rows {
		switch row.TopicID {
		case "1":
			if row.Unit != costkeys.UnitBytesWritten || row.Quantity != costkeys.Units(1<<30) || row.Price != "blended 0.000010000 USD per GiB written" || row.NanoUSD != 10_000 {
				t.Errorf("mixed row %+v", row)
			}
		case "2":
			if row.Unit != costkeys.UnitBytes || row.Price != "0.02 USD per GB" || row.NanoUSD != 20_000_000 {
				t.Errorf("plain row %+v", row)
			}
		}
	}
	if r.Rows[0].TopicID != "2" {
		t.Errorf("the dearest topic is not first: %+v", r.Rows)
	}
}

func TestTheTableHidesNoControlCharacterAndShowsTheSum(t *testing.T) {
	var b strings.Builder
	r := hostileStatement(t).Report(ByTopic, ByZone)
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(b.String(), '\x1b') || !strings.Contains(b.String(), `a\"b,c\n\x1b[31md`) {
		t.Errorf("table steers the terminal:\n%q", b.String())
	}
	for _, want := range []string{"TOTAL", "0.020010000", "a > b", "a > ?", "as of revision 7", book(t).ID()} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("table has no %q:\n%s", want, b.String())
		}
	}
}

func TestOnlyKnownDimensionsCanBeGroupedBy(t *testing.T) {
	for _, bad := range []string{"", "topics", "topic,", "topic,topic", "topic;zone"} {
		if _, err := ParseDimensions(bad); err == nil {
			t.Errorf("ParseDimensions(%q) was accepted", bad)
		}
	}
	if by, err := ParseDimensions("topic, component"); err != nil || len(by) != 2 {
		t.Errorf("topic, component: %v, %v", by, err)
	}
}
