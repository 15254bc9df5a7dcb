package wal

import (
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// mailbox is how other goroutines reach a lane's: batches that arrived, and
// calls for it to make. Posting never blocks; the batches are bounded by the
// memory budget, the calls by the work under way.
type mailbox struct {
	mu      sync.Mutex // guards items and calls
	batches []*pendingBatch
	calls   []func()
	wake    chan struct{} // capacity 1
}

func newMailbox() *mailbox { return &mailbox{wake: make(chan struct{}, 1)} }

// addBatches adds batches without waking the owner: the caller may hold a
// mutex, and calls wakeOwner after releasing it.
func (m *mailbox) addBatches(items ...*pendingBatch) {
	m.mu.Lock()
	m.batches = append(m.batches, items...)
	m.mu.Unlock()
}

// postCall makes the owner run a function.
func (m *mailbox) postCall(call func()) {
	m.addCall(call)
	m.wakeOwner()
}

// addCall is postCall without waking the owner, like addBatches.
func (m *mailbox) addCall(call func()) {
	m.mu.Lock()
	m.calls = append(m.calls, call)
	m.mu.Unlock()
}

func (m *mailbox) wakeOwner() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// runLaneHook calls the hook of a lane, if it has one; what arrives meanwhile is
// taken with what arrived before, without another wake-up.
func (m *mailbox) runLaneHook(c *Config, lane metadata.Lane) {
	if c.hooks.BeforeLane == nil {
		return
	}
	c.hooks.BeforeLane(c.Session, lane)
	select {
	case <-m.wake:
	default:
	}
}

// takeAll takes what is in the mailbox and returns the owner's emptied slices
// to it.
func (m *mailbox) takeAll(items []*pendingBatch, calls []func()) ([]*pendingBatch, []func()) {
	clear(items)
	clear(calls)
	m.mu.Lock()
	defer m.mu.Unlock()
	gotItems, gotCalls := m.batches, m.calls
	m.batches, m.calls = items[:0], calls[:0]
	return gotItems, gotCalls
}
