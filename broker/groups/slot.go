package groups

import "github.com/zonewise/zonewise/metadata"

// SlotDuty returns the name of the duty that a slot is.
func SlotDuty(slot metadata.Slot) string { return metadata.GroupSlotDuty(slot) }

// Holder returns the open session that coordinates a slot's groups, as the
// state knows it; false where no live broker does.
func Holder(s *metadata.State, slot metadata.Slot) (metadata.SessionView, bool) {
	id, _, ok := s.DutyHolder(SlotDuty(slot))
	if !ok {
		return metadata.SessionView{}, false
	}
	return s.Session(id)
}
