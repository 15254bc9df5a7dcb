package wal

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func TestPartitionChangesLaneOnlyWhenNothingOfItIsPending(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(2)
		r.store.outcome = func(n metadata.ObjectName) uploadOutcome {
			if n.Lane == metadata.LaneStandard {
				return uploadOutcome{takes: 300 * time.Millisecond}
			}
			return uploadOutcome{takes: time.Millisecond}
		}
		a := r.send(made{mark: 1})
		b := r.send(made{mark: 2, lane: metadata.LaneLow})
		c := r.send(made{mark: 3}) // behind b, in the first lane again
		quick := r.send(made{partition: 1, lane: metadata.LaneLow})
		start := time.Now()
		r.want(quick, 0)
		if took := time.Since(start); took > 20*time.Millisecond {
			t.Errorf("the low lane waited %v for the standard one", took)
		}
		r.want(a, 0)
		r.want(b, 1)
		r.want(c, 2)
	})
}

func TestDrainPartitionWaitsForWhatWasPendingAndHastensIt(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = time.Hour }, func(r *rig) {
		r.makeTopic(2)
		a := r.send(made{mark: 1})
		time.Sleep(time.Millisecond)
		done := make(chan error)
		go func() { done <- r.w.DrainPartition(context.Background(), r.tp(0)) }()
		synctest.Wait()
		later := r.send(made{mark: 2}) // is taken, and not waited for
		if err := <-done; err != nil {
			t.Error(err)
		}
		select {
		case <-a.Done():
		default:
			t.Error("drained before the batch was answered")
		}
		select {
		case <-later.Done():
			t.Error("a later batch was hastened too")
		default:
		}
		if err := r.w.DrainPartition(context.Background(), r.tp(1)); err != nil {
			t.Errorf("nothing to drain: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return time.Second, nil }
		if err := r.w.DrainPartition(ctx, r.tp(0)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("drain cut short: %v", err)
		}
	})
}

func TestDrainAnswersAllAndRefusesTheRest(t *testing.T) {
	inBubble(t, func(c *Config) { c.Linger = time.Hour }, func(r *rig) {
		r.makeTopic(2)
		a, b := r.send(made{}), r.send(made{partition: 1, lane: metadata.LaneLow})
		if err := r.w.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.want(a, 0)
		r.want(b, 0)
		if _, err := r.w.Append(context.Background(), r.batch(made{})); !errors.Is(err, ErrDraining) {
			t.Errorf("append while draining: %v", err)
		}
		r.submit(nil, metadata.DrainSession{}) // commands go on
	})
}

func TestDrainLetsGoOfAppendsThatWaitForMemory(t *testing.T) {
	inBubble(t, func(c *Config) { c.BudgetBytes = 2 << 10 }, func(r *rig) {
		r.makeTopic(1)
		a := r.send(made{bytes: 900})
		refused := make(chan error)
		go func() {
			_, err := r.w.Append(context.Background(), r.batch(made{bytes: 900}))
			refused <- err
		}()
		synctest.Wait()
		go r.w.Drain(context.Background())
		if err := <-refused; !errors.Is(err, ErrDraining) {
			t.Errorf("waiting append: %v", err)
		}
		r.want(a, 0)
	})
}

func TestCloseThatIsCutShortFailsWhatIsLeft(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.makeTopic(2)
		release := make(chan struct{})
		r.store.outcome = func(metadata.ObjectName) uploadOutcome { return uploadOutcome{until: release} }
		a := r.send(made{})
		time.Sleep(150 * time.Millisecond)
		b := r.send(made{partition: 1})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		r.wantError(a, ErrClosed)
		r.wantError(b, ErrClosed)
		if _, err := r.w.Submit(context.Background(), []metadata.Command{metadata.DrainSession{}}, nil); !errors.Is(err, ErrClosed) {
			t.Errorf("submit after close: %v", err)
		}
	})
}

func TestCloseWithAnAppendUnderWayLeavesItsOutcomeUnknown(t *testing.T) {
	inBubble(t, inlineUpTo(1<<10), func(r *rig) {
		r.makeTopic(1)
		r.log.after = func(metadata.EntryKey) (time.Duration, error) { return time.Hour, nil }
		a := r.send(made{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := r.w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		r.wantError(a, ErrOutcomeUnknown)
	})
}
