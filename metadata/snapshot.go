package metadata

import (
	"maps"
	"slices"
)

// snapshot returns an immutable copy of the state. It costs a copy of the page
// lists and of what is small, whatever the state's size; afterwards s copies each
// page before it changes it.
func (s *State) snapshot() *State {
	f := *s
	f.scratch = scratch{}
	f.names, f.txnByProducer, f.ongoingTxns = topicNames{}, nil, nil // derived
	f.sessions = make(map[SessionID]*sessionState, len(s.sessions))
	for id, o := range s.sessions {
		copied := *o
		f.sessions[id] = &copied
	}
	f.roles = maps.Clone(s.roles)
	f.brokerIDs = maps.Clone(s.brokerIDs)
	f.unarchivedExtents = slices.Clone(s.unarchivedExtents)
	f.commitTimes = slices.Clip(s.commitTimes)
	f.checkpoints = slices.Clip(s.checkpoints)
	f.leftovers = slices.Clip(s.leftovers)
	f.retention = retentionIndex{} // derived
	f.archives = s.archives.snapshotArchives()
	f.inlines = s.inlines.snapshotArchives()
	f.garbage = s.garbage.snapshotGarbage()
	f.releases = s.releases.snapshotQueue()
	f.storage = s.storage.snapshotRows()
	f.deletedTopics = s.deletedTopics.snapshotRows()
	f.topics = s.topics.snapshot()
	f.configs = s.configs.snapshot()
	f.partitions = s.partitions.snapshot()
	f.producers = s.producers.snapshot()
	f.objects = s.objects.snapshot()
	f.groups = s.groups.snapshot()
	f.txns = s.txns.snapshot()
	f.members = s.members.snapshot()
	f.ledger = s.ledger.snapshot()
	return &f
}
