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

// consumerMember is one member of a group of the consumer protocol: it sends
// heartbeats, revokes partitions before it takes new ones, continues from committed
// offsets, commits, and leaves now and then.
type consumerMember struct {
	client
	group            string
	topic            string
	id               string
	epoch            int32 // 0: it has to join
	coordinatorKnown bool
	heartbeats       int

	topicID  [16]byte
	assigned map[int32]*assignedPartition
}

// assignedPartition is a partition that the coordinator has assigned to this member.
type assignedPartition struct {
	offset    int64
	heldSince time.Time // the response that assigned it
	heldUntil time.Time // start of the last answered heartbeat that reported it
	confirmed bool
}

func (c *consumerMember) run(ctx context.Context) {
	defer c.closeConn()
	c.assigned = map[int32]*assignedPartition{}
	for ctx.Err() == nil {
		err := c.runUntilError(ctx)
		var refused groupError
		switch {
		case errors.As(err, &refused) && (refused.code == errUnknownMember || refused.code == errFencedMemberEpoch):
			c.resetMembership()
		case errors.As(err, &refused) && refused.code == errStaleMemberEpoch: // the next heartbeat returns the epoch
		default:
			c.coordinatorKnown = false
			c.closeConn()
			c.addrIndex++
		}
		if c.backOff(ctx) != nil {
			break
		}
	}
	c.releasePartitions(func(int32) bool { return true })
}

// resetMembership starts over: its partitions belong to others now.
func (c *consumerMember) resetMembership() {
	c.releasePartitions(func(int32) bool { return true })
	c.epoch = 0
}

// runUntilError runs until an error.
func (c *consumerMember) runUntilError(ctx context.Context) error {
	if !c.coordinatorKnown {
		if err := c.findCoordinator(ctx, c.group); err != nil {
			return err
		}
		c.coordinatorKnown = true
	}
	for {
		if err := c.sendHeartbeat(ctx); err != nil {
			return err
		}
		for p := int32(0); p < maxConsumedPartitions; p++ {
			if h := c.assigned[p]; h != nil {
				if err := c.advancePartition(ctx, p, h); err != nil {
					return err
				}
			}
		}
		select {
		case <-time.After(300*time.Millisecond + time.Duration(c.w.generateNumber("beat", c.name, c.heartbeats)%100_000_000)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if c.w.generateNumber("leave", c.name, c.heartbeats)%23 == 0 {
			c.releasePartitions(func(int32) bool { return true })
			c.epoch = -1
			if err := c.sendHeartbeat(ctx); err != nil {
				return err
			}
			c.epoch = 0
		}
	}
}

// maxConsumedPartitions bounds the partitions of the consumed topic.
const maxConsumedPartitions = 8

// advancePartition consumes one partition further; it starts at the committed offset.
func (c *consumerMember) advancePartition(ctx context.Context, p int32, h *assignedPartition) error {
	tp := TP{c.topic, p}
	if h.offset < 0 {
		at, err := c.fetchOffset(ctx, c.group, tp)
		if err != nil {
			return err
		}
		h.offset = max(at, 0)
	}
	h.offset++
	return c.commitOffset(ctx, c.group, tp, h.offset, membership{generation: c.epoch, id: c.id, consumerProtocol: true})
}

// sendHeartbeat reports the owned partitions, and takes or revokes partitions as the
// response requires.
func (c *consumerMember) sendHeartbeat(ctx context.Context) error {
	c.heartbeats++
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group, q.MemberID, q.MemberEpoch = c.group, c.id, c.epoch
	if c.epoch == 0 {
		q.RebalanceTimeoutMillis, q.SubscribedTopicNames = 3000, []string{c.topic}
	}
	q.Topics = c.ownedTopics()
	begun := time.Now()
	resp, err := c.requestOnce(ctx, q, 1)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.ConsumerGroupHeartbeatResponse)
	if r.ErrorCode != errNone {
		return groupError{"heartbeat", r.ErrorCode}
	}
	c.epoch = r.MemberEpoch
	for _, h := range c.assigned {
		h.heldUntil, h.confirmed = begun, true
	}
	if r.Assignment != nil {
		c.applyAssignment(r.Assignment.Topics)
	}
	return nil
}

// ownedTopics returns the owned partitions in the form of a request.
func (c *consumerMember) ownedTopics() []kmsg.ConsumerGroupHeartbeatRequestTopic {
	t := kmsg.NewConsumerGroupHeartbeatRequestTopic()
	t.TopicID = c.topicID
	for p := int32(0); p < maxConsumedPartitions; p++ {
		if c.assigned[p] != nil {
			t.Partitions = append(t.Partitions, p)
		}
	}
	if len(t.Partitions) == 0 {
		return []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	return []kmsg.ConsumerGroupHeartbeatRequestTopic{t}
}

func (c *consumerMember) applyAssignment(topics []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic) {
	wanted := map[int32]bool{}
	for _, t := range topics {
		c.topicID = t.TopicID
		for _, p := range t.Partitions {
			if p < 0 || p >= maxConsumedPartitions {
				c.w.history.reportViolation("%s is given partition %d of %s", c.name, p, c.topic)
				continue
			}
			wanted[p] = true
		}
	}
	c.releasePartitions(func(p int32) bool { return !wanted[p] })
	for p := range wanted {
		if c.assigned[p] == nil {
			c.assigned[p] = &assignedPartition{offset: -1, heldSince: time.Now()}
		}
	}
}

// releasePartitions revokes partitions, and records for how long they were certainly
// owned: up to the last answered heartbeat.
func (c *consumerMember) releasePartitions(which func(int32) bool) {
	for p := int32(0); p < maxConsumedPartitions; p++ {
		h := c.assigned[p]
		if h == nil || !which(p) {
			continue
		}
		delete(c.assigned, p)
		if h.confirmed {
			c.w.history.update(func() {
				c.w.history.Ownerships = append(c.w.history.Ownerships, Ownership{c.group, p, c.name, h.heldSince, h.heldUntil})
			})
		}
	}
}

// startConsumers starts a group of the consumer protocol.
func (r *run) startConsumers() {
	for i := range 3 {
		c := &consumerMember{client: client{w: r.world, name: fmt.Sprintf("c%d", i), addrs: r.brokerAddrs(i + 1)}, group: "squad", topic: "bulk", id: fmt.Sprintf("consumer-%d", i)}
		r.background.Go(func() {
			time.Sleep(time.Duration(i)*700*time.Millisecond + c.startDelay())
			c.run(r.backgroundCtx)
		})
	}
}
