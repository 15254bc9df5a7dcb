package etcdlog

import (
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// pending is one entry on its way: where its attempts may have landed.
type pending struct {
	seq    metadata.LaneSeq
	extent metadata.Extent // that attempts name now
	// maybe: an attempt that names this generation has no known outcome.
	maybe bool
	busy  bool // a call of Append has it
	// done: res and err are its fate for ever.
	done bool
	res  metadata.AppendResult
	err  error
}

// begin takes the lane for one entry and returns where its attempts stand.
func (s *session) begin(key metadata.EntryKey) (pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.lanes[key.Lane]
	switch {
	case p.busy:
		return pending{}, fmt.Errorf("BUG: entry %d of the lane is under way", p.seq)
	case p.seq == key.Seq && p.done:
		return *p, nil
	case p.seq != key.Seq && p.seq != 0 && !p.done:
		return pending{}, fmt.Errorf("BUG: entry %d of the lane is not resolved", p.seq)
	case p.seq > key.Seq:
		return pending{}, fmt.Errorf("BUG: entry %d of the lane came before", p.seq)
	case p.seq < key.Seq:
		*p = pending{seq: key.Seq}
	}
	p.busy = true
	return *p, nil
}

// end gives the lane back.
func (s *session) end(lane metadata.Lane, p pending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.busy = false
	s.lanes[lane] = p
}
