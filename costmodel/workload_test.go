package costmodel

import (
	"math"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// I10, the formula: Confluent's published $24,192.00, and the same cluster with
// follower fetch. 100 MB/s, fan-out 3, 30 days, GB = 10^9, $0.02 for both sides.
func TestClassicKafkaReproducesPublishedFigures(t *testing.T) {
	cents := NanoUSD(20_000_000)
	for _, c := range []struct {
		name string
		k    ClassicKafka
		unit uint64
		want string
	}{
		{"Confluent", ClassicKafka{100_000_000, 2_592_000, 3, 3, 3, false}, 1_000_000_000, "$24,192.00"},
		{"Confluent, follower fetch", ClassicKafka{100_000_000, 2_592_000, 3, 3, 3, true}, 1_000_000_000, "$13,824.00"},
		{"AutoMQ 2026-04, high", ClassicKafka{100 << 20, 2_628_000, 3, 3, 3, false}, gib, "$23,953.13"},
		{"AutoMQ 2026-04, low", ClassicKafka{100 << 20, 2_628_000, 3, 3, 3, true}, gib, "$13,687.50"},
		{"Kozlovski, a day", ClassicKafka{30_000_000, 86_400, 3, 3, 3, false}, 1_000_000_000, "$241.92"},
		{"AutoMQ 17x, cross-AZ", ClassicKafka{1 << 30, 2_592_000, 3, 3, 1, true}, gib, "$138,240.00"},
	} {
		got, err := c.k.Cost(cents, c.unit)
		if err != nil || got.Dollars(2) != c.want {
			t.Errorf("%s: %s, %v, want %s", c.name, got.Dollars(2), err, c.want)
		}
	}
	if _, err := (ClassicKafka{}).Cost(cents, 1); err == nil {
		t.Error("a cluster of no zones has a price")
	}
}

// I10, the rows: clients that do not know zones, evenly spread over three,
// write to and read from leaders evenly spread over three; the transfers they
// make, priced row by row, cost what the formula says. Aligned clients cost 0.
func TestUnalignedClientsCostTheFormulaAndAlignedOnesNothing(t *testing.T) {
	const share, fan = uint64(1 << 30), uint64(3) // bytes per (client zone, leader zone)
	zones := []string{"use1-az1", "use1-az2", "use1-az3"}
	var unaligned, aligned []Usage
	for _, leader := range zones {
		for _, client := range zones {
			row := func(c costkeys.Component, src, dst string, n uint64) Usage {
				return Usage{Key{TopicID: "t", Topic: "t", Component: c, Src: src, Dst: dst}, costkeys.Units(n)}
			}
			unaligned = append(unaligned, row(costkeys.ComponentProduce, client, leader, share), row(costkeys.ComponentFetchReply, leader, client, fan*share))
			aligned = append(aligned, row(costkeys.ComponentProduce, client, client, share), row(costkeys.ComponentFetchReply, client, client, fan*share))
			for _, follower := range zones {
				if follower != leader {
					unaligned = append(unaligned, row(costkeys.ComponentPeer, leader, follower, share))
				}
			}
		}
	}
	classic := ClassicKafka{BytesPerSecond: 9 * share, Seconds: 1, Zones: 3, Replicas: 3, FanOut: fan}
	want, err := classic.Cost(20_000_000, gib)
	if err != nil {
		t.Fatal(err)
	}
	if got := bill(t, []Segment{{Window{from, from + minuteMS}, unaligned}}, nil).Total; got != want {
		t.Errorf("unaligned clients cost %s, the formula says %s", got, want)
	}
	if got := bill(t, []Segment{{Window{from, from + minuteMS}, aligned}}, nil).Total; got != 0 {
		t.Errorf("aligned clients cost %s", got)
	}
}

// I11: AWS's own example 1 of S3 Express One Zone: 10 GB for 30 days (their
// 3,303.77 GB-month rounding aside, 10 GB-month), 10^6 PUT and 9 x 10^6 GET of
// 10 KB, every byte charged: exactly $2.582016 with the transfer cut to the micro.
func TestTheExpressExampleOfAWSComesOutAt258(t *testing.T) {
	b := book(t)
	at := ms(t, "2026-11-10T00:00:00Z") // a 30-day month
	cost := func(id costkeys.MeterID, q costkeys.Quantity) NanoUSD {
		rate, err := b.Rate(id, at)
		if err != nil {
			t.Fatal(err)
		}
		money, err := toNanoUSD(rate.costFloor(q, 1))
		if err != nil {
			t.Fatal(err)
		}
		return money
	}
	byteCost := func(id costkeys.MeterID, n uint64) NanoUSD {
		money, err := b.RequestBytesCost(id, n, 10<<10)
		if err != nil {
			t.Fatal(err)
		}
		return money
	}
	parts := []struct {
		name string
		got  NanoUSD
		want string
	}{
		{"storage", cost(costkeys.MeterXStorage, costkeys.Product(10<<30, 30*86_400_000)), "1.100000000"},
		{"put", cost(costkeys.MeterXPut, costkeys.Units(1_000_000)), "1.130000000"},
		{"get", cost(costkeys.MeterXGet, costkeys.Units(9_000_000)), "0.270000000"},
		{"upload", byteCost(costkeys.MeterXUpload, 1_000_000), "0.030517578"},
		{"retrieval", byteCost(costkeys.MeterXRetrieval, 9_000_000), "0.051498413"},
	}
	var total NanoUSD
	for _, p := range parts {
		if p.got.String() != p.want {
			t.Errorf("%s costs %s, want %s", p.name, p.got, p.want)
		}
		total += p.got
	}
	if total.Dollars(2) != "$2.58" || total.Dollars(6) != "$2.582016" {
		t.Errorf("in all %s, want $2.58 ($2.582016)", total)
	}
}

// Break-even sizes of the inline path on AWS list prices (131.1, 87.4 and 65.5
// KiB): the limit is the largest size that is strictly cheaper.
func TestInlineLimitIsTheLastCheaperByte(t *testing.T) {
	b := book(t)
	for _, c := range []struct {
		in   InlineCase
		want uint64
	}{
		{InlineCase{NetworkHops: 2}, 134_217}, {InlineCase{NetworkHops: 3}, 89_478}, {InlineCase{NetworkHops: 4}, 67_108},
		{InlineCase{NetworkHops: 2, ReaderZones: 2}, 155_692}, // 152.0 KiB
		{InlineCase{NetworkHops: 3, ReaderZones: 2}, 103_795}, // 101.4 KiB
		{InlineCase{NetworkHops: 0}, math.MaxUint64},
	} {
		got, err := c.in.Limit(b)
		if err != nil || got != c.want {
			t.Errorf("%+v: limit %d, %v, want %d", c.in, got, err, c.want)
		}
		if c.want == math.MaxUint64 {
			continue
		}
		for n, want := range map[uint64]bool{got: true, got + 1: false} {
			if cheaper, err := c.in.Cheaper(b, n); err != nil || cheaper != want {
				t.Errorf("%+v at %d bytes: cheaper %v, %v", c.in, n, cheaper, err)
			}
		}
	}
	if got, err := InlineLimit(b, 2); err != nil || got != 134_217 {
		t.Errorf("InlineLimit(2) = %d, %v", got, err)
	}
	// The rule in integers: b x hops x pair < put x bytes per unit.
	for n := uint64(134_000); n < 134_500; n++ {
		left := new(big.Int).SetUint64(n * 2 * 20_000_000)
		right := new(big.Int).SetUint64(5_000 << 30)
		if cheaper, err := (InlineCase{NetworkHops: 2}).Cheaper(b, n); err != nil || cheaper != (left.Cmp(right) < 0) {
			t.Fatalf("at %d bytes: %v, %v", n, cheaper, err)
		}
	}
	if small, err := (InlineCase{NetworkHops: 2, ArchiveBytes: 8 << 20}).Limit(b); err != nil || small >= 134_217 || small < 130_000 {
		t.Errorf("with the archive's PUT the limit is %d, %v", small, err)
	}
}

// With a transfer GB of 10^9 bytes the break-even at two hops is exactly
// 125,000 bytes, where both cost the same: inline is not cheaper there.
func TestInlineIsNotChosenWhereBothCostTheSame(t *testing.T) {
	raw, err := os.ReadFile(defaultBook)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(raw), "\"unit\": \"GB\",\n      \"base_units_per_unit\": 1073741824", "\"unit\": \"GB\",\n      \"base_units_per_unit\": 1000000000", 1)
	b, err := Load(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := InlineLimit(b, 2); err != nil || got != 124_999 {
		t.Errorf("limit %d, %v, want 124999", got, err)
	}
}

func TestEstimateFollowsFromObjectSizeAndLinger(t *testing.T) {
	b := book(t)
	for _, c := range []struct {
		name string
		w    Workload
		want Estimate
	}{
		{"full 8 MiB objects, two reader zones", Workload{BytesPerSecond: 1 << 30, ObjectBytes: 8 << 20, LingerMS: 100, Brokers: 3, ReaderZones: 2}, Estimate{128, 256, 0, 742_400, 8 << 20}},
		{"linger seals first", Workload{BytesPerSecond: 10 << 20, ObjectBytes: 8 << 20, LingerMS: 100, Brokers: 3}, Estimate{3072, 0, 0, 15_360_000, 349525}},
		{"all inline at two hops", Workload{BytesPerSecond: 1 << 20, ObjectBytes: 8 << 20, LingerMS: 100, Brokers: 3, InlineBytes: 1 << 20, InlineNetworkHops: 2}, Estimate{0, 0, 2 << 30, 40_000_000, 0}},
	} {
		if got, err := c.w.Estimate(b); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, got, err, c.want)
		}
	}
	if _, err := (Workload{}).Estimate(b); err == nil {
		t.Error("an empty workload has an estimate")
	}
}
