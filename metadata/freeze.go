package metadata

import (
	"maps"
	"slices"
)

// freeze returns the state as it is now, never to change, while s goes on. It
// costs a copy of the page lists and of what is small, whatever the state's
// size; afterwards s clones what it changes.
func (s *State) freeze() *State {
	f := *s
	f.scratch = scratch{}
	f.names, f.owners, f.ongoing = topicNames{}, nil, nil // derived
	f.sessions = make(map[SessionID]*sessionState, len(s.sessions))
	for id, o := range s.sessions {
		copied := *o
		f.sessions[id] = &copied
	}
	f.duties = maps.Clone(s.duties)
	f.homes = maps.Clone(s.homes)
	f.pending = slices.Clone(s.pending)
	f.stored = maps.Clone(s.stored)
	f.topics = s.topics.freeze()
	f.configs = s.configs.freeze()
	f.partitions = s.partitions.freeze()
	f.producers = s.producers.freeze()
	f.objects = s.objects.freeze()
	f.groups = s.groups.freeze()
	f.txns = s.txns.freeze()
	f.members = s.members.freeze()
	f.ledger = s.ledger.freeze()
	return &f
}
