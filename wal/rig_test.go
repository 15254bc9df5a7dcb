package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

var (
	_ Replica  = (*metadata.Replica)(nil)
	_ Governor = (*metadata.Governor)(nil)
	_ Log      = metadata.Log(nil)
	_ Uploader = (*s3stream.Store)(nil)
)

// rig is a WAL in a bubble: the in-memory log, the real replica, a bucket and
// a governor whose faults a test scripts.
type rig struct {
	t       *testing.T
	log     *faultyLog
	replica *metadata.Replica
	store   *slowStore
	gov     *scriptedGovernor
	cfg     Config
	w       *WAL
	topic   metadata.TopicID
	entries []metadata.Entry // applied, in order, without inline bytes
	mu      sync.Mutex       // guards entries
	end     func()
}

// inBubble runs a test on a rig in a synctest bubble.
func inBubble(t *testing.T, change func(*Config), test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, metadata.NewMemLog(), change)
		test(r)
		r.close()
	})
}

func newRig(t *testing.T, mem *metadata.MemLog, change func(*Config)) *rig {
	r := &rig{t: t, log: &faultyLog{MemLog: mem}, store: &slowStore{t: t, objects: map[metadata.ObjectName][]byte{}}, gov: &scriptedGovernor{inline: 1 << 40}}
	r.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: mem, Logger: slog.New(slog.DiscardHandler),
		Fatal: func(err error) { t.Errorf("replica: %v", err) }})
	r.replica.Observe(func(a *metadata.AppliedEntry) {
		if a.Entry == nil {
			return
		}
		e := *a.Entry // copies what is valid during the call only
		e.Objects, e.Orphans = append([]metadata.ObjectRef(nil), e.Objects...), append([]metadata.ObjectRef(nil), e.Orphans...)
		parts := make([]metadata.Part, len(e.Parts))
		for i, p := range e.Parts {
			p.Runs = append([]metadata.Run(nil), p.Runs...)
			parts[i] = p
		}
		e.Parts, e.Inline, e.Topics = parts, nil, append([]metadata.TopicID(nil), e.Topics...)
		e.Commands = append([]metadata.Command(nil), e.Commands...)
		r.mu.Lock()
		r.entries = append(r.entries, e)
		r.mu.Unlock()
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { r.replica.Run(ctx) })
	r.cfg = Config{Log: r.log, Replica: r.replica, Uploader: r.store, Governor: r.gov, Rand: rand.New(rand.NewPCG(1, 2))}
	if change != nil {
		change(&r.cfg)
	}
	r.openSession()
	r.end = func() { cancel(); wg.Wait() }
	return r
}

// openSession begins a session and a WAL for it.
func (r *rig) openSession() {
	s, err := r.log.OpenSession(context.Background(), metadata.SessionInfo{})
	if err != nil {
		r.t.Fatal(err)
	}
	r.cfg.Session = s.ID()
	r.gov.sessions++
	if r.w, err = Open(r.cfg); err != nil {
		r.t.Fatal(err)
	}
	open := metadata.OpenSession{Want: metadata.NoBroker, Zone: "z1", MinLevel: 1, MaxLevel: 1}
	if out := r.submit(nil, open); out.Code != 0 || out.Commands[0].Code != 0 {
		r.t.Fatalf("open session: %+v", out)
	}
}

func (r *rig) submit(g *metadata.Guard, cmds ...metadata.Command) metadata.Outcome {
	r.t.Helper()
	out, err := r.w.Submit(context.Background(), cmds, g)
	if err != nil {
		r.t.Fatalf("submit: %v", err)
	}
	return out
}

// makeTopic makes the rig's topic.
func (r *rig) makeTopic(partitions int32) {
	r.t.Helper()
	r.topic = metadata.TopicID{1, 2, 3}
	out := r.submit(nil, metadata.CreateTopic{ID: r.topic, Name: "t", Partitions: partitions, ReplicationFactor: 1})
	if out.Commands[0].Code != 0 {
		r.t.Fatalf("create topic: %+v", out)
	}
}

// close ends the rig; what is pending must be answered by itself.
func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.w.Close(ctx); err != nil {
		r.t.Errorf("close: %v", err)
	}
	if used, _ := r.w.budget.Used(); used != 0 {
		r.t.Errorf("%d bytes of the budget are still taken after close", used)
	}
	r.gov.check(r.t)
	if n := len(r.w.assignments); n != 0 {
		r.t.Errorf("%d partitions are still pinned after close", n)
	}
	for _, l := range r.w.lanes {
		if l != nil && len(l.producers) != 0 {
			r.t.Errorf("%d tails are left in lane %s", len(l.producers), l.id)
		}
	}
	r.end()
}

func (r *rig) tp(p int32) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: r.topic, Partition: metadata.Partition(p)}
}

// batchOf returns a batch with a mark to find it by.
type mark uint64

type made struct {
	partition int32
	producer  metadata.ProducerID // 0: none
	epoch     metadata.ProducerEpoch
	seq       metadata.Sequence
	records   int32 // 0: 1
	bytes     int   // of the whole batch; 0: 100
	lane      metadata.Lane
	activity  *ConnectionActivity
	principal string
	mark      mark
}

func (r *rig) batch(m made) Batch {
	if m.producer == 0 {
		m.producer, m.epoch, m.seq = metadata.NoProducer, -1, -1
	}
	b := make([]byte, max(m.bytes, 100))
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	b[16] = 2
	be.PutUint32(b[23:], uint32(max(m.records, 1)-1))
	be.PutUint64(b[35:], uint64(time.Now().UnixMilli()))
	be.PutUint64(b[43:], uint64(m.producer))
	be.PutUint16(b[51:], uint16(m.epoch))
	be.PutUint32(b[53:], uint32(m.seq))
	be.PutUint32(b[57:], uint32(max(m.records, 1)))
	be.PutUint64(b[61:], uint64(m.mark))
	h, err := metadata.ParseBatchHeader(b)
	if err != nil {
		r.t.Fatal(err)
	}
	if m.lane == 0 {
		m.lane = metadata.LaneStandard
	}
	return Batch{Partition: r.tp(m.partition), Lane: m.lane, Bytes: b, Header: h, Principal: m.principal, Activity: m.activity}
}

// send appends a batch that must be taken at once.
func (r *rig) send(m made) *Ack {
	r.t.Helper()
	a, err := r.w.Append(context.Background(), r.batch(m))
	if err != nil {
		r.t.Fatalf("append: %v", err)
	}
	return a
}

// want waits for an ack of success.
func (r *rig) want(a *Ack, at metadata.Offset) {
	r.t.Helper()
	if got, err := a.Result(); err != nil || got != at {
		r.t.Errorf("ack: offset %d, error %v, want offset %d", got, err, at)
	}
}

// wantError waits for an ack of failure.
func (r *rig) wantError(a *Ack, target error) {
	r.t.Helper()
	if got, err := a.Result(); !errors.Is(err, target) {
		r.t.Errorf("ack: offset %d, error %v, want %v", got, err, target)
	}
}

// stored is a batch as a consumer would find it.
type stored struct {
	mark   mark
	offset metadata.Offset
}

// read returns the batches of a partition by the applied state.
func (r *rig) read(p int32) (out []stored) {
	r.t.Helper()
	type place struct {
		metadata.Span
		name metadata.ObjectName
	}
	var places []place
	r.replica.View(func(s *metadata.State) {
		for _, sp := range s.Spans(nil, r.tp(p), 0, 1<<30) {
			name, _, _ := s.Object(sp)
			places = append(places, place{sp, name})
		}
	})
	next := metadata.Offset(0)
	for _, pl := range places {
		var b []byte
		if pl.Inline() {
			b, _ = r.replica.InlineBytes(pl.Revision)
		} else {
			b = r.store.body(pl.name)
		}
		b = b[pl.Position : pl.Position+int64(pl.Length)]
		at := pl.First
		if at != next {
			r.t.Fatalf("partition %d: a span begins at %d, want %d", p, at, next)
		}
		for len(b) > 0 {
			h, err := metadata.ParseBatchHeader(b)
			if err != nil {
				r.t.Fatal(err)
			}
			out = append(out, stored{mark(binary.BigEndian.Uint64(b[61:])), at})
			at += metadata.Offset(h.Offsets())
			b = b[h.Size:]
		}
		if at != pl.End() {
			r.t.Fatalf("partition %d: a span ends at %d, its batches at %d", p, pl.End(), at)
		}
		next = at
	}
	return out
}

// applied returns the entries applied so far.
func (r *rig) applied() []metadata.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]metadata.Entry(nil), r.entries...)
}

func inlineUpTo(n int) func(*Config) {
	return func(c *Config) { c.InlineLimit = func() int { return n } }
}

// newActivity is the activity of a connection that has just been opened.
func newActivity() *ConnectionActivity {
	a := &ConnectionActivity{}
	a.Read(0)
	return a
}
