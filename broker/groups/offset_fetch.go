package groups

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// FetchOffsets handles OffsetFetch, versions 1 to 9: one group up to version 7,
// many from version 8. It reads after a barrier. A group, topic or partition
// without a committed offset is offset -1 without an error, as in Kafka. With
// RequireStable (KIP-447) an offset that an ongoing transaction may replace is
// UNSTABLE_OFFSET_COMMIT: the client retries.
func (c *Coordinator) FetchOffsets(ctx context.Context, _ Client, r *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	out := kmsg.NewPtrOffsetFetchResponse()
	out.Version = r.Version
	barrier := c.barrier(ctx)
	if r.Version >= 8 {
		for i := range r.Groups {
			if ctx.Err() != nil {
				break
			}
			g := &r.Groups[i]
			if code := c.checkFetch(ctx, g, r.Version); code != noError {
				refused := kmsg.NewOffsetFetchResponseGroup()
				refused.Group, refused.ErrorCode = g.Group, code
				out.Groups = append(out.Groups, refused)
				continue
			}
			out.Groups = append(out.Groups, c.readGroupOffsets(g, r.RequireStable, barrier))
		}
		return out
	}
	one := kmsg.NewOffsetFetchRequestGroup()
	one.Group = r.Group
	for i := range r.Topics {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = r.Topics[i].Topic, r.Topics[i].Partitions
		one.Topics = append(one.Topics, t)
	}
	if r.Version < 2 || r.Topics != nil && one.Topics == nil {
		one.Topics = append([]kmsg.OffsetFetchRequestGroupTopic{}, one.Topics...) // not nil: nil requests all
	}
	g := c.readGroupOffsets(&one, r.RequireStable, barrier)
	fillSingleGroup(out, &one, &g)
	return out
}

// checkFetch checks a member of the consumer protocol that sends its id
// (version 9): UNKNOWN_MEMBER_ID if there is none, STALE_MEMBER_EPOCH if its
// epoch is not the current one.
func (c *Coordinator) checkFetch(ctx context.Context, r *kmsg.OffsetFetchRequestGroup, version int16) int16 {
	if version < 9 || r.MemberID == nil && r.MemberEpoch < 0 {
		return noError
	}
	g, _ := c.acquireGroup(r.Group, false)
	if g == nil {
		return noError // it has no members, or is not ours, which the caller finds out next
	}
	defer c.releaseGroup(g)
	return queryGroup(ctx, g, kerr.NotCoordinator.Code, func(time.Time) int16 {
		if g.consumer == nil {
			return noError
		}
		return g.consumer.checkFetch(r.MemberID, r.MemberEpoch)
	})
}

// barrier waits until this replica has applied the log's end. Consumers before
// 3.9 do not handle REQUEST_TIMED_OUT or COORDINATOR_NOT_AVAILABLE here, so any
// failure is NOT_COORDINATOR.
func (c *Coordinator) barrier(ctx context.Context) int16 {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.WriteTimeout)
	defer cancel()
	if err := c.cfg.Replica.Barrier(ctx); err != nil {
		return kerr.NotCoordinator.Code
	}
	return noError
}

// fillSingleGroup converts one group to the response of versions below 8.
// Version 1 has no group error: every partition gets it.
func fillSingleGroup(out *kmsg.OffsetFetchResponse, q *kmsg.OffsetFetchRequestGroup, g *kmsg.OffsetFetchResponseGroup) {
	out.ErrorCode = g.ErrorCode
	if g.ErrorCode != noError && out.Version < 2 {
		for i := range q.Topics {
			g.Topics = append(g.Topics, newMissingTopic(&q.Topics[i], g.ErrorCode))
		}
	}
	for i := range g.Topics {
		t := kmsg.NewOffsetFetchResponseTopic()
		t.Topic = g.Topics[i].Topic
		for _, p := range g.Topics[i].Partitions {
			q := kmsg.NewOffsetFetchResponseTopicPartition()
			q.Partition, q.Offset, q.LeaderEpoch, q.Metadata, q.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			t.Partitions = append(t.Partitions, q)
		}
		out.Topics = append(out.Topics, t)
	}
}

func newMissingTopic(t *kmsg.OffsetFetchRequestGroupTopic, code int16) kmsg.OffsetFetchResponseGroupTopic {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic = t.Topic
	for _, p := range t.Partitions {
		out.Partitions = append(out.Partitions, newMissingPartition(p, code))
	}
	return out
}

func newMissingPartition(p int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	out.Partition, out.Offset, out.LeaderEpoch, out.Metadata, out.ErrorCode = p, noOffset, noLeaderEpoch, new(string), code
	return out
}

func (c *Coordinator) readGroupOffsets(r *kmsg.OffsetFetchRequestGroup, stable bool, barrier int16) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = r.Group
	if _, code := c.findOwnedSlot(metadata.GroupSlot(r.Group)); code != noError {
		out.ErrorCode = code
		return out
	}
	if barrier != noError {
		out.ErrorCode = barrier
		return out
	}
	c.cfg.Replica.View(func(s *metadata.State) {
		view, _ := s.Group(r.Group)
		if r.Topics == nil {
			out.Topics = readAllOffsets(s, &view.Offsets)
		}
		for i := range r.Topics {
			out.Topics = append(out.Topics, readTopicOffsets(s, &view.Offsets, &r.Topics[i]))
		}
		if stable {
			markUnstable(s, &out)
		}
	})
	return out
}

func readTopicOffsets(s *metadata.State, offsets *metadata.GroupOffsets, r *kmsg.OffsetFetchRequestGroupTopic) kmsg.OffsetFetchResponseGroupTopic {
	topic, known := s.TopicNamed(r.Topic)
	if !known {
		return newMissingTopic(r, noError)
	}
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic = r.Topic
	for _, p := range r.Partitions {
		o, ok := offsets.Get(metadata.TopicPartition{Topic: topic.ID, Partition: metadata.Partition(p)})
		if !ok {
			out.Partitions = append(out.Partitions, newMissingPartition(p, noError))
			continue
		}
		out.Partitions = append(out.Partitions, newCommittedPartition(s, &o))
	}
	return out
}

// newCommittedPartition returns a committed offset. One in the gap that a
// recovery left is returned as the gap's end: a consumer continues at the same
// record, and tools show no lag without records.
func newCommittedPartition(s *metadata.State, o *metadata.OffsetCommit) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	out.Partition, out.Offset, out.LeaderEpoch = int32(o.Partition), int64(s.SkipRecoveryGap(metadata.TopicPartition{Topic: o.Topic, Partition: o.Partition}, o.Offset)), int32(o.LeaderEpoch)
	note := o.Metadata
	out.Metadata = &note
	return out
}

// readAllOffsets lists the group's offsets, by topic name and partition.
func readAllOffsets(s *metadata.State, offsets *metadata.GroupOffsets) []kmsg.OffsetFetchResponseGroupTopic {
	byTopic := map[metadata.TopicID]*kmsg.OffsetFetchResponseGroupTopic{}
	for tp, o := range offsets.All() {
		t := byTopic[tp.Topic]
		if t == nil {
			topic, known := s.Topic(tp.Topic)
			if !known {
				continue
			}
			fresh := kmsg.NewOffsetFetchResponseGroupTopic()
			fresh.Topic = topic.Name
			t = &fresh
			byTopic[tp.Topic] = t
		}
		t.Partitions = append(t.Partitions, newCommittedPartition(s, o))
	}
	out := make([]kmsg.OffsetFetchResponseGroupTopic, 0, len(byTopic))
	for _, t := range byTopic {
		slices.SortFunc(t.Partitions, func(a, b kmsg.OffsetFetchResponseGroupTopicPartition) int {
			return cmp.Compare(a.Partition, b.Partition)
		})
		out = append(out, *t)
	}
	slices.SortFunc(out, func(a, b kmsg.OffsetFetchResponseGroupTopic) int { return cmp.Compare(a.Topic, b.Topic) })
	return out
}

// markUnstable hides the offsets that an ongoing transaction may replace.
func markUnstable(s *metadata.State, g *kmsg.OffsetFetchResponseGroup) {
	for i := range g.Topics {
		topic, known := s.TopicNamed(g.Topics[i].Topic)
		for k := range g.Topics[i].Partitions {
			p := &g.Topics[i].Partitions[k]
			if known && s.OffsetPending(g.Group, metadata.TopicPartition{Topic: topic.ID, Partition: metadata.Partition(p.Partition)}) {
				*p = newMissingPartition(p.Partition, kerr.UnstableOffsetCommit.Code)
			}
		}
	}
}
