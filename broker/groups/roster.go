package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// roster is one group of the consumer protocol (KIP-848): the coordinator
// computes a target for every member, and each heartbeat brings its member a
// step towards it, first by taking partitions away, then by giving it what
// others gave up. Like machine it is pure: told what time it is, it changes
// itself and leaves behind what is to be written; answers wait until it is.
//
// The group's epoch rises with whatever asks for another target; the targets
// answer an epoch, assigned; a member's own epoch says which targets it has
// reached.
type roster struct {
	name   string
	limits limits
	times  memberTimes
	topics topicSource

	epoch, assigned int32
	members         map[string]*participant
	instances       map[string]string                   // instance id -> member id
	owner           map[metadata.TopicPartition]holding // who has a partition, or has not given it up
	subs            subscriptions
	bytes           int       // of all members
	classics        int       // members that speak the classic protocol
	settled         int       // members that have what the assignment's epoch gives them
	bumped          bool      // by the present event
	nextAssign      time.Time // large groups are not assigned anew at every change
	due             time.Time // not after the earliest deadline; zero: there is none

	book book // what is not written yet, and who waits for it
}

// holding is who has a partition, and since which epoch of that member: its
// commits under an epoch that is older than its own are good from that one on
// (KIP-1251).
type holding struct {
	member string
	since  int32
}

// memberTimes are the group's settings (GROUP configs, else the broker's).
type memberTimes struct{ session, heartbeat time.Duration }

// participant is one member of a roster.
type participant struct {
	info      metadata.ConsumerMember
	session   time.Duration // of a member that speaks the classic protocol; else the group's
	rebalance time.Duration

	epoch, previous    int32
	state              metadata.MemberState
	assigned, revoking parts
	target             parts

	expires  time.Time // its session's end
	revokeBy time.Time // when it must have given up; zero: nothing to give up
	away     bool      // a static member that said it will be back: nobody speaks for it
	pattern  *pattern  // of its expression, until it is in the books
	syncBy   time.Time // a classic member that joined must have asked for its assignment; zero: it did
}

// classic reports whether the member speaks the classic protocol.
func (p *participant) classic() bool { return p.info.SessionTimeoutMs > 0 }

// epochAway is the epoch of a static member that said it will be back.
const epochAway = -2

func newRoster(name string, l limits, times memberTimes, topics topicSource) *roster {
	return &roster{name: name, limits: l, times: times, topics: topics, members: map[string]*participant{},
		instances: map[string]string{}, owner: map[metadata.TopicPartition]holding{}, book: newBook()}
}

// load continues a stored group: members keep epochs, partitions and
// targets, and their timers restart in full.
func (r *roster) load(head *metadata.ConsumerGroup, stored []metadata.MemberView, now time.Time) {
	r.epoch, r.assigned, r.book.headStored = head.Epoch, head.AssignmentEpoch, true
	for i := range stored {
		v := &stored[i]
		p := &participant{info: v.ConsumerMember, session: time.Duration(v.SessionTimeoutMs) * time.Millisecond,
			rebalance: time.Duration(v.RebalanceTimeoutMs) * time.Millisecond,
			epoch:     v.Has.Epoch, previous: v.Has.Previous, state: v.Has.State,
			target: metadata.Partitions(v.Target)}
		p.away = p.epoch == epochAway
		p.pattern, _ = r.subs.admit(p.info.Regex, r.topics) // it was admitted before: where it no longer is, it matches nothing
		p.assigned, p.revoking = r.holdRanges(p, v.Has.Assigned), r.holdRanges(p, v.Has.Revoking)
		r.enter(p)
		r.touch(now, p)
		if p.state == metadata.MemberRevoking {
			r.mustRevoke(now, p)
		}
		r.book.stored[p.info.ID] = true
	}
	r.look(now)
	if r.epoch == r.assigned && r.outdated() {
		r.bump() // topics changed while nobody looked
	}
}

// enter puts a member into the books.
func (r *roster) enter(p *participant) {
	r.members[p.info.ID] = p
	r.subs.add(&p.info, p.pattern)
	p.pattern = nil
	if p.info.InstanceID != "" {
		r.instances[p.info.InstanceID] = p.info.ID
	}
	r.bytes += participantBytes(&p.info)
	r.classics += b2i(p.classic())
	r.settled += b2i(r.atRest(p))
}

// leave strikes a member out, and what it had with it.
func (r *roster) leave(p *participant) {
	r.release(p, p.assigned.plus(p.revoking))
	r.subs.remove(&p.info)
	r.bytes -= participantBytes(&p.info)
	r.classics -= b2i(p.classic())
	r.settled -= b2i(r.atRest(p))
	delete(r.members, p.info.ID)
	if r.instances[p.info.InstanceID] == p.info.ID {
		delete(r.instances, p.info.InstanceID)
	}
	r.book.gone(p.info.ID)
}

// hold and release keep who has which partition.
func (r *roster) hold(p *participant, set parts, since int32) {
	for _, tp := range set {
		r.owner[tp] = holding{p.info.ID, since}
	}
}

func (r *roster) release(p *participant, set parts) {
	for _, tp := range set {
		if r.owner[tp].member == p.info.ID {
			delete(r.owner, tp)
		}
	}
}

// holdRanges gives a member what is stored as its, and returns the partitions.
// Where two have one, because a write was cut off in the middle, it is the
// later one's.
func (r *roster) holdRanges(p *participant, list []metadata.HeldRange) (out parts) {
	for _, h := range list {
		set := h.Partitions()
		out = append(out, set...)
		r.hold(p, parts(set).keep(func(tp metadata.TopicPartition) bool { return h.Since >= r.owner[tp].since }), h.Since)
	}
	return out
}

// ranges is what a member has, as it is stored.
func (r *roster) ranges(set parts) []metadata.HeldRange {
	return metadata.HeldRanges(set, func(tp metadata.TopicPartition) int32 { return r.owner[tp].since })
}

// participantBytes is what a member takes in memory, its partitions apart.
func participantBytes(m *metadata.ConsumerMember) int {
	n := bytesOfMember + len(m.ID) + len(m.InstanceID) + len(m.RackID) + len(m.ClientID) + len(m.ClientHost) + len(m.Regex) + len(m.Assignor)
	for _, t := range m.Topics {
		n += bytesOfTopic + len(t)
	}
	for i := range m.Protocols {
		n += bytesOfProtocol + len(m.Protocols[i].Name) + len(m.Protocols[i].Metadata)
	}
	return n
}

// sessionOf is a member's session timeout.
func (r *roster) sessionOf(p *participant) time.Duration {
	if p.classic() {
		return p.session
	}
	return r.times.session
}

func (r *roster) touch(now time.Time, p *participant) {
	p.expires = now.Add(r.sessionOf(p))
	r.wake(p.expires)
}

func (r *roster) wake(t time.Time) {
	if r.due.IsZero() || t.Before(r.due) {
		r.due = t
	}
}

func (r *roster) mustRevoke(now time.Time, p *participant) {
	p.revokeBy = now.Add(p.rebalance)
	r.wake(p.revokeBy)
}

// ids returns the members' ids in order.
func (r *roster) ids() []string {
	out := make([]string, 0, len(r.members))
	for id := range r.members {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// begin begins an event: whatever it changes, it asks for one target.
func (r *roster) begin() { r.bumped = false }

// bump asks for another target. Topics by name in a new group are a change of
// their own, as Kafka 4.4 counts: its first member is at epoch 2.
func (r *roster) bump() {
	if !r.bumped {
		if r.epoch == 0 && len(r.subs.named) > 0 {
			r.epoch++
		}
		r.epoch++
		r.bumped = true
	}
	r.book.head()
}

// atRest reports whether a member has what the assignment's epoch gives it.
func (r *roster) atRest(p *participant) bool {
	return p.state == metadata.MemberStable && p.epoch == r.assigned
}

// state returns Kafka's name of the group's state.
func (r *roster) state() string {
	switch {
	case len(r.members) == 0:
		return stateEmpty.String()
	case r.epoch > r.assigned:
		return "Assigning"
	case r.settled < len(r.members):
		return "Reconciling"
	}
	return stateStable.String()
}

// fence strikes a member out; the next heartbeat of another has its partitions
// given away.
func (r *roster) fence(now time.Time, p *participant) {
	r.begin()
	r.leave(p)
	r.refresh(now)
	r.bump()
	if len(r.members) == 0 {
		r.assigned = r.epoch // nobody is left to be given anything
	}
}

// tick does what is due, and finds the next deadline.
func (r *roster) tick(now time.Time) {
	for _, id := range r.ids() {
		p := r.members[id]
		late := !now.Before(p.expires)
		slow := !p.revokeBy.IsZero() && !now.Before(p.revokeBy) || !p.syncBy.IsZero() && !now.Before(p.syncBy)
		if late || slow {
			r.fence(now, p)
		}
	}
	r.due = r.next(now)
}

// next is the earliest deadline; zero for none. What was due before now waits
// for something else: a heartbeat, or a write on its way.
func (r *roster) next(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range r.members {
		sooner(p.expires)
		sooner(p.revokeBy)
		sooner(p.syncBy)
	}
	sooner(r.book.retry)
	return at
}

// admits says why the group has no room for what a member says of itself; p is
// nil for a newcomer.
func (r *roster) admits(p *participant, next *metadata.ConsumerMember) (code int16, text string) {
	had := 0
	if p != nil {
		had = participantBytes(&p.info)
	}
	switch n := storedParticipant(r.name, next); {
	case p == nil && len(r.members) >= r.limits.consumers:
		return codeGroupMaxSize, "the group has as many members as it may"
	case n > maxStoredBytes:
		return codeMessageTooLarge, fmt.Sprintf("what the member says of itself takes %d bytes, and at most %d are written", n, maxStoredBytes)
	case r.bytes-had+participantBytes(next) > r.limits.groupBytes:
		return codeLoadInProgress, "the group's members say as much of themselves as they may"
	}
	return codeOK, ""
}

// idle reports whether nothing would be lost with the goroutine.
func (r *roster) idle() bool { return len(r.members) == 0 && r.book.clean() }
