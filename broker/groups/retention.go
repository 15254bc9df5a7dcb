package groups

import (
	"context"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Positions are forgotten when nobody needed them for OffsetRetention: from
// when the group's last member left, or the position's own commit where that
// was later or the group never had members; of a group with members, those of
// topics that none of them subscribes to. A group without members and without
// positions goes when it is looked at, as at Kafka: also where they were
// deleted, with their topic or with a transaction. The time is the state's; the holder of the slot looks and
// writes, and apply leaves what was renewed meanwhile.
const (
	expireEvery = 10 * time.Minute // offsets.retention.check.interval.ms
	expireAtMax = 4_000            // positions in one command: some 80 KiB
)

// expireLoop looks at the groups of the slots held until the coordinator is
// closed. The phase spreads brokers.
func (c *Coordinator) expireLoop(phase time.Duration) {
	timer := time.NewTimer(phase)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			c.expire(c.life)
			timer.Reset(expireEvery)
		case <-c.life.Done():
			return
		}
	}
}

// expire forgets what is due in the slots that this broker holds.
func (c *Coordinator) expire(ctx context.Context) {
	for _, name := range c.heldGroups() {
		if ctx.Err() != nil {
			return
		}
		if _, due := c.expired(name, nil); due {
			c.expireGroup(ctx, name)
		}
	}
}

// heldGroups returns the stored groups of the slots held, sorted.
func (c *Coordinator) heldGroups() (out []string) {
	var held [metadata.GroupSlots]bool
	c.mu.Lock()
	for slot, h := range c.holds {
		held[slot] = h != nil && h.ready
	}
	c.mu.Unlock()
	if !slices.Contains(held[:], true) {
		return nil
	}
	c.cfg.Replica.View(func(s *metadata.State) { out = s.Groups() })
	return slices.DeleteFunc(out, func(name string) bool { return !held[metadata.GroupSlot(name)] })
}

// expiry is what is due of a group.
type expiry struct {
	before metadata.UnixMilli
	list   []metadata.TopicPartition
}

// expired returns what is due of a group now. Without subscribed it looks only
// whether there may be something: for the few groups where there is, the
// group's goroutine is asked.
func (c *Coordinator) expired(name string, subscribed func(topic string) bool) (e expiry, due bool) {
	c.cfg.Replica.View(func(s *metadata.State) {
		v, known := s.Group(name)
		e.before = s.Time() - metadata.UnixMilli(c.cfg.OffsetRetention/time.Millisecond)
		if !known || e.before <= 0 {
			return
		}
		members := v.Group != nil && len(v.Group.Members) > 0 || v.Consumer != nil && v.Consumer.Members > 0
		due = !members && len(v.Offsets) == 0
		if !members && v.EmptySince > e.before {
			return
		}
		for tp, o := range v.Offsets {
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
			e.list = append(e.list, tp)
		}
	})
	slices.SortFunc(e.list, comparePlaces)
	return e, due
}

// expireGroup forgets what is due of one group, in its turn among the group's
// own writes.
func (c *Coordinator) expireGroup(ctx context.Context, name string) {
	g, code := c.group(name, true)
	if code != codeOK {
		return
	}
	defer c.unref(g)
	count := 0
	for more := true; more; {
		more = false
		code := c.guarded(ctx, g, func() (metadata.Command, int16) {
			subscribed := func(string) bool { return false }
			switch {
			case g.k != nil:
				subscribed = g.subscribed()
			case g.m.state == stateStable && g.m.protocolType == protocolTypeConsumer:
				subscribed = g.subscribed()
			case g.m.state != stateEmpty:
				return nil, codeOK // a rebalance is under way, or members that are no consumers: their topics are not known
			}
			e, due := c.expired(name, subscribed)
			if !due || len(e.list) == 0 && !g.empty() {
				return nil, codeOK
			}
			if more = len(e.list) > expireAtMax; more {
				e.list = e.list[:expireAtMax]
			}
			count += len(e.list)
			return metadata.ExpireOffsets{Group: name, Epoch: g.hold.epoch, Before: e.before, Partitions: e.list}, codeOK
		}, func(code int16) {
			known := true
			c.cfg.Replica.View(func(s *metadata.State) { _, known = s.Group(name) })
			if code == codeOK && !known && g.empty() {
				g.m, g.k = newMachine(g.name, c.limits), nil
			}
		})
		more = more && code == codeOK
	}
	if count > 0 {
		c.cfg.Log.Info("group positions expired", "group", name, "positions", count)
	}
}
