package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz is github.com/twmb/franz-go with its defaults, except for the pauses of producers.
type franz struct{}

func franzOptions(t target) []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(t.Bootstrap...), kgo.ClientID(t.ClientID), kgo.Rack(t.Rack)}
}

func (franz) create(ctx context.Context, t target, topic string, partitions int) error {
	c, err := kgo.NewClient(franzOptions(t)...)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, int32(partitions), -1, nil, topic)
	return err
}

type franzProducer struct {
	c     *kgo.Client
	topic string
	log   io.Closer // of the client's own lines, or nil
}

// A franz-go producer does not move to another broker while its metadata request
// fails, and that fails if it goes to a dead broker or over a connection that broke
// unnoticed. franz-go retries three times, after 250, 500 and 1,000 ms, and then waits
// 5 s: with any cluster these defaults add up to 7 s to the pause after a broker's
// loss. Producers here measure the cluster's part, so they retry sooner, like Sarama.
const (
	metadataAgain = 250 * time.Millisecond
	retryAfter    = 50 * time.Millisecond
)

func (franz) producer(t target, o produceOptions) (producer, error) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[o.compression]
	if !ok {
		return nil, fmt.Errorf("compression %q", o.compression)
	}
	opts := append(franzOptions(t), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(o.linger), kgo.MaxBufferedRecords(2*o.pending), kgo.DialTimeout(2*time.Second),
		kgo.MetadataMinAge(metadataAgain), kgo.RetryBackoffFn(func(int) time.Duration { return retryAfter }))
	var log io.Closer
	if o.out != "" {
		f, err := os.Create(filepath.Join(o.out, t.Name+".log"))
		if err != nil {
			return nil, err
		}
		log = f
		opts = append(opts, kgo.WithLogger(kgo.BasicLogger(f, kgo.LogLevelInfo, func() string { return fmt.Sprint(micros(time.Now()), " ") })))
	}
	c, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return franzProducer{c, o.topic, log}, nil
}

func (p franzProducer) send(partition int32, value []byte, done func(int64, error)) {
	p.c.Produce(context.Background(), &kgo.Record{Topic: p.topic, Partition: partition, Value: value}, func(r *kgo.Record, err error) { done(r.Offset, err) })
}

func (p franzProducer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closePatience)
	defer cancel()
	_ = p.c.Flush(ctx) // Close calls the callbacks of the rest
	p.c.Close()
	if p.log != nil {
		_ = p.log.Close() // for the analysis of a failure
	}
}

// closePatience is how long a producer waits for its outstanding records.
const closePatience = 2 * time.Minute

// commitEvery is how often a member commits while it reads.
const commitEvery = time.Second

func (franz) group(ctx context.Context, t target, o consumeOptions, seen func(record)) error {
	c, err := kgo.NewClient(append(franzOptions(t), kgo.ConsumeTopics(o.topic), kgo.ConsumerGroup(o.group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.BlockRebalanceOnPoll())...)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	var committed time.Time
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) { seen(record{r.Partition, r.Offset, r.Value}) })
		if fetches.NumRecords() > 0 && (time.Since(committed) > commitEvery || ctx.Err() != nil) {
			committed = time.Now()
			if err := c.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		c.AllowRebalance()
	}
	return c.CommitUncommittedOffsets(context.WithoutCancel(ctx)) // a no-op if everything is committed
}

func (franz) leaders(ctx context.Context, t target, topic string, refreshes int, seen func(string)) error {
	c, err := kgo.NewClient(franzOptions(t)...)
	if err != nil {
		return err
	}
	defer c.Close()
	for range refreshes {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, rt)
		r, err := req.RequestWith(ctx, c) // goes to the next broker
		if err != nil {
			return err
		}
		at := map[int32]string{}
		for _, b := range r.Brokers {
			at[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		}
		for _, p := range r.Topics[0].Partitions {
			seen(at[p.Leader])
		}
		c.ForceMetadataRefresh()
	}
	return nil
}
