package wal

import (
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// gapPoll is how often a batch that waits for a missing sequence looks
// whether it was applied meanwhile, by another broker.
const gapPoll = 10 * time.Millisecond

// tailKey names a producer on a partition.
type tailKey struct {
	tp metadata.TopicPartition
	id metadata.ProducerID
}

// tail is what is pending here of one producer on one partition: what its
// next batch is checked against before the state knows of the ones before it.
// The partition's lane owns it; it is forgotten when nothing is pending.
type tail struct {
	key     tailKey
	epoch   metadata.ProducerEpoch
	next    metadata.Sequence // after the last of live
	live    []*item           // not answered, in order
	out     int               // of them, in buffers or entries
	refused bool              // apply refused some: all wait until out is 0
	waiting []*item           // for a missing sequence, by arrival
	listed  bool              // in the lane's list of tails with waiting ones
}

func (t *tail) query(it *item) metadata.SequenceQuery {
	return metadata.SequenceQuery{Partition: it.Partition, Producer: it.Header.Producer, Epoch: it.Header.Epoch,
		First: it.Header.BaseSequence, Records: it.Header.Offsets()}
}

// verdict is what to do with a batch.
type verdict uint8

const (
	take    verdict = iota // it is next
	answer                 // with the offset and code
	attach                 // it is a retry of a pending one
	gap                    // what comes before it is missing
	passing                // what comes before it was refused and will come again
)

// intake takes one batch that arrived.
func (l *lane) intake(it *item) {
	if l.refuse != nil {
		l.answer(it, 0, l.refuse)
		return
	}
	if it.Header.Producer == metadata.NoProducer {
		l.buffer(it)
		return
	}
	key := tailKey{it.Partition, it.Header.Producer}
	t := l.tails[key]
	if t == nil {
		t = &tail{key: key}
		l.tails[key] = t
	}
	if l.place(t, it) {
		l.pump(t)
	} else if len(t.waiting) >= MaxWaiting {
		l.answer(it, 0, metadata.CodeOutOfOrder)
	} else {
		it.until = time.Now().Add(l.w.cfg.GapWait)
		t.waiting = append(t.waiting, it)
		l.w.meters.gapWaits.Add(1)
		if !t.listed {
			t.listed = true
			l.gaps = append(l.gaps, t)
		}
	}
	l.forget(t)
}

// place does with a batch what is to be done; false where it must wait.
func (l *lane) place(t *tail, it *item) bool {
	v, same, at, code := l.judge(t, it)
	switch v {
	case gap:
		return false
	case passing:
		l.answer(it, 0, ErrBehind)
	case attach:
		same.attached = append(same.attached, it)
		it.Bytes = nil
		l.w.meters.attached.Add(1)
	case answer:
		if code == metadata.CodeDuplicate {
			l.w.meters.duplicates.Add(1)
			l.answer(it, at, nil)
		} else {
			l.answer(it, 0, code)
		}
	case take:
		t.epoch, t.next = it.Header.Epoch, it.sequenceEnd()
		it.tail, it.live = t, true
		t.live = append(t.live, it)
		if t.refused {
			it.held = true // behind what is to be submitted again
			return true
		}
		t.out++
		l.buffer(it)
	}
	return true
}

// judge compares a batch with what is pending, and with the state where
// nothing pending can tell.
func (l *lane) judge(t *tail, it *item) (v verdict, same *item, at metadata.Offset, code metadata.Code) {
	if len(t.live) > 0 {
		if it.Header.Epoch == t.epoch && it.Header.BaseSequence == t.next ||
			it.Header.Epoch > t.epoch && it.Header.BaseSequence == 0 {
			return take, nil, 0, 0
		}
		for _, o := range t.live {
			if !o.answered && o.equals(it) {
				return attach, o, 0, 0
			}
		}
	}
	at, code = l.check(t.query(it))
	switch {
	case code == metadata.CodeDuplicate:
		return answer, nil, at, code
	case len(t.live) > 0 && it.Header.Epoch < t.epoch:
		return answer, nil, 0, metadata.CodeStaleEpoch
	case len(t.live) > 0:
		return gap, nil, 0, 0 // judged again when what is pending is applied
	case code == metadata.CodeOK && it.Behind.Refused() && l.hasUnverifiedGap(t.query(it)):
		return passing, nil, 0, 0
	case code == metadata.CodeOK && it.Behind.Pending() && l.hasUnverifiedGap(t.query(it)):
		return gap, nil, 0, 0 // to the topic that had the name before: judged again when that is known
	case code == metadata.CodeOK:
		return take, nil, 0, 0
	case code == metadata.CodeOutOfOrder:
		return gap, nil, 0, 0
	}
	return answer, nil, 0, code
}

// check asks the state what would become of a batch.
func (l *lane) check(q metadata.SequenceQuery) (at metadata.Offset, code metadata.Code) {
	l.w.cfg.Replica.View(func(s *metadata.State) { at, code = s.CheckSequence(q) })
	return at, code
}

// hasUnverifiedGap asks the state whether it would take a batch without knowing that
// nothing is missing before it.
func (l *lane) hasUnverifiedGap(q metadata.SequenceQuery) (leaps bool) {
	l.w.cfg.Replica.View(func(s *metadata.State) { leaps = s.UnverifiedSequenceGap(q) })
	return leaps
}

// pump lets waiting batches go whose turn it is.
func (l *lane) pump(t *tail) {
	for again := true; again; {
		again = false
		for i, it := range t.waiting {
			if l.place(t, it) {
				t.waiting = append(t.waiting[:i], t.waiting[i+1:]...)
				again = true
				break
			}
		}
	}
}

// pumpGaps looks again at all that waits for a missing sequence, and gives up
// what waited long enough. It returns when to look next.
func (l *lane) pumpGaps(now time.Time) time.Duration {
	keep := l.gaps[:0]
	var late []*item
	for _, t := range l.gaps {
		l.pump(t)
		left := t.waiting[:0]
		for _, it := range t.waiting {
			switch {
			case it.sure:
				l.answer(it, 0, l.stillMissing(t, it))
				continue
			case it.behind != nil:
				l.answer(it, 0, it.behind)
				continue
			case !it.asked && !now.Before(it.until):
				it.asked = true
				late = append(late, it)
			}
			left = append(left, it)
		}
		clear(t.waiting[len(left):])
		t.waiting = left
		if t.listed = len(t.waiting) > 0; t.listed {
			keep = append(keep, t)
		}
		l.forget(t)
	}
	clear(l.gaps[len(keep):])
	if len(late) > 0 {
		l.confirm(late)
	}
	if l.gaps = keep; len(keep) > 0 {
		return gapPoll
	}
	return noWait
}

// stillMissing is the answer to a batch that waited long enough, at a state
// that knows all that was acknowledged before: that a sequence is missing, or,
// where only what is pending here is in its way, that it may try again.
func (l *lane) stillMissing(t *tail, it *item) error {
	if _, code := l.check(t.query(it)); code != metadata.CodeOutOfOrder {
		return ErrBehind
	}
	return metadata.CodeOutOfOrder
}

// confirm finds out whether what batches wait for is missing, or only not yet
// applied here. A producer that is told of a gap begins anew and may write
// twice what it was not told of; so that is said only on the state of a
// revision read after the wait, and a broker that is behind is asked again.
func (l *lane) confirm(items []*item) {
	l.w.tasks.Go(func() {
		err := l.w.cfg.Replica.Barrier(l.w.ctx)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrBehind, err)
		}
		l.box.post(func() {
			for _, it := range items {
				it.sure, it.behind = err == nil, err
			}
		})
	})
}

// forget drops a tail of which nothing is pending.
func (l *lane) forget(t *tail) {
	if len(t.live) == 0 && len(t.waiting) == 0 && l.tails[t.key] == t {
		delete(l.tails, t.key)
	}
}

// settleTail follows an answered item in its tail.
func (l *lane) settleTail(it *item) {
	t := it.tail
	if t == nil || !it.live {
		return
	}
	it.live = false
	if !it.held {
		t.out--
	}
	n := 0
	for n < len(t.live) && t.live[n].answered {
		n++
	}
	if n > 0 {
		t.live = append(t.live[:0], t.live[n:]...)
	}
	if t.refused && t.out == 0 {
		l.retry = append(l.retry, t)
	}
	if !t.listed {
		l.forget(t)
	}
}

// refuseRun handles a run that apply found out of order, though it was not
// when it was buffered: once, all that is pending of the producer and
// partition is submitted again, batch by batch. A batch that is refused for
// the second time is answered for good.
func (l *lane) refuseRun(items []*item) {
	t := items[0].tail
	for _, it := range items {
		if it.again {
			l.answer(it, 0, metadata.CodeOutOfOrder)
			continue
		}
		it.again, it.held, it.sent = true, true, false
		t.refused = true
		t.out--
	}
	if t.refused && t.out == 0 {
		l.retry = append(l.retry, t)
	}
}

// resubmit sends refused batches again, once nothing of their producer is
// under way any more.
func (l *lane) resubmit() {
	tails := l.retry
	l.retry = nil
	for _, t := range tails {
		if !t.refused || t.out > 0 {
			continue
		}
		t.refused = false
		for _, it := range append([]*item(nil), t.live...) {
			if it.answered {
				continue
			}
			if l.refuse != nil {
				l.answer(it, 0, l.refuse)
				continue
			}
			if at, code := l.check(t.query(it)); code == metadata.CodeDuplicate {
				l.w.meters.duplicates.Add(1)
				l.answer(it, at, nil)
				continue
			}
			l.w.meters.resubmitted.Add(1)
			it.held = false
			t.out++
			l.buffer(it)
		}
	}
}

// failTail fails what is pending of a producer, but for what is in an entry
// under way: something before it is lost, so that the producer's next batch
// must be judged anew.
func (l *lane) failTail(t *tail, err error) {
	for _, it := range append([]*item(nil), t.live...) {
		if !it.sent {
			l.answer(it, 0, err)
		}
	}
	t.live = slices.DeleteFunc(t.live, func(it *item) bool { return it.answered })
	if n := len(t.live); n > 0 {
		t.epoch, t.next = t.live[n-1].Header.Epoch, t.live[n-1].sequenceEnd()
	}
}
