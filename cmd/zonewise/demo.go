package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/internal/node"
)

// demoTopics and the records per second that each zone sends to them.
func demoTopics() []struct {
	name  string
	rate  int
	bytes int
} {
	return []struct {
		name  string
		rate  int
		bytes int
	}{{"orders", 40, 600}, {"clicks", 120, 250}, {"audit", 5, 2000}}
}

// startDemo runs sample traffic until the returned function is called: in every
// zone a producer and a group of consumers, and one client without evidence of
// its zone.
func startDemo(ctx context.Context, o *devOptions, logger *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range o.zones {
		bootstrap := fmt.Sprintf("127.0.0.1:%d", devPort(o.kafkaPort, i, i))
		zone := string(devZone(i))
		wg.Go(func() { demoSender{bootstrap, "demo-producer-" + zone, zone, 1, logger}.run(ctx) })
		wg.Go(func() { demoConsume(ctx, bootstrap, "demo-"+zone, logger) })
	}
	nowhere := fmt.Sprintf("127.0.0.1:%d", devPort(o.kafkaPort, 0, node.NoZone))
	wg.Go(func() { demoSender{nowhere, "demo-stray", "nowhere", 4, logger}.run(ctx) })
	return func() {
		cancel()
		wg.Wait()
	}
}

// demoSender is one producer of the demo.
type demoSender struct {
	bootstrap string
	id        string // client.id
	from      string // in its records
	share     int    // it sends each topic its rate divided by this
	logger    *slog.Logger
}

func (d demoSender) run(ctx context.Context) {
	c, err := kgo.NewClient(kgo.SeedBrokers(d.bootstrap), kgo.ClientID(d.id), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(20), kgo.RecordDeliveryTimeout(30*time.Second))
	if err != nil {
		d.logger.Error("start demo", "client", d.id, "err", err)
		return
	}
	defer c.Close()
	const beat = 100 * time.Millisecond
	source := rand.New(rand.NewPCG(1, uint64(len(d.id))))
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	due := make([]float64, len(demoTopics()))
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for i, t := range demoTopics() {
			due[i] += float64(t.rate) / float64(d.share) * beat.Seconds()
			for ; due[i] >= 1; due[i]-- {
				c.Produce(ctx, demoRecord(source, t.name, d.from, t.bytes), func(_ *kgo.Record, err error) {
					if err != nil && ctx.Err() == nil {
						d.logger.Warn("demo produce", "client", d.id, "err", err)
					}
				})
			}
		}
	}
}

// demoRecord is a line of text that compresses about as well as such lines do.
func demoRecord(source *rand.Rand, topic, from string, bytes int) *kgo.Record {
	body := fmt.Appendf(nil, `{"topic":%q,"from":%q,"customer":%d,"items":[`, topic, from, source.IntN(10_000))
	for len(body) < bytes {
		body = fmt.Appendf(body, `{"sku":"%08x","quantity":%d},`, source.Uint32(), 1+source.IntN(9))
	}
	return &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "customer-%d", source.IntN(500)), Value: append(body, "{}]}"...)}
}

func demoConsume(ctx context.Context, bootstrap, group string, logger *slog.Logger) {
	var topics []string
	for _, t := range demoTopics() {
		topics = append(topics, t.name)
	}
	c, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ClientID(group), kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		logger.Error("start demo", "group", group, "err", err)
		return
	}
	defer c.Close()
	for ctx.Err() == nil {
		c.PollFetches(ctx).EachError(func(topic string, p int32, err error) {
			if ctx.Err() == nil {
				logger.Warn("demo consume", "group", group, "topic", topic, "partition", p, "err", err)
			}
		})
	}
}
