package groups

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// script drives one machine with random calls, as badly behaved clients and a
// failing log would.
type script struct {
	t       *testing.T
	r       *rand.Rand
	m       *classicGroup
	now     time.Time
	ids     []string // that somebody was told, or made up
	next    int
	waiting int // calls that are not answered
	parked  []any
	last    int32
	stables int
	stored  map[int32]bool // generations whose members were written
}

func (s *script) once(what string) func() {
	s.waiting++
	answered := false
	return func() {
		if answered {
			s.t.Fatalf("%s was answered twice", what)
		}
		answered = true
		s.waiting--
	}
}

func (s *script) join() {
	s.next++
	a := &joinRequest{newID: fmt.Sprint("m", s.next), clientID: "c", protocolType: "consumer",
		sessionTimeout: time.Duration(6+s.r.IntN(20)) * time.Second, rebalanceTimeout: time.Duration(10+s.r.IntN(60)) * time.Second,
		needsID: s.r.IntN(2) == 0, skipAssignment: s.r.IntN(2) == 0}
	if s.r.IntN(3) > 0 && len(s.ids) > 0 {
		a.id = s.ids[s.r.IntN(len(s.ids))]
	}
	if s.r.IntN(3) == 0 {
		a.instance = fmt.Sprint("i", s.r.IntN(3))
	}
	for _, name := range [][]string{{"x", "y"}, {"y", "x"}, {"x"}, {"z", "x"}}[s.r.IntN(4)] {
		a.protocols = append(a.protocols, metadata.GroupProtocol{Name: name, Metadata: []byte{byte(s.r.IntN(2))}})
	}
	done := s.once("join")
	a.call = &parkedJoin{func(r joinResult) {
		done()
		if r.id != "" {
			s.ids = append(s.ids, r.id)
		}
		if r.code == noError && (r.leader == "" || r.protocol == "" || r.generation < 1) {
			s.t.Fatalf("joined: %+v", r)
		}
	}}
	s.parked = append(s.parked, a.call)
	s.m.handleJoin(s.now, a)
}

func (s *script) sync() {
	a := &syncRequest{id: s.anyID(), generation: s.m.generation, assignments: map[string][]byte{}}
	if mem := s.m.members[a.id]; mem != nil {
		a.instance = mem.instance
	}
	done, generation := s.once("sync"), s.m.generation
	a.call = &parkedSync{func(r syncResult) {
		done()
		if r.code == noError && (r.assignment == nil || !s.stored[generation]) {
			s.t.Fatalf("synced generation %d with %v before it was stored", generation, r.assignment)
		}
	}}
	s.parked = append(s.parked, a.call)
	s.m.handleSync(s.now, a)
}

func (s *script) anyID() string {
	if s.r.IntN(2) == 0 && s.m.leader != "" {
		return s.m.leader
	}
	if len(s.ids) == 0 {
		return ""
	}
	return s.ids[s.r.IntN(len(s.ids))]
}

// write takes the oldest write and says what became of it.
func (s *script) write() {
	if len(s.m.writes) == 0 {
		return
	}
	w := s.m.writes[0]
	s.m.writes = s.m.writes[1:]
	code := noError
	if s.r.IntN(4) == 0 {
		code = kerr.CoordinatorNotAvailable.Code
	} else {
		s.stored[w.group.Generation] = true
	}
	w.done(s.now, code)
}

func (s *script) step() {
	switch s.r.IntN(9) {
	case 0, 1:
		s.join()
	case 2, 3:
		s.sync()
	case 4, 5:
		s.write()
	case 6:
		s.m.handleLeave(s.now, s.anyID(), "")
	case 7:
		s.m.handleHeartbeat(s.now, s.anyID(), "", s.m.generation)
		if len(s.parked) > 0 {
			switch call := s.parked[s.r.IntN(len(s.parked))].(type) {
			case *parkedJoin:
				s.hangUp(func() { s.m.dropJoin(s.now, call) })
			case *parkedSync:
				s.hangUp(func() { s.m.dropSync(s.now, call) })
			}
		}
	case 8:
		s.pass(time.Duration(s.r.IntN(8000)) * time.Millisecond)
	}
	s.check()
}

// hangUp runs a drop; a call that it forgets is answered no more.
func (s *script) hangUp(drop func()) {
	before := s.parkedNow()
	answered := s.waiting
	drop()
	s.waiting -= max(before-s.parkedNow()-(answered-s.waiting), 0)
}

func (s *script) parkedNow() (n int) {
	for _, mem := range s.m.members {
		if mem.parkedJoin != nil {
			n++
		}
		if mem.parkedSync != nil {
			n++
		}
	}
	return n
}

// pass lets time pass, with a tick whenever one is due.
func (s *script) pass(d time.Duration) {
	end := s.now.Add(d)
	for !s.m.nextDeadline.IsZero() && !s.m.nextDeadline.After(end) {
		if s.m.nextDeadline.After(s.now) {
			s.now = s.m.nextDeadline
		}
		s.m.handleDeadlines(s.now)
		if !s.m.nextDeadline.IsZero() && !s.m.nextDeadline.After(s.now) {
			s.t.Fatalf("tick at %v left %v due", s.now, s.m.nextDeadline)
		}
	}
	s.now = end
}

// check is what holds after every step.
func (s *script) check() {
	m, t := s.m, s.t
	t.Helper()
	waiting, bytes, handed, instances, sums := 0, 0, 0, 0, newClassicGroup("", limits{}).totals
	for id, mem := range m.members {
		if mem.id != id || mem.instance != "" && m.instances[mem.instance] != id {
			t.Fatalf("member %q is booked as %q", mem.id, id)
		}
		if mem.instance != "" {
			instances++
		}
		if mem.parkedJoin != nil {
			waiting++
		}
		bytes += classicMemberBytes(mem)
		handed += len(mem.assignment)
		sums.memberBytes += memberRecordBytes(mem)
		for i := range mem.protocols {
			p := sums.protocols[mem.protocols[i].Name]
			sums.protocols[mem.protocols[i].Name] = protocolTotals{p.members + 1, p.bytes + protocolRecordBytes(&mem.protocols[i])}
		}
	}
	if waiting != m.parkedJoins || bytes != m.bytes || handed != m.assignmentBytes || fmt.Sprint(sums) != fmt.Sprint(m.totals) || instances != len(m.instances) {
		t.Fatalf("books: %d %d %d %v %d, are %d %d %d %v %d", m.parkedJoins, m.bytes, m.assignmentBytes, m.totals, len(m.instances), waiting, bytes, handed, sums, instances)
	}
	if (m.state == stateEmpty) != (len(m.members) == 0) && m.state != statePreparing {
		t.Fatalf("%v with %d members", m.state, len(m.members))
	}
	if m.isSyncPhase() && (m.totals.protocols[m.protocol].members != len(m.members) || m.members[m.leader] == nil) {
		t.Fatalf("%v with protocol %q and leader %q", m.state, m.protocol, m.leader)
	}
	if m.state != statePreparing && m.parkedJoins > 0 {
		t.Fatalf("%v with %d parked joins", m.state, m.parkedJoins)
	}
	if m.state == stateStable {
		s.stables++
	}
	if m.generation < s.last {
		t.Fatalf("generation %d after %d", m.generation, s.last)
	}
	s.last = m.generation
	if at := m.findNextDeadline(); !at.IsZero() && (m.nextDeadline.IsZero() || m.nextDeadline.After(at)) {
		t.Fatalf("a deadline at %v, woken at %v", at, m.nextDeadline)
	}
}

// Whatever clients and log do: the books are right, nobody is answered twice
// or with an assignment that is not stored, and silence ends every group.
func TestMachineUnderRandomClients(t *testing.T) {
	stables := 0
	for seed := range uint64(300) {
		s := &script{t: t, r: rand.New(rand.NewPCG(seed, 9)), now: time.Unix(1e9, 0), stored: map[int32]bool{},
			m: newClassicGroup("g", limits{initialDelay: 3 * time.Second, maxClassicMembers: 12, maxGroupBytes: 1 << 20})}
		for range 400 {
			s.step()
		}
		for range 50 { // silence
			for len(s.m.writes) > 0 {
				s.write()
			}
			s.pass(time.Minute)
			s.check()
		}
		if !s.m.isIdle() || s.waiting != 0 {
			t.Fatalf("seed %d: after silence: %v, %d members, %d unanswered", seed, s.m.state, len(s.m.members), s.waiting)
		}
		stables += s.stables
	}
	if stables < 1000 {
		t.Errorf("only %d steps in a stable group: the script shows nothing", stables)
	}
}

// What is stored is loaded as it was.
func TestLoadedMachineStoresTheSame(t *testing.T) {
	now := time.Unix(1e9, 0)
	g := &metadata.Group{Name: "g", ProtocolType: "consumer", Protocol: "x", Leader: "a", Generation: 7,
		Members: []metadata.GroupMember{
			{ID: "b", ClientID: "c", ClientHost: "h", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000, Protocols: []metadata.GroupProtocol{{Name: "x", Metadata: []byte{1}}}, Assignment: []byte("B")},
			{ID: "a", InstanceID: "i", SessionTimeoutMs: 10_000, RebalanceTimeoutMs: 60_000, Protocols: []metadata.GroupProtocol{{Name: "x"}}, Assignment: []byte("A")},
		}}
	m := loadClassicGroup(g, limits{}, now)
	if got := m.snapshot(); fmt.Sprint(*got) != fmt.Sprint(*g) {
		t.Errorf("%+v\nwant %+v", *got, *g)
	}
	if m.nextDeadline != now.Add(10*time.Second) {
		t.Errorf("due %v", m.nextDeadline)
	}
}

func TestVotesChooseTheProtocol(t *testing.T) {
	for _, row := range []struct {
		lists [][]string
		want  string
	}{
		{[][]string{{"x"}}, "x"},
		{[][]string{{"x", "y"}, {"y", "x"}, {"y", "x"}}, "y"},
		{[][]string{{"x", "y"}, {"y", "x"}}, "x"}, // a tie: the oldest member's
		{[][]string{{"z", "y"}, {"y"}, {"z", "y"}}, "y"},
	} {
		m := newClassicGroup("g", limits{})
		for i, list := range row.lists {
			mem := &classicGroupMember{id: fmt.Sprint(i)}
			for _, name := range list {
				mem.protocols = append(mem.protocols, metadata.GroupProtocol{Name: name})
			}
			m.addMember(mem)
		}
		if got := m.chooseProtocol(); got != row.want {
			t.Errorf("%v: %q, want %q", row.lists, got, row.want)
		}
	}
}
