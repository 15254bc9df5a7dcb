package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// pendingCommit is one entry under way. onDone is called once by the lane's
// goroutine, in the order of the lane's seqs.
type pendingCommit struct {
	entry    *metadata.Entry
	guard    *metadata.Guard
	cost     Cost // Runs is set by its maker
	sizeHint int  // estimated size without inline bytes
	onDone   func(metadata.Outcome, error)

	sentAt    time.Time
	key       metadata.EntryKey
	outcome   metadata.Outcome
	err       error
	completed bool
}

// commitSlot is the commit sequence of one lane: one append is in flight, and
// the next seq is used only after it is resolved. The lane's goroutine owns it.
type commitSlot struct {
	w    *WAL
	lane metadata.Lane
	box  *mailbox

	seq           metadata.LaneSeq // of the last entry sent
	acquiring     bool             // waits for the governor
	granted       bool             // may send one entry
	appending     bool             // an append is not resolved
	freedAt       time.Time        // when the last one was resolved
	sentAt        time.Time        // when the last one was sent
	avgCommitTime time.Duration    // from sent to applied, lately
	unapplied     []*pendingCommit // sent, not done; by seq
}

func newCommitSlot(w *WAL, lane metadata.Lane, box *mailbox) *commitSlot {
	return &commitSlot{w: w, lane: lane, box: box}
}

// busy reports whether nothing can be sent, however much is ready.
func (s *commitSlot) busy() bool {
	return s.acquiring || s.appending || len(s.unapplied) >= MaxUnapplied
}

// tryAcquire reports whether an entry may be sent now. If not, it requests one
// commit from the governor, and the lane is woken when it is granted. What
// becomes ready until then goes into the same entry.
func (s *commitSlot) tryAcquire() bool {
	if s.granted {
		return true
	}
	if s.busy() {
		return false
	}
	s.acquiring = true
	s.w.tasks.Go(func() {
		err := s.w.cfg.Governor.Acquire(s.w.ctx, s.lane, Cost{Commits: 1})
		s.box.postCall(func() { s.acquiring, s.granted = false, err == nil })
	})
	return false
}

// sendEntry encodes an entry and appends it.
func (s *commitSlot) sendEntry(c *pendingCommit) {
	s.granted = false
	s.seq++
	c.entry.Seq = s.seq
	c.key = metadata.EntryKey{Session: s.w.cfg.Session, Lane: s.lane, Seq: s.seq}
	s.unapplied = append(s.unapplied, c)
	bytes, err := metadata.AppendEntry(make([]byte, 0, c.sizeHint+len(c.entry.Inline)+1<<10), c.entry)
	c.cost.Commits, c.cost.InlineBytes = 1, len(c.entry.Inline)
	c.entry = nil
	if err != nil { // an entry that was not sent uses no seq
		s.seq--
		s.w.cfg.Logger.Error("BUG: entry cannot be encoded", "lane", s.lane, "seq", s.seq+1, "err", err)
		s.completeCommit(c, metadata.Outcome{}, fmt.Errorf("%w: %w", metadata.CodeRefused, err))
		return
	}
	c.cost.EntryBytes = len(bytes) - c.cost.InlineBytes
	s.appending, s.sentAt, c.sentAt = true, time.Now(), time.Now()
	s.w.tasks.Go(func() { s.appendEntry(c, bytes) })
}

// appendEntry resolves an entry and waits until it is applied here. It runs in
// its own goroutine and reports to the lane's.
func (s *commitSlot) appendEntry(c *pendingCommit, bytes []byte) {
	// The commit and the inline bytes were acquired before.
	if err := s.w.cfg.Governor.Acquire(s.w.ctx, s.lane, Cost{EntryBytes: c.cost.EntryBytes, Runs: c.cost.Runs}); err != nil {
		s.box.postCall(func() { s.markResolved(); s.completeCommit(c, metadata.Outcome{}, ErrClosed) })
		return
	}
	start := time.Now()
	waiter := s.w.cfg.Replica.Expect(c.key)
	defer waiter.Cancel()
	res, err := s.appendUntilKnown(metadata.AppendRequest{Key: c.key, Bytes: bytes, Guard: c.guard})
	if err != nil {
		s.handleUnresolved(c, err)
		return
	}
	if hook := s.w.cfg.OnCommit; hook != nil {
		hook(s.lane, time.Since(start))
	}
	s.w.meters.commits[s.lane].Add(1)
	s.box.postCall(s.markResolved)
	select {
	case out := <-waiter.C:
		switch {
		case out.Code == metadata.CodeOutcomeUnknown: // a checkpoint was loaded that is newer than it
			err = ErrOutcomeUnknown
		case res.GuardFailed:
			out = metadata.Outcome{Revision: res.Revision, Code: metadata.CodeGuardFailed}
		}
		s.box.postCall(func() { s.completeCommit(c, out, err) })
	case <-s.w.ctx.Done():
		s.box.postCall(func() { s.completeCommit(c, metadata.Outcome{}, ErrOutcomeUnknown) })
	}
}

// targetAckTime is the median time from arrival to acknowledgement that is
// accepted for the sake of fewer commits. maxCommitSpacing is the longest time
// between two commits of a lane for that reason.
const (
	targetAckTime    = 5 * time.Millisecond
	maxCommitSpacing = 8 * time.Millisecond
)

// commitSpacing is the wanted time between commits: a batch that arrives in
// between waits half of it on average, and then for a commit. Where a commit
// alone takes longer than targetAckTime, no spacing is added.
func (s *commitSlot) commitSpacing() time.Duration {
	return min(max(2*(targetAckTime-s.avgCommitTime), 0), maxCommitSpacing)
}

// appendRetry is the pause after a transient error of the log.
const appendRetry = 50 * time.Millisecond

// appendUntilKnown sends the same bytes under the same key until the outcome is
// known.
func (s *commitSlot) appendUntilKnown(r metadata.AppendRequest) (metadata.AppendResult, error) {
	for {
		res, err := s.w.cfg.Log.Append(s.w.ctx, r)
		if err == nil || s.w.ctx.Err() != nil || isFinalError(err) {
			return res, err
		}
		s.w.cfg.Logger.Warn("retrying append", "lane", s.lane, "seq", r.Key.Seq, "err", err)
		select {
		case <-time.After(appendRetry):
		case <-s.w.ctx.Done():
			return res, s.w.ctx.Err()
		}
	}
}

// isFinalError reports whether a retry cannot change an error.
func isFinalError(err error) bool {
	return errors.Is(err, metadata.ErrSessionLost) || errors.Is(err, metadata.ErrOutcomeUnknown) ||
		errors.Is(err, metadata.ErrOlderLog) || errors.Is(err, metadata.ErrNewerIncarnation)
}

// handleUnresolved handles an append without a result. Where it is unknown
// whether the entry is in the log, nothing of it is ever submitted again, and
// the lane continues only if the state shows that its seq was applied.
func (s *commitSlot) handleUnresolved(c *pendingCommit, err error) {
	verdict := fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	lost := true
	switch {
	case errors.Is(err, metadata.ErrSessionLost):
		verdict = ErrSessionLost
	case errors.Is(err, metadata.ErrOutcomeUnknown):
		s.w.cfg.Replica.View(func(st *metadata.State) { lost = st.LaneSeq(c.key.Session, s.lane) < c.key.Seq })
	case errors.Is(err, context.Canceled):
		lost = false // the WAL is being closed
	}
	s.box.postCall(func() {
		s.markResolved()
		s.completeCommit(c, metadata.Outcome{}, verdict)
		if lost { // after its callers have the outcome
			s.w.handleSessionLost()
		}
	})
}

// markResolved frees the slot.
func (s *commitSlot) markResolved() { s.appending, s.freedAt = false, time.Now() }

// completeCommit records an outcome and passes on those that are next in order.
func (s *commitSlot) completeCommit(c *pendingCommit, out metadata.Outcome, err error) {
	c.outcome, c.err, c.completed = out, err, true
	if err == nil {
		s.avgCommitTime += (time.Since(c.sentAt) - s.avgCommitTime) / 8
	}
	s.w.cfg.Governor.Settle(c.cost)
	for len(s.unapplied) > 0 && s.unapplied[0].completed {
		c := s.unapplied[0]
		s.unapplied[0] = nil
		s.unapplied = s.unapplied[1:]
		if c.err == nil && (c.outcome.Code == metadata.CodeUnknownSession || c.outcome.Code == metadata.CodeGap) {
			// Apply has closed the session: later entries cannot commit.
			c.err = ErrSessionLost
			s.w.handleSessionLost()
		}
		c.onDone(c.outcome, c.err)
	}
}
