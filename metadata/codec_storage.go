package metadata

// The encodings of what the state remembers of the bucket: archives, dead objects,
// checkpoints, releases and leftovers.

func (w *writer) writeShares(list []topicBytes) {
	w.uvarint(uint64(len(list)))
	for _, t := range list {
		w.raw(t.topic[:])
		w.uvarint(uint64(t.bytes))
	}
}

func (r *reader) readShares() (out []topicBytes) {
	for range r.Count(17, "topics") {
		out = append(out, topicBytes{r.readTopicID(), int64(r.Uvarint())})
	}
	return out
}

func (w *writer) writeObjectName(n ObjectName) {
	w.u64(uint64(n.Session))
	w.u8(uint8(n.Lane))
	w.uvarint(n.Number)
	w.u8(n.Try)
}

func (r *reader) readObjectName() ObjectName {
	return ObjectName{SessionID(r.Uint64()), Lane(r.Uint8()), r.Uvarint(), r.Uint8()}
}

func (w *writer) writeObjectItem(k objectKey, o *objectState) {
	w.u64(uint64(k.revision))
	w.uvarint(uint64(k.index))
	w.writeObjectName(o.name)
	w.uvarint(uint64(o.size))
	w.uvarint(uint64(o.live))
	w.writeShares(o.shares)
}

func (r *reader) readObjectItem(s *State) {
	k := objectKey{Revision(r.Uint64()), int16(r.UvarintUpTo(MaxEntryObjects, "index"))}
	o := objectState{name: r.readObjectName(), size: int64(r.Uvarint()), live: int64(r.Uvarint()), shares: r.readShares()}
	s.objects.put(k, o)
	s.objectBytes += o.size
}

func (w *writer) writeArchiveItem(_ Extent, a *ArchiveRef) { w.writeArchiveRef(a) }

func (r *reader) readArchiveItem(s *State, t *archiveTable) {
	a := r.readArchiveRef()
	t.rows.put(a.Extent, a)
	s.archiveBytes += a.Size
	s.archivedInline += a.LiveInline
}

func (w *writer) writeArchiveRef(a *ArchiveRef) {
	w.u64(uint64(a.Extent))
	w.u64(uint64(a.First))
	w.u64(uint64(a.Last))
	w.uvarint(a.Entries)
	w.text(a.Object)
	w.uvarint(uint64(a.Size))
	w.uvarint(uint64(a.LiveInline))
	w.raw(a.Digest[:])
}

func (r *reader) readArchiveRef() (a ArchiveRef) {
	a = ArchiveRef{Extent: Extent(r.Uint64()), First: Revision(r.Uint64()), Last: Revision(r.Uint64()), Entries: r.Uvarint(),
		Object: r.Text(), Size: int64(r.Uvarint()), LiveInline: int64(r.Uvarint())}
	copy(a.Digest[:], r.Take(len(a.Digest)))
	return a
}

func (w *writer) writeGarbageItem(id GarbageID, g *garbageState) {
	w.u64(uint64(id))
	w.u8(uint8(g.class))
	w.writeObjectName(g.name)
	w.text(g.key)
	w.uvarint(uint64(g.size))
	w.u64(uint64(g.revision))
	w.u64(uint64(g.time))
	w.writeShares(g.shares)
}

func (r *reader) readGarbageItem(s *State) {
	id := GarbageID(r.Uint64())
	g := garbageState{class: ObjectClass(r.UvarintUpTo(uint64(objectClassEnd)-1, "class")), name: r.readObjectName(), key: r.Text(), size: int64(r.Uvarint()),
		revision: Revision(r.Uint64()), time: UnixMilli(r.Uint64()), shares: r.readShares()}
	s.garbage.rows.put(id, g)
	s.garbageBytes += g.size
}

func (w *writer) writeReleaseItem(id uint64, r *releaseState) {
	w.u64(id)
	w.raw(r.topic[:])
	w.uvarint(uint64(uint32(r.partition)))
	w.uvarint(uint64(uint32(r.partitions)))
	w.uvarint(uint64(uint32(r.groupPage)))
}

func (r *reader) readReleaseItem(s *State) {
	id := r.Uint64()
	v := releaseState{topic: r.readTopicID(), partition: Partition(r.UvarintUpTo(MaxPartitionsPerTopic, "partition")),
		partitions: int32(r.UvarintUpTo(MaxPartitionsPerTopic, "partitions")), groupPage: int32(r.UvarintUpTo(tablePages, "page"))}
	s.releases.rows.put(id, v)
	if v.partitions > 0 {
		s.deletedPartitions += int(v.partitions) - int(v.partition)
	}
}

func (w *writer) writeStorageItem(topic TopicID, t *topicStorage) {
	w.raw(topic[:])
	w.u64(uint64(t.since))
	for _, q := range []Quantity{t.liveTime, t.deadTime} {
		w.uvarint(q.Hi)
		w.uvarint(q.Lo)
	}
}

func (r *reader) readStorageItem(s *State) {
	topic := r.readTopicID()
	t := topicStorage{since: UnixMilli(r.Uint64()), liveTime: Quantity{Hi: r.Uvarint(), Lo: r.Uvarint()}, deadTime: Quantity{Hi: r.Uvarint(), Lo: r.Uvarint()}}
	s.storage.rows.put(topic, t)
	s.itemHashSum += hashTopicStorage(topic, &t)
}

func (w *writer) writeDeletedTopicItem(number uint64, t *deletedTopic) {
	w.u64(number)
	w.raw(t.id[:])
	w.text(t.name)
	w.u64(uint64(t.time))
}

func (r *reader) readDeletedTopicItem(s *State) {
	number := r.Uint64()
	s.deletedTopics.rows.put(number, deletedTopic{r.readTopicID(), r.Text(), UnixMilli(r.Uint64())})
}

func (w *writer) writeCheckpointRecord(c *CheckpointRecord) {
	w.u64(uint64(c.Revision))
	w.u64(uint64(c.Extent))
	w.u64(c.Hash)
	w.uvarint(uint64(len(c.Objects)))
	for _, o := range c.Objects {
		w.text(o.Key)
		w.uvarint(uint64(o.Size))
	}
	w.flag(c.Base)
}

func (r *reader) readCheckpointRecord() CheckpointRecord {
	c := CheckpointRecord{Revision: Revision(r.Uint64()), Extent: Extent(r.Uint64()), Hash: r.Uint64()}
	for range r.Count(2, "objects") {
		c.Objects = append(c.Objects, CheckpointObject{r.Text(), int64(r.UvarintUpTo(1<<50, "bytes"))})
	}
	c.Base = r.Flag()
	return c
}

// writeStorageRoot writes what is small of it.
func (w *writer) writeStorageRoot(s *State) {
	w.u64(uint64(s.garbage.next))
	w.u64(s.releases.first)
	w.u64(s.releases.next)
	w.u64(s.deletedTopics.first)
	w.u64(s.deletedTopics.next)
	w.uvarint(uint64(s.storage.nextPage))
	w.uvarint(uint64(len(s.commitTimes)))
	var last commitTime
	for _, c := range s.commitTimes {
		w.uvarint(uint64(c.revision - last.revision))
		w.uvarint(uint64(c.time - last.time))
		last = c
	}
	w.uvarint(uint64(len(s.checkpoints)))
	for i := range s.checkpoints {
		w.writeCheckpointRecord(&s.checkpoints[i])
	}
	w.uvarint(uint64(len(s.leftovers)))
	for _, l := range s.leftovers {
		w.u64(uint64(l.session))
		w.u32(uint32(l.incarnation))
		w.u64(uint64(l.since))
		w.text(l.after)
	}
}

func (r *reader) readStorageRoot(s *State) {
	s.garbage.next = GarbageID(r.Uint64())
	s.releases.first, s.releases.next = r.Uint64(), r.Uint64()
	s.deletedTopics.first, s.deletedTopics.next = r.Uint64(), r.Uint64()
	s.storage.nextPage = int(r.UvarintUpTo(tablePages-1, "page"))
	var last commitTime
	for range r.Count(2, "commit times") {
		last.revision += Revision(r.Uvarint())
		last.time += UnixMilli(r.Uvarint())
		s.commitTimes = append(s.commitTimes, last)
	}
	for range r.Count(26, "checkpoints") {
		s.checkpoints = append(s.checkpoints, r.readCheckpointRecord())
	}
	for range r.Count(21, "leftovers") {
		s.leftovers = append(s.leftovers, leftover{SessionID(r.Uint64()), Incarnation(r.Uint32()), UnixMilli(r.Uint64()), r.Text()})
	}
}

// deriveStorage derives, once all of a checkpoint is loaded, what the state keeps of
// its items for quick access.
func (s *State) deriveStorage() {
	s.archives.sortOrder()
	s.inlines.sortOrder()
	s.garbage.sortQueue()
	s.rebuildRetentionIndex()
	s.checkpointBytes = sumObjects(s.checkpoints)
	s.deriveTopicBytes()
}
