package metadata

// Use is how much of one of the state's hard limits is taken.
type Use struct {
	Name        string // as metrics label it
	Used, Limit int
}

// Uses lists the state's limits and what is taken of each, in a fixed order.
// It looks at counters only.
func (s *State) Uses() []Use {
	return []Use{
		{"topics", s.topics.count, MaxTopics},
		{"partitions", s.partitions.count, MaxPartitions},
		{"producers", s.producers.count, MaxProducers},
		{"spans", s.spans, MaxSpans},
		{"objects", s.objects.count, MaxObjects},
		{"groups", s.groups.count, MaxGroups},
		{"group_offsets", s.offsets + s.pendingOffsets, MaxGroupOffsets},
		{"members", s.members.count, MaxMembers},
		{"transactional_ids", s.txns.count, MaxTxns},
		{"sessions", len(s.sessions), MaxSessions},
		{"zones", len(s.zones), MaxZones},
		{"ledger_cells", s.fullestLedger(), MaxLedgerCells},
	}
}

// Use returns one of Uses by its name; zero where there is none.
func (s *State) Use(name string) Use {
	for _, u := range s.Uses() {
		if u.Name == name {
			return u
		}
	}
	return Use{}
}

// fullestLedger is how many cells the fuller of the present minute and hour
// has.
func (s *State) fullestLedger() (n int) {
	for _, b := range s.buckets() {
		if c := s.ledger.get(b); c != nil {
			n = max(n, len((*c).cells))
		}
	}
	return n
}
