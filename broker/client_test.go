package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// pipeListener is a network of net.Pipe, for bubbles.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe:1" }

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

func (l *pipeListener) dial() net.Conn {
	a, b := net.Pipe()
	l.conns <- b
	return a
}

// raw is a client that speaks frames.
type raw struct {
	t    testing.TB
	c    net.Conn
	next int32
}

func (r *raw) frame(q kmsg.Request) []byte {
	r.next++
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, q, r.next)
}

func (r *raw) send(q kmsg.Request) {
	r.t.Helper()
	if _, err := r.c.Write(r.frame(q)); err != nil {
		r.t.Fatalf("send: %v", err)
	}
}

// receive reads one answer, checks its correlation id, and decodes it: nothing
// may be left over.
func (r *raw) receive(q kmsg.Request, correlation int32) kmsg.Response {
	r.t.Helper()
	resp, err := r.tryReceive(q, correlation)
	if err != nil {
		r.t.Fatalf("key %d version %d: %v", q.Key(), q.GetVersion(), err)
	}
	return resp
}

func (r *raw) tryReceive(q kmsg.Request, correlation int32) (kmsg.Response, error) {
	b, err := r.answer()
	if err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != correlation {
		return nil, fmt.Errorf("answer %d, want %d", got, correlation)
	}
	b = b[4:]
	if q.IsFlexible() && q.Key() != 18 {
		if b[0] != 0 {
			return nil, errors.New("tags in the header")
		}
		b = b[1:]
	}
	resp := q.ResponseKind()
	if err := resp.ReadFrom(b); err != nil {
		return nil, err
	}
	if again := resp.AppendTo(nil); len(again) != len(b) {
		return nil, fmt.Errorf("answer of %d bytes, %d of them understood", len(b), len(again))
	}
	return resp, nil
}

func (r *raw) answer() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r.c, size[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(r.c, b)
	return b, err
}

func (r *raw) roundTrip(q kmsg.Request) kmsg.Response {
	r.t.Helper()
	r.send(q)
	return r.receive(q, r.next)
}

// inBubble runs a test against one broker in a synctest bubble.
func inBubble(t *testing.T, change func(*Config), f func(t *testing.T, n *node, dial func() *raw)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		ln := newPipeListener()
		n := w.start("a", nil, change, func() (net.Listener, string, int32) { return ln, "pipe", 1 })
		f(t, n, func() *raw {
			c := ln.dial()
			t.Cleanup(func() { c.Close() })
			return &raw{t: t, c: c}
		})
		n.close()
	})
}

// makeTopic creates a topic by protocol and returns its id.
func (r *raw) makeTopic(name string, partitions int32, configs ...string) metadata.TopicID {
	r.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, 1
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		topic.Configs = append(topic.Configs, c)
	}
	q.Topics = append(q.Topics, topic)
	resp := r.roundTrip(q).(*kmsg.CreateTopicsResponse)
	if resp.Topics[0].ErrorCode != 0 {
		r.t.Fatalf("create topic: %d", resp.Topics[0].ErrorCode)
	}
	return resp.Topics[0].TopicID
}

// batchOf makes a batch of records, one per value, without producer id.
func batchOf(ts int64, values ...string) []byte { return batchWith(ts, -1, -1, 0, values...) }

func batchWith(ts, pid int64, seq int32, attrs int16, values ...string) []byte {
	var records []byte
	for i, v := range values {
		rec := kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: []byte(v)}
		body := rec.AppendTo(nil)[1:]
		rec.Length = int32(len(body))
		records = rec.AppendTo(records)
	}
	return sealBatch(ts, pid, seq, attrs, int32(len(values)), records)
}

// sealBatch puts a batch's header before its records.
func sealBatch(ts, pid int64, seq int32, attrs int16, count int32, records []byte) []byte {
	epoch := int16(0)
	if pid < 0 {
		epoch = -1
	}
	b := kmsg.RecordBatch{PartitionLeaderEpoch: -1, Magic: 2, Attributes: attrs, LastOffsetDelta: count - 1, FirstTimestamp: ts,
		MaxTimestamp: ts, ProducerID: pid, ProducerEpoch: epoch, FirstSequence: seq, NumRecords: count, Records: records}
	out := b.AppendTo(nil)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-12))
	binary.BigEndian.PutUint32(out[17:], metadata.BatchCRC(out))
	return out
}

func produceOf(version int16, topic string, id metadata.TopicID, acks int16, batches ...[]byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, 5000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	for i, b := range batches {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = int32(i), b
		rt.Partitions = append(rt.Partitions, rp)
	}
	q.Topics = append(q.Topics, rt)
	return q
}

func nowMs() int64 { return time.Now().UnixMilli() }
