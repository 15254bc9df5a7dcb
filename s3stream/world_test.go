package s3stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

var _ Replica = (*metadata.Replica)(nil)

var topic = metadata.TopicID{1, 2, 3}

func part(n int) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: topic, Partition: metadata.Partition(n)}
}

// batchSpec describes a batch to make.
type batchSpec struct {
	producer metadata.ProducerID
	seq      metadata.Sequence
	records  int
	size     int // of each value
	ts       metadata.UnixMilli
	fill     byte
}

// makeBatch returns an uncompressed batch; record i has timestamp ts + i.
func makeBatch(x batchSpec) []byte {
	b := make([]byte, metadata.BatchHeaderSize)
	for i := range x.records {
		rec := []byte{0}
		rec = binary.AppendVarint(rec, int64(i))
		rec = binary.AppendVarint(rec, int64(i))
		rec = binary.AppendVarint(rec, -1)
		rec = binary.AppendVarint(rec, int64(x.size))
		rec = append(rec, bytes.Repeat([]byte{x.fill + byte(i)}, x.size)...)
		rec = binary.AppendVarint(rec, 0)
		b = binary.AppendVarint(b, int64(len(rec)))
		b = append(b, rec...)
	}
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	be.PutUint32(b[12:], 0xffffffff)
	b[16] = 2
	be.PutUint32(b[23:], uint32(x.records-1))
	be.PutUint64(b[27:], uint64(x.ts))
	be.PutUint64(b[35:], uint64(x.ts)+uint64(x.records-1))
	be.PutUint64(b[43:], uint64(x.producer))
	be.PutUint16(b[51:], uint16(0xffff))
	be.PutUint32(b[53:], uint32(x.seq))
	be.PutUint32(b[57:], uint32(x.records))
	be.PutUint32(b[17:], metadata.BatchCRC(b))
	return b
}

// world is a state, a bucket and what should be readable from them.
type world struct {
	t      testing.TB
	rng    *rand.Rand
	mem    *bucket.Mem
	number uint64
	upload context.Context // of commitObject

	mu       sync.Mutex
	state    *metadata.State
	seqs     [metadata.LaneCount]metadata.LaneSeq
	rev      metadata.Revision
	gen      metadata.Extent
	inline   map[metadata.Revision][]byte
	archived map[metadata.Revision]int64 // where in its archive
	lengths  map[metadata.Revision]int64 // of archived inline bytes
	barriers int
	onBarrer func()
	// barrierErr, where not nil, is what barriers end with.
	barrierErr error

	want map[metadata.TopicPartition][]byte // batches as they must be served
	ends map[metadata.TopicPartition][]metadata.Offset
}

const session = metadata.SessionID(77)

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 5)), mem: bucket.NewMem(), upload: context.Background(), state: metadata.NewState(), rev: 100, gen: 1,
		inline: map[metadata.Revision][]byte{}, archived: map[metadata.Revision]int64{}, lengths: map[metadata.Revision]int64{},
		want: map[metadata.TopicPartition][]byte{}, ends: map[metadata.TopicPartition][]metadata.Offset{}}
	out := w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{
		metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1, Kafka: metadata.Address{Host: "h", Port: 9092}, Peer: "h:1", HTTP: "h:2", Version: "t"}}})
	if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
		t.Fatalf("open: %+v", out)
	}
	out = w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{
		metadata.CreateTopic{ID: topic, Name: "t", Partitions: 8, ReplicationFactor: 1}}})
	if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
		t.Fatalf("create: %+v", out)
	}
	return w
}

func (w *world) apply(lane metadata.Lane, e *metadata.Entry) metadata.Outcome {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rev += 1 + metadata.Revision(w.rng.IntN(3))
	w.seqs[lane]++
	e.Level, e.Session, e.Lane, e.Seq, e.Time = 1, session, lane, w.seqs[lane], 1000
	b, err := metadata.AppendEntry(nil, e)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(e.Inline) > 0 {
		w.inline[w.rev] = bytes.Clone(e.Inline)
	}
	out, _ := w.state.Apply(&metadata.CommittedEntry{Revision: w.rev, Extent: w.gen, Session: session, Lane: lane, Seq: w.seqs[lane], Bytes: b})
	return out
}

// View, Barrier, InlineBytes and ArchivedInline are the replica.
func (w *world) View(f func(*metadata.State)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w.state)
}

func (w *world) Barrier(ctx context.Context) error {
	w.mu.Lock()
	w.barriers++
	f, err := w.onBarrer, w.barrierErr
	w.mu.Unlock()
	if f != nil {
		f()
	}
	if err != nil {
		return err
	}
	return ctx.Err()
}

func (w *world) InlineBytes(rev metadata.Revision) ([]byte, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b, ok := w.inline[rev]
	return b, ok
}

func (w *world) ArchivedInline(ctx context.Context, ref metadata.ArchiveRef, rev metadata.Revision, pos, length int64) ([]byte, error) {
	w.mu.Lock()
	at, ok := w.archived[rev]
	w.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("revision %d is not in %s", rev, ref.Object)
	}
	return w.mem.Get(ctx, ref.Object, at+pos, length)
}

// placing is a world whose replica tells where archived bytes lie.
type placing struct{ *world }

func (w placing) ArchivedPosition(ctx context.Context, ref metadata.ArchiveRef, rev metadata.Revision) (position, length int64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.archived[rev]
	if !ok {
		return 0, 0, fmt.Errorf("%w: revision %d is not in %s", metadata.ErrCorrupt, rev, ref.Object)
	}
	return at, w.lengths[rev], nil
}

// archive moves all inline bytes into an archive object.
func (w *world) archive() {
	w.mu.Lock()
	old := w.gen
	w.gen++
	w.mu.Unlock()
	w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{metadata.Tick{To: 1}}})
	p := w.state.PendingArchives()[0]
	if p.Extent != old || !p.Closed {
		w.t.Fatalf("pending archive %+v", p)
	}
	w.mu.Lock()
	body := []byte("archive")
	moved := map[metadata.Revision]int64{}
	for rev := metadata.Revision(0); rev <= p.Last; rev++ {
		if b, ok := w.inline[rev]; ok {
			moved[rev] = int64(len(body))
			body = append(body, b...)
		}
	}
	w.mu.Unlock()
	key := fmt.Sprintf("archive/1/%d/x", old)
	if err := w.mem.Put(context.Background(), key, body); err != nil {
		w.t.Fatal(err)
	}
	out := w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{metadata.AcceptArchive{Extent: old, Object: key,
		First: p.First, Last: p.Last, Entries: p.Entries, Bytes: int64(len(body)), Digest: p.Digest}}})
	if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
		w.t.Fatalf("archived: %+v", out)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for rev, at := range moved {
		w.archived[rev], w.lengths[rev] = at, int64(len(w.inline[rev]))
		delete(w.inline, rev)
	}
}

// runOf is the run of batches without producer id.
func runOf(batches [][]byte) metadata.Run {
	r := metadata.Run{Producer: metadata.NoProducer, Epoch: -1, FirstSequence: -1}
	for _, b := range batches {
		h, _ := metadata.ParseBatchHeader(b)
		r.Batches++
		r.Records += uint32(h.Offsets())
		r.Bytes += uint32(len(b))
		r.MaxTimestamp = max(r.MaxTimestamp, h.MaxTimestamp)
	}
	return r
}

func (w *world) nextName() metadata.ObjectName {
	w.number++
	return metadata.ObjectName{Session: session, Lane: metadata.LaneStandard, Number: w.number}
}

// commitObject writes an object of these parts, through store if it is not nil.
func (w *world) commitObject(store *Store, parts []ObjectPart) metadata.ObjectName {
	name := w.nextName()
	body, at, err := EncodeWAL(name, parts)
	if err != nil {
		w.t.Fatal(err)
	}
	if store != nil {
		if _, err := store.Upload(w.upload, name, body); err != nil {
			w.t.Fatal(err)
		}
	} else if err := w.mem.Put(context.Background(), name.Key(), body); err != nil {
		w.t.Fatal(err)
	}
	e := &metadata.Entry{Topics: []metadata.TopicID{topic}, Principals: []string{"p"},
		Objects: []metadata.ObjectRef{{Name: name, Size: int64(len(body)), Puts: 1}}}
	for i, p := range parts {
		e.Parts = append(e.Parts, metadata.Part{Partition: p.Partition.Partition, Position: at[i].Position, Length: at[i].Length,
			Runs: []metadata.Run{runOf(p.Batches)}})
	}
	w.commit(e, parts)
	return name
}

func (w *world) commitInline(parts []ObjectPart) {
	e := &metadata.Entry{Topics: []metadata.TopicID{topic}, Principals: []string{"p"}}
	for _, p := range parts {
		at := len(e.Inline)
		for _, b := range p.Batches {
			e.Inline = append(e.Inline, b...)
		}
		e.Parts = append(e.Parts, metadata.Part{Partition: p.Partition.Partition, Object: metadata.InlineObject,
			Position: int64(at), Length: int64(len(e.Inline) - at), Runs: []metadata.Run{runOf(p.Batches)}})
	}
	w.commit(e, parts)
}

func (w *world) commit(e *metadata.Entry, parts []ObjectPart) {
	out := w.apply(metadata.LaneStandard, e)
	if out.Code != metadata.CodeOK {
		w.t.Fatalf("commit: %+v", out)
	}
	for i, p := range parts {
		base := out.Parts[i][0].Offset
		for _, b := range p.Batches {
			h, _ := metadata.ParseBatchHeader(b)
			c := bytes.Clone(b)
			metadata.PatchBatch(c, base, 0)
			w.want[p.Partition] = append(w.want[p.Partition], c...)
			base += metadata.Offset(h.Offsets())
			w.ends[p.Partition] = append(w.ends[p.Partition], base)
		}
	}
}

// randomParts makes parts of a few partitions.
func (w *world) randomParts(most int, value int) []ObjectPart {
	var parts []ObjectPart
	for _, n := range w.rng.Perm(3)[:1+w.rng.IntN(3)] {
		p := ObjectPart{Partition: part(n)}
		for range 1 + w.rng.IntN(most) {
			p.Batches = append(p.Batches, makeBatch(batchSpec{producer: -1, seq: -1, records: 1 + w.rng.IntN(4),
				size: w.rng.IntN(value), ts: 1000 + metadata.UnixMilli(w.rng.IntN(1000)), fill: byte(w.rng.IntN(256))}))
		}
		parts = append(parts, p)
	}
	return parts
}

func (w *world) end(tp metadata.TopicPartition) metadata.Offset {
	ends := w.ends[tp]
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1]
}

// wantFrom returns what a read of everything from an offset must return.
func (w *world) wantFrom(tp metadata.TopicPartition, from metadata.Offset) []byte {
	b := w.want[tp]
	for _, end := range w.ends[tp] {
		if end > from {
			break
		}
		h, _ := metadata.ParseBatchHeader(b)
		b = b[h.Size:]
	}
	return b
}

func (w *world) store(b bucket.Bucket, change ...func(*Config)) *Store {
	c := Config{Bucket: b, Replica: w, TailBytes: 1 << 20}
	for _, f := range change {
		f(&c)
	}
	if err := c.Validate(); err != nil {
		w.t.Fatal(err)
	}
	return NewStore(c)
}
