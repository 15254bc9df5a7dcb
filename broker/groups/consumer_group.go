package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// consumerGroup is the state machine of one group of the consumer protocol
// (KIP-848). The coordinator computes a target assignment for every member, and
// each heartbeat moves its member a step towards it: first it revokes
// partitions, then it assigns what others gave up. Like classicGroup it is
// pure: methods take the current time, change the state and queue writes;
// responses wait until the writes are done.
//
// The group's epoch is bumped by every change that needs new targets; the
// targets belong to the assignment epoch; a member's own epoch says which
// targets it has reached.
type consumerGroup struct {
	name     string
	limits   limits
	timeouts memberTimeouts
	topics   topicSource

	epoch, assignmentEpoch int32
	members                map[string]*consumerGroupMember
	instances              map[string]string                   // instance id -> member id
	owners                 map[metadata.TopicPartition]holding // the owner of a partition, until it has given it up
	subscriptions          subscriptions
	bytes                  int       // of all members
	classicMembers         int       // members of the classic protocol
	reconciledMembers      int       // members that have reached the assignment epoch
	epochBumped            bool      // by the current event
	nextAssignment         time.Time // large groups are not reassigned at every change
	nextDeadline           time.Time // not after the earliest deadline; zero if there is none

	writeBuffer writeBuffer // changes that are not written yet, and responses that wait for them
}

// memberTimeouts are a group's timeouts (group configs, else the broker's).
type memberTimeouts struct{ session, heartbeat time.Duration }

// consumerGroupMember is one member of the group.
type consumerGroupMember struct {
	info             metadata.ConsumerMember
	sessionTimeout   time.Duration // of a member of the classic protocol; others have the group's
	rebalanceTimeout time.Duration

	epoch, previousEpoch int32
	state                metadata.MemberState
	assigned, revoking   partitionSet
	target               partitionSet

	sessionDeadline time.Time     // end of its session
	revokeDeadline  time.Time     // when it must have given up partitions; zero: none to give up
	leftTemporarily bool          // a static member that left with epoch -2 and may return
	pattern         *topicPattern // of its regular expression, until addMember
	syncDeadline    time.Time     // when a classic member that joined must have sent SyncGroup; zero: it has
}

// isClassic reports whether the member uses the classic protocol.
func (p *consumerGroupMember) isClassic() bool { return p.info.SessionTimeoutMs > 0 }

// epochLeaveStatic is the epoch of a static member that left and may return.
const epochLeaveStatic = -2

func newConsumerGroup(name string, l limits, times memberTimeouts, topics topicSource) *consumerGroup {
	return &consumerGroup{name: name, limits: l, timeouts: times, topics: topics, members: map[string]*consumerGroupMember{},
		instances: map[string]string{}, owners: map[metadata.TopicPartition]holding{}, writeBuffer: newWriteBuffer()}
}

// loadMembers continues a written group: members keep epochs, partitions and
// targets, and their timers restart.
func (r *consumerGroup) loadMembers(head *metadata.ConsumerGroup, stored []metadata.MemberView, now time.Time) {
	r.epoch, r.assignmentEpoch, r.writeBuffer.groupStored = head.Epoch, head.AssignmentEpoch, true
	for i := range stored {
		v := &stored[i]
		p := &consumerGroupMember{info: v.ConsumerMember, sessionTimeout: time.Duration(v.SessionTimeoutMs) * time.Millisecond,
			rebalanceTimeout: time.Duration(v.RebalanceTimeoutMs) * time.Millisecond,
			epoch:            v.Assignment.Epoch, previousEpoch: v.Assignment.Previous, state: v.Assignment.State,
			target: metadata.Partitions(v.Target)}
		p.leftTemporarily = p.epoch == epochLeaveStatic
		p.pattern, _ = r.subscriptions.compileNewPattern(p.info.Regex, r.topics) // accepted before; if it no longer compiles, it matches nothing
		p.assigned, p.revoking = r.holdRanges(p, v.Assignment.Assigned), r.holdRanges(p, v.Assignment.Revoking)
		r.addMember(p)
		r.restartSession(now, p)
		if p.state == metadata.MemberRevoking {
			r.setRevokeDeadline(now, p)
		}
		r.writeBuffer.stored[p.info.ID] = true
	}
	r.updateKnownTopics(now)
	if r.epoch == r.assignmentEpoch && r.areTargetsOutdated() {
		r.bumpEpoch() // topics changed while no coordinator watched
	}
}

// addMember adds a member to the indexes and totals.
func (r *consumerGroup) addMember(p *consumerGroupMember) {
	r.members[p.info.ID] = p
	r.subscriptions.addMember(&p.info, p.pattern)
	p.pattern = nil
	if p.info.InstanceID != "" {
		r.instances[p.info.InstanceID] = p.info.ID
	}
	r.bytes += consumerMemberBytes(&p.info)
	r.classicMembers += boolToInt(p.isClassic())
	r.reconciledMembers += boolToInt(r.isReconciled(p))
}

// removeMember removes a member with its partitions.
func (r *consumerGroup) removeMember(p *consumerGroupMember) {
	r.releasePartitions(p, p.assigned.union(p.revoking))
	r.subscriptions.removeMember(&p.info)
	r.bytes -= consumerMemberBytes(&p.info)
	r.classicMembers -= boolToInt(p.isClassic())
	r.reconciledMembers -= boolToInt(r.isReconciled(p))
	delete(r.members, p.info.ID)
	if r.instances[p.info.InstanceID] == p.info.ID {
		delete(r.instances, p.info.InstanceID)
	}
	r.writeBuffer.markRemoved(p.info.ID)
}

// consumerMemberBytes is the size of a member in memory, without its
// partitions.
func consumerMemberBytes(m *metadata.ConsumerMember) int {
	n := memberOverheadBytes + len(m.ID) + len(m.InstanceID) + len(m.RackID) + len(m.ClientID) + len(m.ClientHost) + len(m.Regex) + len(m.Assignor)
	for _, t := range m.Topics {
		n += topicOverheadBytes + len(t)
	}
	for i := range m.Protocols {
		n += protocolOverheadBytes + len(m.Protocols[i].Name) + len(m.Protocols[i].Metadata)
	}
	return n
}

// sessionTimeout returns a member's session timeout.
func (r *consumerGroup) sessionTimeout(p *consumerGroupMember) time.Duration {
	if p.isClassic() {
		return p.sessionTimeout
	}
	return r.timeouts.session
}

func (r *consumerGroup) restartSession(now time.Time, p *consumerGroupMember) {
	p.sessionDeadline = now.Add(r.sessionTimeout(p))
	r.scheduleDeadline(p.sessionDeadline)
}

func (r *consumerGroup) scheduleDeadline(t time.Time) {
	if r.nextDeadline.IsZero() || t.Before(r.nextDeadline) {
		r.nextDeadline = t
	}
}

func (r *consumerGroup) setRevokeDeadline(now time.Time, p *consumerGroupMember) {
	p.revokeDeadline = now.Add(p.rebalanceTimeout)
	r.scheduleDeadline(p.revokeDeadline)
}

// sortedMemberIDs returns the sorted member ids.
func (r *consumerGroup) sortedMemberIDs() []string {
	out := make([]string, 0, len(r.members))
	for id := range r.members {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// beginEvent starts an event: its changes bump the epoch once at most.
func (r *consumerGroup) beginEvent() { r.epochBumped = false }

// bumpEpoch bumps the group's epoch, so that new targets are computed. Topic
// names in a new group count as a change of their own, as in Kafka 4.4: its
// first member is at epoch 2.
func (r *consumerGroup) bumpEpoch() {
	if !r.epochBumped {
		if r.epoch == 0 && len(r.subscriptions.named) > 0 {
			r.epoch++
		}
		r.epoch++
		r.epochBumped = true
	}
	r.writeBuffer.markGroup()
}

// isReconciled reports whether a member has reached the assignment epoch.
func (r *consumerGroup) isReconciled(p *consumerGroupMember) bool {
	return p.state == metadata.MemberStable && p.epoch == r.assignmentEpoch
}

// stateName returns Kafka's name of the group's state.
func (r *consumerGroup) stateName() string {
	switch {
	case len(r.members) == 0:
		return stateEmpty.String()
	case r.epoch > r.assignmentEpoch:
		return "Assigning"
	case r.reconciledMembers < len(r.members):
		return "Reconciling"
	}
	return stateStable.String()
}

// fenceMember removes a member; the next heartbeat of another member has its
// partitions reassigned.
func (r *consumerGroup) fenceMember(now time.Time, p *consumerGroupMember) {
	r.beginEvent()
	r.removeMember(p)
	r.refreshTopics(now)
	r.bumpEpoch()
	if len(r.members) == 0 {
		r.assignmentEpoch = r.epoch // no member is left to assign anything to
	}
}

// handleDeadlines handles the deadlines that have passed, and finds the next
// one.
func (r *consumerGroup) handleDeadlines(now time.Time) {
	for _, id := range r.sortedMemberIDs() {
		p := r.members[id]
		late := !now.Before(p.sessionDeadline)
		slow := !p.revokeDeadline.IsZero() && !now.Before(p.revokeDeadline) || !p.syncDeadline.IsZero() && !now.Before(p.syncDeadline)
		if late || slow {
			r.fenceMember(now, p)
		}
	}
	r.nextDeadline = r.findNextDeadline(now)
}

// findNextDeadline returns the earliest deadline; zero if there is none.
// Deadlines before now wait for something else: a heartbeat, or a write in
// flight.
func (r *consumerGroup) findNextDeadline(now time.Time) (at time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, p := range r.members {
		sooner(p.sessionDeadline)
		sooner(p.revokeDeadline)
		sooner(p.syncDeadline)
	}
	sooner(r.writeBuffer.retryAt)
	return at
}

// checkCapacity returns an error code if the group has no room for a member's
// description; p is nil for a new member.
func (r *consumerGroup) checkCapacity(p *consumerGroupMember, next *metadata.ConsumerMember) (code int16, text string) {
	had := 0
	if p != nil {
		had = consumerMemberBytes(&p.info)
	}
	switch n := consumerMemberRecordBytes(r.name, next); {
	case p == nil && len(r.members) >= r.limits.maxConsumers:
		return kerr.GroupMaxSizeReached.Code, "the group has reached its maximum number of members"
	case n > maxStoredBytes:
		return kerr.MessageTooLarge.Code, fmt.Sprintf("the member's description takes %d bytes, maximum %d", n, maxStoredBytes)
	case r.bytes-had+consumerMemberBytes(next) > r.limits.maxGroupBytes:
		return kerr.CoordinatorLoadInProgress.Code, "the group's memory limit is reached"
	}
	return noError, ""
}

// isIdle reports whether nothing is lost if the goroutine ends.
func (r *consumerGroup) isIdle() bool { return len(r.members) == 0 && r.writeBuffer.isDrained() }
