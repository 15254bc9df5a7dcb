package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// consumerHeartbeat is a ConsumerGroupHeartbeat, checked for what needs no group. What is
// nil is as the member said before.
type consumerHeartbeat struct {
	id, newID                   string // newID is taken by a newcomer without an id (version 0)
	clientID, host              string
	epoch                       int32
	instance                    string
	rack                        *string
	rebalanceTimeout            time.Duration // negative: as before
	topicNames                  []string
	regex, assignor             *string
	owned                       partitionSet
	timeouts                    memberTimeouts
	reportsOwned, isFullRequest bool
	reply                       func(consumerHeartbeatResult)
}

// consumerHeartbeatResult answers a beat.
type consumerHeartbeatResult struct {
	code          int16
	text          string
	id            string
	epoch         int32
	interval      time.Duration
	hasAssignment bool // assignment is in the answer
	assigned      partitionSet
}

func (b *consumerHeartbeat) replyError(code int16, format string, args ...any) {
	b.reply(consumerHeartbeatResult{code: code, text: fmt.Sprintf(format, args...)})
}

// The member epochs with a meaning of their own.
const (
	epochJoin  = 0
	epochLeave = -1
)

// handleConsumerHeartbeat handles a ConsumerGroupHeartbeat. It is answered when what the answer
// says is written.
func (r *consumerGroup) handleConsumerHeartbeat(now time.Time, b *consumerHeartbeat) {
	r.timeouts = b.timeouts
	r.beginEvent()
	if !r.writeBuffer.retryAt.IsZero() && now.Before(r.writeBuffer.retryAt) {
		// What the member would be told could not be written lately: nothing
		// moves on before that is. Who is here stays.
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

// resolveMember finds the member that speaks, or makes it, and takes what it says
// of itself. Where it answers false the beat was refused.
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
		// Clients show the text that comes with INVALID_REQUEST.
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

// findMember finds the member that a beat comes from; nil without a code is a
// newcomer.
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
		if p.leftForNow || !r.isEpochValid(p, b) {
			return nil, kerr.FencedMemberEpoch.Code, fmt.Sprintf("member epoch %d does not match the group's %d: release all partitions and rejoin", b.epoch, p.epoch)
		}
		return p, noError, ""
	}
	if !p.leftForNow && owner != b.id && !p.isClassic() {
		return nil, kerr.UnreleasedInstanceID.Code, "the instance id is still in use by member " + owner
	}
	r.replaceStatic(p, b.id)
	return p, noError, ""
}

// isEpochValid checks a member's epoch: the present one, the one before by a member
// that lost the answer (it can own nothing but what it has), or none at all.
func (r *consumerGroup) isEpochValid(p *consumerGroupMember, b *consumerHeartbeat) bool {
	if b.epoch == epochJoin || b.epoch == p.epoch {
		return true
	}
	return b.epoch == p.previousEpoch && b.epoch < p.epoch && b.reportsOwned && b.owned.isSubsetOf(p.assigned)
}

// replaceStatic lets a new member take a static one's place, with all it has.
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
	p.leftForNow, p.revokeDeadline = false, time.Time{}
	p.previousEpoch, p.epoch, p.state, p.revoking = p.epoch, epochJoin, metadata.MemberStable, nil
	r.reconciledMembers += boolToInt(r.isReconciled(p))
	r.writeBuffer.markMember(id)
}

// mergeMemberInfo is the member as it now describes itself.
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

// addNewMember makes a newcomer a member.
func (r *consumerGroup) addNewMember(m metadata.ConsumerMember, b *consumerHeartbeat, pattern *topicPattern) *consumerGroupMember {
	p := &consumerGroupMember{info: m, rebalanceTimeout: b.rebalanceTimeout, pattern: pattern}
	r.addMember(p)
	r.writeBuffer.markMember(m.ID)
	r.bumpEpoch()
	return p
}

// updateMember takes what a member now says of itself; another subscription or
// assignor asks for another target.
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

// handleHeartbeatLeave handles a member that goes: for good, or a static one that said it
// will be back and keeps what it has until its session ends.
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
		p.leftForNow, p.revokeDeadline = true, time.Time{}
		r.setMemberState(p, assignmentState{epochLeaveStatic, metadata.MemberStable, p.assigned, nil})
		r.claimPartitions(p, p.assigned, 0) // its epochs end here: who takes its place commits under any, as at Kafka
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
