package metadata

import "slices"

// applyParts accepts or refuses every run of the entry, and assigns offsets to
// those that it accepts.
func (s *State) applyParts(rev Revision, e *Entry) [][]RunOutcome {
	if len(e.Parts) == 0 && len(e.Objects) == 0 {
		return nil
	}
	s.scratch.resetUses(len(e.Objects))
	total := 0
	for i := range e.Parts {
		total += len(e.Parts[i].Runs)
	}
	outcomes := make([]RunOutcome, total) // one allocation for all parts
	out := make([][]RunOutcome, len(e.Parts))
	for i := range e.Parts {
		n := len(e.Parts[i].Runs)
		out[i], outcomes = outcomes[:n:n], outcomes[n:]
		s.applyPart(rev, e, &e.Parts[i], out[i])
	}
	s.recordObjects(rev, e)
	return out
}

func (s *State) applyPart(rev Revision, e *Entry, p *Part, out []RunOutcome) {
	tp := TopicPartition{e.Topics[p.Topic], p.Partition}
	if !s.hasPartition(tp) {
		for i := range out {
			out[i] = RunOutcome{Code: CodeUnknownTopic}
		}
		return
	}
	if s.spans+len(p.Runs) > s.limits.Spans || s.objects.count+len(e.Objects) > s.limits.Objects || s.garbage.rows.count >= s.limits.DeadObjects {
		for i := range out {
			out[i] = RunOutcome{Code: CodeLimit}
		}
		return
	}
	own := s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *own)
	position := p.Position
	var open Span // covers consecutive accepted runs
	var live int64
	for i := range p.Runs {
		r := &p.Runs[i]
		out[i] = s.applyRun(rev, tp, own, r)
		if out[i].Code == CodeOK {
			if open.Count == 0 {
				open = Span{First: out[i].Offset, Object: int16(p.Object), Revision: rev, Position: position, MaxTimestamp: r.MaxTimestamp}
			}
			open.Count += r.Records
			open.Length += r.Bytes
			open.MaxTimestamp = max(open.MaxTimestamp, r.MaxTimestamp)
			live += int64(r.Bytes)
		} else if open.Count > 0 {
			s.addSpan(tp, own, open)
			open = Span{}
		}
		position += int64(r.Bytes)
	}
	if open.Count > 0 {
		s.addSpan(tp, own, open)
	}
	own.live += live
	s.itemHashSum += hashPartition(tp, *own)
	if live == 0 {
		return
	}
	s.addStoredBytes(tp.Topic, live, 0)
	s.indexGrowth(tp, own)
	if p.Object == InlineObject {
		s.addInlineBytes(rev, live)
	} else {
		s.scratch.uses[p.Object].addBytes(tp.Topic, live)
	}
}

// entryUse is what the entry being applied uses of one of its objects.
type entryUse struct {
	live   int64
	shares []topicBytes
}

func (u *entryUse) addBytes(topic TopicID, bytes int64) {
	u.live += bytes
	if n := len(u.shares); n > 0 && u.shares[n-1].topic == topic {
		u.shares[n-1].bytes += bytes
		return
	}
	u.shares = append(u.shares, topicBytes{topic, bytes})
}

// resetUses makes room for the uses of an entry's objects.
func (c *scratch) resetUses(objects int) {
	if objects > len(c.uses) {
		c.uses = append(c.uses, make([]entryUse, objects-len(c.uses))...)
	}
	for i := range objects {
		c.uses[i].live, c.uses[i].shares = 0, c.uses[i].shares[:0]
	}
}

// recordObjects adds an entry's objects to the state, and buries those of which no
// run was accepted.
func (s *State) recordObjects(rev Revision, e *Entry) {
	for i := range e.Objects {
		o, use := &e.Objects[i], &s.scratch.uses[i]
		if use.live == 0 {
			s.bury(garbageState{class: ObjectWAL, name: o.Name, size: o.Size})
			continue
		}
		s.objects.put(objectKey{rev, int16(i)}, objectState{name: o.Name, size: o.Size, live: use.live, shares: slices.Clone(use.shares)})
		s.objectBytes += o.Size
	}
}

func (s *State) applyRun(rev Revision, tp TopicPartition, p *partitionState, r *Run) RunOutcome {
	if r.Producer == NoProducer {
		if r.Transactional {
			return RunOutcome{Code: CodeTxnState}
		}
		at := p.next
		p.next += Offset(r.Records)
		return RunOutcome{Offset: at}
	}
	q := SequenceQuery{tp, r.Producer, r.Epoch, r.FirstSequence, int64(r.Records)}
	key := producerKey{tp, r.Producer}
	known := s.producers.get(key)
	if known != nil {
		if at, code := known.checkSequence(q, s.recovered); code != CodeOK {
			return RunOutcome{Code: code, Offset: at}
		}
	}
	// A repeated run is a duplicate also after the end of its transaction.
	if code := s.checkTransactional(tp, p, r); code != CodeOK {
		return RunOutcome{Code: code}
	}
	if known == nil {
		if r.FirstSequence != 0 && s.mustStartAtZero(r.Producer, p.created) {
			return RunOutcome{Code: CodeOutOfOrder}
		}
		if p.producerCount >= s.limits.PartitionProducers || s.producers.count >= s.limits.Producers {
			return RunOutcome{Code: CodeLimit}
		}
		fresh := producerState{lastRevision: rev, lastTime: s.time}
		fresh.recordRun(q, p.next)
		s.producers.put(key, fresh)
		p.producerCount++
	} else {
		s.producers.edit(key, func(known *producerState) {
			known.recordRun(q, p.next)
			known.lastRevision, known.lastTime = rev, s.time
		})
	}
	at := p.next
	p.next += Offset(r.Records)
	if r.Transactional {
		s.recordTxnRun(tp, p, r, at)
	}
	return RunOutcome{Offset: at}
}

// checkTransactional refuses transactional runs without a transaction, and other
// runs of a producer that has a transaction open.
func (s *State) checkTransactional(tp TopicPartition, p *partitionState, r *Run) Code {
	if r.Transactional {
		return s.checkTxnRun(tp, p, r)
	}
	if len(p.openTxns) > 0 {
		if _, open := p.openTxnStart(r.Producer); open {
			return CodeTxnState
		}
	}
	return CodeOK
}

// spanRoom returns for how many more spans there is room when a list of n is copied:
// a quarter to a half of n, another part for each partition. Partitions that are
// written alike would otherwise all be copied by the same entry, which stops apply.
func spanRoom(tp TopicPartition, n int) int {
	room := n/4 + 4
	return room + int(pageOfPartition(tp)>>32)%room
}

// addSpan appends a span.
func (s *State) addSpan(tp TopicPartition, p *partitionState, sp Span) {
	if len(p.spans) == cap(p.spans) {
		next := make([]Span, len(p.spans), len(p.spans)+spanRoom(tp, len(p.spans)))
		copy(next, p.spans)
		p.spans, p.trimmedSpans = next, 0 // the new backing has no trimmed spans
	}
	p.spans = append(p.spans, sp)
	if len(p.spans) == 1 {
		s.indexFirstSpan(tp, p)
	}
	s.spans++
	s.itemHashSum += hashSpan(tp, &sp)
}

// trimPartition raises a partition's log start. What it has below is released at
// once if that is little, or else queued.
func (s *State) trimPartition(tp TopicPartition, to Offset) {
	p := s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *p)
	p.logStart = max(p.logStart, to)
	if !p.releasing {
		s.releaseOrQueue(tp, p)
	}
	if !p.releasing {
		s.indexFirstSpan(tp, p)
	}
	s.itemHashSum += hashPartition(tp, *p)
}

// checkTxnRun checks whether a transactional run that is no duplicate is
// accepted. Runs of the newer protocol (V2, KIP-890) add their partition to the
// transaction themselves; those of the older one have the start of the
// transaction in which they were received.
func (s *State) checkTxnRun(tp TopicPartition, p *partitionState, r *Run) Code {
	id, ok := s.txnByProducer[r.Producer]
	if !ok {
		return CodeUnknownProducer
	}
	t := s.txns.get(id)
	switch {
	case r.Epoch != t.epoch:
		return CodeStaleEpoch
	case r.TxnStart != 0 && (t.status != TxnOngoing || t.startRevision != r.TxnStart || !t.hasPartition(tp)):
		return CodeTxnState
	case len(p.openTxns) >= s.limits.PartitionOpen:
		return CodeLimit
	case len(t.partitions) >= s.limits.TxnParts && !t.hasPartition(tp):
		return CodeTooLarge
	}
	return CodeOK
}

// recordTxnRun records an accepted transactional run: its transaction has data on
// the partition from offset at on.
func (s *State) recordTxnRun(tp TopicPartition, p *partitionState, r *Run, at Offset) {
	id := s.txnByProducer[r.Producer]
	if t := s.txns.get(id); t.status != TxnOngoing || !t.hasPartition(tp) {
		s.addRunPartition(id, tp)
	}
	if _, open := p.openTxnStart(r.Producer); !open {
		p.openTxns = append(slices.Clip(p.openTxns), OpenTxn{r.Producer, at})
	}
}
