package wal

import (
	"fmt"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// gapPoll is how often a batch that waits for a missing sequence is checked
// against the state: another broker's entry may have applied it.
const gapPoll = 10 * time.Millisecond

// producerKey names a producer on a partition.
type producerKey struct {
	tp metadata.TopicPartition
	id metadata.ProducerID
}

// producerQueue is what is pending here of one producer on one partition. The
// producer's next batch is checked against it before the state has the ones
// before it. The partition's lane owns it; it is dropped when nothing is
// pending.
type producerQueue struct {
	key          producerKey
	epoch        metadata.ProducerEpoch
	nextSequence metadata.Sequence // after the last of unanswered
	unanswered   []*pendingBatch   // not answered, in order
	inFlight     int               // of them, in buffers or entries
	resubmitting bool              // apply refused some: all wait until inFlight is 0
	awaitingGap  []*pendingBatch   // for a missing sequence, by arrival
	inGapQueues  bool              // in the lane's gapQueues
}

func (t *producerQueue) sequenceQuery(it *pendingBatch) metadata.SequenceQuery {
	return metadata.SequenceQuery{Partition: it.Partition, Producer: it.Header.Producer, Epoch: it.Header.Epoch,
		First: it.Header.BaseSequence, Records: it.Header.Offsets()}
}

// batchVerdict is what to do with a batch.
type batchVerdict uint8

const (
	verdictAccept        batchVerdict = iota // it is next
	verdictAnswer                            // with the offset and code
	verdictAttach                            // it is a retry of a pending one
	verdictWait                              // what comes before it is missing
	verdictBehindRefused                     // what comes before it was refused and will come again
)

// receiveBatch takes one batch that arrived.
func (l *lane) receiveBatch(it *pendingBatch) {
	if l.refuseErr != nil {
		l.answerBatch(it, 0, l.refuseErr)
		return
	}
	if it.Header.Producer == metadata.NoProducer {
		l.bufferBatch(it)
		return
	}
	key := producerKey{it.Partition, it.Header.Producer}
	t := l.producers[key]
	if t == nil {
		t = &producerQueue{key: key}
		l.producers[key] = t
	}
	if l.placeBatch(t, it) {
		l.placeWaiting(t)
	} else if len(t.awaitingGap) >= MaxWaiting {
		l.answerBatch(it, 0, metadata.CodeOutOfOrder)
	} else {
		it.gapDeadline = time.Now().Add(l.w.cfg.GapWait)
		t.awaitingGap = append(t.awaitingGap, it)
		l.w.meters.gapWaits.Add(1)
		if !t.inGapQueues {
			t.inGapQueues = true
			l.gapQueues = append(l.gapQueues, t)
		}
	}
	l.dropEmptyQueue(t)
}

// placeBatch handles a batch by its verdict; false where it must wait.
func (l *lane) placeBatch(t *producerQueue, it *pendingBatch) bool {
	v, same, at, code := l.judgeBatch(t, it)
	switch v {
	case verdictWait:
		return false
	case verdictBehindRefused:
		l.answerBatch(it, 0, ErrUnresolvedGap)
	case verdictAttach:
		same.retries = append(same.retries, it)
		it.Bytes = nil
		l.w.meters.attached.Add(1)
	case verdictAnswer:
		if code == metadata.CodeDuplicate {
			l.w.meters.duplicates.Add(1)
			l.answerBatch(it, at, nil)
		} else {
			l.answerBatch(it, 0, code)
		}
	case verdictAccept:
		t.epoch, t.nextSequence = it.Header.Epoch, it.sequenceEnd()
		it.queue, it.queued = t, true
		t.unanswered = append(t.unanswered, it)
		if t.resubmitting {
			it.awaitsResubmit = true // behind a batch that is submitted again
			return true
		}
		t.inFlight++
		l.bufferBatch(it)
	}
	return true
}

// judgeBatch compares a batch with what is pending, and with the state where
// nothing is pending.
func (l *lane) judgeBatch(t *producerQueue, it *pendingBatch) (v batchVerdict, same *pendingBatch, at metadata.Offset, code metadata.Code) {
	if len(t.unanswered) > 0 {
		if it.Header.Epoch == t.epoch && it.Header.BaseSequence == t.nextSequence ||
			it.Header.Epoch > t.epoch && it.Header.BaseSequence == 0 {
			return verdictAccept, nil, 0, 0
		}
		for _, o := range t.unanswered {
			if !o.answered && o.sameBatch(it) {
				return verdictAttach, o, 0, 0
			}
		}
	}
	at, code = l.checkSequence(t.sequenceQuery(it))
	switch {
	case code == metadata.CodeDuplicate:
		return verdictAnswer, nil, at, code
	case len(t.unanswered) > 0 && it.Header.Epoch < t.epoch:
		return verdictAnswer, nil, 0, metadata.CodeStaleEpoch
	case len(t.unanswered) > 0:
		return verdictWait, nil, 0, 0 // judged again when what is pending is applied
	case code == metadata.CodeOK && it.Predecessor.Refused() && l.hasUnverifiedGap(t.sequenceQuery(it)):
		return verdictBehindRefused, nil, 0, 0
	case code == metadata.CodeOK && it.Predecessor.Pending() && l.hasUnverifiedGap(t.sequenceQuery(it)):
		return verdictWait, nil, 0, 0 // to the topic that had the name before: judged again when that is known
	case code == metadata.CodeOK:
		return verdictAccept, nil, 0, 0
	case code == metadata.CodeOutOfOrder:
		return verdictWait, nil, 0, 0
	}
	return verdictAnswer, nil, 0, code
}

// checkSequence returns what the state would do with a batch.
func (l *lane) checkSequence(q metadata.SequenceQuery) (at metadata.Offset, code metadata.Code) {
	l.w.cfg.Replica.View(func(s *metadata.State) { at, code = s.CheckSequence(q) })
	return at, code
}

// hasUnverifiedGap reports whether the state would accept a batch without
// evidence that nothing is missing before it.
func (l *lane) hasUnverifiedGap(q metadata.SequenceQuery) (gap bool) {
	l.w.cfg.Replica.View(func(s *metadata.State) { gap = s.UnverifiedSequenceGap(q) })
	return gap
}

// placeWaiting places waiting batches that are next.
func (l *lane) placeWaiting(t *producerQueue) {
	for again := true; again; {
		again = false
		for i, it := range t.awaitingGap {
			if l.placeBatch(t, it) {
				t.awaitingGap = append(t.awaitingGap[:i], t.awaitingGap[i+1:]...)
				again = true
				break
			}
		}
	}
}

// recheckGaps checks all that waits for a missing sequence, and fails what
// waited long enough. It returns when to check next.
func (l *lane) recheckGaps(now time.Time) time.Duration {
	keep := l.gapQueues[:0]
	var late []*pendingBatch
	for _, t := range l.gapQueues {
		l.placeWaiting(t)
		left := t.awaitingGap[:0]
		for _, it := range t.awaitingGap {
			switch {
			case it.barrierPassed:
				l.answerBatch(it, 0, l.gapError(t, it))
				continue
			case it.barrierErr != nil:
				l.answerBatch(it, 0, it.barrierErr)
				continue
			case !it.barrierStarted && !now.Before(it.gapDeadline):
				it.barrierStarted = true
				late = append(late, it)
			}
			left = append(left, it)
		}
		clear(t.awaitingGap[len(left):])
		t.awaitingGap = left
		if t.inGapQueues = len(t.awaitingGap) > 0; t.inGapQueues {
			keep = append(keep, t)
		}
		l.dropEmptyQueue(t)
	}
	clear(l.gapQueues[len(keep):])
	if len(late) > 0 {
		l.confirmGaps(late)
	}
	if l.gapQueues = keep; len(keep) > 0 {
		return gapPoll
	}
	return noWait
}

// gapError is the answer to a batch that waited long enough, at a state that
// has all that was acknowledged before: that a sequence is missing, or, where
// only batches pending here are in its way, a retriable error.
func (l *lane) gapError(t *producerQueue, it *pendingBatch) error {
	if _, code := l.checkSequence(t.sequenceQuery(it)); code != metadata.CodeOutOfOrder {
		return ErrUnresolvedGap
	}
	return metadata.CodeOutOfOrder
}

// confirmGaps determines whether the sequence that batches wait for is missing,
// or only not yet applied here. A producer that receives a sequence error
// starts a new epoch and may write again what was not acknowledged, so the
// error is sent only on the state of a revision read after the wait; a broker
// that is behind reads again.
func (l *lane) confirmGaps(items []*pendingBatch) {
	l.w.tasks.Go(func() {
		err := l.w.cfg.Replica.Barrier(l.w.ctx)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrUnresolvedGap, err)
		}
		l.box.postCall(func() {
			for _, it := range items {
				it.barrierPassed, it.barrierErr = err == nil, err
			}
		})
	})
}

// dropEmptyQueue drops a queue without pending batches.
func (l *lane) dropEmptyQueue(t *producerQueue) {
	if len(t.unanswered) == 0 && len(t.awaitingGap) == 0 && l.producers[t.key] == t {
		delete(l.producers, t.key)
	}
}

// removeFromQueue removes an answered batch from its queue.
func (l *lane) removeFromQueue(it *pendingBatch) {
	t := it.queue
	if t == nil || !it.queued {
		return
	}
	it.queued = false
	if !it.awaitsResubmit {
		t.inFlight--
	}
	n := 0
	for n < len(t.unanswered) && t.unanswered[n].answered {
		n++
	}
	if n > 0 {
		t.unanswered = append(t.unanswered[:0], t.unanswered[n:]...)
	}
	if t.resubmitting && t.inFlight == 0 {
		l.resubmitQueues = append(l.resubmitQueues, t)
	}
	if !t.inGapQueues {
		l.dropEmptyQueue(t)
	}
}

// handleRefusedRun handles a run that apply found out of order, though it was
// in order when it was buffered: once, all that is pending of the producer and
// partition is submitted again, batch by batch. A batch that is refused a
// second time fails.
func (l *lane) handleRefusedRun(items []*pendingBatch) {
	t := items[0].queue
	for _, it := range items {
		if it.resubmitted {
			l.answerBatch(it, 0, metadata.CodeOutOfOrder)
			continue
		}
		it.resubmitted, it.awaitsResubmit, it.inEntry = true, true, false
		t.resubmitting = true
		t.inFlight--
	}
	if t.resubmitting && t.inFlight == 0 {
		l.resubmitQueues = append(l.resubmitQueues, t)
	}
}

// resubmitRefused submits refused batches again, once nothing of their producer
// is under way any more.
func (l *lane) resubmitRefused() {
	tails := l.resubmitQueues
	l.resubmitQueues = nil
	for _, t := range tails {
		if !t.resubmitting || t.inFlight > 0 {
			continue
		}
		t.resubmitting = false
		for _, it := range append([]*pendingBatch(nil), t.unanswered...) {
			if it.answered {
				continue
			}
			if l.refuseErr != nil {
				l.answerBatch(it, 0, l.refuseErr)
				continue
			}
			if at, code := l.checkSequence(t.sequenceQuery(it)); code == metadata.CodeDuplicate {
				l.w.meters.duplicates.Add(1)
				l.answerBatch(it, at, nil)
				continue
			}
			l.w.meters.resubmitted.Add(1)
			it.awaitsResubmit = false
			t.inFlight++
			l.bufferBatch(it)
		}
	}
}

// failQueue fails what is pending of a producer, except in an entry under way:
// something before it is lost, so that the producer's next batch must be judged
// anew.
func (l *lane) failQueue(t *producerQueue, err error) {
	for _, it := range append([]*pendingBatch(nil), t.unanswered...) {
		if !it.inEntry {
			l.answerBatch(it, 0, err)
		}
	}
	t.unanswered = slices.DeleteFunc(t.unanswered, func(it *pendingBatch) bool { return it.answered })
	if n := len(t.unanswered); n > 0 {
		t.epoch, t.nextSequence = t.unanswered[n-1].Header.Epoch, t.unanswered[n-1].sequenceEnd()
	}
}
