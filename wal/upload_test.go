package wal

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

var errBusy = errors.New("store is busy or unavailable")

// checkBill compares the objects that entries name with the uploads that were
// made: each name once, with what it cost.
func (r *rig) checkBill() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.w.Drain(ctx); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(2 * r.w.cfg.UploadTimeout) // losing PUTs end, and are reported
	billed := map[metadata.ObjectName]uint32{}
	for _, e := range r.applied() {
		for _, list := range [][]metadata.ObjectRef{e.Objects, e.Orphans} {
			for _, o := range list {
				if _, twice := billed[o.Name]; twice {
					r.t.Errorf("object %s is named twice", o.Name.Key())
				}
				billed[o.Name] = o.Puts
			}
		}
	}
	for _, c := range r.store.calls() {
		if puts, ok := billed[c.name]; !ok || puts != c.puts {
			r.t.Errorf("object %s cost %d requests, entries say %d (named: %v)", c.name.Key(), c.puts, puts, ok)
		}
		delete(billed, c.name)
	}
	for name := range billed {
		r.t.Errorf("entries name %s, which was never uploaded", name.Key())
	}
}

// Another project emptied its buffer, lost the upload, and the batches were
// gone though offsets had been assigned; waiters that found the buffer empty
// were acknowledged. Here each batch of a failed object fails, gets no offset,
// and its retry is committed.
func TestFailedUploadFailsEachBatchAndGivesOutNoOffset(t *testing.T) {
	for _, land := range []bool{false, true} {
		inBubble(t, nil, func(r *rig) {
			r.makeTopic(2)
			r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
				if n.Number == 1 {
					return uploadOutcome{takes: 20 * time.Millisecond, err: errBusy, land: land, puts: 3}
				}
				return uploadOutcome{takes: 20 * time.Millisecond}
			}
			var acks []*Ack
			for i := range 8 {
				acks = append(acks, r.send(made{producer: metadata.ProducerID(1 + i), mark: mark(i)}))
			}
			for _, a := range acks {
				r.wantError(a, ErrStorage)
				r.wantError(a, errBusy)
			}
			if got := r.read(0); len(got) != 0 {
				t.Errorf("read %v", got)
			}
			for i := range 8 {
				acks[i] = r.send(made{producer: metadata.ProducerID(1 + i), mark: mark(i)})
			}
			for i, a := range acks {
				r.want(a, metadata.Offset(i))
			}
			r.checkBill()
		})
	}
}

func TestFailedObjectTakesLaterBatchesOfItsPartitionsAlong(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(3)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			if n.Number == 1 && n.Lane == metadata.LaneStandard {
				return uploadOutcome{takes: 130 * time.Millisecond, err: errBusy}
			}
			return uploadOutcome{takes: time.Millisecond}
		}
		a := r.send(made{partition: 0, producer: 1, mark: 1})
		time.Sleep(105 * time.Millisecond) // object 1 is under way
		b := r.send(made{partition: 0, producer: 1, seq: 1, mark: 2})
		c := r.send(made{partition: 1, mark: 3}) // shares object 2 with b
		time.Sleep(105 * time.Millisecond)       // object 2 is durable and waits for object 1
		d := r.send(made{partition: 0, mark: 4}) // in the open buffer
		e := r.send(made{partition: 2, mark: 5})
		parked := r.send(made{partition: 0, mark: 6, lane: metadata.LaneLow})
		for _, x := range []*Ack{a, b, d, parked} {
			r.wantError(x, ErrStorage)
		}
		r.want(c, 0)
		r.want(e, 0)
		r.want(r.send(made{partition: 0, producer: 1, mark: 1}), 0)
		r.checkBill()
	})
}

func TestBufferMayPassAnOlderOneThatSharesNoPartition(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(2)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			return uploadOutcome{takes: map[uint64]time.Duration{1: 500 * time.Millisecond, 2: time.Millisecond, 3: time.Millisecond}[n.Number]}
		}
		a := r.send(made{partition: 0, mark: 1})
		time.Sleep(110 * time.Millisecond)
		b := r.send(made{partition: 1, mark: 2})
		time.Sleep(110 * time.Millisecond)
		c := r.send(made{partition: 0, mark: 3})
		start := time.Now()
		r.want(b, 0)
		if took := time.Since(start); took > 50*time.Millisecond {
			t.Errorf("an unrelated buffer waited %v", took)
		}
		r.want(c, 1)
		r.want(a, 0)
		es := r.applied()
		if last := es[len(es)-1]; len(last.Objects) != 2 {
			t.Errorf("the last entry has %d objects, want the two that waited for each other", len(last.Objects))
		}
	})
}

// A buffer that waits for an older one of its partition waits also when a later
// buffer's entry is made.
func TestBufferWaitsForAnOlderOneWhileOthersCommit(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(2)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			return uploadOutcome{takes: map[uint64]time.Duration{1: 500 * time.Millisecond, 2: time.Millisecond, 3: time.Millisecond}[n.Number]}
		}
		first := r.send(made{partition: 0, mark: 1})
		time.Sleep(110 * time.Millisecond)
		second := r.send(made{partition: 0, mark: 2})
		time.Sleep(110 * time.Millisecond)
		r.want(r.send(made{partition: 1, mark: 3}), 0)
		r.want(second, 1)
		r.want(first, 0)
	})
}

// A slow PUT is sent again under a second name. The losing one is named as an
// orphan with its cost, and its body was not touched while it was sent (another
// project reused the buffer).
func TestHedgeWinsAndItsLoserIsBilled(t *testing.T) {
	inBubble(t, func(c *Config) { c.HedgeAfter = 200 * time.Millisecond }, func(r *rig) {
		r.makeTopic(1)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			if n.Number == 1 && n.Try == 0 {
				return uploadOutcome{takes: 10 * time.Second, puts: 2}
			}
			return uploadOutcome{takes: 30 * time.Millisecond}
		}
		start := time.Now()
		r.want(r.send(made{bytes: 5000}), 0)
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("ack took %v in spite of the hedge", took)
		}
		if s := r.w.Stats(); s.PUTs.Hedges != 1 || s.PUTs.Won != 1 || s.PendingBytes < 5000 {
			t.Errorf("stats %+v: the body that is still sent must count as memory", s)
		}
		for i := range 20 {
			r.want(r.send(made{bytes: 5000}), metadata.Offset(1+i))
		}
		r.checkBill()
		es := r.applied()
		orphans := 0
		for _, e := range es {
			orphans += len(e.Orphans)
		}
		if orphans != 1 {
			t.Errorf("%d orphans, want 1", orphans)
		}
	})
}

// Of eight uploads that are late two at a time are sent again. A losing request
// uses no permit: the next are sent again although the first ones' losing
// requests continue.
func TestHedgesInFlightAreFewAndLosersTakeNoPermits(t *testing.T) {
	inBubble(t, func(c *Config) { c.HedgeAfter = 50 * time.Millisecond; c.MaxHedges = 2; c.Linger = time.Millisecond }, func(r *rig) {
		r.makeTopic(8)
		var most int
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			most = max(most, r.w.Stats().PUTs.Racing)
			if n.Try == 0 {
				return uploadOutcome{takes: 10 * time.Second}
			}
			return uploadOutcome{takes: 20 * time.Millisecond}
		}
		start := time.Now()
		var acks []*Ack
		for i := range int32(8) {
			acks = append(acks, r.send(made{partition: i}))
			time.Sleep(3 * time.Millisecond)
		}
		for _, a := range acks {
			r.want(a, 0)
		}
		took := time.Since(start)
		if s := r.w.Stats().PUTs; s.Hedges != 8 || s.Won != 8 || s.Losing != 8 || s.Queued == 0 || most != 2 || took > time.Second {
			t.Errorf("after %v, with up to %d in flight: %+v", took, most, s)
		}
		r.checkBill()
	})
}

// Eight producers a partition and lane, uploads of heavy-tailed latency that
// fail, succeed without saying so, or lose their race: whatever is
// acknowledged is read once, at its offset, in its producer's order.
func TestStormOfUploadsKeepsOrderAndLosesNothing(t *testing.T) {
	var outOfOrder, failed, hedged, mergedLate int
	for seed := range uint64(12) {
		inBubble(t, func(c *Config) {
			c.Linger, c.HedgeAfter, c.UploadTimeout = 5*time.Millisecond, 60*time.Millisecond, 5*time.Second
			if seed%2 == 1 {
				c.InlineLimit = func() int { return 600 }
			}
		}, func(r *rig) {
			r.makeTopic(4)
			r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
				rnd := rand.New(rand.NewPCG(seed, n.Number<<8|uint64(n.Lane)<<4|uint64(n.Try)))
				f := uploadOutcome{takes: time.Duration(1e6 + rnd.Int64N(20e6)), puts: uint32(1 + rnd.IntN(3))}
				switch k := rnd.IntN(20); {
				case k < 4:
					f.takes *= 20
				case k == 4:
					f.err = errBusy
				case k == 5:
					f.err, f.land = errBusy, true
				}
				return f
			}
			r.log.before = func(k metadata.EntryKey) (time.Duration, error) {
				rnd := rand.New(rand.NewPCG(seed, uint64(k.Seq)<<8|uint64(k.Lane)))
				return time.Duration(1e6 + rnd.Int64N(6e6)), nil
			}
			r.storm(seed)
			failed += int(r.w.Stats().FailedObjects)
			hedged += int(r.w.Stats().PUTs.Won)
			var last uint64
			for _, c := range r.store.calls() {
				if c.name.Lane == metadata.LaneStandard {
					if c.name.Number < last {
						outOfOrder++
					}
					last = max(last, c.name.Number)
				}
			}
			for _, e := range r.applied() {
				if len(e.Objects) > 1 {
					mergedLate++
				}
			}
			r.checkBill()
		})
	}
	t.Logf("uploads ended out of order %d times, objects failed %d, hedges won %d, entries of several objects %d", outOfOrder, failed, hedged, mergedLate)
	if outOfOrder == 0 || failed == 0 || hedged == 0 || mergedLate == 0 {
		t.Error("an interesting state was never reached")
	}
}

// An orphan has the size of the object that is in the bucket, or may be; none where
// the store refused it.
func TestOrphansHaveTheSizeOfWhatMayBeInTheBucket(t *testing.T) {
	inBubble(t, func(c *Config) { c.HedgeAfter = 50 * time.Millisecond; c.Linger = time.Millisecond }, func(r *rig) {
		r.makeTopic(8)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			switch {
			case n.Number == 1 && n.Try == 0: // loses its race and lands
				return uploadOutcome{takes: 300 * time.Millisecond}
			case n.Number == 2: // its answer is lost
				return uploadOutcome{takes: time.Millisecond, err: errBusy, land: true}
			case n.Number == 3:
				return uploadOutcome{takes: time.Millisecond, err: bucket.ErrDenied}
			}
			return uploadOutcome{takes: 30 * time.Millisecond}
		}
		r.want(r.send(made{bytes: 5000}), 0)
		r.wantError(r.send(made{bytes: 6000, partition: 1}), ErrStorage)
		r.wantError(r.send(made{bytes: 7000, partition: 2}), ErrStorage)
		time.Sleep(time.Second)
		if err := r.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		found := map[uint64]int64{}
		for _, e := range r.applied() {
			for _, o := range e.Orphans {
				found[o.Name.Number] = o.Size
				if want := len(r.store.body(o.Name)); o.Size != int64(want) {
					t.Errorf("orphan %s has size %d, in the bucket are %d bytes", o.Name.Key(), o.Size, want)
				}
			}
		}
		if len(found) != 3 || found[1] < 5000 || found[2] < 6000 || found[3] != 0 {
			t.Errorf("orphans by number and size: %v", found)
		}
	})
}

func TestCloseBillsTheLosersItKnows(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		r.store.outcome = func(metadata.ObjectName) uploadOutcome {
			return uploadOutcome{takes: time.Millisecond, err: errBusy, puts: 4}
		}
		r.wantError(r.send(made{}), ErrStorage)
		if err := r.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		es := r.applied()
		if last := es[len(es)-1]; len(last.Orphans) != 1 || last.Orphans[0].Puts != 4 {
			t.Errorf("the last entry is %+v", last)
		}
	})
}

// A session is lost while objects are in every state: failed and not named yet,
// stored behind one that is under way, under way, losing their race, and in an
// entry whose append finds the session gone. Each PUT is in an entry, or counted
// as one that no entry books, and none is in both.
func TestPutsThatALostSessionLeavesAreCounted(t *testing.T) {
	inBubble(t, func(c *Config) { c.HedgeAfter = 200 * time.Millisecond }, func(r *rig) {
		r.makeTopic(8)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			switch {
			case n.Number == 2 && n.Try == 0:
				return uploadOutcome{takes: 10 * time.Second, puts: 2} // loses its race, still under way
			case n.Number == 3:
				return uploadOutcome{takes: 10 * time.Second, puts: 4} // under way, and what is sent again, too
			case n.Number == 5 || n.Number == 7:
				return uploadOutcome{takes: time.Millisecond, err: errBusy, puts: 8} // named in the entry that does not land, and in none
			}
			return uploadOutcome{takes: time.Millisecond, puts: 16}
		}
		send := func(p int32) *Ack {
			a := r.send(made{partition: p})
			time.Sleep(110 * time.Millisecond)
			return a
		}
		r.want(send(0), 0) // object 1
		second := send(1)  // object 2
		time.Sleep(200 * time.Millisecond)
		r.want(second, 0)
		under := send(2)  // object 3
		stored := send(2) // object 4, behind object 3
		failed := send(3) // object 5
		r.log.before = func(metadata.EntryKey) (time.Duration, error) {
			return 300 * time.Millisecond, metadata.ErrSessionLost
		}
		lost := send(4)                  // object 6, in an entry that does not land
		r.wantError(send(5), ErrStorage) // object 7
		for _, a := range []*Ack{under, stored, lost} {
			r.wantError(a, ErrSessionLost)
		}
		r.wantError(failed, ErrStorage)
		<-r.w.Lost()
		if err := r.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		var made, named uint64
		for _, c := range r.store.calls() {
			made += uint64(c.puts)
		}
		for _, e := range r.applied() {
			named += sumPuts(e.Objects) + sumPuts(e.Orphans)
		}
		if unbooked := r.w.UnbookedPuts(); made != named+unbooked || named != 32 || unbooked < 2+4+4+8+8+16+16 {
			t.Errorf("%d PUTs were made, entries name %d, %d are left over", made, named, unbooked)
		}
	})
}

// An entry of unknown outcome may have been booked: its PUTs are not counted
// again.
func TestPutsOfAnUnknownOutcomeAreNotCountedTwice(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		r.log.after = func(metadata.EntryKey) (time.Duration, error) {
			return time.Millisecond, metadata.ErrOutcomeUnknown
		}
		r.wantError(r.send(made{}), ErrOutcomeUnknown)
		r.log.after = nil
		if err := r.w.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		if n := r.w.UnbookedPuts(); n != 0 {
			t.Errorf("%d PUTs are left over", n)
		}
	})
}
