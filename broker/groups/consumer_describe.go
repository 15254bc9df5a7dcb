package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// ConsumerDescribe handles ConsumerGroupDescribe, versions 0 and 1: an unknown
// or classic group is GROUP_ID_NOT_FOUND.
func (c *Coordinator) ConsumerDescribe(ctx context.Context, _ Client, r *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	out := kmsg.NewPtrConsumerGroupDescribeResponse()
	out.Version = r.Version
	out.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, 0, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	size := 0
	for _, name := range r.Groups {
		if ctx.Err() != nil {
			break
		}
		if size > maxDescribedBytes {
			g := kmsg.NewConsumerGroupDescribeResponseGroup()
			g.Group, g.ErrorCode, g.AuthorizedOperations = name, kerr.CoordinatorLoadInProgress.Code, noAuthorizedOperations
			out.Groups = append(out.Groups, g)
			continue
		}
		g := c.describeConsumerGroup(ctx, name, barrier)
		for i := range g.Members {
			size += estimateMemberBytes(&g.Members[i])
		}
		if r.IncludeAuthorizedOperations && g.ErrorCode == noError {
			g.AuthorizedOperations = allOperations
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

func (c *Coordinator) describeConsumerGroup(ctx context.Context, name string, barrier func() int16) kmsg.ConsumerGroupDescribeResponseGroup {
	out := kmsg.NewConsumerGroupDescribeResponseGroup()
	out.Group, out.AuthorizedOperations = name, noAuthorizedOperations
	if c.isConsumerProtocolDisabled() {
		out.ErrorCode = kerr.UnsupportedVersion.Code
		return out
	}
	if name == "" {
		out.ErrorCode = kerr.InvalidGroupID.Code
		return out
	}
	if out.ErrorCode = c.barrierForGroup(name, barrier); out.ErrorCode != noError {
		return out
	}
	modern, known := false, false
	c.cfg.Replica.View(func(s *metadata.State) {
		v, ok := s.Group(name)
		known, modern = ok, v.Consumer != nil
	})
	g, code := c.acquireGroup(name, known)
	if code != noError {
		out.ErrorCode = code
		return out
	}
	if g != nil {
		defer c.releaseGroup(g)
		modern = queryGroup(ctx, g, modern, func(time.Time) bool {
			if g.consumer != nil {
				g.consumer.fillDescription(&out, (*coordinatorTopics)(c))
			}
			return g.consumer != nil
		})
	}
	if !modern {
		message := "Group " + name + pickText(known, " is not a consumer group.", " not found.")
		out.ErrorCode, out.ErrorMessage = kerr.GroupIDNotFound.Code, &message
	}
	return out
}

// barrierForGroup takes a barrier for a group whose slot this broker owns, and
// checks that it still does.
func (c *Coordinator) barrierForGroup(name string, barrier func() int16) int16 {
	if _, code := c.findOwnedSlot(metadata.GroupSlot(name)); code != noError {
		return code
	}
	if code := barrier(); code != noError {
		return code
	}
	_, code := c.findOwnedSlot(metadata.GroupSlot(name))
	return code
}

// fillDescription fills the response in.
func (r *consumerGroup) fillDescription(out *kmsg.ConsumerGroupDescribeResponseGroup, topics *coordinatorTopics) {
	out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = r.stateName(), r.epoch, r.assignmentEpoch, r.chooseAssignor()
	names := map[metadata.TopicID]string{}
	for _, id := range r.sortedMemberIDs() {
		p := r.members[id]
		m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		m.MemberID, m.InstanceID, m.RackID, m.MemberEpoch = id, nullableText(p.info.InstanceID), nullableText(p.info.RackID), p.epoch
		expr := p.info.Regex // "" if there is none, as in Kafka
		m.ClientID, m.ClientHost = p.info.ClientID, p.info.ClientHost
		m.SubscribedTopics, m.SubscribedTopicRegex = p.info.Topics, &expr
		m.Assignment, m.TargetAssignment = describeAssignment(p.assigned.union(p.revoking), names, topics), describeAssignment(p.target, names, topics)
		m.MemberType = int8(boolToInt(!p.isClassic()))
		out.Members = append(out.Members, m)
	}
}

// describeAssignment lists partitions with the names of their topics, which it
// caches in names; deleted topics are left out.
func describeAssignment(set partitionSet, names map[metadata.TopicID]string, topics *coordinatorTopics) (out kmsg.Assignment) {
	for _, t := range groupByTopic(set) {
		name, seen := names[t.id]
		if !seen {
			topics.cfg.Replica.View(func(s *metadata.State) {
				if topic, ok := s.Topic(t.id); ok {
					name = topic.Name
				}
			})
			names[t.id] = name
		}
		if name == "" {
			continue
		}
		a := kmsg.NewAssignmentTopicPartition()
		a.TopicID, a.Topic, a.Partitions = t.id, name, t.partitions
		out.TopicPartitions = append(out.TopicPartitions, a)
	}
	return out
}

// estimateMemberBytes estimates the size of a member in a response.
func estimateMemberBytes(m *kmsg.ConsumerGroupDescribeResponseGroupMember) (n int) {
	n = 200
	for _, a := range [][]kmsg.AssignmentTopicPartition{m.Assignment.TopicPartitions, m.TargetAssignment.TopicPartitions} {
		for i := range a {
			n += 40 + len(a[i].Topic) + 4*len(a[i].Partitions)
		}
	}
	for _, t := range m.SubscribedTopics {
		n += 2 + len(t)
	}
	return n
}
