package groups

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// DeleteOffsets answers OffsetDelete, version 0. Of a group with members only
// consumers' topics that none of them subscribes to can be deleted: 86 for the
// others, 68 for a group of another protocol type, 69 where there is none.
func (c *Coordinator) DeleteOffsets(ctx context.Context, _ Client, r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	out := kmsg.NewPtrOffsetDeleteResponse()
	out.Version = r.Version
	if r.Group == "" {
		out.ErrorCode = codeInvalidGroupID
		return out
	}
	if _, out.ErrorCode = c.holdOf(metadata.GroupSlot(r.Group)); out.ErrorCode != codeOK {
		return out
	}
	if out.ErrorCode = c.barrier(ctx); out.ErrorCode != codeOK {
		return out
	}
	known := false
	c.cfg.Replica.View(func(s *metadata.State) { known = s.HasGroup(r.Group) })
	g, code := c.group(r.Group, known)
	if g == nil {
		out.ErrorCode = pickCode(code == codeOK, codeGroupNotFound, code)
		return out
	}
	defer c.unref(g)
	cmd := metadata.DeleteOffsets{Group: r.Group, Epoch: g.hold.epoch}
	var codes []*int16 // of what is in cmd
	code = c.guarded(ctx, g, func() (metadata.Command, int16) {
		if !known && g.empty() {
			return nil, codeGroupNotFound // live for a commit that was refused, no more
		}
		if g.k == nil && g.m.state != stateEmpty && g.m.protocolType != protocolTypeConsumer {
			return nil, codeNonEmptyGroup
		}
		if codes = c.offsetsToDelete(g.subscribed(), r, out, &cmd); len(codes) == 0 {
			return nil, codeOK
		}
		return cmd, codeOK
	}, func(int16) {})
	if len(codes) == 0 {
		out.ErrorCode = code
		return out
	}
	for i := range codes {
		*codes[i] = code
	}
	return out
}

// offsetsToDelete fills the answer and the command, and returns where the
// codes of the command's partitions go.
func (c *Coordinator) offsetsToDelete(subscribed func(string) bool, r *kmsg.OffsetDeleteRequest, out *kmsg.OffsetDeleteResponse, cmd *metadata.DeleteOffsets) (codes []*int16) {
	c.cfg.Replica.View(func(s *metadata.State) {
		for i := range r.Topics {
			topic, known := s.TopicNamed(r.Topics[i].Topic)
			t := kmsg.NewOffsetDeleteResponseTopic()
			t.Topic = r.Topics[i].Topic
			t.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(r.Topics[i].Partitions))
			for k, p := range r.Topics[i].Partitions {
				q := &t.Partitions[k]
				q.Partition = p.Partition
				switch {
				case !known || p.Partition < 0 || p.Partition >= topic.Partitions:
					q.ErrorCode = codeUnknownTopic
				case subscribed(t.Topic):
					q.ErrorCode = codeSubscribedToTopic
				default:
					cmd.Partitions = append(cmd.Partitions, metadata.TopicPartition{Topic: topic.ID, Partition: metadata.Partition(p.Partition)})
					codes = append(codes, &q.ErrorCode)
				}
			}
			out.Topics = append(out.Topics, t)
		}
	})
	return codes
}
