//go:build clients

package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/zonewise/zonewise/test/testenv/devserver"
)

// header is one header of a record; in JSON ["name","base64"].
type header struct {
	Name  string
	Value []byte
}

func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Name, h.Value}) }

func (h *header) UnmarshalJSON(b []byte) error {
	pair := []any{&h.Name, &h.Value}
	return json.Unmarshal(b, &pair)
}

// recordSpec is one record to produce, and how: a line of a client's input.
type recordSpec struct {
	I          int      `json:"i"`
	Partition  int32    `json:"partition"`
	Key        []byte   `json:"key"`
	Value      []byte   `json:"value"`
	Headers    []header `json:"headers"`
	Codec      string   `json:"codec"`
	Idempotent bool     `json:"idempotent"`

	plain bool // may be stored uncompressed nevertheless
}

// produceMode is how records are produced.
type produceMode struct {
	codec      string
	idempotent bool
}

func (m produceMode) String() string {
	if m.idempotent {
		return m.codec + ", idempotent"
	}
	return m.codec
}

// makeRecords generates n records of a mode, numbered from first. Values compress, so
// that a codec is used, and contain every byte; text restricts them to what kcat can
// carry: printable keys and values, the same headers on every record. One record of
// each mode is too large to be inline, so that objects are written.
func makeRecords(m produceMode, first, n int, text bool) []recordSpec {
	rng := rand.New(rand.NewPCG(uint64(first), 7))
	var all []recordSpec
	for i := first; i < first+n; i++ {
		o := recordSpec{I: i, Partition: int32(i % partitions), Codec: m.codec, Idempotent: m.idempotent}
		o.Key = fmt.Appendf(nil, "key %d", i%17)
		o.Value = fmt.Appendf(nil, "record %d of %s;", i, m)
		o.Value = append(o.Value, strings.Repeat("the same again and again ", 4+rng.IntN(40))...)
		if i%perMode == perMode-1 {
			o.Value = largeValue(rng)
		}
		o.Headers = []header{{"suite", []byte("clients")}, {"zone", []byte("by listener")}}
		if !text {
			for range 64 {
				o.Value = append(o.Value, byte(rng.Uint32()))
			}
			o.Headers[1] = header{"i", fmt.Appendf(nil, "\x00\xff%d", i)}
			switch i % 20 {
			case 3:
				o.Key = nil
			case 5:
				o.Key = []byte{}
			case 7:
				o.Value = []byte{}
			case 11:
				o.Value = nil
			case 13:
				o.Headers = []header{}
			case 17:
				o.Value = bytes.Repeat(o.Value, 40)
			}
		}
		all = append(all, o)
	}
	return all
}

// largeValue is 300 KiB of text that any codec shrinks by a quarter: a client may
// send uncompressed what does not shrink.
func largeValue(rng *rand.Rand) []byte {
	v := make([]byte, 0, 300<<10)
	for len(v) < cap(v) {
		for range 768 {
			v = append(v, byte('!'+rng.IntN(90)))
		}
		v = append(v, bytes.Repeat([]byte{'z'}, 256)...)
	}
	return v
}

// recordPosition is a record's partition and offset.
type recordPosition struct {
	partition int32
	offset    int64
}

// sameRecord returns how a record that was read differs from its order.
func sameRecord(o recordSpec, key, value []byte, headers []header) error {
	switch {
	case !bytes.Equal(o.Key, key) || (o.Key == nil) != (key == nil):
		return fmt.Errorf("record %d: key %q (null: %v), want %q (null: %v)", o.I, key, key == nil, o.Key, o.Key == nil)
	case !bytes.Equal(o.Value, value) || (o.Value == nil) != (value == nil):
		return fmt.Errorf("record %d: value of %d bytes (null: %v) is not the one sent (%d bytes, null: %v)", o.I, len(value), value == nil, len(o.Value), o.Value == nil)
	case len(headers) != len(o.Headers):
		return fmt.Errorf("record %d: %d headers, want %d", o.I, len(headers), len(o.Headers))
	}
	for k, h := range headers {
		if h.Name != o.Headers[k].Name || !bytes.Equal(h.Value, o.Headers[k].Value) {
			return fmt.Errorf("record %d: header %d is %q=%q, want %q=%q", o.I, k, h.Name, h.Value, o.Headers[k].Name, o.Headers[k].Value)
		}
	}
	return nil
}

// emptyAsNull is an order as seen by a client that does not distinguish empty from null.
func emptyAsNull(o recordSpec) recordSpec {
	if len(o.Key) == 0 {
		o.Key = nil
	}
	if len(o.Value) == 0 {
		o.Value = nil
	}
	return o
}

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"} // by Kafka's number

// checkStored reads the topic with franz-go and compares it with all orders so
// far, in the order of sending: each once, in order, no gap, stored with its
// codec, with a producer id if and only if it was idempotent. It returns where
// each record is.
func checkStored(t *testing.T, d *devserver.Dev, topic string, orders []recordSpec) map[recordPosition]recordSpec {
	t.Helper()
	want := map[int32][]recordSpec{}
	for _, o := range orders {
		want[o.Partition] = append(want[o.Partition], o)
	}
	where := map[recordPosition]recordSpec{}
	for p, records := range readStored(t, d, topic, len(orders)) {
		if len(records) != len(want[p]) {
			t.Fatalf("%s/%d holds %d records, want %d", topic, p, len(records), len(want[p]))
		}
		for k, r := range records {
			o := want[p][k]
			if r.Offset != int64(k) {
				t.Fatalf("%s/%d: record %d is at offset %d, want %d", topic, p, o.I, r.Offset, k)
			}
			var headers []header
			for _, h := range r.Headers {
				headers = append(headers, header{h.Key, h.Value})
			}
			if err := sameRecord(o, r.Key, r.Value, headers); err != nil {
				t.Fatalf("%s/%d at offset %d, as stored: %v", topic, p, r.Offset, err)
			}
			if got := codecNames[r.Attrs.CompressionType()]; got != o.Codec && !(o.plain && got == "none") {
				t.Fatalf("%s/%d: record %d is stored with codec %s, was sent with %s", topic, p, o.I, got, o.Codec)
			}
			if (r.ProducerID >= 0) != o.Idempotent {
				t.Fatalf("%s/%d: record %d has producer id %d, idempotent: %v", topic, p, o.I, r.ProducerID, o.Idempotent)
			}
			where[recordPosition{p, r.Offset}] = o
		}
	}
	return where
}

// readStored reads all partitions up to their ends.
func readStored(t *testing.T, d *devserver.Dev, topic string, n int) map[int32][]*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(d.Bootstrap(0)), kgo.ClientID("oracle"), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ends, err := kadm.NewClient(c).ListEndOffsets(ctx, topic)
	if err = firstError(err, ends.Error()); err != nil {
		t.Fatalf("list end offsets of %s: %v", topic, err)
	}
	total := int64(0)
	ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
	if total != int64(n) {
		t.Fatalf("end offsets of %s add up to %d, want %d records", topic, total, n)
	}
	found := map[int32][]*kgo.Record{}
	for got := 0; got < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s after %d of %d records: %v", topic, got, n, err)
		}
		fetches.EachRecord(func(r *kgo.Record) { found[r.Partition] = append(found[r.Partition], r) })
		got += fetches.NumRecords()
	}
	return found
}

// checkCommitted compares a group's committed offsets with the topic's ends.
func checkCommitted(t *testing.T, d *devserver.Dev, group, topic string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(d.Bootstrap(1)), kgo.ClientID("oracle"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	admin := kadm.NewClient(c)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err = firstError(err, ends.Error()); err != nil {
		t.Fatal(err)
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err = firstError(err, committed.Error()); err != nil {
		t.Fatal(err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		got, ok := committed.Lookup(topic, end.Partition)
		if !ok || got.At != end.Offset {
			t.Errorf("group %s committed %d (found: %v) of %s/%d, want its end %d", group, got.At, ok, topic, end.Partition, end.Offset)
		}
	})
}

func firstError(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
