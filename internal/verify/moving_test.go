package verify_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// hooked is a bucket with functions before or after its requests.
type hooked struct {
	bucket.Bucket
	listed func([]bucket.Info) []bucket.Info
	get    func(name string, body []byte, err error) ([]byte, error)
}

func (h *hooked) List(ctx context.Context, prefix, after string, limit int) ([]bucket.Info, error) {
	list, err := h.Bucket.List(ctx, prefix, after, limit)
	if h.listed != nil {
		list = h.listed(list)
	}
	return list, err
}

func (h *hooked) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	body, err := h.Bucket.Get(ctx, name, off, length)
	if h.get != nil {
		body, err = h.get(name, body, err)
	}
	return body, err
}

// once calls f the first time.
func once(f func()) func() { return sync.OnceFunc(f) }

func TestWhatMovesBetweenListingAndStateIsNoFault(t *testing.T) {
	for name, move := range map[string]func(w *world) func(){
		"committed after the listing": func(w *world) func() { return func() { w.produce() } },
		"uploaded before, committed after": func(w *world) func() {
			_, e := w.upload(w.session.ID())
			return func() { w.append(w.session.ID(), e, nil) }
		},
		"died after": func(w *world) func() {
			w.produce()
			return func() { w.trimAll() }
		},
		"died, was deleted and forgotten after": func(w *world) func() {
			key := w.produce()
			return func() {
				w.trimAll()
				w.replace(key, remove)
				w.must(metadata.ConfirmDeleted{IDs: w.garbage(key)})
			}
		},
		"dead before, deleted and forgotten after": func(w *world) func() {
			key := w.produce()
			w.trimAll()
			return func() {
				w.replace(key, remove)
				w.must(metadata.ConfirmDeleted{IDs: w.garbage(key)})
			}
		},
		"archives and checkpoints after": func(w *world) func() { return func() { w.settle(); time.Sleep(10 * time.Minute); w.settle() } },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.settle()
				after := once(move(w))
				c := w.config()
				c.Bucket = &hooked{Bucket: w.bucket, listed: func(list []bucket.Info) []bucket.Info {
					after()
					return list
				}}
				expect(t, w.verifyWith(c), verify.Clean)
			})
		})
	}
}

// trimAll deletes all records, and releases their objects.
func (w *world) trimAll() {
	w.t.Helper()
	for p := range metadata.Partition(2) {
		w.must(metadata.TrimPartition{Topic: orders, Partition: p, LogStart: -1})
	}
	w.must(metadata.ReleaseQueued{Items: metadata.MaxReleaseItems})
}

// garbage returns the id of a dead object.
func (w *world) garbage(key string) (ids []metadata.GarbageID) {
	w.view(func(s *metadata.State) {
		for _, g := range s.Garbage(nil, 0, s.Revision(), s.Time(), 1000) {
			if g.Key == key {
				ids = append(ids, g.ID)
			}
		}
	})
	if len(ids) == 0 {
		w.t.Fatalf("%s is not dead", key)
	}
	return ids
}

// What dies and is deleted while it is read is no fault either.
func TestWhatIsDeletedDuringADeepWalkIsNoFault(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		key := w.produce()
		w.settle()
		later := once(func() {
			w.trimAll()
			w.replace(key, remove)
			w.must(metadata.ConfirmDeleted{IDs: w.garbage(key)})
		})
		c := w.config()
		c.Bucket = &hooked{Bucket: w.bucket, get: func(name string, body []byte, err error) ([]byte, error) {
			if name != key {
				return body, err
			}
			later()
			return nil, bucket.ErrNotFound
		}}
		expect(t, w.verifyWith(c), verify.Clean)
	})
}

// An object that the listing lacks and that dies when it is looked for was there.
func TestWhatIsDeletedWhenItIsLookedForIsNoFault(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.settle()
		key := w.produce()
		c := w.config()
		c.Deep = false
		c.Bucket = &hooked{Bucket: w.bucket, listed: func(list []bucket.Info) []bucket.Info {
			return slices.DeleteFunc(list, func(o bucket.Info) bool { return o.Name == key })
		}, get: func(name string, body []byte, err error) ([]byte, error) {
			if name == key {
				w.trimAll()
				body, err = nil, bucket.ErrNotFound
			}
			return body, err
		}}
		expect(t, w.verifyWith(c), verify.Clean)
	})
}

func TestAListingThatIsLateIsNoFault(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.settle()
		key := w.produce()
		c := w.config()
		c.Bucket = &hooked{Bucket: w.bucket, listed: func(list []bucket.Info) []bucket.Info {
			return slices.DeleteFunc(list, func(o bucket.Info) bool { return o.Name == key })
		}}
		r := w.verifyWith(c)
		expect(t, r, verify.Clean)
		// It is read like all others.
		w.replace(key, flipAt(24+100))
		expect(t, w.verifyWith(c), verify.HasDamage, "damaged wal "+key+" "+lostOf(w, 0))
	})
}

// lostOf is the newest object's range on a partition.
func lostOf(w *world, p metadata.Partition) (text string) {
	w.view(func(s *metadata.State) {
		v, _ := s.Partition(metadata.TopicPartition{Topic: orders, Partition: p})
		text = fmt.Sprintf("orders/%d:%d-%d", p, v.Next-6, v.Next-1)
	})
	return text
}

// Where the store does not say how old an object is, it is looked for again when its
// upload must be over.
func TestAnObjectOfUnknownAgeIsLookedForAgain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		stays, goes := "1/wal/00000000000000ff/low-000000000001-0", "1/wal/00000000000000ff/low-000000000002-0"
		for _, key := range []string{stays, goes} {
			if err := w.bucket.Put(t.Context(), key, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		var gone sync.WaitGroup
		gone.Go(func() {
			time.Sleep(30 * time.Second)
			w.replace(goes, remove)
		})
		defer gone.Wait()
		c, began := w.config(), time.Now()
		c.Bucket = &hooked{Bucket: w.bucket, listed: func(list []bucket.Info) []bucket.Info {
			for i := range list {
				list[i].Modified = 0
			}
			return list
		}}
		expect(t, w.verifyWith(c), verify.HasOrphans, "orphaned wal "+stays)
		if took := time.Since(began); took < time.Minute {
			t.Errorf("looked again after %v", took)
		}
	})
}

// A byte that is damaged in transfer and a store that is busy for a moment are not
// the object's fault; a store that stays busy is an error, and no finding.
func TestFaultsOfTheStoreAreNoFindings(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.produce()
		w.settle()
		seen := map[string]int{}
		var mu sync.Mutex
		c := w.config()
		c.Bucket = &hooked{Bucket: w.bucket, get: func(name string, body []byte, err error) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			switch seen[name]++; seen[name] {
			case 1:
				return nil, bucket.ErrBusy
			case 2:
				return flip(body), err
			}
			return body, err
		}}
		expect(t, w.verifyWith(c), verify.Clean)
		c.Bucket = &hooked{Bucket: w.bucket, get: func(string, []byte, error) ([]byte, error) { return nil, bucket.ErrBusy }}
		if r, err := verify.Run(t.Context(), c); !errors.Is(err, bucket.ErrBusy) {
			t.Errorf("%v, %v: want that it could not be verified", r, err)
		}
	})
}

// The cluster writes, archives, makes checkpoints and bases, trims and deletes all the
// time, and no walk finds a fault.
func TestARunningClusterIsClean(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.settle()
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				w.produce()
				w.produceInline()
				time.Sleep(137 * time.Millisecond)
				if n%50 == 0 {
					w.trimAll()
					w.must(metadata.ReleaseQueued{Items: 1000})
					w.collect(ctx)
				}
			}
		})
		defer load.Wait()
		defer cancel()
		for range 20 {
			c := w.config()
			c.BytesPerSecond = 20_000
			c.Bucket = &hooked{Bucket: w.bucket, listed: func(list []bucket.Info) []bucket.Info {
				time.Sleep(10 * time.Second)
				return list
			}}
			r := w.verifyWith(c)
			for _, f := range r.Findings {
				if f.Status != verify.InFlight {
					t.Fatalf("%+v", r.Findings)
				}
			}
			if r.Seconds < 10+float64(r.BytesRead)/20_000/2 {
				t.Errorf("%d bytes in %.0f s", r.BytesRead, r.Seconds)
			}
		}
	})
}

// collect deletes what died at or before the older base, without a grace.
func (w *world) collect(ctx context.Context) {
	w.t.Helper()
	var dead []metadata.GarbageObject
	w.view(func(s *metadata.State) { dead = s.Garbage(nil, 0, s.DeletableUpTo(), s.Time(), 500) })
	confirm := metadata.ConfirmDeleted{}
	for _, g := range dead {
		if _, err := w.bucket.Delete(ctx, g.Key); err != nil {
			return
		}
		confirm.IDs = append(confirm.IDs, g.ID)
	}
	w.must(confirm)
}

// otherStart is a log whose start point was changed.
type otherStart struct {
	*metadata.MemLog
	change func(*metadata.StartPoint)
}

func (l otherStart) Start(ctx context.Context) (metadata.StartPoint, error) {
	from, err := l.MemLog.Start(ctx)
	l.change(&from)
	return from, err
}

func TestWhatAStartReadsMustBeKept(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.settle()
		from, err := w.log.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old := metadata.CheckpointKey(1, 1, w.session.ID())
		for name, c := range map[string]struct {
			change func(*metadata.StartPoint)
			want   []string
		}{
			"a checkpoint that is not kept and not there": {func(p *metadata.StartPoint) {
				p.Checkpoint = &metadata.CheckpointPointer{Revision: 1, Object: old}
			}, []string{"missing checkpoint " + old}},
			"a checkpoint that is not kept": {func(p *metadata.StartPoint) {
				p.Checkpoint = &metadata.CheckpointPointer{Revision: 1, Object: from.Checkpoint.Object}
			}, []string{"condemned checkpoint " + from.Checkpoint.Object}},
			"an archive that is not kept": {func(p *metadata.StartPoint) { p.ArchivedObject = "1/archive/x" }, []string{"missing archive 1/archive/x"}},
			"the marker of an incarnation": {func(p *metadata.StartPoint) { p.Incarnation = 2 },
				[]string{"missing incarnation " + metadata.IncarnationKey(2)}},
		} {
			cfg := w.config()
			cfg.Log = otherStart{w.log, c.change}
			t.Log(name)
			expect(t, w.verifyWith(cfg), verify.HasDamage, c.want...)
		}
		marker := metadata.IncarnationKey(2)
		if err := w.bucket.Put(t.Context(), marker, []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if _, err := verify.Run(t.Context(), w.config()); !errors.Is(err, verify.ErrOtherEtcd) {
			t.Errorf("a bucket of a newer incarnation: %v", err)
		}
		cfg := w.config()
		cfg.Log = otherStart{w.log, func(p *metadata.StartPoint) { p.Incarnation = 2 }}
		expect(t, w.verifyWith(cfg), verify.HasDamage, "damaged incarnation "+marker)
	})
}

// A recovery may have lost the entry that recorded the checkpoint from which it began:
// the log points at it, and the state does not know it.
func TestTheCheckpointOfARecoveryIsInUse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.produce()
		w.settle()
		marker := fmt.Sprintf(`{"incarnation":2,"base":%d,"archive":"1/archive/x","generation":1,"revision":1}`, int64(1)<<metadata.IncarnationBits)
		if err := w.bucket.Put(t.Context(), metadata.IncarnationKey(2), []byte(marker)); err != nil {
			t.Fatal(err)
		}
		s := w.replica.Snapshot()
		key := metadata.CheckpointKey(1, s.Revision(), 99)
		if err := w.bucket.Put(t.Context(), key, new(metadata.Checkpointer).Encode(s, key)); err != nil {
			t.Fatal(err)
		}
		c := w.config()
		c.Log = otherStart{w.log, func(p *metadata.StartPoint) {
			p.Incarnation, p.Checkpoint = 2, &metadata.CheckpointPointer{Revision: s.Revision(), Hash: s.Hash(), Object: key}
		}}
		expect(t, w.verifyWith(c), verify.Clean)
		w.replace(key, flipAt(60))
		expect(t, w.verifyWith(c), verify.HasDamage, "damaged checkpoint "+key)
		w.replace(key, remove)
		expect(t, w.verifyWith(c), verify.HasDamage, "missing checkpoint "+key)
	})
}

func TestProgressIsReportedAndACancelledRunEnds(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.produce()
		w.settle()
		var stages []string
		c := w.config()
		c.BytesPerSecond = 1000
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("stopped")
		c.Progress = func(p verify.Progress) {
			stages = append(stages, p.Stage)
			if p.Stage == "read archives" {
				cancel(why)
			}
		}
		if r, err := verify.Run(ctx, c); !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("%v, %v", r, err)
		}
		if len(stages) != 2 || stages[1] != "read archives" { // and once at the end
			t.Errorf("reported %v", stages)
		}
	})
}
