package wal

import (
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// Stats are a WAL's counters since Open, and what is pending now.
type Stats struct {
	PendingBytes, BudgetBytes int64 // charged for what is not acknowledged, and the limit
	PendingBatches            int64
	BlockedAppends            int64 // Append calls that wait for memory now
	Sealed                    [reasonCount]uint64
	ObjectsInFlight           int64
	Objects, ObjectBytes      uint64 // in entries that were sent
	FailedObjects             uint64
	PUTs                      hedge.Stats // of objects: hedged, retried
	InlineEntries             uint64
	InlineBytes               uint64
	Commits                   [metadata.LaneCount]uint64
	Duplicates                uint64 // answered without an entry
	Attached                  uint64 // retries answered with a pending batch
	GapWaits                  uint64 // batches that waited for a missing sequence
	Resubmitted               uint64 // batches submitted again after a refusal
	OrderAtRisk               uint64 // batches without producer id whose order a change of leader may have changed
}

// meters are the counters behind Stats.
type meters struct {
	sealed                     [reasonCount]atomic.Uint64
	objectsInFlight            atomic.Int64
	objects, objectBytes       atomic.Uint64
	failedObjects              atomic.Uint64
	inlineEntries, inlineBytes atomic.Uint64
	commits                    [metadata.LaneCount]atomic.Uint64
	duplicates, attached       atomic.Uint64
	gapWaits, resubmitted      atomic.Uint64
	orderAtRisk                atomic.Uint64
	unbookedPuts               atomic.Uint64
}

// UnbookedPuts returns the billable PUTs of objects that no entry of this
// session has booked or will book: after Close the WAL's owner reports them.
// PUTs in an entry whose outcome is unknown are not included: they may be
// booked.
func (w *WAL) UnbookedPuts() uint64 { return w.meters.unbookedPuts.Load() }

// Stats returns the counters and what is pending now.
func (w *WAL) Stats() Stats {
	m := &w.meters
	s := Stats{BudgetBytes: w.cfg.BudgetBytes, ObjectsInFlight: m.objectsInFlight.Load(),
		Objects: m.objects.Load(), ObjectBytes: m.objectBytes.Load(), FailedObjects: m.failedObjects.Load(),
		PUTs:          w.hedger.Stats(),
		InlineEntries: m.inlineEntries.Load(), InlineBytes: m.inlineBytes.Load(),
		Duplicates: m.duplicates.Load(), Attached: m.attached.Load(), GapWaits: m.gapWaits.Load(),
		Resubmitted: m.resubmitted.Load(), OrderAtRisk: m.orderAtRisk.Load()}
	used, waiting := w.budget.Used()
	s.PendingBytes, s.BlockedAppends = used, int64(waiting)
	w.mu.Lock()
	s.PendingBatches = int64(w.pendingBatches)
	w.mu.Unlock()
	for i := range m.sealed {
		s.Sealed[i] = m.sealed[i].Load()
	}
	for i := range m.commits {
		s.Commits[i] = m.commits[i].Load()
	}
	return s
}
