package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/metadata"
)

func TestKgoProducesAndConsumesWithEveryCompression(t *testing.T) {
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	for name, codec := range codecs {
		t.Run(name, func(t *testing.T) {
			topic := "t-" + name
			cl, err := kgo.NewClient(kgo.SeedBrokers(n.zoned["a"]), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchCompression(codec),
				kgo.DefaultProduceTopic(topic), kgo.ConsumeTopics(topic), kgo.ProducerLinger(time.Millisecond))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			const total = 2000
			for i := range total {
				cl.Produce(ctx, kgo.StringRecord(fmt.Sprintf("record %06d of some length, so that it can be packed", i)), func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("produce: %v", err)
					}
				})
			}
			if err := cl.Flush(ctx); err != nil {
				t.Fatal(err)
			}
			next := 0
			for next < total && ctx.Err() == nil {
				f := cl.PollFetches(ctx)
				f.EachError(func(_ string, _ int32, err error) { t.Fatalf("fetch: %v", err) })
				f.EachRecord(func(r *kgo.Record) {
					want := fmt.Sprintf("record %06d of some length, so that it can be packed", next)
					if string(r.Value) != want || r.Offset != int64(next) {
						t.Fatalf("at %d: offset %d value %q", next, r.Offset, r.Value)
					}
					next++
				})
			}
			if next != total {
				t.Fatalf("read %d of %d", next, total)
			}
		})
	}
}
