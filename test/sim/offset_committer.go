package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// findCoordinator connects to the broker that coordinates a group.
func (c *client) findCoordinator(ctx context.Context, group string) error {
	q := kmsg.NewPtrFindCoordinatorRequest()
	q.CoordinatorKey = group
	resp, err := c.requestOnce(ctx, q, 2)
	if err != nil {
		return err
	}
	f := resp.(*kmsg.FindCoordinatorResponse)
	if f.ErrorCode != errNone {
		return fmt.Errorf("find coordinator of %s: error %d", group, f.ErrorCode)
	}
	c.closeConn()
	conn, err := c.w.net.dial(ctx, c.name, fmt.Sprintf("%s:%d", f.Host, f.Port))
	if err != nil {
		c.addrIndex++
		return err
	}
	c.conn = conn
	return nil
}

// offsetCommitter commits rising offsets of a group without members, and fetches
// them back.
type offsetCommitter struct {
	client
	group            string
	tps              []TP
	offset           map[TP]int64
	coordinatorKnown bool
}

func (k *offsetCommitter) run(ctx context.Context) {
	defer k.closeConn()
	for n := 0; ctx.Err() == nil; n++ {
		if err := k.runStep(ctx, n); err != nil {
			k.coordinatorKnown = false
			k.closeConn()
			k.addrIndex++
		}
		if k.backOff(ctx) != nil {
			return
		}
	}
}

func (k *offsetCommitter) runStep(ctx context.Context, n int) error {
	if !k.coordinatorKnown {
		if err := k.findCoordinator(ctx, k.group); err != nil {
			return err
		}
		k.coordinatorKnown = true
	}
	tp := k.tps[n%len(k.tps)]
	if n%5 == 4 {
		_, err := k.fetchOffset(ctx, k.group, tp)
		return err
	}
	k.offset[tp] += 1 + int64(k.w.generateNumber("step", k.name, n)%5)
	return k.commitOffset(ctx, k.group, tp, k.offset[tp], membership{generation: -1})
}

// membership identifies a member in a commit.
type membership struct {
	generation       int32 // or the member's epoch
	id               string
	consumerProtocol bool // of the consumer protocol
}

// commitOffset commits once and records it.
func (c *client) commitOffset(ctx context.Context, group string, tp TP, offset int64, m membership) error {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation, q.MemberID = group, m.generation, m.id
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = tp.Topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = tp.Partition, offset
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	e := OffsetEvent{Group: group, TP: tp, Offset: offset, Begun: time.Now()}
	version := int16(7)
	if m.consumerProtocol {
		version = 9
	}
	resp, err := c.requestOnce(ctx, q, version)
	code := int16(errNone)
	if err == nil {
		code = resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode
	}
	e.OK, e.End = err == nil && code == errNone, time.Now()
	c.w.history.update(func() { c.w.history.OffsetEvents = append(c.w.history.OffsetEvents, e) })
	if err == nil && code != errNone {
		return groupError{"commit", code}
	}
	return err
}

// groupError is an error code of a group.
type groupError struct {
	operation string
	code      int16
}

func (e groupError) Error() string { return fmt.Sprintf("%s: error %d", e.operation, e.code) }

// fetchOffset fetches a group's offset and records it; Unknown if there is none.
func (c *client) fetchOffset(ctx context.Context, group string, tp TP) (int64, error) {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
	q.Topics = append(q.Topics, t)
	e := OffsetEvent{Group: group, TP: tp, Fetch: true, Begun: time.Now()}
	resp, err := c.requestOnce(ctx, q, 5)
	if err != nil {
		return 0, err
	}
	f := resp.(*kmsg.OffsetFetchResponse)
	code := f.ErrorCode
	if code == errNone && len(f.Topics) == 1 {
		code = f.Topics[0].Partitions[0].ErrorCode
		e.Offset = f.Topics[0].Partitions[0].Offset
	}
	if code != errNone || len(f.Topics) != 1 {
		return 0, groupError{"fetch offset", code}
	}
	e.OK, e.End = true, time.Now()
	c.w.history.update(func() { c.w.history.OffsetEvents = append(c.w.history.OffsetEvents, e) })
	return e.Offset, nil
}
