package sim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Errors of the consumer protocol (KIP-848).
const (
	errFencedMemberEpoch = 110
	errStaleMemberEpoch  = 113
)

// consumer is one member of a group of the consumer protocol: it beats, gives
// up what it is told to before it takes more, goes on from committed offsets,
// commits, and leaves now and then.
type consumer struct {
	client
	group string
	topic string
	id    string
	epoch int32 // 0: it has to join
	found bool
	beats int

	topicID [16]byte
	has     map[int32]*holding
}

// holding is a partition that the coordinator has said is this member's.
type holding struct {
	offset int64
	since  time.Time // the answer that gave it
	until  time.Time // the last beat that said so and was answered began
	beaten bool
}

func (c *consumer) run(ctx context.Context) {
	defer c.drop()
	c.has = map[int32]*holding{}
	for ctx.Err() == nil {
		err := c.life(ctx)
		var refused groupError
		switch {
		case errors.As(err, &refused) && (refused.code == errUnknownMember || refused.code == errFencedMemberEpoch):
			c.forget()
		case errors.As(err, &refused) && refused.code == errStaleMemberEpoch: // the next beat tells the epoch
		default:
			c.found = false
			c.drop()
			c.next++
		}
		if c.pause(ctx) != nil {
			break
		}
	}
	c.letGo(func(int32) bool { return true })
}

// forget begins anew: what it had is somebody else's.
func (c *consumer) forget() {
	c.letGo(func(int32) bool { return true })
	c.epoch = 0
}

// life goes on until an error.
func (c *consumer) life(ctx context.Context) error {
	if !c.found {
		if err := c.findCoordinator(ctx, c.group); err != nil {
			return err
		}
		c.found = true
	}
	for {
		if err := c.beat(ctx); err != nil {
			return err
		}
		for p := int32(0); p < consumedParts; p++ {
			if h := c.has[p]; h != nil {
				if err := c.consume(ctx, p, h); err != nil {
					return err
				}
			}
		}
		select {
		case <-time.After(300*time.Millisecond + time.Duration(c.w.draw("beat", c.name, c.beats)%100_000_000)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.w.draw("leave", c.name, c.beats)%23 == 0 {
			c.letGo(func(int32) bool { return true })
			c.epoch = -1
			if err := c.beat(ctx); err != nil {
				return err
			}
			c.epoch = 0
		}
	}
}

// consumedParts bounds the partitions of the topic that is consumed.
const consumedParts = 8

// consume goes on with one partition: from the committed offset at first.
func (c *consumer) consume(ctx context.Context, p int32, h *holding) error {
	tp := TP{c.topic, p}
	if h.offset < 0 {
		at, err := c.fetchOffset(ctx, c.group, tp)
		if err != nil {
			return err
		}
		h.offset = max(at, 0)
	}
	h.offset++
	return c.commitOffset(ctx, c.group, tp, h.offset, membership{generation: c.epoch, id: c.id, modern: true})
}

// beat says what it has, and takes or gives up what the answer tells it to.
func (c *consumer) beat(ctx context.Context) error {
	c.beats++
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.MemberEpoch = c.group, c.id, c.epoch
	if c.epoch == 0 {
		q.RebalanceTimeoutMillis, q.SubscribedTopicNames = 3000, []string{c.topic}
	}
	q.Topics = c.owned()
	begun := time.Now()
	resp, err := c.try(ctx, q, 1)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
	if r.ErrorCode != errNone {
		return groupError{"heartbeat", r.ErrorCode}
	}
	c.epoch = r.MemberEpoch
	for _, h := range c.has {
		h.until, h.beaten = begun, true
	}
	if r.Assignment != nil {
		c.take(r.Assignment.Topics)
	}
	return nil
}

// owned is what it has, as requests say it.
func (c *consumer) owned() []kmsg.ConsumerGroupHeartbeatRequestTopic {
	t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
	t.TopicID = c.topicID
	for p := int32(0); p < consumedParts; p++ {
		if c.has[p] != nil {
			t.Partitions = append(t.Partitions, p)
		}
	}
	if len(t.Partitions) == 0 {
		return []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return []kmsg.ConsumerGroupHeartbeatRequestTopic{t}
}

func (c *consumer) take(topics []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic) {
	wanted := map[int32]bool{}
	for _, t := range topics {
		c.topicID = t.TopicID
		for _, p := range t.Partitions {
			if p < 0 || p >= consumedParts {
				c.w.history.wrong("%s is given partition %d of %s", c.name, p, c.topic)
				continue
			}
			wanted[p] = true
		}
	}
	c.letGo(func(p int32) bool { return !wanted[p] })
	for p := range wanted {
		if c.has[p] == nil {
			c.has[p] = &holding{offset: -1, since: time.Now()}
		}
	}
}

// letGo gives partitions up, and notes for how long they were surely held: up
// to the last beat that was answered.
func (c *consumer) letGo(which func(int32) bool) {
	for p := int32(0); p < consumedParts; p++ {
		h := c.has[p]
		if h == nil || !which(p) {
			continue
		}
		delete(c.has, p)
		if h.beaten {
			c.w.history.note(func() {
				c.w.history.Held = append(c.w.history.Held, Held{c.group, p, c.name, h.since, h.until})
			})
		}
	}
}

// startConsumers starts a group of the consumer protocol.
func (r *run) startConsumers() {
	for i := range 3 {
		c := &consumer{client: client{w: r.world, name: fmt.Sprintf("c%d", i), addrs: r.addrs(i + 1)}, group: "squad", topic: "bulk", id: fmt.Sprintf("consumer-%d", i)}
		r.tails.Go(func() {
			time.Sleep(time.Duration(i)*700*time.Millisecond + c.start())
			c.run(r.tailing)
		})
	}
}
