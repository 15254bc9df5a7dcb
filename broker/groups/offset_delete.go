package groups

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// DeleteOffsets handles OffsetDelete, version 0. In a group of consumers with
// members only offsets of topics that no member subscribes to can be deleted:
// GROUP_SUBSCRIBED_TO_TOPIC for the others, NON_EMPTY_GROUP for a group of
// another protocol type, GROUP_ID_NOT_FOUND if there is no group.
func (c *Coordinator) DeleteOffsets(ctx context.Context, _ Client, r *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	out := kmsg.NewPtrOffsetDeleteResponse()
	out.Version = r.Version
	if r.Group == "" {
		out.ErrorCode = kerr.InvalidGroupID.Code
		return out
	}
	if _, out.ErrorCode = c.findOwnedSlot(metadata.GroupSlot(r.Group)); out.ErrorCode != noError {
		return out
	}
	if out.ErrorCode = c.barrier(ctx); out.ErrorCode != noError {
		return out
	}
	known := false
	c.cfg.Replica.View(func(s *metadata.State) { known = s.HasGroup(r.Group) })
	g, code := c.acquireGroup(r.Group, known)
	if g == nil {
		out.ErrorCode = pickCode(code == noError, kerr.GroupIDNotFound.Code, code)
		return out
	}
	defer c.releaseGroup(g)
	cmd := metadata.DeleteOffsets{Group: r.Group, Epoch: g.slot.epoch}
	var codes []*int16 // of the partitions in cmd
	code = c.writeGuarded(ctx, g, func() (metadata.Command, int16) {
		if !known && g.isEmpty() {
			return nil, kerr.GroupIDNotFound.Code // live only because of a commit that was refused
		}
		if g.consumer == nil && g.classic.state != stateEmpty && g.classic.protocolType != protocolTypeConsumer {
			return nil, kerr.NonEmptyGroup.Code
		}
		if codes = c.offsetsToDelete(g.newSubscriptionCheck(), r, out, &cmd); len(codes) == 0 {
			return nil, noError
		}
		return cmd, noError
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

// offsetsToDelete fills the response and the command, and returns the error
// codes of the command's partitions.
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
					q.ErrorCode = kerr.UnknownTopicOrPartition.Code
				case subscribed(t.Topic):
					q.ErrorCode = kerr.GroupSubscribedToTopic.Code
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
