package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// ConsumerHeartbeat answers ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848):
// joining (epoch 0), leaving (-1, or -2 for a static member that will be
// back), and everything between. Version 1 has expressions and ids that the
// client made (KIP-1082).
func (c *Coordinator) ConsumerHeartbeat(ctx context.Context, from Client, r *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	if c.withoutConsumerProtocol() {
		return beatResponse(r, beatResult{code: codeUnsupportedVersion})
	}
	if code, text := checkBeat(r); code != codeOK {
		return beatResponse(r, beatResult{code: code, text: text})
	}
	g, code := c.group(r.Group, r.MemberEpoch == epochJoin)
	if g == nil && code == codeOK {
		out := beatResult{code: codeGroupNotFound, text: "Group " + r.Group + " not found."}
		c.cfg.Replica.View(func(s *metadata.State) {
			if v, _ := s.Group(r.Group); v.Consumer != nil {
				out = beatResult{code: codeUnknownMember, text: "the group has no such member"}
			}
		})
		return beatResponse(r, out)
	}
	if code != codeOK {
		return beatResponse(r, beatResult{code: code})
	}
	defer c.unref(g)
	// A member that subscribes may have made its topics at another broker a
	// moment ago. An expression that misses one is matched again after
	// resolveEvery only. Without a barrier the member is served from what is
	// applied: the topics come with a later heartbeat.
	if len(r.SubscribedTopicNames) > 0 || text(r.SubscribedTopicRegex) != "" {
		_ = c.cfg.Replica.Barrier(ctx)
	}
	held := c.borrow(beatBytes(r), r.Group)
	if held == nil {
		return beatResponse(r, beatResult{code: codeLoadInProgress, text: "the members of this broker's groups take as much memory as they may"})
	}
	defer held.end()
	b := c.newBeat(from, r)
	return beatResponse(r, ask(ctx, g, beatResult{code: codeNotCoordinator}, func(now time.Time, reply func(beatResult)) {
		b.reply = reply
		g.beat(now, b)
		g.account()
		held.end()
	}, nil))
}

// withoutConsumerProtocol reports whether the cluster's group.version was
// lowered to what knows the classic protocol alone.
func (c *Coordinator) withoutConsumerProtocol() (lowered bool) {
	c.cfg.Replica.View(func(s *metadata.State) { lowered = s.Finalized(metadata.GroupFeature, 1) < 1 })
	return lowered
}

// checkBeat refuses what no group would take.
func checkBeat(r *kmsg.ConsumerGroupHeartbeatRequest) (int16, string) {
	empty := func(s *string) bool { return s != nil && *s == "" }
	switch {
	case r.Group == "":
		return codeInvalidRequest, "GroupId can't be empty."
	case r.MemberID == "" && (r.Version >= 1 || r.MemberEpoch != epochJoin):
		return codeInvalidRequest, "MemberId can't be empty."
	case empty(r.InstanceID):
		return codeInvalidRequest, "InstanceId can't be empty."
	case empty(r.RackID):
		return codeInvalidRequest, "RackId can't be empty."
	case r.MemberEpoch < epochAway:
		return codeInvalidRequest, "MemberEpoch is invalid."
	case r.MemberEpoch == epochAway && r.InstanceID == nil:
		return codeInvalidRequest, "InstanceId can't be null."
	}
	if r.MemberEpoch == epochJoin {
		switch {
		case r.RebalanceTimeoutMillis == -1:
			return codeInvalidRequest, "RebalanceTimeoutMs must be provided in first request."
		case r.Topics == nil || len(r.Topics) > 0:
			return codeInvalidRequest, "TopicPartitions must be empty when (re-)joining."
		case r.SubscribedTopicNames == nil && r.SubscribedTopicRegex == nil:
			return codeInvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
		}
	}
	if a := r.ServerAssignor; a != nil && *a != assignorUniform && *a != assignorRange {
		return codeUnsupportedAssignor, "ServerAssignor " + *a + " is not supported. Supported assignors: " + assignorUniform + ", " + assignorRange + "."
	}
	return codeOK, ""
}

func (c *Coordinator) newBeat(from Client, r *kmsg.ConsumerGroupHeartbeatRequest) *beat {
	b := &beat{id: r.MemberID, clientID: from.ID, host: from.Host, epoch: r.MemberEpoch, instance: text(r.InstanceID), rack: r.RackID,
		rebalance: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond, names: r.SubscribedTopicNames,
		regex: r.SubscribedTopicRegex, assignor: r.ServerAssignor, saysOwned: r.Topics != nil, times: c.timesOf(r.Group)}
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
	b.owned = newParts(owned)
	b.isFull = r.RebalanceTimeoutMillis != -1 && r.Topics != nil && (r.SubscribedTopicNames != nil || r.SubscribedTopicRegex != nil)
	return b
}

func beatResponse(r *kmsg.ConsumerGroupHeartbeatRequest, b beatResult) *kmsg.ConsumerGroupHeartbeatResponse {
	out := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	out.Version, out.ErrorCode, out.ErrorMessage = r.Version, b.code, nullable(b.text)
	if b.code != codeOK {
		return out
	}
	out.MemberID, out.MemberEpoch, out.HeartbeatIntervalMillis = &b.id, b.epoch, int32(b.interval/time.Millisecond)
	if !b.told {
		return out
	}
	a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
	for _, t := range byTopic(b.has) {
		p := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
		p.TopicID, p.Partitions = t.id, t.partitions
		a.Topics = append(a.Topics, p)
	}
	out.Assignment = &a
	return out
}

// ConsumerDescribe answers ConsumerGroupDescribe, versions 0 and 1: a group
// that is not known, or a classic one, is 69.
func (c *Coordinator) ConsumerDescribe(ctx context.Context, _ Client, r *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	out := kmsg.NewPtrConsumerGroupDescribeResponse()
	out.Version = r.Version
	out.Groups = make([]kmsg.ConsumerGroupDescribeResponseGroup, 0, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	told := 0
	for _, name := range r.Groups {
		if ctx.Err() != nil {
			break
		}
		if told > maxDescribedBytes {
			g := kmsg.NewConsumerGroupDescribeResponseGroup()
			g.Group, g.ErrorCode, g.AuthorizedOperations = name, codeLoadInProgress, noAuthorizedOperations
			out.Groups = append(out.Groups, g)
			continue
		}
		g := c.consumerDescribe(ctx, name, barrier)
		for i := range g.Members {
			told += describedBytes(&g.Members[i])
		}
		if r.IncludeAuthorizedOperations && g.ErrorCode == codeOK {
			g.AuthorizedOperations = allOperations
		}
		out.Groups = append(out.Groups, g)
	}
	return out
}

func (c *Coordinator) consumerDescribe(ctx context.Context, name string, barrier func() int16) kmsg.ConsumerGroupDescribeResponseGroup {
	out := kmsg.NewConsumerGroupDescribeResponseGroup()
	out.Group, out.AuthorizedOperations = name, noAuthorizedOperations
	if c.withoutConsumerProtocol() {
		out.ErrorCode = codeUnsupportedVersion
		return out
	}
	if name == "" {
		out.ErrorCode = codeInvalidGroupID
		return out
	}
	if out.ErrorCode = c.barrierOf(name, barrier); out.ErrorCode != codeOK {
		return out
	}
	modern, known := false, false
	c.cfg.Replica.View(func(s *metadata.State) {
		v, ok := s.Group(name)
		known, modern = ok, v.Consumer != nil
	})
	g, code := c.group(name, known)
	if code != codeOK {
		out.ErrorCode = code
		return out
	}
	if g != nil {
		defer c.unref(g)
		modern = now(ctx, g, modern, func(time.Time) bool {
			if g.k != nil {
				g.k.describe1(&out, (*topicView)(c))
			}
			return g.k != nil
		})
	}
	if !modern {
		message := "Group " + name + pickText(known, " is not a consumer group.", " not found.")
		out.ErrorCode, out.ErrorMessage = codeGroupNotFound, &message
	}
	return out
}

func pickText(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// barrierOf takes a barrier for a group whose slot this broker holds.
func (c *Coordinator) barrierOf(name string, barrier func() int16) int16 {
	if _, code := c.holdOf(metadata.GroupSlot(name)); code != codeOK {
		return code
	}
	if code := barrier(); code != codeOK {
		return code
	}
	_, code := c.holdOf(metadata.GroupSlot(name))
	return code
}

// describe1 fills an answer in.
func (r *roster) describe1(out *kmsg.ConsumerGroupDescribeResponseGroup, topics *topicView) {
	out.State, out.Epoch, out.AssignmentEpoch, out.AssignorName = r.state(), r.epoch, r.assigned, r.assignor()
	names := map[metadata.TopicID]string{}
	for _, id := range r.ids() {
		p := r.members[id]
		m := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		m.MemberID, m.InstanceID, m.RackID, m.MemberEpoch = id, nullable(p.info.InstanceID), nullable(p.info.RackID), p.epoch
		expr := p.info.Regex // "" where there is none, as Kafka says it
		m.ClientID, m.ClientHost = p.info.ClientID, p.info.ClientHost
		m.SubscribedTopics, m.SubscribedTopicRegex = p.info.Topics, &expr
		m.Assignment, m.TargetAssignment = described(p.assigned.plus(p.revoking), names, topics), described(p.target, names, topics)
		m.MemberType = int8(b2i(!p.classic()))
		out.Members = append(out.Members, m)
	}
}

// described lists partitions with the names of their topics, which it keeps in
// names; topics that are gone are left out.
func described(set parts, names map[metadata.TopicID]string, topics *topicView) (out kmsg.Assignment) {
	for _, t := range byTopic(set) {
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
