package wal

import (
	"context"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func TestRetryOfAPendingBatchIsAnsweredWithIt(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{producer: 1, records: 3})
		b := r.send(made{producer: 1, seq: 3})
		again := r.send(made{producer: 1, records: 3})
		time.Sleep(105 * time.Millisecond) // on its way
		third := r.send(made{producer: 1, records: 3})
		r.want(a, 0)
		r.want(b, 3)
		r.want(again, 0)
		r.want(third, 0)
		if s := r.w.Stats(); s.Attached != 2 || s.Objects != 1 {
			t.Errorf("stats %+v", s)
		}
		// Committed by now: answered from the state, without an entry.
		start := time.Now()
		r.want(r.send(made{producer: 1, records: 3}), 0)
		if took := time.Since(start); took != 0 {
			t.Errorf("a duplicate waited %v", took)
		}
	})
}

func TestMissingSequenceIsWaitedForAndThenRefused(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		r.want(r.send(made{producer: 1, mark: 1}), 0)
		late := r.send(made{producer: 1, seq: 2, mark: 3})
		later := r.send(made{producer: 1, seq: 3, mark: 4})
		time.Sleep(100 * time.Millisecond)
		r.want(r.send(made{producer: 1, seq: 1, mark: 2}), 1)
		r.want(late, 2)
		r.want(later, 3)
		start := time.Now()
		r.wantError(r.send(made{producer: 1, seq: 9}), metadata.CodeOutOfOrder)
		if took := time.Since(start); took < 500*time.Millisecond || took > 520*time.Millisecond {
			t.Errorf("refused after %v, want the bounded wait", took)
		}
		r.want(r.send(made{producer: 1, seq: 4}), 4)
	})
}

func TestWaitingBatchesOfOneProducerAreLimited(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		r.want(r.send(made{producer: 1}), 0)
		var acks []*Ack
		for i := range MaxWaiting {
			acks = append(acks, r.send(made{producer: 1, seq: metadata.Sequence(10 + i)}))
		}
		time.Sleep(time.Millisecond)
		start := time.Now()
		r.wantError(r.send(made{producer: 1, seq: 500}), metadata.CodeOutOfOrder)
		if took := time.Since(start); took != 0 {
			t.Errorf("the one too many waited %v", took)
		}
		for _, a := range acks {
			r.wantError(a, metadata.CodeOutOfOrder)
		}
	})
}

func TestSequenceThatWrapsStaysOneRun(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{producer: 1, seq: 1<<31 - 2, records: 4})
		b := r.send(made{producer: 1, seq: 2})
		r.want(a, 0)
		r.want(b, 4)
		es := r.applied()
		if runs := es[len(es)-1].Parts[0].Runs; len(runs) != 1 {
			t.Errorf("runs %+v", runs)
		}
	})
}

func TestRunEndsAtANewEpochAlsoWhereSequencesMeet(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{producer: 1, seq: 1<<31 - 1})
		b := r.send(made{producer: 1, epoch: 1, seq: 0})
		r.want(a, 0)
		r.want(b, 1)
		r.wantError(r.send(made{producer: 1, seq: 0}), metadata.CodeStaleEpoch)
	})
}

// A batch in an entry under way is not failed by a later object: it may be
// committed. A batch that failed is sent again, and its producer continues in
// order.
func TestFailedObjectLeavesTheEntryUnderWayAlone(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = 10 * time.Millisecond }, func(r *rig) {
		r.makeTopic(1)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			if n.Number == 2 {
				return uploadOutcome{takes: 20 * time.Millisecond, err: errBusy}
			}
			return uploadOutcome{takes: time.Millisecond}
		}
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 100 * time.Millisecond, nil }
		a := r.send(made{producer: 1, seq: 0, mark: 1})
		time.Sleep(20 * time.Millisecond) // its entry is under way
		b := r.send(made{producer: 1, seq: 1, mark: 2})
		r.wantError(b, ErrStorage)
		c := r.send(made{producer: 1, seq: 2, mark: 3})
		b = r.send(made{producer: 1, seq: 1, mark: 2})
		r.want(a, 0)
		r.want(b, 1)
		r.want(c, 2)
		if s := r.w.Stats(); s.Resubmitted != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

func TestNewEpochFollowsTheOldOneInTheBuffer(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{producer: 1})
		b := r.send(made{producer: 1, epoch: 1})
		stale := r.send(made{producer: 1, seq: 1})
		r.want(a, 0)
		r.want(b, 1)
		r.wantError(stale, metadata.CodeStaleEpoch)
	})
}

// other is a second broker on the rig's log.
func (r *rig) other() *WAL {
	first, cfg := r.w, r.cfg
	r.openSession()
	second := r.w
	r.w, r.cfg = first, cfg
	return second
}

// A producer's first batches came by another broker and land between our
// check and our commit: apply refuses our run whole. It is submitted again
// once, batch by batch: what landed is answered with its true offset, the rest
// is taken, in order.
func TestRunRefusedByARaceIsSubmittedAgainBatchByBatch(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		two := r.other()
		slow := true
		r.log.before = func(k metadata.EntryKey) (time.Duration, error) {
			if slow && k.Session == r.cfg.Session && k.Lane == metadata.LaneStandard {
				return 50 * time.Millisecond, nil
			}
			return time.Millisecond, nil
		}
		// The slot is busy with another partition's batch, so that ours share a run.
		busy := r.send(made{})
		time.Sleep(10 * time.Millisecond)
		a := r.send(made{producer: 1, seq: 0, mark: 1})
		b := r.send(made{producer: 1, seq: 1, mark: 2})
		time.Sleep(50 * time.Millisecond) // they are in an entry under way
		c := r.send(made{producer: 1, seq: 2, mark: 3})
		elsewhere, err := two.Append(context.Background(), r.batch(made{producer: 1, seq: 0, mark: 1}))
		if err != nil {
			t.Fatal(err)
		}
		r.want(elsewhere, 1)
		r.want(busy, 0)
		r.want(a, 1)
		r.want(b, 2)
		r.want(c, 3)
		if got := r.read(0); len(got) != 4 || got[1].mark != 1 || got[2].mark != 2 || got[3].mark != 3 {
			t.Errorf("read %v", got)
		}
		if s := r.w.Stats(); s.Resubmitted == 0 {
			t.Errorf("stats %+v", s)
		}
		if err := two.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestSecondRefusalIsFinal(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		r.want(r.send(made{producer: 1, epoch: 0, mark: 1}), 0)
		two := r.other()
		r.log.before = func(k metadata.EntryKey) (time.Duration, error) {
			if k.Session == r.cfg.Session {
				return 50 * time.Millisecond, nil
			}
			return time.Millisecond, nil
		}
		ours := r.send(made{producer: 1, seq: 1, mark: 2})
		time.Sleep(10 * time.Millisecond)
		// A new instance of the producer begins: sequence 0 of a new
		// epoch, to which the retry of the earlier batch does not
		// belong.
		theirs, err := two.Append(context.Background(), r.batch(made{producer: 1, epoch: 1, mark: 3}))
		if err != nil {
			t.Fatal(err)
		}
		r.want(theirs, 1)
		r.wantError(ours, metadata.CodeStaleEpoch)
		gone := r.send(made{producer: 1, epoch: 1, seq: 1, mark: 4})
		time.Sleep(10 * time.Millisecond)
		theirs, err = two.Append(context.Background(), r.batch(made{producer: 1, epoch: 1, seq: 1, records: 2, mark: 5}))
		if err != nil {
			t.Fatal(err)
		}
		r.want(theirs, 2)
		r.want(gone, 2) // the first of a larger batch: where it landed
		if got := r.read(0); len(got) != 3 {
			t.Errorf("read %v", got)
		}
		wider := r.send(made{producer: 1, epoch: 1, seq: 3, records: 3, mark: 6})
		time.Sleep(10 * time.Millisecond)
		theirs, err = two.Append(context.Background(), r.batch(made{producer: 1, epoch: 1, seq: 3, records: 2, mark: 7}))
		if err != nil {
			t.Fatal(err)
		}
		r.want(theirs, 4)
		r.wantError(wider, metadata.CodeOutOfOrder) // neither new nor a duplicate
		if s := r.w.Stats(); s.Resubmitted != 1 {
			t.Errorf("stats %+v", s)
		}
		if err := two.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// behindReplica has not applied what others have acknowledged, and cannot read
// the head.
type behindReplica struct{ Replica }

func (behindReplica) Barrier(context.Context) error { return context.DeadlineExceeded }

// A producer that receives a sequence error starts a new epoch and writes again
// what was not acknowledged: a broker that may only be behind must not send
// that error.
func TestBrokerThatIsBehindDoesNotCallASequenceMissing(t *testing.T) {
	inBubble(t, func(c *Config) {
		inlineUpTo(1 << 10)(c)
		c.Replica = behindReplica{c.Replica}
	}, func(r *rig) {
		r.makeTopic(1)
		r.want(r.send(made{producer: 1, mark: 1}), 0)
		r.wantError(r.send(made{producer: 1, seq: 2, mark: 3}), ErrUnresolvedGap)
		r.want(r.send(made{producer: 1, seq: 1, mark: 2}), 1)
	})
}

// A partition without state of a producer accepts any sequence of an id that is
// older than itself; not that of a batch whose predecessor was refused.
func TestBatchDoesNotPassARefusedOneWhereNothingIsKnown(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		var refused AppendOutcome
		refused.Refuse()
		send := func(seq metadata.Sequence, behind *AppendOutcome) (*Ack, *AppendOutcome) {
			b := r.batch(made{producer: 1, seq: seq, mark: mark(seq)})
			b.Outcome, b.Predecessor = new(AppendOutcome), behind
			ack, err := r.w.Append(context.Background(), b)
			if err != nil {
				t.Fatal(err)
			}
			return ack, b.Outcome
		}
		ack, uploadOutcome := send(4, &refused)
		r.wantError(ack, ErrUnresolvedGap)
		if !uploadOutcome.Refused() {
			t.Error("what comes behind that one may pass it")
		}
		ack, uploadOutcome = send(3, nil)
		r.want(ack, 0)
		if uploadOutcome.Refused() {
			t.Error("a batch that was taken counts as refused")
		}
		ack, _ = send(4, &refused) // the state shows now that nothing is missing
		r.want(ack, 1)
	})
}

// A batch for the former topic of that name may be sent again: the one behind
// it waits until that is decided.
func TestBatchWaitsForTheFateOfTheOneBefore(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		for producer, refused := range map[metadata.ProducerID]bool{1: true, 2: false} {
			var before AppendOutcome
			b := r.batch(made{producer: producer, seq: 4, mark: 4})
			b.Predecessor = &before
			ack, err := r.w.Append(context.Background(), b)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Millisecond)
			select {
			case <-ack.Done():
				t.Error("answered before the uploadOutcome of the one before is known")
			default:
			}
			if refused {
				before.Refuse()
				r.wantError(ack, ErrUnresolvedGap)
			} else {
				before.Settle()
				r.want(ack, 0)
			}
		}
	})
}
