package groups

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// ConsumerHeartbeat answers ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848):
// joining (epoch 0), leaving (-1, or -2 for a static member that will be
// back), and everything between. Version 1 has expressions and ids that the
// client made (KIP-1082).
func (c *Coordinator) ConsumerHeartbeat(ctx context.Context, from Client, r *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	if c.isConsumerProtocolDisabled() {
		return newHeartbeatResponse(r, consumerHeartbeatResult{code: kerr.UnsupportedVersion.Code})
	}
	if code, text := checkConsumerHeartbeat(r); code != noError {
		return newHeartbeatResponse(r, consumerHeartbeatResult{code: code, text: text})
	}
	g, code := c.acquireGroup(r.Group, r.MemberEpoch == epochJoin)
	if g == nil && code == noError {
		out := consumerHeartbeatResult{code: kerr.GroupIDNotFound.Code, text: "Group " + r.Group + " not found."}
		c.cfg.Replica.View(func(s *metadata.State) {
			if v, _ := s.Group(r.Group); v.Consumer != nil {
				out = consumerHeartbeatResult{code: kerr.UnknownMemberID.Code, text: "the group has no such member"}
			}
		})
		return newHeartbeatResponse(r, out)
	}
	if code != noError {
		return newHeartbeatResponse(r, consumerHeartbeatResult{code: code})
	}
	defer c.releaseGroup(g)
	// A member that subscribes may have made its topics at another broker a
	// moment ago. An expression that misses one is matched again after
	// patternInterval only. Without a barrier the member is served from what is
	// applied: the topics come with a later heartbeat.
	if len(r.SubscribedTopicNames) > 0 || textOrEmpty(r.SubscribedTopicRegex) != "" {
		_ = c.cfg.Replica.Barrier(ctx)
	}
	held := c.reserveMemory(estimateHeartbeatBytes(r), r.Group)
	if held == nil {
		return newHeartbeatResponse(r, consumerHeartbeatResult{code: kerr.CoordinatorLoadInProgress.Code, text: "the memory limit for group members on this broker is reached"})
	}
	defer held.release()
	b := c.newConsumerHeartbeat(from, r)
	return newHeartbeatResponse(r, callGroup(ctx, g, consumerHeartbeatResult{code: kerr.NotCoordinator.Code}, func(now time.Time, reply func(consumerHeartbeatResult)) {
		b.reply = reply
		g.handleConsumerHeartbeat(now, b)
		g.updatePoolUse()
		held.release()
	}, nil))
}

// isConsumerProtocolDisabled reports whether the cluster's group.version was
// lowered to what knows the classic protocol alone.
func (c *Coordinator) isConsumerProtocolDisabled() (lowered bool) {
	c.cfg.Replica.View(func(s *metadata.State) { lowered = s.FinalizedLevel(metadata.GroupFeature, 1) < 1 })
	return lowered
}

// checkConsumerHeartbeat refuses what no group would take.
func checkConsumerHeartbeat(r *kmsg.ConsumerGroupHeartbeatRequest) (int16, string) {
	empty := func(s *string) bool { return s != nil && *s == "" }
	switch {
	case r.Group == "":
		return kerr.InvalidRequest.Code, "GroupId can't be empty."
	case r.MemberID == "" && (r.Version >= 1 || r.MemberEpoch != epochJoin):
		return kerr.InvalidRequest.Code, "MemberId can't be empty."
	case empty(r.InstanceID):
		return kerr.InvalidRequest.Code, "InstanceId can't be empty."
	case empty(r.RackID):
		return kerr.InvalidRequest.Code, "RackId can't be empty."
	case r.MemberEpoch < epochLeaveStatic:
		return kerr.InvalidRequest.Code, "MemberEpoch is invalid."
	case r.MemberEpoch == epochLeaveStatic && r.InstanceID == nil:
		return kerr.InvalidRequest.Code, "InstanceId can't be null."
	}
	if r.MemberEpoch == epochJoin {
		switch {
		case r.RebalanceTimeoutMillis == -1:
			return kerr.InvalidRequest.Code, "RebalanceTimeoutMs must be provided in first request."
		case r.Topics == nil || len(r.Topics) > 0:
			return kerr.InvalidRequest.Code, "TopicPartitions must be empty when (re-)joining."
		case r.SubscribedTopicNames == nil && r.SubscribedTopicRegex == nil:
			return kerr.InvalidRequest.Code, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
		}
	}
	if a := r.ServerAssignor; a != nil && *a != assignorUniform && *a != assignorRange {
		return kerr.UnsupportedAssignor.Code, "ServerAssignor " + *a + " is not supported. Supported assignors: " + assignorUniform + ", " + assignorRange + "."
	}
	return noError, ""
}

func (c *Coordinator) newConsumerHeartbeat(from Client, r *kmsg.ConsumerGroupHeartbeatRequest) *consumerHeartbeat {
	b := &consumerHeartbeat{id: r.MemberID, clientID: from.ID, host: from.Host, epoch: r.MemberEpoch, instance: textOrEmpty(r.InstanceID), rack: r.RackID,
		rebalanceTimeout: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond, topicNames: r.SubscribedTopicNames,
		regex: r.SubscribedTopicRegex, assignor: r.ServerAssignor, reportsOwned: r.Topics != nil, timeouts: c.readMemberTimeouts(r.Group)}
	if r.Version < 1 {
		b.regex = nil
	}
	if b.id == "" {
		b.newID = c.newUUID()
	}
	var owned []metadata.TopicPartition
	for i := range r.Topics {
		for _, p := range r.Topics[i].Partitions {
			owned = append(owned, metadata.TopicPartition{Topic: r.Topics[i].TopicID, Partition: metadata.Partition(p)})
		}
	}
	b.owned = newPartitionSet(owned)
	b.isFullRequest = r.RebalanceTimeoutMillis != -1 && r.Topics != nil && (r.SubscribedTopicNames != nil || r.SubscribedTopicRegex != nil)
	return b
}

func newHeartbeatResponse(r *kmsg.ConsumerGroupHeartbeatRequest, b consumerHeartbeatResult) *kmsg.ConsumerGroupHeartbeatResponse {
	out := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	out.Version, out.ErrorCode, out.ErrorMessage = r.Version, b.code, nullableText(b.text)
	if b.code != noError {
		return out
	}
	out.MemberID, out.MemberEpoch, out.HeartbeatIntervalMillis = &b.id, b.epoch, int32(b.interval/time.Millisecond)
	if !b.hasAssignment {
		return out
	}
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	for _, t := range groupByTopic(b.assigned) {
		p := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		p.TopicID, p.Partitions = t.id, t.partitions
		a.Topics = append(a.Topics, p)
	}
	out.Assignment = &a
	return out
}

func pickText(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}
