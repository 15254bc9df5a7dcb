package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// An encoded entry (docs/format/entry.md). Fixed-width numbers are
// big-endian; the head is made of varints.
//
//	0        4         6       8         16     17       25        33       37         41
//	+--------+---------+-------+---------+------+--------+---------+--------+----------+------+--------+-------+
//	| "ZWEN" | version | level | session | lane | seq    | time ms | length | length   | head | inline | crc   |
//	|        | 1       |       |         |      |        |         | of head| of inline|      | bytes  | 32C   |
//	+--------+---------+-------+---------+------+--------+---------+--------+----------+------+--------+-------+
//
// head: route, topics, principals, objects, orphans, parts with their runs,
// commands. The CRC covers everything before it.
const (
	entryMagic      = "ZWEN"
	entryVersion    = 1
	entryHeaderSize = 41
)

const (
	runNoProducer = 1 << iota
	runTransactional
	runHasStart
)

// AppendEntry encodes e behind b. It checks the result with the decoder, so that
// an entry that cannot be applied is never committed.
func AppendEntry(b []byte, e *Entry) ([]byte, error) {
	start := len(b)
	w := writer{b}
	w.raw([]byte(entryMagic))
	w.u16(entryVersion)
	w.u16(uint16(e.Level))
	w.u64(uint64(e.Session))
	w.u8(uint8(e.Lane))
	w.u64(uint64(e.Seq))
	w.u64(uint64(e.Time))
	w.u32(0)
	w.u32(uint32(len(e.Inline)))
	w.writeEntryHead(e)
	head := len(w.b) - start - entryHeaderSize
	binary.BigEndian.PutUint32(w.b[start+33:], uint32(head))
	w.raw(e.Inline)
	w.u32(crc32.Checksum(w.b[start:], castagnoli))
	if n := len(w.b) - start; n > MaxEntryBytes {
		return b, fmt.Errorf("encode entry: %d bytes, at most %d", n, MaxEntryBytes)
	}
	var check Entry
	if err := DecodeEntry(w.b[start:], &check); err != nil {
		return b, fmt.Errorf("encode entry: %w", err)
	}
	return w.b, nil
}

func (w *writer) writeEntryHead(e *Entry) {
	w.text(string(e.Route.Broker))
	w.text(string(e.Route.Member))
	w.text(string(e.Route.Leader))
	w.uvarint(uint64(len(e.Route.Followers)))
	for _, z := range e.Route.Followers {
		w.text(string(z))
	}
	w.uvarint(uint64(len(e.Topics)))
	for _, t := range e.Topics {
		w.raw(t[:])
	}
	w.uvarint(uint64(len(e.Principals)))
	for _, p := range e.Principals {
		w.text(p)
	}
	w.writeObjects(e.Session, e.Objects)
	w.writeObjects(e.Session, e.Orphans)
	w.uvarint(uint64(len(e.Parts)))
	for i := range e.Parts {
		w.writePart(e.Time, &e.Parts[i])
	}
	w.writeCommands(e.Commands)
}

func (w *writer) writeObjects(session SessionID, objects []ObjectRef) {
	w.uvarint(uint64(len(objects)))
	for _, o := range objects {
		w.flag(o.Name.Session != session) // apply refuses another session's; encoded so that an invalid entry can be dumped
		if o.Name.Session != session {
			w.u64(uint64(o.Name.Session))
		}
		w.u8(uint8(o.Name.Lane))
		w.uvarint(o.Name.Number)
		w.u8(o.Name.Try)
		w.uvarint(uint64(o.Size))
		w.uvarint(uint64(o.Puts))
	}
}

func (w *writer) writePart(at UnixMilli, p *Part) {
	w.uvarint(uint64(p.Topic))
	w.uvarint(uint64(p.Partition))
	w.uvarint(uint64(p.Object + 1))
	w.uvarint(uint64(p.Position))
	w.uvarint(uint64(p.Length))
	w.uvarint(uint64(len(p.Runs)))
	for i := range p.Runs {
		r := &p.Runs[i]
		var flags uint8
		if r.Producer == NoProducer {
			flags |= runNoProducer
		}
		if r.Transactional {
			flags |= runTransactional
		}
		if r.TxnStart != 0 {
			flags |= runHasStart
		}
		w.u8(flags)
		if r.Producer != NoProducer {
			w.uvarint(uint64(r.Producer))
			w.uvarint(uint64(uint16(r.Epoch)))
			w.uvarint(uint64(uint32(r.FirstSequence)))
		}
		if r.TxnStart != 0 {
			w.uvarint(uint64(r.TxnStart))
		}
		w.uvarint(uint64(r.Batches))
		w.uvarint(uint64(r.Records))
		w.uvarint(uint64(r.Bytes))
		w.varint(int64(r.MaxTimestamp - at))
		w.uvarint(uint64(r.Principal))
	}
}

// DecodeEntry decodes and validates an entry, reusing the memory of e. e.Inline
// is a slice of b. ErrVersion where a later version wrote it, ErrLevel where the
// entry has a level above this program's. A command that the entry's level does
// not have yet is an error.
func DecodeEntry(b []byte, e *Entry) error { return decodeEntry(b, e, nil) }

// decodeEntry is DecodeEntry with memory for the reader of command fields, or
// nil. Apply uses it to avoid an allocation.
func decodeEntry(b []byte, e *Entry, fields *reader) error {
	if len(b) < entryHeaderSize+4 || string(b[:4]) != entryMagic {
		return fmt.Errorf("decode entry: %w: not an entry", ErrCorrupt)
	}
	if v := binary.BigEndian.Uint16(b[4:]); v != entryVersion {
		return fmt.Errorf("decode entry: %w %d", ErrVersion, v)
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(b[len(b)-4:]); got != want {
		return fmt.Errorf("decode entry: %w: checksum %08x, want %08x", ErrCorrupt, got, want)
	}
	if len(b) > MaxEntryBytes {
		return fmt.Errorf("decode entry: %w: %d bytes, at most %d", ErrCorrupt, len(b), MaxEntryBytes)
	}
	head, inline := int(binary.BigEndian.Uint32(b[33:])), int(binary.BigEndian.Uint32(b[37:]))
	if head+inline != len(body)-entryHeaderSize {
		return fmt.Errorf("decode entry: %w: head %d and inline %d in %d bytes", ErrCorrupt, head, inline, len(body)-entryHeaderSize)
	}
	r := newReader(body[:entryHeaderSize+head], 6)
	// Of a level above its own a program knows neither commands nor rules. To
	// apply it makes no difference: the state's level is lower, too.
	if e.Level = FeatureLevel(r.Uint16()); e.Level > MaxFeatureLevel {
		return fmt.Errorf("decode entry: %w", CheckLevel(e.Level))
	}
	e.Session = SessionID(r.Uint64())
	e.Lane = Lane(r.Uint8())
	e.Seq = LaneSeq(r.Uint64())
	e.Time = UnixMilli(r.Uint64())
	r.Take(8) // the lengths
	e.Inline = body[entryHeaderSize+head:]
	r.readEntryHead(e, fields)
	if err := r.ExpectEnd(); err != nil {
		return fmt.Errorf("decode entry: %w", err)
	}
	if err := e.Validate(); err != nil {
		return fmt.Errorf("decode entry: %w: %w", ErrCorrupt, err)
	}
	return nil
}

// InlineStart returns the position of the inline bytes in an encoded entry.
func InlineStart(b []byte) (int, error) {
	if len(b) < entryHeaderSize+4 || string(b[:4]) != entryMagic {
		return 0, fmt.Errorf("find inline bytes: %w: not an entry", ErrCorrupt)
	}
	at := entryHeaderSize + int(binary.BigEndian.Uint32(b[33:]))
	if at+int(binary.BigEndian.Uint32(b[37:])) > len(b)-4 {
		return 0, fmt.Errorf("find inline bytes: %w: beyond the entry", ErrCorrupt)
	}
	return at, nil
}

func (r *reader) readEntryHead(e *Entry, fields *reader) {
	e.Route.Broker, e.Route.Member, e.Route.Leader = ZoneID(r.Text()), ZoneID(r.Text()), ZoneID(r.Text())
	e.Route.Followers = e.Route.Followers[:0]
	for range r.Count(1, "followers") {
		e.Route.Followers = append(e.Route.Followers, ZoneID(r.Text()))
	}
	e.Topics = e.Topics[:0]
	for range r.Count(16, "topics") {
		e.Topics = append(e.Topics, r.readTopicID())
	}
	e.Principals = e.Principals[:0]
	for range r.Count(1, "principals") {
		e.Principals = append(e.Principals, r.Text())
	}
	e.Objects = r.readObjects(e.Session, e.Objects[:0])
	e.Orphans = r.readObjects(e.Session, e.Orphans[:0])
	n := r.Count(6, "parts")
	old := e.Parts[:cap(e.Parts)]
	e.Parts = e.Parts[:0]
	for i := range n {
		var runs []Run
		if i < len(old) {
			runs = old[i].Runs[:0]
		}
		e.Parts = append(e.Parts, r.readPart(e.Time, runs))
	}
	e.Commands = r.readCommands(e, fields)
}

func (r *reader) readObjects(session SessionID, out []ObjectRef) []ObjectRef {
	for range r.Count(6, "objects") {
		o := ObjectRef{Name: ObjectName{Session: session}}
		if r.Flag() {
			o.Name.Session = SessionID(r.Uint64())
		}
		o.Name.Lane = Lane(r.Uint8())
		o.Name.Number = r.Uvarint()
		o.Name.Try = r.Uint8()
		o.Size = int64(r.UvarintUpTo(MaxObjectBytes, "object size"))
		o.Puts = uint32(r.UvarintUpTo(1<<20, "puts"))
		out = append(out, o)
	}
	return out
}

func (r *reader) readPart(at UnixMilli, runs []Run) Part {
	p := Part{
		Topic:     int(r.UvarintUpTo(1<<20, "topic index")),
		Partition: Partition(r.UvarintUpTo(MaxPartitionsPerTopic, "partition")),
		Object:    int(r.UvarintUpTo(MaxEntryObjects, "object index")) - 1,
		Position:  int64(r.UvarintUpTo(MaxObjectBytes, "position")),
		Length:    int64(r.UvarintUpTo(MaxObjectBytes, "length")),
	}
	for range r.Count(6, "runs") {
		runs = append(runs, r.readRun(at))
	}
	p.Runs = runs
	return p
}

func (r *reader) readRun(at UnixMilli) Run {
	flags := r.Uint8()
	if flags > runNoProducer|runTransactional|runHasStart {
		r.Fail("run flags %#x", flags)
	}
	run := Run{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Transactional: flags&runTransactional != 0}
	if flags&runNoProducer == 0 {
		run.Producer = ProducerID(r.UvarintUpTo(1<<62, "producer id"))
		run.Epoch = ProducerEpoch(r.UvarintUpTo(1<<15-1, "producer epoch"))
		run.FirstSequence = Sequence(r.UvarintUpTo(1<<31-1, "sequence"))
	}
	if flags&runHasStart != 0 {
		run.TxnStart = Revision(r.UvarintUpTo(1<<62, "start revision"))
	}
	run.Batches = uint32(r.UvarintUpTo(1<<31, "batches"))
	run.Records = uint32(r.UvarintUpTo(MaxRunRecords, "records"))
	run.Bytes = uint32(r.UvarintUpTo(MaxObjectBytes, "run bytes"))
	run.MaxTimestamp = at + UnixMilli(r.Varint())
	run.Principal = int(r.UvarintUpTo(1<<20, "principal index"))
	return run
}

// Validate checks that the fields of an entry are consistent. Apply checks what
// depends on the state.
func (e *Entry) Validate() error {
	if e.Lane >= LaneCount {
		return fmt.Errorf("lane %d", e.Lane)
	}
	if e.Session <= 0 || e.Seq == 0 {
		return fmt.Errorf("session %d, seq %d", e.Session, e.Seq)
	}
	if len(e.Inline) > MaxInlineBytes {
		return fmt.Errorf("%d inline bytes, at most %d", len(e.Inline), MaxInlineBytes)
	}
	if len(e.Objects) > MaxEntryObjects || len(e.Orphans) > MaxEntryObjects {
		return fmt.Errorf("%d objects and %d orphans, at most %d", len(e.Objects), len(e.Orphans), MaxEntryObjects)
	}
	for i := range e.Parts {
		if err := e.validatePart(&e.Parts[i]); err != nil {
			return fmt.Errorf("part %d: %w", i, err)
		}
	}
	for i, c := range e.Commands {
		if c == nil {
			return fmt.Errorf("command %d is missing", i)
		}
	}
	return nil
}

func (e *Entry) validatePart(p *Part) error {
	limit := int64(len(e.Inline))
	switch {
	case p.Topic < 0 || p.Topic >= len(e.Topics):
		return fmt.Errorf("topic index %d of %d", p.Topic, len(e.Topics))
	case p.Partition < 0 || p.Partition >= MaxPartitionsPerTopic:
		return fmt.Errorf("partition %d", p.Partition)
	case p.Object < InlineObject || p.Object >= len(e.Objects):
		return fmt.Errorf("object index %d of %d", p.Object, len(e.Objects))
	case len(p.Runs) == 0:
		return fmt.Errorf("no runs")
	}
	if p.Object != InlineObject {
		limit = e.Objects[p.Object].Size
	}
	if p.Position < 0 || p.Length <= 0 || p.Position > limit-p.Length {
		return fmt.Errorf("bytes %d+%d of %d", p.Position, p.Length, limit)
	}
	var bytes, records int64
	for i := range p.Runs {
		r := &p.Runs[i]
		if r.Batches == 0 || r.Records == 0 || r.Records > MaxRunRecords || r.Bytes < r.Batches*BatchHeaderSize {
			return fmt.Errorf("run %d: %d batches, %d records, %d bytes", i, r.Batches, r.Records, r.Bytes)
		}
		if r.Principal < 0 || r.Principal >= len(e.Principals) {
			return fmt.Errorf("run %d: principal index %d of %d", i, r.Principal, len(e.Principals))
		}
		if r.Producer != NoProducer && (r.Producer < 0 || r.Epoch < 0 || r.FirstSequence < 0) {
			return fmt.Errorf("run %d: producer %d, epoch %d, sequence %d", i, r.Producer, r.Epoch, r.FirstSequence)
		}
		bytes += int64(r.Bytes)
		records += int64(r.Records)
	}
	if bytes != p.Length {
		return fmt.Errorf("runs of %d bytes in a part of %d", bytes, p.Length)
	}
	if records > 1<<32-1 {
		return fmt.Errorf("%d offsets in one part", records)
	}
	return nil
}
