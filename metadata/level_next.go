//go:build nextlevel

package metadata

// This file is the next feature level as a test needs it: one more command, and
// one more field of the state that is hashed and stored. No release has it. The
// program that test/suites/integration builds with the tag nextlevel runs beside
// one without.

// MaxFeatureLevel is the newest level that this program understands.
const MaxFeatureLevel FeatureLevel = 2

var levelTexts = [...]string{1: "the first level: everything that version 0.1 does", 2: "probes are counted"}

// nextLevel is what the level adds to the state.
type nextLevel struct{ probes uint64 }

func (n nextLevel) hashInto(m Hash, level FeatureLevel) Hash {
	if level < 2 {
		return m
	}
	return m.Word(n.probes)
}

func (n nextLevel) encode(w *writer, level FeatureLevel) {
	if level >= 2 {
		w.uvarint(n.probes)
	}
}

func (n *nextLevel) decode(r *reader, level FeatureLevel) {
	if level >= 2 {
		n.probes = r.Uvarint()
	}
}

// Probes returns how many probes were counted.
func (s *State) Probes() uint64 { return s.next.probes }

// CountProbe adds to the probes. Outcome.Value is how many there are.
type CountProbe struct{ Add uint64 }

var nextLevelRow = commandRow{decodeCountProbe, 2}

// Kind implements Command.
func (CountProbe) Kind() CommandKind { return 255 }

func (c CountProbe) encode(w *writer) { w.uvarint(c.Add) }

func decodeCountProbe(r *reader) Command { return CountProbe{r.Uvarint()} }

func (c CountProbe) apply(s *State, _ *Entry) CommandOutcome {
	s.next.probes += c.Add
	return CommandOutcome{Value: int64(s.next.probes)}
}
