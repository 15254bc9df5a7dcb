package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
)

// kafkaGo is github.com/segmentio/kafka-go. It has no idempotent producer.
type kafkaGo struct{}

func (kafkaGo) module() string { return "github.com/segmentio/kafka-go" }

func (kafkaGo) client(o options) (*kafka.Client, *kafka.Transport) {
	tr := &kafka.Transport{ClientID: o.ClientID}
	return &kafka.Client{Addr: kafka.TCP(o.Bootstrap), Transport: tr, Timeout: 30 * time.Second}, tr
}

func (f kafkaGo) create(ctx context.Context, o options) error {
	c, tr := f.client(o)
	defer tr.CloseIdleConnections()
	r, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: o.Topic, NumPartitions: o.Partitions, ReplicationFactor: 1}}})
	if err != nil {
		return err
	}
	return r.Errors[o.Topic]
}

// pinned sends a message to the partition of the order in its WriterData.
type pinned struct{}

// Balance implements kafka.Balancer.
func (pinned) Balance(m kafka.Message, _ ...int) int { return int(m.WriterData.(order).Partition) }

func (f kafkaGo) send(ctx context.Context, o options, m mode, orders <-chan order, done answered) error {
	if m.idempotent {
		return errors.New("kafka-go has no idempotent producer")
	}
	codecs := map[string]kafka.Compression{"none": compress.None, "gzip": compress.Gzip, "snappy": compress.Snappy, "lz4": compress.Lz4, "zstd": compress.Zstd}
	codec, ok := codecs[m.codec]
	if !ok {
		return fmt.Errorf("codec %q", m.codec)
	}
	_, tr := f.client(o)
	defer tr.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(o.Bootstrap), Topic: o.Topic, Balancer: pinned{}, RequiredAcks: kafka.RequireAll, Compression: codec,
		BatchTimeout: 10 * time.Millisecond, Transport: tr, Async: true}
	w.Completion = func(messages []kafka.Message, err error) {
		for _, m := range messages {
			done(m.WriterData.(order).I, int32(m.Partition), m.Offset, err)
		}
	}
	for one := range orders {
		message := kafka.Message{Key: one.Key, Value: one.Value, WriterData: one}
		for _, h := range one.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: h.Name, Value: h.Value})
		}
		// An error of an asynchronous write is one of the metadata, before there is a
		// batch that is passed to Completion.
		if err := w.WriteMessages(ctx, message); err != nil {
			done(one.I, one.Partition, -1, err)
		}
	}
	return w.Close()
}

// assignedLine matches what the reader logs when it has joined; it has no function
// that returns its partitions.
var assignedLine = regexp.MustCompile(`partition:(\d+)|Partition:(\d+)|\{\S+ (\d+)\}:`)

func (f kafkaGo) consume(ctx context.Context, o options) error {
	logger := kafka.LoggerFunc(func(format string, args ...any) {
		if format != "subscribed to topics and partitions: %+v" {
			return
		}
		var have []int32
		for _, m := range assignedLine.FindAllStringSubmatch(fmt.Sprintf(format, args...), -1) {
			p, err := strconv.Atoi(m[1] + m[2] + m[3])
			if err != nil {
				panic(err) // the pattern has digits only
			}
			have = append(have, int32(p))
		}
		emitAssigned(have)
	})
	r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{o.Bootstrap}, Topic: o.Topic, GroupID: o.Group, StartOffset: kafka.FirstOffset,
		MaxWait: 500 * time.Millisecond, Dialer: &kafka.Dialer{ClientID: o.ClientID, Timeout: 10 * time.Second}, Logger: logger})
	for ctx.Err() == nil {
		m, err := r.FetchMessage(ctx)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return errors.Join(err, r.Close())
		}
		line := read{Partition: int32(m.Partition), Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: []header{}}
		for _, h := range m.Headers {
			line.Headers = append(line.Headers, header{h.Key, h.Value})
		}
		emit(line)
		if err := r.CommitMessages(context.WithoutCancel(ctx), m); err != nil {
			return errors.Join(fmt.Errorf("commit: %w", err), r.Close())
		}
	}
	return r.Close()
}

func (f kafkaGo) leaders(ctx context.Context, o options, seen func(map[int32]string, []string)) error {
	c, tr := f.client(o)
	defer tr.CloseIdleConnections()
	at := func(b kafka.Broker) string { return net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) }
	for range o.Refreshes {
		r, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{o.Topic}})
		if err != nil {
			return err
		}
		leaders := map[int32]string{}
		for _, p := range r.Topics[0].Partitions {
			leaders[int32(p.ID)] = at(p.Leader)
		}
		var brokers []string
		for _, b := range r.Brokers {
			brokers = append(brokers, at(b))
		}
		seen(leaders, brokers)
	}
	return nil
}
