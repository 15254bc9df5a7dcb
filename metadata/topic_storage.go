package metadata

import "github.com/zonewise/zonewise/internal/costkeys"

// Every byte in the bucket that the state knows of is in one row of the bill: live
// (records of a topic), dead (bytes of a topic's deleted records, until the deletion
// of their object is confirmed) or the platform's. The platform's are booked at every
// tick. Topics take turns, a counted number at each tick, so that no tick stops apply
// for long: until its turn a topic's storage is summed up in its row.

// maxStorageTurn is after how many topics a tick books no more. A thousand take
// about a millisecond; fewer topics are all booked at every tick.
const maxStorageTurn = 1_000

// topicStorage is what the bucket has of a topic, and the storage that is not booked
// yet.
type topicStorage struct {
	live, dead         int64     // bytes; derived
	since              UnixMilli // state time up to which the bytes are in the two below
	liveTime, deadTime Quantity  // byte-ms that are not booked yet
}

// storageTable is the topics that have bytes in the bucket, or storage that is not
// booked yet.
type storageTable struct {
	rows     *table[TopicID, topicStorage]
	nextPage int // whose turn it is
}

// newStorageTable returns a table without hash: most changes are of what is derived.
func newStorageTable(sum *uint64) storageTable {
	return storageTable{rows: newTable(pageOfTopic, cloneByValue[topicStorage], nil, sum)}
}

func (t *storageTable) snapshotRows() storageTable {
	return storageTable{rows: t.rows.snapshot(), nextPage: t.nextPage}
}

// topicsOfPage returns the topics of a page, in no particular order.
func (t *storageTable) topicsOfPage(page int) (ids []TopicID) {
	if p := t.rows.pages[page]; p != nil {
		for id := range p.items.all() {
			ids = append(ids, id)
		}
	}
	return ids
}

// addUpTo adds to the storage that is not booked what the topic had up to a state
// time.
func (t *topicStorage) addUpTo(to UnixMilli) {
	ms := uint64(to - t.since)
	t.liveTime = t.liveTime.Add(costkeys.Product(uint64(t.live), ms))
	t.deadTime = t.deadTime.Add(costkeys.Product(uint64(t.dead), ms))
	t.since = to
}

// addStoredBytes adds to a topic's live and dead bytes; negative numbers subtract.
func (s *State) addStoredBytes(topic TopicID, live, dead int64) {
	t := s.storage.rows.mutable(topic)
	switch {
	case t == nil:
		fresh := topicStorage{since: s.time}
		s.itemHashSum += hashTopicStorage(topic, &fresh)
		s.storage.rows.put(topic, fresh)
		t = s.storage.rows.mutable(topic)
	case t.since != s.time:
		s.itemHashSum -= hashTopicStorage(topic, t)
		t.addUpTo(s.time)
		s.itemHashSum += hashTopicStorage(topic, t)
	}
	t.live += live
	t.dead += dead
	s.liveBytes += live
	s.deadBytes += dead
}

// beginStorage begins to count storage when state time begins.
func (s *State) beginStorage(at UnixMilli) {
	for page := range tablePages {
		for _, id := range s.storage.topicsOfPage(page) {
			t := s.storage.rows.mutable(id)
			s.itemHashSum -= hashTopicStorage(id, t)
			t.since = at
			s.itemHashSum += hashTopicStorage(id, t)
		}
	}
}

// bookStorage books the storage up to a state time: the platform's, and that of the
// topics whose turn it is.
func (s *State) bookStorage(to UnixMilli) {
	s.bookQuantity(CellKey{Topic: RowPlatform, Component: costkeys.ComponentPlatformStorage},
		costkeys.Product(uint64(s.platformBytes()), uint64(to-s.time)))
	booked := 0
	for range tablePages {
		page := s.storage.nextPage
		s.storage.nextPage = (page + 1) % tablePages
		if booked += s.bookStoragePage(page, to); booked >= s.limits.StorageTurn {
			return
		}
	}
}

// bookStoragePage books the topics of one page, in the order of their ids: past the
// ledger's limit the order decides which of them have cells.
func (s *State) bookStoragePage(page int, to UnixMilli) (booked int) {
	ids := sortTopicIDs(s.storage.topicsOfPage(page))
	for _, id := range ids {
		t := s.storage.rows.mutable(id)
		s.itemHashSum -= hashTopicStorage(id, t)
		t.addUpTo(to)
		s.bookQuantity(CellKey{Topic: id, Component: costkeys.ComponentStorage}, t.liveTime)
		s.bookQuantity(CellKey{Topic: id, Component: costkeys.ComponentStorageDeleted}, t.deadTime)
		t.liveTime, t.deadTime = Quantity{}, Quantity{}
		if t.live == 0 && t.dead == 0 {
			s.storage.rows.drop(id)
			continue
		}
		s.itemHashSum += hashTopicStorage(id, t)
	}
	return len(ids)
}

// platformBytes returns the bytes in the bucket that are no topic's. Sizes are those
// that brokers reported: a wrong one must not wrap.
func (s *State) platformBytes() int64 {
	all := s.objectBytes + s.archiveBytes + s.checkpointBytes + s.garbageBytes
	return max(0, all-(s.liveBytes-s.unarchivedInline())-s.deadBytes)
}

// unarchivedInline returns the live record bytes that are in entries of the log and
// not yet in the bucket.
func (s *State) unarchivedInline() (bytes int64) {
	for i := range s.unarchivedExtents {
		bytes += s.unarchivedExtents[i].inline
	}
	return bytes
}

// StorageTotals is what the bucket holds, by the rows of the bill. The bytes of the
// bucket's listing are Live - Unarchived + Dead + Platform, but for objects that no
// entry names yet, and for uploads that are taken to have arrived and did not.
type StorageTotals struct {
	Live       int64 // of records
	Unarchived int64 // of these, still in the log's store; archived within seconds
	Dead       int64 // of deleted records, in objects whose deletion is not confirmed
	Platform   int64 // archives with their deleted records, checkpoints, headers, what was refused, orphaned uploads
}

// Bucket returns the bytes in the bucket.
func (t StorageTotals) Bucket() int64 { return t.Live - t.Unarchived + t.Dead + t.Platform }

// StorageTotals returns what the bucket holds. It reads counters only.
func (s *State) StorageTotals() StorageTotals {
	return StorageTotals{s.liveBytes, s.unarchivedInline(), s.deadBytes, s.platformBytes()}
}

// deriveTopicBytes computes the live and dead bytes of each topic. An object's bytes
// that are a topic's are dead where no span refers to them.
func (s *State) deriveTopicBytes() {
	bytes := map[TopicID]topicStorage{}
	add := func(id TopicID, live, dead int64) {
		t := bytes[id]
		t.live, t.dead = t.live+live, t.dead+dead
		bytes[id] = t
	}
	addShares := func(list []topicBytes) {
		for _, share := range list {
			add(share.topic, 0, share.bytes)
		}
	}
	s.objects.each(func(_ objectKey, o *objectState) bool { addShares(o.shares); return true })
	s.garbage.rows.each(func(_ GarbageID, g *garbageState) bool { addShares(g.shares); return true })
	s.partitions.each(func(tp TopicPartition, p *partitionState) bool {
		var inObjects int64
		for i := range p.spans {
			if sp := &p.spans[i]; !sp.Marker() && !sp.Inline() {
				inObjects += int64(sp.Length)
			}
		}
		add(tp.Topic, p.live, -inObjects)
		return true
	})
	for id, b := range bytes {
		s.liveBytes += b.live
		s.deadBytes += b.dead
		if t := s.storage.rows.mutable(id); t != nil {
			t.live, t.dead = b.live, b.dead
		}
	}
}
