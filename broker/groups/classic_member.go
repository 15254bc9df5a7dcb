package groups

import (
	"cmp"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// classicGroupMember is one member of a group.
type classicGroupMember struct {
	id, instance                     string
	clientID, clientHost             string
	arrival                          uint64 // lists of members are in this order
	sessionTimeout, rebalanceTimeout time.Duration
	protocols                        []metadata.GroupProtocol
	assignment                       []byte
	sessionDeadline                  time.Time   // unless a request of it is parked
	parkedJoin                       *parkedJoin // nil: not waiting
	parkedSync                       *parkedSync
	synced                           bool // has sent SyncGroup in this generation
	neverToldID                      bool // never received its id, so it cannot rejoin under it
}

func (m *classicGroupMember) isParked() bool { return m.parkedJoin != nil || m.parkedSync != nil }

func (m *classicGroupMember) findMetadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return nil
}

// memberTotals are sums over the members of a group.
type memberTotals struct {
	memberBytes int // bytes in an entry, without protocols and assignments
	protocols   map[string]protocolTotals
}

// protocolTotals are sums of one protocol.
type protocolTotals struct{ members, bytes int }

// addMember adds a member to the indexes and totals.
func (m *classicGroup) addMember(mem *classicGroupMember) {
	m.arrivals++
	mem.arrival = m.arrivals
	m.members[mem.id] = mem
	if mem.instance != "" {
		m.instances[mem.instance] = mem.id
	}
	m.adjustTotals(mem, 1)
	m.assignmentBytes += len(mem.assignment)
}

// setAssignment replaces a member's assignment; nil removes it.
func (m *classicGroup) setAssignment(mem *classicGroupMember, assignment []byte) {
	m.assignmentBytes += len(assignment) - len(mem.assignment)
	mem.assignment = assignment
}

// adjustTotals adds a member to the totals (by 1) or subtracts it (by -1).
func (m *classicGroup) adjustTotals(mem *classicGroupMember, by int) {
	for i := range mem.protocols {
		p := &mem.protocols[i]
		s := m.totals.protocols[p.Name]
		s.members, s.bytes = s.members+by, s.bytes+by*protocolRecordBytes(p)
		m.totals.protocols[p.Name] = s
		if s.members == 0 {
			delete(m.totals.protocols, p.Name)
		}
	}
	m.totals.memberBytes += by * memberRecordBytes(mem)
	m.bytes += by * classicMemberBytes(mem)
}

// classicMemberBytes is the size of a member in memory, without its assignment.
func classicMemberBytes(mem *classicGroupMember) int {
	n := memberOverheadBytes + len(mem.id) + len(mem.instance) + len(mem.clientID) + len(mem.clientHost)
	for i := range mem.protocols {
		n += protocolOverheadBytes + len(mem.protocols[i].Name) + len(mem.protocols[i].Metadata)
	}
	return n
}

// removeMember removes a member. Its parked requests complete with code.
func (m *classicGroup) removeMember(mem *classicGroupMember, code int16) {
	m.replyJoin(mem, joinResult{code: code, generation: noGeneration, id: mem.id})
	m.replySync(mem, syncResult{code: code})
	m.adjustTotals(mem, -1)
	m.setAssignment(mem, nil)
	delete(m.members, mem.id)
	if m.instances[mem.instance] == mem.id {
		delete(m.instances, mem.instance)
	}
	if m.leader == mem.id {
		m.leader = ""
	}
}

// membersByArrival returns the members in the order in which they joined.
func (m *classicGroup) membersByArrival() []*classicGroupMember {
	out := make([]*classicGroupMember, 0, len(m.members))
	for _, mem := range m.members {
		out = append(out, mem)
	}
	slices.SortFunc(out, func(a, b *classicGroupMember) int { return cmp.Compare(a.arrival, b.arrival) })
	return out
}

// maxRebalanceTimeout returns the largest rebalance timeout of all members.
func (m *classicGroup) maxRebalanceTimeout() time.Duration {
	var out time.Duration
	for _, mem := range m.members {
		out = max(out, mem.rebalanceTimeout)
	}
	return out
}
