package metadata

import (
	"crypto/sha256"
	"maps"
)

// State is the result of applying the log: the same on every broker at the same
// revision, bit for bit. Only Apply changes it. It has no clock, no I/O and no
// randomness, and map order has no effect on it.
//
// The replica owns it; others read it in Replica.View.
type State struct {
	revision    Revision
	extent      Extent
	entries     uint64 // applied, in total
	time        UnixMilli
	level       FeatureLevel
	itemHashSum uint64 // of the hashes of all items
	limits      Limits // not state: the same everywhere

	cluster           ClusterID // of the first session
	zones             []ZoneID  // in the order in which they appeared
	sessions          map[SessionID]*sessionState
	roles             map[string]roleState
	recovered         Revision // of the last RecoverCluster entry
	brokerIDs         map[BrokerID]brokerIDReservation
	placement         *Placement
	pastPlacements    []pastPlacement // former ones, the newest last; replaced, never changed
	pastPlacementsCut UnixMilli       // when the newest one was dropped for lack of room
	epochs            leaderEpochs

	topics        *table[TopicID, Topic]
	names         topicNames
	configs       *table[resourceName, configMap]
	partitions    *table[TopicPartition, partitionState]
	producers     *table[producerKey, producerState]
	objects       *table[objectKey, objectState]
	archives      archiveTable
	inlines       archiveTable // inline objects, by the first extent of which they have bytes
	garbage       garbageTable // dead objects
	releases      releaseQueue
	storage       storageTable     // what the bucket has of each topic
	deletedTopics deletedTopicList // their names, for the ledger
	groups        *table[string, groupState]
	txns          *table[string, txnState] // by transactional id
	members       *table[memberKey, memberState]
	ledger        *table[ledgerBucket, *ledgerCells]

	nextProducer     ProducerID
	expiry           expiryPages
	producerIDBlocks []producerIDBlock

	unarchivedExtents []unarchivedExtent // extents not archived yet, oldest first
	commitTimes       []commitTime       // oldest first
	checkpoints       []CheckpointRecord // whose objects are not dead, oldest first
	leftovers         []leftover         // what sessions that are gone may have left in the bucket, oldest first
	spans             int                // in all
	offsets           int                // committed group offsets in all

	// Derived from txns:
	txnByProducer  map[ProducerID]string // the transactional id of a producer id
	ongoingTxns    map[string]struct{}   // ids with a transaction under way
	pendingOffsets int                   // group offsets of those

	// Derived from partitions, objects, archives, garbage, releases and checkpoints:
	liveBytes         int64 // of records, of all topics
	deadBytes         int64 // in objects that no record needs any more, of all topics
	objectBytes       int64 // of objects
	archiveBytes      int64 // of archives and inline objects
	archivedInline    int64 // live inline bytes in them
	checkpointBytes   int64 // of the objects that kept checkpoints refer to
	garbageBytes      int64 // of dead objects
	deletedPartitions int   // rows of partitions of deleted topics
	retention         retentionIndex

	pressure  PressureLevel // of the log's store
	gapsMs    int64         // read-side ledger time lost with dead brokers
	next      nextLevel
	alarms    uint64
	lastAlarm string // text of the last alarm

	scratch        scratch  // of Apply; not state
	topicsRevision Revision // not state: the revision at which topics or their partitions changed last, as far as this broker has seen
	lineage        *byte    // the same in all copies of one live state
}

// Topic is a topic as created and configured. Do not change Configs.
type Topic struct {
	ID                TopicID
	Name              string
	Partitions        int32
	ReplicationFactor int16 // as requested; -1 was replaced by the default
	Created           Revision
	CreatedTime       UnixMilli
	Configs           map[string]string // only what was set
}

type resourceName struct {
	kind ResourceKind
	name string
}

type configMap map[string]string

type partitionState struct {
	created       Revision
	logStart      Offset
	next          Offset       // the high watermark
	epoch         LeaderEpoch  // as far as it is in the row (State.leaderEpoch)
	epochFrom     uint64       // the change of the placement from which on it counts
	spans         []Span       // append-only backing: a snapshot sees its own length; never changed in place
	firstSpan     uint64       // the ordinal of spans[0]: how many were trimmed so far
	trimmedSpans  int          // not state: spans in that backing that were trimmed
	live          int64        // bytes of spans
	producerCount int          // producers
	releasing     bool         // it has spans or aborted transactions below the log start, and is in the release queue
	openTxns      []OpenTxn    // by first offset; replaced, never changed in place
	aborted       []AbortedTxn // by marker; backing as of spans
}

// Span is a contiguous range of a partition's offsets and the bytes that hold
// them: the accepted runs of one part, in order. A batch's base offset is First
// plus the offsets of the batches before it.
type Span struct {
	First        Offset
	Count        uint32        // offsets
	Length       uint32        // bytes
	Object       int16         // index in its entry, InlineObject, or a marker's kind
	Epoch        ProducerEpoch // of a marker
	Revision     Revision
	Position     int64 // in the object, or in the entry's inline bytes; a marker's producer id
	MaxTimestamp UnixMilli
}

// End returns the offset after the span's last.
func (s Span) End() Offset { return s.First + Offset(s.Count) }

// Inline reports whether the bytes are in the entry itself.
func (s Span) Inline() bool { return s.Object == InlineObject }

type producerKey struct {
	tp TopicPartition
	id ProducerID
}

type objectKey struct {
	revision Revision
	index    int16
}

type objectState struct {
	name   ObjectName
	size   int64
	live   int64        // bytes that spans refer to
	shares []topicBytes // of records in it when it was committed; never changed
}

type groupState struct {
	group      *Group         // of the classic protocol, or nil
	consumer   *ConsumerGroup // of the consumer protocol, or nil; replaced, never changed
	emptySince UnixMilli      // state time when its last member left; 0: it has members, or never had
	offsets    cowMap[TopicPartition, OffsetCommit]
}

type sessionState struct {
	id              SessionID
	broker          BrokerID
	open            OpenSession
	draining        bool
	lanes           [LaneCount]LaneSeq
	usageSeq        uint64 // seq of the last usage report
	usageReportedTo UnixMilli
}

type unarchivedExtent struct {
	extent  Extent
	first   Revision
	last    Revision
	entries uint64
	inline  int64 // live inline bytes
	digest  [sha256.Size]byte
}

// NewState returns the state before the first entry.
func NewState() *State {
	s := &State{level: MinFeatureLevel, limits: DefaultLimits(), nextProducer: 1, sessions: map[SessionID]*sessionState{},
		roles: map[string]roleState{}, brokerIDs: map[BrokerID]brokerIDReservation{}, names: newTopicNames(),
		txnByProducer: map[ProducerID]string{}, ongoingTxns: map[string]struct{}{}}
	s.topics = newTable(pageOfTopic, cloneTopic, hashTopic, &s.itemHashSum)
	s.configs = newTable(pageOfResource, maps.Clone, hashConfigs, &s.itemHashSum)
	s.partitions = newTable(pageOfPartition, clonePartition, hashPartition, &s.itemHashSum)
	s.producers = newTable(pageOfProducer, cloneByValue, hashProducer, &s.itemHashSum)
	s.objects = newTable(pageOfObject, cloneByValue, hashObject, &s.itemHashSum)
	s.archives = newArchiveTable(hashArchive, &s.itemHashSum)
	s.inlines = newArchiveTable(hashInlineObject, &s.itemHashSum)
	s.garbage = newGarbageTable(&s.itemHashSum)
	s.releases = newReleaseQueue(&s.itemHashSum)
	s.storage = newStorageTable(&s.itemHashSum)
	s.deletedTopics = newDeletedTopicList(&s.itemHashSum)
	s.groups = newTable(pageOfGroup, cloneGroup, hashGroup, &s.itemHashSum)
	s.txns = newTable(pageOfTxn, cloneTxn, hashTxn, &s.itemHashSum)
	s.members = newTable(pageOfMember, cloneByValue, hashMember, &s.itemHashSum)
	s.ledger = newTable(pageOfBucket, cloneCells, nil, &s.itemHashSum)
	s.placement = newPlacement(nil, nil)
	s.retention.version = 1
	s.lineage = new(byte)
	return s
}

func cloneByValue[V any](v V) V { return v }

func cloneTopic(t Topic) Topic {
	t.Configs = maps.Clone(t.Configs)
	return t
}

// clonePartition shares the spans' backing: it only grows behind what the copy
// sees, or is trimmed by slicing.
func clonePartition(p partitionState) partitionState { return p }

func cloneGroup(g groupState) groupState {
	g.offsets = g.offsets.copyOnWrite()
	return g // group is replaced, never changed
}

func pageOfTopic(t TopicID) uint64 { return hashSeedPage.Topic(t).Sum() }
func pageOfResource(r resourceName) uint64 {
	return hashSeedPage.Word(uint64(r.kind)).Text(r.name).Sum()
}
func pageOfPartition(tp TopicPartition) uint64 { return hashSeedPage.Partition(tp).Sum() }
func pageOfProducer(k producerKey) uint64      { return pageOfPartition(k.tp) }

// pageOfObject puts the objects of neighbouring revisions on one page: they die at
// about the same time.
func pageOfObject(k objectKey) uint64 { return uint64(k.revision) >> 8 }

func pageOfGroup(name string) uint64 { return hashSeedPage.Text(name).Sum() }
