package metadata

// Transactions in a checkpoint.

func (w *writer) writeTxnOwner(id string, p ProducerID, e ProducerEpoch) {
	w.text(id)
	w.varint(int64(p))
	w.u16(uint16(e))
}

func (w *writer) writeTxnItem(id string, t *txnState) {
	w.writeTxnOwner(id, t.producer, t.epoch)
	w.varint(int64(t.previousProducer))
	w.u16(uint16(t.lastEpoch))
	w.u8(uint8(t.status))
	w.varint(int64(t.timeout))
	w.u64(uint64(t.startRevision))
	w.u64(uint64(t.startTime))
	w.u64(uint64(t.updateTime))
	w.writeTopicPartitions(t.partitions)
	w.writeTextList(t.groups)
	w.uvarint(uint64(len(t.offsets)))
	for i := range t.offsets {
		w.text(t.offsets[i].group)
		w.writeOffsets([]OffsetCommit{t.offsets[i].OffsetCommit})
	}
}

func (r *reader) readTxnItem(s *State) {
	id := r.Text()
	t := txnState{producer: ProducerID(r.Varint()), epoch: ProducerEpoch(r.Uint16()), previousProducer: ProducerID(r.Varint()), lastEpoch: ProducerEpoch(r.Uint16()),
		status: TxnStatus(r.UvarintUpTo(uint64(txnStatusEnd)-1, "status")), timeout: UnixMilli(r.Varint()), startRevision: Revision(r.Uint64()),
		startTime: UnixMilli(r.Uint64()), updateTime: UnixMilli(r.Uint64()), partitions: r.readTopicPartitions(), groups: r.readTextList()}
	for range r.Count(29, "offsets") {
		group, offsets := r.Text(), r.readOffsets()
		if len(offsets) != 1 {
			r.Fail("%d offsets, want one", len(offsets))
			return
		}
		t.offsets = append(t.offsets, txnOffset{group, offsets[0]})
	}
	s.txns.put(id, t)
	s.txnByProducer[t.producer] = id
	s.pendingOffsets += len(t.offsets)
	if t.status == TxnOngoing {
		s.ongoingTxns[id] = struct{}{}
	}
}

// encodeSpanObject encodes a span's object: 0 for inline, then its index in the
// entry plus 1, and beyond all indexes the kinds of markers.
func encodeSpanObject(o int16) uint64 {
	if o <= MarkerAbort {
		return uint64(MaxEntryObjects + MarkerAbort - o + 1)
	}
	return uint64(o + 1)
}

func decodeSpanObject(v uint64) int16 {
	if v > MaxEntryObjects {
		return MarkerAbort + MaxEntryObjects + 1 - int16(v)
	}
	return int16(v) - 1
}

// writePartitionTxns writes a partition's open and aborted transactions.
func (w *writer) writePartitionTxns(p *partitionState) {
	if len(p.openTxns)+len(p.aborted) == 0 {
		return // as in most partitions
	}
	w.uvarint(uint64(len(p.openTxns)))
	for _, o := range p.openTxns {
		w.uvarint(uint64(o.Producer))
		w.uvarint(uint64(o.First))
	}
	w.uvarint(uint64(len(p.aborted)))
	for _, a := range p.aborted {
		w.uvarint(uint64(a.Producer))
		w.uvarint(uint64(a.First))
		w.uvarint(uint64(a.Last))
	}
}

func (r *reader) readPartitionTxns(s *State, tp TopicPartition, p *partitionState) {
	if r.Remaining() == 0 {
		return
	}
	for range r.Count(2, "open transactions") {
		p.openTxns = append(p.openTxns, OpenTxn{ProducerID(r.Uvarint()), Offset(r.Uvarint())})
	}
	for range r.Count(3, "aborted transactions") {
		a := AbortedTxn{ProducerID(r.Uvarint()), Offset(r.Uvarint()), Offset(r.Uvarint())}
		s.itemHashSum += hashAborted(tp, &a)
		p.aborted = append(p.aborted, a)
	}
}
