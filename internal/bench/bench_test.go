package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestQuantilesAreWithinTwoPercentOfTheTruth(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	var a, b Histogram
	var all []time.Duration
	for i := range 20_000 {
		d := time.Duration(source.ExpFloat64() * float64(3*time.Millisecond))
		if i%100 == 0 {
			d *= 1000
		}
		all = append(all, d)
		[]*Histogram{&a, &b}[i%2].Add(d)
	}
	a.Merge(&b)
	a.Merge(&Histogram{})
	slices.Sort(all)
	for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(q*float64(len(all)))-1, 0)]
		if got := a.Quantile(q); got < want.Truncate(time.Microsecond) || float64(got) > float64(want)*1.02+1000 {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
	if a.Count() != 20_000 || a.Max() != all[len(all)-1] {
		t.Errorf("count %d, max %v", a.Count(), a.Max())
	}
	if (&Histogram{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	a.Add(1000 * time.Hour) // beyond the last bucket
	if a.Quantile(1) != a.Max() {
		t.Errorf("greatest %v, want %v", a.Quantile(1), a.Max())
	}
}

func TestEveryBucketHoldsItsOwnUpperEnd(t *testing.T) {
	for i := range histPowers << subBits {
		if got := bucketOf(uint64(bucketMax(i) / time.Microsecond)); got != i {
			t.Fatalf("bucket %d ends at %v, which is in %d", i, bucketMax(i), got)
		}
	}
}

func value(producer uint32, number uint64) []byte {
	v := newFiller(1, 64).newValue(rand.New(rand.NewPCG(1, 1)), 64)
	s := recordStamp{run: 9, producer: producer, number: number, due: time.Unix(5, 0)}
	s.encode(v, castagnoli())
	return v
}

func TestTheVerifierFindsWhatIsWrong(t *testing.T) {
	changed := value(1, 1)
	changed[50] ^= 1
	type read struct {
		offset int64
		value  []byte
	}
	for _, c := range []struct {
		name  string
		reads []read
		acked uint64
		lost  uint64
		want  Faults
	}{
		{"all well", []read{{0, value(1, 0)}, {1, value(1, 1)}, {7, value(1, 2)}}, 3, 0, Faults{}},
		{"a gap", []read{{0, value(1, 0)}, {1, value(1, 3)}}, 4, 0, Faults{Missing: 2}},
		{"a gap of records that failed", []read{{0, value(1, 0)}, {1, value(1, 3)}}, 1, 2, Faults{}},
		{"a repeat", []read{{0, value(1, 0)}, {1, value(1, 0)}}, 1, 0, Faults{Repeated: 1}},
		{"an offset twice", []read{{0, value(1, 0)}, {0, value(1, 1)}}, 2, 0, Faults{OffsetBack: 1}},
		{"changed bytes", []read{{0, value(1, 0)}, {1, changed}}, 1, 0, Faults{Changed: 1}},
		{"acknowledged and gone", []read{{0, value(1, 0)}}, 5, 0, Faults{Missing: 4}},
		{"the first is gone", []read{{3, value(1, 2)}}, 3, 0, Faults{Missing: 2}},
		{"somebody else's", []read{{0, []byte("hello")}, {1, value(1, 0)}}, 1, 0, Faults{Foreign: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVerifier(9, true)
			for _, r := range c.reads {
				v.checkRecord(4, r.offset, r.value)
			}
			l := lineage{9, 1, 4}
			got := v.finalFaults(map[lineage]uint64{l: c.acked}, map[lineage]uint64{l: c.lost})
			if (got.First != "") != c.want.Bad() {
				t.Errorf("bad %v, and yet the first is %q", c.want.Bad(), got.First)
			}
			got.First = ""
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAPacedSenderCountsFromWhenARecordWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p := newPacer(10, begin)
		for i := range 5 {
			due, ok := p.waitDue(t.Context())
			if want := begin.Add(time.Duration(i) * 100 * time.Millisecond); !ok || !due.Equal(want) || !time.Now().Equal(want) {
				t.Fatalf("record %d due %v, now %v, want %v", i, due, time.Now(), want)
			}
		}
		time.Sleep(time.Second) // a stall
		if due, _ := p.waitDue(t.Context()); !due.Equal(begin.Add(500 * time.Millisecond)) {
			t.Errorf("after the stall due %v", due.Sub(begin))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		p.count = 1000
		if _, ok := p.waitDue(ctx); ok {
			t.Error("it went on after the end")
		}
	})
}

func TestMetricsAreSummedOverLabelsAndGivenPerGiB(t *testing.T) {
	text := "# HELP x\nzonewise_s3_requests_total{op=\"put\"} 10\nzonewise_s3_requests_total{op=\"get\"} 2.5\nother 7\nprocess_cpu_seconds_total 3\n"
	after, err := parseMetrics(strings.NewReader(text))
	if err != nil || after[metricS3] != 12.5 {
		t.Fatalf("%v, %v", after, err)
	}
	b := after.perGiBSince(counters{metricS3: 2.5, metricCPU: 1}, 1<<29)
	if *b.S3RequestsPerGiB != 20 || *b.CPUSecondsPerGiB != 4 || b.CrossZoneBytesPerGiB != nil {
		t.Errorf("%+v", b)
	}
	if _, err := parseMetrics(strings.NewReader("process_cpu_seconds_total x\n")); err == nil {
		t.Error("a number that is none was read")
	}
}

func TestConfigurationsThatCannotWorkAreRefused(t *testing.T) {
	good := DefaultConfig()
	good.Bootstrap = []string{"x:1"}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no bootstrap": func(c *Config) { c.Bootstrap = nil },
		"tiny records": func(c *Config) { c.RecordBytes = headerBytes - 1 },
		"no duration":  func(c *Config) { c.Duration = 0 },
		"acks one":     func(c *Config) { c.Acks = "one" },
		"rate":         func(c *Config) { c.Rate = -1 },
		"producers":    func(c *Config) { c.Producers = maxClients + 1 },
	} {
		c := good
		change(&c)
		if c.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	c := good
	c.Compression = "rar"
	if _, err := c.producerOptions(0); err == nil {
		t.Error("compression rar: accepted")
	}
}

func TestErrorsAreCountedByTheirCause(t *testing.T) {
	p := newProduceStats()
	l := lineage{1, 2, 3}
	p.recordResult(l, 0, time.Millisecond, 10, nil)
	p.recordResult(l, 1, 0, 0, errors.Join(errors.New("a")))
	p.recordResult(l, 2, time.Millisecond, 10, nil)
	if want := p.acknowledged()[l]; want != 1 {
		t.Errorf("a consumer must find %d numbers, want 1", want)
	}
	if p.records.Load() != 2 || p.errors["a"] != 1 || p.failedCount[l] != 1 {
		t.Errorf("%d records, errors %v, lost %v", p.records.Load(), p.errors, p.failedCount)
	}
}
