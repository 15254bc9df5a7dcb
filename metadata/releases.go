package metadata

import "slices"

// Records below a partition's log start, and those of deleted topics, are gone for
// clients at once. What the state has of them may be millions of items, and is
// released by later entries, a counted number of items in each, so that no entry
// stops apply for long: one at a time from a queue, in the order in which they were
// queued.

// trimItems is how many spans of a partition are released at once by the entry that
// trims it: those of a partition that is trimmed all the time are never queued.
const trimItems = 16

// MaxReleaseItems is how many items one ReleaseQueued command releases at most. A
// thousand take about half a millisecond.
const MaxReleaseItems = 4_000

// releaseState is what is left to release of a trimmed partition or a deleted
// topic.
type releaseState struct {
	topic      TopicID
	partition  Partition // the trimmed one, or the deleted topic's next
	partitions int32     // of a deleted topic; 0: one trimmed partition
	groupPage  int32     // where the deleted topic's partitions are gone: the next page of groups
}

// releaseQueue is the queue of releases. Ids are contiguous.
type releaseQueue struct {
	rows        *table[uint64, releaseState]
	first, next uint64
}

func newReleaseQueue(sum *uint64) releaseQueue {
	return releaseQueue{rows: newTable(pageOfRelease, cloneByValue, hashRelease, sum), first: 1, next: 1}
}

func pageOfRelease(id uint64) uint64 { return id >> 6 }

func (q *releaseQueue) push(r releaseState) {
	q.rows.put(q.next, r)
	q.next++
}

func (q *releaseQueue) snapshotQueue() releaseQueue {
	return releaseQueue{q.rows.snapshot(), q.first, q.next}
}

// QueuedReleases returns how many trimmed partitions and deleted topics wait.
func (s *State) QueuedReleases() int { return s.releases.rows.count }

// releaseQueued releases up to a number of items of the queue, and returns how many
// it did. An item is a span, an aborted transaction, a producer that was looked at,
// a committed offset that was looked at, or a row.
func (s *State) releaseQueued(items int) (done int) {
	for done < items && s.releases.first < s.releases.next {
		id := s.releases.first
		r := *s.releases.rows.get(id)
		var n int
		var finished bool
		if r.partitions == 0 {
			n, finished = s.releaseTrimmed(TopicPartition{r.topic, r.partition}, items-done)
		} else {
			n, finished = s.releaseTopic(&r, items-done)
		}
		done += n
		if finished {
			s.releases.rows.drop(id)
			s.releases.first++
		} else {
			s.releases.rows.put(id, r)
		}
	}
	return done
}

// releaseOrQueue releases what a partition has below its log start, if that is little,
// or else queues it. The caller updates the partition's hash.
func (s *State) releaseOrQueue(tp TopicPartition, p *partitionState) {
	if _, finished := s.releaseBelow(tp, p, p.logStart, trimItems); !finished {
		p.releasing = true
		s.releases.push(releaseState{topic: tp.Topic, partition: tp.Partition})
	}
}

// releaseTrimmed releases what a partition has below its log start.
func (s *State) releaseTrimmed(tp TopicPartition, items int) (done int, finished bool) {
	if !s.hasPartition(tp) {
		return 1, true // its topic was deleted meanwhile, and is further back in the queue
	}
	p := s.partitions.mutable(tp)
	s.itemHashSum -= hashPartition(tp, *p)
	done, finished = s.releaseBelow(tp, p, p.logStart, items)
	if p.releasing = !finished; finished {
		s.indexFirstSpan(tp, p)
		s.indexGrowth(tp, p)
	}
	s.itemHashSum += hashPartition(tp, *p)
	return done + 1, finished
}

// releaseBelow releases spans and aborted transactions that end before an offset.
// The caller updates the partition's hash.
func (s *State) releaseBelow(tp TopicPartition, p *partitionState, below Offset, items int) (done int, finished bool) {
	n := 0
	for n < len(p.spans) && n < items && p.spans[n].End() <= below {
		s.releaseSpan(tp, p, &p.spans[n])
		n++
	}
	p.spans, p.firstSpan = p.spans[n:], p.firstSpan+uint64(n)
	if p.trimmedSpans += n; p.trimmedSpans > len(p.spans) {
		p.spans, p.trimmedSpans = slices.Clone(p.spans), 0 // or a partition that is trimmed and then idle would keep the memory of all its spans
	}
	if len(p.spans) > 0 && p.spans[0].End() <= below {
		return n, false
	}
	done = n
	aborted := 0
	for aborted < len(p.aborted) && done < items && p.aborted[aborted].Last < below {
		s.itemHashSum -= hashAborted(tp, &p.aborted[aborted])
		aborted++
		done++
	}
	if p.aborted = p.aborted[aborted:]; aborted > len(p.aborted) {
		p.aborted = slices.Clone(p.aborted)
	}
	return done, len(p.aborted) == 0 || p.aborted[0].Last >= below
}

func (s *State) releaseSpan(tp TopicPartition, p *partitionState, sp *Span) {
	s.itemHashSum -= hashSpan(tp, sp)
	s.spans--
	if sp.Marker() {
		return
	}
	bytes := int64(sp.Length)
	p.live -= bytes
	if sp.Inline() {
		s.addStoredBytes(tp.Topic, -bytes, 0)
		s.addInlineBytes(sp.Revision, -bytes)
		return
	}
	s.addStoredBytes(tp.Topic, -bytes, bytes)
	s.releaseObjectBytes(objectKey{sp.Revision, sp.Object}, bytes)
}

// releaseObjectBytes subtracts live bytes of an object, which dies with the last of
// them.
func (s *State) releaseObjectBytes(k objectKey, bytes int64) {
	o := s.objects.get(k)
	if o == nil {
		return
	}
	if o.live > bytes {
		s.objects.edit(k, func(o *objectState) { o.live -= bytes })
		return
	}
	dead := *o
	s.objects.drop(k)
	s.objectBytes -= dead.size
	s.bury(garbageState{class: ObjectWAL, name: dead.name, size: dead.size, shares: dead.shares})
}

// releaseTopic releases the partitions of a deleted topic, and then what groups
// committed on them.
func (s *State) releaseTopic(r *releaseState, items int) (done int, finished bool) {
	for ; int32(r.partition) < r.partitions; r.partition++ {
		n, gone := s.releasePartition(TopicPartition{r.topic, r.partition}, items-done)
		if done += n; !gone || done >= items {
			if gone {
				r.partition++
			}
			return done, false
		}
	}
	for ; r.groupPage < tablePages; r.groupPage++ {
		if done >= items {
			return done, false
		}
		done += 1 + s.dropTopicOffsets(r, int(r.groupPage))
	}
	return done, true
}

// releasePartition releases what a deleted topic's partition has, and at last its
// producers and its row.
func (s *State) releasePartition(tp TopicPartition, items int) (done int, gone bool) {
	p := s.partitions.mutable(tp)
	if p == nil {
		return 1, true
	}
	s.itemHashSum -= hashPartition(tp, *p)
	done, finished := s.releaseBelow(tp, p, p.next+1, items)
	s.itemHashSum += hashPartition(tp, *p)
	if !finished || done >= items {
		return done, false
	}
	var producers []producerKey
	s.producers.eachInPage(producerKey{tp: tp}, func(k producerKey, _ *producerState) {
		done++
		if k.tp == tp {
			producers = append(producers, k)
		}
	})
	for _, k := range producers {
		s.producers.drop(k)
	}
	s.partitions.drop(tp)
	s.deletedPartitions--
	return done + 1, true
}

// dropTopicOffsets deletes what the groups of one page committed on a deleted
// topic, and returns how many offsets it looked at.
func (s *State) dropTopicOffsets(r *releaseState, page int) (looked int) {
	p := s.groups.pages[page]
	if p == nil {
		return 0
	}
	touched := map[string][]TopicPartition{}
	for name, g := range p.items.all() {
		if g.offsets.len() > int(r.partitions) {
			for i := range r.partitions {
				tp := TopicPartition{r.topic, Partition(i)}
				if g.offsets.get(tp) != nil {
					touched[name] = append(touched[name], tp)
				}
			}
			looked += int(r.partitions)
			continue
		}
		for tp := range g.offsets.all() {
			if tp.Topic == r.topic {
				touched[name] = append(touched[name], tp)
			}
		}
		looked += g.offsets.len()
	}
	for name, list := range touched {
		s.dropOffsets(name, list)
	}
	return looked
}

// partition returns a partition to read, or nil where there is none or its topic is
// deleted.
func (s *State) partition(tp TopicPartition) *partitionState {
	if s.deletedPartitions > 0 && !s.topics.has(tp.Topic) {
		return nil
	}
	return s.partitions.get(tp)
}

// hasPartition reports whether a partition exists and its topic is not deleted.
func (s *State) hasPartition(tp TopicPartition) bool { return s.partition(tp) != nil }

// ReleaseQueued releases items of the release queue, at most Items and
// MaxReleaseItems. Outcome.Value is how many it released; fewer than Items: the
// queue is empty.
type ReleaseQueued struct{ Items int }

// Kind implements Command.
func (ReleaseQueued) Kind() CommandKind { return 45 }

func (c ReleaseQueued) encode(w *writer) { w.uvarint(uint64(c.Items)) }

func decodeReleaseQueued(r *reader) Command {
	return ReleaseQueued{int(r.UvarintUpTo(MaxReleaseItems, "items"))}
}

func (c ReleaseQueued) apply(s *State, _ *Entry) CommandOutcome {
	return CommandOutcome{Value: int64(s.releaseQueued(c.Items))}
}
