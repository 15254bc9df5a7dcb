package metadata

import "slices"

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
	if s.time == 0 {
		s.beginStorage(c.To)
	} else {
		s.bookStorage(c.To)
	}
	before := s.time
	s.time = c.To
	s.recordCommitTime()
	if before == 0 { // sessions opened up to a tick before state time began
		for _, o := range s.sessions {
			if o.usageSeq == 0 {
				o.usageReportedTo = max(1, s.time-maxTickLag)
			}
		}
		s.leftovers = slices.Clone(s.leftovers)
		for i := range s.leftovers {
			s.leftovers[i].since = s.time
		}
	}
	if before/ledgerMinute != c.To/ledgerMinute {
		s.expireLedger()
	}
	s.forgetDeletedTopics()
	s.foldLeaderEpochs()
	s.expireProducers(before)
	s.expireTxns(before)
	return CommandOutcome{}
}
