package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrStart means that no state can be had, as an object that a start reads is missing
// or damaged; the error names it. No broker can start either.
var ErrStart = errors.New("what a start reads is missing or damaged")

// Follower is a replica that has no broker.
type Follower struct {
	replica *metadata.Replica
	ctx     context.Context // ends with the reason for which it cannot follow
	cancel  context.CancelCauseFunc
	wg      sync.WaitGroup
}

// FollowConfig is what Follow needs.
type FollowConfig struct {
	Log    metadata.Log
	Bucket bucket.Bucket // below "<cluster>/"
	Logger *slog.Logger
}

// Follow returns a follower that has caught up. Where the checkpoint that a start
// reads is missing or damaged, it begins from the one that a recovery would use: then
// that fault can be reported beside all others. The caller stops the follower.
func Follow(ctx context.Context, c FollowConfig) (*Follower, error) {
	ctx = bucket.WithCause(ctx, bucket.CauseVerify)
	f, err := startFollower(ctx, c)
	if err == nil || !isDamage(err) {
		return f, err
	}
	rebuilt, cannot := recovery.Rebuild(ctx, c.Bucket)
	if cannot != nil || rebuilt.Checkpoint == nil {
		return nil, fmt.Errorf("%w: %w", ErrStart, err)
	}
	c.Logger.Warn("what a start reads is missing or damaged: beginning from another checkpoint", "err", err, "checkpoint", rebuilt.Checkpoint.Object)
	c.Log = startAt{c.Log, *rebuilt.Checkpoint}
	if f, err = startFollower(ctx, c); err != nil && isDamage(err) {
		err = fmt.Errorf("%w: %w", ErrStart, err)
	}
	return f, err
}

func isDamage(err error) bool {
	return isAbsent(err) || errors.Is(err, metadata.ErrCorrupt) || errors.Is(err, metadata.ErrVersion)
}

func startFollower(ctx context.Context, c FollowConfig) (*Follower, error) {
	f := &Follower{}
	f.ctx, f.cancel = context.WithCancelCause(ctx)
	store := &startStore{Bucket: c.Bucket, absent: map[string]int{}, fail: f.cancel}
	f.replica = metadata.NewReplica(metadata.ReplicaConfig{Log: c.Log, Store: store, Logger: c.Logger, Fatal: func(err error) { f.cancel(err) }})
	f.wg.Go(func() {
		if err := f.replica.Run(f.ctx); err != nil {
			f.cancel(err)
		}
	})
	for !f.replica.CaughtUp() {
		if err := sleep(f.ctx, 5*time.Millisecond); err != nil {
			f.Stop()
			return nil, err
		}
	}
	return f, nil
}

// Stop ends the follower.
func (f *Follower) Stop() {
	f.cancel(nil)
	f.wg.Wait()
}

// State is a Config.State.
func (f *Follower) State(ctx context.Context) (*metadata.State, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(f.ctx, func() { cancel(context.Cause(f.ctx)) })()
	s, err := ReplicaState(f.replica)(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return s, err
}

// startAt is a log that points at another checkpoint.
type startAt struct {
	metadata.Log
	checkpoint metadata.CheckpointPointer
}

// Start implements metadata.Log.
func (l startAt) Start(ctx context.Context) (metadata.StartPoint, error) {
	from, err := l.Log.Start(ctx)
	from.Checkpoint = &l.checkpoint
	return from, err
}

// maxAbsent is how often one object is not found until it is taken to be missing. A
// replica asks anew after each time, from where the log then starts: what was deleted
// meanwhile it does not ask for again.
const maxAbsent = 5

// startStore ends a replica, which else would ask for ever, when an object is missing.
type startStore struct {
	bucket.Bucket
	fail context.CancelCauseFunc

	mu     sync.Mutex
	absent map[string]int // by key; guarded by mu
}

// Get implements metadata.Store.
func (s *startStore) Get(ctx context.Context, key string, off, length int64) ([]byte, error) {
	b, err := s.Bucket.Get(ctx, key, off, length)
	if isAbsent(err) && s.countAbsent(key) >= maxAbsent {
		s.fail(fmt.Errorf("%s is missing from the bucket: %w", key, err))
	}
	return b, err
}

func (s *startStore) countAbsent(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.absent[key]++
	return s.absent[key]
}
