package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"sync"

	"github.com/IBM/sarama"
)

// saramaFamily is github.com/IBM/sarama.
type saramaFamily struct{}

func (saramaFamily) module() string { return "github.com/IBM/sarama" }

func (saramaFamily) config(o options) (*sarama.Config, error) {
	c := sarama.NewConfig()
	c.ClientID = o.ClientID
	if o.Version != "" {
		v, err := sarama.ParseKafkaVersion(o.Version)
		if err != nil {
			return nil, err
		}
		c.Version = v
	}
	return c, nil
}

func (f saramaFamily) create(_ context.Context, o options) error {
	c, err := f.config(o)
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdmin([]string{o.Bootstrap}, c)
	if err != nil {
		return err
	}
	// The broker's default (-1) needs newer versions; 1 works with all.
	return errors.Join(admin.CreateTopic(o.Topic, &sarama.TopicDetail{NumPartitions: int32(o.Partitions), ReplicationFactor: 1}, false), admin.Close())
}

func (f saramaFamily) send(_ context.Context, o options, m mode, orders <-chan order, done answered) error {
	c, err := f.config(o)
	if err != nil {
		return err
	}
	c.Producer.RequiredAcks = sarama.WaitForAll
	if m.idempotent {
		c.Producer.Idempotent, c.Net.MaxOpenRequests = true, 1
	}
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Return.Successes, c.Producer.Return.Errors = true, true
	if err := c.Producer.Compression.UnmarshalText([]byte(m.codec)); err != nil {
		return err
	}
	sarama.Logger = log.New(os.Stderr, "sarama: ", log.Lmicroseconds) // shown after a failure: why it sent a batch again
	p, err := sarama.NewAsyncProducer([]string{o.Bootstrap}, c)
	if err != nil {
		return err
	}
	// Sarama does not retry after AsyncClose was called, and it sometimes sends before its own connection is open: so all records must be answered first.
	var wg, answers sync.WaitGroup
	wg.Go(func() {
		for ok := range p.Successes() {
			done(ok.Metadata.(int), ok.Partition, ok.Offset, nil)
			answers.Done()
		}
	})
	wg.Go(func() {
		for bad := range p.Errors() {
			done(bad.Msg.Metadata.(int), bad.Msg.Partition, -1, bad.Err)
			answers.Done()
		}
	})
	for one := range orders {
		message := &sarama.ProducerMessage{Topic: o.Topic, Partition: one.Partition, Value: sarama.ByteEncoder(one.Value), Metadata: one.I}
		if one.Key != nil {
			message.Key = sarama.ByteEncoder(one.Key)
		}
		for _, h := range one.Headers {
			message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(h.Name), Value: h.Value})
		}
		answers.Add(1)
		p.Input() <- message
	}
	answers.Wait()
	p.AsyncClose()
	wg.Wait()
	return nil
}

type saramaMember struct{ topic string }

// Setup implements sarama.ConsumerGroupHandler.
func (m saramaMember) Setup(s sarama.ConsumerGroupSession) error {
	have := slices.Clone(s.Claims()[m.topic])
	slices.Sort(have)
	emitAssigned(have)
	return nil
}

// Cleanup implements sarama.ConsumerGroupHandler.
func (saramaMember) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	emitAssigned(nil)
	return nil
}

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (saramaMember) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case <-s.Context().Done():
			return nil
		case m, more := <-claim.Messages():
			if !more {
				return nil
			}
			line := read{Partition: m.Partition, Offset: m.Offset, Key: m.Key, Value: m.Value, Headers: []header{}}
			for _, h := range m.Headers {
				line.Headers = append(line.Headers, header{string(h.Key), h.Value})
			}
			emit(line)
			s.MarkMessage(m, "")
		}
	}
}

func (f saramaFamily) consume(ctx context.Context, o options) error {
	c, err := f.config(o)
	if err != nil {
		return err
	}
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	g, err := sarama.NewConsumerGroup([]string{o.Bootstrap}, o.Group, c)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{o.Topic}, saramaMember{o.Topic}); err != nil && ctx.Err() == nil {
			return errors.Join(err, g.Close())
		}
	}
	return g.Close()
}

func (f saramaFamily) leaders(_ context.Context, o options, seen func(map[int32]string, []string)) error {
	c, err := f.config(o)
	if err != nil {
		return err
	}
	client, err := sarama.NewClient([]string{o.Bootstrap}, c)
	if err != nil {
		return err
	}
	defer client.Close()
	for range o.Refreshes {
		if err := client.RefreshMetadata(o.Topic); err != nil {
			return err
		}
		partitions, err := client.Partitions(o.Topic)
		if err != nil {
			return err
		}
		leaders := map[int32]string{}
		for _, p := range partitions {
			b, err := client.Leader(o.Topic, p)
			if err != nil {
				return fmt.Errorf("leader of partition %d: %w", p, err)
			}
			leaders[p] = b.Addr()
		}
		var brokers []string
		for _, b := range client.Brokers() {
			brokers = append(brokers, b.Addr())
		}
		seen(leaders, brokers)
	}
	return nil
}
