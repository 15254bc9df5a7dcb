package groups

import (
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// classicState is the state of a classic group. Kafka's Dead is the absence of
// a group.
type classicState uint8

const (
	stateEmpty      classicState = iota // no members; it may have offsets
	statePreparing                      // waits for members to join
	stateCompleting                     // waits for the leader's assignment, then for its write
	stateStable                         // every member can get its assignment
)

// String returns Kafka's name of the state.
func (s classicState) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// limits is the part of Config that the state machines use.
type limits struct {
	initialDelay      time.Duration
	maxClassicMembers int // members and promised ids of the classic protocol
	maxConsumers      int // members of the consumer protocol
	maxGroupBytes     int
}

// parkedJoin and parkedSync are requests that wait; reply is called once.
type (
	parkedJoin struct{ reply func(joinResult) }
	parkedSync struct{ reply func(syncResult) }
)

// joinResult is the response to a JoinGroup.
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

// syncResult is the response to a SyncGroup.
type syncResult struct {
	code                   int16
	protocolType, protocol string
	assignment             []byte
}

// groupWrite is a record of the group to write, and the callback for its
// outcome. Writes happen one at a time and in order.
type groupWrite struct {
	group *metadata.Group // nil: too large to write
	done  func(now time.Time, code int16)
}

// classicGroup is the state machine of one classic group: pure, owned by one
// goroutine. Methods take the current time, complete parked requests, and
// append to writes.
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
	promisedIDs     map[string]time.Time // ids promised to new members (KIP-394), and when they expire
	totals          memberTotals
	arrivals        uint64
	parkedJoins     int // members with a parked join
	bytes           int // of all members in memory, without their assignments
	assignmentBytes int // bytes of all assignments

	joinDeadline     time.Time // in statePreparing
	inInitialDelay   bool      // the initial delay is running: joins do not complete the rebalance
	initialDelayLeft time.Duration
	joinedInDelay    bool      // a member joined during the initial delay
	syncDeadline     time.Time // members without a SyncGroup by then are expelled
	retryEmptyAt     time.Time // when to retry the write of an empty group; zero: never
	takenOver        bool      // loaded with members, and no new generation since
	hasRecord        bool      // the state may have a record of members
	nextDeadline     time.Time // not after the earliest deadline; zero if there is none

	writes []groupWrite
}

func newClassicGroup(name string, l limits) *classicGroup {
	return &classicGroup{name: name, limits: l, members: map[string]*classicGroupMember{}, instances: map[string]string{},
		promisedIDs: map[string]time.Time{}, totals: memberTotals{protocols: map[string]protocolTotals{}}}
}

// loadClassicGroup continues a written group: members keep their ids,
// generation and assignments, and their session timers restart.
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

// isIdle reports whether nothing is lost if the group is dropped from memory
// and loaded again later.
func (m *classicGroup) isIdle() bool {
	return m.state == stateEmpty && len(m.members) == 0 && len(m.promisedIDs) == 0 && len(m.writes) == 0 &&
		m.retryEmptyAt.IsZero()
}

// restartSession restarts a member's session timer.
func (m *classicGroup) restartSession(now time.Time, mem *classicGroupMember) {
	mem.sessionDeadline = now.Add(mem.sessionTimeout)
	m.scheduleDeadline(mem.sessionDeadline)
}

// scheduleDeadline makes handleDeadlines run at t, or earlier.
func (m *classicGroup) scheduleDeadline(t time.Time) {
	if m.nextDeadline.IsZero() || t.Before(m.nextDeadline) {
		m.nextDeadline = t
	}
}

// failParked completes all parked requests with an error: the slot is lost.
func (m *classicGroup) failParked(code int16) {
	for _, mem := range m.membersByArrival() {
		m.replyJoin(mem, joinResult{code: code, generation: noGeneration, id: mem.id})
		m.replySync(mem, syncResult{code: code})
	}
}

// snapshot returns the group's record; nil if it does not fit an entry.
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

// queueWrite queues the group's current record.
func (m *classicGroup) queueWrite(done func(now time.Time, code int16)) {
	m.hasRecord = true
	m.writes = append(m.writes, groupWrite{m.snapshot(), done})
}
