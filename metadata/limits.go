package metadata

// Hard limits of the state. At a limit, commands and runs that would grow it are
// refused (CodeLimit); those that shrink it, and the log's own maintenance, go
// on.
const (
	MaxTopics             = 50_000
	MaxPartitions         = 200_000 // in all
	MaxPartitionsPerTopic = 10_000
	MaxProducers          = 2_000_000 // (partition, producer) pairs in all
	MaxPartitionProducers = 20_000    // producers of one partition
	MaxSpans              = 16_000_000
	MaxObjects            = 8_000_000
	MaxDeadObjects        = 4_000_000 // whose deletion is not confirmed yet; beyond it, records are refused
	MaxGroups             = 100_000
	MaxGroupOffsets       = 2_000_000 // in all
	MaxMembers            = 500_000   // of groups of the consumer protocol, in all
	MaxSessions           = 1_000
	MaxZones              = 32
	MaxLedgerCells        = 50_000 // per bucket of time; further keys fold into __other__
	MaxConfigs            = 256    // of one resource
)

// Limits are the limits under which a state is applied. All brokers of a cluster
// must have the same: they belong to the feature level, and only tests lower
// them.
type Limits struct {
	Topics, Partitions           int
	Producers, Spans, Objects    int
	DeadObjects                  int
	Groups, GroupOffsets, Txns   int
	Members, Sessions            int
	LedgerCells, PartitionOpen   int
	StorageTurn                  int
	PartitionProducers, TxnParts int
}

// DefaultLimits are the limits of every cluster.
func DefaultLimits() Limits {
	return Limits{Topics: MaxTopics, Partitions: MaxPartitions, Producers: MaxProducers, Spans: MaxSpans, Objects: MaxObjects, DeadObjects: MaxDeadObjects, Groups: MaxGroups,
		GroupOffsets: MaxGroupOffsets, Txns: MaxTxns, Members: MaxMembers, Sessions: MaxSessions, LedgerCells: MaxLedgerCells, StorageTurn: maxStorageTurn,
		PartitionOpen: MaxPartitionOpen, PartitionProducers: MaxPartitionProducers, TxnParts: MaxTxnPartitions}
}

// LimitUsage is how much of one of the state's limits is used.
type LimitUsage struct {
	Name        string // label in metrics
	Used, Limit int
}

// Percent returns how much of the limit is used, in percent.
func (u LimitUsage) Percent() int { return u.Used * 100 / max(u.Limit, 1) }

// LimitUsages lists the state's limits and what is used of each, in a fixed
// order. It reads counters only.
func (s *State) LimitUsages() []LimitUsage {
	l := &s.limits
	return []LimitUsage{
		{"topics", s.topics.count, l.Topics},
		{"partitions", s.partitions.count, l.Partitions},
		{"producers", s.producers.count, l.Producers},
		{"spans", s.spans, l.Spans},
		{"objects", s.objects.count, l.Objects},
		{"dead_objects", s.garbage.rows.count, l.DeadObjects},
		{"groups", s.groups.count, l.Groups},
		{"group_offsets", s.offsets + s.pendingOffsets, l.GroupOffsets},
		{"members", s.members.count, l.Members},
		{"transactional_ids", s.txns.count, l.Txns},
		{"sessions", len(s.sessions), l.Sessions},
		{"zones", len(s.zones), MaxZones},
		{"ledger_cells", s.fullestBucketCells(), l.LedgerCells},
	}
}

// LimitUsage returns one of LimitUsages by its name; zero where there is none.
func (s *State) LimitUsage(name string) LimitUsage {
	for _, u := range s.LimitUsages() {
		if u.Name == name {
			return u
		}
	}
	return LimitUsage{}
}

// fullestBucketCells returns how many cells the fuller of the current minute and
// hour has.
func (s *State) fullestBucketCells() (n int) {
	for _, b := range s.currentBuckets() {
		if c := s.ledger.get(b); c != nil {
			n = max(n, (*c).cells.len())
		}
	}
	return n
}
