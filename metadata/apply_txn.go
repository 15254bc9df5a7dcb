package metadata

import "slices"

// ownsTxn checks who speaks for a transactional id: CodeUnknownProducer where
// the id or its producer id is another, CodeFenced where the epoch is.
func (s *State) ownsTxn(id string, producer ProducerID, epoch ProducerEpoch) (*txnState, CommandOutcome) {
	t := s.txns.get(id)
	switch {
	case t == nil || t.producer != producer:
		return nil, refuse(CodeUnknownProducer, "producer id %d is not that of transactional id %q", producer, id)
	case t.epoch != epoch:
		return nil, refuse(CodeFenced, "producer epoch %d, now %d", epoch, t.epoch)
	}
	return t, CommandOutcome{}
}

// takeProducer gives out a new producer id.
func (s *State) takeProducer() ProducerID {
	id := s.nextProducer
	s.nextProducer++
	s.noteEra(id)
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
		fresh := txnState{producer: s.takeProducer(), previous: NoProducer, last: -1, timeout: c.Timeout, updated: s.time}
		s.txns.put(c.ID, fresh)
		s.owners[fresh.producer] = c.ID
		return CommandOutcome{Value: int64(fresh.producer)}
	}
	named := c.Producer != NoProducer
	if named {
		// After a roll-over the last epoch of the former id may ask again.
		again := c.Epoch == t.last && t.status != TxnOngoing &&
			(c.Producer == t.producer || c.Producer == t.previous && c.Epoch >= lastProducerEpoch)
		switch {
		case again:
			s.txns.edit(c.ID, func(t *txnState) { t.timeout, t.updated = c.Timeout, s.time })
			return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch}
		case c.Producer != t.producer || c.Epoch != t.epoch:
			return refuse(CodeFenced, "producer id %d of epoch %d, now %d of epoch %d", c.Producer, c.Epoch, t.producer, t.epoch)
		}
	}
	old := t.epoch
	var touched []TopicPartition
	if t.status == TxnOngoing {
		touched = s.endTxn(c.ID, false, old+1)
	}
	s.bumpTxn(c.ID, func(t *txnState) {
		t.status, t.timeout, t.last = TxnEmpty, c.Timeout, -1
		if named {
			t.last = old
		}
	})
	t = s.txns.get(c.ID)
	return CommandOutcome{Value: int64(t.producer), Epoch: t.epoch, Touched: touched}
}

// bumpTxn raises the epoch, or where the epochs are used up takes a new
// producer id, and makes a further change.
func (s *State) bumpTxn(id string, change func(*txnState)) {
	var fresh ProducerID
	if s.txns.get(id).epoch >= lastProducerEpoch {
		fresh = s.takeProducer()
	}
	s.renewTxn(id, fresh, change)
}

// renewTxn gives a transactional id its next epoch, or epoch 0 of a new
// producer id where fresh is not 0.
func (s *State) renewTxn(id string, fresh ProducerID, change func(*txnState)) {
	s.txns.edit(id, func(t *txnState) {
		if fresh != 0 {
			delete(s.owners, t.producer)
			s.owners[fresh] = id
			t.previous, t.producer, t.epoch = t.producer, fresh, 0
		} else {
			t.epoch++
		}
		t.updated = s.time
		change(t)
	})
}

// beginTxn starts a transaction where none is under way.
func (s *State) beginTxn(id string, t *txnState) {
	if t.status == TxnOngoing {
		return
	}
	t.status, t.start, t.started = TxnOngoing, s.revision, s.made()
	s.ongoing[id] = struct{}{}
}

func (s *State) applyAddToTxn(c AddToTxn) CommandOutcome {
	t, out := s.ownsTxn(c.ID, c.Producer, c.Epoch)
	if t == nil {
		return out
	}
	if len(t.parts)+len(c.Partitions) > s.limits.TxnParts || len(t.groups)+len(c.Groups) > MaxTxnOffsets {
		return refuse(CodeTooLarge, "%d partitions and %d groups in one transaction", len(t.parts)+len(c.Partitions), len(t.groups)+len(c.Groups))
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
		t.updated = s.time
	})
	return CommandOutcome{Value: int64(s.txns.get(c.ID).start)}
}

func (t *txnState) has(tp TopicPartition) bool {
	_, known := slices.BinarySearchFunc(t.parts, tp, TopicPartition.Compare)
	return known
}

func (t *txnState) addPartition(tp TopicPartition) {
	if at, known := slices.BinarySearchFunc(t.parts, tp, TopicPartition.Compare); !known {
		t.parts = slices.Insert(t.parts, at, tp)
	}
}

func (s *State) applyTxnOffsets(c TxnOffsets) CommandOutcome {
	if out, stale := s.staleSlot(c.Group, c.Slot); stale {
		return out
	}
	t, out := s.ownsTxn(c.ID, c.Producer, c.Epoch)
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
	s.ownGroup(c.Group) // it begins with its first offset, committed or not
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
		t.updated = s.time
	})
	return CommandOutcome{}
}

// judgeTxnRun says whether a transactional run that is no duplicate may land.
// Runs of the newer protocol (V2, KIP-890) add their partition themselves;
// those of the older one name the start of the transaction in which they were
// received.
func (s *State) judgeTxnRun(tp TopicPartition, p *partitionState, r *Run) Code {
	id, ok := s.owners[r.Producer]
	if !ok {
		return CodeUnknownProducer
	}
	t := s.txns.get(id)
	switch {
	case r.Epoch != t.epoch:
		return CodeStaleEpoch
	case r.Start != 0 && (t.status != TxnOngoing || t.start != r.Start || !t.has(tp)):
		return CodeTxnState
	case len(p.open) >= s.limits.PartitionOpen:
		return CodeLimit
	case len(t.parts) >= s.limits.TxnParts && !t.has(tp):
		return CodeTooLarge
	}
	return CodeOK
}

// openTxnRun notes an accepted transactional run: its transaction has data on
// the partition from at on.
func (s *State) openTxnRun(tp TopicPartition, p *partitionState, r *Run, at Offset) {
	id := s.owners[r.Producer]
	if t := s.txns.get(id); t.status != TxnOngoing || !t.has(tp) {
		s.txns.edit(id, func(t *txnState) {
			s.beginTxn(id, t)
			t.addPartition(tp)
			t.updated = s.time
		})
	}
	if _, open := p.opened(r.Producer); !open {
		p.open = append(slices.Clip(p.open), OpenTxn{r.Producer, at})
	}
}
