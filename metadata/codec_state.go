package metadata

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/internal/costkeys"
)

// The state's tables by their number in a checkpoint. Numbers never change.
const (
	tableTopics = iota
	tableConfigs
	tablePartitions
	tableProducers
	tableObjects
	tableGroups
	tableLedger
	tableTxns
	tableMembers
	tableArchives
	tableGarbage
	tableReleases
	tableInlines
	tableStorage
	tableDeletedTopics
	tableCount
)

// pageEncoder reuses the buffers of one page for the next: a checkpoint writes
// thousands of pages while entries are applied, and its garbage would slow those.
type pageEncoder struct {
	unsorted writer // items in the table's order
	items    []itemBytes
	page     writer // items in the order of their bytes
}

// encodePage encodes a table's page, items in the order of their bytes; nothing
// where it is empty. b is valid until the next call. version is when the page
// last changed.
func (e *pageEncoder) encodePage(s *State, table, page int) (b []byte, version uint64) {
	switch table {
	case tableTopics:
		return encodeItems(e, s.topics.pages[page], (*writer).writeTopicItem)
	case tableConfigs:
		return encodeItems(e, s.configs.pages[page], (*writer).writeConfigItem)
	case tablePartitions:
		return encodeItems(e, s.partitions.pages[page], (*writer).writePartitionItem)
	case tableProducers:
		return encodeItems(e, s.producers.pages[page], (*writer).writeProducerItem)
	case tableObjects:
		return encodeItems(e, s.objects.pages[page], (*writer).writeObjectItem)
	case tableGroups:
		return encodeItems(e, s.groups.pages[page], (*writer).writeGroupItem)
	case tableTxns:
		return encodeItems(e, s.txns.pages[page], (*writer).writeTxnItem)
	case tableMembers:
		return encodeItems(e, s.members.pages[page], (*writer).writeMemberItem)
	case tableArchives:
		return encodeItems(e, s.archives.rows.pages[page], (*writer).writeArchiveItem)
	case tableGarbage:
		return encodeItems(e, s.garbage.rows.pages[page], (*writer).writeGarbageItem)
	case tableReleases:
		return encodeItems(e, s.releases.rows.pages[page], (*writer).writeReleaseItem)
	case tableInlines:
		return encodeItems(e, s.inlines.rows.pages[page], (*writer).writeArchiveItem)
	case tableStorage:
		return encodeItems(e, s.storage.rows.pages[page], (*writer).writeStorageItem)
	case tableDeletedTopics:
		return encodeItems(e, s.deletedTopics.rows.pages[page], (*writer).writeDeletedTopicItem)
	}
	return encodeItems(e, s.ledger.pages[page], (*writer).writeLedgerItem)
}

// pageVersion returns when a page last changed, and whether it has items.
func (s *State) pageVersion(table, page int) (version uint64, used bool) {
	switch table {
	case tableTopics:
		return versionOf(s.topics.pages[page])
	case tableConfigs:
		return versionOf(s.configs.pages[page])
	case tablePartitions:
		return versionOf(s.partitions.pages[page])
	case tableProducers:
		return versionOf(s.producers.pages[page])
	case tableObjects:
		return versionOf(s.objects.pages[page])
	case tableGroups:
		return versionOf(s.groups.pages[page])
	case tableTxns:
		return versionOf(s.txns.pages[page])
	case tableMembers:
		return versionOf(s.members.pages[page])
	case tableArchives:
		return versionOf(s.archives.rows.pages[page])
	case tableGarbage:
		return versionOf(s.garbage.rows.pages[page])
	case tableReleases:
		return versionOf(s.releases.rows.pages[page])
	case tableInlines:
		return versionOf(s.inlines.rows.pages[page])
	case tableStorage:
		return versionOf(s.storage.rows.pages[page])
	case tableDeletedTopics:
		return versionOf(s.deletedTopics.rows.pages[page])
	}
	return versionOf(s.ledger.pages[page])
}

func versionOf[K comparable, V any](p *tablePage[K, V]) (uint64, bool) {
	if p == nil {
		return 0, false
	}
	return p.version, p.items.len() > 0
}

func encodeItems[K comparable, V any](e *pageEncoder, p *tablePage[K, V], item func(*writer, K, *V)) ([]byte, uint64) {
	if p == nil || p.items.len() == 0 {
		return nil, 0
	}
	e.unsorted.b, e.items, e.page.b = e.unsorted.b[:0], e.items[:0], e.page.b[:0]
	for k, v := range p.items.all() {
		from := len(e.unsorted.b)
		item(&e.unsorted, k, v)
		e.items = append(e.items, itemBytes{from, len(e.unsorted.b)})
	}
	all := e.unsorted.b
	slices.SortFunc(e.items, func(a, b itemBytes) int { return bytes.Compare(all[a.from:a.to], all[b.from:b.to]) })
	e.page.uvarint(uint64(len(e.items)))
	for _, i := range e.items {
		e.page.blob(all[i.from:i.to])
	}
	return e.page.b, p.version
}

// itemBytes is the position of an encoded item in its page's buffer.
type itemBytes struct{ from, to int }

// decodePage adds a page's items to the state.
func (l *checkpointLoader) decodePage(table int, b []byte) error {
	s, r := l.s, newReader(b, 0)
	for range r.Count(1, "items") {
		it := newReader(r.Take(r.Count(1, "item")), 0)
		if r.Err() != nil {
			break
		}
		switch table {
		case tableTopics:
			it.readTopicItem(s)
		case tableConfigs:
			it.readConfigItem(s)
		case tablePartitions:
			if err := it.readPartitionItem(l); err != nil {
				return err
			}
		case tableProducers:
			it.readProducerItem(s)
		case tableObjects:
			it.readObjectItem(s)
		case tableGroups:
			it.readGroupItem(s)
		case tableMembers:
			it.readMemberItem(s)
		case tableArchives:
			it.readArchiveItem(s, &s.archives)
		case tableGarbage:
			it.readGarbageItem(s)
		case tableReleases:
			it.readReleaseItem(s)
		case tableInlines:
			it.readArchiveItem(s, &s.inlines)
		case tableStorage:
			it.readStorageItem(s)
		case tableDeletedTopics:
			it.readDeletedTopicItem(s)
		case tableLedger:
			it.readLedgerItem(s)
		case tableTxns:
			it.readTxnItem(s)
		}
		if err := it.ExpectEnd(); err != nil {
			return fmt.Errorf("table %d: %w", table, err)
		}
	}
	return r.ExpectEnd()
}

func (w *writer) writeTopicItem(_ TopicID, t *Topic) {
	w.raw(t.ID[:])
	w.text(t.Name)
	w.uvarint(uint64(uint32(t.Partitions)))
	w.u16(uint16(t.ReplicationFactor))
	w.u64(uint64(t.Created))
	w.u64(uint64(t.CreatedTime))
	w.writeTextMap(t.Configs)
}

func (r *reader) readTopicItem(s *State) {
	t := Topic{ID: r.readTopicID(), Name: r.Text(), Partitions: int32(r.UvarintUpTo(MaxPartitionsPerTopic, "partitions")), ReplicationFactor: int16(r.Uint16()),
		Created: Revision(r.Uint64()), CreatedTime: UnixMilli(r.Uint64()), Configs: r.readTextMap()}
	s.topics.put(t.ID, t)
	s.names.add(t.Name, t.ID)
}

func (w *writer) writeConfigItem(n resourceName, c *configMap) {
	w.u8(uint8(n.kind))
	w.text(n.name)
	w.writeTextMap(*c)
}

func (r *reader) readConfigItem(s *State) {
	n := resourceName{ResourceKind(r.Uint8()), r.Text()}
	s.configs.put(n, r.readTextMap())
}

func (w *writer) writePartitionItem(tp TopicPartition, p *partitionState) {
	w.raw(tp.Topic[:])
	w.uvarint(uint64(uint32(tp.Partition)))
	w.u64(uint64(p.created))
	w.u64(uint64(p.logStart))
	w.u64(uint64(p.next))
	w.u32(uint32(p.epoch))
	w.uvarint(p.epochFrom)
	w.uvarint(uint64(p.producerCount))
	w.flag(p.releasing)
	w.uvarint(p.firstSpan)
	w.uvarint(uint64(len(p.spans)))
	w.writeSpans(p.spans[tailStart(p.firstSpan, p.endSpan())-p.firstSpan:])
	w.writePartitionTxns(p)
}

func (r *reader) readPartitionItem(l *checkpointLoader) error {
	tp := TopicPartition{r.readTopicID(), Partition(r.UvarintUpTo(MaxPartitionsPerTopic, "partition"))}
	p := partitionState{created: Revision(r.Uint64()), logStart: Offset(r.Uint64()), next: Offset(r.Uint64()), epoch: LeaderEpoch(r.Uint32()), epochFrom: r.Uvarint(), producerCount: int(r.Uvarint()), releasing: r.Flag()}
	p.firstSpan = r.UvarintUpTo(maxSpanOrdinal, "trimmed spans")
	if err := l.readTail(r, tp, &p, p.firstSpan+r.UvarintUpTo(maxSpanOrdinal, "spans")); err != nil {
		return err
	}
	r.readPartitionTxns(l.s, tp, &p)
	l.s.addLoadedSpans(tp, &p)
	l.s.partitions.put(tp, p)
	return nil
}

// addLoadedSpans adds the spans that a partition has to everything that is
// computed from spans.
func (s *State) addLoadedSpans(tp TopicPartition, p *partitionState) {
	for i := range p.spans {
		sp := &p.spans[i]
		if !sp.Marker() {
			p.live += int64(sp.Length)
		}
		s.itemHashSum += hashSpan(tp, sp)
	}
	s.spans += len(p.spans)
}

func (w *writer) writeProducerItem(k producerKey, p *producerState) {
	w.raw(k.tp.Topic[:])
	w.uvarint(uint64(uint32(k.tp.Partition)))
	w.uvarint(uint64(k.id))
	w.u16(uint16(p.epoch))
	w.u64(uint64(p.lastRevision))
	w.u64(uint64(p.lastTime))
	w.uvarint(uint64(p.rangeCount))
	for _, g := range p.ranges[:p.rangeCount] {
		w.uvarint(uint64(uint32(g.first)))
		w.uvarint(uint64(g.count))
		w.uvarint(uint64(g.offset))
	}
}

func (r *reader) readProducerItem(s *State) {
	k := producerKey{TopicPartition{r.readTopicID(), Partition(r.UvarintUpTo(MaxPartitionsPerTopic, "partition"))}, ProducerID(r.Uvarint())}
	p := producerState{epoch: ProducerEpoch(r.Uint16()), lastRevision: Revision(r.Uint64()), lastTime: UnixMilli(r.Uint64()), rangeCount: uint8(r.UvarintUpTo(producerRanges, "ranges"))}
	if p.rangeCount == 0 {
		r.Fail("a producer without ranges")
	}
	for i := range p.rangeCount {
		p.ranges[i] = sequenceRange{Sequence(r.UvarintUpTo(1<<31-1, "sequence")), uint32(r.UvarintUpTo(MaxRunRecords, "count")), Offset(r.Uvarint())}
	}
	s.producers.put(k, p)
}

func (w *writer) writeGroupItem(name string, g *groupState) {
	w.text(name)
	w.writeGroupHead(g)
	list := make([]OffsetCommit, 0, g.offsets.len())
	for _, o := range g.offsets.all() {
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b OffsetCommit) int {
		return cmp.Or(TopicPartition{a.Topic, a.Partition}.Compare(TopicPartition{b.Topic, b.Partition}), 0)
	})
	w.writeOffsets(list)
}

func (r *reader) readGroupItem(s *State) {
	name := r.Text()
	g := groupState{offsets: newCowMap[TopicPartition, OffsetCommit]()}
	r.readGroupHead(&g)
	for _, o := range r.readOffsets() {
		g.offsets.put(TopicPartition{o.Topic, o.Partition}, o)
	}
	s.offsets += g.offsets.len()
	s.groups.put(name, g)
}

func (w *writer) writeLedgerItem(b ledgerBucket, c **ledgerCells) {
	w.u64(uint64(b.start))
	w.flag(b.hour)
	w.uvarint(uint64((*c).gapsMs))
	w.uvarint(uint64(costkeys.ComponentEnd))
	for _, q := range (*c).meters {
		w.uvarint(q.Hi)
		w.uvarint(q.Lo)
	}
	cells := make([]Cell, 0, (*c).cells.len())
	for k, q := range (*c).cells.all() {
		cells = append(cells, Cell{k, *q})
	}
	SortCells(cells)
	w.writeCells(cells)
}

func (r *reader) readLedgerItem(s *State) {
	b := ledgerBucket{UnixMilli(r.Uint64()), r.Flag()}
	c := &ledgerCells{cells: newCowMap[CellKey, Quantity](), gapsMs: int64(r.Uvarint())}
	for i := range r.UvarintUpTo(255, "components") {
		q := Quantity{Hi: r.Uvarint(), Lo: r.Uvarint()}
		if i < uint64(costkeys.ComponentEnd) {
			c.meters[i] = q
		}
	}
	for _, cell := range r.readCells() {
		c.cells.put(cell.Key, cell.Quantity)
		s.itemHashSum += hashCell(b, &cell.Key, cell.Quantity)
	}
	s.ledger.put(b, c)
}

// writeRoot writes what is small and changes with every entry.
func (w *writer) writeRoot(s *State) {
	w.u64(s.entries)
	w.u64(uint64(s.time))
	w.u64(uint64(s.recovered))
	w.u64(uint64(s.nextProducer))
	w.u64(uint64(s.gapsMs))
	w.u64(s.alarms)
	w.u8(uint8(s.pressure))
	w.text(s.lastAlarm)
	w.raw(s.cluster[:])
	w.uvarint(uint64(len(s.zones)))
	for _, z := range s.zones {
		w.text(string(z))
	}
	w.uvarint(uint64(len(s.sessions)))
	for _, id := range sortedKeys(s.sessions) {
		o := s.sessions[id]
		w.u64(uint64(o.id))
		w.u32(uint32(o.broker))
		o.open.encode(w)
		w.flag(o.draining)
		for _, seq := range o.lanes {
			w.uvarint(uint64(seq))
		}
		w.uvarint(o.usageSeq)
		w.u64(uint64(o.usageReportedTo))
	}
	w.uvarint(uint64(len(s.roles)))
	for _, name := range sortedKeys(s.roles) {
		w.text(name)
		w.u64(uint64(s.roles[name].epoch))
		w.u64(uint64(s.roles[name].holder))
	}
	w.uvarint(uint64(len(s.producerIDBlocks)))
	for _, e := range s.producerIDBlocks {
		w.uvarint(uint64(e.first))
		w.u64(uint64(e.time))
		w.u64(uint64(e.revision))
	}
	w.uvarint(uint64(len(s.unarchivedExtents)))
	for i := range s.unarchivedExtents {
		g := &s.unarchivedExtents[i]
		w.writeArchiveRef(&ArchiveRef{g.extent, g.first, g.last, g.entries, "", 0, g.inline, g.digest})
	}
	w.uvarint(uint64(s.expiry.producers))
	w.uvarint(uint64(s.expiry.txns))
	w.writeLeaderEpochs(s)
	w.writeStorageRoot(s)
	w.writeBrokerIDReservations(s)
	w.writePastPlacements(s)
	s.next.encode(w, s.level)
}

func (r *reader) readRoot(s *State) {
	s.entries = r.Uint64()
	s.time = UnixMilli(r.Uint64())
	s.recovered = Revision(r.Uint64())
	s.nextProducer = ProducerID(r.Uint64())
	s.gapsMs = int64(r.Uint64())
	s.alarms = r.Uint64()
	s.pressure = PressureLevel(r.Uint8())
	s.lastAlarm = r.Text()
	copy(s.cluster[:], r.Take(len(s.cluster)))
	for range r.Count(1, "zones") {
		s.zones = append(s.zones, ZoneID(r.Text()))
	}
	for range r.Count(40, "sessions") {
		o := &sessionState{id: SessionID(r.Uint64()), broker: BrokerID(r.Uint32()), open: decodeOpenSession(r).(OpenSession), draining: r.Flag()}
		for i := range o.lanes {
			o.lanes[i] = LaneSeq(r.Uvarint())
		}
		o.usageSeq, o.usageReportedTo = r.Uvarint(), UnixMilli(r.Uint64())
		s.sessions[o.id] = o
	}
	for range r.Count(17, "roles") {
		name := r.Text()
		s.roles[name] = roleState{RoleEpoch(r.Uint64()), SessionID(r.Uint64())}
	}
	for range r.Count(17, "producer id blocks") {
		s.producerIDBlocks = append(s.producerIDBlocks, producerIDBlock{ProducerID(r.Uvarint()), UnixMilli(r.Uint64()), Revision(r.Uint64())})
	}
	for range r.Count(60, "extents") {
		a := r.readArchiveRef()
		s.unarchivedExtents = append(s.unarchivedExtents, unarchivedExtent{a.Extent, a.First, a.Last, a.Entries, a.LiveInline, a.Digest})
	}
	s.expiry.producers = int(r.UvarintUpTo(tablePages-1, "page"))
	s.expiry.txns = int(r.UvarintUpTo(tablePages-1, "page"))
	r.readLeaderEpochs(s)
	r.readStorageRoot(s)
	r.readBrokerIDReservations(s)
	r.readPastPlacements(s)
	s.next.decode(r, s.level)
	s.placement = newPlacement(s.zones, s.Sessions())
}
