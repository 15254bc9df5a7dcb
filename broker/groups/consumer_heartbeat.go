package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// consumerHeartbeat is a ConsumerGroupHeartbeat that passed the checks which
// need no group. Fields that are nil are unchanged.
type consumerHeartbeat struct {
	id, newID                   string // newID is used for a new member without an id (version 0)
	clientID, host              string
	epoch                       int32
	instance                    string
	rack                        *string
	rebalanceTimeout            time.Duration // negative: unchanged
	topicNames                  []string
	regex, assignor             *string
	owned                       partitionSet
	timeouts                    memberTimeouts
	reportsOwned, isFullRequest bool
	reply                       func(consumerHeartbeatResult)
}

// consumerHeartbeatResult is the response to a heartbeat.
type consumerHeartbeatResult struct {
	code          int16
	text          string
	id            string
	epoch         int32
	interval      time.Duration
	hasAssignment bool // the response has an assignment
	assigned      partitionSet
}

func (b *consumerHeartbeat) replyError(code int16, format string, args ...any) {
	b.reply(consumerHeartbeatResult{code: code, text: fmt.Sprintf(format, args...)})
}

// Special member epochs.
const (
	epochJoin  = 0
	epochLeave = -1
)

// handleConsumerHeartbeat handles a ConsumerGroupHeartbeat. The response is
// sent when the state in it is written.
func (r *consumerGroup) handleConsumerHeartbeat(now time.Time, b *consumerHeartbeat) {
	r.timeouts = b.timeouts
	r.beginEvent()
	if !r.writeBuffer.retryAt.IsZero() && now.Before(r.writeBuffer.retryAt) {
		// The last write failed: nothing changes until it succeeds. Members
		// keep their sessions.
		if p := r.members[b.id]; p != nil {
			r.restartSession(now, p)
		}
		b.replyError(kerr.CoordinatorNotAvailable.Code, "the group's state cannot be written now, retry later")
		return
	}
	if b.epoch < 0 {
		r.handleHeartbeatLeave(now, b)
		return
	}
	p, ok := r.resolveMember(now, b)
	if !ok {
		return
	}
	before := p.assigned
	r.refreshTopics(now)
	r.updateTargets(now)
	r.reconcileMember(now, p, b.owned, b.reportsOwned)
	r.restartSession(now, p)
	out := consumerHeartbeatResult{id: p.info.ID, epoch: p.epoch, interval: r.timeouts.heartbeat, assigned: p.assigned,
		hasAssignment: b.isFullRequest || b.epoch == epochJoin || !p.assigned.equal(before)}
	r.writeBuffer.deferReply(func(code int16) {
		if code != noError {
			out = consumerHeartbeatResult{code: code, text: "the group's state could not be written"}
		}
		b.reply(out)
	})
}

// resolveMember finds or adds the member, and updates its description. If it
// returns false, the heartbeat was refused.
func (r *consumerGroup) resolveMember(now time.Time, b *consumerHeartbeat) (*consumerGroupMember, bool) {
	p, code, text := r.findMember(b)
	if code != noError {
		b.replyError(code, "%s", text)
		return nil, false
	}
	next := r.mergeMemberInfo(p, b)
	pattern, err := r.subscriptions.compileNewPattern(next.Regex, r.topics)
	if err != nil {
		b.replyError(kerr.InvalidRegularExpression.Code, "%v", err)
		return nil, false
	}
	if code, text := r.checkCapacity(p, &next); code != noError {
		// Clients show the message of INVALID_REQUEST.
		b.replyError(pickCode(code == kerr.MessageTooLarge.Code, kerr.InvalidRequest.Code, code), "%s", text)
		return nil, false
	}
	if p == nil {
		return r.addNewMember(next, b, pattern), true
	}
	r.updateMember(p, next, pattern)
	if b.rebalanceTimeout >= 0 {
		p.rebalanceTimeout = b.rebalanceTimeout
	}
	return p, true
}

// findMember finds the member that sent a heartbeat; nil without an error code
// is a new member.
func (r *consumerGroup) findMember(b *consumerHeartbeat) (p *consumerGroupMember, code int16, text string) {
	if b.instance != "" {
		return r.findStaticMember(b)
	}
	p = r.members[b.id]
	switch {
	case p == nil && b.epoch == epochJoin:
		return nil, noError, ""
	case p == nil:
		return nil, kerr.UnknownMemberID.Code, "the group has no such member"
	}
	if !r.isEpochValid(p, b) {
		return nil, kerr.FencedMemberEpoch.Code, fmt.Sprintf("member epoch %d does not match the group's %d: release all partitions and rejoin", b.epoch, p.epoch)
	}
	return p, noError, ""
}

func (r *consumerGroup) findStaticMember(b *consumerHeartbeat) (p *consumerGroupMember, code int16, text string) {
	owner, known := r.instances[b.instance]
	if !known {
		if b.epoch == epochJoin {
			return nil, noError, ""
		}
		return nil, kerr.UnknownMemberID.Code, "the group has no such instance"
	}
	p = r.members[owner]
	if b.epoch != epochJoin && owner != b.id {
		return nil, kerr.FencedInstanceID.Code, "another member has the instance id"
	}
	if b.epoch != epochJoin {
		if p.leftTemporarily || !r.isEpochValid(p, b) {
			return nil, kerr.FencedMemberEpoch.Code, fmt.Sprintf("member epoch %d does not match the group's %d: release all partitions and rejoin", b.epoch, p.epoch)
		}
		return p, noError, ""
	}
	if !p.leftTemporarily && owner != b.id && !p.isClassic() {
		return nil, kerr.UnreleasedInstanceID.Code, "the instance id is still in use by member " + owner
	}
	r.replaceStatic(p, b.id)
	return p, noError, ""
}

// isEpochValid checks a member's epoch: the current one, the previous one of a
// member that lost the response (it can own only partitions assigned to it), or
// none.
func (r *consumerGroup) isEpochValid(p *consumerGroupMember, b *consumerHeartbeat) bool {
	if b.epoch == epochJoin || b.epoch == p.epoch {
		return true
	}
	return b.epoch == p.previousEpoch && b.epoch < p.epoch && b.reportsOwned && b.owned.isSubsetOf(p.assigned)
}

// replaceStatic replaces a static member by a new one, with all of its
// partitions.
func (r *consumerGroup) replaceStatic(p *consumerGroupMember, id string) {
	r.releasePartitions(p, p.revoking)
	if id != p.info.ID {
		has := r.ranges(p.assigned)
		r.removeMember(p)
		p.info.ID = id
		p.pattern, _ = r.subscriptions.compileNewPattern(p.info.Regex, r.topics)
		r.addMember(p)
		r.holdRanges(p, has)
	}
	r.reconciledMembers -= boolToInt(r.isReconciled(p))
	p.leftTemporarily, p.revokeDeadline = false, time.Time{}
	p.previousEpoch, p.epoch, p.state, p.revoking = p.epoch, epochJoin, metadata.MemberStable, nil
	r.reconciledMembers += boolToInt(r.isReconciled(p))
	r.writeBuffer.markMember(id)
}

// mergeMemberInfo returns the member's description after this heartbeat.
func (r *consumerGroup) mergeMemberInfo(p *consumerGroupMember, b *consumerHeartbeat) metadata.ConsumerMember {
	m := metadata.ConsumerMember{ID: b.id, InstanceID: b.instance}
	if p != nil {
		m = p.info
	} else if b.id == "" {
		m.ID = b.newID
	}
	m.ClientID, m.ClientHost = b.clientID, b.host
	m.SessionTimeoutMs, m.Protocols = 0, nil
	if b.rebalanceTimeout >= 0 {
		m.RebalanceTimeoutMs = int32(b.rebalanceTimeout / time.Millisecond)
	}
	if b.rack != nil {
		m.RackID = *b.rack
	}
	if b.topicNames != nil {
		m.Topics = slices.Compact(slices.Sorted(slices.Values(b.topicNames)))
	}
	if b.regex != nil {
		m.Regex = *b.regex
	}
	if b.assignor != nil {
		m.Assignor = *b.assignor
	}
	return m
}

// addNewMember adds a new member.
func (r *consumerGroup) addNewMember(m metadata.ConsumerMember, b *consumerHeartbeat, pattern *topicPattern) *consumerGroupMember {
	p := &consumerGroupMember{info: m, rebalanceTimeout: b.rebalanceTimeout, pattern: pattern}
	r.addMember(p)
	r.writeBuffer.markMember(m.ID)
	r.bumpEpoch()
	return p
}

// updateMember updates a member's description; another subscription or assignor
// bumps the epoch.
func (r *consumerGroup) updateMember(p *consumerGroupMember, next metadata.ConsumerMember, pattern *topicPattern) {
	old := p.info
	if isSameMember(&old, &next) {
		return
	}
	r.subscriptions.removeMember(&old)
	r.bytes += consumerMemberBytes(&next) - consumerMemberBytes(&old)
	r.classicMembers -= boolToInt(p.isClassic())
	p.info = next
	r.classicMembers += boolToInt(p.isClassic())
	r.subscriptions.addMember(&p.info, pattern)
	if p.isClassic() != (old.SessionTimeoutMs > 0) {
		p.syncDeadline = time.Time{}
	}
	r.writeBuffer.markInfo(p.info.ID)
	if !slices.Equal(old.Topics, next.Topics) || old.Regex != next.Regex || old.Assignor != next.Assignor || old.RackID != next.RackID {
		r.bumpEpoch()
	}
}

func isSameMember(a, b *metadata.ConsumerMember) bool {
	return a.ID == b.ID && a.InstanceID == b.InstanceID && a.RackID == b.RackID && a.ClientID == b.ClientID &&
		a.ClientHost == b.ClientHost && a.RebalanceTimeoutMs == b.RebalanceTimeoutMs && slices.Equal(a.Topics, b.Topics) &&
		a.Regex == b.Regex && a.Assignor == b.Assignor && a.SessionTimeoutMs == b.SessionTimeoutMs && haveSameProtocols(a.Protocols, b.Protocols)
}

// handleHeartbeatLeave handles a member that leaves: for good, or as a static
// member that may return and keeps its partitions until its session ends.
func (r *consumerGroup) handleHeartbeatLeave(now time.Time, b *consumerHeartbeat) {
	p := r.members[b.id]
	if b.instance != "" {
		owner, known := r.instances[b.instance]
		switch {
		case !known:
			b.replyError(kerr.UnknownMemberID.Code, "the group has no such instance")
			return
		case owner != b.id:
			b.replyError(kerr.FencedInstanceID.Code, "another member has the instance id")
			return
		}
	}
	if p == nil {
		b.replyError(kerr.UnknownMemberID.Code, "the group has no such member")
		return
	}
	if b.epoch == epochLeaveStatic {
		p.leftTemporarily, p.revokeDeadline = true, time.Time{}
		r.setMemberState(p, assignmentState{epochLeaveStatic, metadata.MemberStable, p.assigned, nil})
		r.claimPartitions(p, p.assigned, 0) // its epochs end here: its successor commits under any epoch, as in Kafka
	} else {
		r.fenceMember(now, p)
	}
	out := consumerHeartbeatResult{id: b.id, epoch: b.epoch}
	r.writeBuffer.deferReply(func(code int16) {
		if code != noError {
			out = consumerHeartbeatResult{code: code, text: "the group's state could not be written"}
		}
		b.reply(out)
	})
}
