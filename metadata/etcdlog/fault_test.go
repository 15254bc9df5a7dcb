package etcdlog_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// appends is a script with the outcome of the n-th (from 0) append that client a
// sends for one key; all other calls succeed.
func appends(n int, f etcdfake.CallOutcome) func(etcdfake.Call) (etcdfake.CallOutcome, bool) {
	return func(c etcdfake.Call) (etcdfake.CallOutcome, bool) {
		if c.Client == "a" && c.Op == "txn" && strings.Contains(c.Key, "/log/") && strings.HasSuffix(c.Key, "1") && c.Attempt == n {
			return f, true
		}
		return etcdfake.CallOutcome{}, true
	}
}

// logKeys are the entries in the store: their keys' tails and values.
func logKeys(store *etcdfake.Store) (keys, values []string) {
	for _, kv := range store.Dump() {
		if _, rest, ok := strings.Cut(string(kv.Key), "/log/"); ok {
			keys, values = append(keys, rest), append(values, string(kv.Value))
		}
	}
	return keys, values
}

// going is an append on its own goroutine.
type going struct {
	done chan struct{}
	res  metadata.AppendResult
	err  error
}

func (n *node) start(ctx context.Context, r metadata.AppendRequest) *going {
	g := &going{done: make(chan struct{})}
	go func() { defer close(g.done); g.res, g.err = n.Append(ctx, r) }()
	return g
}

func TestALostReplyIsFoundAgainWithItsTrueRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 1, Script: appends(0, etcdfake.CallOutcome{LoseReply: true})})
		a := join(t, store, "a")
		g := a.start(t.Context(), a.next(metadata.LaneLow))
		time.Sleep(time.Second) // it was committed; others write meanwhile
		landed := store.Revision()
		join(t, store, "b")
		<-g.done
		keys, _ := logKeys(store)
		if g.err != nil || int64(g.res.Revision) != landed || len(keys) != 1 || store.Stats().LostReplies != 1 {
			t.Fatalf("%+v, %v; landed at %d; keys %v", g.res, g.err, landed, keys)
		}
	})
}

func TestAnAppendWhoseGenerationClosedMovesOnAndLandsOnce(t *testing.T) {
	for name, c := range map[string]struct {
		outcome  etcdfake.CallOutcome
		truncate bool
		landsIn  metadata.Extent
	}{
		"never sent":                            {etcdfake.CallOutcome{FailBefore: true, After: 0}, false, 2},
		"lands late":                            {etcdfake.CallOutcome{Late: 9 * time.Second}, false, 2},
		"landed, reply lost":                    {etcdfake.CallOutcome{LoseReply: true}, false, 1},
		"committed, response no space, deleted": {etcdfake.CallOutcome{NoSpace: true}, true, 1},
		"landed, reply lost, deleted":           {etcdfake.CallOutcome{LoseReply: true}, true, 1},
		"never landed, and keys deleted":        {etcdfake.CallOutcome{Late: 9 * time.Second}, true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				// The second attempt waits in the network until the test is ready.
				script := appends(0, c.outcome)
				store := cluster(t, etcdfake.Config{Seed: 2, Script: func(call etcdfake.Call) (etcdfake.CallOutcome, bool) {
					if f, ok := script(call); f != (etcdfake.CallOutcome{}) {
						return f, ok
					}
					return appends(1, etcdfake.CallOutcome{Before: 1500 * time.Millisecond})(call)
				}})
				a, b := join(t, store, "a"), join(t, store, "b")
				r := a.follow(t)
				g := a.start(t.Context(), a.next(metadata.LaneStandard))
				time.Sleep(200 * time.Millisecond)
				d := b.takeRoleNow(t, "archive")
				if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
					t.Fatal(err)
				}
				if c.truncate {
					time.Sleep(time.Second)
					if err := b.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
						t.Fatal(err)
					}
				}
				<-g.done
				if g.err != nil || g.res.Extent != c.landsIn {
					t.Fatalf("%+v, %v; want generation %d", g.res, g.err, c.landsIn)
				}
				time.Sleep(20 * time.Second) // late requests have been executed
				end := b.append(t, metadata.LaneLow)
				if err := r.wait(t.Context(), end.Revision); err != nil {
					t.Fatal(err)
				}
				all := r.list()
				if len(all) != 2 || all[0].Revision != g.res.Revision {
					t.Fatalf("followed %+v; the append said %+v", all, g.res)
				}
			})
		})
	}
}

// A second request reads why an attempt failed. Between the two the extent may be
// closed, archived and deleted, or the session may end.
func TestBetweenAFailedAttemptAndTheQuestionWhyTheLogGoesOn(t *testing.T) {
	lost, slow := etcdfake.CallOutcome{LoseReply: true}, etcdfake.CallOutcome{Before: 1500 * time.Millisecond}
	for name, c := range map[string]struct {
		outcomes []etcdfake.CallOutcome // of what a sends for the key
		early    bool                   // the extent closes before the first attempt
		expire   bool                   // the session ends, too
		landsIn  metadata.Extent
		err      error
	}{
		"landed, key deleted before the second request":                       {[]etcdfake.CallOutcome{lost, {}, slow}, false, false, 1, nil},
		"landed, key deleted and session over before the second request":      {[]etcdfake.CallOutcome{lost, {}, slow}, false, true, 1, nil},
		"committed, response no space, key deleted before the second request": {[]etcdfake.CallOutcome{{NoSpace: true}, {}, slow}, false, false, 1, nil},
		"did not land, keys deleted before the second request":                {[]etcdfake.CallOutcome{{}, slow}, true, false, 2, nil},
		"did not land, session over before the second request":                {[]etcdfake.CallOutcome{{}, slow}, true, true, 0, metadata.ErrSessionLost},
		"did not land, the second response lost":                              {[]etcdfake.CallOutcome{{}, lost}, true, false, 2, nil},
		"landed, the second response lost, key deleted":                       {[]etcdfake.CallOutcome{lost, {}, lost}, false, false, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sent atomic.Int64
				store := cluster(t, etcdfake.Config{Seed: 2, Script: func(call etcdfake.Call) (etcdfake.CallOutcome, bool) {
					if call.Client == "a" && call.Op == "txn" && strings.Contains(call.Key, "/log/0000000000000001/") {
						sent.Store(int64(call.Attempt) + 1)
						if call.Attempt < len(c.outcomes) {
							return c.outcomes[call.Attempt], true
						}
					}
					return etcdfake.CallOutcome{}, true
				}})
				a, b := join(t, store, "a"), join(t, store, "b")
				r := a.follow(t)
				time.Sleep(time.Second) // its reads are done
				d := b.takeRoleNow(t, "archive")
				if c.early {
					if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
						t.Fatal(err)
					}
				}
				g := a.start(t.Context(), a.next(metadata.LaneStandard))
				for sent.Load() < int64(len(c.outcomes)) { // the second request is under way
					time.Sleep(50 * time.Millisecond)
				}
				if !c.early {
					if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
						t.Fatal(err)
					}
				}
				if err := b.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
					t.Fatal(err)
				}
				if c.expire {
					store.ExpireKey("/zonewise/main/session/a")
				}
				<-g.done
				if g.res.Extent != c.landsIn || !errors.Is(g.err, c.err) {
					t.Fatalf("%+v, %v; want generation %d", g.res, g.err, c.landsIn)
				}
				time.Sleep(20 * time.Second)
				end := b.append(t, metadata.LaneLow)
				if err := r.wait(t.Context(), end.Revision); err != nil {
					t.Fatal(err)
				}
				if all := r.list(); c.err == nil && (len(all) != 2 || all[0].Revision != g.res.Revision) || c.err != nil && len(all) != 1 {
					t.Fatalf("followed %+v; the append said %+v, %v", all, g.res, g.err)
				}
			})
		})
	}
}

func TestWithoutAReplicaADeletedGenerationIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := appends(0, etcdfake.CallOutcome{LoseReply: true})
		store := cluster(t, etcdfake.Config{Seed: 2, Script: script})
		a, b := join(t, store, "a"), join(t, store, "b")
		r := a.next(metadata.LaneStandard)
		g := a.start(t.Context(), r)
		time.Sleep(200 * time.Millisecond)
		d := b.takeRoleNow(t, "archive")
		if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteArchived(t.Context(), d, 1, "archive/1"); err != nil {
			t.Fatal(err)
		}
		<-g.done
		if !errors.Is(g.err, metadata.ErrOutcomeUnknown) {
			t.Fatalf("%+v, %v", g.res, g.err)
		}
		if _, err := a.Append(t.Context(), r); !errors.Is(err, metadata.ErrOutcomeUnknown) {
			t.Fatalf("again: %v", err)
		}
		if keys, _ := logKeys(store); len(keys) != 0 {
			t.Fatalf("it was submitted again: %v", keys)
		}
	})
}

func TestAnAppendOfALostSessionNeverLands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 3, Script: appends(0, etcdfake.CallOutcome{Late: 5 * time.Second})})
		a := join(t, store, "a")
		g := a.start(t.Context(), a.next(metadata.LaneLow))
		time.Sleep(time.Millisecond)
		if !store.ExpireKey("/zonewise/main/session/a") {
			t.Fatal("no session key")
		}
		<-g.done
		if !errors.Is(g.err, metadata.ErrSessionLost) {
			t.Fatalf("%+v, %v", g.res, g.err)
		}
		<-a.session.Done()
		time.Sleep(20 * time.Second)
		if keys, _ := logKeys(store); len(keys) != 0 || store.Stats().LandedLate != 1 {
			t.Fatalf("it landed: %v, %+v", keys, store.Stats())
		}
	})
}

func TestAnAppendThatLandedBeforeItsSessionWasLostIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 3, Script: appends(0, etcdfake.CallOutcome{LoseReply: true})})
		a := join(t, store, "a")
		g := a.start(t.Context(), a.next(metadata.LaneLow))
		time.Sleep(100 * time.Millisecond)
		landed := store.Revision()
		store.ExpireKey("/zonewise/main/session/a")
		<-g.done
		if g.err != nil || int64(g.res.Revision) != landed {
			t.Fatalf("%+v, %v; landed at %d", g.res, g.err, landed)
		}
	})
}

func TestAFailedGuardTakesThePlaceOfAFirstAttemptThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4, Script: appends(0, etcdfake.CallOutcome{Late: 5 * time.Second})})
		a, b := join(t, store, "a"), join(t, store, "b")
		r := a.next(metadata.LaneControl)
		r.Guard = &metadata.Guard{SessionGone: b.session.ID()}
		res, err := a.Append(t.Context(), r)
		if err != nil || !res.GuardFailed {
			t.Fatalf("%+v, %v", res, err)
		}
		// When the first attempt arrives at last its guard would hold: only the
		// empty entry under its key stops it.
		if err := b.session.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Second)
		keys, values := logKeys(store)
		if len(keys) != 1 || values[0] != "" || store.Stats().LandedLate != 1 {
			t.Fatalf("keys %v, values %q", keys, values)
		}
		if n := a.append(t, metadata.LaneControl); n.GuardFailed || n.Revision <= res.Revision {
			t.Fatalf("the next entry: %+v", n)
		}
	})
}

// The list of sessions and the append are two requests: a session that opens
// between them makes the guard fail.
func TestAGuardOnTheLiveSessionsSeesWhoCameAfterTheList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4, Script: appends(0, etcdfake.CallOutcome{Before: time.Second})})
		a := join(t, store, "a")
		r := a.next(metadata.LaneControl)
		r.Guard = &metadata.Guard{LiveSessions: []metadata.SessionID{a.session.ID()}}
		g := a.start(t.Context(), r)
		time.Sleep(500 * time.Millisecond)
		join(t, store, "b")
		<-g.done
		if g.err != nil || !g.res.GuardFailed {
			t.Fatalf("%+v, %v", g.res, g.err)
		}
	})
}

func TestAFirstAttemptThatLandsBeforeTheGuardFailsIsTheEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 4, Script: appends(0, etcdfake.CallOutcome{LoseReply: true})})
		a := join(t, store, "a")
		d := a.takeRoleNow(t, "slot")
		r := a.next(metadata.LaneControl)
		r.Guard = &metadata.Guard{Role: d.Name, RoleEpoch: d.Epoch}
		g := a.start(t.Context(), r)
		time.Sleep(100 * time.Millisecond)
		if err := a.ReleaseRole(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		<-g.done
		if g.err != nil || g.res.GuardFailed {
			t.Fatalf("%+v, %v", g.res, g.err)
		}
	})
}

func TestAnAppendWhoseContextEndedIsTakenUpWhereItStood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := cluster(t, etcdfake.Config{Seed: 5, Script: appends(0, etcdfake.CallOutcome{LoseReply: true})})
		a, b := join(t, store, "a"), join(t, store, "b")
		r := a.next(metadata.LaneLow)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := a.Append(ctx, r); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := a.Append(t.Context(), a.next(metadata.LaneLow)); err == nil {
			t.Fatal("the next one was sent before this one is resolved")
		}
		d := b.takeRoleNow(t, "archive")
		if _, err := b.CloseExtent(t.Context(), d, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Barrier(t.Context()); err != nil { // a has seen extent 2
			t.Fatal(err)
		}
		res, err := a.Append(t.Context(), r)
		if keys, _ := logKeys(store); err != nil || res.Extent != 1 || len(keys) != 1 {
			t.Fatalf("%+v, %v; keys %v", res, err, keys)
		}
	})
}
