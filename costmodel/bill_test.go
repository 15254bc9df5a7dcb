package costmodel

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

const minuteMS = 60_000

// someUsage draws usage of every component over few topics and zones, with
// quantities of all widths that occur.
func someUsage(r *rand.Rand, rows int) []Usage {
	zones := []string{"", "use1-az1", "use1-az2", "use1-az3"}
	topics := []string{"orders", "clicks", "audit", costkeys.RowPlatform.String(), costkeys.RowControl.String()}
	infos := costkeys.Components()
	var out []Usage
	for range rows {
		info := infos[r.IntN(len(infos))]
		topic := topics[r.IntN(len(topics))]
		q := costkeys.Units(r.Uint64() >> (20 + r.IntN(44)))
		if info.Unit == costkeys.UnitByteMS {
			q = costkeys.Product(r.Uint64N(1<<44), r.Uint64N(86_400_000))
		}
		out = append(out, Usage{Key{
			TopicID: "id-" + topic, Topic: topic, Component: info.Component,
			Src: zones[r.IntN(len(zones))], Dst: zones[r.IntN(len(zones))],
			Principal: fmt.Sprintf("user-%d", r.IntN(2)), Group: fmt.Sprintf("group-%d", r.IntN(2)),
		}, q})
	}
	return out
}

func bill(t testing.TB, segments []Segment, before []Usage) *Statement {
	t.Helper()
	s, err := Bill(Request{Book: book(t), Segments: segments, Before: before, AsOfRevision: 7})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// from is a moment well inside a month.
const from = int64(1_793_000_000_000) - 1_793_000_000_000%minuteMS

// I1, I2: rows = meters = total, in every grouping, and nothing is negative.
func TestRowsSumToMetersToTheNanoDollarInEveryGrouping(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	groupings := []string{"topic", "zone", "component", "principal", "group", "topic,component", "zone,topic", "topic,zone,component,principal,group"}
	for range 200 {
		var segments []Segment
		for i := range int64(1 + r.IntN(4)) {
			segments = append(segments, Segment{Window{from + i*minuteMS, from + (i+1)*minuteMS}, someUsage(r, r.IntN(60))})
		}
		s := bill(t, segments, someUsage(r, 20))
		var lines, meters, bounds NanoUSD
		for _, l := range s.Lines {
			if l.NanoUSD < 0 || l.UpperBound < 0 {
				t.Fatalf("negative line %+v", l)
			}
			lines += l.NanoUSD
			bounds += l.UpperBound
		}
		for _, m := range s.Meters {
			meters += m.NanoUSD
		}
		if lines != s.Total || meters != s.Total || bounds != s.UpperBound {
			t.Fatalf("lines %s, meters %s, total %s; bounds %s, %s", lines, meters, s.Total, bounds, s.UpperBound)
		}
		for _, text := range groupings {
			by, err := ParseDimensions(text)
			if err != nil {
				t.Fatal(err)
			}
			var rows NanoUSD
			for _, row := range s.Report(by...).Rows {
				rows += row.NanoUSD
			}
			if rows != s.Total {
				t.Fatalf("grouped by %s the rows sum to %s, not %s", text, rows, s.Total)
			}
		}
	}
}

// I1 per meter: each meter's lines, not only their total, sum to it in money
// and in quantity.
func TestEachMetersRowsSumToThatMeter(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	s := bill(t, []Segment{{Window{from, from + minuteMS}, someUsage(r, 300)}}, nil)
	for _, m := range s.Meters {
		var money NanoUSD
		var quantity costkeys.Quantity
		for _, l := range s.Lines {
			if l.Meter == m.Meter && l.Unit == m.Unit && (m.Meter != costkeys.MeterTransfer || l.Src == m.Src && l.Dst == m.Dst) {
				money += l.NanoUSD
				quantity, _ = quantity.CheckedAdd(l.Quantity)
			}
		}
		if money != m.NanoUSD || quantity != m.Quantity {
			t.Errorf("meter %s %s>%s: rows have %s and %s, the meter %s and %s", m.Meter, m.Src, m.Dst, quantity, money, m.Quantity, m.NanoUSD)
		}
	}
}

// I3, I4: within a meter more use never pays less, and no use pays nothing.
func TestMoreUseNeverPaysLessAndNoUsePaysNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for range 100 {
		usage := append(someUsage(r, 40), Usage{Key{TopicID: "idle", Topic: "idle", Component: costkeys.ComponentPut}, costkeys.Quantity{}})
		s := bill(t, []Segment{{Window{from, from + minuteMS}, usage}}, nil)
		for _, a := range s.Lines {
			if a.Quantity.IsZero() && a.NanoUSD != 0 {
				t.Fatalf("no use pays %s: %+v", a.NanoUSD, a)
			}
			for _, b := range s.Lines {
				same := a.Meter == b.Meter && a.Unit == b.Unit && (a.Meter != costkeys.MeterTransfer || a.Src == b.Src && a.Dst == b.Dst)
				if same && a.Quantity.BigInt().Cmp(b.Quantity.BigInt()) > 0 && a.NanoUSD < b.NanoUSD {
					t.Fatalf("%s pays %s, but %s pays %s", a.Quantity, a.NanoUSD, b.Quantity, b.NanoUSD)
				}
			}
		}
	}
}

// I5: cutting a window anywhere changes no total and no meter.
func TestCuttingAWindowChangesNoTotal(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 1))
	for range 100 {
		before, parts := someUsage(r, 20), make([][]Usage, 1+r.IntN(6))
		var all []Usage
		var segments []Segment
		for i := range parts {
			parts[i] = someUsage(r, r.IntN(30))
			all = append(all, parts[i]...)
			segments = append(segments, Segment{Window{from + int64(i)*minuteMS, from + int64(i+1)*minuteMS}, parts[i]})
		}
		whole := bill(t, []Segment{{Window{from, from + int64(len(parts))*minuteMS}, all}}, before)
		cut := bill(t, segments, before)
		if whole.Total != cut.Total || !reflect.DeepEqual(whole.Meters, cut.Meters) {
			t.Fatalf("whole %s, cut in %d %s", whole.Total, len(parts), cut.Total)
		}
		var alone NanoUSD // each window as a statement of its own
		past := before
		for i := range segments {
			alone += bill(t, segments[i:i+1], past).Total
			past = append(slices.Clone(past), parts[i]...)
		}
		if alone != whole.Total {
			t.Fatalf("statements of the parts sum to %s, the whole is %s", alone, whole.Total)
		}
	}
}

// I6: the order of the usage, and how it is cut into rows, does not show.
func TestShuffledAndSplitUsageGivesTheSameBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for range 50 {
		usage := someUsage(r, 80)
		want := render(t, bill(t, []Segment{{Window{from, from + minuteMS}, usage}}, nil))
		var split []Usage
		for _, u := range usage {
			a := r.Uint64N(max(1, u.Quantity.Lo))
			if u.Quantity.Lo == 0 {
				a = 0
			}
			split = append(split, Usage{u.Key, costkeys.Quantity{Hi: u.Quantity.Hi, Lo: u.Quantity.Lo - a}}, Usage{u.Key, costkeys.Units(a)})
		}
		r.Shuffle(len(split), func(i, j int) { split[i], split[j] = split[j], split[i] })
		if got := render(t, bill(t, []Segment{{Window{from, from + minuteMS}, split}}, nil)); got != want {
			t.Fatalf("shuffled usage gives another report:\n%s\nwant\n%s", got, want)
		}
	}
}

// render is everything a statement can show.
func render(t testing.TB, s *Statement) string {
	t.Helper()
	var b strings.Builder
	raw, err := s.Report(ByTopic, ByComponent, ByZone, ByPrincipal, ByGroup).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	b.Write(raw)
	for _, err := range []error{s.Report(ByTopic).WriteTable(&b), s.Report(ByZone).WriteCSV(&b)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// I8: inside a zone nothing is charged; the two directions of a pair cost the
// same; an unknown zone is metered at 0 and bounded.
func TestTransferIsPricedByItsPairOfZones(t *testing.T) {
	one := func(c costkeys.Component, src, dst string) Line {
		s := bill(t, []Segment{{Window{from, from + minuteMS}, []Usage{{Key{TopicID: "t", Topic: "t", Component: c, Src: src, Dst: dst}, costkeys.Units(1 << 30)}}}}, nil)
		if len(s.Lines) != 1 || s.Total != s.Lines[0].NanoUSD {
			t.Fatalf("%s %q>%q: %+v", c, src, dst, s.Lines)
		}
		return s.Lines[0]
	}
	for _, info := range costkeys.Components() {
		if info.Kind != costkeys.KindTransfer && info.Kind != costkeys.KindClientTransfer {
			continue
		}
		c := info.Component
		if l := one(c, "a", "a"); l.NanoUSD != 0 || l.UpperBound != 0 {
			t.Errorf("%s within a zone costs %s", c, l.NanoUSD)
		}
		if there, back := one(c, "a", "b"), one(c, "b", "a"); there.NanoUSD != 20_000_000 || back.NanoUSD != there.NanoUSD {
			t.Errorf("%s across zones costs %s there and %s back", c, there.NanoUSD, back.NanoUSD)
		}
		bound := NanoUSD(0)
		if info.Kind == costkeys.KindClientTransfer {
			bound = 20_000_000
		}
		for _, ends := range [][2]string{{"a", ""}, {"", "a"}, {"", ""}} {
			if l := one(c, ends[0], ends[1]); l.NanoUSD != 0 || l.UpperBound != bound {
				t.Errorf("%s %q>%q costs %s, at most %s, want 0 and %s", c, ends[0], ends[1], l.NanoUSD, l.UpperBound, bound)
			}
		}
	}
}

func TestASharedPutIsPaidInShares(t *testing.T) {
	usage := []Usage{
		{Key{TopicID: "a", Topic: "a", Component: costkeys.ComponentPut}, costkeys.Units(333_333_334)},
		{Key{TopicID: "b", Topic: "b", Component: costkeys.ComponentPut}, costkeys.Units(333_333_333)},
		{Key{TopicID: "c", Topic: "c", Component: costkeys.ComponentPut}, costkeys.Units(333_333_333)},
		{Key{TopicID: "a", Topic: "a", Component: costkeys.ComponentBytesIn}, costkeys.Units(4096)},
	}
	s := bill(t, []Segment{{Window{from, from + minuteMS}, usage}}, nil)
	if s.Total != 5000 {
		t.Errorf("one PUT costs %s", s.Total)
	}
	got := map[string]NanoUSD{}
	for _, l := range s.Lines {
		got[l.Topic+" "+l.Component.String()] = l.NanoUSD
	}
	if got["a bytes_in"] != 0 || got["a s3_put"] != 1667 || got["b s3_put"]+got["c s3_put"] != 3333 || got["b s3_put"] < 1666 || got["c s3_put"] < 1666 {
		t.Errorf("shares are %v", got)
	}
}

// The odd nano-dollar of equal claimants: the same one gets it however often it
// is computed, and it is not the same one in every window.
func TestEqualClaimantsTakeTurnsAndNeverDependOnOrder(t *testing.T) {
	var usage []Usage // 7 x 714 nano-dollars and a bit: 4,999 is not 7 x 714
	for i := range 7 {
		name := fmt.Sprintf("topic-%d", i)
		usage = append(usage, Usage{Key{TopicID: name, Topic: name, Component: costkeys.ComponentPut}, costkeys.Units(nanoPerUSD / 7)})
	}
	lucky := map[string]bool{}
	for i := range int64(20) {
		w := Window{from + i*minuteMS, from + (i+1)*minuteMS}
		s := bill(t, []Segment{{w, usage}}, nil)
		want := render(t, s)
		for range 5 {
			if got := render(t, bill(t, []Segment{{w, usage}}, nil)); got != want {
				t.Fatal("equal claimants change places between two runs")
			}
		}
		for _, l := range s.Lines {
			if l.NanoUSD == 715 {
				lucky[l.Topic] = true
			}
		}
	}
	if len(lucky) < 4 {
		t.Errorf("the odd nano-dollar always goes to %v", lucky)
	}
}

func TestStorageOfAWindowOverTwoMonthsHasTwoPrices(t *testing.T) {
	edge := ms(t, "2026-11-01T00:00:00Z")
	hour := int64(3_600_000)
	usage := []Usage{{Key{TopicID: "t", Topic: "t", Component: costkeys.ComponentStorage}, costkeys.Product(1<<40, uint64(hour))}}
	s := bill(t, []Segment{{Window{edge - hour, edge}, usage}, {Window{edge, edge + hour}, usage}}, nil)
	if len(s.Meters) != 2 || s.Meters[0].Price == s.Meters[1].Price {
		t.Errorf("meters %+v", s.Meters)
	}
	if _, err := Bill(Request{Book: book(t), Segments: []Segment{{Window{edge - hour, edge + hour}, usage}}}); err == nil || !strings.Contains(err.Error(), fmt.Sprint(edge)) {
		t.Errorf("a segment over the month's end: %v", err)
	}
}

func TestBillRefusesWhatItCannotPrice(t *testing.T) {
	w := Window{from, from + minuteMS}
	for want, req := range map[string]Request{
		"price book":                 {Segments: []Segment{{Window: w}}},
		"one segment":                {Book: book(t)},
		"at or before":               {Book: book(t), Segments: []Segment{{Window: Window{5, 5}}}},
		"does not begin":             {Book: book(t), Segments: []Segment{{Window: w}, {Window: w}}},
		"component \"component-24\"": {Book: book(t), Segments: []Segment{{w, []Usage{{Key{Component: costkeys.ComponentEnd}, costkeys.Units(1)}}}}},
		"nano-dollars":               {Book: book(t), Segments: []Segment{{w, []Usage{{Key{Component: costkeys.ComponentPut}, costkeys.Quantity{Hi: 1 << 50}}}}}},
		"128 bits":                   {Book: book(t), Segments: []Segment{{w, []Usage{{Key{Component: costkeys.ComponentBytesIn}, costkeys.Quantity{Hi: 1 << 63}}, {Key{Component: costkeys.ComponentBytesIn}, costkeys.Quantity{Hi: 1 << 63}}}}}},
	} {
		if _, err := Bill(req); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func BenchmarkBill10000Rows(b *testing.B) {
	segments := []Segment{{Window{from, from + minuteMS}, someUsage(rand.New(rand.NewPCG(9, 9)), 10_000)}}
	for b.Loop() {
		bill(b, segments, nil)
	}
}
