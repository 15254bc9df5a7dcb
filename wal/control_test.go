package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

func TestSubmitsOfManyShareAnEntryAndGetTheirOwnOutcomes(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
		before := len(r.applied())
		var wg sync.WaitGroup
		for i := range 20 {
			if i == 1 {
				time.Sleep(time.Millisecond) // the first travels by now, whichever goroutine ran first; the others wait behind it
			}
			wg.Go(func() {
				topic := metadata.CreateTopic{ID: metadata.TopicID{byte(i + 1)}, Name: fmt.Sprint("t", i/2), Partitions: 1, ReplicationFactor: 1}
				out := r.submit(nil, metadata.AllocateProducers{Count: 1}, topic)
				if out.Code != 0 || len(out.Commands) != 2 || out.Commands[0].Value == 0 {
					t.Errorf("outcome %+v", out)
				}
			})
		}
		wg.Wait()
		if n := len(r.applied()) - before; n != 2 {
			t.Errorf("%d entries, want 2", n)
		}
		made := 0
		r.replica.View(func(s *metadata.State) { made = len(s.Topics()) })
		if made != 10 {
			t.Errorf("%d topics", made)
		}
	})
}

func TestGuardedSubmitTravelsAloneAndSaysThatItsGuardFailed(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 3 * time.Millisecond, nil }
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				var g *metadata.Guard
				if i == 3 {
					g = &metadata.Guard{SessionGone: r.cfg.Session}
				}
				out := r.submit(g, metadata.AllocateProducers{Count: 1})
				if want := map[bool]metadata.Code{true: metadata.CodeGuardFailed}[i == 3]; out.Code != want {
					t.Errorf("submit %d: %+v", i, out)
				}
			})
		}
		wg.Wait()
		r.submit(nil, metadata.AllocateProducers{Count: 1}) // the lane continues
	})
}

func TestInvalidSubmitFailsItsCallerAlone(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		huge := metadata.CreateTopic{Name: string(make([]byte, metadata.MaxEntryBytes))}
		if _, err := r.w.Submit(context.Background(), []metadata.Command{huge}, nil); err == nil {
			t.Error("a command larger than an entry was taken")
		}
		r.submit(nil, metadata.AllocateProducers{Count: 1})
	})
}

func TestSubmitGivenUpBeforeItWasSentLeavesNoTrace(t *testing.T) {
	inBubble(t, nil, func(r *rig) {
		r.log.before = func(metadata.EntryKey) (time.Duration, error) { return 100 * time.Millisecond, nil }
		go r.w.Submit(context.Background(), []metadata.Command{metadata.AllocateProducers{Count: 1}}, nil)
		time.Sleep(10 * time.Millisecond)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err := r.w.Submit(ctx, []metadata.Command{metadata.AllocateProducers{Count: 1000}}, nil)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrNotSent) || errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("given up in the queue: %v", err)
		}
		time.Sleep(200 * time.Millisecond)
		short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		defer cancel()
		_, err = r.w.Submit(short, []metadata.Command{metadata.AllocateProducers{Count: 1}}, nil)
		if !errors.Is(err, ErrOutcomeUnknown) {
			t.Errorf("given up under way: %v", err)
		}
		if out := r.submit(nil, metadata.AllocateProducers{Count: 1}); out.Commands[0].Value > 10 {
			t.Errorf("the command that was given up in the queue landed: %+v", out)
		}
	})
}

// A caller whose submission a lost session could not append gets an error that
// it was not committed, also if the session's end cancels it: usage reports
// that certainly were not committed are sent again, those with an unknown
// outcome are given up.
func TestSubmitOfALostSessionIsNotOfUnknownOutcome(t *testing.T) {
	for range 30 {
		inBubble(t, nil, func(r *rig) {
			r.log.before = func(metadata.EntryKey) (time.Duration, error) { return time.Millisecond, metadata.ErrSessionLost }
			ctx, cancel := context.WithCancel(context.Background())
			go func() { <-r.w.Lost(); cancel() }()
			_, err := r.w.Submit(ctx, []metadata.Command{metadata.AllocateProducers{Count: 1}}, nil)
			if !errors.Is(err, ErrSessionLost) {
				t.Errorf("submitted to a lost session: %v", err)
			}
		})
	}
}
