package metadata

// Command is a part of an entry that needs no record bytes. Each is one
// struct below; the codec knows them by their kind.
type Command interface{ Kind() CommandKind }

// CommandKind is a command's tag in the encoding. Numbers are for ever.
type CommandKind uint8

// The command kinds.
const (
	KindOpenSession CommandKind = iota + 1
	KindCloseSession
	KindDrainSession
	KindClaimRole
	KindTick
	KindAcceptArchive
	KindRaiseLevel
	KindCreateTopic
	KindDeleteTopic
	KindCreatePartitions
	KindSetConfigs
	KindTrimPartition
	KindAllocateProducers
	KindCommitOffsets
	KindPutGroup
	KindDeleteGroup
	KindDeleteOffsets
	KindUsage
	KindRecoverCluster
	KindMark
	KindPressure
	KindInitTxn
	KindAddToTxn
	KindTxnOffsets
	KindEndTxn
	KindAbortTxn
)

// Address is where a session can be reached.
type Address struct {
	Host string
	Port int32
}

// OpenSession makes a session known to the state and gives it a broker id:
// the one asked for, or the lowest that no open session has. It is the first
// entry of its session's control lane. Outcome.Value is the broker id.
type OpenSession struct {
	Want  BrokerID // NoBroker: any
	Zone  ZoneID
	Kafka Address // the port for clients without a zone; zone k is at + 1 + k
	// ZonePorts, where not empty, gives this broker's port for clients of the
	// cluster's k-th zone instead of the rule above (zonewise dev).
	ZonePorts []int32
	Peer      string // host:port of the broker-to-broker door
	HTTP      string // host:port of pages, API and metrics
	Version   string
	MinLevel  FeatureLevel
	MaxLevel  FeatureLevel
	// Cluster is the id for a cluster that has none yet, by chance; the first
	// session's holds. Zero: none is offered.
	Cluster ClusterID
}

// CloseSession forgets a session. Its entry is guarded by the absence of the
// session's key.
type CloseSession struct{ Session SessionID }

// DrainSession takes the entry's own session out of the placement.
type DrainSession struct{}

// ClaimRole begins the work of an epoch-bearing duty (a group slot). Its entry is
// guarded by the duty's key. Entries of an older epoch are refused.
type ClaimRole struct {
	Role  string
	Epoch RoleEpoch
}

// Tick moves state time to To, by MaxTickStep at most.
type Tick struct{ To UnixMilli }

// MaxTickStep is the most that one tick moves state time.
const MaxTickStep UnixMilli = 60_000

// AcceptArchive says that a closed generation lies in the bucket. Apply accepts
// only the next generation, and only when Digest is what it computed itself.
type AcceptArchive struct {
	Extent      Extent
	Object      string // key below "<cluster>/"
	First, Last Revision
	Entries     uint64
	Bytes       int64 // of the object
	Digest      [32]byte
}

// RaiseLevel raises the feature level; refused unless every open session
// understands it.
type RaiseLevel struct{ To FeatureLevel }

// CreateTopic makes a topic. Outcome: CodeTopicExists, CodeInvalid...
type CreateTopic struct {
	ID                TopicID
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Configs           map[string]string // only what was set
}

// DeleteTopic forgets a topic and its bytes.
type DeleteTopic struct{ ID TopicID }

// CreatePartitions raises a topic's partition count.
type CreatePartitions struct {
	ID    TopicID
	Count int32
}

// ResourceKind says whose configs SetConfigs changes.
type ResourceKind uint8

// The resources with configs.
const (
	ResourceFeatures ResourceKind = 1 // of the cluster; its only name is empty
	ResourceTopic    ResourceKind = 2
	ResourceBroker   ResourceKind = 4
	ResourceGroup    ResourceKind = 32
	ResourceMetrics  ResourceKind = 16
)

// SetConfigs sets and deletes configs of one resource, which is named by the
// topic's id in hexadecimal, a broker id, or empty for all brokers.
type SetConfigs struct {
	Resource ResourceKind
	Name     string
	Set      map[string]string
	Delete   []string
}

// TrimPartition raises a partition's log start (DeleteRecords). Outcome.Value
// is the log start afterwards.
type TrimPartition struct {
	Topic     TopicID
	Partition Partition
	LogStart  Offset // -1: the high watermark
}

// AllocateProducers gives out Count producer ids; Outcome.Value is the first.
type AllocateProducers struct{ Count int32 }

// OffsetCommit is one committed position of a group.
type OffsetCommit struct {
	Topic       TopicID
	Partition   Partition
	Offset      Offset
	LeaderEpoch LeaderEpoch
	Metadata    string
	Time        UnixMilli // the coordinator's clock, for display
}

// CommitOffsets stores positions of a group under the epoch of the slot that
// coordinates it.
type CommitOffsets struct {
	Group   string
	Epoch   RoleEpoch
	Offsets []OffsetCommit
}

// GroupMember is one member of a stored group. Protocols holds the one that was
// chosen; of older brokers' groups, all that the member spoke.
type GroupMember struct {
	ID, InstanceID, ClientID, ClientHost string
	SessionTimeoutMs, RebalanceTimeoutMs int32
	Protocols                            []GroupProtocol
	Assignment                           []byte
}

// GroupProtocol is a protocol a member can speak, with its metadata bytes as
// the member sent them.
type GroupProtocol struct {
	Name     string
	Metadata []byte
}

// Group is what outlives a coordinator: enough for the next one to continue
// without a rebalance.
type Group struct {
	Name         string
	ProtocolType string
	Protocol     string
	Leader       string
	Generation   int32
	Members      []GroupMember
}

// PutGroup stores a group's membership under its slot's epoch.
type PutGroup struct {
	Epoch RoleEpoch
	Group Group
}

// DeleteGroup forgets a group and its offsets.
type DeleteGroup struct {
	Epoch RoleEpoch
	Name  string
}

// DeleteOffsets forgets positions of a group.
type DeleteOffsets struct {
	Group      string
	Epoch      RoleEpoch
	Partitions []TopicPartition
}

// Usage is the read side of the cost ledger since the session's last one.
// Seq counts a session's usage reports from 1, so that a repeat counts once.
type Usage struct {
	Seq      uint64
	From, To UnixMilli // the broker's clock; the same: more of this time follows
	Cells    []Cell
	Final    bool // the session ends here: nothing after it is lost
}

// RecoverCluster is the first entry after a recovery into an empty etcd: it closes
// every earlier session, and jumps producer ids and leader epochs past all
// that the lost tail may have given out.
type RecoverCluster struct{ Incarnation Incarnation }

// Mark asks every broker to publish its state's hash at this entry's revision;
// the holder of the checkpoint duty writes the state as it is here.
type Mark struct{}

// Pressure says how full the log's store is, so that every broker holds back
// alike. The archive duty writes it when it changes.
type Pressure struct{ Level PressureLevel }

// PressureLevel is what a full store makes brokers refrain from.
type PressureLevel uint8

// The levels.
const (
	PressureNone      PressureLevel = iota
	PressureNoInline                // above 40 % of the quota: record bytes go to objects
	PressureNoAppends               // above 60 %: no data; sessions, ticks and archives go on
)

// Kind implements Command.
func (OpenSession) Kind() CommandKind       { return KindOpenSession }
func (CloseSession) Kind() CommandKind      { return KindCloseSession }
func (DrainSession) Kind() CommandKind      { return KindDrainSession }
func (ClaimRole) Kind() CommandKind         { return KindClaimRole }
func (Tick) Kind() CommandKind              { return KindTick }
func (AcceptArchive) Kind() CommandKind     { return KindAcceptArchive }
func (RaiseLevel) Kind() CommandKind        { return KindRaiseLevel }
func (CreateTopic) Kind() CommandKind       { return KindCreateTopic }
func (DeleteTopic) Kind() CommandKind       { return KindDeleteTopic }
func (CreatePartitions) Kind() CommandKind  { return KindCreatePartitions }
func (SetConfigs) Kind() CommandKind        { return KindSetConfigs }
func (TrimPartition) Kind() CommandKind     { return KindTrimPartition }
func (AllocateProducers) Kind() CommandKind { return KindAllocateProducers }
func (CommitOffsets) Kind() CommandKind     { return KindCommitOffsets }
func (PutGroup) Kind() CommandKind          { return KindPutGroup }
func (DeleteGroup) Kind() CommandKind       { return KindDeleteGroup }
func (DeleteOffsets) Kind() CommandKind     { return KindDeleteOffsets }
func (Usage) Kind() CommandKind             { return KindUsage }
func (RecoverCluster) Kind() CommandKind    { return KindRecoverCluster }
func (Mark) Kind() CommandKind              { return KindMark }
func (Pressure) Kind() CommandKind          { return KindPressure }
