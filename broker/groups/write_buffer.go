package groups

import (
	"maps"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// writeBuffer tracks what has to be written of a group of the consumer
// protocol, and holds responses back until their state is written. It writes
// absolute values, so that after a write with an unknown outcome the same or
// newer values can simply be written again.
type writeBuffer struct {
	groupDirty              bool
	info, assigned, targets map[string]bool // members to write: their description, assignment, target
	removed                 map[string]bool
	stored                  map[string]bool // members that may have a record in the state
	groupStored             bool            // the group itself may have one
	changes, durableChanges uint64
	deferred                []deferredReply
	inFlight                *writeBatch
	retryAt                 time.Time // after a failed write: when to retry; zero: none failed
}

// deferredReply is a response that waits until the changes before it are
// durable.
type deferredReply struct {
	change uint64
	reply  func(code int16)
}

// writeBatch is the write in flight.
type writeBatch struct {
	entries                 [][]metadata.Command // written one after another
	lastChange              uint64
	hasGroup                bool
	info, assigned, targets []string
	removed                 []string
}

func newWriteBuffer() writeBuffer {
	return writeBuffer{info: map[string]bool{}, assigned: map[string]bool{}, targets: map[string]bool{},
		removed: map[string]bool{}, stored: map[string]bool{}}
}

func (b *writeBuffer) markGroup() {
	b.groupDirty = true
	b.changes++
}

// markMember queues all of a member's records.
func (b *writeBuffer) markMember(id string) {
	delete(b.removed, id)
	b.info[id], b.assigned[id], b.targets[id] = true, true, true
	b.markGroup()
}

// markInfo queues a member's description.
func (b *writeBuffer) markInfo(id string) {
	b.info[id] = true
	b.changes++
}

func (b *writeBuffer) markAssigned(id string) {
	b.assigned[id] = true
	b.changes++
}

func (b *writeBuffer) markTarget(id string) {
	b.targets[id] = true
	b.changes++
}

func (b *writeBuffer) markRemoved(id string) {
	delete(b.info, id)
	delete(b.assigned, id)
	delete(b.targets, id)
	if b.stored[id] {
		b.removed[id] = true
	}
	b.markGroup()
}

// hasChanges reports whether anything has to be written.
func (b *writeBuffer) hasChanges() bool {
	return b.groupDirty || len(b.info)+len(b.assigned)+len(b.targets)+len(b.removed) > 0
}

// isDrained reports whether nothing is queued, in flight, or waiting.
func (b *writeBuffer) isDrained() bool {
	return !b.hasChanges() && b.inFlight == nil && len(b.deferred) == 0
}

// shouldWrite reports whether a write should start. A group that was never
// written, and whose members are gone again, needs none.
func (b *writeBuffer) shouldWrite(now time.Time) bool {
	if b.inFlight == nil && b.hasChanges() && !b.groupStored && len(b.info) == 0 {
		b.groupDirty = false
		b.inFlight = &writeBatch{lastChange: b.changes}
		b.completeBatch(now, noError)
	}
	return b.inFlight == nil && b.hasChanges() && (b.retryAt.IsZero() || !now.Before(b.retryAt))
}

// deferReply sends a response once all changes so far are written.
func (b *writeBuffer) deferReply(reply func(code int16)) {
	if b.durableChanges >= b.changes {
		reply(noError)
		return
	}
	b.deferred = append(b.deferred, deferredReply{b.changes, reply})
}

// completeBatch ends the write in flight and sends the responses that waited
// for it; after a failure all waiting ones fail.
func (b *writeBuffer) completeBatch(now time.Time, code int16) {
	f := b.inFlight
	b.inFlight = nil
	if code == noError {
		b.durableChanges, b.retryAt = f.lastChange, time.Time{}
		for _, id := range f.removed {
			if !b.info[id] {
				delete(b.stored, id)
			}
		}
	} else {
		b.restoreBatch(f)
		b.retryAt = now.Add(writeRetryDelay)
	}
	rest := b.deferred[:0:0]
	for _, w := range b.deferred {
		switch {
		case code != noError:
			w.reply(code)
		case w.change <= b.durableChanges:
			w.reply(noError)
		default:
			rest = append(rest, w)
		}
	}
	b.deferred = rest
}

// restoreBatch queues the changes of a failed write again.
func (b *writeBuffer) restoreBatch(f *writeBatch) {
	b.groupDirty = b.groupDirty || f.hasGroup
	for _, id := range f.removed {
		if !b.info[id] {
			b.removed[id] = true
		}
	}
	mark := func(set map[string]bool, ids []string) {
		for _, id := range ids {
			if !b.removed[id] && b.stored[id] {
				set[id] = true
			}
		}
	}
	mark(b.info, f.info)
	mark(b.assigned, f.assigned)
	mark(b.targets, f.targets)
}

// takeBatch makes a write of all queued changes.
func (r *consumerGroup) takeBatch(epoch metadata.RoleEpoch) *writeBatch {
	b := &r.writeBuffer
	f := &writeBatch{lastChange: b.changes, hasGroup: b.groupDirty, removed: slices.Sorted(maps.Keys(b.removed)),
		info: slices.Sorted(maps.Keys(b.info)), assigned: slices.Sorted(maps.Keys(b.assigned)), targets: slices.Sorted(maps.Keys(b.targets))}
	for _, id := range f.info {
		b.stored[id], b.groupStored = true, true
	}
	f.entries = r.encodeBatch(epoch, f)
	b.groupDirty = false
	clear(b.removed)
	clear(b.info)
	clear(b.assigned)
	clear(b.targets)
	b.inFlight = f
	return f
}

// encodeBatch encodes a write as commands, as many per entry as fit.
func (r *consumerGroup) encodeBatch(epoch metadata.RoleEpoch, f *writeBatch) [][]metadata.Command {
	p := entryPacker{}
	if len(f.removed) > 0 {
		size := 0
		for _, id := range f.removed {
			size += 2 + len(id)
		}
		p.addCommand(size, metadata.RemoveMembers{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, IDs: f.removed})
	}
	for _, id := range f.info {
		m := r.members[id].info
		p.addCommand(consumerMemberBytes(&m), metadata.PutMember{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, Member: m})
	}
	has := metadata.SetAssignments{Group: r.name, Epoch: epoch}
	size := 0
	flush := func() {
		if len(has.Members) > 0 {
			p.addCommand(size, has)
			has.Members, size = nil, 0
		}
	}
	for _, id := range f.assigned {
		m := r.members[id]
		a := metadata.MemberAssignment{ID: id, Epoch: m.epoch, Previous: m.previousEpoch, State: m.state,
			Assigned: r.ranges(m.assigned), Revoking: r.ranges(m.revoking)}
		n := 32 + len(id) + heldBytes(a.Assigned) + heldBytes(a.Revoking)
		if size+n > maxCommitBytes {
			flush()
		}
		has.Members, size = append(has.Members, a), size+n
	}
	flush()
	r.encodeTargets(&p, epoch, f)
	return p.entries
}

// encodeTargets adds the targets; the last command marks them complete.
func (r *consumerGroup) encodeTargets(p *entryPacker, epoch metadata.RoleEpoch, f *writeBatch) {
	if !f.hasGroup && len(f.targets) == 0 {
		return
	}
	c := metadata.SetTargets{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, AssignmentEpoch: min(r.assignmentEpoch, r.epoch-1)}
	size := 0
	for _, id := range f.targets {
		t := metadata.MemberTarget{ID: id, Target: metadata.Ranges(r.members[id].target)}
		n := 8 + len(id) + rangeBytes(t.Target)
		if size+n > maxCommitBytes && size > 0 {
			p.addCommand(size, c)
			c.Targets, size = nil, 0
		}
		c.Targets, size = append(c.Targets, t), size+n
	}
	c.AssignmentEpoch = r.assignmentEpoch
	p.addCommand(size, c)
}

func rangeBytes(list []metadata.PartitionRange) int {
	n := 4
	for i := range list {
		if n += 5; i == 0 || list[i].Topic != list[i-1].Topic {
			n += 16
		}
	}
	return n
}

func heldBytes(list []metadata.HeldRange) int {
	n := 4
	for i := range list {
		if n += 10; i == 0 || list[i].Topic != list[i-1].Topic {
			n += 16
		}
	}
	return n
}

// entryPacker distributes commands over entries.
type entryPacker struct {
	entries [][]metadata.Command
	size    int
}

func (p *entryPacker) addCommand(size int, c metadata.Command) {
	size += 128
	if len(p.entries) == 0 || p.size+size > maxPackedBytes {
		p.entries, p.size = append(p.entries, nil), 0
	}
	n := len(p.entries) - 1
	p.entries[n] = append(p.entries[n], c)
	p.size += size
}

// failDeferred fails all waiting responses: the slot is lost.
func (b *writeBuffer) failDeferred(code int16) {
	for _, w := range b.deferred {
		w.reply(code)
	}
	b.deferred = nil
}
