package groups

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
)

// SlotRole returns the name of a slot's role.
func SlotRole(slot metadata.Slot) string { return metadata.GroupSlotRole(slot) }

// SlotOwner returns the open session that coordinates a slot's groups according
// to the state; false if no live broker does. FindCoordinator returns it; a
// broker that has released the slot since responds with NOT_COORDINATOR.
func SlotOwner(s *metadata.State, slot metadata.Slot) (metadata.SessionView, bool) {
	id, _, ok := s.RoleHolder(SlotRole(slot))
	if !ok {
		return metadata.SessionView{}, false
	}
	return s.Session(id)
}

// slotPlacementKey gives a slot a key in the rendezvous hashing of partitions,
// under a topic id that no topic has. Brokers of all versions must agree on it.
func slotPlacementKey(slot metadata.Slot) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: metadata.TopicID{'g', 'r', 'o', 'u', 'p', '-', 's', 'l', 'o', 't'},
		Partition: metadata.Partition(slot)}
}

// slotWinner returns the broker that should own a slot: the rendezvous winner
// among all brokers that are open and not draining, or NoBroker.
func slotWinner(p *metadata.Placement, slot metadata.Slot) metadata.BrokerID {
	return p.Leader(slotPlacementKey(slot), metadata.UnknownZone)
}

// Roles is the part of the log that a SlotKeeper uses (metadata.Log,
// metadata.LogAdmin).
type Roles interface {
	TryRole(ctx context.Context, s metadata.SessionID, name string) (metadata.Role, bool, error)
	ReleaseRole(ctx context.Context, d metadata.Role) error
}
