package wal

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// pipelining is a client with a limited number of unanswered requests of one
// batch, which always has more to send.
type pipelining struct {
	window int
	bytes  int
	trip   time.Duration // from an answer to what the client sends behind it
	sent   time.Duration // between two requests
	hiccup time.Duration // more, after each 103rd
}

// run sends for so long and returns how many batches were acknowledged, the
// first one at an offset.
func (p pipelining) run(r *rig, from int, long time.Duration) (count int) {
	activity := newActivity()
	defer activity.Close()
	var window []*Ack
	sent := 0
	for end := time.Now().Add(long); time.Now().Before(end); {
		for len(window) < p.window {
			activity.Read(p.bytes)
			window = append(window, r.send(made{activity: activity, bytes: p.bytes}))
			if sent++; sent%103 == 0 {
				time.Sleep(p.hiccup)
			}
			time.Sleep(p.sent)
		}
		r.want(window[0], metadata.Offset(from+count))
		window, count = window[1:], count+1
		time.Sleep(p.trip)
	acked: // what is answered by then is answered together
		for len(window) > 0 {
			select {
			case <-window[0].Done():
				r.want(window[0], metadata.Offset(from+count))
				window, count = window[1:], count+1
			default:
				break acked
			}
		}
	}
	for _, a := range window {
		r.want(a, metadata.Offset(from+count))
		count++
	}
	return count
}

// A Java producer's window is five batches of 16 KiB. It becomes one entry, or
// one object, for each round trip, although its batches come one after the
// other, and now and then it is held up between two of them.
func TestAWindowIsOneEntryOrOneObject(t *testing.T) {
	for _, inline := range []bool{true, false} {
		inBubble(t, func(c *Config) {
			if inline {
				c.InlineLimit = func() int { return metadata.MaxInlineBytes }
			}
		}, func(r *rig) {
			r.makeTopic(1)
			r.store.outcome = func(metadata.ObjectName) uploadOutcome { return uploadOutcome{takes: 5 * time.Millisecond} }
			r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
			p := pipelining{window: 5, bytes: 16 << 10, trip: 400 * time.Microsecond, sent: 100 * time.Microsecond, hiccup: 7200 * time.Microsecond}
			early := p.run(r, 0, time.Second)
			before, entries := r.w.Stats(), len(r.applied())
			count := p.run(r, early, 10*time.Second)
			s, entries := r.w.Stats(), len(r.applied())-entries
			t.Logf("inline %v: %d batches in %d entries, %d objects", inline, count, entries, s.Objects-before.Objects)
			// A hiccup in the middle of a window cuts that one, and no other one.
			if float64(count) < 4.7*float64(entries) {
				t.Errorf("inline %v: %d batches in %d entries", inline, count, entries)
			}
			// A round trip is 0.9 ms at the client, 3 of the log, 5 of the store.
			trip := 3900 * time.Microsecond
			if !inline {
				trip = 8900 * time.Microsecond
			}
			if most := int(10 * time.Second / trip * 5); count < most*7/10 {
				t.Errorf("inline %v: %d batches, %d are possible", inline, count, most)
			}
		})
	}
}

// A client that waits for each answer before it sends the next request is not
// delayed, nor is one that sends independently of answers.
func TestOnlyWindowsAreWaitedFor(t *testing.T) {
	inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) {
		r.makeTopic(1)
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
		if count := (pipelining{window: 1, bytes: 1000, trip: time.Millisecond}).run(r, 0, 10*time.Second); count < 2490 {
			t.Errorf("one after the other: %d batches in 10 s, at 4 ms each", count)
		}
	})
	inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) { // where commits are quick enough to be spaced
		r.makeTopic(1)
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return time.Millisecond, nil }
		if count := (pipelining{window: 1, bytes: 1000, trip: time.Millisecond}).run(r, 0, 10*time.Second); count < 4950 {
			t.Errorf("one after the other: %d batches in 10 s, at 2 ms each", count)
		}
	})
	inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) {
		r.makeTopic(1)
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
		activity := newActivity()
		defer activity.Close()
		for i := range 1000 {
			time.Sleep(10 * time.Millisecond)
			activity.Read(1000)
			begun := time.Now()
			r.want(r.send(made{activity: activity, bytes: 1000}), metadata.Offset(i))
			if took := time.Since(begun); took > 3*time.Millisecond {
				t.Fatalf("batch %d took %v", i, took)
			}
		}
	})
}

// A window's batches are known to be complete only when the last batch of its
// last request has come; a request may have many.
func TestARequestOfManyBatchesIsNotCutInTwo(t *testing.T) {
	inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) {
		r.makeTopic(8)
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
		activity := newActivity()
		defer activity.Close()
		before := len(r.applied())
		for i := range 100 {
			activity.Read(1000)
			var acks []*Ack
			for p := range int32(8) {
				b := r.batch(made{partition: p, activity: activity, bytes: 1000})
				b.More = p < 7
				a, err := r.w.Append(t.Context(), b)
				if err != nil {
					t.Fatal(err)
				}
				acks = append(acks, a)
				time.Sleep(50 * time.Microsecond)
			}
			for _, a := range acks {
				r.want(a, metadata.Offset(i))
			}
			time.Sleep(time.Millisecond)
		}
		if n := len(r.applied()) - before; n != 100 {
			t.Errorf("%d entries for 100 requests", n)
		}
	})
}

// A stream of records that come when they come, by one connection that may have
// five requests under way: commits wait for company, and acks stay quick.
func TestCommitsOfAStreamWaitForCompany(t *testing.T) {
	for _, c := range []struct {
		perSecond   int
		least, most float64 // batches in an entry
	}{{33, 1, 1.1}, {333, 1.8, 4}, {2000, 8, 20}} {
		inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) {
			r.makeTopic(1)
			r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 2500 * time.Microsecond, nil }
			rnd := rand.New(rand.NewPCG(3, uint64(c.perSecond)))
			activity := newActivity()
			defer activity.Close()
			before := len(r.applied())
			var mu sync.Mutex
			var tooks []time.Duration
			var wg sync.WaitGroup
			const n = 3000
			for range n {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(time.Second) / float64(c.perSecond)))
				activity.Read(1000)
				ack, begun := r.send(made{activity: activity, bytes: 1100}), time.Now()
				wg.Go(func() {
					if _, err := ack.Result(); err != nil {
						t.Error(err)
					}
					mu.Lock()
					defer mu.Unlock()
					tooks = append(tooks, time.Since(begun))
				})
			}
			wg.Wait()
			slices.Sort(tooks)
			p50, p99, each := tooks[n/2], tooks[n*99/100], n/float64(len(r.applied())-before)
			t.Logf("%d batches a second: %.1f in an entry, acks p50 %v, p99 %v", c.perSecond, each, p50, p99)
			if each < c.least || each > c.most || p50 > 6*time.Millisecond || p99 > 12*time.Millisecond {
				t.Errorf("%d batches a second: %.1f in an entry, acks p50 %v, p99 %v", c.perSecond, each, p50, p99)
			}
		})
	}
}
