package metadata

// The commands of transactions, and their part of a checkpoint.

func (w *writer) txnOwner(id string, p ProducerID, e ProducerEpoch) {
	w.text(id)
	w.sv(int64(p))
	w.u16(uint16(e))
}

func (w *writer) initTxn(c InitTxn) {
	w.txnOwner(c.ID, c.Producer, c.Epoch)
	w.sv(int64(c.Timeout))
}

func (r *reader) initTxn() InitTxn {
	return InitTxn{ID: r.text(), Producer: ProducerID(r.sv()), Epoch: ProducerEpoch(r.u16()), Timeout: UnixMilli(r.sv())}
}

func (w *writer) addToTxn(c AddToTxn) {
	w.txnOwner(c.ID, c.Producer, c.Epoch)
	w.places(c.Partitions)
	w.list(c.Groups)
}

func (r *reader) addToTxn() AddToTxn {
	return AddToTxn{r.text(), ProducerID(r.sv()), ProducerEpoch(r.u16()), r.places(), r.list()}
}

func (w *writer) txnOffsets(c TxnOffsets) {
	w.txnOwner(c.ID, c.Producer, c.Epoch)
	w.text(c.Group)
	w.u64(uint64(c.Slot))
	w.flag(c.Implicit)
	w.offsets(c.Offsets)
}

func (r *reader) txnOffsets() TxnOffsets {
	return TxnOffsets{ID: r.text(), Producer: ProducerID(r.sv()), Epoch: ProducerEpoch(r.u16()), Group: r.text(),
		Slot: RoleEpoch(r.u64()), Implicit: r.flag(), Offsets: r.offsets()}
}

func (w *writer) endTxn(c EndTxn) {
	w.txnOwner(c.ID, c.Producer, c.Epoch)
	w.flag(c.Commit)
	w.flag(c.Bump)
	w.u64(uint64(c.Start))
}

func (r *reader) endTxn() EndTxn {
	return EndTxn{r.text(), ProducerID(r.sv()), ProducerEpoch(r.u16()), r.flag(), r.flag(), Revision(r.u64())}
}

func (w *writer) abortTxn(c AbortTxn) {
	w.text(c.ID)
	w.u64(uint64(c.Start))
	w.flag(c.Forced)
}

func (r *reader) abortTxn() AbortTxn { return AbortTxn{r.text(), Revision(r.u64()), r.flag()} }

func (w *writer) places(list []TopicPartition) {
	w.uv(uint64(len(list)))
	for _, tp := range list {
		w.raw(tp.Topic[:])
		w.uv(uint64(uint32(tp.Partition)))
	}
}

func (r *reader) places() (out []TopicPartition) {
	for range r.count(17, "partitions") {
		out = append(out, TopicPartition{r.topic(), Partition(r.upTo(1<<31-1, "partition"))})
	}
	return out
}

func (w *writer) txnItem(id string, t *txnState) {
	w.txnOwner(id, t.producer, t.epoch)
	w.sv(int64(t.previous))
	w.u16(uint16(t.last))
	w.u8(uint8(t.status))
	w.sv(int64(t.timeout))
	w.u64(uint64(t.start))
	w.u64(uint64(t.started))
	w.u64(uint64(t.updated))
	w.places(t.parts)
	w.list(t.groups)
	w.uv(uint64(len(t.offsets)))
	for i := range t.offsets {
		w.text(t.offsets[i].group)
		w.offsets([]OffsetCommit{t.offsets[i].OffsetCommit})
	}
}

func (r *reader) txnItem(s *State) {
	id := r.text()
	t := txnState{producer: ProducerID(r.sv()), epoch: ProducerEpoch(r.u16()), previous: ProducerID(r.sv()), last: ProducerEpoch(r.u16()),
		status: TxnStatus(r.upTo(uint64(txnStatusEnd)-1, "status")), timeout: UnixMilli(r.sv()), start: Revision(r.u64()),
		started: UnixMilli(r.u64()), updated: UnixMilli(r.u64()), parts: r.places(), groups: r.list()}
	for range r.count(29, "offsets") {
		group, offsets := r.text(), r.offsets()
		if len(offsets) != 1 {
			r.fail("%d offsets in the place of one", len(offsets))
			return
		}
		t.offsets = append(t.offsets, txnOffset{group, offsets[0]})
	}
	s.txns.put(id, t)
	s.owners[t.producer] = id
	s.pendingOffsets += len(t.offsets)
	if t.status == TxnOngoing {
		s.ongoing[id] = struct{}{}
	}
}

// spanObject is how a span's object is written: 0 inline, then its index in
// the entry, and beyond all indexes the kinds of markers.
func spanObject(o int16) uint64 {
	if o <= MarkerAbort {
		return uint64(MaxEntryObjects + MarkerAbort - o + 1)
	}
	return uint64(o + 1)
}

func objectOfSpan(v uint64) int16 {
	if v > MaxEntryObjects {
		return MarkerAbort + MaxEntryObjects + 1 - int16(v)
	}
	return int16(v) - 1
}

// partitionTxns is the part of a partition's item that tells its open and
// aborted transactions.
func (w *writer) partitionTxns(p *partitionState) {
	if len(p.open)+len(p.aborted) == 0 {
		return // as most are
	}
	w.uv(uint64(len(p.open)))
	for _, o := range p.open {
		w.uv(uint64(o.Producer))
		w.uv(uint64(o.First))
	}
	w.uv(uint64(len(p.aborted)))
	for _, a := range p.aborted {
		w.uv(uint64(a.Producer))
		w.uv(uint64(a.First))
		w.uv(uint64(a.Last))
	}
}

func (r *reader) partitionTxns(s *State, tp TopicPartition, p *partitionState) {
	if r.at == len(r.b) {
		return
	}
	for range r.count(2, "open transactions") {
		p.open = append(p.open, OpenTxn{ProducerID(r.uv()), Offset(r.uv())})
	}
	for range r.count(3, "aborted transactions") {
		a := AbortedTxn{ProducerID(r.uv()), Offset(r.uv()), Offset(r.uv())}
		s.sum += hashAborted(tp, &a)
		p.aborted = append(p.aborted, a)
	}
}
