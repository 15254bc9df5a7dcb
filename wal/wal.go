package wal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/zonewise/zonewise/internal/membudget"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// WAL holds the batches and commands that are not acknowledged yet. It lives as
// long as the session it commits for.
type WAL struct {
	cfg     Config
	budget  *membudget.Budget // bytes not yet acknowledged; one large batch goes in alone
	hedger  *hedge.Hedger
	meters  meters
	control *control
	lanes   [metadata.LaneCount]*lane // the data lanes; LaneControl is nil

	mu                 sync.Mutex // guards what follows; held for memory only
	assignments        laneAssignments
	pendingBatches     int // not answered
	pendingSubmissions int // submissions not answered
	unnamedOrphans     int // orphaned uploads that no entry has named
	refuseErr          error
	submitRefused      bool // submissions are refused too
	closing            bool // Close was called
	drainWaiters       []*drainWaiter

	ctx               context.Context // ended by Close
	cancel            context.CancelFunc
	uploadCtx         context.Context // ends also when the session is lost
	cancelUploads     context.CancelFunc
	appendRefused     chan struct{} // closed when Append is refused from then on
	appendRefusedOnce sync.Once
	sessionLost       chan struct{} // closed when the session is lost
	sessionLostOnce   sync.Once
	closeDone         chan struct{}  // closed at the end of Close
	laneLoops         sync.WaitGroup // the lanes
	tasks             sync.WaitGroup // uploads and commits
}

// drainWaiter waits until nothing is pending.
type drainWaiter struct {
	withSubmissions bool // submissions and orphaned uploads too
	done            chan struct{}
}

// Open starts the lanes of a session.
func Open(cfg Config) (*WAL, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &WAL{cfg: cfg, budget: membudget.New(cfg.BudgetBytes, nil), hedger: hedge.New(hedge.Config{InitialDelay: cfg.HedgeAfter, MaxHedges: cfg.MaxHedges}), assignments: laneAssignments{},
		appendRefused: make(chan struct{}), sessionLost: make(chan struct{}), closeDone: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.uploadCtx, w.cancelUploads = context.WithCancel(w.ctx)
	w.control = newControl(w)
	w.laneLoops.Go(w.control.run)
	for _, id := range []metadata.Lane{metadata.LaneLow, metadata.LaneStandard} {
		w.lanes[id] = newLane(w, id, rand.New(rand.NewPCG(cfg.Rand.Uint64(), uint64(id))))
		w.laneLoops.Go(w.lanes[id].run)
	}
	return w, nil
}

// Append accepts a batch. It waits only for the memory budget, until ctx ends;
// the caller stops reading its socket meanwhile. The order of calls is the
// order of the log per partition. An error means that nothing was accepted:
// ErrDraining, ErrSessionLost, ErrClosed, or the context's.
func (w *WAL) Append(ctx context.Context, b Batch) (*Ack, error) {
	if b.Lane != metadata.LaneLow && b.Lane != metadata.LaneStandard {
		return nil, fmt.Errorf("append batch: BUG: lane %s", b.Lane)
	}
	if err := b.validate(); err != nil {
		return nil, fmt.Errorf("append batch: BUG: %w", err)
	}
	it := newPendingBatch(b)
	if err := w.budget.Acquire(ctx, it.chargedBytes, w.appendRefused); err != nil {
		if errors.Is(err, membudget.ErrStopped) {
			err = ErrClosed
		}
		if refused := w.refusalError(); refused != nil {
			err = refused
		}
		return nil, err
	}
	if err := w.enqueueBatch(it); err != nil {
		w.budget.Release(it.chargedBytes)
		return nil, err
	}
	return &it.ack, nil
}

// enqueueBatch passes a batch to its lane, or parks it.
func (w *WAL) enqueueBatch(it *pendingBatch) error {
	l := w.lanes[it.Lane]
	w.mu.Lock()
	if w.refuseErr != nil {
		defer w.mu.Unlock()
		return w.refuseErr
	}
	w.pendingBatches++
	if it.Activity != nil {
		it.Activity.noteArrived(len(it.Bytes), it.More)
	}
	if w.assignments.admitBatch(it) {
		l.box.addBatches(it)
	}
	w.mu.Unlock()
	l.box.wakeOwner()
	return nil
}

func (w *WAL) refusalError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refuseErr
}

// releaseAnswered removes answered batches, and passes on those that were
// parked behind them.
func (w *WAL) releaseAnswered(items []*pendingBatch) {
	var freed int64
	for _, it := range items {
		freed += it.chargedBytes
	}
	w.mu.Lock()
	w.pendingBatches -= len(items)
	complete, free := w.assignments.removeAnswered(items)
	for _, it := range free {
		w.lanes[it.Lane].box.addBatches(it)
	}
	drained := w.takeDrained()
	w.mu.Unlock()
	w.budget.Release(freed)
	for _, m := range complete {
		close(m.done)
	}
	for _, q := range drained {
		close(q.done)
	}
	for _, it := range free {
		w.lanes[it.Lane].box.wakeOwner()
	}
}

// takeDrained removes and returns the waiters whose condition now holds.
func (w *WAL) takeDrained() (ready []*drainWaiter) {
	keep := w.drainWaiters[:0]
	for _, q := range w.drainWaiters {
		if w.pendingBatches == 0 && (!q.withSubmissions || w.pendingSubmissions == 0 && w.unnamedOrphans == 0) {
			ready = append(ready, q)
		} else {
			keep = append(keep, q)
		}
	}
	w.drainWaiters = keep
	return ready
}

// takeParked takes the parked batches of a partition, to be answered.
func (w *WAL) takeParked(tp metadata.TopicPartition) []*pendingBatch {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assignments.takeParked(tp)
}

// enqueueSubmission passes a submission to the control lane.
func (w *WAL) enqueueSubmission(s *submission) error {
	w.mu.Lock()
	if w.submitRefused {
		defer w.mu.Unlock()
		return w.refuseErr
	}
	w.pendingSubmissions++
	w.control.box.addCall(func() { w.control.enqueueSubmission(s) })
	w.mu.Unlock()
	w.control.box.wakeOwner()
	return nil
}

func (w *WAL) countSubmissionDone() { w.adjustPending(-1, 0) }

// adjustPending changes how many submissions are not answered and how many
// orphaned uploads no entry has named yet.
func (w *WAL) adjustPending(submissions, orphans int) {
	w.mu.Lock()
	w.pendingSubmissions += submissions
	w.unnamedOrphans += orphans
	drained := w.takeDrained()
	w.mu.Unlock()
	for _, q := range drained {
		close(q.done)
	}
}

// refuseNew refuses batches from now on, and submissions too if closed is set.
// The first reason stays, unless the session is lost.
func (w *WAL) refuseNew(err error, closed bool) {
	w.mu.Lock()
	if w.refuseErr == nil || err == ErrSessionLost {
		w.refuseErr = err
	}
	w.submitRefused = w.submitRefused || closed
	w.mu.Unlock()
	w.appendRefusedOnce.Do(func() { close(w.appendRefused) })
}

// handleSessionLost ends the WAL because its session is gone. Batches in
// entries under way are still answered by the outcome of those entries; the
// rest fails, retriably.
func (w *WAL) handleSessionLost() {
	w.sessionLostOnce.Do(func() {
		w.refuseNew(ErrSessionLost, true)
		w.cancelUploads()
		w.abandonLanes(ErrSessionLost)
		close(w.sessionLost)
	})
}

func (w *WAL) abandonLanes(err error) {
	w.control.box.postCall(func() { w.control.abandon(err) })
	for _, l := range w.lanes {
		if l != nil {
			l.box.postCall(func() { l.abandon(err) })
		}
	}
}

// MarkSessionLost reports that the session is gone, or may be, before an append of
// the WAL finds out. What is not in an entry under way fails at once.
func (w *WAL) MarkSessionLost() { w.handleSessionLost() }

// Lost is closed when the WAL has found its session gone: the broker opens a
// new session and a new WAL.
func (w *WAL) Lost() <-chan struct{} { return w.sessionLost }

// NoteOrderAtRisk counts n batches without producer id that were accepted
// although the hand-over of their partition was not confirmed in time.
func (w *WAL) NoteOrderAtRisk(n int) { w.meters.orderAtRisk.Add(uint64(n)) }
