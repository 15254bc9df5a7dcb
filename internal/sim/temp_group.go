package sim

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// tempGroup commits positions on the topic.
const tempGroup = "of-temp"

// position commits one and sees it.
func (t *temper) position(ctx context.Context, offset int64) error {
	for t.w.recoveries() == t.seen && ctx.Err() == nil {
		t.asks++
		err := t.findCoordinator(ctx, tempGroup)
		if err == nil {
			if err = t.askGroup(ctx, offset); err == nil || errors.Is(err, errTurn) {
				return err
			}
		}
		t.drop()
		t.next++
		if t.pause(ctx) != nil {
			break
		}
	}
	return errTurn
}

func (t *temper) askGroup(ctx context.Context, offset int64) error {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.Generation = tempGroup, -1
	rt := kmsg.NewOffsetCommitRequestTopic()
	rt.Topic = tempTopic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	rt.Partitions = append(rt.Partitions, p)
	q.Topics = append(q.Topics, rt)
	resp, err := t.try(ctx, q, 7)
	if err != nil {
		return err
	}
	if code := resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode; code != errNone {
		return groupError{"commit", code}
	}
	return t.sees(ctx, offset)
}

// sees holds the group's position against what it must be; -1: none.
func (t *temper) sees(ctx context.Context, want int64) error {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = tempGroup
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = tempTopic, []int32{0}
	q.Topics = append(q.Topics, rt)
	resp, err := t.try(ctx, q, 5)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.OffsetFetchResponse)
	if r.ErrorCode != errNone {
		return groupError{"fetch", r.ErrorCode}
	}
	if got := r.Topics[0].Partitions[0].Offset; got != want {
		return t.wrong("position %d, want %d", got, want)
	}
	return nil
}

// noPosition sees that nothing of the topics before it is left.
func (t *temper) noPosition(ctx context.Context) error {
	for t.w.recoveries() == t.seen && ctx.Err() == nil {
		err := t.findCoordinator(ctx, tempGroup)
		if err == nil {
			if err = t.sees(ctx, -1); err == nil || errors.Is(err, errTurn) {
				return err
			}
		}
		t.drop()
		t.next++
		if t.pause(ctx) != nil {
			break
		}
	}
	return errTurn
}
