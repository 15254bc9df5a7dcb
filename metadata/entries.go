package metadata

// Limits of one entry. They bound what a follower must keep in memory and what
// etcd must replicate in one request.
const (
	MaxEntryBytes   = 1 << 20   // of an encoded entry
	MaxInlineBytes  = 96 << 10  // of record bytes inside an entry
	SealRunBytes    = 128 << 10 // of encoded runs at which a lane seals
	MaxRunRecords   = 1 << 30   // offsets in one run, so that sequence arithmetic holds
	MaxObjectBytes  = 1 << 30   // of one WAL object
	MaxEntryObjects = 1 << 10   // objects that one entry introduces
)

// Entry is one commit: what a broker appends to the log at one revision. It has
// nothing per record or per batch.
type Entry struct {
	Level   FeatureLevel
	Session SessionID
	Lane    Lane
	Seq     LaneSeq
	// Time is the writer's clock when the entry was sealed.
	Time UnixMilli
	// Route has the zones of broker, etcd member, leader and followers, to price
	// the traffic between them.
	Route Route

	Topics     []TopicID // interned: Part.Topic is an index
	Principals []string  // interned: Run.Principal is an index

	Objects []ObjectRef // introduced by this entry, named after its session
	Orphans []ObjectRef // uploaded, perhaps, but not used: billed, and garbage from here on
	Parts   []Part
	Inline  []byte // record bytes of the parts without an object

	Commands []Command
}

// Route is the zones between which an entry travelled.
type Route struct {
	Broker, Member, Leader ZoneID
	Followers              []ZoneID // one per etcd member that is not the leader
}

// ObjectRef is an object and the requests it cost.
type ObjectRef struct {
	Name ObjectName
	Size int64  // of an orphan what may be in the bucket: 0 where the store refused it
	Puts uint32 // billable PUT attempts: responses 2xx and 4xx (5xx are free)
}

// InlineObject is Part.Object of a part whose bytes are in Entry.Inline.
const InlineObject = -1

// Part is one partition's bytes of one commit: a contiguous range of an
// object or of the inline bytes, and the runs in it, in order.
type Part struct {
	Topic     int // index into Entry.Topics
	Partition Partition
	Object    int // index into Entry.Objects, or InlineObject
	Position  int64
	Length    int64
	Runs      []Run
}

// Run is a sequence of consecutive batches of one producer whose sequence
// numbers are contiguous (or of batches without producer id). It is accepted
// or refused whole.
type Run struct {
	Producer      ProducerID
	Epoch         ProducerEpoch
	FirstSequence Sequence
	Batches       uint32
	Records       uint32 // offsets used: the sum of last offset delta + 1
	Bytes         uint32
	MaxTimestamp  UnixMilli
	Principal     int // index into Entry.Principals
	Transactional bool
	// TxnStart is the revision at which the transaction began in which batches
	// of the older protocol (V1) were received; 0 otherwise.
	TxnStart Revision
}

// CommittedEntry is an entry in the log.
type CommittedEntry struct {
	Revision Revision
	Extent   Extent
	Session  SessionID
	Lane     Lane
	Seq      LaneSeq
	Bytes    []byte // the encoded entry, never changed
}

// EntryKey identifies an entry, as for its waiter.
type EntryKey struct {
	Session SessionID
	Lane    Lane
	Seq     LaneSeq
}

// Key returns the waiter key of a committed entry.
func (c *CommittedEntry) Key() EntryKey { return EntryKey{c.Session, c.Lane, c.Seq} }
