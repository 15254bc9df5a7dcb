package groups

import (
	"cmp"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// classicState is where a classic group stands. Dead is the absence of one.
type classicState uint8

const (
	stateEmpty      classicState = iota // no members; offsets may stand
	statePreparing                      // waits for members to join
	stateCompleting                     // waits for the leader's assignment, then for its write
	stateStable                         // every member may have its assignment
)

// String returns Kafka's name of the state.
func (s classicState) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// limits is the part of Config that a machine obeys.
type limits struct {
	initialDelay      time.Duration
	maxClassicMembers int // members and promised ids, of the classic protocol
	maxConsumers      int // members, of the consumer protocol
	maxGroupBytes     int
}

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

// parkedJoin and parkedSync are calls that wait; reply is called once.
type (
	parkedJoin struct{ reply func(joinResult) }
	parkedSync struct{ reply func(syncResult) }
)

// joinResult answers a JoinGroup.
type joinResult struct {
	code                               int16
	generation                         int32
	protocolType, protocol, leader, id string
	members                            []joinedMember // for the leader only
	skipAssignment                     bool
}

type joinedMember struct {
	id, instance string
	metadata     []byte
}

// syncResult answers a SyncGroup.
type syncResult struct {
	code                   int16
	protocolType, protocol string
	assignment             []byte
}

// groupWrite is a group to be written, and who waits for it. Writes happen
// one at a time and in order.
type groupWrite struct {
	group *metadata.Group // nil: too large to store
	done  func(now time.Time, code int16)
}

// classicGroup is one group: pure, owned by one goroutine. Methods take the
// present time, answer parked calls, and append to writes.
type classicGroup struct {
	name   string
	limits limits

	state           classicState
	generation      int32
	protocolType    string
	protocol        string
	leader          string
	members         map[string]*classicGroupMember
	instances       map[string]string    // instance id -> member id
	promisedIDs     map[string]time.Time // ids promised to newcomers (KIP-394), until when
	totals          memberTotals
	arrivals        uint64
	parkedJoins     int // members with a parked join
	bytes           int // of all members in memory, their assignments apart
	assignmentBytes int // bytes of all assignments

	joinDeadline     time.Time // in statePreparing
	inInitialDelay   bool      // the delay of an empty group runs: joining does not complete it
	initialDelayLeft time.Duration
	joinedInDelay    bool      // somebody came during the initial delay
	syncDeadline     time.Time // members that have not asked by then are expelled
	retryEmptyAt     time.Time // when to write an empty group again; zero: not
	takenOver        bool      // loaded with members, and no generation made since
	hasRecord        bool      // a record of members may stand in the state
	nextDeadline     time.Time // not after the earliest deadline; zero: there is none

	writes []groupWrite
}

// memberTotals are what the members of a group add up to.
type memberTotals struct {
	memberBytes int // bytes in an entry, protocols and assignments apart
	protocols   map[string]protocolTotals
}

// protocolTotals is a protocol's part of sums.
type protocolTotals struct{ members, bytes int }

func newClassicGroup(name string, l limits) *classicGroup {
	return &classicGroup{name: name, limits: l, members: map[string]*classicGroupMember{}, instances: map[string]string{},
		promisedIDs: map[string]time.Time{}, totals: memberTotals{protocols: map[string]protocolTotals{}}}
}

// loadClassicGroup continues a stored group: members keep their ids, generation
// and assignments, and their session timers restart in full.
func loadClassicGroup(g *metadata.Group, l limits, now time.Time) *classicGroup {
	m := newClassicGroup(g.Name, l)
	m.generation, m.protocolType, m.hasRecord = g.Generation, g.ProtocolType, true
	if len(g.Members) == 0 {
		return m
	}
	m.state, m.protocol, m.leader, m.takenOver = stateStable, g.Protocol, g.Leader, true
	for i := range g.Members {
		s := &g.Members[i]
		mem := &classicGroupMember{id: s.ID, instance: s.InstanceID, clientID: s.ClientID, clientHost: s.ClientHost,
			sessionTimeout:   time.Duration(s.SessionTimeoutMs) * time.Millisecond,
			rebalanceTimeout: time.Duration(s.RebalanceTimeoutMs) * time.Millisecond,
			protocols:        slices.Clone(s.Protocols), assignment: s.Assignment, synced: true}
		m.addMember(mem)
		m.restartSession(now, mem)
	}
	return m
}

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

func (m *classicGroup) replyJoin(mem *classicGroupMember, r joinResult) {
	if p := mem.parkedJoin; p != nil {
		mem.parkedJoin = nil
		m.parkedJoins--
		mem.neverToldID = false
		p.reply(r)
	}
}

func (m *classicGroup) replySync(mem *classicGroupMember, r syncResult) {
	if p := mem.parkedSync; p != nil {
		mem.parkedSync = nil
		p.reply(r)
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

// isIdle reports whether nothing is lost when the machine is forgotten and
// loaded again later.
func (m *classicGroup) isIdle() bool {
	return m.state == stateEmpty && len(m.members) == 0 && len(m.promisedIDs) == 0 && len(m.writes) == 0 &&
		m.retryEmptyAt.IsZero()
}

// maxRebalanceTimeout is the longest that any member asks for.
func (m *classicGroup) maxRebalanceTimeout() time.Duration {
	var out time.Duration
	for _, mem := range m.members {
		out = max(out, mem.rebalanceTimeout)
	}
	return out
}

// restartSession restarts a member's session timer.
func (m *classicGroup) restartSession(now time.Time, mem *classicGroupMember) {
	mem.sessionDeadline = now.Add(mem.sessionTimeout)
	m.scheduleDeadline(mem.sessionDeadline)
}

// scheduleDeadline lets tick be called at t, or sooner.
func (m *classicGroup) scheduleDeadline(t time.Time) {
	if m.nextDeadline.IsZero() || t.Before(m.nextDeadline) {
		m.nextDeadline = t
	}
}

// failParked answers everybody that waits: the slot is another's.
func (m *classicGroup) failParked(code int16) {
	for _, mem := range m.membersByArrival() {
		m.replyJoin(mem, joinResult{code: code, generation: noGeneration, id: mem.id})
		m.replySync(mem, syncResult{code: code})
	}
}

// snapshot is the group as it is stored; nil where that is more than an entry
// holds.
func (m *classicGroup) snapshot() *metadata.Group {
	if m.recordBytes() > maxStoredBytes {
		return nil
	}
	g := &metadata.Group{Name: m.name, ProtocolType: m.protocolType, Protocol: m.protocol,
		Leader: m.leader, Generation: m.generation}
	for _, mem := range m.membersByArrival() {
		g.Members = append(g.Members, metadata.GroupMember{ID: mem.id, InstanceID: mem.instance,
			ClientID: mem.clientID, ClientHost: mem.clientHost,
			SessionTimeoutMs:   int32(mem.sessionTimeout / time.Millisecond),
			RebalanceTimeoutMs: int32(mem.rebalanceTimeout / time.Millisecond),
			Protocols:          []metadata.GroupProtocol{{Name: m.protocol, Metadata: mem.findMetadata(m.protocol)}},
			Assignment:         mem.assignment})
	}
	return g
}

// queueWrite asks for the group to be stored as it is now.
func (m *classicGroup) queueWrite(done func(now time.Time, code int16)) {
	m.hasRecord = true
	m.writes = append(m.writes, groupWrite{m.snapshot(), done})
}
