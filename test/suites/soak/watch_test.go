//go:build soak

package soak

import (
	"context"
	"slices"
	"sync"
	"time"
)

// retainedTopic is a topic and what its log starts are checked by.
type retainedTopic struct {
	name       string
	partitions int32
	bytes      int64         // retention.bytes; 0: none
	age        time.Duration // retention.ms; 0: none
	trimmed    bool          // by DeleteRecords
}

// Retention may be late: by the brokers' check interval, a tick, state time that waits for
// a holder that was killed, and a busy machine.
const lateAge = 90 * time.Second

// watcher reads log starts and metrics every two seconds, and reads partitions back one
// after the other, until it is stopped. What it finds goes into the history.
type watcher struct {
	r       *rig
	topics  []retainedTopic
	stop    context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	starts   map[TopicPartition]int64
	allowed  map[TopicPartition]int64 // by DeleteRecords: the highest offset asked for
	deletedN map[int]float64          // by broker: what its counter was
	deleted  float64
	times    []time.Time // at which the count of deletions had grown
	sweeps   int
	measured map[TopicPartition]int // sweeps by which retention.bytes was measured
	records  int64                  // read back
}

const watchInterval = 2 * time.Second

func (r *rig) watch(topics ...retainedTopic) *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	r.t.Cleanup(cancel)
	w := &watcher{r: r, topics: topics, stop: cancel, starts: map[TopicPartition]int64{}, allowed: map[TopicPartition]int64{},
		deletedN: map[int]float64{}, measured: map[TopicPartition]int{}}
	w.running.Go(func() { w.repeat(ctx, w.checkStarts) })
	w.running.Go(func() { w.repeat(ctx, w.countDeletions) })
	w.running.Go(func() { w.repeat(ctx, w.sweepAll) })
	return w
}

func (w *watcher) repeat(ctx context.Context, do func(context.Context)) {
	for {
		do(ctx)
		select {
		case <-time.After(watchInterval):
		case <-ctx.Done():
			return
		}
	}
}

// finish stops it and waits.
func (w *watcher) finish() {
	w.stop()
	w.running.Wait()
}

// checkStarts compares the log starts with what retention allows.
func (w *watcher) checkStarts(ctx context.Context) {
	var names []string
	for _, t := range w.topics {
		names = append(names, t.name)
	}
	starts, err := w.r.listOffsets(ctx, true, names...)
	if err != nil {
		if ctx.Err() == nil {
			w.r.history.Report("%v", err)
		}
		return
	}
	now := time.Now()
	for _, t := range w.topics {
		for p := range t.partitions {
			tp := TopicPartition{t.name, p}
			w.checkStart(t, tp, starts[tp], now)
			w.r.history.Forget(tp, starts[tp])
		}
	}
}

func (w *watcher) checkStart(t retainedTopic, tp TopicPartition, start int64, now time.Time) {
	w.mu.Lock()
	before, allowed := w.starts[tp], w.allowed[tp]
	w.starts[tp] = start
	w.mu.Unlock()
	if start < before {
		w.r.history.Report("%v: the log start went back from %d to %d", tp, before, start)
	}
	if t.trimmed && start > allowed {
		w.r.history.Report("%v: the log start is %d, and no DeleteRecords went beyond %d", tp, start, allowed)
	}
	if t.age == 0 {
		return
	}
	for _, m := range w.r.history.Marks(tp) {
		age := now.Sub(m.Made)
		if m.Offset < start && age < t.age {
			w.r.history.Report("%v: offset %d is below the log start %d, and its record is %v old; retention.ms is %v", tp, m.Offset, start, age, t.age)
			return
		}
		if m.Offset >= start && age > t.age+lateAge {
			w.r.history.Report("%v: offset %d is still there after %v; retention.ms is %v", tp, m.Offset, age, t.age)
			return
		}
	}
}

// trim calls DeleteRecords for all but the last keep records of each partition, until ctx
// ends.
func (w *watcher) trim(t retainedTopic, keep int64, every time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := w.stop
	w.stop = func() { cancel(); stop() }
	w.running.Go(func() {
		for {
			select {
			case <-time.After(every):
			case <-ctx.Done():
				return
			}
			w.trimOnce(ctx, t, keep)
		}
	})
}

func (w *watcher) trimOnce(ctx context.Context, t retainedTopic, keep int64) {
	asked := map[TopicPartition]int64{}
	for p := range t.partitions {
		tp := TopicPartition{t.name, p}
		if offset := w.r.history.End(tp) - keep; offset > 0 {
			asked[tp] = offset
		}
	}
	if len(asked) == 0 {
		return
	}
	w.mu.Lock()
	for tp, offset := range asked {
		w.allowed[tp] = max(w.allowed[tp], offset)
	}
	w.mu.Unlock()
	low, err := w.r.deleteRecords(ctx, asked)
	if err != nil {
		return // a broker dies; what was asked may have been done
	}
	for tp, offset := range asked {
		if low[tp] != offset {
			w.r.history.Report("%v: DeleteRecords up to %d says that the log start is %d", tp, offset, low[tp])
		}
	}
}

// countDeletions adds up what each broker has deleted, over its restarts.
func (w *watcher) countDeletions(context.Context) {
	for i := range w.r.c.Brokers {
		m, err := w.r.scrape(i)
		if err != nil {
			continue // it is down
		}
		n := m.Sum("zonewise_garbage_deleted_total")
		w.mu.Lock()
		was := w.deletedN[i]
		if n < was {
			was = 0 // it was restarted
		}
		if n > was {
			w.deleted += n - was
			w.times = append(w.times, time.Now())
		}
		w.deletedN[i] = n
		w.mu.Unlock()
	}
}

// longestWithout returns the longest time between from and to without a deletion.
func (w *watcher) longestWithout(from, to time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, longest := from, time.Duration(0)
	for _, at := range append(slices.Clone(w.times), to) {
		if at.After(from) {
			longest = max(longest, at.Sub(last))
			last = at
		}
	}
	return longest
}

// sweepAll reads every partition back once.
func (w *watcher) sweepAll(ctx context.Context) {
	for _, t := range w.topics {
		for p := range t.partitions {
			if ctx.Err() != nil {
				return
			}
			w.sweepPartition(ctx, t, TopicPartition{t.name, p}, nil)
		}
	}
}

func (w *watcher) sweepPartition(ctx context.Context, t retainedTopic, tp TopicPartition, prepare func(*Sweep)) *Sweep {
	s, err := w.r.readPartition(ctx, tp, prepare)
	if err != nil {
		if ctx.Err() == nil {
			w.r.history.Report("%v", err)
		}
		return nil
	}
	measured := t.bytes > 0 && s.CheckBytes(t.bytes)
	records, _, _ := s.Totals()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sweeps++
	w.records += records
	if measured {
		w.measured[tp]++
	}
	return s
}
