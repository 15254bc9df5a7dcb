package wal

import "github.com/zonewise/zonewise/metadata"

// Stats is what a WAL has done and holds.
type Stats struct {
	PendingBytes, BudgetBytes int64 // not yet acknowledged; the limit
	PendingBatches            int64
	BlockedAppends            int64 // Append calls that wait for memory now
	Sealed                    [reasonCount]uint64
	ObjectsInFlight           int64
	Objects, ObjectBytes      uint64 // committed
	FailedObjects             uint64
	Hedges, HedgesWon         uint64
	InlineEntries             uint64
	InlineBytes               uint64
	Commits                   [metadata.LaneCount]uint64
	Duplicates                uint64 // answered without an entry
	Attached                  uint64 // retries answered with a pending batch
	GapWaits                  uint64 // batches that waited for a missing sequence
	Resubmitted               uint64 // batches submitted again after a refusal
	OrderAtRisk               uint64 // batches without producer id whose order a move may have changed
}

// Reason is why a buffer was sealed.
type Reason uint8

// The reasons.
const (
	ReasonNone    Reason = iota
	ReasonFull           // bytes, or a batch that needs an object of its own
	ReasonRuns           // the encoded runs
	ReasonLinger         //
	ReasonBlocked        // its connections look window-blocked
	ReasonNatural        // the low lane: an upload slot was free
	ReasonInline         // a commit slot was free and it is small
	ReasonDrain          //
	reasonCount
)

// String names the reason as metrics label it.
func (r Reason) String() string {
	return [reasonCount]string{"none", "full", "runs", "linger", "blocked", "natural", "inline", "drain"}[r]
}

// Stats returns a picture of now.
func (w *WAL) Stats() Stats { return Stats{} }
