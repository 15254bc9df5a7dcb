package metadata

import (
	"context"
	"fmt"
	"time"
)

// BarrierTimeout is how long a barrier may take before reads fail, retriably.
const BarrierTimeout = 5 * time.Second

// Barrier returns once the state has everything that any broker acknowledged
// before the call. Calls that arrive before a read is sent share it.
func (r *Replica) Barrier(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, BarrierTimeout)
	defer cancel()
	rev, number, err := r.barriers.joinNext(ctx)
	if err != nil {
		err = fmt.Errorf("read barrier: %w", err)
	} else {
		err = r.WaitApplied(ctx, rev)
	}
	if after := r.cfg.hooks.AfterBarrier; after != nil {
		after(number)
	}
	return err
}

// BarrierTurn returns how many reads barriers have sent so far. A request keeps it
// when it arrives, for BarrierSince.
func (r *Replica) BarrierTurn() uint64 {
	r.barriers.mu.Lock()
	defer r.barriers.mu.Unlock()
	return r.barriers.sent
}

// BarrierSince is Barrier for a request that arrived at a turn and waited: a read
// that was sent since then serves it as well as one of its own. So of many requests
// that wait on one connection, to be answered one after the other, only the first
// needs a read.
func (r *Replica) BarrierSince(ctx context.Context, turn uint64) error {
	r.barriers.mu.Lock()
	served, rev := r.barriers.answered > turn, r.barriers.revision
	r.barriers.mu.Unlock()
	if !served {
		return r.Barrier(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, BarrierTimeout)
	defer cancel()
	return r.WaitApplied(ctx, rev)
}
