package wal

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/hedge"
)

// WAL holds what this broker's clients sent and nobody acknowledged yet. It
// lives as long as the session it commits for.
type WAL struct {
	cfg     Config
	budget  *budget
	hedger  *hedge.Hedger
	meters  meters
	control *control
	lanes   [metadata.LaneCount]*lane // the data lanes; LaneControl is nil

	mu      sync.Mutex // guards what follows; held for memory only
	pins    pins
	items   int // not answered
	subs    int // submissions not answered
	owed    int // losers that no entry has named
	refuse  error
	closed  bool // submissions are refused too
	closing bool // Close was called
	quiet   []*quietWaiter

	ctx       context.Context // ends what cannot be waited for any longer
	cancel    context.CancelFunc
	uploadCtx context.Context // ends also when the session is lost
	cancelUp  context.CancelFunc
	stop      chan struct{} // closed when Append is refused from then on
	stopOnce  sync.Once
	lost      chan struct{} // closed when the session is lost
	lostOnce  sync.Once
	ended     chan struct{}  // closed at the end of Close
	loops     sync.WaitGroup // the lanes
	tasks     sync.WaitGroup // uploads and commits
}

// quietWaiter waits until nothing is pending.
type quietWaiter struct {
	all  bool // submissions and losers too
	done chan struct{}
}

// Open starts the lanes of a session.
func Open(cfg Config) (*WAL, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	w := &WAL{cfg: cfg, budget: &budget{limit: cfg.BudgetBytes}, hedger: hedge.New(hedge.Config{Unknown: cfg.HedgeAfter, Racing: cfg.MaxHedges}), pins: pins{},
		stop: make(chan struct{}), lost: make(chan struct{}), ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.uploadCtx, w.cancelUp = context.WithCancel(w.ctx)
	w.control = newControl(w)
	w.loops.Go(w.control.run)
	for _, id := range []metadata.Lane{metadata.LaneLow, metadata.LaneStandard} {
		w.lanes[id] = newLane(w, id, rand.New(rand.NewPCG(cfg.Rand.Uint64(), uint64(id))))
		w.loops.Go(w.lanes[id].run)
	}
	return w, nil
}

// Append takes a batch. It waits only for the memory budget, until ctx ends;
// the caller stops reading its socket meanwhile. The order of calls is the
// order of the log per partition. An error says that nothing was taken:
// ErrDraining, ErrSessionLost, ErrClosed, or the context's.
func (w *WAL) Append(ctx context.Context, b Batch) (*Ack, error) {
	if b.Lane != metadata.LaneLow && b.Lane != metadata.LaneStandard {
		return nil, fmt.Errorf("append batch: BUG: lane %s", b.Lane)
	}
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("append batch: BUG: %w", err)
	}
	it := newItem(b)
	if err := w.budget.acquire(ctx, it.charged, w.stop); err != nil {
		if refused := w.refused(); refused != nil {
			err = refused
		}
		return nil, err
	}
	if err := w.enter(it); err != nil {
		w.budget.release(it.charged)
		return nil, err
	}
	return &it.ack, nil
}

// enter gives an item to its lane, or parks it.
func (w *WAL) enter(it *item) error {
	l := w.lanes[it.Lane]
	w.mu.Lock()
	if w.refuse != nil {
		defer w.mu.Unlock()
		return w.refuse
	}
	w.items++
	if it.Activity != nil {
		it.Activity.begin(len(it.Bytes), it.More)
	}
	if w.pins.enter(it) {
		l.box.add(it)
	}
	w.mu.Unlock()
	l.box.signal()
	return nil
}

func (w *WAL) refused() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refuse
}

// settled takes answered items out, and lets in what was parked behind them.
func (w *WAL) settled(items []*item) {
	var freed int64
	for _, it := range items {
		freed += it.charged
	}
	w.mu.Lock()
	w.items -= len(items)
	complete, free := w.pins.leave(items)
	for _, it := range free {
		w.lanes[it.Lane].box.add(it)
	}
	quiet := w.takeQuiet()
	w.mu.Unlock()
	w.budget.release(freed)
	for _, m := range complete {
		close(m.done)
	}
	for _, q := range quiet {
		close(q.done)
	}
	for _, it := range free {
		w.lanes[it.Lane].box.signal()
	}
}

// takeQuiet returns who has waited for what is now so.
func (w *WAL) takeQuiet() (ready []*quietWaiter) {
	keep := w.quiet[:0]
	for _, q := range w.quiet {
		if w.items == 0 && (!q.all || w.subs == 0 && w.owed == 0) {
			ready = append(ready, q)
		} else {
			keep = append(keep, q)
		}
	}
	w.quiet = keep
	return ready
}

// unpark takes the parked batches of a partition, to be answered.
func (w *WAL) unpark(tp metadata.TopicPartition) []*item {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pins.unpark(tp)
}

// enterSubmit gives a submission to the control lane.
func (w *WAL) enterSubmit(s *submission) error {
	w.mu.Lock()
	if w.closed {
		defer w.mu.Unlock()
		return w.refuse
	}
	w.subs++
	w.control.box.call(func() { w.control.take(s) })
	w.mu.Unlock()
	w.control.box.signal()
	return nil
}

func (w *WAL) leaveSubmit() { w.count(-1, 0) }

// count changes how many submissions are not answered and how many losers no
// entry has named yet.
func (w *WAL) count(subs, owed int) {
	w.mu.Lock()
	w.subs += subs
	w.owed += owed
	quiet := w.takeQuiet()
	w.mu.Unlock()
	for _, q := range quiet {
		close(q.done)
	}
}

// refuseFrom refuses batches from now on, and submissions too if closed is
// set. The first reason stays, but for a lost session.
func (w *WAL) refuseFrom(err error, closed bool) {
	w.mu.Lock()
	if w.refuse == nil || err == ErrSessionLost {
		w.refuse = err
	}
	w.closed = w.closed || closed
	w.mu.Unlock()
	w.stopOnce.Do(func() { close(w.stop) })
}

// lose ends the WAL because its session is gone. What is in entries under way
// is still answered by what becomes of them; the rest fails, retriably.
func (w *WAL) lose() {
	w.lostOnce.Do(func() {
		w.refuseFrom(ErrSessionLost, true)
		w.cancelUp()
		w.abandon(ErrSessionLost)
		close(w.lost)
	})
}

func (w *WAL) abandon(err error) {
	w.control.box.post(func() { w.control.abandon(err) })
	for _, l := range w.lanes {
		if l != nil {
			l.box.post(func() { l.abandon(err) })
		}
	}
}

// SessionLost tells the WAL that its session is gone, or may be, before one of
// its own appends found out. What is not in an entry under way fails at once.
func (w *WAL) SessionLost() { w.lose() }

// Lost is closed when the WAL has found its session gone: the broker opens a
// new session and a new WAL.
func (w *WAL) Lost() <-chan struct{} { return w.lost }

// NoteOrderAtRisk counts n batches without producer id that were taken
// although the hand-over of their partition was not confirmed in time.
func (w *WAL) NoteOrderAtRisk(n int) { w.meters.orderAtRisk.Add(uint64(n)) }
