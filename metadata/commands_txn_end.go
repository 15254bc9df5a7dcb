package metadata

import "slices"

// EndTxn commits or aborts a transaction. Outcome: Value and Epoch are the
// producer id and epoch to continue with.
type EndTxn struct {
	ID       string
	Producer ProducerID
	Epoch    ProducerEpoch
	Commit   bool
	Bump     bool     // V2: the epoch rises with every transaction
	Start    Revision // V1: start of the transaction that was under way when the request arrived; 0: none
}

// Kind implements Command.
func (EndTxn) Kind() CommandKind { return 25 }

func (c EndTxn) encode(w *writer) {
	w.writeTxnOwner(c.ID, c.Producer, c.Epoch)
	w.flag(c.Commit)
	w.flag(c.Bump)
	w.u64(uint64(c.Start))
}

func decodeEndTxn(r *reader) Command {
	return EndTxn{r.Text(), ProducerID(r.Varint()), ProducerEpoch(r.Uint16()), r.Flag(), r.Flag(), Revision(r.Uint64())}
}

// apply ends a transaction: it writes the marker on all its partitions and makes
// its offset commits visible, or drops them.
func (c EndTxn) apply(s *State, _ *Entry) CommandOutcome {
	t := s.txns.get(c.ID)
	if t == nil {
		return refuse(CodeUnknownProducer, "unknown transactional id %q", c.ID)
	}
	if c.Bump && s.isRepeatedEnd(t, &c) {
		if t.status == TxnCommitted && c.Commit || t.status == TxnAborted && !c.Commit {
			return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch}
		}
		if t.status == TxnEmpty || t.status == TxnOngoing {
			return refuse(CodeFenced, "producer epoch %d, now %d", c.Epoch, t.epoch)
		}
		return refuse(CodeTxnState, "the transaction has ended: %s", t.status)
	}
	if _, out := s.checkTxnOwner(c.ID, c.Producer, c.Epoch); out.Code != CodeOK {
		return out
	}
	if c.Bump {
		return s.endTxnV2(t, &c)
	}
	return s.endTxnV1(t, &c)
}

// isRepeatedEnd reports whether the request repeats the one whose response had
// the current epoch.
func (s *State) isRepeatedEnd(t *txnState, c *EndTxn) bool {
	if c.Epoch != t.lastEpoch {
		return false
	}
	return c.Producer == t.producer && c.Epoch == t.epoch-1 || c.Producer == t.previousProducer && t.epoch == 0
}

// endTxnV1 ends a transaction of the older protocol: the epoch stays.
func (s *State) endTxnV1(t *txnState, c *EndTxn) CommandOutcome {
	switch {
	case t.status == TxnCommitted && c.Commit, t.status == TxnAborted && !c.Commit:
		return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch}
	case t.status != TxnOngoing:
		return refuse(CodeTxnState, "no ongoing transaction: %s", t.status)
	case t.startRevision != c.Start:
		return refuse(CodeConcurrent, "the transaction began at revision %d, not %d", t.startRevision, c.Start)
	}
	touched := s.finishTxn(c.ID, c.Commit, t.epoch)
	s.txns.edit(c.ID, func(t *txnState) { t.updateTime = s.time })
	return CommandOutcome{Value: int64(c.Producer), Epoch: c.Epoch, Touched: touched}
}

// endTxnV2 ends a transaction of the newer protocol: the epoch rises with every
// transaction (KIP-890).
func (s *State) endTxnV2(t *txnState, c *EndTxn) CommandOutcome {
	var touched []TopicPartition
	status := TxnAborted
	switch {
	case t.status == TxnOngoing:
		touched = s.finishTxn(c.ID, c.Commit, t.epoch+1)
		status = s.txns.get(c.ID).status
	case c.Commit:
		return refuse(CodeTxnState, "no ongoing transaction: %s", t.status)
	}
	s.bumpTxnEpoch(c.ID, func(t *txnState) { t.status, t.lastEpoch = status, c.Epoch })
	t = s.txns.get(c.ID)
	return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch, Touched: touched}
}

// AbortTxn aborts the transaction that began at TxnStart if it is past its timeout
// in state time, or in any case where Forced. Its producer is fenced.
type AbortTxn struct {
	ID     string
	Start  Revision
	Forced bool
}

// Kind implements Command.
func (AbortTxn) Kind() CommandKind { return 26 }

func (c AbortTxn) encode(w *writer) {
	w.text(c.ID)
	w.u64(uint64(c.Start))
	w.flag(c.Forced)
}

func decodeAbortTxn(r *reader) Command { return AbortTxn{r.Text(), Revision(r.Uint64()), r.Flag()} }

// apply aborts the transaction and fences its producer.
func (c AbortTxn) apply(s *State, _ *Entry) CommandOutcome {
	t := s.txns.get(c.ID)
	switch {
	case t == nil || t.status != TxnOngoing || t.startRevision != c.Start:
		return refuse(CodeTxnState, "transaction of %q that began at revision %d is not ongoing", c.ID, c.Start)
	case !c.Forced && s.time < t.startTime+t.timeout:
		return refuse(CodeTxnState, "transaction of %q has %d ms left", c.ID, t.startTime+t.timeout-s.time)
	}
	touched := s.finishTxn(c.ID, false, t.epoch+1)
	s.bumpTxnEpoch(c.ID, func(t *txnState) { t.lastEpoch = -1 })
	return CommandOutcome{Touched: touched}
}

// finishTxn writes the marker on every partition that still exists, and commits
// or drops the offsets. epoch is the marker's; the caller sets that of the
// transactional id.
func (s *State) finishTxn(id string, commit bool, epoch ProducerEpoch) []TopicPartition {
	t := s.txns.get(id)
	parts, offsets, producer := t.partitions, t.offsets, t.producer
	for _, tp := range parts {
		s.appendMarker(tp, Span{Count: 1, Length: MarkerSize, Object: markerKind(commit), Revision: s.revision,
			Position: int64(producer), Epoch: epoch, MaxTimestamp: s.entryTime()})
	}
	s.pendingOffsets -= len(offsets)
	if commit {
		for i := range offsets {
			if o := &offsets[i]; s.hasPartition(o.topicPartition()) {
				s.storeOffset(o.group, o.OffsetCommit)
			}
		}
	}
	delete(s.ongoingTxns, id)
	s.txns.edit(id, func(t *txnState) {
		t.partitions, t.groups, t.offsets = nil, nil, nil
		if t.status = TxnAborted; commit {
			t.status = TxnCommitted
		}
	})
	return parts
}

func markerKind(commit bool) int16 {
	if commit {
		return MarkerCommit
	}
	return MarkerAbort
}

func (s *State) appendMarker(tp TopicPartition, marker Span) {
	if !s.hasPartition(tp) {
		return // deleted meanwhile
	}
	p := s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *p)
	marker.First = p.next
	p.next++
	s.addSpan(tp, p, marker)
	producer := ProducerID(marker.Position)
	if first, open := p.openTxnStart(producer); open {
		p.openTxns = slices.DeleteFunc(slices.Clone(p.openTxns), func(o OpenTxn) bool { return o.Producer == producer })
		if marker.Object == MarkerAbort {
			a := AbortedTxn{producer, first, marker.First}
			p.aborted = append(p.aborted, a)
			s.itemHashSum += hashAborted(tp, &a)
		}
	}
	s.itemHashSum += hashPartition(tp, *p)
}

// abortTxnsOfLostTail aborts every transaction, as part of it may be in the lost
// tail, and assigns every transactional id a new producer id: epochs that the
// tail assigned are never assigned again.
func (s *State) abortTxnsOfLostTail() {
	for _, id := range s.Txns() {
		if t := s.txns.get(id); t.status == TxnOngoing {
			s.finishTxn(id, false, t.epoch+1)
		}
		s.assignTxnEpoch(id, s.allocateProducerID(), func(t *txnState) { t.lastEpoch = -1 })
	}
}
