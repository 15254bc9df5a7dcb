package membudget

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitersAreServedInOrderOfArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := 0
		b := New(10, func() { waits++ })
		if !b.TryAcquire(8) || b.TryAcquire(3) || b.Available() != 2 {
			t.Fatal("a budget of 10 bytes must grant 8, not 3 more")
		}
		var order []int64
		for _, n := range []int64{9, 1, 25} {
			go func() {
				if err := b.Acquire(t.Context(), n, nil); err != nil {
					t.Error(err)
				}
				order = append(order, n)
				b.Release(n)
			}()
			synctest.Wait()
		}
		if _, waiting := b.Used(); waits != 3 || waiting != 3 || b.Available() != 0 || b.TryAcquire(1) {
			t.Fatalf("%d of %d wait, %d bytes available; want 3 and none", waiting, waits, b.Available())
		}
		time.Sleep(time.Second)
		if d := b.LongestWait(time.Now()); d != time.Second {
			t.Errorf("longest wait %v, want 1s", d)
		}
		b.Release(8)
		synctest.Wait()
		if used, waiting := b.Used(); len(order) != 3 || order[2] != 25 || used != 0 || waiting != 0 || b.LongestWait(time.Now()) != -1 {
			t.Errorf("granted %v, %d bytes used, %d wait; want the oversized request last and nothing left", order, used, waiting)
		}
	})
}

func TestACancelledWaitLeavesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(10, nil)
		b.Charge(12)
		ctx, cancel := context.WithCancel(t.Context())
		stop, results := make(chan struct{}), make(chan error, 3)
		go func() { results <- b.Acquire(ctx, 9, stop) }()
		synctest.Wait()
		go func() { results <- b.Acquire(t.Context(), 8, stop) }()
		synctest.Wait()
		go func() { results <- b.Acquire(t.Context(), 1, nil) }()
		synctest.Wait()
		cancel()
		if err := <-results; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want the context's", err)
		}
		b.Release(5)
		close(stop)
		if err := <-results; !errors.Is(err, ErrStopped) {
			t.Errorf("error %v, want %v", err, ErrStopped)
		}
		if err := <-results; err != nil {
			t.Errorf("the request after the cancelled ones: %v", err)
		}
		if used, waiting := b.Used(); used != 8 || waiting != 0 {
			t.Errorf("%d bytes used, %d wait; want 8 and none", used, waiting)
		}
	})
}
