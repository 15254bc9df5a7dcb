package groups

import (
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// reconcileMember moves a member towards its target as far as is safe now.
// Partitions outside the target are revoked first. Only when the member no
// longer reports them as owned does its epoch advance, and it gets the free
// partitions of its target. owned is what the member reports to own; without
// reported it sent no list, which means "as before".
func (r *consumerGroup) reconcileMember(now time.Time, p *consumerGroupMember, owned partitionSet, reported bool) {
	if p.state == metadata.MemberStable && p.epoch == r.assignmentEpoch && p.assigned.isSubsetOf(p.target) {
		return
	}
	if p.state == metadata.MemberRevoking && (!reported || owned.intersects(p.revoking)) {
		return
	}
	keep, drop := p.assigned.split(p.target)
	if len(drop) > 0 && (!reported || owned.intersects(drop)) {
		r.setMemberState(p, assignmentState{p.epoch, metadata.MemberRevoking, keep, drop})
		r.setRevokeDeadline(now, p)
		return
	}
	p.revokeDeadline = time.Time{}
	next := assignmentState{epoch: r.assignmentEpoch, state: metadata.MemberStable}
	wanted := p.target.subtract(keep)
	got := wanted.filter(func(tp metadata.TopicPartition) bool {
		holder, held := r.owners[tp]
		return !held || holder.member == p.info.ID
	})
	if len(got) < len(wanted) {
		next.state = metadata.MemberWaiting
	}
	next.assigned = keep.union(got)
	r.setMemberState(p, next)
}

// assignmentState is a member's epoch, state and partitions.
type assignmentState struct {
	epoch              int32
	state              metadata.MemberState
	assigned, revoking partitionSet
}

// setMemberState sets a member's state and queues its write. Partitions that it
// keeps or has to give up keep the epoch since which it owns them; all others,
// also those it had to give up before, are owned since its epoch now.
func (r *consumerGroup) setMemberState(p *consumerGroupMember, to assignmentState) {
	if p.epoch == to.epoch && p.state == to.state && p.assigned.equal(to.assigned) && p.revoking.equal(to.revoking) {
		return
	}
	given := to.assigned.subtract(p.assigned)
	r.releasePartitions(p, p.assigned.union(p.revoking).subtract(to.assigned.union(to.revoking)))
	r.reconciledMembers -= boolToInt(r.isReconciled(p))
	if p.epoch != to.epoch {
		p.previousEpoch = p.epoch
	}
	p.epoch, p.state, p.assigned, p.revoking = to.epoch, to.state, to.assigned, to.revoking
	r.reconciledMembers += boolToInt(r.isReconciled(p))
	r.claimPartitions(p, given, to.epoch)
	r.writeBuffer.markAssigned(p.info.ID)
}

// isStillWaiting reports whether a member that waits for partitions still has
// to wait.
func (r *consumerGroup) isStillWaiting(p *consumerGroupMember) bool {
	for _, tp := range p.target.subtract(p.assigned) {
		if holder, held := r.owners[tp]; !held || holder.member == p.info.ID {
			return false
		}
	}
	return true
}

// Groups of more than maxUnthrottledMembers members are reassigned at most once in
// assignDelayPerThousand per thousand members: otherwise each of thousands of
// members that join one by one would cost an assignment of the whole group.
const (
	maxUnthrottledMembers  = 256
	assignDelayPerThousand = time.Second
)

// updateTargets computes targets for the group's epoch.
func (r *consumerGroup) updateTargets(now time.Time) {
	if r.epoch <= r.assignmentEpoch {
		return
	}
	if now.Before(r.nextAssignment) {
		return
	}
	if n := len(r.members); n > maxUnthrottledMembers {
		r.nextAssignment = now.Add(assignDelayPerThousand * time.Duration(1+n/1000))
	}
	for id, target := range r.computeTargets() {
		p := r.members[id]
		if !p.target.equal(target) {
			p.target = target
			r.writeBuffer.markTarget(id)
		}
	}
	r.assignmentEpoch, r.reconciledMembers = r.epoch, 0
	for _, p := range r.members {
		r.reconciledMembers += boolToInt(r.isReconciled(p))
	}
	r.writeBuffer.markGroup()
}

// computeTargets computes every member's target assignment.
func (r *consumerGroup) computeTargets() map[string]partitionSet {
	ids := r.sortedMemberIDs()
	topics, members := r.subscriptions.newAssignorInput(ids, r.members)
	out := make(map[string]partitionSet, len(ids))
	for i, target := range assignPartitions(r.chooseAssignor(), topics, members) {
		out[ids[i]] = target
	}
	return out
}

// areTargetsOutdated reports whether computeTargets would return other targets
// now.
func (r *consumerGroup) areTargetsOutdated() bool {
	for id, target := range r.computeTargets() {
		if !r.members[id].target.equal(target) {
			return true
		}
	}
	return false
}

// chooseAssignor returns the assignor that most members request; the first by
// name among equals; uniform if no member requests one.
func (r *consumerGroup) chooseAssignor() string {
	votes := map[string]int{}
	for _, p := range r.members {
		if p.info.Assignor != "" {
			votes[p.info.Assignor]++
		}
	}
	best := ""
	for name, n := range votes {
		if n > votes[best] || n == votes[best] && (best == "" || name < best) {
			best = name
		}
	}
	if best == "" {
		return assignorUniform
	}
	return best
}
