package wal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// faultyLog is the in-memory log with scripted delays and errors.
type faultyLog struct {
	*metadata.MemLog
	before func(metadata.EntryKey) (time.Duration, error) // before it lands
	after  func(metadata.EntryKey) (time.Duration, error) // before the answer
}

func (l *faultyLog) Append(ctx context.Context, r metadata.AppendRequest) (metadata.AppendResult, error) {
	if l.before != nil {
		if err := pause(ctx, r.Key, l.before); err != nil {
			return metadata.AppendResult{}, err
		}
	}
	res, err := l.MemLog.Append(ctx, r)
	if err == nil && l.after != nil {
		if err := pause(ctx, r.Key, l.after); err != nil {
			return metadata.AppendResult{}, err
		}
	}
	return res, err
}

func pause(ctx context.Context, key metadata.EntryKey, f func(metadata.EntryKey) (time.Duration, error)) error {
	d, err := f(key)
	select {
	case <-time.After(d):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// uploadOutcome is the scripted outcome of one upload.
type uploadOutcome struct {
	takes time.Duration
	err   error
	land  bool // although it fails
	puts  uint32
	until <-chan struct{} // it does not end before
}

// call is one upload that ended.
type call struct {
	name  metadata.ObjectName
	puts  uint32
	bytes int
	err   error
}

// slowStore is a bucket in memory; outcome is a function of the name.
type slowStore struct {
	t       *testing.T
	mu      sync.Mutex // guards what follows
	objects map[metadata.ObjectName][]byte
	begun   []metadata.ObjectName
	ended   []call
	outcome func(metadata.ObjectName) uploadOutcome
}

func (s *slowStore) Upload(ctx context.Context, name metadata.ObjectName, body []byte) (uint32, error) {
	s.mu.Lock()
	s.begun = append(s.begun, name)
	f := uploadOutcome{takes: 30 * time.Millisecond}
	if s.outcome != nil {
		f = s.outcome(name)
	}
	s.mu.Unlock()
	if f.puts == 0 {
		f.puts = 1
	}
	before := sha256.Sum256(body)
	err := f.err
	select {
	case <-time.After(f.takes):
	case <-ctx.Done():
		err = ctx.Err()
	}
	if f.until != nil {
		select {
		case <-f.until:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if sha256.Sum256(body) != before {
		s.t.Errorf("object %s: the body changed while it was sent", name.Key())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil || f.land {
		if s.objects[name] != nil {
			s.t.Errorf("object %s is written twice", name.Key())
		}
		s.objects[name] = bytes.Clone(body)
	}
	s.ended = append(s.ended, call{name, f.puts, len(body), err})
	if err != nil {
		return f.puts, fmt.Errorf("put %s: %w", name.Key(), err)
	}
	return f.puts, nil
}

func (s *slowStore) body(n metadata.ObjectName) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[n]
}

func (s *slowStore) calls() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]call(nil), s.ended...)
}

// scriptedGovernor grants everything, except what a test takes away.
type scriptedGovernor struct {
	mu       sync.Mutex // guards what follows
	inline   int        // bytes left
	acquired []metadata.Cost
	// settled is what entries took that are applied, or failed.
	settled []metadata.Cost
	inlined int
	// sessions is how many WALs use it.
	sessions int
	delay    time.Duration
}

func (g *scriptedGovernor) Acquire(ctx context.Context, _ metadata.Lane, c Cost) error {
	g.mu.Lock()
	g.acquired = append(g.acquired, c)
	d := g.delay
	g.mu.Unlock()
	if d == 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *scriptedGovernor) InlineAllowed(n int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inline < n {
		return false
	}
	g.inline -= n
	g.inlined += n
	return true
}

func (g *scriptedGovernor) Settle(c metadata.Cost) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settled = append(g.settled, c)
}

// check compares what entries took with what was settled.
func (g *scriptedGovernor) check(t *testing.T) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	sum := func(all []metadata.Cost) (s metadata.Cost) {
		for _, c := range all {
			s.Commits += c.Commits
			s.EntryBytes += c.EntryBytes
			s.Runs += c.Runs
			s.InlineBytes += c.InlineBytes
		}
		return s
	}
	acquired, settled := sum(g.acquired), sum(g.settled)
	// A lane may have acquired a commit that it did not need in the end.
	spare := acquired.Commits - settled.Commits
	if spare < 0 || spare > int(metadata.LaneCount)*g.sessions || acquired.EntryBytes != settled.EntryBytes || acquired.Runs != settled.Runs || g.inlined != settled.InlineBytes {
		t.Errorf("acquired %+v and %d bytes inline, settled %+v", acquired, g.inlined, settled)
	}
}
