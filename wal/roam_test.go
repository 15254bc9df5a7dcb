package wal

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Producers that give up waiting and send the same again by the other broker,
// and back: whichever lands first, each batch is in the log once, in its
// producer's order, at the offset of every ack it got.
func TestRetriesThatRoamBetweenBrokersLandOnce(t *testing.T) {
	var resubmitted, duplicates, attached, waited uint64
	for seed := range uint64(12) {
		inBubble(t, func(c *Config) {
			c.Linger = 5 * time.Millisecond
			if seed%2 == 1 {
				c.InlineLimit = func() int { return 1000 }
			}
		}, func(r *rig) {
			r.makeTopic(4)
			// Ids that the state gave out after it made the partitions: an unknown
			// producer must begin at sequence 0.
			ids := metadata.ProducerID(r.submit(nil, metadata.AllocateProducers{Count: 4}).Commands[0].Value)
			two := r.other()
			slow := func(a, b uint64) time.Duration {
				rnd := rand.New(rand.NewPCG(seed, a<<16|b))
				d := time.Duration(1e6 + rnd.Int64N(5e6))
				if rnd.IntN(8) == 0 {
					d *= 12
				}
				return d
			}
			r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
				return uploadOutcome{takes: slow(n.Number, uint64(n.Session)<<4|uint64(n.Lane)<<2|uint64(n.Try))}
			}
			r.log.before = func(k metadata.EntryKey) (time.Duration, error) {
				return slow(uint64(k.Seq), uint64(k.Session)<<4|uint64(k.Lane)), nil
			}
			var wg sync.WaitGroup
			var mu sync.Mutex // guards acknowledged
			acknowledged := map[int32][]acked{}
			for p := range int32(4) {
				for n := range 4 {
					wg.Go(func() {
						got := r.roam(rand.New(rand.NewPCG(seed, uint64(p)<<8|uint64(n))), func(i int) *WAL { return [2]*WAL{r.w, two}[i] },
							made{partition: p, producer: ids + metadata.ProducerID(n), mark: mark(p)<<32 | mark(n)<<24})
						mu.Lock()
						acknowledged[p] = append(acknowledged[p], got...)
						mu.Unlock()
					})
				}
			}
			wg.Wait()
			for p := range int32(4) {
				r.checkStorm(p, acknowledged[p])
			}
			for _, w := range []*WAL{r.w, two} {
				s := w.Stats()
				resubmitted, duplicates, attached, waited = resubmitted+s.Resubmitted, duplicates+s.Duplicates, attached+s.Attached, waited+s.GapWaits
			}
			if err := two.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("submitted again %d, duplicates %d, attached %d, waited for a sequence %d", resubmitted, duplicates, attached, waited)
	if resubmitted == 0 || duplicates == 0 || attached == 0 || waited == 0 {
		t.Error("an interesting state was never reached")
	}
}

// roam sends 30 batches with up to three in flight. Where an ack takes too
// long or fails it sends all that is in flight again, by the other broker or
// the same.
func (r *rig) roam(rnd *rand.Rand, broker func(int) *WAL, m made) (acknowledged []acked) {
	type flight struct {
		made
		ack *Ack
	}
	var queue []flight
	at := rnd.IntN(2)
	next := metadata.Sequence(0)
	send := func(x made) *Ack {
		a, err := broker(at).Append(context.Background(), r.batch(x))
		if err != nil {
			a = &Ack{done: make(chan struct{}), err: err}
			close(a.done)
		}
		return a
	}
	for n, tries := 0, 0; len(acknowledged) < 30; {
		for len(queue) < 3 && n < 30 {
			x := m
			x.seq, x.records = next, int32(1+rnd.IntN(4))
			n++
			x.mark |= mark(n)
			next += metadata.Sequence(x.records)
			if rnd.IntN(6) == 0 {
				at = rnd.IntN(2) // the hint moved
			}
			queue = append(queue, flight{x, send(x)})
			time.Sleep(time.Duration(rnd.Int64N(2e6)))
		}
		select {
		case <-queue[0].ack.Done():
			off, err := queue[0].ack.Result()
			if err == nil {
				acknowledged = append(acknowledged, acked{queue[0].mark, off})
				queue, tries = queue[1:], 0
				continue
			}
			if !errors.Is(err, metadata.CodeOutOfOrder) && !errors.Is(err, ErrSessionLost) && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrOutcomeUnknown) {
				r.t.Errorf("batch %x: %v", uint64(queue[0].mark), err)
				return acknowledged
			}
			time.Sleep(time.Duration(5e6 + rnd.Int64N(10e6))) // a client's retry backoff
		case <-time.After(time.Duration(20e6 + rnd.Int64N(40e6))):
		}
		if tries++; tries > 100 {
			r.t.Errorf("batch %x never lands", uint64(queue[0].mark))
			return acknowledged
		}
		at = rnd.IntN(2)
		for i := range queue {
			queue[i].ack = send(queue[i].made)
		}
	}
	return acknowledged
}

// Sessions go one after the other with everything in flight; each time a new
// one takes over. What was acknowledged stays, what was not comes again, once.
func TestSessionsLostUnderLoadLoseAndRepeatNothing(t *testing.T) {
	var lost, committedLate int
	for seed := range uint64(12) {
		inBubble(t, func(c *Config) {
			c.Linger = 5 * time.Millisecond
			if seed%2 == 1 {
				c.InlineLimit = func() int { return 1000 }
			}
		}, func(r *rig) {
			r.makeTopic(4)
			ids := metadata.ProducerID(r.submit(nil, metadata.AllocateProducers{Count: 4}).Commands[0].Value)
			delay := func(k metadata.EntryKey, end uint64) (time.Duration, error) {
				rnd := rand.New(rand.NewPCG(seed, uint64(k.Session)<<32|uint64(k.Seq)<<8|uint64(k.Lane)<<4|end))
				return time.Duration(1e6 + rnd.Int64N(9e6)), nil
			}
			r.log.before = func(k metadata.EntryKey) (time.Duration, error) { return delay(k, 0) }
			r.log.after = func(k metadata.EntryKey) (time.Duration, error) { return delay(k, 1) }
			var mu sync.Mutex // guards current and acknowledged
			current := r.w
			acknowledged := map[int32][]acked{}
			stop := make(chan struct{})
			var killer, wg sync.WaitGroup
			killer.Go(func() {
				rnd := rand.New(rand.NewPCG(seed, 99))
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Duration(40e6 + rnd.Int64N(60e6))):
					}
					r.log.ExpireSession(r.cfg.Session)
					select {
					case <-r.w.Lost(): // an append found out
					case <-time.After(time.Duration(rnd.Int64N(20e6))):
						r.w.MarkSessionLost() // the session itself did
					}
					if err := r.w.Close(context.Background()); err != nil {
						t.Errorf("close: %v", err)
					}
					lost++
					committedLate += int(r.w.Stats().Commits[metadata.LaneStandard])
					r.openSession()
					mu.Lock()
					current = r.w
					mu.Unlock()
				}
			})
			for p := range int32(4) {
				for n := range 4 {
					wg.Go(func() {
						got := r.roam(rand.New(rand.NewPCG(seed, uint64(p)<<8|uint64(n))), func(int) *WAL {
							mu.Lock()
							defer mu.Unlock()
							return current
						}, made{partition: p, producer: ids + metadata.ProducerID(n), mark: mark(p)<<32 | mark(n)<<24})
						mu.Lock()
						acknowledged[p] = append(acknowledged[p], got...)
						mu.Unlock()
					})
				}
			}
			wg.Wait()
			close(stop)
			killer.Wait()
			for p := range int32(4) {
				r.checkStorm(p, acknowledged[p])
			}
		})
	}
	t.Logf("sessions lost %d, entries committed by them %d", lost, committedLate)
	if lost < 12 || committedLate == 0 {
		t.Error("an interesting state was never reached")
	}
}

// A broker is paused with a request in flight, its session ends, another one
// takes the partition over, then the first one's PUT is done: under its own
// name, and nothing refers to it. (Another project's resumed owner overwrote
// the object of the new one.)
func TestPausedBrokerOverwritesNothingAndCommitsNothing(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		two := r.other()
		first := r.cfg.Session
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			if n.Session == first {
				return uploadOutcome{takes: 20 * time.Second}
			}
			return uploadOutcome{takes: 10 * time.Millisecond}
		}
		paused := r.send(made{producer: 1, mark: 1})
		time.Sleep(200 * time.Millisecond)
		r.log.ExpireSession(first)
		elsewhere, err := two.Append(context.Background(), r.batch(made{producer: 1, mark: 1}))
		if err != nil {
			t.Fatal(err)
		}
		r.want(elsewhere, 0)
		r.wantError(paused, ErrSessionLost)
		if got := r.read(0); len(got) != 1 {
			t.Errorf("read %v", got)
		}
		if n := len(r.store.calls()); n < 2 {
			t.Errorf("%d uploads ended: the paused one must have landed for this to mean anything", n)
		}
		if err := two.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestSessionLostFailsAtOnceWhatIsNotUnderWay(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = time.Hour }, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{})
		time.Sleep(time.Millisecond)
		r.w.MarkSessionLost()
		start := time.Now()
		r.wantError(a, ErrSessionLost)
		if took := time.Since(start); took != 0 {
			t.Errorf("failed after %v", took)
		}
	})
}
