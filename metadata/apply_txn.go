package metadata

import "slices"

// checkTxnOwner checks who speaks for a transactional id: CodeUnknownProducer where
// the id or its producer id is another, CodeFenced where the epoch is.
func (s *State) checkTxnOwner(id string, producer ProducerID, epoch ProducerEpoch) (*txnState, CommandOutcome) {
	t := s.txns.get(id)
	switch {
	case t == nil || t.producer != producer:
		return nil, refuse(CodeUnknownProducer, "producer id %d is not that of transactional id %q", producer, id)
	case t.epoch != epoch:
		return nil, refuse(CodeFenced, "producer epoch %d, now %d", epoch, t.epoch)
	}
	return t, CommandOutcome{}
}

// allocateProducerID gives out a new producer id.
func (s *State) allocateProducerID() ProducerID {
	id := s.nextProducer
	s.nextProducer++
	s.recordProducerIDBlock(id)
	return id
}

func (s *State) applyInitTxn(c InitTxn) CommandOutcome {
	if c.ID == "" || len(c.ID) > MaxTxnIDBytes || c.Timeout <= 0 {
		return refuse(CodeInvalidRequest, "transactional id of %d bytes, timeout %d ms", len(c.ID), c.Timeout)
	}
	t := s.txns.get(c.ID)
	if t == nil {
		if s.txns.count >= s.limits.Txns {
			return refuse(CodeLimit, "%d transactional ids", s.txns.count)
		}
		fresh := txnState{producer: s.allocateProducerID(), previousProducer: NoProducer, lastEpoch: -1, timeout: c.Timeout, updateTime: s.time}
		s.txns.put(c.ID, fresh)
		s.txnByProducer[fresh.producer] = c.ID
		return CommandOutcome{Value: int64(fresh.producer)}
	}
	named := c.Producer != NoProducer
	if named {
		// After a roll-over the last epoch of the former id may ask again.
		again := c.Epoch == t.lastEpoch && t.status != TxnOngoing &&
			(c.Producer == t.producer || c.Producer == t.previousProducer && c.Epoch >= maxProducerEpoch)
		switch {
		case again:
			s.txns.edit(c.ID, func(t *txnState) { t.timeout, t.updateTime = c.Timeout, s.time })
			return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch}
		case c.Producer != t.producer || c.Epoch != t.epoch:
			return refuse(CodeFenced, "producer id %d of epoch %d, now %d of epoch %d", c.Producer, c.Epoch, t.producer, t.epoch)
		}
	}
	old := t.epoch
	var touched []TopicPartition
	if t.status == TxnOngoing {
		touched = s.finishTxn(c.ID, false, old+1)
	}
	s.bumpTxnEpoch(c.ID, func(t *txnState) {
		t.status, t.timeout, t.lastEpoch = TxnEmpty, c.Timeout, -1
		if named {
			t.lastEpoch = old
		}
	})
	t = s.txns.get(c.ID)
	return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch, Touched: touched}
}

// bumpTxnEpoch raises the epoch, or where the epochs are used up takes a new
// producer id, and makes a further change.
func (s *State) bumpTxnEpoch(id string, change func(*txnState)) {
	var fresh ProducerID
	if s.txns.get(id).epoch >= maxProducerEpoch {
		fresh = s.allocateProducerID()
	}
	s.assignTxnEpoch(id, fresh, change)
}

// assignTxnEpoch gives a transactional id its next epoch, or epoch 0 of a new
// producer id where fresh is not 0.
func (s *State) assignTxnEpoch(id string, fresh ProducerID, change func(*txnState)) {
	s.txns.edit(id, func(t *txnState) {
		if fresh != 0 {
			delete(s.txnByProducer, t.producer)
			s.txnByProducer[fresh] = id
			t.previousProducer, t.producer, t.epoch = t.producer, fresh, 0
		} else {
			t.epoch++
		}
		t.updateTime = s.time
		change(t)
	})
}

// beginTxn starts a transaction where none is under way.
func (s *State) beginTxn(id string, t *txnState) {
	if t.status == TxnOngoing {
		return
	}
	t.status, t.startRevision, t.startTime = TxnOngoing, s.revision, s.entryTime()
	s.ongoingTxns[id] = struct{}{}
}

func (s *State) applyAddToTxn(c AddToTxn) CommandOutcome {
	t, out := s.checkTxnOwner(c.ID, c.Producer, c.Epoch)
	if t == nil {
		return out
	}
	if len(t.partitions)+len(c.Partitions) > s.limits.TxnParts || len(t.groups)+len(c.Groups) > MaxTxnOffsets {
		return refuse(CodeTooLarge, "%d partitions and %d groups in one transaction", len(t.partitions)+len(c.Partitions), len(t.groups)+len(c.Groups))
	}
	for i, tp := range c.Partitions {
		if !s.partitions.has(tp) {
			return CommandOutcome{Code: CodeUnknownTopic, Value: int64(i)}
		}
	}
	s.txns.edit(c.ID, func(t *txnState) {
		s.beginTxn(c.ID, t)
		for _, tp := range c.Partitions {
			t.addPartition(tp)
		}
		for _, g := range c.Groups {
			if at, known := slices.BinarySearch(t.groups, g); !known {
				t.groups = slices.Insert(t.groups, at, g)
			}
		}
		t.updateTime = s.time
	})
	return CommandOutcome{Value: int64(s.txns.get(c.ID).startRevision)}
}

func (t *txnState) hasPartition(tp TopicPartition) bool {
	_, known := slices.BinarySearchFunc(t.partitions, tp, TopicPartition.Compare)
	return known
}

func (t *txnState) addPartition(tp TopicPartition) {
	if at, known := slices.BinarySearchFunc(t.partitions, tp, TopicPartition.Compare); !known {
		t.partitions = slices.Insert(t.partitions, at, tp)
	}
}

func (s *State) applyTxnOffsets(c TxnOffsets) CommandOutcome {
	if out, stale := s.checkSlotEpoch(c.Group, c.Slot); stale {
		return out
	}
	t, out := s.checkTxnOwner(c.ID, c.Producer, c.Epoch)
	if t == nil {
		return out
	}
	if !c.Implicit {
		if _, named := slices.BinarySearch(t.groups, c.Group); t.status != TxnOngoing || !named {
			return refuse(CodeTxnState, "group %q is not part of a transaction of %q", c.Group, c.ID)
		}
	}
	for i := range c.Offsets {
		if !s.partitions.has(TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}) {
			return CommandOutcome{Code: CodeUnknownTopic, Value: int64(i)}
		}
	}
	if len(t.offsets)+len(c.Offsets) > MaxTxnOffsets {
		return refuse(CodeTooLarge, "%d offsets in one transaction", len(t.offsets)+len(c.Offsets))
	}
	if s.offsets+s.pendingOffsets+len(c.Offsets) > s.limits.GroupOffsets || s.groups.count >= s.limits.Groups && !s.groups.has(c.Group) {
		return refuse(CodeLimit, "%d offsets in one transaction, %d in all", len(t.offsets)+len(c.Offsets), s.offsets)
	}
	s.ensureGroup(c.Group) // it begins with its first offset, committed or not
	s.txns.edit(c.ID, func(t *txnState) {
		s.beginTxn(c.ID, t)
		for _, o := range c.Offsets {
			at, known := t.findOffset(c.Group, TopicPartition{o.Topic, o.Partition})
			if known {
				t.offsets[at].OffsetCommit = o
				continue
			}
			t.offsets = slices.Insert(t.offsets, at, txnOffset{c.Group, o})
			s.pendingOffsets++
		}
		t.updateTime = s.time
	})
	return CommandOutcome{}
}

// checkTxnRun says whether a transactional run that is no duplicate may land.
// Runs of the newer protocol (V2, KIP-890) add their partition themselves;
// those of the older one name the start of the transaction in which they were
// received.
func (s *State) checkTxnRun(tp TopicPartition, p *partitionState, r *Run) Code {
	id, ok := s.txnByProducer[r.Producer]
	if !ok {
		return CodeUnknownProducer
	}
	t := s.txns.get(id)
	switch {
	case r.Epoch != t.epoch:
		return CodeStaleEpoch
	case r.Start != 0 && (t.status != TxnOngoing || t.startRevision != r.Start || !t.hasPartition(tp)):
		return CodeTxnState
	case len(p.openTxns) >= s.limits.PartitionOpen:
		return CodeLimit
	case len(t.partitions) >= s.limits.TxnParts && !t.hasPartition(tp):
		return CodeTooLarge
	}
	return CodeOK
}

// recordTxnRun notes an accepted transactional run: its transaction has data on
// the partition from at on.
func (s *State) recordTxnRun(tp TopicPartition, p *partitionState, r *Run, at Offset) {
	id := s.txnByProducer[r.Producer]
	if t := s.txns.get(id); t.status != TxnOngoing || !t.hasPartition(tp) {
		s.txns.edit(id, func(t *txnState) {
			s.beginTxn(id, t)
			t.addPartition(tp)
			t.updateTime = s.time
		})
	}
	if _, open := p.openTxnStart(r.Producer); !open {
		p.openTxns = append(slices.Clip(p.openTxns), OpenTxn{r.Producer, at})
	}
}
