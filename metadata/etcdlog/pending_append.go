package etcdlog

import (
	"fmt"

	"github.com/zonewise/zonewise/metadata"
)

// pendingAppend is one entry that is not resolved: which attempts may have been
// committed.
type pendingAppend struct {
	seq    metadata.LaneSeq
	extent metadata.Extent // of the present attempts
	// maybeLanded: an attempt in this extent has an unknown outcome.
	maybeLanded bool
	busy        bool // a call of Append has it
	// done: res and err are final.
	done bool
	res  metadata.AppendResult
	err  error
}

// beginAppend takes the lane for one entry and returns the state of its attempts.
func (s *session) beginAppend(key metadata.EntryKey) (pendingAppend, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.lanes[key.Lane]
	switch {
	case p.busy:
		return pendingAppend{}, fmt.Errorf("BUG: entry %d of the lane is under way", p.seq)
	case p.seq == key.Seq && p.done:
		return *p, nil
	case p.seq != key.Seq && p.seq != 0 && !p.done:
		return pendingAppend{}, fmt.Errorf("BUG: entry %d of the lane is not resolved", p.seq)
	case p.seq > key.Seq:
		return pendingAppend{}, fmt.Errorf("BUG: entry %d of the lane came before", p.seq)
	case p.seq < key.Seq:
		*p = pendingAppend{seq: key.Seq}
	}
	p.busy = true
	return *p, nil
}

// endAppend releases the lane.
func (s *session) endAppend(lane metadata.Lane, p pendingAppend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.busy = false
	s.lanes[lane] = p
}
