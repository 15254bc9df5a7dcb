// Package groups coordinates consumer groups: the classic protocol, the
// consumer protocol (KIP-848), and the committed offsets of all clients
// (docs/design.md, section 14).
//
// A group belongs to one of 64 slots by the hash of its name. Each slot is a
// role: the broker that holds the role coordinates the slot's groups in memory,
// and writes what must survive it as commands that carry the role's epoch. Apply
// refuses the commands of a broker that lost the role without noticing, because
// entries are applied in order.
//
//	request ──► Coordinator ──► group (one goroutine, owns one state machine)
//	               │                  │ generation, members, assignment
//	  SlotKeeper ──┘ TakeOver, Release    ▼
//	               offsets ──────► Writer (control lane) ──► apply ──► State
//
// Ownership:
//   - classicGroup (classic_*.go) is the pure part of the classic protocol:
//     members, generation, protocol votes, deadlines. It has no goroutine, clock
//     or randomness: methods take the time, and queue what has to be written.
//   - consumerGroup (consumer_*.go, reconcile.go, subscriptions.go,
//     assignors.go, write_buffer.go) is the pure part of the consumer protocol:
//     members, epochs, targets, and which member owns which partition. Its write
//     buffer holds responses back until their state is written.
//   - group is the goroutine that owns one classicGroup or consumerGroup, and
//     replaces one by the other when a group changes its protocol (migrate.go).
//     All access is by closures through a bounded mailbox; the goroutine waits
//     only for the mailbox, its timer and its own write. It ends when its group
//     is empty and unused, or the slot is lost.
//   - Coordinator's mutex guards the table of owned slots and live groups.
//   - SlotKeeper's goroutine owns the slot roles that this broker holds.
//
// A new coordinator continues a group of the consumer protocol from each
// member's state (metadata.ConsumerMember and the records that follow it), which
// is written before the member receives it. It continues a classic group from
// metadata.Group, which is written when a generation's assignment is complete
// and before any member receives it, when a static member returned under a new
// id, and when a group became empty. An unfinished classic rebalance is lost
// with its coordinator: the members find the old generation, or none, and rejoin.
package groups
