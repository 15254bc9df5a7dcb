package metadata

import "slices"

// Limits of transactions.
const (
	MaxTxns          = 200_000 // transactional ids
	MaxTxnPartitions = 20_000  // of one transaction
	MaxTxnOffsets    = 20_000  // group offsets of one transaction
	MaxTxnIDBytes    = 4096    // of a transactional id
	MaxPartitionOpen = 10_000  // transactions open on one partition
	maxProducerEpoch = 1<<15 - 2
)

// TxnStatus is the state of a transactional id. Kafka's Prepare states do not
// exist: a transaction ends in one entry.
type TxnStatus uint8

// The states of a transactional id.
const (
	TxnEmpty     TxnStatus = iota // initialized, nothing begun
	TxnOngoing                    //
	TxnCommitted                  // the last transaction was committed
	TxnAborted                    // the last transaction was aborted
	txnStatusEnd
)

// String returns Kafka's name of the state.
func (t TxnStatus) String() string {
	return [...]string{"Empty", "Ongoing", "CompleteCommit", "CompleteAbort", "Unknown"}[min(t, txnStatusEnd)]
}

// txnState is what the state has of a transactional id.
type txnState struct {
	producer         ProducerID
	previousProducer ProducerID // the one before, whose epochs were used up; NoProducer
	epoch            ProducerEpoch
	lastEpoch        ProducerEpoch // the epoch whose owner may repeat its last request; -1: none
	status           TxnStatus
	timeout          UnixMilli
	startRevision    Revision  // at which the last transaction began
	startTime        UnixMilli // in state time
	updateTime       UnixMilli // in state time

	// Of the transaction under way:
	partitions []TopicPartition // sorted
	groups     []string         // added before their offsets (V1), sorted
	offsets    []txnOffset      // sorted by group and partition
}

// txnOffset is a group's offset that becomes visible with the commit.
type txnOffset struct {
	group string
	OffsetCommit
}

func (o *txnOffset) topicPartition() TopicPartition { return TopicPartition{o.Topic, o.Partition} }

// OpenTxn is a transaction's first offset on a partition.
type OpenTxn struct {
	Producer ProducerID
	First    Offset
}

// AbortedTxn is an aborted transaction's range on a partition: from its first
// record to its marker.
type AbortedTxn struct {
	Producer    ProducerID
	First, Last Offset
}

func cloneTxn(t txnState) txnState {
	t.partitions, t.groups, t.offsets = slices.Clone(t.partitions), slices.Clone(t.groups), slices.Clone(t.offsets)
	return t
}

func pageOfTxn(id string) uint64 { return hashSeedPage.Text(id).Sum() }

// hashTxn is a sum, so that what a run or a commit of offsets changes costs the
// same whatever else the transaction has.
func hashTxn(id string, t txnState) uint64 {
	sum := hashTxnHead(id, &t)
	for _, tp := range t.partitions {
		sum += hashTxnPartition(id, tp)
	}
	for _, g := range t.groups {
		sum += hashSeedItem.Word(itemTxn).Text(id).Text(g).Sum()
	}
	for i := range t.offsets {
		sum += hashTxnOffset(id, &t.offsets[i])
	}
	return sum
}

// hashTxnHead covers a transactional id without what its transaction has.
func hashTxnHead(id string, t *txnState) uint64 {
	return hashSeedItem.Word(itemTxn).Text(id).Word(uint64(t.producer)).Word(uint64(t.previousProducer)).
		Word(uint64(uint16(t.epoch))<<32 | uint64(uint16(t.lastEpoch))<<8 | uint64(t.status)).
		Word(uint64(t.timeout)).Word(uint64(t.startRevision)).Word(uint64(t.startTime)).Word(uint64(t.updateTime)).Sum()
}

func hashTxnPartition(id string, tp TopicPartition) uint64 {
	return hashSeedItem.Word(itemTxn).Text(id).Partition(tp).Sum()
}

func hashTxnOffset(id string, o *txnOffset) uint64 {
	return hashSeedItem.Word(itemTxn).Text(id).Word(hashOffset(o.group, o.topicPartition(), &o.OffsetCommit)).Sum()
}

// addRunPartition adds a partition with an accepted run to the transaction, which
// begins if none is under way.
func (s *State) addRunPartition(id string, tp TopicPartition) {
	t := s.txns.mutable(id)
	s.itemHashSum -= hashTxnHead(id, t)
	s.beginTxn(id, t)
	if !t.hasPartition(tp) {
		t.addPartition(tp)
		s.itemHashSum += hashTxnPartition(id, tp)
	}
	t.updateTime = s.time
	s.itemHashSum += hashTxnHead(id, t)
}

func hashAborted(tp TopicPartition, a *AbortedTxn) uint64 {
	return hashSeedItem.Word(itemAborted).Partition(tp).Word(uint64(a.Producer)).Word(uint64(a.First)).Word(uint64(a.Last)).Sum()
}

// lastStableOffset returns the last stable offset: nothing below it belongs to an
// open transaction.
func (p *partitionState) lastStableOffset() Offset {
	if len(p.openTxns) == 0 {
		return p.next
	}
	return max(p.openTxns[0].First, p.logStart)
}

func (p *partitionState) openTxnStart(id ProducerID) (Offset, bool) {
	for _, o := range p.openTxns {
		if o.Producer == id {
			return o.First, true
		}
	}
	return 0, false
}

// TxnView is what the state has of a transactional id. Do not change its lists,
// and do not keep them beyond the view.
type TxnView struct {
	ID         string
	Producer   ProducerID
	Epoch      ProducerEpoch
	Status     TxnStatus
	Timeout    UnixMilli // a length of time
	Start      Revision  // of the last transaction
	Started    UnixMilli // if one is under way
	Partitions []TopicPartition
}

func (t *txnState) view(id string) TxnView {
	return TxnView{id, t.producer, t.epoch, t.status, t.timeout, t.startRevision, t.startTime, t.partitions}
}

// Txn returns a transactional id's state.
func (s *State) Txn(id string) (TxnView, bool) {
	if t := s.txns.get(id); t != nil {
		return t.view(id), true
	}
	return TxnView{}, false
}

// TxnByProducer returns the transactional id that has this producer id now.
func (s *State) TxnByProducer(p ProducerID) (TxnView, bool) {
	id, ok := s.txnByProducer[p]
	if !ok {
		return TxnView{}, false
	}
	return s.Txn(id)
}

// Txns returns all transactional ids, sorted.
func (s *State) Txns() []string {
	out := make([]string, 0, s.txns.count)
	s.txns.each(func(id string, _ *txnState) bool { out = append(out, id); return true })
	slices.Sort(out)
	return out
}

// TimedOutTxns returns the transactions that are past their timeout, sorted by
// id, at most max.
func (s *State) TimedOutTxns(max int) (out []AbortTxn) {
	for id := range s.ongoingTxns {
		if t := s.txns.get(id); s.time >= t.startTime+t.timeout {
			out = append(out, AbortTxn{ID: id, Start: t.startRevision})
		}
	}
	slices.SortFunc(out, func(a, b AbortTxn) int { return compareStrings(a.ID, b.ID) })
	return out[:min(len(out), max)]
}

// OffsetPending reports whether a transaction under way has an offset of the
// group for the partition (KIP-447).
func (s *State) OffsetPending(group string, tp TopicPartition) bool {
	if s.pendingOffsets == 0 {
		return false
	}
	for id := range s.ongoingTxns {
		if _, found := s.txns.get(id).findOffset(group, tp); found {
			return true
		}
	}
	return false
}

func (t *txnState) findOffset(group string, tp TopicPartition) (int, bool) {
	return slices.BinarySearchFunc(t.offsets, group, func(o txnOffset, group string) int {
		if c := compareStrings(o.group, group); c != 0 {
			return c
		}
		return o.topicPartition().Compare(tp)
	})
}

// AbortedTxns appends to out the aborted transactions that have records in the
// offsets from (inclusive) to to.
func (s *State) AbortedTxns(out []AbortedTxn, tp TopicPartition, from, to Offset) []AbortedTxn {
	p := s.partition(tp)
	if p == nil {
		return out
	}
	i, _ := slices.BinarySearchFunc(p.aborted, from, func(a AbortedTxn, o Offset) int {
		if a.Last < o {
			return -1
		}
		return 1
	})
	for _, a := range p.aborted[i:] {
		if a.First < to {
			out = append(out, a)
		}
	}
	return out
}

// ActiveProducer is what a partition keeps of one producer (KIP-664).
type ActiveProducer struct {
	ID           ProducerID
	Epoch        ProducerEpoch
	LastSequence Sequence
	LastTime     UnixMilli // in state time
	TxnStart     Offset    // -1: no transaction is open here
}

// Producers returns the producers that a partition keeps, sorted by id.
func (s *State) Producers(tp TopicPartition) (out []ActiveProducer) {
	p := s.partition(tp)
	if p == nil {
		return nil
	}
	s.producers.eachInPage(producerKey{tp: tp}, func(k producerKey, v *producerState) {
		if k.tp != tp {
			return
		}
		last := v.ranges[v.rangeCount-1]
		a := ActiveProducer{k.id, v.epoch, last.first.Add(int64(last.count) - 1), v.lastTime, -1}
		if first, open := p.openTxnStart(k.id); open {
			a.TxnStart = first
		}
		out = append(out, a)
	})
	slices.SortFunc(out, func(a, b ActiveProducer) int { return int(min(max(a.ID-b.ID, -1), 1)) })
	return out
}

// Has reports whether all of the partitions are part of the transaction.
func (v *TxnView) Has(parts []TopicPartition) bool {
	for _, tp := range parts {
		if _, known := slices.BinarySearchFunc(v.Partitions, tp, TopicPartition.Compare); !known {
			return false
		}
	}
	return true
}

// TxnHash hashes a transactional id, to spread ids over brokers.
func TxnHash(id string) uint64 { return hashSeedPlace.Text(id).Sum() }
