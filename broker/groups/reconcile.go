package groups

import (
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// reconcileMember brings a member as far towards its target as is safe now: what is
// not in the target is taken away first, and only when the member no longer
// reports it as owned, its epoch moves on and it gets what nobody else has.
// owned is what the member says it has; said is false where it said nothing,
// which is "as before".
func (r *consumerGroup) reconcileMember(now time.Time, p *consumerGroupMember, owned partitionSet, said bool) {
	if p.state == metadata.MemberStable && p.epoch == r.assignmentEpoch && p.assigned.isSubsetOf(p.target) {
		return
	}
	if p.state == metadata.MemberRevoking && (!said || owned.intersects(p.revoking)) {
		return
	}
	keep, drop := p.assigned.split(p.target)
	if len(drop) > 0 && (!said || owned.intersects(drop)) {
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

// assignmentState is where a member stands.
type assignmentState struct {
	epoch              int32
	state              metadata.MemberState
	assigned, revoking partitionSet
}

// setMemberState moves a member, and has that written. What it keeps or has to give up it
// has had since it was given it; the rest, also what it had to give up before,
// since its epoch now.
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

// isStillWaiting reports whether a member that waits for partitions still has to.
func (r *consumerGroup) isStillWaiting(p *consumerGroupMember) bool {
	for _, tp := range p.target.subtract(p.assigned) {
		if holder, held := r.owners[tp]; !held || holder.member == p.info.ID {
			return false
		}
	}
	return true
}

// Groups beyond maxUnthrottledMembers members are assigned anew at most once in
// assignDelayPerThousand per thousand members: thousands that come one by one would
// otherwise each cost an assignment of all.
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

// computeTargets computes what every member shall have.
func (r *consumerGroup) computeTargets() map[string]partitionSet {
	ids := r.sortedMemberIDs()
	topics, members := r.subscriptions.newAssignorInput(ids, r.members)
	out := make(map[string]partitionSet, len(ids))
	for i, target := range assignPartitions(r.chooseAssignor(), topics, members) {
		out[ids[i]] = target
	}
	return out
}

// areTargetsOutdated reports whether other targets would be computed now.
func (r *consumerGroup) areTargetsOutdated() bool {
	for id, target := range r.computeTargets() {
		if !r.members[id].target.equal(target) {
			return true
		}
	}
	return false
}

// chooseAssignor is the one that most members ask for; among equals the first by
// name; uniform where none does.
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
