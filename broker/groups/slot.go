package groups

import (
	"context"

	"github.com/zonewise/zonewise/metadata"
)

// SlotRole returns the name of the duty that a slot is.
func SlotRole(slot metadata.Slot) string { return metadata.GroupSlotRole(slot) }

// SlotOwner returns the open session that coordinates a slot's groups, as the
// state knows it; false where no live broker does. It is what FindCoordinator
// answers with; a holder that gave the slot up since answers NOT_COORDINATOR.
func SlotOwner(s *metadata.State, slot metadata.Slot) (metadata.SessionView, bool) {
	id, _, ok := s.RoleHolder(SlotRole(slot))
	if !ok {
		return metadata.SessionView{}, false
	}
	return s.Session(id)
}

// slotPlacementKey lends a slot a place in the rendezvous of partitions, under a
// topic id that no topic has. Brokers of all versions must agree on it.
func slotPlacementKey(slot metadata.Slot) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: metadata.TopicID{'g', 'r', 'o', 'u', 'p', '-', 's', 'l', 'o', 't'},
		Partition: metadata.Partition(slot)}
}

// slotWinner returns the broker that should hold a slot: the rendezvous winner
// of all that are open and not draining. NoBroker where there is none.
func slotWinner(p *metadata.Placement, slot metadata.Slot) metadata.BrokerID {
	return p.Leader(slotPlacementKey(slot), metadata.UnknownZone)
}

// Roles is what the keeper needs of the log (metadata.Log, metadata.LogAdmin).
type Roles interface {
	TryRole(ctx context.Context, s metadata.SessionID, name string) (metadata.Role, bool, error)
	ReleaseRole(ctx context.Context, d metadata.Role) error
}
