package groups

import (
	"cmp"
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Members of the classic protocol in a group of the consumer protocol, while an
// application migrates (KIP-848, online migration). A Heartbeat response with
// REBALANCE_IN_PROGRESS announces a new target; their JoinGroup lists what they
// still own, and SyncGroup returns their partitions. They have no leader: the
// coordinator assigns.

// subscription is a classic consumer's protocol metadata.
type subscription struct {
	version int16
	topics  []string // sorted
	owned   map[string][]int32
	rack    string
}

// readSubscription decodes a consumer's metadata; false if it is not a
// consumer's.
func readSubscription(b []byte) (s subscription, ok bool) {
	topics, ok := parseSubscribedTopics(b)
	if !ok {
		return s, false
	}
	s.version = int16(binary.BigEndian.Uint16(b))
	slices.Sort(topics)
	s.topics = slices.Compact(topics)
	m := kmsg.NewConsumerMemberMetadata()
	if m.ReadFrom(b) != nil {
		return s, true // some clients send version 1 without owned partitions
	}
	s.owned = map[string][]int32{}
	for _, t := range m.OwnedPartitions {
		s.owned[t.Topic] = t.Partitions
	}
	s.rack = textOrEmpty(m.Rack)
	return s, true
}

// resolvePartitions maps topic names to ids; topics that do not exist are left
// out.
func resolvePartitions(topics topicSource, byName map[string][]int32) partitionSet {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	var out []metadata.TopicPartition
	for name, t := range topics.findTopics(names) {
		for _, p := range byName[name] {
			if p >= 0 && p < t.partitions {
				out = append(out, metadata.TopicPartition{Topic: t.id, Partition: metadata.Partition(p)})
			}
		}
	}
	return newPartitionSet(out)
}

// countClassicProtocols returns how many members use the classic protocol, and
// how many of them support each of its protocols.
func (r *consumerGroup) countClassicProtocols() (n int, speak map[string]int) {
	speak = map[string]int{}
	for _, p := range r.members {
		if p.isClassic() {
			n++
			for i := range p.info.Protocols {
				speak[p.info.Protocols[i].Name]++
			}
		}
	}
	return n, speak
}

// supportsProtocols reports whether a JoinGroup has a protocol that all other
// classic members support.
func (r *consumerGroup) supportsProtocols(a *joinRequest) bool {
	if a.protocolType != protocolTypeConsumer || len(a.protocols) == 0 {
		return false
	}
	n, speak := r.countClassicProtocols()
	if n == 0 || n == 1 && r.members[a.id] != nil && r.members[a.id].isClassic() {
		return true
	}
	return slices.ContainsFunc(a.protocols, func(p metadata.GroupProtocol) bool { return speak[p.Name] == n })
}

// handleClassicJoin handles a JoinGroup. It completes as soon as its change is
// written: members do not wait for each other.
func (r *consumerGroup) handleClassicJoin(now time.Time, a *joinRequest) {
	r.beginEvent()
	if !r.writeBuffer.retryAt.IsZero() && now.Before(r.writeBuffer.retryAt) {
		a.replyError(kerr.CoordinatorNotAvailable.Code, a.id)
		return
	}
	if !r.supportsProtocols(a) {
		a.replyError(kerr.InconsistentGroupProtocol.Code, a.id)
		return
	}
	if a.id == "" && a.instance == "" && a.needsID {
		a.replyError(kerr.MemberIDRequired.Code, a.newID)
		return
	}
	sub, ok := readSubscription(a.protocols[0].Metadata)
	if !ok {
		a.replyError(kerr.InconsistentGroupProtocol.Code, a.id)
		return
	}
	p, code := r.findJoiningMember(a)
	if code != noError {
		a.replyError(code, cmp.Or(a.id, a.newID))
		return
	}
	m := metadata.ConsumerMember{ID: cmp.Or(a.id, a.newID), InstanceID: a.instance, RackID: sub.rack, ClientID: a.clientID,
		ClientHost: a.clientHost, RebalanceTimeoutMs: int32(a.rebalanceTimeout / time.Millisecond), Topics: sub.topics,
		SessionTimeoutMs: int32(a.sessionTimeout / time.Millisecond), Protocols: a.protocols}
	if code, _ := r.checkCapacity(p, &m); code != noError {
		a.replyError(code, a.id)
		return
	}
	if p == nil {
		p = r.addNewMember(m, &consumerHeartbeat{rebalanceTimeout: a.rebalanceTimeout}, nil)
	} else {
		r.updateMember(p, m, nil)
	}
	p.rebalanceTimeout, p.sessionTimeout, p.revokeDeadline = a.rebalanceTimeout, a.sessionTimeout, time.Time{}
	r.refreshTopics(now)
	r.updateTargets(now)
	r.reconcileMember(now, p, resolvePartitions(r.topics, sub.owned), true)
	r.restartSession(now, p)
	p.syncDeadline = now.Add(p.rebalanceTimeout)
	r.scheduleDeadline(p.syncDeadline)
	out := joinResult{generation: p.epoch, protocolType: protocolTypeConsumer, protocol: a.protocols[0].Name, id: m.ID}
	r.writeBuffer.deferReply(func(code int16) {
		if code != noError {
			out = joinResult{code: code, generation: noGeneration, id: m.ID}
		}
		a.call.reply(out)
	})
}

// findJoiningMember finds the member that sent a JoinGroup; nil without an
// error code is a new member.
func (r *consumerGroup) findJoiningMember(a *joinRequest) (*consumerGroupMember, int16) {
	if a.instance != "" {
		owner, known := r.instances[a.instance]
		switch {
		case !known && a.id != "":
			return nil, kerr.UnknownMemberID.Code
		case !known:
			return nil, noError
		case a.id != "" && a.id != owner:
			return nil, kerr.FencedInstanceID.Code
		case a.id == "":
			p := r.members[owner]
			r.replaceStatic(p, a.newID)
			return p, noError
		}
		return r.members[owner], noError
	}
	return r.members[cmp.Or(a.id, a.newID)], noError
}

// findClassicMember finds a member that uses the classic protocol, and checks
// its instance id.
func (r *consumerGroup) findClassicMember(id, instance string) (*consumerGroupMember, int16) {
	if instance != "" {
		switch owner, ok := r.instances[instance]; {
		case !ok:
			return nil, kerr.UnknownMemberID.Code
		case owner != id:
			return nil, kerr.FencedInstanceID.Code
		}
	}
	if p := r.members[id]; p != nil && p.isClassic() {
		return p, noError
	}
	return nil, kerr.UnknownMemberID.Code
}

// mustRejoin reports whether a classic member has to rejoin: for a new target,
// to give up partitions, or to take some that became free.
func (r *consumerGroup) mustRejoin(p *consumerGroupMember) bool {
	return p.epoch < r.assignmentEpoch || p.state == metadata.MemberRevoking || p.state == metadata.MemberWaiting && !r.isStillWaiting(p)
}

// handleClassicHeartbeat handles a classic member's Heartbeat.
func (r *consumerGroup) handleClassicHeartbeat(now time.Time, id, instance string, generation int32) int16 {
	p, code := r.findClassicMember(id, instance)
	switch {
	case code != noError:
		return code
	case generation != p.epoch:
		return kerr.IllegalGeneration.Code
	}
	r.restartSession(now, p)
	r.beginEvent()
	r.refreshTopics(now)
	r.updateTargets(now)
	if !r.mustRejoin(p) {
		return noError
	}
	if p.revokeDeadline.IsZero() {
		r.setRevokeDeadline(now, p) // it has to join within its rebalance timeout
	}
	return kerr.RebalanceInProgress.Code
}

// handleClassicSync handles a classic member's SyncGroup. A member that has to
// give up partitions has joined already; a cooperative one learns from this
// response, and from nothing else, which ones.
func (r *consumerGroup) handleClassicSync(now time.Time, a *syncRequest) {
	p, code := r.findClassicMember(a.id, a.instance)
	switch {
	case code != noError:
	case a.generation != p.epoch:
		code = kerr.IllegalGeneration.Code
	case a.protocolType != nil && *a.protocolType != protocolTypeConsumer, a.protocol != nil && *a.protocol != p.info.Protocols[0].Name:
		code = kerr.InconsistentGroupProtocol.Code
	case p.epoch < r.assignmentEpoch && p.state != metadata.MemberRevoking:
		code = kerr.RebalanceInProgress.Code
	}
	if code != noError {
		a.call.reply(syncResult{code: code})
		return
	}
	p.syncDeadline = time.Time{}
	r.restartSession(now, p)
	out := syncResult{protocolType: protocolTypeConsumer, protocol: p.info.Protocols[0].Name, assignment: r.encodeAssignment(p)}
	r.writeBuffer.deferReply(func(code int16) {
		if code != noError {
			out = syncResult{code: code}
		}
		a.call.reply(out)
	})
}

// maxAssignmentVersion is the newest version of the consumer protocol's
// assignment; all versions begin alike.
const maxAssignmentVersion = 3

// encodeAssignment encodes a member's assignment for classic consumers.
func (r *consumerGroup) encodeAssignment(p *consumerGroupMember) []byte {
	names := make(map[metadata.TopicID]string, len(r.subscriptions.topics))
	for name, t := range r.subscriptions.topics {
		names[t.id] = name
	}
	out := kmsg.NewConsumerMemberAssignment()
	if sub, ok := readSubscription(p.info.Protocols[0].Metadata); ok {
		out.Version = min(sub.version, maxAssignmentVersion)
	}
	for _, t := range groupByTopic(p.assigned) {
		if name, known := names[t.id]; known {
			a := kmsg.NewConsumerMemberAssignmentTopic()
			a.Topic, a.Partitions = name, t.partitions
			out.Topics = append(out.Topics, a)
		}
	}
	return out.AppendTo(nil)
}

// topicPartitions is a topic with some of its partitions.
type topicPartitions struct {
	id         metadata.TopicID
	partitions []int32
}

func groupByTopic(set partitionSet) (out []topicPartitions) {
	for _, tp := range set {
		if n := len(out); n == 0 || out[n-1].id != tp.Topic {
			out = append(out, topicPartitions{id: tp.Topic})
		}
		t := &out[len(out)-1]
		t.partitions = append(t.partitions, int32(tp.Partition))
	}
	return out
}

// handleLeave handles one member of a LeaveGroup, of either protocol, as Kafka
// does: by its id, or a static one by its instance id alone (admin tools).
func (r *consumerGroup) handleLeave(now time.Time, id, instance string) int16 {
	if id == "" && instance != "" {
		id = r.instances[instance]
	}
	p := r.members[id]
	switch owner, known := r.instances[instance]; {
	case instance != "" && !known, p == nil && instance == "":
		return kerr.UnknownMemberID.Code
	case instance != "" && owner != id:
		return kerr.FencedInstanceID.Code
	}
	r.fenceMember(now, p)
	return noError
}
