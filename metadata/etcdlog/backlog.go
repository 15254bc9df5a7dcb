package etcdlog

import (
	"context"
	"fmt"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// backlog is a buffer between a watch and a slow follower. It holds at most
// watchBacklog entries and watchBytes; beyond that the follower reads the log
// again from its start, so that etcd's client does not buffer without limit.
type backlog struct {
	wg    sync.WaitGroup
	ready chan struct{} // capacity 1: something to take

	mu      sync.Mutex // guards the fields below
	queue   []WatchResponse
	entries int
	bytes   int
	ended   bool
}

func newBacklog(in <-chan WatchResponse) *backlog {
	b := &backlog{ready: make(chan struct{}, 1)}
	b.wg.Go(func() {
		for r := range in {
			b.add(r)
		}
		b.mu.Lock()
		b.ended = true
		b.mu.Unlock()
		b.notifyReady()
	})
	return b
}

func (b *backlog) notifyReady() {
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// add keeps a response; over the limit it only counts.
func (b *backlog) add(r WatchResponse) {
	b.mu.Lock()
	b.entries += len(r.Events)
	for _, e := range r.Events {
		b.bytes += len(e.Kv.Value)
	}
	if b.entries > watchBacklog || b.bytes > watchBytes {
		b.queue = nil
	} else {
		b.queue = append(b.queue, r)
	}
	b.mu.Unlock()
	b.notifyReady()
}

// takeAll returns everything that arrived since, and whether the watch has ended.
// ErrCompacted where the follower was too slow.
func (b *backlog) takeAll(ctx context.Context) (all []WatchResponse, ended bool, err error) {
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-b.ready:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries > watchBacklog || b.bytes > watchBytes {
		return nil, false, fmt.Errorf("%d entries (%d bytes) behind: %w", b.entries, b.bytes, metadata.ErrCompacted)
	}
	all, b.queue, b.entries, b.bytes = b.queue, nil, 0, 0
	return all, b.ended, nil
}

// wait waits for the end of the watch.
func (b *backlog) wait() { b.wg.Wait() }
