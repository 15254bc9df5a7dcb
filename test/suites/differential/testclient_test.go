//go:build differential

package differential

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

const (
	visitTimeout   = 40 * time.Second
	readTimeout    = 3 * time.Second // for records that may not arrive
	requestTimeout = 6 * time.Second // for a response that may not arrive
)

// testClient is franz-go connected to one of the brokers, with its own topic.
type testClient struct {
	*kgo.Client
	old   *kgo.Client // sends topic names in Produce, not ids
	t     *testing.T
	ctx   context.Context
	seed  string
	topic string
	last  kmsg.ProduceResponseTopicPartition // the response to the last produce
}

func newTestClient(t *testing.T, addr string) *testClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), visitTimeout)
	t.Cleanup(cancel)
	v := &testClient{t: t, ctx: ctx, seed: addr, topic: fmt.Sprintf("met-%d", time.Now().UnixNano())}
	v.Client, v.old = v.newClient(), v.newClient(kgo.MaxVersions(kversion.V3_9_0()))
	if _, err := kadm.NewClient(v.Client).CreateTopic(ctx, 1, 1, nil, v.topic); err != nil {
		t.Fatal(err)
	}
	return v
}

// newClient returns another client for the same broker.
func (v *testClient) newClient(opts ...kgo.Opt) *kgo.Client {
	v.t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(v.seed), kgo.RetryTimeout(requestTimeout), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(c.Close)
	return c
}

// rawBatch is a batch that no client's producer would send.
type rawBatch struct {
	producer int64 // 0: none
	epoch    int16
	sequence int32
	values   []string // nil: null instead of records
	deltas   []int32  // of offsets; nil: 0, 1, 2
	noTime   bool     // timestamps of -1
}

func (b rawBatch) encode() []byte {
	if b.values == nil {
		return nil
	}
	rb := kmsg.NewRecordBatch()
	now := time.Now().UnixMilli()
	if b.noTime {
		now = -1
	}
	rb.Magic, rb.FirstTimestamp, rb.MaxTimestamp = 2, now, now
	rb.ProducerID, rb.ProducerEpoch, rb.FirstSequence = -1, -1, -1
	if b.producer > 0 {
		rb.ProducerID, rb.ProducerEpoch, rb.FirstSequence = b.producer, b.epoch, b.sequence
	}
	rb.NumRecords, rb.LastOffsetDelta = int32(len(b.values)), int32(len(b.values)-1)
	for i, value := range b.values {
		r := kmsg.NewRecord()
		if r.OffsetDelta = int32(i); b.deltas != nil {
			r.OffsetDelta = b.deltas[i]
		}
		r.Value = []byte(value)
		r.Length = int32(len(r.AppendTo(nil)) - 1) // of one byte, of a small record
		rb.Records = r.AppendTo(rb.Records)
	}
	const beforeLength, beforeSum, afterSum = 12, 17, 21
	out := rb.AppendTo(nil)
	binary.BigEndian.PutUint32(out[beforeLength-4:], uint32(len(out)-beforeLength))
	binary.BigEndian.PutUint32(out[beforeSum:], crc32.Checksum(out[afterSum:], crc32.MakeTable(crc32.Castagnoli)))
	return out
}

// produceRaw sends batches for the topic's partition in one request, and returns the
// result of the first: taken, or the error.
func (v *testClient) produceRaw(batches ...rawBatch) string {
	q := kmsg.NewPtrProduceRequest()
	q.Acks, q.TimeoutMillis = -1, 5000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = v.topic
	for _, b := range batches {
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = b.encode()
		t.Partitions = append(t.Partitions, p)
	}
	q.Topics = append(q.Topics, t)
	ctx, cancel := context.WithTimeout(v.ctx, requestTimeout)
	defer cancel()
	resp, err := q.RequestWith(ctx, v.old)
	if err != nil {
		return codeOf(err)
	}
	v.last = resp.Topics[0].Partitions[0]
	if v.last.ErrorCode != 0 {
		return codeOf(kerr.ErrorForCode(v.last.ErrorCode))
	}
	return "taken"
}

// producerID returns the id of a new idempotent producer.
func (v *testClient) producerID() int64 {
	v.t.Helper()
	q := kmsg.NewPtrInitProducerIDRequest()
	resp, err := q.RequestWith(v.ctx, v.Client)
	if err != nil || resp.ErrorCode != 0 {
		v.t.Fatalf("producer id: %v %+v", err, resp)
	}
	return resp.ProducerID
}

// readOffsets consumes the topic from its start until no more records come, and
// returns their offsets.
func (v *testClient) readOffsets() string {
	c := v.newClient(kgo.ConsumeTopics(v.topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer c.Close()
	var out strings.Builder
	for {
		ctx, cancel := context.WithTimeout(v.ctx, readTimeout)
		got := c.PollFetches(ctx)
		cancel()
		got.EachRecord(func(r *kgo.Record) { fmt.Fprintf(&out, " %d", r.Offset) })
		for _, err := range got.Errors() {
			if !errors.Is(err.Err, context.DeadlineExceeded) {
				return out.String() + ", then " + codeOf(err.Err)
			}
		}
		if got.NumRecords() == 0 {
			return out.String() + ", then nothing"
		}
	}
}

// codeOf returns the name of Kafka's error, or that there was none.
func codeOf(err error) string {
	var k *kerr.Error
	var slow net.Error
	var lost *kgo.ErrDataLoss
	switch {
	case err == nil:
		return "taken"
	case errors.As(err, &k):
		return k.Message
	case errors.As(err, &lost):
		return "lost records, and from the start again"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "no answer"
	}
	return err.Error()
}

// badCompressor produces bytes that cannot be decompressed.
type badCompressor struct{}

func (badCompressor) Compress(dst *bytes.Buffer, _ []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	dst.Write([]byte{0xde, 0xad, 0xbe, 0xef})
	return dst.Bytes(), kgo.CodecGzip
}
