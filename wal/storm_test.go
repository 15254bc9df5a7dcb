package wal

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// acked is an acknowledged batch of a storm's producer.
type acked struct {
	mark   mark
	offset metadata.Offset
}

// storm runs eight producers on each of four partitions, half of them
// idempotent and half with several batches in flight, until each has had 40
// batches acknowledged, and checks what is in the log.
func (r *rig) storm(seed uint64) {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards acknowledged
	acknowledged := map[int32][]acked{}
	// Ids that the state gave out after it made the partitions: an unknown
	// producer must begin at sequence 0.
	ids := metadata.ProducerID(r.submit(nil, metadata.AllocateProducers{Count: 8}).Commands[0].Value)
	for p := range int32(4) {
		for n := range 8 {
			id := metadata.ProducerID(0)
			if n%2 == 0 {
				id = ids + metadata.ProducerID(n)
			}
			lane := metadata.LaneStandard
			if p == 3 {
				lane = metadata.LaneLow
			}
			wg.Go(func() {
				got := r.produce(rand.New(rand.NewPCG(seed, uint64(p)<<8|uint64(n))), made{partition: p, producer: id, lane: lane, mark: mark(p)<<32 | mark(n)<<24})
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
}

// produce keeps up to three batches in flight and retries what fails, as a
// client does: an idempotent one all of its batches from the first that
// failed on, under their old sequences.
func (r *rig) produce(rnd *rand.Rand, m made) (acknowledged []acked) {
	type flight struct {
		made
		ack *Ack
	}
	var queue []flight
	ctx := context.Background()
	next := metadata.Sequence(0)
	for n, tries := 0, 0; len(acknowledged) < 40; {
		if tries++; tries > 1000 {
			r.t.Errorf("batch %x never lands", uint64(queue[0].mark))
			return acknowledged
		}
		for len(queue) < 3 && n < 60 {
			x := m
			x.seq, x.records, x.bytes = next, int32(1+rnd.IntN(4)), 80+rnd.IntN(200)
			n++
			x.mark |= mark(n)
			next += metadata.Sequence(x.records)
			a, err := r.w.Append(ctx, r.batch(x))
			if err != nil {
				r.t.Errorf("append: %v", err)
				return acknowledged
			}
			queue = append(queue, flight{x, a})
			time.Sleep(time.Duration(rnd.Int64N(3e6)))
		}
		at, err := queue[0].ack.Result()
		switch {
		case err == nil:
			acknowledged = append(acknowledged, acked{queue[0].mark, at})
			queue = queue[1:]
		case !errors.Is(err, ErrStorage) && !errors.Is(err, metadata.CodeOutOfOrder):
			r.t.Errorf("batch %x: %v", uint64(queue[0].mark), err)
			return acknowledged
		case m.producer == 0:
			queue = queue[1:] // a lost batch of a client without retries
		default:
			for i := range queue {
				queue[i].ack.Result()
				if queue[i].ack, err = r.w.Append(ctx, r.batch(queue[i].made)); err != nil {
					r.t.Errorf("append: %v", err)
					return acknowledged
				}
			}
		}
		if len(queue) == 0 && n >= 60 {
			return acknowledged
		}
	}
	for _, f := range queue {
		if at, err := f.ack.Result(); err == nil {
			acknowledged = append(acknowledged, acked{f.mark, at})
		}
	}
	return acknowledged
}

// checkStorm compares what was acknowledged with what is read.
func (r *rig) checkStorm(p int32, acknowledged []acked) {
	r.t.Helper()
	at := map[mark]metadata.Offset{}
	last := map[mark]mark{} // by producer
	for _, b := range r.read(p) {
		if _, twice := at[b.mark]; twice {
			r.t.Errorf("batch %x is in the log twice", uint64(b.mark))
		}
		at[b.mark] = b.offset
		if who := b.mark >> 24; b.mark < last[who] {
			r.t.Errorf("batch %x comes after %x", uint64(b.mark), uint64(last[who]))
		} else {
			last[who] = b.mark
		}
	}
	for _, a := range acknowledged {
		if got, ok := at[a.mark]; !ok || got != a.offset {
			r.t.Errorf("batch %x is acknowledged at %d and read at %d (found: %v)", uint64(a.mark), a.offset, got, ok)
		}
	}
	if len(acknowledged) < 100 {
		r.t.Errorf("partition %d: only %d batches were acknowledged", p, len(acknowledged))
	}
}
