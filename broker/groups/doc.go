// Package groups coordinates consumer groups: the classic protocol, the
// consumer protocol (KIP-848), and the committed offsets of every kind of
// client (docs/design.md, section 14).
//
// A group belongs to one of 64 slots by the hash of its name. A slot is a
// duty; the broker that holds it coordinates the slot's groups in memory and
// writes what must outlive it as commands that carry the slot's epoch. A
// holder that was replaced without knowing is refused by apply, in order.
//
//	request ──► Coordinator ──► group (one goroutine, owns one machine)
//	               │                  │ generation, members, assignment
//	  SlotKeeper ──┘ TakeOver, Release    ▼
//	               offsets ──────► Writer (control lane) ──► apply ──► State
//
// Who owns what:
//   - machine (plan*.go) is the pure part of the classic protocol: members,
//     generation, protocol votes, deadlines. It has no goroutine, clock or
//     randomness; it is told what time it is and leaves behind what is to be
//     written.
//   - roster (roster*.go, beat.go, reconcile.go, subs.go, book.go, assign.go)
//     is that of the consumer protocol: members, epochs, targets, and who has
//     which partition. Its book holds answers back until they are written.
//   - group is the goroutine that owns one machine or roster, and changes one
//     for the other when a group changes its protocol (migrate.go). Everything reaches it as
//     a closure through a bounded mailbox; it never waits for anything else
//     than the mailbox, its timer, and its own write. It ends when its group
//     is empty and quiet, or the slot is lost.
//   - Coordinator's mutex guards the table of held slots and live groups.
//   - SlotKeeper's goroutine owns the slot duties this broker holds.
//
// What a new holder of a slot continues from is, of the consumer protocol, each
// member as it stands (metadata.ConsumerMember and what follows it), written
// before the member learns it. Of the classic protocol it is metadata.Group:
// written when a generation's assignment is complete, before any member learns
// it; when a static member came back under a new id; and when a group became
// empty. A classic rebalance that was under way is lost with its holder: its
// members find the old generation, or none, and join again.
package groups
