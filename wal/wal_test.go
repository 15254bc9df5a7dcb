package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Peers answered base offset 0 in every ack, and hid acknowledged records at
// the boundary of a flush: here every ack names the offset at which the batch
// is read back, and it can be read when the ack is there.
func TestAckNamesTheOffsetThatIsReadBack(t *testing.T) {
	for _, inline := range []int{0, metadata.MaxInlineBytes} {
		inBubble(t, inlineUpTo(inline), func(r *rig) {
			r.makeTopic(3)
			type sent struct {
				partition int32
				mark      mark
				ack       *Ack
			}
			var all []sent
			seq := map[[2]int64]metadata.Sequence{}
			for i := range 120 {
				m := made{partition: int32(i % 3), producer: metadata.ProducerID(i % 4), records: int32(1 + i%5), mark: mark(i + 1), principal: string(rune('a' + i%2))}
				k := [2]int64{int64(m.partition), int64(m.producer)}
				m.seq = seq[k]
				seq[k] += metadata.Sequence(m.records)
				all = append(all, sent{m.partition, m.mark, r.send(m)})
				if i%40 == 39 {
					time.Sleep(150 * time.Millisecond)
				}
			}
			for _, s := range all {
				at, err := s.ack.Result()
				if err != nil {
					t.Fatalf("batch %d: %v", s.mark, err)
				}
				found := false
				for _, b := range r.read(s.partition) {
					if b.mark == s.mark {
						found = true
						if b.offset != at {
							t.Errorf("inline %d: batch %d is acknowledged at %d and read at %d", inline, s.mark, at, b.offset)
						}
					}
				}
				if !found {
					t.Errorf("inline %d: batch %d is acknowledged and cannot be read", inline, s.mark)
				}
			}
		})
	}
}

func TestInlineBatchIsAcknowledgedAfterOneCommit(t *testing.T) {
	inBubble(t, inlineUpTo(64<<10), func(r *rig) {
		r.makeTopic(1)
		const commit = 3 * time.Millisecond
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return commit, nil }
		for i := range 5 {
			start := time.Now()
			r.want(r.send(made{mark: mark(i)}), metadata.Offset(i))
			if took := time.Since(start); took != commit {
				t.Errorf("inline batch took %v, want one commit of %v", took, commit)
			}
		}
		if n := len(r.store.calls()); n != 0 {
			t.Errorf("%d objects were written", n)
		}
	})
}

func TestWhatBecomesReadyDuringACommitSharesTheNext(t *testing.T) {
	inBubble(t, inlineUpTo(64<<10), func(r *rig) {
		r.makeTopic(1)
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 5 * time.Millisecond, nil }
		first := r.send(made{})
		time.Sleep(time.Millisecond)
		before := len(r.applied())
		var acks []*Ack
		for range 50 {
			acks = append(acks, r.send(made{}))
		}
		r.want(first, 0)
		for i, a := range acks {
			r.want(a, metadata.Offset(1+i))
		}
		if n := len(r.applied()) - before; n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
	})
}

func TestExhaustedInlineBudgetFallsBackToObjects(t *testing.T) {
	inBubble(t, inlineUpTo(64<<10), func(r *rig) {
		r.makeTopic(1)
		r.gov.inline = 250
		r.want(r.send(made{}), 0)
		r.want(r.send(made{}), 1)
		r.want(r.send(made{}), 2)
		if s := r.w.Stats(); s.InlineEntries != 2 || s.InlineBytes != 200 || s.Objects != 1 || s.Sealed[ReasonLinger] != 1 {
			t.Errorf("stats %+v", s)
		}
		if got := r.read(0); len(got) != 3 {
			t.Errorf("read %v", got)
		}
	})
}

// A session's key is gone while requests are in flight: nothing of it commits
// any more, nothing is acknowledged, every batch fails, and the next session
// accepts the same batches. (Other projects advanced offsets by an unguarded
// put.)
func TestLostSessionCommitsNothingAndTellsEverybody(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(4)
		sealed := r.send(made{partition: 0, producer: 7, mark: 1})
		time.Sleep(110 * time.Millisecond) // on its way to the bucket
		open := r.send(made{partition: 1, producer: 7, mark: 2})
		waits := r.send(made{partition: 2, producer: 7, seq: 5, mark: 3})
		parked := r.send(made{partition: 0, producer: 7, seq: 1, lane: metadata.LaneLow, mark: 4})
		r.log.ExpireSession(r.cfg.Session)
		for _, a := range []*Ack{sealed, open, waits, parked} {
			if _, err := a.Result(); !errors.Is(err, ErrSessionLost) && !errors.Is(err, metadata.CodeOutOfOrder) {
				t.Errorf("ack error %v, want the session lost", err)
			}
		}
		<-r.w.Lost()
		if _, err := r.w.Append(context.Background(), r.batch(made{})); !errors.Is(err, ErrSessionLost) {
			t.Errorf("append after the loss: %v", err)
		}
		if _, err := r.w.Submit(context.Background(), []metadata.Command{metadata.DrainSession{}}, nil); !errors.Is(err, ErrSessionLost) {
			t.Errorf("submit after the loss: %v", err)
		}
		for p := range int32(4) {
			if got := r.read(p); len(got) != 0 {
				t.Errorf("partition %d has %v", p, got)
			}
		}
		if err := r.w.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		r.openSession()
		r.want(r.send(made{partition: 0, producer: 7, mark: 1}), 0)
	})
}

// What was committed before the loss was seen is acknowledged, not failed.
func TestEntryCommittedBeforeTheLossIsAcknowledged(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		r.log.after = func(metadata.EntryKey) (time.Duration, error) { return 50 * time.Millisecond, nil }
		a := r.send(made{})
		time.Sleep(10 * time.Millisecond) // landed, the answer is on its way
		r.log.ExpireSession(r.cfg.Session)
		r.want(a, 0)
	})
}

func TestUnknownOutcomeIsNeverSubmittedAgain(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		unknown := true
		r.log.after = func(metadata.EntryKey) (time.Duration, error) {
			if unknown {
				unknown = false
				return time.Millisecond, metadata.ErrOutcomeUnknown
			}
			return 0, nil
		}
		r.wantError(r.send(made{producer: 9, mark: 1}), ErrOutcomeUnknown)
		// It was committed: the client's retry is a duplicate, and the lane continues.
		r.want(r.send(made{producer: 9, mark: 1}), 0)
		r.want(r.send(made{producer: 9, seq: 1, mark: 2}), 1)
		if got := r.read(0); len(got) != 2 {
			t.Errorf("read %v", got)
		}
	})
}

func TestPassingErrorOfTheLogIsRetriedUnderTheSameKey(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		tries := map[metadata.EntryKey]int{}
		r.log.after = func(k metadata.EntryKey) (time.Duration, error) {
			if tries[k]++; tries[k] < 3 {
				return 0, errors.New("answer lost")
			}
			return 0, nil
		}
		r.want(r.send(made{}), 0)
		r.want(r.send(made{}), 1)
	})
}

func TestMemoryLimitPushesBackOnAppendAlone(t *testing.T) {
	inBubble(t, func(c *Config) { c.BudgetBytes = 8 << 10; c.HedgeAfter = -1 }, func(r *rig) {
		r.makeTopic(1)
		release := make(chan struct{})
		r.store.outcome = func(metadata.ObjectName) uploadOutcome { return uploadOutcome{takes: time.Millisecond, until: release} }
		var acks []*Ack
		for range 4 {
			acks = append(acks, r.send(made{bytes: 1000}))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := r.w.Append(ctx, r.batch(made{bytes: 1000})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("append over the limit: %v", err)
		}
		// Permits taken in both directions deadlocked a peer: commands never
		// wait for the memory of data.
		r.submit(nil, metadata.AllocateProducers{Count: 1})
		late := make(chan *Ack, 1)
		last := r.batch(made{bytes: 1000})
		go func() {
			a, err := r.w.Append(context.Background(), last)
			if err != nil {
				t.Errorf("append: %v", err)
			}
			late <- a
		}()
		synctest.Wait()
		if s := r.w.Stats(); s.BlockedAppends != 1 || s.PendingBytes > s.BudgetBytes {
			t.Errorf("stats %+v", s)
		}
		close(release)
		for i, a := range acks {
			r.want(a, metadata.Offset(i))
		}
		r.want(<-late, 4)
	})
}

func TestBatchLargerThanABufferTravelsAlone(t *testing.T) {
	inBubble(t, func(c *Config) { c.MaxBufferBytes = 4096; c.Linger = time.Hour }, func(r *rig) {
		r.makeTopic(1)
		small := r.send(made{mark: 1})
		r.want(r.send(made{bytes: 9000, mark: 2}), 1)
		r.want(small, 0)
		if s := r.w.Stats(); s.Objects != 2 || s.Sealed[ReasonFull] != 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestManyRunsSealABufferBeforeItsEntryIsTooLarge(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = time.Hour }, func(r *rig) {
		r.makeTopic(1)
		var acks []*Ack
		for i := range 2 * metadata.SealRunBytes / runMaxBytes {
			acks = append(acks, r.send(made{producer: metadata.ProducerID(1 + i)}))
		}
		if err := r.w.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, a := range acks {
			if _, err := a.Result(); err != nil {
				t.Fatal(err)
			}
		}
		if s := r.w.Stats(); s.Sealed[ReasonRuns] < 2 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestRunsEndWhereTheyMust(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		acks := []*Ack{
			r.send(made{producer: 1, seq: 0, records: 2}), r.send(made{producer: 2, seq: 0}),
			r.send(made{producer: 1, seq: 2}),                       // joins the first
			r.send(made{producer: 1, seq: 3, principal: "other"}),   // another principal
			r.send(made{producer: 1, epoch: 1, principal: "other"}), // another epoch
			r.send(made{}), r.send(made{}), // no producer: one run
		}
		want := []metadata.Offset{0, 5, 2, 3, 4, 6, 7}
		for i, a := range acks {
			r.want(a, want[i])
		}
		es := r.applied()
		p := es[len(es)-1].Parts
		if len(p) != 1 || len(p[0].Runs) != 5 {
			t.Errorf("parts %+v", p)
		}
	})
}

func TestBatchThatWouldSpoilAnEntryIsRefusedAlone(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		for i, spoil := range []func(*Batch){
			func(b *Batch) { b.Lane = metadata.LaneControl },
			func(b *Batch) { b.Bytes = b.Bytes[:90] },
			func(b *Batch) { b.Header.Size++ },
			func(b *Batch) { b.Header.Producer = 3 },
			func(b *Batch) { b.Partition.Partition = -1 },
			func(b *Batch) { b.TxnStart = -1 },
		} {
			b := r.batch(made{})
			spoil(&b)
			if _, err := r.w.Append(context.Background(), b); err == nil {
				t.Errorf("batch %d was taken", i)
			}
		}
		huge := r.batch(made{records: metadata.MaxRunRecords + 1})
		if _, err := r.w.Append(context.Background(), huge); err == nil {
			t.Error("a batch of too many offsets was taken")
		}
		for i := range 6 { // together more offsets than one part can hold
			r.want(r.send(made{records: metadata.MaxRunRecords}), metadata.Offset(i)*metadata.MaxRunRecords)
		}
		r.wantError(r.send(made{partition: 5}), metadata.CodeUnknownTopic)
		r.want(r.send(made{}), 6*metadata.MaxRunRecords)
	})
}

func TestPartHoldsAsManyOffsetsAsAnEntryCanSay(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		var acks []*Ack
		for range 6 {
			acks = append(acks, r.send(made{records: metadata.MaxRunRecords}))
		}
		for i, a := range acks {
			r.want(a, metadata.Offset(i)*metadata.MaxRunRecords)
		}
	})
}

// Inline bytes have a rate of their own. Counted as entry bytes, too, they were
// held to a third of that rate, whichever was less.
func TestInlineBytesCountOnce(t *testing.T) {
	inBubble(t, inlineUpTo(metadata.MaxInlineBytes), func(r *rig) {
		r.makeTopic(1)
		r.want(r.send(made{bytes: 50_000}), 0)
		var c metadata.Cost
		for _, s := range r.gov.settled {
			c.EntryBytes += s.EntryBytes
			c.InlineBytes += s.InlineBytes
		}
		if c.InlineBytes != 50_000 || c.EntryBytes > 1000 {
			t.Errorf("50,000 bytes inline cost %+v", c)
		}
	})
}
