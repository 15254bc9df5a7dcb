package sim

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// churnGroup commits offsets on the topic.
const churnGroup = "of-temp"

// commitAndVerifyOffset commits an offset and reads it back.
func (t *topicChurnClient) commitAndVerifyOffset(ctx context.Context, offset int64) error {
	for t.w.recoveryCount() == t.recoveriesBefore && ctx.Err() == nil {
		t.attempts++
		err := t.findCoordinator(ctx, churnGroup)
		if err == nil {
			if err = t.commitOnce(ctx, offset); err == nil || errors.Is(err, errRoundOver) {
				return err
			}
		}
		t.closeConn()
		t.addrIndex++
		if t.backOff(ctx) != nil {
			break
		}
	}
	return errRoundOver
}

func (t *topicChurnClient) commitOnce(ctx context.Context, offset int64) error {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation = churnGroup, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = churnTopic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	resp, err := t.requestOnce(ctx, q, 7)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; code != errNone {
		return groupError{"commit", code}
	}
	return t.verifyOffset(ctx, offset)
}

// verifyOffset compares the group's offset with the expected one; -1: none.
func (t *topicChurnClient) verifyOffset(ctx context.Context, want int64) error {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = churnGroup
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = churnTopic, []int32{0}
	q.Topics = append(q.Topics, rt)
	resp, err := t.requestOnce(ctx, q, 5)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.OffsetFetchResponse)
	if r.ErrorCode != errNone {
		return groupError{"fetch", r.ErrorCode}
	}
	if got := r.Topics[0].Partitions[0].Offset; got != want {
		return t.reportViolation("committed offset %d, want %d", got, want)
	}
	return nil
}

// verifyNoOffset checks that no offset of an earlier topic is left.
func (t *topicChurnClient) verifyNoOffset(ctx context.Context) error {
	for t.w.recoveryCount() == t.recoveriesBefore && ctx.Err() == nil {
		err := t.findCoordinator(ctx, churnGroup)
		if err == nil {
			if err = t.verifyOffset(ctx, -1); err == nil || errors.Is(err, errRoundOver) {
				return err
			}
		}
		t.closeConn()
		t.addrIndex++
		if t.backOff(ctx) != nil {
			break
		}
	}
	return errRoundOver
}
