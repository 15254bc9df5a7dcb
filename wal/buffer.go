package wal

import (
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

// Upper bounds of the sizes of things in an encoded entry, in bytes. A lane
// adds them up so that an entry never exceeds its limit.
const (
	runMaxBytes  = 56 // flags 1, producer 9, epoch 3, sequence 5, start 9, counts 15, time 10, principal 3
	partMaxBytes = 40 // a topic of its own 16, topic index 3, partition 3, object 2, position 5, length 5, runs 5
	objectBytes  = 24
	// maxPartOffsets bounds the offsets of one part of an entry.
	maxPartOffsets = 1<<32 - 1
	// headMaxBytes bounds the parts, runs and objects of an entry, of which a lane
	// adds ready buffers to it: 2,400 runs of partitions of their own, the most
	// that are applied within metadata.MaxApplyTime.
	headMaxBytes = 225 << 10
)

// buffer is the batches that a lane gathered: open, then sealed into one object
// or into the entry itself.
type buffer struct {
	openedAt  time.Time
	lingerEnd time.Time // linger ends
	bytes     int
	headBytes int // upper bound of its parts and runs in an entry
	// lastPrincipal is the last one that headBytes counts.
	lastPrincipal string
	parts         []*part
	partIndex     map[metadata.TopicPartition]*part
	connections   []*ConnectionActivity
	// nextBlockedCheck is the earliest time at which a connection may look
	// blocked.
	nextBlockedCheck time.Time
	inlineDenied     bool // the inline budget had no room for it

	state bufferState
	name  metadata.ObjectName // number given at the seal; try of the winner
	ref   metadata.ObjectRef  // once ready
}

type bufferState uint8

const (
	bufferOpen      bufferState = iota
	bufferWaiting               // for an upload slot
	bufferUploading             // its items' bytes belong to the upload
	bufferReady                 // durable: may commit
)

// part is one partition's batches in a buffer.
type part struct {
	tp         metadata.TopicPartition
	groups     []*producerBatches // by producer, in order of first arrival
	offsets    int64              // offsets taken
	groupsByID map[metadata.ProducerID]*producerBatches
	failed     bool // an earlier object of the partition failed: nothing of it commits
	location   s3stream.Location
	runs       []run
}

// producerBatches is one producer's batches of a partition, in its order.
type producerBatches struct {
	producer       metadata.ProducerID
	items          []*pendingBatch
	runStarts      []int // where runs begin
	lastRunRecords int64 // of the last run
}

// run is consecutive items of a group that are accepted or refused whole.
type run struct {
	items []*pendingBatch
	metadata.Run
}

// minIndexedGroups is the number of groups from which on a part indexes them.
const minIndexedGroups = 8

func newBuffer(now time.Time, linger time.Duration) *buffer {
	return &buffer{openedAt: now, lingerEnd: now.Add(linger), partIndex: map[metadata.TopicPartition]*part{}}
}

// addBatch appends a batch to those of its producer and partition.
func (b *buffer) addBatch(it *pendingBatch) {
	p := b.partIndex[it.Partition]
	if p == nil {
		p = &part{tp: it.Partition}
		b.partIndex[it.Partition] = p
		b.parts = append(b.parts, p)
		b.headBytes += partMaxBytes
	}
	g := p.groupOf(it.Header.Producer)
	n := len(g.items)
	if n == 0 || !it.continuesRun(g.items[n-1]) || g.lastRunRecords+it.Header.Offsets() > metadata.MaxRunRecords {
		g.runStarts = append(g.runStarts, n)
		g.lastRunRecords = 0
		b.headBytes += runMaxBytes
		if it.Principal != b.lastPrincipal { // an entry has each once
			b.lastPrincipal = it.Principal
			b.headBytes += len(it.Principal)
		}
	}
	g.items = append(g.items, it)
	p.offsets += it.Header.Offsets()
	g.lastRunRecords += it.Header.Offsets()
	b.bytes += len(it.Bytes)
	if f := it.Activity; f != nil {
		first := f.listedIn[it.Lane].Swap(b) != b
		if first {
			b.connections = append(b.connections, f)
		}
		f.noteBuffered(it.Lane, first, it.More)
	}
}

// hasRoom reports whether a batch fits into the buffer.
func (b *buffer) hasRoom(it *pendingBatch, maxBytes int) bool {
	if len(b.parts) == 0 {
		return true
	}
	p := b.partIndex[it.Partition]
	return b.bytes+len(it.Bytes) <= maxBytes && (p == nil || p.offsets+it.Header.Offsets() <= maxPartOffsets)
}

func (p *part) groupOf(id metadata.ProducerID) *producerBatches {
	if p.groupsByID != nil {
		if g := p.groupsByID[id]; g != nil {
			return g
		}
	} else {
		for _, g := range p.groups {
			if g.producer == id {
				return g
			}
		}
	}
	g := &producerBatches{producer: id}
	p.groups = append(p.groups, g)
	if p.groupsByID != nil {
		p.groupsByID[id] = g
	} else if len(p.groups) > minIndexedGroups {
		p.groupsByID = make(map[metadata.ProducerID]*producerBatches, 2*minIndexedGroups)
		for _, g := range p.groups {
			p.groupsByID[g.producer] = g
		}
	}
	return g
}

// buildRuns fixes the order of the bytes and builds the runs.
func (b *buffer) buildRuns() {
	for _, p := range b.parts {
		for _, g := range p.groups {
			for i, from := range g.runStarts {
				to := len(g.items)
				if i+1 < len(g.runStarts) {
					to = g.runStarts[i+1]
				}
				p.runs = append(p.runs, newRun(g.items[from:to:to]))
			}
		}
	}
}

func newRun(items []*pendingBatch) run {
	first := items[0]
	r := run{items: items, Run: metadata.Run{
		Producer: first.Header.Producer, Epoch: first.Header.Epoch, FirstSequence: first.Header.BaseSequence,
		Batches: uint32(len(items)), MaxTimestamp: first.Header.MaxTimestamp,
		Transactional: first.Header.Transactional(), TxnStart: first.TxnStart,
	}}
	if r.Producer == metadata.NoProducer {
		r.Epoch, r.FirstSequence = -1, -1
	}
	for _, it := range items {
		r.Records += uint32(it.Header.Offsets())
		r.Bytes += uint32(len(it.Bytes))
		r.MaxTimestamp = max(r.MaxTimestamp, it.Header.MaxTimestamp)
	}
	return r
}

// objectParts lists the bytes in their final order.
func (b *buffer) objectParts() []s3stream.ObjectPart {
	out := make([]s3stream.ObjectPart, len(b.parts))
	for i, p := range b.parts {
		out[i].Partition = p.tp
		for r := range p.runs {
			for _, it := range p.runs[r].items {
				out[i].Batches = append(out[i].Batches, it.Bytes)
			}
		}
	}
	return out
}

// hasLiveParts reports whether anything of the buffer may still commit.
func (b *buffer) hasLiveParts() bool {
	for _, p := range b.parts {
		if !p.failed {
			return true
		}
	}
	return false
}

// containsAny reports whether the buffer has a partition of the set.
func (b *buffer) containsAny(set map[metadata.TopicPartition]struct{}) bool {
	if len(set) == 0 {
		return false
	}
	for _, p := range b.parts {
		if _, ok := set[p.tp]; ok && !p.failed {
			return true
		}
	}
	return false
}

// addPartitionsTo adds the buffer's partitions to the set.
func (b *buffer) addPartitionsTo(set map[metadata.TopicPartition]struct{}) {
	for _, p := range b.parts {
		if !p.failed {
			set[p.tp] = struct{}{}
		}
	}
}

// removePartitions removes the partitions of the set from an open buffer, and
// returns the buffer, or nil where nothing is left.
func (b *buffer) removePartitions(set map[metadata.TopicPartition]struct{}, drop func(*part)) *buffer {
	keep := b.parts[:0]
	for _, p := range b.parts {
		if _, ok := set[p.tp]; !ok {
			keep = append(keep, p)
			continue
		}
		delete(b.partIndex, p.tp)
		for _, g := range p.groups {
			for _, it := range g.items {
				b.bytes -= len(it.Bytes)
			}
		}
		drop(p)
	}
	if b.parts = keep; len(keep) == 0 {
		return nil
	}
	return b
}
