package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz is github.com/twmb/franz-go with its default settings.
type franz struct{}

func (franz) module() string { return "github.com/twmb/franz-go" }

func (franz) client(o options, more ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.Bootstrap), kgo.ClientID(o.ClientID)}, more...)...)
}

func (f franz) create(ctx context.Context, o options) error {
	c, err := f.client(o)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = kadm.NewClient(c).CreateTopic(ctx, int32(o.Partitions), -1, nil, o.Topic)
	return err
}

func (f franz) send(ctx context.Context, o options, m mode, orders <-chan order, done answered) error {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[m.codec]
	if !ok {
		return fmt.Errorf("codec %q", m.codec)
	}
	opts := []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(codec), kgo.RequiredAcks(kgo.AllISRAcks())}
	if !m.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	c, err := f.client(o, opts...)
	if err != nil {
		return err
	}
	defer c.Close()
	for one := range orders {
		r := &kgo.Record{Topic: o.Topic, Partition: one.Partition, Key: one.Key, Value: one.Value}
		for _, h := range one.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Name, Value: h.Value})
		}
		c.Produce(ctx, r, func(r *kgo.Record, err error) {
			done(one.I, r.Partition, r.Offset, err)
		})
	}
	return c.Flush(ctx)
}

// franzAssigned stores a member's partitions: cooperative rebalances report changes only.
type franzAssigned struct {
	mu   sync.Mutex
	have map[int32]bool
}

func (a *franzAssigned) change(has bool) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, partitions := range changed {
			for _, p := range partitions {
				if has {
					a.have[p] = true
				} else {
					delete(a.have, p)
				}
			}
		}
		var all []int32
		for p := range a.have {
			all = append(all, p)
		}
		slices.Sort(all)
		emitAssigned(all)
	}
}

func (f franz) consume(ctx context.Context, o options) error {
	a := &franzAssigned{have: map[int32]bool{}}
	more := []kgo.Opt{kgo.ConsumeTopics(o.Topic), kgo.ConsumerGroup(o.Group), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.OnPartitionsAssigned(a.change(true)), kgo.OnPartitionsRevoked(a.change(false)),
		kgo.OnPartitionsLost(a.change(false))}
	if o.Protocol == "consumer" {
		more = append(more, kgo.ServerSideBalancer())
	}
	c, err := f.client(o, more...)
	if err != nil {
		return err
	}
	defer c.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fetches := c.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.Canceled) {
				return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			line := read{Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value, Headers: []header{}}
			for _, h := range r.Headers {
				line.Headers = append(line.Headers, header{h.Key, h.Value})
			}
			emit(line)
		})
		if fetches.NumRecords() > 0 {
			if err := c.CommitUncommittedOffsets(context.WithoutCancel(ctx)); err != nil {
				return fmt.Errorf("commit: %w", err)
			}
		}
		c.AllowRebalance()
	}
	return nil
}

func (f franz) leaders(ctx context.Context, o options, seen func(map[int32]string, []string)) error {
	c, err := f.client(o)
	if err != nil {
		return err
	}
	defer c.Close()
	for range o.Refreshes {
		req := kmsg.NewPtrMetadataRequest()
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = kmsg.StringPtr(o.Topic)
		req.Topics = append(req.Topics, rt)
		r, err := req.RequestWith(ctx, c) // uses one broker after the other
		if err != nil {
			return err
		}
		at, leaders := map[int32]string{}, map[int32]string{}
		var brokers []string
		for _, b := range r.Brokers {
			at[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			brokers = append(brokers, at[b.NodeID])
		}
		for _, p := range r.Topics[0].Partitions {
			leaders[p.Partition] = at[p.Leader]
		}
		seen(leaders, brokers)
	}
	return nil
}
