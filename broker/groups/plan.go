package groups

import (
	"cmp"
	"slices"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// groupState is where a classic group stands. Dead is the absence of one.
type groupState uint8

const (
	stateEmpty      groupState = iota // no members; offsets may stand
	statePreparing                    // waits for members to join
	stateCompleting                   // waits for the leader's assignment, then for its write
	stateStable                       // every member may have its assignment
)

// String returns Kafka's name of the state.
func (s groupState) String() string {
	return [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable"}[s]
}

// limits is the part of Config that a machine obeys.
type limits struct {
	initialDelay time.Duration
	size         int // members and promised ids, of the classic protocol
	consumers    int // members, of the consumer protocol
	groupBytes   int
}

// member is one member of a group.
type member struct {
	id, instance         string
	clientID, clientHost string
	order                uint64 // of arrival; lists of members are in this order
	session, rebalance   time.Duration
	protocols            []metadata.GroupProtocol
	assignment           []byte
	expires              time.Time   // unless a call of it is parked
	join                 *parkedJoin // nil: not waiting
	sync                 *parkedSync
	synced               bool // asked for this generation's assignment
	unaware              bool // was never told its id: it cannot come back as itself
}

func (m *member) parked() bool { return m.join != nil || m.sync != nil }

func (m *member) metadataOf(protocol string) []byte {
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

// storedWrite is a group to be written, and who waits for it. Writes happen
// one at a time and in order.
type storedWrite struct {
	group *metadata.Group // nil: too large to store
	done  func(now time.Time, code int16)
}

// machine is one group: pure, owned by one goroutine. Methods take the
// present time, answer parked calls, and append to writes.
type machine struct {
	name   string
	limits limits

	state        groupState
	generation   int32
	protocolType string
	protocol     string
	leader       string
	members      map[string]*member
	instances    map[string]string    // instance id -> member id
	pending      map[string]time.Time // ids promised to newcomers (KIP-394), until when
	sums         sums
	arrivals     uint64
	waiting      int // members with a parked join
	bytes        int // of all members in memory, their assignments apart
	handed       int // bytes of all assignments

	joinDeadline time.Time // in statePreparing
	initial      bool      // the delay of an empty group runs: joining does not complete it
	initialLeft  time.Duration
	newcomer     bool      // somebody came during the initial delay
	syncDeadline time.Time // members that have not asked by then are expelled
	retryEmpty   time.Time // when to write an empty group again; zero: not
	takenOver    bool      // loaded with members, and no generation made since
	stored       bool      // a record of members may stand in the state
	due          time.Time // not after the earliest deadline; zero: there is none

	writes []storedWrite
}

// sums are what the members of a group add up to.
type sums struct {
	members   int // bytes in an entry, protocols and assignments apart
	protocols map[string]spoken
}

// spoken is a protocol's part of sums.
type spoken struct{ members, bytes int }

func newMachine(name string, l limits) *machine {
	return &machine{name: name, limits: l, members: map[string]*member{}, instances: map[string]string{},
		pending: map[string]time.Time{}, sums: sums{protocols: map[string]spoken{}}}
}

// loadMachine continues a stored group: members keep their ids, generation
// and assignments, and their session timers restart in full.
func loadMachine(g *metadata.Group, l limits, now time.Time) *machine {
	m := newMachine(g.Name, l)
	m.generation, m.protocolType, m.stored = g.Generation, g.ProtocolType, true
	if len(g.Members) == 0 {
		return m
	}
	m.state, m.protocol, m.leader, m.takenOver = stateStable, g.Protocol, g.Leader, true
	for i := range g.Members {
		s := &g.Members[i]
		mem := &member{id: s.ID, instance: s.InstanceID, clientID: s.ClientID, clientHost: s.ClientHost,
			session:   time.Duration(s.SessionTimeoutMs) * time.Millisecond,
			rebalance: time.Duration(s.RebalanceTimeoutMs) * time.Millisecond,
			protocols: slices.Clone(s.Protocols), assignment: s.Assignment, synced: true}
		m.enter(mem)
		m.touch(now, mem)
	}
	return m
}

// enter puts a member into the books.
func (m *machine) enter(mem *member) {
	m.arrivals++
	mem.order = m.arrivals
	m.members[mem.id] = mem
	if mem.instance != "" {
		m.instances[mem.instance] = mem.id
	}
	m.count(mem, 1)
	m.handed += len(mem.assignment)
}

// hand gives a member another assignment; nil takes it away.
func (m *machine) hand(mem *member, assignment []byte) {
	m.handed += len(assignment) - len(mem.assignment)
	mem.assignment = assignment
}

// count adds or takes away what a member contributes to the sums.
func (m *machine) count(mem *member, by int) {
	for i := range mem.protocols {
		p := &mem.protocols[i]
		s := m.sums.protocols[p.Name]
		s.members, s.bytes = s.members+by, s.bytes+by*storedProtocol(p)
		m.sums.protocols[p.Name] = s
		if s.members == 0 {
			delete(m.sums.protocols, p.Name)
		}
	}
	m.sums.members += by * storedMember(mem)
	m.bytes += by * memberBytes(mem)
}

// memberBytes is what a member takes in memory, its assignment apart.
func memberBytes(mem *member) int {
	n := bytesOfMember + len(mem.id) + len(mem.instance) + len(mem.clientID) + len(mem.clientHost)
	for i := range mem.protocols {
		n += bytesOfProtocol + len(mem.protocols[i].Name) + len(mem.protocols[i].Metadata)
	}
	return n
}

// remove strikes a member out. Its parked calls are answered with code.
func (m *machine) remove(mem *member, code int16) {
	m.replyJoin(mem, joinResult{code: code, generation: noGeneration, id: mem.id})
	m.replySync(mem, syncResult{code: code})
	m.count(mem, -1)
	m.hand(mem, nil)
	delete(m.members, mem.id)
	if m.instances[mem.instance] == mem.id {
		delete(m.instances, mem.instance)
	}
	if m.leader == mem.id {
		m.leader = ""
	}
}

func (m *machine) replyJoin(mem *member, r joinResult) {
	if p := mem.join; p != nil {
		mem.join = nil
		m.waiting--
		mem.unaware = false
		p.reply(r)
	}
}

func (m *machine) replySync(mem *member, r syncResult) {
	if p := mem.sync; p != nil {
		mem.sync = nil
		p.reply(r)
	}
}

// inOrder returns the members in order of arrival.
func (m *machine) inOrder() []*member {
	out := make([]*member, 0, len(m.members))
	for _, mem := range m.members {
		out = append(out, mem)
	}
	slices.SortFunc(out, func(a, b *member) int { return cmp.Compare(a.order, b.order) })
	return out
}

// idle reports whether nothing is lost when the machine is forgotten and
// loaded again later.
func (m *machine) idle() bool {
	return m.state == stateEmpty && len(m.members) == 0 && len(m.pending) == 0 && len(m.writes) == 0 &&
		m.retryEmpty.IsZero()
}

// rebalanceTimeout is the longest that any member asks for.
func (m *machine) rebalanceTimeout() time.Duration {
	var out time.Duration
	for _, mem := range m.members {
		out = max(out, mem.rebalance)
	}
	return out
}

// touch restarts a member's session timer.
func (m *machine) touch(now time.Time, mem *member) {
	mem.expires = now.Add(mem.session)
	m.wake(mem.expires)
}

// wake lets tick be called at t, or sooner.
func (m *machine) wake(t time.Time) {
	if m.due.IsZero() || t.Before(m.due) {
		m.due = t
	}
}

// abandon answers everybody that waits: the slot is another's.
func (m *machine) abandon(code int16) {
	for _, mem := range m.inOrder() {
		m.replyJoin(mem, joinResult{code: code, generation: noGeneration, id: mem.id})
		m.replySync(mem, syncResult{code: code})
	}
}

// snapshot is the group as it is stored; nil where that is more than an entry
// holds.
func (m *machine) snapshot() *metadata.Group {
	if m.storedBytes() > maxStoredBytes {
		return nil
	}
	g := &metadata.Group{Name: m.name, ProtocolType: m.protocolType, Protocol: m.protocol,
		Leader: m.leader, Generation: m.generation}
	for _, mem := range m.inOrder() {
		g.Members = append(g.Members, metadata.GroupMember{ID: mem.id, InstanceID: mem.instance,
			ClientID: mem.clientID, ClientHost: mem.clientHost,
			SessionTimeoutMs:   int32(mem.session / time.Millisecond),
			RebalanceTimeoutMs: int32(mem.rebalance / time.Millisecond),
			Protocols:          []metadata.GroupProtocol{{Name: m.protocol, Metadata: mem.metadataOf(m.protocol)}},
			Assignment:         mem.assignment})
	}
	return g
}

// write asks for the group to be stored as it is now.
func (m *machine) write(done func(now time.Time, code int16)) {
	m.stored = true
	m.writes = append(m.writes, storedWrite{m.snapshot(), done})
}
