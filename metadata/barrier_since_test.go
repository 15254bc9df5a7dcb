package metadata

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// slowBarrierLog's reads of its end take a millisecond.
type slowBarrierLog struct {
	*MemLog
	reads int
	fail  bool
}

func (l *slowBarrierLog) Barrier(ctx context.Context) (Revision, error) {
	l.reads++
	fail := l.fail
	time.Sleep(time.Millisecond)
	if fail {
		return 0, errors.New("no quorum")
	}
	return l.MemLog.Barrier(ctx)
}

// A read that was sent after a request arrived serves it; one that was sent before,
// or that failed, does not.
func TestABarrierServesOnlyWhatArrivedBeforeItsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &slowBarrierLog{MemLog: NewMemLog()}
		r := NewReplica(ReplicaConfig{Log: log, Store: newMemStore(), Logger: slog.New(slog.DiscardHandler)})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		since := func(turn uint64, reads int) {
			t.Helper()
			before := log.reads
			if err := r.BarrierSince(ctx, turn); (err != nil) != log.fail || log.reads-before != reads {
				t.Errorf("%d reads, want %d: %v", log.reads-before, reads, err)
			}
		}
		first := r.BarrierTurn()
		since(first, 1)
		since(first, 0)
		second := r.BarrierTurn()
		since(second, 1) // the read before was sent earlier
		go func() { _ = r.Barrier(ctx) }()
		synctest.Wait()
		during := r.BarrierTurn() // arrives while a read is under way
		time.Sleep(2 * time.Millisecond)
		since(second, 0)
		since(during, 1)
		log.fail = true
		failed := r.BarrierTurn()
		since(failed, 1)
		since(failed, 1)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
