package metadata

// AllocateProducers assigns Count producer ids; Outcome.Value is the first.
type AllocateProducers struct{ Count int32 }

// Kind implements Command.
func (AllocateProducers) Kind() CommandKind { return 13 }

func (c AllocateProducers) encode(w *writer) { w.uvarint(uint64(uint32(c.Count))) }

func decodeAllocateProducers(r *reader) Command {
	return AllocateProducers{int32(r.UvarintUpTo(1<<20, "producer ids"))}
}

func (c AllocateProducers) apply(s *State, _ *Entry) CommandOutcome {
	if c.Count <= 0 {
		return refuse(CodeInvalidRequest, "%d producer ids", c.Count)
	}
	first := s.nextProducer
	s.nextProducer += ProducerID(c.Count)
	s.recordProducerIDBlock(first)
	return CommandOutcome{Value: int64(first)}
}

// allocateProducerID returns a new producer id.
func (s *State) allocateProducerID() ProducerID {
	id := s.nextProducer
	s.nextProducer++
	s.recordProducerIDBlock(id)
	return id
}

// producerIDBlockInterval is the resolution, in state time, at which the ages of
// producer ids are kept; two hundred blocks cover the expiry.
const producerIDBlockInterval UnixMilli = 600_000

func (s *State) recordProducerIDBlock(first ProducerID) {
	n := len(s.producerIDBlocks)
	if n > 0 && s.time-s.producerIDBlocks[n-1].time < producerIDBlockInterval {
		return
	}
	keep, expiry := 0, s.configuredExpiry(ProducerExpiryConfig, ProducerExpiry)
	for keep < n-1 && s.time-s.producerIDBlocks[keep+1].time > expiry {
		keep++
	}
	s.producerIDBlocks = append(append([]producerIDBlock(nil), s.producerIDBlocks[keep:]...), producerIDBlock{first, s.time, s.revision})
}
