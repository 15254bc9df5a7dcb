package metadata

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/test/testenv/logtext"
)

// cutLog is a log from which one broker can be cut off.
type cutLog struct {
	*MemLog
	mu     sync.Mutex
	broken chan struct{} // closed while it is cut off
}

func newCutLog(l *MemLog) *cutLog { return &cutLog{MemLog: l, broken: make(chan struct{})} }

func (l *cutLog) cut(off bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if off {
		close(l.broken)
	} else {
		l.broken = make(chan struct{})
	}
}

func (l *cutLog) isBroken() chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

func (l *cutLog) Start(ctx context.Context) (StartPoint, error) {
	select {
	case <-l.isBroken():
		return StartPoint{}, fmt.Errorf("cut off: %w", ErrUnavailable)
	default:
		return l.MemLog.Start(ctx)
	}
}

func (l *cutLog) Follow(ctx context.Context, from StartPoint, deliver func([]CommittedEntry, Revision, bool) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	broken := l.isBroken()
	go func() {
		select {
		case <-broken:
			cancel(ErrUnavailable)
		case <-ctx.Done():
		}
	}()
	return l.MemLog.Follow(ctx, from, deliver)
}

// gets counts reads of a store by their key.
type gets struct {
	Store
	mu     sync.Mutex
	byKey  map[string]int
	before func(key string) // where not nil
}

func (g *gets) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	g.mu.Lock()
	if g.byKey == nil {
		g.byKey = map[string]int{}
	}
	g.byKey[key]++
	before := g.before
	g.mu.Unlock()
	if before != nil {
		before(key)
	}
	return g.Store.Get(ctx, key, off, length)
}

func (g *gets) take() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	was := g.byKey
	g.byKey = nil
	return was
}

// deleteObjects deletes the objects whose key has a part, up to an extent or
// revision, and returns how many.
func (m *memStore) deleteObjects(part string, below uint64) (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key := range m.objects {
		var number uint64
		if _, rest, ok := strings.Cut(key, part); ok {
			if _, err := fmt.Sscanf(rest[:16], "%x", &number); err == nil && number < below {
				delete(m.objects, key)
				n++
			}
		}
	}
	return n
}

// following is a replica that only follows.
type following struct {
	t   *testing.T
	r   *Replica
	out logtext.Text
	end func() error
}

func follow(t *testing.T, log Log, store Store) *following {
	f := &following{t: t}
	ctx, cancel := context.WithCancel(t.Context())
	f.r = NewReplica(ReplicaConfig{Log: log, Store: store, Logger: slog.New(slog.NewTextHandler(&f.out, nil))})
	done := make(chan error, 1)
	go func() { done <- f.r.Run(ctx) }()
	f.end = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := f.end(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// catchUp waits until the replica has everything.
func (f *following) catchUp(within time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	for {
		if err := f.r.Barrier(ctx); err == nil {
			return
		} else if ctx.Err() != nil {
			f.t.Fatalf("applied %d of %d after %v: %v", f.r.Applied(), f.r.Head(), within, err)
		}
	}
}

func (f *following) sameAs(b *testBroker) {
	f.t.Helper()
	var hash uint64
	var at Revision
	f.r.View(func(s *State) { hash, at = s.Hash(), s.revision })
	if want, rev := b.hash(); hash != want || at != rev {
		f.t.Errorf("state at %d is %016x, want %016x at %d", at, hash, want, rev)
	}
}

// waitStart waits for a start point.
func waitStart(t *testing.T, log Log, want func(StartPoint) bool) (s StartPoint) {
	t.Helper()
	for range 10_000 {
		if s, _ = log.Start(t.Context()); want(s) {
			return s
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("it never came to that: %+v", s)
	return s
}

// A broker that was cut off for a few extents finds that the archives of these
// were deleted, in a cluster that stands still: nothing that comes later makes it
// look again. It takes the newest checkpoint, near as that is.
func TestAFollowerWhoseArchivesWereDeletedTakesTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		first := waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint != nil && s.ArchivedUpTo > 0 })
		cut := newCutLog(log)
		f := follow(t, cut, store)
		f.catchUp(10 * time.Second)
		cut.cut(true)
		second := waitStart(t, log, func(s StartPoint) bool {
			return s.Checkpoint.Revision > first.Checkpoint.Revision && s.ArchivedUpTo >= s.Checkpoint.Extent
		})
		a.stop()
		var extent Extent
		f.r.View(func(s *State) { extent = s.extent })
		if p := second.Checkpoint; extent >= p.Extent || extent+maxReplayExtents <= p.Extent {
			t.Fatalf("the follower is at extent %d, the checkpoint at %d: the test has no teeth", extent, p.Extent)
		}
		if n := store.deleteObjects("/archive/", uint64(second.Checkpoint.Extent)); n == 0 {
			t.Fatal("no archive to delete")
		}
		cut.cut(false)
		f.catchUp(30 * time.Second)
		f.sameAs(a)
		if n := strings.Count(f.out.String(), "/archive/"); n == 0 {
			t.Error("no line names the missing archive")
		}
	})
}

// A broker that starts: while it reads an older checkpoint, the cluster writes a
// newer one and deletes the archives before it, and then stands still.
func TestAStartThatArchivesAreDeletedUnderTakesTheNewerCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, mem := NewMemLog(), newMemStore()
		a := startBroker(t, log, mem, "a", 1)
		first := waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint != nil && s.ArchivedUpTo > s.Checkpoint.Extent })
		store := &gets{Store: mem}
		store.before = func(key string) {
			if !strings.Contains(key, "/archive/") {
				return
			}
			store.mu.Lock()
			store.before = nil
			store.mu.Unlock()
			second := waitStart(t, log, func(s StartPoint) bool {
				return s.Checkpoint.Revision > first.Checkpoint.Revision && s.ArchivedUpTo >= s.Checkpoint.Extent
			})
			a.stop()
			mem.deleteObjects("/checkpoint/", uint64(second.Checkpoint.Revision))
			mem.deleteObjects("/archive/", uint64(second.Checkpoint.Extent))
		}
		f := follow(t, log, store)
		f.catchUp(2 * time.Minute)
		f.sameAs(a)
	})
}

// A checkpoint that is missing is no reason to stop, and not corruption: the
// pointer is read again until it names another one.
func TestAMissingCheckpointIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		first := waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint != nil })
		if store.deleteObjects("/checkpoint/", uint64(first.Checkpoint.Revision)+1) == 0 {
			t.Fatal("no checkpoint to delete")
		}
		f := follow(t, log, store)
		time.Sleep(10 * time.Second)
		if n := strings.Count(f.out.String(), "missing from the bucket"); n == 0 || n > 20 || strings.Count(f.out.String(), first.Checkpoint.Object) < n {
			t.Errorf("%d lines in 10 s name the missing checkpoint", n)
		}
		if n := strings.Count(f.out.String(), "corrupt"); n != 0 {
			t.Errorf("%d lines call it corrupt", n)
		}
		if f.r.Applied() != 0 {
			t.Fatal("it started from something else")
		}
		waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint.Object != first.Checkpoint.Object })
		f.catchUp(30 * time.Second)
	})
}

// A follower whose state is past the archives reads none of them again: they may
// be gone.
func TestAFollowerThatIsPastTheArchivesReadsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, mem := NewMemLog(), newMemStore()
		a := startBroker(t, log, mem, "a", 1)
		defer a.stop()
		waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint != nil && s.ArchivedUpTo > 0 })
		cut, store := newCutLog(log), &gets{Store: mem}
		f := follow(t, cut, store)
		f.catchUp(10 * time.Second)
		store.take()
		cut.cut(true)
		time.Sleep(100 * time.Millisecond)
		cut.cut(false)
		time.Sleep(2 * time.Second)
		f.catchUp(10 * time.Second)
		if got := store.take(); len(got) > 0 {
			t.Errorf("it read %v", got)
		}
	})
}

// The newest archive is the one that apply accepted, whatever was tried later: an
// entry that was submitted and not heard of is followed by another one, for
// another object, which apply refuses as a duplicate. That object may be gone.
func TestAFollowerStartsFromTheArchiveThatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		start := waitStart(t, log, func(s StartPoint) bool { return s.Checkpoint != nil && s.ArchivedUpTo > s.Checkpoint.Extent })
		out, err := a.sub.Submit(t.Context(), []Command{AcceptArchive{Extent: start.ArchivedUpTo, Object: "1/archive/refused", First: 1, Last: 2, Entries: 2}}, nil)
		if err != nil || out.Commands[0].Code != CodeDuplicate {
			t.Fatalf("%+v, %v", out, err)
		}
		a.stop()
		if now, _ := log.Start(t.Context()); now.ArchivedObject != start.ArchivedObject || now.Extent != start.Extent {
			t.Fatalf("%+v, then %+v", start, now)
		}
		f := follow(t, log, store)
		f.catchUp(10 * time.Second)
		f.sameAs(a)
	})
}

// A holder of the archive role whose earlier try was accepted unheard writes the
// extent again, and is told that it is a duplicate. It deletes the keys under the
// name of the accepted object.
func TestTheAcceptedArchiveIsRecordedNotTheTriedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, store := NewMemLog(), newMemStore()
		a := startBroker(t, log, store, "a", 1)
		defer a.stop()
		unheard := 0
		a.sub.beforeSubmit(func(cmd Command) {
			own, ok := cmd.(AcceptArchive)
			if !ok {
				return
			}
			// The unheard try: the same bytes under another name.
			earlier := own
			earlier.Object += "-unheard"
			body, err := store.Get(t.Context(), own.Object, 0, -1)
			if err == nil {
				err = store.Put(t.Context(), earlier.Object, body)
			}
			if out, oerr := a.data.Submit(t.Context(), []Command{earlier}, nil); err != nil || oerr != nil || out.Commands[0].Code != CodeOK {
				t.Errorf("%+v, %v, %v", out, err, oerr)
			}
			unheard++
		})
		for range 5 {
			from, _ := log.Start(t.Context())
			now := waitStart(t, log, func(s StartPoint) bool { return s.ArchivedUpTo > from.ArchivedUpTo })
			var want ArchiveRef
			a.r.View(func(s *State) { want = s.newestArchive() })
			if now.ArchivedObject != want.Object || now.ArchivedUpTo != want.Extent || !strings.HasSuffix(want.Object, "-unheard") {
				t.Fatalf("the log names %s for extent %d, the state %s for %d", now.ArchivedObject, now.ArchivedUpTo, want.Object, want.Extent)
			}
		}
		if unheard < 5 {
			t.Errorf("%d archives were accepted unheard", unheard)
		}
	})
}

// A predecessor is read only where the archive itself does not continue what is
// applied: by its first revision, or by the digest of the log before it.
func TestAChainReadsNoPredecessorThatItDoesNotNeed(t *testing.T) {
	store := newMemStore()
	var digests [3][32]byte
	for g := range Extent(3) {
		name, before := "", [32]byte{}
		if g > 0 {
			name, before = fmt.Sprint("a", g-1), digests[g-1]
		}
		w := NewArchiveWriter(g+1, before, name)
		for i := range 3 { // revisions 10, 12, 14; 20, 22, 24; 30, 32, 34
			if err := w.Add(CommittedEntry{Revision: Revision(10*(int(g)+1) + 2*i), Extent: g + 1, Session: 7, Lane: LaneLow, Seq: 1, Bytes: []byte("entry")}); err != nil {
				t.Fatal(err)
			}
		}
		store.objects[fmt.Sprint("a", g)] = w.Finish()
		a, err := DecodeArchive(store.objects[fmt.Sprint("a", g)])
		if err != nil {
			t.Fatal(err)
		}
		digests[g] = a.Digest
	}
	for _, c := range []struct {
		at      LogPosition
		missing string
		chain   string // "" where the missing one is needed
	}{
		{LogPosition{14, digests[0]}, "a0", "[a1 a2]"}, // by the digest
		{LogPosition{19, [32]byte{1}}, "a0", "[a1 a2]"},
		{LogPosition{18, [32]byte{1}}, "a0", ""},
		{LogPosition{20, [32]byte{1}}, "a0", "[a1 a2]"}, // in the middle of a1
		{LogPosition{22, [32]byte{1}}, "a0", "[a1 a2]"},
		{LogPosition{24, digests[1]}, "a1", "[a2]"},
		{LogPosition{24, [32]byte{1}}, "a1", ""},
		{LogPosition{33, [32]byte{1}}, "a1", "[a2]"},
		{LogPosition{34, digests[2]}, "a1", "[]"},
		{LogPosition{99, [32]byte{1}}, "a1", "[]"},
		{LogPosition{}, "a0", ""},
		{LogPosition{}, "none", "[a0 a1 a2]"},
	} {
		s := newMemStore()
		for key, body := range store.objects {
			if key != c.missing {
				s.objects[key] = body
			}
		}
		chain, err := ArchiveChain(t.Context(), s, "a2", c.at)
		switch {
		case c.chain == "" && (!errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), c.missing)):
			t.Errorf("at %d without %s: %v, %v", c.at.Revision, c.missing, chain, err)
		case c.chain != "" && (err != nil || fmt.Sprint(chain) != c.chain):
			t.Errorf("at %d without %s: %v, %v; want %s", c.at.Revision, c.missing, chain, err, c.chain)
		}
	}
	if chain, err := ArchiveChain(t.Context(), store, "", LogPosition{}); len(chain) > 0 || err != nil {
		t.Errorf("of nothing: %v, %v", chain, err)
	}
}
