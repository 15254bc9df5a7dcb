package metadata

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// directSubmitter is a control lane without a WAL.
type directSubmitter struct {
	mu   sync.Mutex
	log  Log
	r    *Replica
	s    SessionID
	lane Lane
	seq  LaneSeq

	hookMu sync.Mutex
	before func(Command) // of the first command, where not nil
}

// beforeSubmit has f called before each Submit.
func (d *directSubmitter) beforeSubmit(f func(Command)) {
	d.hookMu.Lock()
	defer d.hookMu.Unlock()
	d.before = f
}

func (d *directSubmitter) Submit(ctx context.Context, cmds []Command, guard *Guard) (Outcome, error) {
	d.hookMu.Lock()
	before := d.before
	d.hookMu.Unlock()
	if before != nil {
		before(cmds[0])
	}
	return d.commit(ctx, &Entry{Commands: cmds}, guard)
}

func (d *directSubmitter) commit(ctx context.Context, e *Entry, guard *Guard) (Outcome, error) {
	for !d.mu.TryLock() { // a mutex held while blocking, in tests only, and never waited for
		time.Sleep(time.Millisecond)
	}
	defer d.mu.Unlock()
	d.seq++
	e.Level, e.Session, e.Lane, e.Seq = 1, d.s, d.lane, d.seq
	b, err := AppendEntry(nil, e)
	if err != nil {
		return Outcome{}, err
	}
	w := d.r.Expect(EntryKey{d.s, d.lane, d.seq})
	defer w.Cancel()
	if _, err := d.log.Append(ctx, AppendRequest{EntryKey{d.s, d.lane, d.seq}, b, guard}); err != nil {
		return Outcome{}, err
	}
	select {
	case out := <-w.C:
		return out, nil
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
}

// testBroker is a replica with its maintenance over a MemLog.
type testBroker struct {
	t       *testing.T
	r       *Replica
	sub     *directSubmitter
	data    *directSubmitter
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	session Session
	mayStop bool                  // by itself
	stopped atomic.Pointer[error] // why it did
}

func startBroker(t *testing.T, log *MemLog, store Store, zone ZoneID, seed uint64, more ...RoleTask) *testBroker {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	b := &testBroker{t: t, cancel: cancel}
	b.r = NewReplica(ReplicaConfig{Log: log, Store: store, Logger: slog.New(slog.DiscardHandler)})
	b.wg.Go(func() {
		if err := b.r.Run(ctx); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	s, err := log.OpenSession(ctx, SessionInfo{Nonce: string(zone), Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	b.session = s
	b.sub = &directSubmitter{log: log, r: b.r, s: s.ID()}
	b.data = &directSubmitter{log: log, r: b.r, s: s.ID(), lane: LaneLow}
	out, err := b.sub.Submit(ctx, []Command{OpenSession{Want: NoBroker, Zone: zone, MinLevel: 1, MaxLevel: 1}}, nil)
	if err != nil || out.Commands[0].Code != CodeOK {
		t.Fatalf("open: %+v, %v", out, err)
	}
	c := NewMaintenance(MaintenanceConfig{Log: log, Admin: log, Store: store, Replica: b.r, Submitter: b.sub, Session: s,
		Broker: BrokerID(out.Commands[0].Value), Logger: slog.New(slog.DiscardHandler), Rand: rand.New(rand.NewPCG(seed, 2)), Times: DefaultMaintenanceTimes()})
	b.wg.Go(func() {
		if err := c.Run(ctx, append(c.Tasks(), more...)); err != nil {
			b.stopped.Store(&err)
		}
	})
	return b
}

// produceInline commits one record inside an entry; newest is its timestamp.
func (b *testBroker) produceInline(tp TopicPartition, body []byte, newest UnixMilli) Offset {
	b.t.Helper()
	e := &Entry{Topics: []TopicID{tp.Topic}, Principals: []string{""}, Inline: body,
		Parts: []Part{{Partition: tp.Partition, Object: InlineObject, Length: int64(len(body)),
			Runs: []Run{{Producer: NoProducer, Epoch: -1, FirstSequence: -1, Batches: 1, Records: 1, Bytes: uint32(len(body)), MaxTimestamp: newest}}}}}
	out, err := b.data.commit(b.t.Context(), e, nil)
	if err != nil || out.Parts[0][0].Code != CodeOK {
		b.t.Fatalf("%+v %v", out, err)
	}
	return out.Parts[0][0].Offset
}

func (b *testBroker) stop() {
	b.cancel()
	b.wg.Wait()
	if err := b.stopped.Load(); err != nil && !b.mayStop {
		b.t.Errorf("maintenance: %v", *err)
	}
}

func (b *testBroker) hash() (h uint64, rev Revision) {
	b.r.View(func(s *State) { h, rev = s.Hash(), s.revision })
	return h, rev
}

// A cluster archives, checkpoints and truncates under load; a broker that starts
// from the bucket and the remaining keys has the same state, and can read every
// inline byte: promises 2, 4 and 7.
func TestStartFromCheckpointArchivesAndKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		log.Latency = 2 * time.Millisecond
		a := startBroker(t, log, store, "a", 1)
		b := startBroker(t, log, store, "b", 2)
		topic := TopicID{1}
		if out, err := a.sub.Submit(t.Context(), []Command{CreateTopic{topic, "t", 2, 3, nil}}, nil); err != nil || out.Commands[0].Code != CodeOK {
			t.Fatalf("%+v %v", out, err)
		}
		want := map[Offset]string{}
		for i := range 400 {
			from := a
			if i%2 == 1 {
				from = b
			}
			payload := fmt.Sprintf("%0100d", i)
			want[from.produceInline(TopicPartition{topic, 0}, []byte(payload), 0)] = payload
			time.Sleep(500 * time.Millisecond)
		}
		start, _ := log.Start(t.Context())
		if start.ArchivedUpTo == 0 || start.Checkpoint == nil {
			t.Fatalf("nothing was archived (%d) or checkpointed (%v)", start.ArchivedUpTo, start.Checkpoint)
		}
		c := startBroker(t, log, store, "c", 3)
		defer c.stop()
		defer b.stop()
		defer a.stop()
		for _, x := range []*testBroker{a, b, c} {
			if err := x.r.Barrier(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(100 * time.Millisecond)
		ha, ra := a.hash()
		hc, rc := c.hash()
		if ra != rc || ha != hc {
			t.Fatalf("state at %d is %x, the started one's at %d is %x", ra, ha, rc, hc)
		}
		readBack(t, c.r, TopicPartition{topic, 0}, want)
		readBack(t, a.r, TopicPartition{topic, 0}, want)
	})
}

func readBack(t *testing.T, r *Replica, tp TopicPartition, want map[Offset]string) {
	t.Helper()
	var spans []Span
	r.View(func(s *State) { spans = s.Spans(nil, tp, 0, 10_000) })
	if len(spans) != len(want) {
		t.Fatalf("%d spans, want %d", len(spans), len(want))
	}
	archived := 0
	for _, sp := range spans {
		b, ok := r.InlineBytes(sp.Revision)
		if ok {
			b = b[sp.Position : sp.Position+int64(sp.Length)]
		} else {
			archived++
			var ref ArchiveRef
			r.View(func(s *State) { ref, ok = s.Archive(sp.Revision) })
			if !ok {
				t.Fatalf("offset %d: neither pinned nor archived", sp.First)
			}
			var err error
			if b, err = r.ArchivedInline(t.Context(), ref, sp.Revision, sp.Position, int64(sp.Length)); err != nil {
				t.Fatal(err)
			}
		}
		if string(b) != want[sp.First] {
			t.Fatalf("offset %d: %q, want %q", sp.First, b, want[sp.First])
		}
	}
	if archived == 0 {
		t.Fatal("nothing was read from an archive")
	}
}

// An expired session is closed, and its broker id is free again.
func TestDeadSessionIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		b := startBroker(t, log, store, "b", 2)
		log.ExpireSession(b.session.ID())
		b.stop()
		time.Sleep(5 * time.Second)
		var open []SessionView
		a.r.View(func(s *State) { open = s.Sessions() })
		if len(open) != 1 || open[0].ID != a.session.ID() {
			t.Fatalf("open sessions: %+v", open)
		}
	})
}

// A pressure level begins where the design says and ends below that.
func TestPressureHasHysteresis(t *testing.T) {
	at := func(percent int64, present PressureLevel) PressureLevel {
		return nextPressure(StoreHealth{InUseBytes: percent, QuotaBytes: 100}, present)
	}
	for _, c := range []struct {
		percent       int64
		present, want PressureLevel
	}{
		{40, PressureNone, PressureNone}, {41, PressureNone, PressureNoInline}, {61, PressureNone, PressureNoAppends},
		{38, PressureNoInline, PressureNoInline}, {35, PressureNoInline, PressureNone},
		{57, PressureNoAppends, PressureNoAppends}, {50, PressureNoAppends, PressureNoInline}, {10, PressureNoAppends, PressureNone},
	} {
		if got := at(c.percent, c.present); got != c.want {
			t.Errorf("%d %% at level %d: %d, want %d", c.percent, c.present, got, c.want)
		}
	}
}

// spoil makes a broker's state differ from the others', as a memory error would.
func (b *testBroker) spoil() {
	b.r.mu.Lock()
	defer b.r.mu.Unlock()
	b.r.state.gapsMs++
}

// A broker whose state differs from a checkpoint on which two others agree
// reloads it once; the second time it must stop: promises 2 and 11.
func TestDifferingStateIsReloadedOnceThenFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		c := startBroker(t, log, store, "c", 3)
		defer c.stop()
		b := startBroker(t, log, store, "b", 2)
		defer b.stop()
		b.mayStop = true // the second time
		time.Sleep(70 * time.Second)
		b.spoil()
		if ha, _ := a.hash(); func() bool { hb, _ := b.hash(); return ha == hb }() {
			t.Fatal("the states do not differ")
		}
		time.Sleep(5 * time.Minute)
		ha, ra := a.hash()
		hb, rb := b.hash()
		if ra != rb || ha != hb || b.stopped.Load() != nil {
			t.Fatalf("after the reload %x at %d, want %x at %d; stopped: %v", hb, rb, ha, ra, b.stopped.Load())
		}
		b.spoil()
		time.Sleep(5 * time.Minute)
		if err := b.stopped.Load(); err == nil || !errors.Is(*err, ErrCorrupt) {
			t.Errorf("the second time: %v", err)
		}
	})
}

// If the only other broker has another hash, the checkpoint is not accepted.
func TestNoCheckpointIsAgreedOnThoughHashesDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		b := startBroker(t, log, store, "b", 2)
		defer b.stop()
		b.spoil()
		time.Sleep(10 * time.Minute)
		start, err := log.Start(t.Context())
		if err != nil || start.Checkpoint != nil {
			t.Errorf("checkpoint %+v, %v", start.Checkpoint, err)
		}
		written := 0
		for key := range store.objects {
			if strings.Contains(key, "/checkpoint/") {
				written++
			}
		}
		if written == 0 {
			t.Error("none was written: nothing was tried")
		}
	})
}

// A barrier returns once the state has everything that was acknowledged before
// it, the very last entry too, which may take its time to be applied.
func TestABarrierWaitsForTheLastEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := NewMemLog()
		a := startBroker(t, log, newMemStore(), "a", 1)
		defer a.stop()
		slow := NewReplica(ReplicaConfig{Log: log, Store: newMemStore(), Logger: slog.New(slog.DiscardHandler),
			hooks: Hooks{BeforeApply: func(Revision) { time.Sleep(300 * time.Millisecond) }}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := slow.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		for !slow.CaughtUp() {
			time.Sleep(time.Millisecond)
		}
		for i := range 5 {
			name := fmt.Sprint("t", i)
			if out, err := a.sub.Submit(ctx, []Command{CreateTopic{TopicID{byte(i + 1)}, name, 1, 1, nil}}, nil); err != nil || out.Commands[0].Code != CodeOK {
				t.Fatal(out, err)
			}
			if err := slow.Barrier(ctx); err != nil {
				t.Fatal(err)
			}
			slow.View(func(s *State) {
				if _, there := s.TopicNamed(name); !there {
					t.Errorf("topic %s was made before the barrier and is not there behind it", name)
				}
			})
		}
		cancel()
		wg.Wait()
	})
}

// Extents are closed on schedule also while archiving fails.
func TestGenerationsCloseWhileArchivingFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := NewMemLog()
		a := startBroker(t, log, brokenStore{}, "a", 1)
		defer a.stop()
		time.Sleep(65 * time.Second)
		start, err := log.Start(t.Context())
		if err != nil || start.Extent < 5 || start.ArchivedUpTo != 0 {
			t.Fatalf("generation %d, truncated %d, %v", start.Extent, start.ArchivedUpTo, err)
		}
	})
}

// brokenStore fails every request.
type brokenStore struct{}

func (brokenStore) Put(context.Context, string, []byte) error { return errors.New("down") }
func (brokenStore) Get(context.Context, string, int64, int64) ([]byte, error) {
	return nil, errors.New("down")
}

// A cluster that was recovered into another etcd writes no more archives: the
// bucket belongs to the newest incarnation.
func TestArchiveStopsAtANewerIncarnation(t *testing.T) {
	log, store := NewMemLog(), newMemStore()
	c := NewMaintenance(MaintenanceConfig{Log: log, Admin: log, Store: store, Logger: slog.New(slog.DiscardHandler)})
	if err := c.checkIncarnation(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	store.objects[IncarnationKey(2)] = []byte("x")
	if err := c.checkIncarnation(t.Context(), 1); !errors.Is(err, ErrNewerIncarnation) {
		t.Fatal(err)
	}
	if err := c.checkIncarnation(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
}
