package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// beat is a ConsumerGroupHeartbeat, checked for what needs no group. What is
// nil is as the member said before.
type beat struct {
	id, newID         string // newID is taken by a newcomer without an id (version 0)
	clientID, host    string
	epoch             int32
	instance          string
	rack              *string
	rebalance         time.Duration // negative: as before
	names             []string
	regex, assignor   *string
	owned             parts
	times             memberTimes
	saysOwned, isFull bool
	reply             func(beatResult)
}

// beatResult answers a beat.
type beatResult struct {
	code     int16
	text     string
	id       string
	epoch    int32
	interval time.Duration
	told     bool // assignment is in the answer
	has      parts
}

func (b *beat) refuse(code int16, format string, args ...any) {
	b.reply(beatResult{code: code, text: fmt.Sprintf(format, args...)})
}

// The member epochs with a meaning of their own.
const (
	epochJoin  = 0
	epochLeave = -1
)

// beat handles a ConsumerGroupHeartbeat. It is answered when what the answer
// says is written.
func (r *roster) beat(now time.Time, b *beat) {
	r.times = b.times
	r.begin()
	if !r.book.retry.IsZero() && now.Before(r.book.retry) {
		// What the member would be told could not be written lately: nothing
		// moves on before that is. Who is here stays.
		if p := r.members[b.id]; p != nil {
			r.touch(now, p)
		}
		b.refuse(codeNotAvailable, "the group's state cannot be written at the moment")
		return
	}
	if b.epoch < 0 {
		r.beatLeave(now, b)
		return
	}
	p, ok := r.beatMember(now, b)
	if !ok {
		return
	}
	before := p.assigned
	r.refresh(now)
	r.settle(now)
	r.reconcile(now, p, b.owned, b.saysOwned)
	r.touch(now, p)
	out := beatResult{id: p.info.ID, epoch: p.epoch, interval: r.times.heartbeat, has: p.assigned,
		told: b.isFull || b.epoch == epochJoin || !p.assigned.equal(before)}
	r.book.hold(func(code int16) {
		if code != codeOK {
			out = beatResult{code: code, text: "the group's state could not be written"}
		}
		b.reply(out)
	})
}

// beatMember finds the member that speaks, or makes it, and takes what it says
// of itself. Where it answers false the beat was refused.
func (r *roster) beatMember(now time.Time, b *beat) (*participant, bool) {
	p, code, text := r.speaker(b)
	if code != codeOK {
		b.refuse(code, "%s", text)
		return nil, false
	}
	next := r.described(p, b)
	pattern, err := r.subs.admit(next.Regex, r.topics)
	if err != nil {
		b.refuse(codeInvalidRegex, "%v", err)
		return nil, false
	}
	if code, text := r.admits(p, &next); code != codeOK {
		// Clients show the text that comes with INVALID_REQUEST.
		b.refuse(pickCode(code == codeMessageTooLarge, codeInvalidRequest, code), "%s", text)
		return nil, false
	}
	if p == nil {
		return r.welcome(next, b, pattern), true
	}
	r.describe(p, next, pattern)
	if b.rebalance >= 0 {
		p.rebalance = b.rebalance
	}
	return p, true
}

// speaker finds the member that a beat comes from; nil without a code is a
// newcomer.
func (r *roster) speaker(b *beat) (p *participant, code int16, text string) {
	if b.instance != "" {
		return r.staticSpeaker(b)
	}
	p = r.members[b.id]
	switch {
	case p == nil && b.epoch == epochJoin:
		return nil, codeOK, ""
	case p == nil:
		return nil, codeUnknownMember, "the group has no such member"
	}
	if !r.mayBeat(p, b) {
		return nil, codeFencedEpoch, fmt.Sprintf("member epoch %d, the group knows %d: give up all partitions and join again", b.epoch, p.epoch)
	}
	return p, codeOK, ""
}

func (r *roster) staticSpeaker(b *beat) (p *participant, code int16, text string) {
	owner, known := r.instances[b.instance]
	if !known {
		if b.epoch == epochJoin {
			return nil, codeOK, ""
		}
		return nil, codeUnknownMember, "the group has no such instance"
	}
	p = r.members[owner]
	if b.epoch != epochJoin && owner != b.id {
		return nil, codeFencedInstance, "another member has the instance id"
	}
	if b.epoch != epochJoin {
		if p.away || !r.mayBeat(p, b) {
			return nil, codeFencedEpoch, fmt.Sprintf("member epoch %d, the group knows %d: give up all partitions and join again", b.epoch, p.epoch)
		}
		return p, codeOK, ""
	}
	if !p.away && owner != b.id && !p.classic() {
		return nil, codeUnreleasedInstance, "the instance id is still in use by member " + owner
	}
	r.succeed(p, b.id)
	return p, codeOK, ""
}

// mayBeat checks a member's epoch: the present one, the one before by a member
// that lost the answer (it can own nothing but what it has), or none at all.
func (r *roster) mayBeat(p *participant, b *beat) bool {
	if b.epoch == epochJoin || b.epoch == p.epoch {
		return true
	}
	return b.epoch == p.previous && b.epoch < p.epoch && b.saysOwned && b.owned.within(p.assigned)
}

// succeed lets a new member take a static one's place, with all it has.
func (r *roster) succeed(p *participant, id string) {
	r.release(p, p.revoking)
	if id != p.info.ID {
		has := r.ranges(p.assigned)
		r.leave(p)
		p.info.ID = id
		p.pattern, _ = r.subs.admit(p.info.Regex, r.topics)
		r.enter(p)
		r.holdRanges(p, has)
	}
	r.settled -= b2i(r.atRest(p))
	p.away, p.revokeBy = false, time.Time{}
	p.previous, p.epoch, p.state, p.revoking = p.epoch, epochJoin, metadata.MemberStable, nil
	r.settled += b2i(r.atRest(p))
	r.book.put(id)
}

// described is the member as it now describes itself.
func (r *roster) described(p *participant, b *beat) metadata.ConsumerMember {
	m := metadata.ConsumerMember{ID: b.id, InstanceID: b.instance}
	if p != nil {
		m = p.info
	} else if b.id == "" {
		m.ID = b.newID
	}
	m.ClientID, m.ClientHost = b.clientID, b.host
	m.SessionTimeoutMs, m.Protocols = 0, nil
	if b.rebalance >= 0 {
		m.RebalanceTimeoutMs = int32(b.rebalance / time.Millisecond)
	}
	if b.rack != nil {
		m.RackID = *b.rack
	}
	if b.names != nil {
		m.Topics = slices.Compact(slices.Sorted(slices.Values(b.names)))
	}
	if b.regex != nil {
		m.Regex = *b.regex
	}
	if b.assignor != nil {
		m.Assignor = *b.assignor
	}
	return m
}

// welcome makes a newcomer a member.
func (r *roster) welcome(m metadata.ConsumerMember, b *beat, pattern *pattern) *participant {
	p := &participant{info: m, rebalance: b.rebalance, pattern: pattern}
	r.enter(p)
	r.book.put(m.ID)
	r.bump()
	return p
}

// describe takes what a member now says of itself; another subscription or
// assignor asks for another target.
func (r *roster) describe(p *participant, next metadata.ConsumerMember, pattern *pattern) {
	old := p.info
	if sameMember(&old, &next) {
		return
	}
	r.subs.remove(&old)
	r.bytes += participantBytes(&next) - participantBytes(&old)
	r.classics -= b2i(p.classic())
	p.info = next
	r.classics += b2i(p.classic())
	r.subs.add(&p.info, pattern)
	if p.classic() != (old.SessionTimeoutMs > 0) {
		p.syncBy = time.Time{}
	}
	r.book.told(p.info.ID)
	if !slices.Equal(old.Topics, next.Topics) || old.Regex != next.Regex || old.Assignor != next.Assignor || old.RackID != next.RackID {
		r.bump()
	}
}

func sameMember(a, b *metadata.ConsumerMember) bool {
	return a.ID == b.ID && a.InstanceID == b.InstanceID && a.RackID == b.RackID && a.ClientID == b.ClientID &&
		a.ClientHost == b.ClientHost && a.RebalanceTimeoutMs == b.RebalanceTimeoutMs && slices.Equal(a.Topics, b.Topics) &&
		a.Regex == b.Regex && a.Assignor == b.Assignor && a.SessionTimeoutMs == b.SessionTimeoutMs && sameProtocols(a.Protocols, b.Protocols)
}

// beatLeave handles a member that goes: for good, or a static one that said it
// will be back and keeps what it has until its session ends.
func (r *roster) beatLeave(now time.Time, b *beat) {
	p := r.members[b.id]
	if b.instance != "" {
		owner, known := r.instances[b.instance]
		switch {
		case !known:
			b.refuse(codeUnknownMember, "the group has no such instance")
			return
		case owner != b.id:
			b.refuse(codeFencedInstance, "another member has the instance id")
			return
		}
	}
	if p == nil {
		b.refuse(codeUnknownMember, "the group has no such member")
		return
	}
	if b.epoch == epochAway {
		p.away, p.revokeBy = true, time.Time{}
		r.set(p, standing{epochAway, metadata.MemberStable, p.assigned, nil})
		r.hold(p, p.assigned, 0) // its epochs end here: who takes its place commits under any, as at Kafka
	} else {
		r.fence(now, p)
	}
	out := beatResult{id: b.id, epoch: b.epoch}
	r.book.hold(func(code int16) {
		if code != codeOK {
			out = beatResult{code: code, text: "the group's state could not be written"}
		}
		b.reply(out)
	})
}

// mayCommit checks an OffsetCommit of the listed positions against members and
// their epochs.
func (r *roster) mayCommit(id string, epoch int32, version int16, list []pendingOffset) int16 {
	if epoch < 0 && len(r.members) == 0 {
		return codeOK
	}
	p := r.members[id]
	switch {
	case p == nil:
		return codeUnknownMember
	case !p.classic() && version < 9:
		return codeUnsupportedVersion
	case !r.isCurrent(p, epoch, list):
		return pickCode(p.classic(), codeIllegalGeneration, codeStaleEpoch)
	}
	return codeOK
}

// mayCommitTxn checks a TxnOffsetCommit, which knows stale epochs from version
// 6 on (KIP-1319). version is that of the OffsetCommit with the same codes.
func (r *roster) mayCommitTxn(id, instance string, epoch int32, version int16, list []pendingOffset) int16 {
	if epoch < 0 && (len(r.members) == 0 || id == "" && instance == "") {
		return codeOK
	}
	switch p := r.members[id]; {
	case p == nil:
		return codeUnknownMember
	case !r.isCurrent(p, epoch, list):
		return pickCode(p.classic() || version < 9, codeIllegalGeneration, codeStaleEpoch)
	}
	return codeOK
}

// isCurrent reports whether a member may commit the listed positions under an
// epoch: its own, or an older one where it has had every one of the partitions
// since then (KIP-1251). Its epoch may rise while a commit is on its way, and a
// partition that it never gave up was nobody else's.
func (r *roster) isCurrent(p *participant, epoch int32, list []pendingOffset) bool {
	if epoch >= p.epoch {
		return epoch == p.epoch
	}
	return !slices.ContainsFunc(list, func(o pendingOffset) bool {
		h := r.owner[metadata.TopicPartition{Topic: o.Topic, Partition: o.Partition}]
		return h.member != p.info.ID || epoch < h.since
	})
}

// mayFetch checks an OffsetFetch that says who asks (version 9).
func (r *roster) mayFetch(id *string, epoch int32) int16 {
	if id == nil && epoch < 0 {
		return codeOK
	}
	switch p := r.members[text(id)]; {
	case p == nil:
		return codeUnknownMember
	case epoch != p.epoch:
		return pickCode(p.classic(), codeIllegalGeneration, codeStaleEpoch)
	}
	return codeOK
}
