package etcdlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

func TestARoleHolderThatSleptAndWokeCanDoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1})
		a, b := join(t, store, "a"), join(t, store, "b")
		d := a.takeRoleNow(t, "archive")
		for range 5 {
			b.append(t, metadata.LaneLow)
		}
		a.client.Cut(true)
		<-a.session.Done()
		time.Sleep(10 * time.Second)
		e := b.takeRoleNow(t, "archive")
		if _, err := b.CloseExtent(t.Context(), e, 1); err != nil {
			t.Fatal(err)
		}
		a.client.Cut(false)
		before := store.Revision()
		p := metadata.CheckpointPointer{Revision: 9, Object: "x"}
		_, err1 := a.CloseExtent(t.Context(), d, 2)
		_, err2 := a.CompactStore(t.Context(), d, a.head(t))
		for what, err := range map[string]error{
			"close": err1, "compact": err2, "truncate": a.DeleteArchived(t.Context(), d, 1, "archive/1"), "checkpoint": a.SetCheckpoint(t.Context(), d, p),
		} {
			if !errors.Is(err, metadata.ErrRoleLost) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := a.ReleaseRole(t.Context(), d); err != nil {
			t.Error(err)
		}
		if store.Revision() != before || store.Stats().Compactions != 0 {
			t.Errorf("it wrote: revision %d, then %d", before, store.Revision())
		}
	})
}

// Also where the session's key was deleted by hand and the role's still exists.
func TestARoleWithoutItsSessionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1})
		a := join(t, store, "a")
		d := a.takeRoleNow(t, "archive")
		del := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: []byte("/zonewise/main/session/a")}}}}}
		if _, err := a.client.Txn(t.Context(), del); err != nil {
			t.Fatal(err)
		}
		if _, err := a.CloseExtent(t.Context(), d, 1); !errors.Is(err, metadata.ErrRoleLost) {
			t.Errorf("close: %v", err)
		}
		if _, ok, err := a.TryRole(t.Context(), a.session.ID(), "other"); ok || !errors.Is(err, metadata.ErrSessionLost) {
			t.Errorf("take role: %v, %v", ok, err)
		}
	})
}

// A broker that loses its session repeatedly keeps nothing of the old ones.
func TestClosedSessionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1})
		a := join(t, store, "a")
		for i := range 50 {
			if i%2 == 1 {
				store.ExpireKey(fmt.Sprintf("/zonewise/main/session/%d", i-1))
			}
			if err := a.session.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := a.Append(t.Context(), a.next(metadata.LaneLow)); !errors.Is(err, metadata.ErrSessionLost) {
				t.Fatalf("append of a closed session: %v", err)
			}
			var err error
			if a.session, err = a.OpenSession(t.Context(), metadata.SessionInfo{Nonce: fmt.Sprint(i), Zone: "dev-a"}); err != nil {
				t.Fatal(err)
			}
			a.seq = [metadata.LaneCount]metadata.LaneSeq{}
			a.append(t, metadata.LaneLow)
		}
		if n := a.Stats().Sessions; n != 1 {
			t.Errorf("the log keeps %d sessions, one is open", n)
		}
	})
}

func (n *node) head(t *testing.T) metadata.Revision {
	t.Helper()
	rev, err := n.Barrier(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rev
}

// A holder that dies during the deletion leaves keys that no follower reads, and
// that the next holder deletes.
func TestAStartInTheMiddleOfADeletionSeesOnlyWhatIsNotTruncated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deletes := 0
		store := cluster(t, etcdfake.Config{Seed: 2, Script: func(c etcdfake.Call) (etcdfake.CallOutcome, bool) {
			if c.Client == "a" && c.Op == "txn" && strings.Contains(c.Key, "/log/") {
				if deletes++; deletes > 2 {
					return etcdfake.CallOutcome{FailBefore: true}, true
				}
			}
			return etcdfake.CallOutcome{}, true
		}})
		a, b := join(t, store, "a"), join(t, store, "b")
		early := b.startPoint(t)
		for range 700 {
			b.append(t, metadata.LaneLow)
		}
		before := b.startPoint(t)
		d := a.takeRoleNow(t, "archive")
		if _, err := a.CloseExtent(t.Context(), d, 1); err != nil {
			t.Fatal(err)
		}
		rest := []metadata.Revision{b.append(t, metadata.LaneLow).Revision, b.append(t, metadata.LaneLow).Revision}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if err := a.DeleteArchived(ctx, d, 1, "archive/1"); err == nil {
			t.Fatal("the deletion was to break off")
		}
		keys, _ := logKeys(store)
		if len(keys) != 702-400 {
			t.Fatalf("%d keys left; two deletes of 200 were to land", len(keys))
		}
		c := join(t, store, "c")
		r := c.follow(t)
		if err := r.wait(t.Context(), rest[1]); err != nil {
			t.Fatal(err)
		}
		if all := r.list(); len(all) != 2 || all[0].Revision != rest[0] || all[1].Revision != rest[1] {
			t.Fatalf("followed %d entries: %+v", len(all), all)
		}
		// A follower that started before reads at its own revision and misses
		// nothing.
		for _, from := range []metadata.StartPoint{early, before} {
			if n := c.count(t, from, rest[1]); n != 702 {
				t.Fatalf("from revision %d: %d entries", from.Revision, n)
			}
		}
		if err := a.session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.DeleteArchived(t.Context(), c.takeRoleNow(t, "archive"), 1, "archive/1"); err != nil {
			t.Fatal(err)
		}
		if keys, _ := logKeys(store); len(keys) != 2 {
			t.Fatalf("%d keys left", len(keys))
		}
	})
}

func (n *node) startPoint(t *testing.T) metadata.StartPoint {
	t.Helper()
	st, err := n.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// count follows from a start until rev and counts the entries.
func (n *node) count(t *testing.T, from metadata.StartPoint, rev metadata.Revision) int {
	t.Helper()
	enough, total := errors.New("enough"), 0
	err := n.Follow(t.Context(), from, func(b []metadata.CommittedEntry, upTo metadata.Revision, _ bool) error {
		if total += len(b); upTo >= rev {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	return total
}

func TestAFollowerWhosePlaceIsCompactedSaysSoAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 3})
		a, b := join(t, store, "a"), open(t, store, "b")
		r := b.follow(t)
		a.append(t, metadata.LaneLow)
		old := b.startPoint(t)
		time.Sleep(time.Second)
		b.client.Cut(true)
		var last metadata.Revision
		for range 30 {
			last = a.append(t, metadata.LaneLow).Revision
		}
		if err := store.Compact(0); err != nil {
			t.Fatal(err)
		}
		b.client.Cut(false)
		if err := r.wait(t.Context(), last); err != nil {
			t.Fatal(err)
		}
		if all := r.list(); len(all) != 31 {
			t.Fatalf("%d entries", len(all))
		}
		if r.lists != 2 || store.Stats().WatchesCompacted == 0 {
			t.Errorf("%d lists, %+v", r.lists, store.Stats())
		}
		err := b.Follow(t.Context(), old, func([]metadata.CommittedEntry, metadata.Revision, bool) error { return nil })
		if !errors.Is(err, metadata.ErrCompacted) {
			t.Errorf("follow from a compacted revision: %v", err)
		}
	})
}

func TestAFollowerThatIsTooSlowStartsAgainInsteadOfBuffering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 3, Delay: 10 * time.Microsecond})
		a, b := join(t, store, "a"), open(t, store, "b")
		from := b.startPoint(t)
		stuck := make(chan struct{})
		done := make(chan error)
		go func() {
			done <- b.Follow(t.Context(), from, func(batch []metadata.CommittedEntry, _ metadata.Revision, _ bool) error {
				if len(batch) > 0 {
					<-stuck
				}
				return nil
			})
		}()
		for range 10_100 {
			a.append(t, metadata.LaneLow)
		}
		close(stuck)
		if err := <-done; !errors.Is(err, metadata.ErrCompacted) {
			t.Fatal(err)
		}
	})
}

func TestAnEtcdThatWentBackInTimeStopsTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4})
		a, b, c := join(t, store, "a"), join(t, store, "b"), open(t, store, "c")
		r := c.follow(t)
		a.append(t, metadata.LaneLow)
		snap := store.Snapshot()
		var last metadata.AppendResult
		for range 5 { // a single one would be masked by the next append
			last = a.append(t, metadata.LaneLow)
		}
		b.head(t)
		if err := r.wait(t.Context(), last.Revision); err != nil {
			t.Fatal(err)
		}
		store.Restore(snap)
		if _, err := a.Append(t.Context(), a.next(metadata.LaneLow)); !errors.Is(err, metadata.ErrOlderLog) {
			t.Errorf("append: %v", err)
		}
		if _, err := b.Barrier(t.Context()); !errors.Is(err, metadata.ErrOlderLog) {
			t.Errorf("barrier: %v", err)
		}
		time.Sleep(5 * time.Second)
		r.mu.Lock()
		defer r.mu.Unlock()
		if !errors.Is(r.err, metadata.ErrOlderLog) {
			t.Errorf("follow: %v", r.err)
		}
	})
}

// A broker that starts reads at a revision that an older etcd never reaches: the
// page fails, and without the check would be read again for ever.
func TestAnEtcdThatGoesBackUnderAStartStopsTheBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4})
		a, b := join(t, store, "a"), join(t, store, "b")
		a.append(t, metadata.LaneLow)
		snap := store.Snapshot()
		for range 5 {
			a.append(t, metadata.LaneLow)
		}
		from := b.startPoint(t)
		store.Restore(snap)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := b.Follow(ctx, from, func([]metadata.CommittedEntry, metadata.Revision, bool) error { return nil })
		if !errors.Is(err, metadata.ErrOlderLog) {
			t.Errorf("follow: %v", err)
		}
		if _, err := a.Append(t.Context(), a.next(metadata.LaneLow)); !errors.Is(err, metadata.ErrNewerIncarnation) && !errors.Is(err, metadata.ErrOlderLog) {
			t.Errorf("append of another, behind it: %v", err)
		}
	})
}

// A broker that was cut off from the backup to its restore does not see what is
// missing: it would assign again what the others have assigned.
func TestAnEtcdThatWentBackIsShutForThoseWhoCannotTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4})
		a, b := join(t, store, "a"), join(t, store, "b")
		b.append(t, metadata.LaneLow)
		snap := store.Snapshot() // b does not see what comes after it
		for range 5 {
			a.append(t, metadata.LaneLow)
		}
		store.Restore(snap)
		if _, err := a.Barrier(t.Context()); !errors.Is(err, metadata.ErrOlderLog) {
			t.Fatalf("barrier: %v", err)
		}
		if _, err := b.Append(t.Context(), b.next(metadata.LaneLow)); !errors.Is(err, metadata.ErrNewerIncarnation) || !strings.Contains(err.Error(), "zonewise recover") {
			t.Errorf("append of a broker that cannot tell: %v", err)
		}
		if _, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: store.Client("late", "dev-a")}); !errors.Is(err, metadata.ErrNewerIncarnation) {
			t.Errorf("open: %v", err)
		}
	})
}

// A broker that was suspended during a recovery of its cluster only has to be
// started again; its first request returns an error that says so.
func TestABrokerThatSleptOverARecoveryIsToBeStartedAgain(t *testing.T) {
	requests := map[string]func(n *node) error{
		"barrier": func(n *node) error { _, err := n.Barrier(context.Background()); return err },
		"append":  func(n *node) error { _, err := n.Append(context.Background(), n.next(metadata.LaneLow)); return err },
		"start":   func(n *node) error { _, err := n.Start(context.Background()); return err },
		"role":    func(n *node) error { _, _, err := n.TryRole(context.Background(), n.session.ID(), "tick"); return err },
		"publish": func(n *node) error { return n.session.Publish(context.Background(), metadata.SessionStatus{}) },
		"list":    func(n *node) error { _, _, err := n.Sessions(context.Background()); return err },
		"open": func(n *node) error {
			_, err := n.OpenSession(context.Background(), metadata.SessionInfo{Nonce: "again"})
			return err
		},
	}
	for name, f := range requests {
		for _, grown := range []bool{false, true} {
			t.Run(fmt.Sprint(name, grown), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := cluster(t, etcdfake.Config{Seed: 4})
					b := join(t, store, "b")
					for range 5 {
						b.append(t, metadata.LaneLow)
					}
					b.head(t)
					store.Restore(nil)
					_, err := etcdlog.Recover(t.Context(), store.Client("operator", "dev-a"), "main", etcdlog.RecoverRequest{
						Incarnation: 2, Base: etcdlog.BaseStep, Level: metadata.MinFeatureLevel, Truncated: 1, Archive: "1/archive/1", Token: "x"})
					if err != nil {
						t.Fatal(err)
					}
					if grown { // beyond the revisions that b has seen
						a := join(t, store, "a")
						for range 50 {
							a.append(t, metadata.LaneLow)
						}
					}
					err = f(b)
					if !errors.Is(err, metadata.ErrOlderLog) && !errors.Is(err, metadata.ErrNewerIncarnation) {
						t.Fatalf("%v", err)
					}
					if text := err.Error(); !strings.Contains(text, "start this broker again") || strings.Contains(text, "zonewise recover") || strings.Count(text, "recovered") != 1 {
						t.Errorf("it says: %s", text)
					}
				})
			})
		}
	}
}

// An etcd that lost the cluster altogether is reported as such.
func TestAnEtcdThatLostTheClusterSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4})
		b := join(t, store, "b")
		b.append(t, metadata.LaneLow)
		store.Restore(nil)
		if _, err := b.Barrier(t.Context()); !errors.Is(err, metadata.ErrOlderLog) || !strings.Contains(err.Error(), "holds nothing of the cluster") {
			t.Errorf("%v", err)
		}
	})
}

func TestAMemberThatLagsDelaysAndHidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 5})
		a, b := join(t, store, "a"), join(t, store, "b")
		b.client.Lag(700 * time.Millisecond)
		r := b.follow(t)
		d := b.takeRoleNow(t, "archive")
		for range 50 {
			a.append(t, metadata.LaneLow)
		}
		if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
			t.Fatal(err)
		}
		n := 0
		if err := b.ReadExtent(t.Context(), 1, func(metadata.CommittedEntry) error { n++; return nil }); err != nil || n != 50 {
			t.Fatalf("read %d entries, %v", n, err)
		}
		if err := r.wait(t.Context(), b.head(t)); err != nil {
			t.Fatal(err)
		}
		if all := r.list(); len(all) != 50 {
			t.Fatalf("followed %d entries", len(all))
		}
	})
}

func TestARecoveredClusterCountsFromItsBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := etcdfake.New(etcdfake.Config{Seed: 6})
		t.Cleanup(store.Close)
		c := store.Client("recover", "dev-a")
		cp := &metadata.CheckpointPointer{Revision: 500, Extent: 6, Object: "1/checkpoint/500", Hash: 3}
		req := etcdlog.RecoverRequest{Incarnation: 2, Base: etcdlog.NextBase(512), Level: 1, Truncated: 7, Archive: "1/archive/7", Checkpoint: cp, Token: "t"}
		for range 2 { // the same again finishes what a crash left
			if f, err := etcdlog.Recover(t.Context(), c, "main", req); err != nil || f.Base != 1<<40 {
				t.Fatalf("%+v, %v", f, err)
			}
		}
		other := req
		other.Incarnation = 3
		if _, err := etcdlog.Recover(t.Context(), c, "main", other); !errors.Is(err, etcdlog.ErrClusterExists) {
			t.Fatalf("recovered over another incarnation: %v", err)
		}
		a := join(t, store, "a")
		st := a.startPoint(t)
		if st.Incarnation != 2 || st.Extent != 8 || st.ArchivedUpTo != 7 || st.ArchivedObject != req.Archive || *st.Checkpoint != *cp || st.Revision <= req.Base || st.Head != req.Base {
			t.Fatalf("start %+v", st)
		}
		d := a.takeRoleNow(t, "archive")
		res := a.append(t, metadata.LaneLow)
		for what, rev := range map[string]int64{"session": int64(a.session.ID()), "role": int64(d.Epoch), "append": int64(res.Revision), "barrier": int64(a.head(t))} {
			if rev <= int64(req.Base) || rev > int64(req.Base)+100 {
				t.Errorf("%s: revision %d, base %d", what, rev, req.Base)
			}
		}
		g := a.next(metadata.LaneLow)
		g.Guard = &metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch, LiveSessions: []metadata.SessionID{a.session.ID()}}
		if res, err := a.Append(t.Context(), g); err != nil || res.GuardFailed {
			t.Fatalf("guarded append: %+v, %v", res, err)
		}
		if n := a.count(t, st, a.head(t)); n != 2 {
			t.Errorf("%d entries", n)
		}
		if tok, err := a.PeerToken(t.Context()); err != nil || tok != "t" {
			t.Errorf("token %q, %v", tok, err)
		}
	})
}

func TestWhatABrokerDoesNotUnderstandItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := etcdfake.New(etcdfake.Config{Seed: 7})
		t.Cleanup(store.Close)
		c := store.Client("x", "dev-a")
		if _, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: c}); !errors.Is(err, etcdlog.ErrNoCluster) {
			t.Errorf("empty etcd: %v", err)
		}
		for format, want := range map[string]error{`{"layout":2,"level":1,"incarnation":1}`: etcdlog.ErrLayout, `{"layout":1,"level":99,"incarnation":1}`: metadata.ErrLevel} {
			_, err := c.Txn(t.Context(), putReq("/zonewise/main/format", format))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := etcdlog.Open(t.Context(), etcdlog.Config{Cluster: "main", Client: c}); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", format, err, want)
			}
		}
	})
}

func TestASessionOfAnOlderFormatIsNotOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 8})
		a := open(t, store, "a")
		if _, err := a.client.Txn(t.Context(), putReq("/zonewise/main/format", `{"layout":1,"level":2,"incarnation":1}`)); err != nil {
			t.Fatal(err)
		}
		if _, err := a.OpenSession(t.Context(), metadata.SessionInfo{Nonce: "n"}); !errors.Is(err, etcdlog.ErrLayout) {
			t.Fatal(err)
		}
	})
}

// One seed is one history, byte for byte, whatever the scheduler does.
func TestASeedReplaysByteForByte(t *testing.T) {
	var dumps [2]string
	for i := range dumps {
		synctest.Test(t, func(t *testing.T) {
			store := cluster(t, etcdfake.Config{Seed: 11, TailOneIn: 15, LoseReply: 30, FailBefore: 30, LandLate: 30, CancelWatch: 30})
			nodes := []*node{join(t, store, "a"), join(t, store, "b"), join(t, store, "c")}
			end := make(chan struct{})
			for k, n := range nodes {
				n.follow(t)
				go func() {
					defer func() { end <- struct{}{} }()
					time.Sleep(time.Duration(k)*time.Millisecond + time.Duration(k*7919))
					for j := range 60 {
						if _, err := n.Append(t.Context(), n.next(metadata.Lane(j)%metadata.LaneCount)); err != nil {
							return // its session is lost, in every replay
						}
					}
				}()
			}
			for range nodes {
				<-end
			}
			for _, kv := range store.Dump() {
				dumps[i] += fmt.Sprintf("%s=%s %d %d %d\n", kv.Key, kv.Value, kv.CreateRevision, kv.ModRevision, kv.Version)
			}
			dumps[i] += fmt.Sprintf("%+v", store.Stats())
		})
	}
	if dumps[0] != dumps[1] {
		t.Errorf("two runs differ:\n%s\n---\n%s", dumps[0], dumps[1])
	}
}

func putReq(key, value string) *etcdserverpb.TxnRequest {
	return &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{
		RequestPut: &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)}}}}}
}

// The settings that a session publishes can be read as long as the session is
// open.
func TestSettingsAreThoseOfLiveSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 3})
		a := join(t, store, "a") // publishes none
		b := open(t, store, "b")
		var err error
		if b.session, err = b.OpenSession(t.Context(), metadata.SessionInfo{Nonce: "b", Zone: "dev-b", Peer: "h:1", Settings: map[string]string{"--linger": "5ms"}}); err != nil {
			t.Fatal(err)
		}
		published := func() []metadata.LiveSession {
			all, err := a.Settings(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		if got := published(); len(got) != 1 || got[0].ID != b.session.ID() || got[0].Info.Peer != "h:1" || got[0].Info.Settings["--linger"] != "5ms" {
			t.Errorf("settings %+v", got)
		}
		if err := b.session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := published(); len(got) != 0 {
			t.Errorf("settings of a session that is over: %+v", got)
		}
		_, err = b.OpenSession(t.Context(), metadata.SessionInfo{Nonce: "c", Settings: map[string]string{"much": strings.Repeat("x", 1<<16)}})
		if err == nil || !strings.Contains(err.Error(), "at most 65536") {
			t.Errorf("too much to tell: %v", err)
		}
	})
}
