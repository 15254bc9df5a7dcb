package groups

import (
	"maps"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// book knows what of a roster is not written yet, and holds answers back until
// what they say is. What is written are absolute values, so that a write whose
// fate is not known is followed by the same, or newer ones.
type book struct {
	dirtyHead        bool
	info, has, wants map[string]bool // members to write: what they say, have, shall have
	removed          map[string]bool
	stored           map[string]bool // ids that may be in the state
	headStored       bool            // the group itself may be
	changes, durable uint64
	waiting          []heldAnswer
	flying           *flight
	retry            time.Time // a write failed: not before then; zero: none did
}

// heldAnswer waits for the changes before it to be durable.
type heldAnswer struct {
	after uint64
	reply func(code int16)
}

// flight is what is on its way to the log.
type flight struct {
	entries          [][]metadata.Command // one after the other
	covers           uint64
	head             bool
	info, has, wants []string
	removed          []string
}

func newBook() book {
	return book{info: map[string]bool{}, has: map[string]bool{}, wants: map[string]bool{},
		removed: map[string]bool{}, stored: map[string]bool{}}
}

func (b *book) head() {
	b.dirtyHead = true
	b.changes++
}

// put asks for all of a member to be written.
func (b *book) put(id string) {
	delete(b.removed, id)
	b.info[id], b.has[id], b.wants[id] = true, true, true
	b.head()
}

// told asks for what a member says of itself to be written.
func (b *book) told(id string) {
	b.info[id] = true
	b.changes++
}

func (b *book) moved(id string) {
	b.has[id] = true
	b.changes++
}

func (b *book) retargeted(id string) {
	b.wants[id] = true
	b.changes++
}

func (b *book) gone(id string) {
	delete(b.info, id)
	delete(b.has, id)
	delete(b.wants, id)
	if b.stored[id] {
		b.removed[id] = true
	}
	b.head()
}

// dirty reports whether there is something to write.
func (b *book) dirty() bool {
	return b.dirtyHead || len(b.info)+len(b.has)+len(b.wants)+len(b.removed) > 0
}

// clean reports whether nothing is to be written, on its way, or waited for.
func (b *book) clean() bool { return !b.dirty() && b.flying == nil && len(b.waiting) == 0 }

// due reports whether a write should start. A group of which nothing was ever
// written, and whose members are gone again, needs none.
func (b *book) due(now time.Time) bool {
	if b.flying == nil && b.dirty() && !b.headStored && len(b.info) == 0 {
		b.dirtyHead = false
		b.flying = &flight{covers: b.changes}
		b.land(now, codeOK)
	}
	return b.flying == nil && b.dirty() && (b.retry.IsZero() || !now.Before(b.retry))
}

// hold answers once everything up to now is written.
func (b *book) hold(reply func(code int16)) {
	if b.durable >= b.changes {
		reply(codeOK)
		return
	}
	b.waiting = append(b.waiting, heldAnswer{b.changes, reply})
}

// land ends the flight, and answers who waited for it; all who wait, where it
// failed.
func (b *book) land(now time.Time, code int16) {
	f := b.flying
	b.flying = nil
	if code == codeOK {
		b.durable, b.retry = f.covers, time.Time{}
		for _, id := range f.removed {
			if !b.info[id] {
				delete(b.stored, id)
			}
		}
	} else {
		b.restore(f)
		b.retry = now.Add(retryWriteAfter)
	}
	rest := b.waiting[:0:0]
	for _, w := range b.waiting {
		switch {
		case code != codeOK:
			w.reply(code)
		case w.after <= b.durable:
			w.reply(codeOK)
		default:
			rest = append(rest, w)
		}
	}
	b.waiting = rest
}

// restore makes what a failed flight carried dirty again.
func (b *book) restore(f *flight) {
	b.dirtyHead = b.dirtyHead || f.head
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
	mark(b.has, f.has)
	mark(b.wants, f.wants)
}

// take makes a flight of all that is dirty.
func (r *roster) take(epoch metadata.RoleEpoch) *flight {
	b := &r.book
	f := &flight{covers: b.changes, head: b.dirtyHead, removed: slices.Sorted(maps.Keys(b.removed)),
		info: slices.Sorted(maps.Keys(b.info)), has: slices.Sorted(maps.Keys(b.has)), wants: slices.Sorted(maps.Keys(b.wants))}
	for _, id := range f.info {
		b.stored[id], b.headStored = true, true
	}
	f.entries = r.encode(epoch, f)
	b.dirtyHead = false
	clear(b.removed)
	clear(b.info)
	clear(b.has)
	clear(b.wants)
	b.flying = f
	return f
}

// encode turns a flight into commands, as many to an entry as fit.
func (r *roster) encode(epoch metadata.RoleEpoch, f *flight) [][]metadata.Command {
	p := packer{}
	if len(f.removed) > 0 {
		size := 0
		for _, id := range f.removed {
			size += 2 + len(id)
		}
		p.add(size, metadata.RemoveMembers{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, IDs: f.removed})
	}
	for _, id := range f.info {
		m := r.members[id].info
		p.add(participantBytes(&m), metadata.PutMember{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, Member: m})
	}
	has := metadata.SetAssigned{Group: r.name, Epoch: epoch}
	size := 0
	flush := func() {
		if len(has.Members) > 0 {
			p.add(size, has)
			has.Members, size = nil, 0
		}
	}
	for _, id := range f.has {
		m := r.members[id]
		a := metadata.MemberAssignment{ID: id, Epoch: m.epoch, Previous: m.previous, State: m.state,
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

// encodeTargets writes targets; the last command says that they are complete.
func (r *roster) encodeTargets(p *packer, epoch metadata.RoleEpoch, f *flight) {
	if !f.head && len(f.wants) == 0 {
		return
	}
	c := metadata.SetTargets{Group: r.name, Epoch: epoch, GroupEpoch: r.epoch, AssignmentEpoch: min(r.assigned, r.epoch-1)}
	size := 0
	for _, id := range f.wants {
		t := metadata.MemberTarget{ID: id, Target: metadata.Ranges(r.members[id].target)}
		n := 8 + len(id) + rangeBytes(t.Target)
		if size+n > maxCommitBytes && size > 0 {
			p.add(size, c)
			c.Targets, size = nil, 0
		}
		c.Targets, size = append(c.Targets, t), size+n
	}
	c.AssignmentEpoch = r.assigned
	p.add(size, c)
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

// packer puts commands into entries.
type packer struct {
	entries [][]metadata.Command
	size    int
}

func (p *packer) add(size int, c metadata.Command) {
	size += 128
	if len(p.entries) == 0 || p.size+size > maxPackedBytes {
		p.entries, p.size = append(p.entries, nil), 0
	}
	n := len(p.entries) - 1
	p.entries[n] = append(p.entries[n], c)
	p.size += size
}

// abandon answers everybody that waits: the slot is another's.
func (b *book) abandon(code int16) {
	for _, w := range b.waiting {
		w.reply(code)
	}
	b.waiting = nil
}
