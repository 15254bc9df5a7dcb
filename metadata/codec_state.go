package metadata

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
)

// The state's tables by their number in a checkpoint. Numbers are for ever.
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
	tableCount
)

// pageEncoder keeps the buffers of one page for the next: a checkpoint writes
// thousands of pages beside commits, and what it throws away they pay for.
type pageEncoder struct {
	all   writer // items as the table gives them
	items []itemBytes
	page  writer // and in their order
}

// encodePage writes a table's page, items in the order of their bytes, or
// nothing where it is empty. It is e's until its next page. era is when the
// page last changed.
func (e *pageEncoder) encodePage(s *State, table, page int) (b []byte, era uint64) {
	switch table {
	case tableTopics:
		return encodeItems(e, s.topics.pages[page], (*writer).topicItem)
	case tableConfigs:
		return encodeItems(e, s.configs.pages[page], (*writer).configItem)
	case tablePartitions:
		return encodeItems(e, s.partitions.pages[page], (*writer).partitionItem)
	case tableProducers:
		return encodeItems(e, s.producers.pages[page], (*writer).producerItem)
	case tableObjects:
		return encodeItems(e, s.objects.pages[page], (*writer).objectItem)
	case tableGroups:
		return encodeItems(e, s.groups.pages[page], (*writer).groupItem)
	case tableTxns:
		return encodeItems(e, s.txns.pages[page], (*writer).txnItem)
	case tableMembers:
		return encodeItems(e, s.members.pages[page], (*writer).memberItem)
	}
	return encodeItems(e, s.ledger.pages[page], (*writer).ledgerItem)
}

// pageVersion returns when a page last changed, and whether it has items.
func (s *State) pageVersion(table, page int) (era uint64, used bool) {
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
	}
	return versionOf(s.ledger.pages[page])
}

func versionOf[K comparable, V any](p *tablePage[K, V]) (uint64, bool) {
	if p == nil {
		return 0, false
	}
	return p.version, len(p.items) > 0
}

func encodeItems[K comparable, V any](e *pageEncoder, p *tablePage[K, V], item func(*writer, K, *V)) ([]byte, uint64) {
	if p == nil || len(p.items) == 0 {
		return nil, 0
	}
	e.all.b, e.items, e.page.b = e.all.b[:0], e.items[:0], e.page.b[:0]
	for k, it := range p.items {
		from := len(e.all.b)
		item(&e.all, k, &it.value)
		e.items = append(e.items, itemBytes{from, len(e.all.b)})
	}
	all := e.all.b
	slices.SortFunc(e.items, func(a, b itemBytes) int { return bytes.Compare(all[a.from:a.to], all[b.from:b.to]) })
	e.page.uv(uint64(len(e.items)))
	for _, i := range e.items {
		e.page.blob(all[i.from:i.to])
	}
	return e.page.b, p.version
}

// itemBytes is where an encoded item stands in its page's buffer.
type itemBytes struct{ from, to int }

// decodePage adds a page's items to the state.
func (s *State) decodePage(table int, b []byte) error {
	r := reader{b: b}
	for range r.count(1, "items") {
		it := reader{b: r.take(r.count(1, "item"))}
		if r.err != nil {
			break
		}
		switch table {
		case tableTopics:
			it.topicItem(s)
		case tableConfigs:
			it.configItem(s)
		case tablePartitions:
			it.partitionItem(s)
		case tableProducers:
			it.producerItem(s)
		case tableObjects:
			it.objectItem(s)
		case tableGroups:
			it.groupItem(s)
		case tableMembers:
			it.memberItem(s)
		case tableLedger:
			it.ledgerItem(s)
		case tableTxns:
			it.txnItem(s)
		}
		if err := it.end(); err != nil {
			return fmt.Errorf("table %d: %w", table, err)
		}
	}
	return r.end()
}

func (w *writer) topicItem(_ TopicID, t *Topic) {
	w.raw(t.ID[:])
	w.text(t.Name)
	w.uv(uint64(uint32(t.Partitions)))
	w.u16(uint16(t.ReplicationFactor))
	w.u64(uint64(t.Created))
	w.u64(uint64(t.CreatedTime))
	w.texts(t.Configs)
}

func (r *reader) topicItem(s *State) {
	t := Topic{ID: r.topic(), Name: r.text(), Partitions: int32(r.upTo(MaxPartitionsPerTopic, "partitions")), ReplicationFactor: int16(r.u16()),
		Created: Revision(r.u64()), CreatedTime: UnixMilli(r.u64()), Configs: r.texts()}
	s.topics.put(t.ID, t)
	s.names.add(t.Name, t.ID)
}

func (w *writer) configItem(n resourceName, c *configMap) {
	w.u8(uint8(n.kind))
	w.text(n.name)
	w.texts(*c)
}

func (r *reader) configItem(s *State) {
	n := resourceName{ResourceKind(r.u8()), r.text()}
	s.configs.put(n, r.texts())
}

func (w *writer) partitionItem(tp TopicPartition, p *partitionState) {
	w.raw(tp.Topic[:])
	w.uv(uint64(uint32(tp.Partition)))
	w.u64(uint64(p.created))
	w.u64(uint64(p.logStart))
	w.u64(uint64(p.next))
	w.u32(uint32(p.epoch))
	w.uv(uint64(p.count))
	w.uv(uint64(len(p.spans)))
	for i := range p.spans {
		sp := &p.spans[i]
		w.uv(uint64(sp.First - p.logStart + 1<<32)) // a span may begin before the log start
		w.uv(uint64(sp.Count))
		w.uv(uint64(sp.Length))
		w.uv(spanObject(sp.Object))
		w.uv(uint64(sp.Revision))
		w.uv(uint64(sp.Position))
		w.sv(int64(sp.MaxTimestamp))
		if sp.Marker() {
			w.u16(uint16(sp.Epoch))
		}
	}
	w.partitionTxns(p)
}

func (r *reader) partitionItem(s *State) {
	tp := TopicPartition{r.topic(), Partition(r.upTo(MaxPartitionsPerTopic, "partition"))}
	p := partitionState{created: Revision(r.u64()), logStart: Offset(r.u64()), next: Offset(r.u64()), epoch: LeaderEpoch(r.u32()), count: int(r.uv())}
	n := r.count(7, "spans")
	p.spans = make([]Span, 0, n)
	for range n {
		sp := Span{First: p.logStart + Offset(r.uv()) - 1<<32, Count: uint32(r.upTo(1<<32-1, "offsets")), Length: uint32(r.upTo(1<<32-1, "length")),
			Object: objectOfSpan(r.upTo(MaxEntryObjects+3, "object")), Revision: Revision(r.uv()), Position: int64(r.uv()), MaxTimestamp: UnixMilli(r.sv())}
		if sp.Marker() {
			sp.Epoch = ProducerEpoch(r.u16())
		} else {
			p.live += int64(sp.Length)
		}
		s.sum += hashSpan(tp, &sp)
		p.spans = append(p.spans, sp)
	}
	r.partitionTxns(s, tp, &p)
	s.spans += len(p.spans)
	if p.live > 0 {
		s.stored[tp.Topic] += p.live
	}
	s.partitions.put(tp, p)
}

func (w *writer) producerItem(k producerKey, p *producerState) {
	w.raw(k.tp.Topic[:])
	w.uv(uint64(uint32(k.tp.Partition)))
	w.uv(uint64(k.id))
	w.u16(uint16(p.epoch))
	w.u64(uint64(p.touched))
	w.u64(uint64(p.seen))
	w.uv(uint64(p.n))
	for _, g := range p.ranges[:p.n] {
		w.uv(uint64(uint32(g.first)))
		w.uv(uint64(g.count))
		w.uv(uint64(g.offset))
	}
}

func (r *reader) producerItem(s *State) {
	k := producerKey{TopicPartition{r.topic(), Partition(r.upTo(MaxPartitionsPerTopic, "partition"))}, ProducerID(r.uv())}
	p := producerState{epoch: ProducerEpoch(r.u16()), touched: Revision(r.u64()), seen: UnixMilli(r.u64()), n: uint8(r.upTo(producerRanges, "ranges"))}
	if p.n == 0 {
		r.fail("a producer without ranges")
	}
	for i := range p.n {
		p.ranges[i] = sequenceRange{Sequence(r.upTo(1<<31-1, "sequence")), uint32(r.upTo(MaxRunRecords, "count")), Offset(r.uv())}
	}
	s.producers.put(k, p)
}

func (w *writer) objectItem(k objectKey, o *objectState) {
	w.u64(uint64(k.revision))
	w.uv(uint64(k.index))
	w.u64(uint64(o.name.Session))
	w.u8(uint8(o.name.Lane))
	w.uv(o.name.Number)
	w.u8(o.name.Try)
	w.uv(uint64(o.size))
	w.uv(uint64(o.live))
}

func (r *reader) objectItem(s *State) {
	k := objectKey{Revision(r.u64()), int16(r.upTo(MaxEntryObjects, "index"))}
	o := objectState{name: ObjectName{SessionID(r.u64()), Lane(r.u8()), r.uv(), r.u8()}, size: int64(r.uv()), live: int64(r.uv())}
	s.objects.put(k, o)
}

func (w *writer) groupItem(name string, g *groupState) {
	w.text(name)
	w.groupHead(g)
	list := make([]OffsetCommit, 0, len(g.offsets))
	for _, o := range g.offsets {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b OffsetCommit) int {
		return cmp.Or(TopicPartition{a.Topic, a.Partition}.Compare(TopicPartition{b.Topic, b.Partition}), 0)
	})
	w.offsets(list)
}

func (r *reader) groupItem(s *State) {
	name := r.text()
	g := groupState{offsets: map[TopicPartition]OffsetCommit{}}
	r.groupHead(&g)
	for _, o := range r.offsets() {
		g.offsets[TopicPartition{o.Topic, o.Partition}] = o
	}
	s.offsets += len(g.offsets)
	s.groups.put(name, g)
}

func (w *writer) ledgerItem(b ledgerBucket, c **ledgerCells) {
	w.u64(uint64(b.start))
	w.flag(b.hour)
	w.uv(uint64((*c).gapsMs))
	w.uv(uint64(componentEnd))
	for _, q := range (*c).meters {
		w.uv(q.Hi)
		w.uv(q.Lo)
	}
	cells := make([]Cell, 0, len((*c).cells))
	for k, q := range (*c).cells {
		cells = append(cells, Cell{k, q})
	}
	slices.SortFunc(cells, func(a, b Cell) int { return a.Key.compare(&b.Key) })
	w.cells(cells)
}

func (r *reader) ledgerItem(s *State) {
	b := ledgerBucket{UnixMilli(r.u64()), r.flag()}
	c := &ledgerCells{cells: map[CellKey]Quantity{}, gapsMs: int64(r.uv())}
	for i := range r.upTo(255, "components") {
		q := Quantity{r.uv(), r.uv()}
		if i < uint64(componentEnd) {
			c.meters[i] = q
		}
	}
	for _, cell := range r.cells() {
		c.cells[cell.Key] = cell.Quantity
		s.sum += hashCell(b, &cell.Key, cell.Quantity)
	}
	s.ledger.put(b, c)
}

// root is what is small and changes with every entry.
func (w *writer) root(s *State) {
	w.u64(s.entries)
	w.u64(uint64(s.time))
	w.u64(uint64(s.recovered))
	w.u64(uint64(s.nextProducer))
	w.u64(uint64(s.gapsMs))
	w.u64(s.alarms)
	w.u8(uint8(s.pressure))
	w.text(s.lastBad)
	w.raw(s.cluster[:])
	w.uv(uint64(len(s.zones)))
	for _, z := range s.zones {
		w.text(string(z))
	}
	w.uv(uint64(len(s.sessions)))
	for _, id := range sortedKeys(s.sessions) {
		o := s.sessions[id]
		w.u64(uint64(o.id))
		w.u32(uint32(o.broker))
		w.openSession(o.open)
		w.flag(o.draining)
		for _, seq := range o.lanes {
			w.uv(uint64(seq))
		}
		w.uv(o.usage)
		w.u64(uint64(o.usageTo))
	}
	w.uv(uint64(len(s.roles)))
	for _, name := range sortedKeys(s.roles) {
		w.text(name)
		w.u64(uint64(s.roles[name].epoch))
		w.u64(uint64(s.roles[name].holder))
	}
	w.uv(uint64(len(s.producerIDBlocks)))
	for _, e := range s.producerIDBlocks {
		w.uv(uint64(e.first))
		w.u64(uint64(e.time))
		w.u64(uint64(e.revision))
	}
	w.uv(uint64(len(s.pending)))
	for i := range s.pending {
		g := &s.pending[i]
		w.archiveRef(&ArchiveRef{g.extent, g.first, g.last, g.entries, "", 0, g.inline, g.digest})
	}
	w.uv(uint64(len(s.archives)))
	for i := range s.archives {
		w.archiveRef(&s.archives[i])
	}
	w.brokerIDReservations(s)
	w.pastPlacements(s)
}

func (w *writer) archiveRef(a *ArchiveRef) {
	w.u64(uint64(a.Extent))
	w.u64(uint64(a.First))
	w.u64(uint64(a.Last))
	w.uv(a.Entries)
	w.text(a.Object)
	w.uv(uint64(a.Size))
	w.uv(uint64(a.LiveInline))
	w.raw(a.Digest[:])
}

func (r *reader) archiveRef() (a ArchiveRef) {
	a = ArchiveRef{Extent: Extent(r.u64()), First: Revision(r.u64()), Last: Revision(r.u64()), Entries: r.uv(),
		Object: r.text(), Size: int64(r.uv()), LiveInline: int64(r.uv())}
	copy(a.Digest[:], r.take(len(a.Digest)))
	return a
}

func (r *reader) root(s *State) {
	s.entries = r.u64()
	s.time = UnixMilli(r.u64())
	s.recovered = Revision(r.u64())
	s.nextProducer = ProducerID(r.u64())
	s.gapsMs = int64(r.u64())
	s.alarms = r.u64()
	s.pressure = PressureLevel(r.u8())
	s.lastBad = r.text()
	copy(s.cluster[:], r.take(len(s.cluster)))
	for range r.count(1, "zones") {
		s.zones = append(s.zones, ZoneID(r.text()))
	}
	for range r.count(40, "sessions") {
		o := &sessionState{id: SessionID(r.u64()), broker: BrokerID(r.u32()), open: r.openSession(), draining: r.flag()}
		for i := range o.lanes {
			o.lanes[i] = LaneSeq(r.uv())
		}
		o.usage, o.usageTo = r.uv(), UnixMilli(r.u64())
		s.sessions[o.id] = o
	}
	for range r.count(17, "duties") {
		name := r.text()
		s.roles[name] = roleState{RoleEpoch(r.u64()), SessionID(r.u64())}
	}
	for range r.count(17, "eras") {
		s.producerIDBlocks = append(s.producerIDBlocks, producerIDBlock{ProducerID(r.uv()), UnixMilli(r.u64()), Revision(r.u64())})
	}
	for range r.count(60, "generations") {
		a := r.archiveRef()
		s.pending = append(s.pending, extentDigest{a.Extent, a.First, a.Last, a.Entries, a.LiveInline, a.Digest})
	}
	for range r.count(60, "archives") {
		a := r.archiveRef()
		s.archives = append(s.archives, a)
		s.sum += hashArchive(&a)
	}
	r.brokerIDReservations(s)
	r.pastPlacements(s)
	s.placement = newPlacement(s.zones, s.Sessions())
}
