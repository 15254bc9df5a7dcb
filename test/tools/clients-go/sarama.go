package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// saramaFamily is github.com/IBM/sarama.
type saramaFamily struct{}

func saramaConfig(t target) *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V4_1_0_0
	c.ClientID, c.RackID = t.ClientID, t.Rack
	c.Net.DialTimeout = 2 * time.Second
	c.Metadata.Retry.Max, c.Metadata.Retry.Backoff = 100, 100*time.Millisecond
	return c
}

func (saramaFamily) create(_ context.Context, t target, topic string, partitions int) error {
	admin, err := sarama.NewClusterAdmin(t.Bootstrap, saramaConfig(t))
	if err != nil {
		return err
	}
	return errors.Join(admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: int32(partitions), ReplicationFactor: -1}, false), admin.Close())
}

type saramaProducer struct {
	p     sarama.AsyncProducer
	topic string
	done  chan struct{}
}

func (saramaFamily) producer(t target, o produceOptions) (producer, error) {
	c := saramaConfig(t)
	c.Producer.RequiredAcks, c.Producer.Idempotent, c.Net.MaxOpenRequests = sarama.WaitForAll, true, 1
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	c.Producer.Flush.Frequency = o.linger
	// Never give up: the outcome of a record that Sarama gives up is unknown.
	c.Producer.Retry.Max, c.Producer.Retry.Backoff = 10_000, 50*time.Millisecond
	if err := c.Producer.Compression.UnmarshalText([]byte(o.compression)); err != nil {
		return nil, err
	}
	p, err := sarama.NewAsyncProducer(t.Bootstrap, c)
	if err != nil {
		return nil, err
	}
	s := &saramaProducer{p: p, topic: o.topic, done: make(chan struct{})}
	go s.answers()
	return s, nil
}

func (s *saramaProducer) answers() {
	defer close(s.done)
	ok, bad := s.p.Successes(), s.p.Errors()
	for ok != nil || bad != nil {
		select {
		case m, more := <-ok:
			if !more {
				ok = nil
				continue
			}
			m.Metadata.(func(int64, error))(m.Offset, nil)
		case e, more := <-bad:
			if !more {
				bad = nil
				continue
			}
			e.Msg.Metadata.(func(int64, error))(0, e.Err)
		}
	}
}

func (s *saramaProducer) send(partition int32, value []byte, done func(int64, error)) {
	s.p.Input() <- &sarama.ProducerMessage{Topic: s.topic, Partition: partition, Value: sarama.ByteEncoder(value), Metadata: done}
}

func (s *saramaProducer) close() {
	s.p.AsyncClose()
	<-s.done
}

type saramaMember struct {
	seen func(record)
}

// Setup implements sarama.ConsumerGroupHandler.
func (saramaMember) Setup(sarama.ConsumerGroupSession) error { return nil }

// Cleanup implements sarama.ConsumerGroupHandler.
func (saramaMember) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (m saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case msg, more := <-claim.Messages():
			if !more {
				return nil
			}
			m.seen(record{msg.Partition, msg.Offset, msg.Value})
			s.MarkMessage(msg, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (saramaFamily) group(ctx context.Context, t target, o consumeOptions, seen func(record)) error {
	c := saramaConfig(t)
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	g, err := sarama.NewConsumerGroup(t.Bootstrap, o.group, c)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{o.topic}, saramaMember{seen}); err != nil && ctx.Err() == nil {
			return errors.Join(err, g.Close())
		}
	}
	return g.Close()
}

func (saramaFamily) leaders(_ context.Context, t target, topic string, refreshes int, seen func(string)) error {
	c, err := sarama.NewClient(t.Bootstrap, saramaConfig(t))
	if err != nil {
		return err
	}
	defer c.Close()
	for range refreshes {
		if err := c.RefreshMetadata(topic); err != nil {
			return err
		}
		partitions, err := c.Partitions(topic)
		if err != nil {
			return err
		}
		for _, p := range partitions {
			b, err := c.Leader(topic, p)
			if err != nil {
				return fmt.Errorf("leader of partition %d: %w", p, err)
			}
			seen(b.Addr())
		}
	}
	return nil
}
