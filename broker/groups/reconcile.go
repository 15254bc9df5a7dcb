package groups

import (
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// reconcile brings a member as far towards its target as is safe now: what is
// not in the target is taken away first, and only when the member no longer
// reports it as owned, its epoch moves on and it gets what nobody else has.
// owned is what the member says it has; said is false where it said nothing,
// which is "as before".
func (r *roster) reconcile(now time.Time, p *participant, owned parts, said bool) {
	if p.state == metadata.MemberStable && p.epoch == r.assigned && p.assigned.within(p.target) {
		return
	}
	if p.state == metadata.MemberRevoking && (!said || owned.meets(p.revoking)) {
		return
	}
	keep, drop := p.assigned.split(p.target)
	if len(drop) > 0 && (!said || owned.meets(drop)) {
		r.set(p, standing{p.epoch, metadata.MemberRevoking, keep, drop})
		r.mustRevoke(now, p)
		return
	}
	p.revokeBy = time.Time{}
	next := standing{epoch: r.assigned, state: metadata.MemberStable}
	wanted := p.target.minus(keep)
	got := wanted.keep(func(tp metadata.TopicPartition) bool {
		holder, held := r.owner[tp]
		return !held || holder.member == p.info.ID
	})
	if len(got) < len(wanted) {
		next.state = metadata.MemberWaiting
	}
	next.assigned = keep.plus(got)
	r.set(p, next)
}

// standing is where a member stands.
type standing struct {
	epoch              int32
	state              metadata.MemberState
	assigned, revoking parts
}

// set moves a member, and has that written. What it keeps or has to give up it
// has had since it was given it; the rest, also what it had to give up before,
// since its epoch now.
func (r *roster) set(p *participant, to standing) {
	if p.epoch == to.epoch && p.state == to.state && p.assigned.equal(to.assigned) && p.revoking.equal(to.revoking) {
		return
	}
	given := to.assigned.minus(p.assigned)
	r.release(p, p.assigned.plus(p.revoking).minus(to.assigned.plus(to.revoking)))
	r.settled -= b2i(r.atRest(p))
	if p.epoch != to.epoch {
		p.previous = p.epoch
	}
	p.epoch, p.state, p.assigned, p.revoking = to.epoch, to.state, to.assigned, to.revoking
	r.settled += b2i(r.atRest(p))
	r.hold(p, given, to.epoch)
	r.book.moved(p.info.ID)
}

// waits reports whether a member that waits for partitions still has to.
func (r *roster) waits(p *participant) bool {
	for _, tp := range p.target.minus(p.assigned) {
		if holder, held := r.owner[tp]; !held || holder.member == p.info.ID {
			return false
		}
	}
	return true
}

// Groups beyond settleFree members are assigned anew at most once in
// settlePer per thousand members: thousands that come one by one would
// otherwise each cost an assignment of all.
const (
	settleFree = 256
	settlePer  = time.Second
)

// settle computes targets for the group's epoch.
func (r *roster) settle(now time.Time) {
	if r.epoch <= r.assigned {
		return
	}
	if now.Before(r.nextAssign) {
		return
	}
	if n := len(r.members); n > settleFree {
		r.nextAssign = now.Add(settlePer * time.Duration(1+n/1000))
	}
	for id, target := range r.targets() {
		p := r.members[id]
		if !p.target.equal(target) {
			p.target = target
			r.book.retargeted(id)
		}
	}
	r.assigned, r.settled = r.epoch, 0
	for _, p := range r.members {
		r.settled += b2i(r.atRest(p))
	}
	r.book.head()
}

// targets computes what every member shall have.
func (r *roster) targets() map[string]parts {
	ids := r.ids()
	topics, members := r.subs.input(ids, r.members)
	out := make(map[string]parts, len(ids))
	for i, target := range assign(r.assignor(), topics, members) {
		out[ids[i]] = target
	}
	return out
}

// outdated reports whether other targets would be computed now.
func (r *roster) outdated() bool {
	for id, target := range r.targets() {
		if !r.members[id].target.equal(target) {
			return true
		}
	}
	return false
}

// assignor is the one that most members ask for; among equals the first by
// name; uniform where none does.
func (r *roster) assignor() string {
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
