package metadata

import "testing"

// What the lost tail of a former incarnation left is searched for after seven days, or
// at once where the operator said so; its sessions are not searched for one by one.
func TestFormerIncarnationsAreKeptForSevenDays(t *testing.T) {
	for _, discard := range []bool{false, true} {
		w := newWorld(1)
		w.openSession(t, "a")
		w.do1(t, Tick{1_700_000_000_000})
		w.openSession(t, "b")
		w.rev = Incarnation(2).Base().next()
		id := SessionID(w.rev)
		w.lanes[id] = new([LaneCount]LaneSeq)
		_, out := w.commit(t, &Entry{Session: id, Commands: []Command{OpenSession{Want: NoBroker, Zone: "a", MinLevel: 1, MaxLevel: 1}, RecoverCluster{2, discard}}})
		if out.Commands[1].Code != CodeOK {
			t.Fatal(out)
		}
		w.sessions = []SessionID{id}
		recovered := w.state.time
		for {
			l, due := w.state.LeftoversDue(LeftoverGrace)
			if due && (l.Session != 0 || l.Incarnation != 1) {
				t.Fatalf("%+v is searched for", l)
			}
			if due || w.state.time > recovered+8*24*3_600_000 {
				break
			}
			w.do1(t, Tick{w.state.time + MaxTickStep})
		}
		if age := w.state.time - recovered; discard && age > 2*MaxTickStep || !discard && (age <= FormerIncarnationGrace || age > FormerIncarnationGrace+2*MaxTickStep) {
			t.Errorf("discard %v: searched for after %d ms", discard, age)
		}
		l, _ := w.state.LeftoversDue(LeftoverGrace)
		lost := Leftover{ObjectWAL, ObjectName{5, LaneLow, 1, 0}.Key(), 100}
		w.do1(t, BuryLeftovers{l.Session, l.Incarnation, []Leftover{lost}, lost.Key, false})
		w.do1(t, BuryLeftovers{l.Session, l.Incarnation, []Leftover{lost}, lost.Key, true})
		if objects, _ := w.state.GarbageTotals(); objects != 1 {
			t.Errorf("%d objects are buried: one holder of the role after the other found the same one", objects)
		}
		if _, due := w.state.LeftoversDue(LeftoverGrace); due {
			t.Error("it is searched for again")
		}
	}
}

// next returns the revision after r.
func (r Revision) next() Revision { return r + 1 }
