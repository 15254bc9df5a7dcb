package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// BenchmarkCheckBatch is what a batch of 64 records of 1 KiB costs before it
// is appended.
func BenchmarkCheckBatch(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([]string, 64)
	for i := range values {
		v := make([]byte, 1024)
		for j := range v {
			v[j] = "abcdefgh"[rnd.IntN(8)]
		}
		values[i] = string(v)
	}
	cs := newCodecs()
	for codec := codecNone; codec <= codecZstd; codec++ {
		batch := packed(codec, values...)
		b.Run(fmt.Sprint(codec), func(b *testing.B) {
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := cs.checkBatch(batch, 9, 5000, testRules()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeProduce is a request of 10 topics with 50 partitions each.
func BenchmarkDecodeProduce(b *testing.B) {
	q := produceOf(13, "", metadata.TopicID{}, -1)
	q.Topics = q.Topics[:0]
	for i := range 10 {
		batches := make([][]byte, 50)
		for j := range batches {
			batches[j] = batchOf(1000, "v")
		}
		q.Topics = append(q.Topics, produceOf(13, "", metadata.TopicID{byte(i)}, -1, batches...).Topics...)
	}
	body := q.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeProduce(13, body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMetadata is an answer that names 5000 partitions.
func BenchmarkMetadata(b *testing.B) {
	w := newWorld(b)
	zones := []metadata.ZoneID{"a", "b", "c"}
	for _, z := range zones {
		w.tcp(z, zones, nil)
	}
	n := w.nodes[0]
	for i := range 50 {
		out, err := n.wal.Submit(b.Context(), []metadata.Command{metadata.CreateTopic{ID: metadata.TopicID{1, byte(i)}, Name: fmt.Sprint("t", i), Partitions: 100, ReplicationFactor: 3}}, nil)
		if err != nil || out.Commands[0].Code != 0 {
			b.Fatal(err, out)
		}
	}
	r := &request{conn: &conn{}} // it remembers what its client asked before
	r.evidence.Zone = "a"
	b.ReportAllocs()
	for b.Loop() {
		q := kmsg.NewPtrMetadataRequest()
		q.Version = 12
		resp := n.server.handleMetadata(b.Context(), r, q)
		resp.Version = 12
		if len(resp.AppendTo(nil)) < 5000*20 {
			b.Fatal("too short")
		}
	}
}

// BenchmarkThroughWire is kgo producing and consuming 1 KiB records over
// loopback, one broker, in-memory log and bucket: client and broker share the
// machine.
func BenchmarkThroughWire(b *testing.B) {
	w := newWorld(b)
	n := w.tcp("a", []metadata.ZoneID{"a"}, func(c *Config) { c.DefaultPartitions = 12 })
	ctx := b.Context()
	p := n.client(b, "a", kgo.DefaultProduceTopic("t"), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(20_000))
	c := n.client(b, "a", kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	value := make([]byte, 1024)
	if err := p.ProduceSync(ctx, kgo.SliceRecord(value)).FirstErr(); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1024)
	b.ResetTimer()
	for range b.N {
		p.Produce(ctx, kgo.SliceRecord(value), func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := p.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	for got := 0; got < b.N+1; {
		got += c.PollFetches(ctx).NumRecords()
	}
}
