package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

// kafkaGo is github.com/segmentio/kafka-go. It has no idempotent producer.
type kafkaGo struct{}

func kafkaGoTransport(t target) *kafka.Transport {
	return &kafka.Transport{ClientID: t.ClientID, DialTimeout: 2 * time.Second}
}

func (kafkaGo) create(ctx context.Context, t target, topic string, partitions int) error {
	tr := kafkaGoTransport(t)
	defer tr.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(t.Bootstrap...), Transport: tr, Timeout: 30 * time.Second}
	r, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: partitions, ReplicationFactor: -1}}})
	if err != nil {
		return err
	}
	return r.Errors[topic]
}

// pinned sends a message to the partition in its WriterData.
type pinned struct{}

// Balance implements kafka.Balancer.
func (pinned) Balance(m kafka.Message, _ ...int) int { return int(m.WriterData.(sent).partition) }

type sent struct {
	partition int32
	done      func(int64, error)
}

type kafkaGoProducer struct{ w *kafka.Writer }

func (kafkaGo) producer(t target, o produceOptions) (producer, error) {
	codecs := map[string]kafka.Compression{"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
	codec, ok := codecs[o.compression]
	if !ok {
		return nil, fmt.Errorf("compression %q", o.compression)
	}
	w := &kafka.Writer{Addr: kafka.TCP(t.Bootstrap...), Topic: o.topic, Balancer: pinned{}, RequiredAcks: kafka.RequireAll, Compression: codec,
		BatchTimeout: max(o.linger, time.Millisecond), MaxAttempts: 100, Async: true, Transport: kafkaGoTransport(t), AllowAutoTopicCreation: true}
	w.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			m.WriterData.(sent).done(m.Offset, err)
		}
	}
	return kafkaGoProducer{w}, nil
}

func (p kafkaGoProducer) send(partition int32, value []byte, done func(int64, error)) {
	if err := p.w.WriteMessages(context.Background(), kafka.Message{Value: value, WriterData: sent{partition, done}}); err != nil {
		done(0, err) // not accepted: Completion is not called
	}
}

func (p kafkaGoProducer) close() { _ = p.w.Close() } // each record has its result

func (kafkaGo) group(ctx context.Context, t target, o consumeOptions, seen func(record)) error {
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: t.Bootstrap, Topic: o.topic, GroupID: o.group, StartOffset: kafka.FirstOffset,
		MaxWait: 500 * time.Millisecond, Dialer: &kafka.Dialer{ClientID: t.ClientID, Timeout: 2 * time.Second}})
	for ctx.Err() == nil {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return errors.Join(err, r.Close())
		}
		seen(record{int32(m.Partition), m.Offset, m.Value})
		if err := r.CommitMessages(context.WithoutCancel(ctx), m); err != nil {
			return errors.Join(fmt.Errorf("commit: %w", err), r.Close())
		}
	}
	return r.Close()
}

func (kafkaGo) leaders(ctx context.Context, t target, topic string, refreshes int, seen func(string)) error {
	tr := kafkaGoTransport(t)
	defer tr.CloseIdleConnections()
	c := &kafka.Client{Addr: kafka.TCP(t.Bootstrap...), Transport: tr, Timeout: 10 * time.Second}
	for range refreshes {
		r, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{topic}})
		if err != nil {
			return err
		}
		for _, p := range r.Topics[0].Partitions {
			seen(net.JoinHostPort(p.Leader.Host, strconv.Itoa(p.Leader.Port)))
		}
	}
	return nil
}
