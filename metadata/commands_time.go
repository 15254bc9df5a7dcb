package metadata

import "github.com/zonewise/zonewise/internal/costkeys"

// MaxTickStep is how far one tick moves state time at most.
const MaxTickStep UnixMilli = 60_000

// Tick moves state time to To, by MaxTickStep at most.
type Tick struct{ To UnixMilli }

// Kind implements Command.
func (Tick) Kind() CommandKind { return 5 }

func (c Tick) encode(w *writer) { w.u64(uint64(c.To)) }

func decodeTick(r *reader) Command { return Tick{UnixMilli(r.Uint64())} }

// apply moves state time, books the storage since the last tick and drops what
// has expired.
func (c Tick) apply(s *State, _ *Entry) CommandOutcome {
	if c.To <= s.time {
		return refuse(CodeDuplicate, "state time is %d", s.time)
	}
	if s.time != 0 && c.To > s.time+MaxTickStep {
		return refuse(CodeInvalidRequest, "a tick of %d ms, at most %d", c.To-s.time, MaxTickStep)
	}
	if s.time != 0 {
		for _, id := range s.storedTopics() {
			s.bookQuantity(CellKey{Topic: id, Component: costkeys.ComponentStorage}, costkeys.Product(uint64(s.storedBytes[id]), uint64(c.To-s.time)))
		}
	}
	before := s.time
	s.time = c.To
	s.recordCommitTime(before)
	if before == 0 { // sessions opened up to a tick before state time began
		for _, o := range s.sessions {
			if o.usageSeq == 0 {
				o.usageReportedTo = max(1, s.time-maxTickLag)
			}
		}
	}
	if before/ledgerMinute != c.To/ledgerMinute {
		s.expireLedger()
	}
	s.foldLeaderEpochs()
	s.expireProducers(before)
	s.expireTxns(before)
	return CommandOutcome{}
}
