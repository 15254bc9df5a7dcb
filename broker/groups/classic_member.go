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
	arrival                          uint64 // of arrival; lists of members are in this order
	sessionTimeout, rebalanceTimeout time.Duration
	protocols                        []metadata.GroupProtocol
	assignment                       []byte
	sessionDeadline                  time.Time   // unless a call of it is parked
	parkedJoin                       *parkedJoin // nil: not waiting
	parkedSync                       *parkedSync
	synced                           bool // asked for this generation's assignment
	neverToldID                      bool // was never told its id: it cannot come back as itself
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

// memberTotals are what the members of a group add up to.
type memberTotals struct {
	memberBytes int // bytes in an entry, protocols and assignments apart
	protocols   map[string]protocolTotals
}

// protocolTotals is a protocol's part of sums.
type protocolTotals struct{ members, bytes int }

// addMember puts a member into the books.
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

// setAssignment gives a member another assignment; nil takes it away.
func (m *classicGroup) setAssignment(mem *classicGroupMember, assignment []byte) {
	m.assignmentBytes += len(assignment) - len(mem.assignment)
	mem.assignment = assignment
}

// adjustTotals adds or takes away what a member contributes to the sums.
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

// classicMemberBytes is what a member takes in memory, its assignment apart.
func classicMemberBytes(mem *classicGroupMember) int {
	n := memberOverheadBytes + len(mem.id) + len(mem.instance) + len(mem.clientID) + len(mem.clientHost)
	for i := range mem.protocols {
		n += protocolOverheadBytes + len(mem.protocols[i].Name) + len(mem.protocols[i].Metadata)
	}
	return n
}

// removeMember strikes a member out. Its parked calls are answered with code.
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

// membersByArrival returns the members in order of arrival.
func (m *classicGroup) membersByArrival() []*classicGroupMember {
	out := make([]*classicGroupMember, 0, len(m.members))
	for _, mem := range m.members {
		out = append(out, mem)
	}
	slices.SortFunc(out, func(a, b *classicGroupMember) int { return cmp.Compare(a.arrival, b.arrival) })
	return out
}

// maxRebalanceTimeout is the longest that any member asks for.
func (m *classicGroup) maxRebalanceTimeout() time.Duration {
	var out time.Duration
	for _, mem := range m.members {
		out = max(out, mem.rebalanceTimeout)
	}
	return out
}
