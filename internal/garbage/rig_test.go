package garbage

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

const (
	grace    = 10 * time.Minute
	interval = 10 * time.Second
)

// fakeBucket is a bucket in memory that fails on demand and remembers when what was
// deleted.
type fakeBucket struct {
	*bucket.Mem
	mu       sync.Mutex
	fail     func(name string) bool // deletions that are not confirmed
	attempts map[string]int
	lists    int
}

// Delete implements Bucket.
func (b *fakeBucket) Delete(ctx context.Context, names ...string) ([]string, error) {
	var pass []string
	var failures []bucket.DeleteFailure
	b.mu.Lock()
	for _, name := range names {
		b.attempts[name]++
		if b.fail != nil && b.fail(name) {
			failures = append(failures, bucket.DeleteFailure{Name: name, Code: "AccessDenied", Err: bucket.ErrDenied})
		} else {
			pass = append(pass, name)
		}
	}
	b.mu.Unlock()
	if len(pass) > 0 {
		if _, err := b.Mem.Delete(ctx, pass...); err != nil {
			return nil, err
		}
	}
	return bucket.DeleteResult(names, failures)
}

// List implements Bucket.
func (b *fakeBucket) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	b.mu.Lock()
	b.lists++
	b.mu.Unlock()
	return b.Mem.List(ctx, prefix, after, limit)
}

// rig is a cluster of one session, whose state a test moves by commands, and its
// collector.
type rig struct {
	t       *testing.T
	log     *metadata.MemLog
	bucket  *fakeBucket
	replica *metadata.Replica
	session metadata.Session
	seq     metadata.LaneSeq
	stats   *Stats
	stop    context.CancelFunc
	wg      sync.WaitGroup
	time    metadata.UnixMilli
	extent  metadata.Extent
}

// newRig starts one in a bubble; end it with end.
func newRig(t *testing.T, incarnation metadata.Incarnation) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{t: t, log: metadata.NewMemLogOf(incarnation), bucket: &fakeBucket{Mem: bucket.NewMem(), attempts: map[string]int{}}, stats: &Stats{}, stop: cancel, extent: 1}
	r.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: r.log, Store: r.bucket, Logger: slog.New(slog.DiscardHandler)})
	r.wg.Go(func() {
		if err := r.replica.Run(ctx); err != nil {
			t.Errorf("replica: %v", err)
		}
	})
	r.session, r.seq = r.openSession("a"), 0
	open := []metadata.Command{metadata.OpenSession{Want: metadata.NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}, metadata.Tick{To: r.now()}}
	if incarnation > 1 {
		open = append(open, metadata.RecoverCluster{Incarnation: incarnation})
	}
	r.do(open...)
	return r
}

func (r *rig) end() { r.stop(); r.wg.Wait() }

func (r *rig) openSession(nonce string) metadata.Session {
	r.t.Helper()
	s, err := r.log.OpenSession(r.t.Context(), metadata.SessionInfo{Nonce: nonce, Zone: "a"})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// Submit implements metadata.Submitter.
func (r *rig) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	return r.commit(ctx, &metadata.Entry{Commands: cmds}, guard)
}

func (r *rig) commit(ctx context.Context, e *metadata.Entry, guard *metadata.Guard) (metadata.Outcome, error) {
	r.seq++
	e.Level, e.Session, e.Seq = 1, r.session.ID(), r.seq
	body, err := metadata.AppendEntry(nil, e)
	if err != nil {
		return metadata.Outcome{}, err
	}
	key := metadata.EntryKey{Session: e.Session, Seq: e.Seq}
	w := r.replica.Expect(key)
	defer w.Cancel()
	if _, err := r.log.Append(ctx, metadata.AppendRequest{Key: key, Bytes: body, Guard: guard}); err != nil {
		return metadata.Outcome{}, err
	}
	select {
	case out := <-w.C:
		return out, nil
	case <-ctx.Done():
		return metadata.Outcome{}, ctx.Err()
	}
}

func (r *rig) do(cmds ...metadata.Command) metadata.Outcome {
	r.t.Helper()
	out, err := r.Submit(r.t.Context(), cmds, nil)
	if err != nil || out.Code != metadata.CodeOK {
		r.t.Fatalf("%+v, %v", out, err)
	}
	for _, c := range out.Commands {
		if c.Code != metadata.CodeOK {
			r.t.Fatalf("%T: %+v", cmds[0], c)
		}
	}
	return out
}

// tickStep is how much state time one tick of tick adds.
const tickStep = time.Minute

// tick lets time pass, state time too.
func (r *rig) tick(d time.Duration) {
	r.t.Helper()
	for ; d > 0; d -= tickStep {
		time.Sleep(min(d, tickStep))
		r.time += metadata.UnixMilli(min(d, tickStep).Milliseconds())
		r.do(metadata.Tick{To: r.time})
	}
}

func (r *rig) now() metadata.UnixMilli {
	r.time = metadata.UnixMilli(time.Now().UnixMilli())
	return r.time
}

// appendUnseen appends an entry that the replica, which has ended, does not apply.
func (r *rig) appendUnseen() {
	r.t.Helper()
	r.seq++
	e := metadata.Entry{Level: 1, Session: r.session.ID(), Seq: r.seq, Commands: []metadata.Command{metadata.RecordStateHash{}}}
	body, err := metadata.AppendEntry(nil, &e)
	if err == nil {
		_, err = r.log.Append(r.t.Context(), metadata.AppendRequest{Key: metadata.EntryKey{Session: e.Session, Seq: e.Seq}, Bytes: body})
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) put(names ...string) {
	r.t.Helper()
	for _, name := range names {
		if err := r.bucket.Put(r.t.Context(), name, []byte("object "+name)); err != nil {
			r.t.Fatal(err)
		}
	}
}

// walName returns the name of the n-th upload of a session.
func walName(s metadata.SessionID, n uint64) metadata.ObjectName {
	return metadata.ObjectName{Session: s, Lane: metadata.LaneLow, Number: n}
}

// bury uploads objects that nothing refers to, and returns their keys.
func (r *rig) bury(from, n uint64) (keys []string) {
	r.t.Helper()
	e := &metadata.Entry{}
	for i := range n {
		name := walName(r.session.ID(), from+i)
		e.Orphans = append(e.Orphans, metadata.ObjectRef{Name: name, Size: 10, Puts: 1})
		keys = append(keys, name.Key())
	}
	r.put(keys...)
	if out, err := r.commit(r.t.Context(), e, nil); err != nil || out.Code != metadata.CodeOK {
		r.t.Fatalf("%+v, %v", out, err)
	}
	return keys
}

// addBases archives what there is and adds two recovery bases.
func (r *rig) addBases() {
	r.t.Helper()
	for range 2 {
		revision := r.do(metadata.RecordStateHash{}).Revision
		key := metadata.CheckpointKey(1, revision, r.session.ID())
		r.put(key)
		r.do(metadata.RecordCheckpoint{Revision: revision, Extent: r.extent, Hash: 1, Objects: []metadata.CheckpointObject{{Key: key, Size: 10}}})
		r.closeExtent()
		r.archive()
		r.do(metadata.RecordBase{Revision: revision})
	}
}

// closeExtent begins the next extent.
func (r *rig) closeExtent() {
	r.t.Helper()
	role, held, err := r.log.TryRole(r.t.Context(), r.session.ID(), metadata.RoleArchive)
	if err == nil && held {
		_, err = r.log.CloseExtent(r.t.Context(), role, r.extent)
	}
	if err != nil || !held {
		r.t.Fatalf("close extent %d: held %v, %v", r.extent, held, err)
	}
	r.extent++
	r.do(metadata.RecordStateHash{})
}

// archive accepts the archive of the oldest closed extent.
func (r *rig) archive() {
	r.t.Helper()
	var p metadata.PendingArchive
	r.replica.View(func(s *metadata.State) { p = s.PendingArchives()[0] })
	key := metadata.ArchiveKey(1, p.Extent, r.session.ID(), 1)
	r.put(key)
	r.do(metadata.AcceptArchive{Extent: p.Extent, Object: key, First: p.First, Last: p.Last, Entries: p.Entries, Bytes: 10, Digest: p.Digest})
}

func (r *rig) newCollector() *Collector {
	return New(Config{Bucket: r.bucket, Replica: r.replica, Submitter: r, Logger: slog.New(slog.DiscardHandler), Grace: grace,
		LeftoverGrace: time.Duration(metadata.LeftoverGrace) * time.Millisecond, Stats: r.stats})
}

// run does passes of a collector, and lets time pass before each.
func (r *rig) run(c *Collector, passes int, each time.Duration) {
	r.t.Helper()
	role, held, err := r.log.TryRole(r.t.Context(), r.session.ID(), Role)
	if err != nil || !held {
		r.t.Fatalf("role: held %v, %v", held, err)
	}
	for range passes {
		if each > 0 {
			r.tick(each)
		}
		if err := c.Run(r.t.Context(), role); err != nil && !strings.Contains(err.Error(), "not deleted") {
			r.t.Fatal(err)
		}
	}
}

// left returns those of keys that are in the bucket.
func (r *rig) left(keys ...string) (out []string) {
	r.t.Helper()
	list, err := r.bucket.Mem.List(r.t.Context(), "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, o := range list {
		if slices.Contains(keys, o.Name) {
			out = append(out, o.Name)
		}
	}
	return out
}

func (r *rig) dead() (n int) {
	r.replica.View(func(s *metadata.State) { n, _ = s.GarbageTotals() })
	return n
}

func (r *rig) expect(what string, got, want any) {
	r.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		r.t.Errorf("%s: %v, want %v", what, got, want)
	}
}
