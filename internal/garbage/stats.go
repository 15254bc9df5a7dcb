package garbage

import "sync"

// HeldReason is why nothing is deleted.
type HeldReason string

// The reasons. The collector deletes nothing while it is unsure.
const (
	HeldNot     HeldReason = ""              // it deletes
	HeldBehind  HeldReason = "behind"        // this broker does not know all that was committed
	HeldDispute HeldReason = "state_dispute" // this broker's state differs from a checkpoint
	HeldArchive HeldReason = "archive_fails" // closed extents wait for their archives
	HeldBase    HeldReason = "no_base"       // there are not two recovery bases yet
)

// HeldReasons lists the reasons, for metrics.
func HeldReasons() []HeldReason {
	return []HeldReason{HeldBehind, HeldDispute, HeldArchive, HeldBase}
}

// Stats counts what a broker's collectors did, over all its sessions.
type Stats struct {
	mu     sync.Mutex
	totals Totals
}

// Totals are the counts, and why nothing is deleted now.
type Totals struct {
	Deleted      uint64 // objects whose deletion was confirmed
	DeletedBytes uint64
	Failed       uint64 // deletions that were not confirmed
	Leftovers    uint64 // objects of ended sessions that were found
	Held         HeldReason
	HeldPasses   uint64 // passes in which nothing was deleted for a reason
}

// Totals returns the counts.
func (s *Stats) Totals() Totals {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.totals
}

func (s *Stats) holdBack(reason HeldReason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.Held = reason
	if reason != HeldNot {
		s.totals.HeldPasses++
	}
}

func (s *Stats) count(deleted, failed int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.Deleted += uint64(deleted)
	s.totals.Failed += uint64(failed)
	s.totals.DeletedBytes += uint64(bytes)
}

func (s *Stats) countLeftovers(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.totals.Leftovers += uint64(n)
}
