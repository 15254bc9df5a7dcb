package metadata

import "slices"

// The state's hash is a sum, modulo 2^64, of one hash per item, so that apply
// updates it by subtracting the old one and adding the new one. What is small and
// changes with every entry is added when the hash is computed. Partitions are
// three kinds of items (head, spans, producers), so that a run costs the same
// whatever the partition's size. The item kinds never change.
const (
	itemTopic = iota + 1
	itemConfigs
	itemPartition
	itemSpan
	itemProducer
	itemObject
	itemGroup
	itemCell
	itemArchive
	itemTxn
	itemAborted
	itemMember
	itemGarbage
	itemRelease
	itemInlineObject
	itemStorage
	itemDeletedTopic
)

// Hash returns the state's hash. Brokers at the same revision have the same.
func (s *State) Hash() uint64 {
	m := hashSeedItem.Word(s.itemHashSum).Word(uint64(s.revision)).Word(uint64(s.extent)).Word(s.entries)
	m = m.Word(uint64(s.time)).Word(uint64(s.level)).Word(uint64(s.nextProducer)).Word(uint64(s.recovered))
	m = m.Word(uint64(s.spans)).Word(uint64(s.offsets)).Word(uint64(s.gapsMs)).Word(s.alarms).Word(uint64(s.pressure))
	m = s.next.hashInto(m.Bytes(s.cluster[:]), s.level)
	for _, z := range s.zones {
		m = m.Text(string(z))
	}
	for _, id := range sortedKeys(s.sessions) {
		m = s.sessions[id].hashInto(m)
	}
	for _, name := range sortedKeys(s.roles) {
		m = m.Text(name).Word(uint64(s.roles[name].epoch)).Word(uint64(s.roles[name].holder))
	}
	for _, id := range sortedKeys(s.brokerIDs) {
		h := s.brokerIDs[id]
		m = m.Word(uint64(id)).Text(h.address.Host).Word(uint64(h.address.Port)).Word(uint64(h.expiresFrom))
	}
	for _, e := range s.producerIDBlocks {
		m = m.Word(uint64(e.first)).Word(uint64(e.time)).Word(uint64(e.revision))
	}
	for i := range s.unarchivedExtents {
		g := &s.unarchivedExtents[i]
		m = m.Word(uint64(g.extent)).Word(uint64(g.last)).Word(g.entries).Word(uint64(g.inline)).Bytes(g.digest[:])
	}
	m = m.Word(uint64(s.expiry.producers)).Word(uint64(s.expiry.txns))
	m = m.Word(uint64(s.garbage.next)).Word(s.releases.first).Word(s.releases.next)
	m = m.Word(s.deletedTopics.first).Word(s.deletedTopics.next).Word(uint64(s.storage.nextPage))
	for _, c := range s.commitTimes {
		m = m.Word(uint64(c.revision)).Word(uint64(c.time))
	}
	for i := range s.checkpoints {
		m = s.checkpoints[i].hashInto(m)
	}
	for _, l := range s.leftovers {
		m = m.Word(uint64(l.session)).Word(uint64(l.incarnation)).Word(uint64(l.since)).Text(l.after)
	}
	return s.hashPastPlacements(s.hashLeaderEpochs(m)).Sum()
}

func sortedKeys[K interface {
	~int64 | ~string | ~uint64 | ~int32
}, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func (o *sessionState) hashInto(m Hash) Hash {
	m = m.Word(uint64(o.id)).Word(uint64(o.broker)).Text(string(o.open.Zone))
	for _, seq := range o.lanes {
		m = m.Word(uint64(seq))
	}
	if o.draining {
		m = m.Word(1)
	}
	return m.Word(o.usageSeq).Word(uint64(o.usageReportedTo))
}

func hashTexts(m Hash, texts map[string]string) Hash {
	for _, k := range sortedKeys(texts) {
		m = m.Text(k).Text(texts[k])
	}
	return m
}

func hashTopic(_ TopicID, t Topic) uint64 {
	m := hashSeedItem.Word(itemTopic).Topic(t.ID).Text(t.Name).Word(uint64(t.Partitions)).Word(uint64(t.ReplicationFactor))
	return hashTexts(m.Word(uint64(t.Created)).Word(uint64(t.CreatedTime)), t.Configs).Sum()
}

func hashConfigs(r resourceName, c configMap) uint64 {
	return hashTexts(hashSeedItem.Word(itemConfigs).Word(uint64(r.kind)).Text(r.name), c).Sum()
}

// hashPartition covers the head; spans and aborted transactions are items of
// their own.
func hashPartition(tp TopicPartition, p partitionState) uint64 {
	m := hashSeedItem.Word(itemPartition).Partition(tp).Word(uint64(p.created)).Word(uint64(p.logStart)).
		Word(uint64(p.next)).Word(uint64(p.epoch)).Word(p.epochFrom).Word(uint64(p.live)).Word(uint64(p.producerCount)).Word(p.firstSpan)
	if p.releasing {
		m = m.Word(1)
	}
	for _, o := range p.openTxns {
		m = m.Word(uint64(o.Producer)).Word(uint64(o.First))
	}
	return m.Sum()
}

func hashSpan(tp TopicPartition, sp *Span) uint64 {
	return hashSeedItem.Word(itemSpan).Partition(tp).Word(uint64(sp.First)).Word(uint64(sp.Count)<<32 | uint64(sp.Length)).
		Word(uint64(uint16(sp.Epoch))<<16 | uint64(uint16(sp.Object))).Word(uint64(sp.Revision)).Word(uint64(sp.Position)).Word(uint64(sp.MaxTimestamp)).Sum()
}

func hashProducer(k producerKey, p producerState) uint64 {
	m := hashSeedItem.Word(itemProducer).Partition(k.tp).Word(uint64(k.id)).Word(uint64(uint16(p.epoch))).
		Word(uint64(p.lastTime)).Word(uint64(p.lastRevision))
	for _, r := range p.ranges[:p.rangeCount] {
		m = m.Word(uint64(r.first)<<32 | uint64(r.count)).Word(uint64(r.offset))
	}
	return m.Sum()
}

func hashObject(k objectKey, o objectState) uint64 {
	return hashSeedItem.Word(itemObject).Word(uint64(k.revision)).Word(uint64(uint16(k.index))).Word(uint64(o.name.Session)).
		Word(o.name.Number).Word(uint64(o.name.Lane)<<8 | uint64(o.name.Try)).Word(uint64(o.size)).Word(uint64(o.live)).Word(hashShares(o.shares)).Sum()
}

func hashShares(list []topicBytes) uint64 {
	m := hashSeedItem
	for _, t := range list {
		m = m.Topic(t.topic).Word(uint64(t.bytes))
	}
	return m.Sum()
}

func hashGarbage(id GarbageID, g garbageState) uint64 {
	return hashSeedItem.Word(itemGarbage).Word(uint64(id)).Word(uint64(g.class)).Word(uint64(g.name.Session)).Word(g.name.Number).
		Word(uint64(g.name.Lane)<<8 | uint64(g.name.Try)).Text(g.key).Word(uint64(g.size)).Word(uint64(g.revision)).Word(uint64(g.time)).
		Word(hashShares(g.shares)).Sum()
}

func hashRelease(id uint64, r releaseState) uint64 {
	return hashSeedItem.Word(itemRelease).Word(id).Topic(r.topic).Word(uint64(r.partition)).Word(uint64(r.partitions)).Word(uint64(r.groupPage)).Sum()
}

// hashTopicStorage leaves out what is derived from other items.
func hashTopicStorage(topic TopicID, t *topicStorage) uint64 {
	return hashSeedItem.Word(itemStorage).Topic(topic).Word(uint64(t.since)).Word(t.liveTime.Hi).Word(t.liveTime.Lo).
		Word(t.deadTime.Hi).Word(t.deadTime.Lo).Sum()
}

func hashDeletedTopic(number uint64, t deletedTopic) uint64 {
	return hashSeedItem.Word(itemDeletedTopic).Word(number).Topic(t.id).Text(t.name).Word(uint64(t.time)).Sum()
}

func (c *CheckpointRecord) hashInto(m Hash) Hash {
	m = m.Word(uint64(c.Revision)).Word(uint64(c.Extent)).Word(c.Hash)
	for _, o := range c.Objects {
		m = m.Text(o.Key).Word(uint64(o.Size))
	}
	if c.Base {
		m = m.Word(1)
	}
	return m
}

func hashGroup(name string, g groupState) uint64 {
	sum := hashGroupHead(name, &g)
	for tp, o := range g.offsets.all() {
		sum += hashOffset(name, tp, o)
	}
	return sum
}

// hashGroupHead covers a group without its offsets and members.
func hashGroupHead(name string, g *groupState) uint64 {
	m := hashSeedItem.Word(itemGroup).Text(name)
	if g.group != nil {
		var w writer
		w.writeGroup(g.group)
		m = m.Bytes(w.b)
	}
	if c := g.consumer; c != nil {
		m = m.Word(uint64(uint32(c.Epoch))<<32 | uint64(uint32(c.AssignmentEpoch))).Word(uint64(c.Members))
	}
	if g.emptySince != 0 {
		m = m.Word(uint64(g.emptySince))
	}
	return m.Sum()
}

func hashOffset(group string, tp TopicPartition, o *OffsetCommit) uint64 {
	return hashSeedItem.Word(itemGroup).Text(group).Partition(tp).Word(uint64(o.Offset)).Word(uint64(o.LeaderEpoch)).
		Text(o.Metadata).Word(uint64(o.Time)).Sum()
}

func hashArchive(_ Extent, a ArchiveRef) uint64 {
	return hashSeedItem.Word(itemArchive).Word(uint64(a.Extent)).Word(uint64(a.First)).Word(uint64(a.Last)).Word(a.Entries).
		Text(a.Object).Word(uint64(a.Size)).Word(uint64(a.LiveInline)).Bytes(a.Digest[:]).Sum()
}

func hashInlineObject(x Extent, a ArchiveRef) uint64 {
	return hashSeedItem.Word(itemInlineObject).Word(hashArchive(x, a)).Sum()
}

func hashCell(b ledgerBucket, k *CellKey, q Quantity) uint64 {
	return hashSeedCell.Word(itemCell).Word(b.hashWord()).Topic(k.Topic).Word(uint64(k.Component)).Text(string(k.Src)).Text(string(k.Dst)).
		Text(k.Principal).Text(k.Group).Word(q.Hi).Word(q.Lo).Sum()
}
