package metadata

import "slices"

// The commands of transactions (KIP-98, KIP-360, KIP-447, KIP-890). Any broker
// may submit them; apply decides.

// checkTxnOwner checks the producer of a request: CodeUnknownProducer where the
// transactional id does not exist or has another producer id, CodeFenced where it
// has another epoch.
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

// InitTxn assigns a transactional id its producer id and next epoch, and aborts
// the transaction under way. Outcome: Value is the producer id, Epoch its epoch;
// CodeFenced where the client has a producer id or epoch that is not the current
// one.
type InitTxn struct {
	ID       string
	Producer ProducerID // the client's current one (KIP-360); NoProducer: none
	Epoch    ProducerEpoch
	Timeout  UnixMilli // a length of time
}

// Kind implements Command.
func (InitTxn) Kind() CommandKind { return 22 }

func (c InitTxn) encode(w *writer) {
	w.writeTxnOwner(c.ID, c.Producer, c.Epoch)
	w.varint(int64(c.Timeout))
}

func decodeInitTxn(r *reader) Command {
	return InitTxn{ID: r.Text(), Producer: ProducerID(r.Varint()), Epoch: ProducerEpoch(r.Uint16()), Timeout: UnixMilli(r.Varint())}
}

func (c InitTxn) apply(s *State, _ *Entry) CommandOutcome {
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
		// After the epochs of a producer id were used up, its last epoch may
		// repeat the request.
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

// bumpTxnEpoch raises the epoch, or assigns a new producer id where its epochs
// are used up, and makes a further change.
func (s *State) bumpTxnEpoch(id string, change func(*txnState)) {
	var fresh ProducerID
	if s.txns.get(id).epoch >= maxProducerEpoch {
		fresh = s.allocateProducerID()
	}
	s.assignTxnEpoch(id, fresh, change)
}

// assignTxnEpoch assigns a transactional id its next epoch, or epoch 0 of the new
// producer id fresh where that is not 0.
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

// AddToTxn adds partitions and groups to the transaction, and begins one if none
// is under way. Outcome.Value is the transaction's start revision.
type AddToTxn struct {
	ID         string
	Producer   ProducerID
	Epoch      ProducerEpoch
	Partitions []TopicPartition
	Groups     []string
}

// Kind implements Command.
func (AddToTxn) Kind() CommandKind { return 23 }

func (c AddToTxn) encode(w *writer) {
	w.writeTxnOwner(c.ID, c.Producer, c.Epoch)
	w.writeTopicPartitions(c.Partitions)
	w.writeTextList(c.Groups)
}

func decodeAddToTxn(r *reader) Command {
	return AddToTxn{r.Text(), ProducerID(r.Varint()), ProducerEpoch(r.Uint16()), r.readTopicPartitions(), r.readTextList()}
}

func (c AddToTxn) apply(s *State, _ *Entry) CommandOutcome {
	t, out := s.checkTxnOwner(c.ID, c.Producer, c.Epoch)
	if t == nil {
		return out
	}
	if len(t.partitions)+len(c.Partitions) > s.limits.TxnParts || len(t.groups)+len(c.Groups) > MaxTxnOffsets {
		return refuse(CodeTooLarge, "%d partitions and %d groups in one transaction", len(t.partitions)+len(c.Partitions), len(t.groups)+len(c.Groups))
	}
	for i, tp := range c.Partitions {
		if !s.hasPartition(tp) {
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

// TxnOffsets stores offsets of a group that become visible with the commit, under
// the epoch of the group's slot.
type TxnOffsets struct {
	ID       string
	Producer ProducerID
	Epoch    ProducerEpoch
	Group    string
	Slot     RoleEpoch
	Implicit bool // V2: this adds the group to the transaction
	Offsets  []OffsetCommit
}

// Kind implements Command.
func (TxnOffsets) Kind() CommandKind { return 24 }

func (c TxnOffsets) encode(w *writer) {
	w.writeTxnOwner(c.ID, c.Producer, c.Epoch)
	w.text(c.Group)
	w.u64(uint64(c.Slot))
	w.flag(c.Implicit)
	w.writeOffsets(c.Offsets)
}

func decodeTxnOffsets(r *reader) Command {
	return TxnOffsets{ID: r.Text(), Producer: ProducerID(r.Varint()), Epoch: ProducerEpoch(r.Uint16()), Group: r.Text(),
		Slot: RoleEpoch(r.Uint64()), Implicit: r.Flag(), Offsets: r.readOffsets()}
}

func (c TxnOffsets) apply(s *State, _ *Entry) CommandOutcome {
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
		if !s.hasPartition(TopicPartition{c.Offsets[i].Topic, c.Offsets[i].Partition}) {
			return CommandOutcome{Code: CodeUnknownTopic, Value: int64(i)}
		}
	}
	if len(t.offsets)+len(c.Offsets) > MaxTxnOffsets {
		return refuse(CodeTooLarge, "%d offsets in one transaction", len(t.offsets)+len(c.Offsets))
	}
	if s.offsets+s.pendingOffsets+len(c.Offsets) > s.limits.GroupOffsets || s.groups.count >= s.limits.Groups && !s.groups.has(c.Group) {
		return refuse(CodeLimit, "%d offsets in one transaction, %d in all", len(t.offsets)+len(c.Offsets), s.offsets)
	}
	s.ensureGroup(c.Group) // a group exists from its first offset on, committed or not
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
