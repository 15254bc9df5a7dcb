package main

import (
	"time"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
)

// defaultOffsetsPartitions is Kafka's offsets.topic.num.partitions.
const defaultOffsetsPartitions = 50

// groupOptions are Kafka's broker settings of groups, with Kafka's defaults.
// Zero values in tests mean the default.
type groupOptions struct {
	minSession, maxSession     time.Duration
	consumerSession, heartbeat time.Duration
	size, consumers            int
	offsetsRetention           time.Duration
	offsetsPartitions          int
}

func (o *groupOptions) declareGroups(s *cli.Set) {
	def := groups.DefaultConfig()
	s.Duration(&o.minSession, "group-min-session-timeout", def.MinSessionTimeout, "the shortest session timeout that a member may ask for")
	s.Duration(&o.maxSession, "group-max-session-timeout", def.MaxSessionTimeout, "the longest")
	s.Int(&o.size, "group-max-size", def.MaxGroupSize, "MEMBERS", "of a group of the classic protocol")
	s.Duration(&o.consumerSession, "group-consumer-session-timeout", def.ConsumerSessionTimeout, "after what silence a member of the consumer protocol (KIP-848) is out; a group's own config goes before")
	s.Duration(&o.heartbeat, "group-consumer-heartbeat-interval", def.ConsumerHeartbeatInterval, "how often such a member is told to report; a group's own config goes before")
	s.Int(&o.consumers, "group-consumer-max-size", def.MaxConsumers, "MEMBERS", "of a group of the consumer protocol")
	s.Duration(&o.offsetsRetention, "offsets-retention", def.OffsetRetention, "how long positions outlive a group's last member, or the last commit of a group without any")
	s.Int(&o.offsetsPartitions, "offsets-topic-partitions", defaultOffsetsPartitions, "COUNT", "partitions that __consumer_offsets is shown with; positions are in the log, it holds nothing")
}

func (o *groupOptions) toConfig() groups.Config {
	return groups.Config{MinSessionTimeout: o.minSession, MaxSessionTimeout: o.maxSession, MaxGroupSize: o.size, MaxConsumers: o.consumers,
		ConsumerSessionTimeout: o.consumerSession, ConsumerHeartbeatInterval: o.heartbeat, OffsetRetention: o.offsetsRetention}
}

func (o *groupOptions) validate() error {
	c, def := o.toConfig().WithDefaults(), groups.DefaultConfig()
	switch {
	case c.MinSessionTimeout < time.Millisecond || c.MinSessionTimeout > c.MaxSessionTimeout:
		return cli.Usagef("--group-min-session-timeout %v: want 1ms to --group-max-session-timeout, %v", c.MinSessionTimeout, c.MaxSessionTimeout)
	case c.MaxSessionTimeout > 24*time.Hour:
		return cli.Usagef("--group-max-session-timeout %v: want at most 24h", c.MaxSessionTimeout)
	case c.ConsumerHeartbeatInterval < 50*time.Millisecond || c.ConsumerHeartbeatInterval >= c.ConsumerSessionTimeout:
		return cli.Usagef("--group-consumer-heartbeat-interval %v: want 50ms to below --group-consumer-session-timeout, %v", c.ConsumerHeartbeatInterval, c.ConsumerSessionTimeout)
	case c.ConsumerSessionTimeout > time.Hour:
		return cli.Usagef("--group-consumer-session-timeout %v: want at most 1h", c.ConsumerSessionTimeout)
	case c.MaxGroupSize < 1 || c.MaxGroupSize > def.MaxGroupSize:
		return cli.Usagef("--group-max-size %d: want 1 to %d", c.MaxGroupSize, def.MaxGroupSize)
	case c.MaxConsumers < 1 || c.MaxConsumers > def.MaxConsumers:
		return cli.Usagef("--group-consumer-max-size %d: want 1 to %d", c.MaxConsumers, def.MaxConsumers)
	case o.offsetsPartitions < 0 || o.offsetsPartitions > metadata.MaxPartitionsPerTopic:
		return cli.Usagef("--offsets-topic-partitions %d: want 1 to %d", o.offsetsPartitions, metadata.MaxPartitionsPerTopic)
	case c.OffsetRetention < time.Minute:
		return cli.Usagef("--offsets-retention %v: want 1m or more", c.OffsetRetention)
	}
	return nil
}
