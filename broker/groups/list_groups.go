package groups

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// List handles ListGroups, versions 0 to 5, for the owned slots: clients send
// it to every broker and join the responses. Version 4 filters by state,
// version 5 by type, both case-insensitive.
func (c *Coordinator) List(_ context.Context, _ Client, r *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	out := kmsg.NewPtrListGroupsResponse()
	out.Version = r.Version
	found, loading := c.listSummaries()
	if loading {
		out.ErrorCode = kerr.CoordinatorLoadInProgress.Code
	}
	names := make([]string, 0, len(found))
	for name := range found {
		names = append(names, name)
	}
	slices.Sort(names)
	states, types := newLowerCaseSet(r.StatesFilter), newLowerCaseSet(r.TypesFilter)
	for _, name := range names {
		if len(states) > 0 && r.Version >= 4 && !states[strings.ToLower(found[name].state)] {
			continue
		}
		if len(types) > 0 && r.Version >= 5 && !types[strings.ToLower(found[name].kind)] {
			continue
		}
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType, g.GroupState, g.GroupType = name, found[name].protocolType, found[name].state, found[name].kind
		out.Groups = append(out.Groups, g)
	}
	return out
}

// newLowerCaseSet returns the set of the strings in lower case.
func newLowerCaseSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, s := range list {
		set[strings.ToLower(s)] = true
	}
	return set
}

// listSummaries returns the groups of the owned slots: those with members from
// memory, the rest from the state. Groups of slots without an owner would be in
// no response: loading reports them, so that the client retries.
func (c *Coordinator) listSummaries() (found map[string]summary, loading bool) {
	found = map[string]summary{}
	live := map[string]summary{}
	var owned, left [metadata.GroupSlots]metadata.RoleEpoch
	c.mu.Lock()
	left = c.releasedEpochs
	for slot, h := range c.ownedSlots {
		switch {
		case h == nil:
		case !h.ready:
			loading = true
		default:
			owned[slot] = h.epoch
			for name, g := range h.groups {
				live[name] = *g.summary.Load()
			}
		}
	}
	c.mu.Unlock()
	c.cfg.Replica.View(func(s *metadata.State) {
		for slot := range owned {
			if owned[slot] != 0 && s.RoleEpoch(SlotRole(metadata.Slot(slot))) > owned[slot] {
				owned[slot] = 0 // lost, but not noticed yet
			}
		}
		ours := func(name string) bool {
			slot := metadata.GroupSlot(name)
			if owned[slot] != 0 {
				return true
			}
			_, elsewhere := SlotOwner(s, slot)
			loading = loading || !elsewhere || left[slot] != 0 && s.RoleEpoch(SlotRole(slot)) <= left[slot]
			return false
		}
		for _, name := range s.Groups() {
			if !ours(name) {
				continue
			}
			found[name] = summary{state: stateEmpty.String(), kind: groupTypeClassic}
			switch v, _ := s.Group(name); {
			case v.Group != nil:
				found[name] = summary{stateEmpty.String(), v.Group.ProtocolType, groupTypeClassic}
			case v.Consumer != nil:
				found[name] = summary{stateEmpty.String(), protocolTypeConsumer, groupTypeConsumer}
			}
		}
	})
	for name, l := range live {
		_, stored := found[name]
		if owned[metadata.GroupSlot(name)] != 0 && (stored || l.state != stateEmpty.String()) {
			found[name] = l
		}
	}
	return found, loading
}
