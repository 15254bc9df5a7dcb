package metadata

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// Revision is a place in the cluster's total order: base + the etcd revision
// of the key that was written there (docs/design.md, I16). Zero is "before
// everything". Revisions never repeat, not even across a recovery.
type Revision int64

// Extent numbers the parts of the log that are closed and archived one after the
// other, each as one object. The first is 1.
type Extent uint64

// Incarnation numbers the etcd clusters that this zonewise cluster has used;
// recovery into an empty etcd adds one. The first is 1.
type Incarnation uint32

// SessionID names one run of one broker process: the create revision of its
// session key. Zero is no session.
type SessionID int64

// String returns the fixed-width hexadecimal form used in object and log keys.
func (s SessionID) String() string { return fmt.Sprintf("%016x", uint64(s)) }

// BrokerID is Kafka's node id, assigned when a session's open command is applied.
type BrokerID int32

// NoBroker is the absent broker id.
const NoBroker BrokerID = -1

// ZoneID is an availability zone id (use1-az1), never an account's name for
// it. Empty is the unknown zone.
type ZoneID string

// UnknownZone is the zone of a client for which there is no evidence.
const UnknownZone ZoneID = ""

// ClusterID is the cluster's UUID, as reported to Kafka's clients and tools. The
// first session of a cluster sets it, and recovery keeps it. The cluster's name
// (--cluster) separates the clusters of one etcd, and may be the same in two
// etcds.
type ClusterID [16]byte

// String returns Kafka's form: URL-safe base64 without padding, 22 characters.
func (c ClusterID) String() string { return base64.RawURLEncoding.EncodeToString(c[:]) }

// IsZero reports whether c is the absent id.
func (c ClusterID) IsZero() bool { return c == ClusterID{} }

// TopicID is a topic's UUID (KIP-516), random per creation and never reused.
type TopicID [16]byte

// String returns the 32 hexadecimal digits of the id.
func (t TopicID) String() string { return hex.EncodeToString(t[:]) }

// ParseTopicID reads what String wrote.
func ParseTopicID(s string) (t TopicID, err error) {
	if len(s) != 2*len(t) {
		return t, fmt.Errorf("parse topic id: %d characters, want %d", len(s), 2*len(t))
	}
	if _, err := hex.Decode(t[:], []byte(s)); err != nil {
		return t, fmt.Errorf("parse topic id: %w", err)
	}
	return t, nil
}

// IsZero reports whether t is the absent id.
func (t TopicID) IsZero() bool { return t == TopicID{} }

// Partition is a partition's index within its topic, from 0.
type Partition int32

// TopicPartition names one partition of one topic.
type TopicPartition struct {
	Topic     TopicID
	Partition Partition
}

// Compare orders partitions by topic id, then index; it is the order in which
// formats list them.
func (tp TopicPartition) Compare(o TopicPartition) int {
	for i := range tp.Topic {
		if tp.Topic[i] != o.Topic[i] {
			return int(tp.Topic[i]) - int(o.Topic[i])
		}
	}
	return int(tp.Partition) - int(o.Partition)
}

// Offset is a record's place in its partition.
type Offset int64

// ProducerID is the id of an idempotent producer (KIP-98).
type ProducerID int64

// NoProducer marks a batch without a producer id.
const NoProducer ProducerID = -1

// ProducerEpoch is the epoch of a producer id.
type ProducerEpoch int16

// Sequence is a producer's record sequence number on one partition; it wraps
// from 2^31-1 to 0.
type Sequence int32

// Add returns the sequence n records later, modulo 2^31.
func (s Sequence) Add(n int64) Sequence { return Sequence((int64(s) + n) & 0x7fffffff) }

// Sub returns how many records s lies after o, modulo 2^31 (0 to 2^31-1).
func (s Sequence) Sub(o Sequence) int64 { return (int64(s) - int64(o)) & 0x7fffffff }

// LeaderEpoch rises when a partition's hint moves in any zone. It is the same in
// all zones and never falls (docs/design.md, I62).
type LeaderEpoch int32

// Lane is one of a session's three independent commit sequences.
type Lane uint8

// The lanes. Control carries commands and never waits for data.
const (
	LaneControl Lane = iota
	LaneLow
	LaneStandard
	LaneCount
)

// String returns the lane's name, as in log keys.
func (l Lane) String() string {
	switch l {
	case LaneControl:
		return "control"
	case LaneLow:
		return "low"
	case LaneStandard:
		return "standard"
	}
	return fmt.Sprintf("lane-%d", uint8(l))
}

// LaneSeq numbers a session's entries within a lane, from 1, without holes.
type LaneSeq uint64

// UnixMilli is a time in milliseconds since 1970 (UTC).
type UnixMilli int64

// Slot is one of the GroupSlots parts into which group coordination is divided.
type Slot uint8

// GroupSlots is how many group slots a cluster has; it never changes.
const GroupSlots = 64

// RoleEpoch is the create revision of a role key: a later holder's is higher.
type RoleEpoch int64

// ObjectName names a WAL object: the session and lane that wrote it, a number
// that rises within the session, and the number of the attempt (a hedge is 1). It
// is never reused.
type ObjectName struct {
	Session SessionID
	Lane    Lane
	Number  uint64
	Try     uint8
}

// IsZero reports whether n is the absent name.
func (n ObjectName) IsZero() bool { return n == ObjectName{} }

// IncarnationBits is how many bits of a revision count within an incarnation:
// incarnation n's revisions begin at (n-1) << IncarnationBits.
const IncarnationBits = 40

// Incarnation returns the incarnation of a session.
func (s SessionID) Incarnation() Incarnation { return Incarnation(s>>IncarnationBits) + 1 }

// Base returns what the incarnation adds to etcd's own revisions.
func (i Incarnation) Base() Revision { return Revision(i-1) << IncarnationBits }

// Key returns the object's key below "<cluster>/": its incarnation first, then
// fixed-width hexadecimal, so that a session's objects sort by age.
func (n ObjectName) Key() string {
	return fmt.Sprintf("%d/wal/%016x/%s-%012x-%d", n.Session.Incarnation(), uint64(n.Session), n.Lane, n.Number, n.Try)
}
