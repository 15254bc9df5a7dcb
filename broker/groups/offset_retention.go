package groups

import (
	"context"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Offsets expire when they were not needed for OffsetRetention: since the group's
// last member left, or since the offset's own commit if that was later or the
// group never had members. In a group with members the offsets of topics expire
// that no member subscribes to. A group without members and offsets is deleted at
// the next check, as in Kafka, also if its offsets were deleted with their topic
// or transaction. The time is the state's. The slot's owner checks and writes;
// apply keeps offsets that were committed again meanwhile.
const (
	expireInterval      = 10 * time.Minute // offsets.retention.check.interval.ms
	maxOffsetsPerExpire = 4_000            // offsets in one command: about 80 KiB
)

// expireLoop checks the groups of the owned slots until the coordinator is
// closed. The phase spreads the brokers' checks over time.
func (c *Coordinator) expireLoop(phase time.Duration) {
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			c.expireOffsets(c.ctx)
			timer.Reset(expireInterval)
		case <-c.ctx.Done():
			return
		}
	}
}

// expireOffsets expires offsets in the slots that this broker owns.
func (c *Coordinator) expireOffsets(ctx context.Context) {
	for _, name := range c.listOwnedGroups() {
		if ctx.Err() != nil {
			return
		}
		if _, due := c.findExpired(name, nil); due {
			c.expireGroupOffsets(ctx, name)
		}
	}
}

// listOwnedGroups returns the written groups of the owned slots, sorted.
func (c *Coordinator) listOwnedGroups() (out []string) {
	var owned [metadata.GroupSlots]bool
	c.mu.Lock()
	for slot, h := range c.ownedSlots {
		owned[slot] = h != nil && h.ready
	}
	c.mu.Unlock()
	if !slices.Contains(owned[:], true) {
		return nil
	}
	c.cfg.Replica.View(func(s *metadata.State) { out = s.Groups() })
	return slices.DeleteFunc(out, func(name string) bool { return !owned[metadata.GroupSlot(name)] })
}

// expiredOffsets are the offsets of a group that expire.
type expiredOffsets struct {
	before     metadata.UnixMilli
	partitions []metadata.TopicPartition
}

// findExpired returns a group's offsets that expire now. Without subscribed it
// only checks whether there may be some: the group's goroutine is needed only
// for the few groups that have some.
func (c *Coordinator) findExpired(name string, subscribed func(topic string) bool) (e expiredOffsets, due bool) {
	c.cfg.Replica.View(func(s *metadata.State) {
		v, known := s.Group(name)
		e.before = s.Time() - metadata.UnixMilli(c.cfg.OffsetRetention/time.Millisecond)
		if !known || e.before <= 0 {
			return
		}
		members := v.Group != nil && len(v.Group.Members) > 0 || v.Consumer != nil && v.Consumer.Members > 0
		due = !members && v.Offsets.Len() == 0
		if !members && v.EmptySince > e.before {
			return
		}
		for tp, o := range v.Offsets.All() {
			if o.Time > e.before {
				continue
			}
			if members && subscribed != nil {
				if topic, ok := s.Topic(tp.Topic); ok && subscribed(topic.Name) {
					continue
				}
			}
			due = true
			if subscribed == nil {
				return
			}
			e.partitions = append(e.partitions, tp)
		}
	})
	slices.SortFunc(e.partitions, comparePartitions)
	return e, due
}

// expireGroupOffsets expires one group's offsets, in order with the group's own
// writes.
func (c *Coordinator) expireGroupOffsets(ctx context.Context, name string) {
	g, code := c.acquireGroup(name, true)
	if code != noError {
		return
	}
	defer c.releaseGroup(g)
	count := 0
	for more := true; more; {
		more = false
		code := c.writeGuarded(ctx, g, func() (metadata.Command, int16) {
			subscribed := func(string) bool { return false }
			switch {
			case g.consumer != nil:
				subscribed = g.newSubscriptionCheck()
			case g.classic.state == stateStable && g.classic.protocolType == protocolTypeConsumer:
				subscribed = g.newSubscriptionCheck()
			case g.classic.state != stateEmpty:
				return nil, noError // the group rebalances, or its members are not consumers: their topics are unknown
			}
			e, due := c.findExpired(name, subscribed)
			if !due || len(e.partitions) == 0 && !g.isEmpty() {
				return nil, noError
			}
			if more = len(e.partitions) > maxOffsetsPerExpire; more {
				e.partitions = e.partitions[:maxOffsetsPerExpire]
			}
			count += len(e.partitions)
			return metadata.ExpireOffsets{Group: name, Epoch: g.slot.epoch, Before: e.before, Partitions: e.partitions}, noError
		}, func(code int16) {
			known := true
			c.cfg.Replica.View(func(s *metadata.State) { _, known = s.Group(name) })
			if code == noError && !known && g.isEmpty() {
				g.classic, g.consumer = newClassicGroup(g.name, c.limits), nil
			}
		})
		more = more && code == noError
	}
	if count > 0 {
		c.cfg.Log.Info("group offsets expired", "group", name, "offsets", count)
	}
}
