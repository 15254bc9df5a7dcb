package metadata

import "slices"

// applyParts accepts or refuses every run of the entry, and assigns offsets to
// those that it accepts.
func (s *State) applyParts(rev Revision, e *Entry) [][]RunOutcome {
	if len(e.Parts) == 0 {
		return nil
	}
	for i := range e.Objects {
		o := &e.Objects[i]
		s.objects.put(objectKey{rev, int16(i)}, objectState{name: o.Name, size: o.Size})
	}
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
	for i := range e.Objects {
		k := objectKey{rev, int16(i)}
		if o := s.objects.get(k); o.live == 0 {
			s.objects.drop(k) // no run in it was accepted; garbage collection finds it by its session's name
		}
	}
	return out
}

func (s *State) applyPart(rev Revision, e *Entry, p *Part, out []RunOutcome) {
	tp := TopicPartition{e.Topics[p.Topic], p.Partition}
	head := s.partitions.get(tp)
	if head == nil {
		for i := range out {
			out[i] = RunOutcome{Code: CodeUnknownTopic}
		}
		return
	}
	if s.spans+len(p.Runs) > s.limits.Spans || s.objects.count > s.limits.Objects {
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
	s.addLiveBytes(objectKey{rev, int16(p.Object)}, live)
	s.storedBytes[tp.Topic] += live
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

// addSpan appends a span.
func (s *State) addSpan(tp TopicPartition, p *partitionState, sp Span) {
	room := cap(p.spans)
	if p.spans = append(p.spans, sp); cap(p.spans) != room {
		p.trimmedSpans = 0 // the new backing has no trimmed spans
	}
	s.spans++
	s.itemHashSum += hashSpan(tp, &sp)
}

// addLiveBytes adds live bytes to the object, or for inline bytes to the extent,
// that they are in; a negative number subtracts.
func (s *State) addLiveBytes(k objectKey, bytes int64) {
	if bytes == 0 {
		return
	}
	if k.index != InlineObject {
		s.objects.edit(k, func(o *objectState) { o.live += bytes })
		return
	}
	for i := range s.unarchivedExtents {
		if g := &s.unarchivedExtents[i]; k.revision >= g.first && k.revision <= g.last {
			g.inline += bytes
			return
		}
	}
	for i := len(s.archives) - 1; i >= 0; i-- {
		if a := &s.archives[i]; k.revision >= a.First && k.revision <= a.Last {
			s.editArchive(i, func(a *ArchiveRef) { a.LiveInline += bytes })
			return
		}
	}
}

// editArchive changes an archive on a copy of the list: readers and snapshots
// have the old one.
func (s *State) editArchive(i int, change func(*ArchiveRef)) {
	list := append([]ArchiveRef(nil), s.archives...)
	s.itemHashSum -= hashArchive(&list[i])
	change(&list[i])
	s.itemHashSum += hashArchive(&list[i])
	s.archives = list
}

// trimPartition raises a partition's log start and drops spans that end before
// it.
func (s *State) trimPartition(tp TopicPartition, to Offset) {
	p := s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *p)
	p.logStart = max(p.logStart, to)
	n := 0
	for n < len(p.spans) && p.spans[n].End() <= p.logStart {
		s.releaseSpan(tp, p, &p.spans[n])
		n++
	}
	p.spans, p.firstSpan = p.spans[n:], p.firstSpan+uint64(n)
	if p.trimmedSpans += n; p.trimmedSpans > len(p.spans) {
		p.spans, p.trimmedSpans = slices.Clone(p.spans), 0 // or a partition that is trimmed and then idle would keep the memory of all its spans
	}
	s.trimAborted(tp, p)
	s.itemHashSum += hashPartition(tp, *p)
}

func (s *State) releaseSpan(tp TopicPartition, p *partitionState, sp *Span) {
	s.itemHashSum -= hashSpan(tp, sp)
	s.spans--
	if sp.Marker() {
		return
	}
	p.live -= int64(sp.Length)
	s.storedBytes[tp.Topic] -= int64(sp.Length)
	if s.storedBytes[tp.Topic] == 0 {
		delete(s.storedBytes, tp.Topic)
	}
	s.addLiveBytes(objectKey{sp.Revision, sp.Object}, -int64(sp.Length))
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
