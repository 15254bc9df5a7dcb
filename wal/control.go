package wal

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/zonewise/zonewise/metadata"
)

// submission is one call of Submit.
type submission struct {
	cmds      []metadata.Command
	guard     *metadata.Guard
	size      int  // encoded
	exclusive bool // shares no entry: it has a guard, or shared one that was refused

	state   atomic.Uint32 // submissionQueued, then sent or canceled
	done    chan struct{}
	outcome metadata.Outcome
	err     error
}

const (
	submissionQueued uint32 = iota
	submissionSent
	submissionCanceled
)

// control is the lane of commands: always inline, and never delayed by data.
// One goroutine, run, owns everything in it but the mailbox.
type control struct {
	w     *WAL
	box   *mailbox
	slot  *commitSlot
	queue []*submission

	refuseErr error
	stopped   bool
}

func newControl(w *WAL) *control {
	c := &control{w: w, box: newMailbox()}
	c.slot = newCommitSlot(w, metadata.LaneControl, c.box)
	return c
}

// controlEntryBytes bounds the commands that share an entry, in bytes.
const controlEntryBytes = metadata.MaxEntryBytes / 2

// Submit commits commands by the control lane and returns their outcome:
// Outcome.Commands has these commands' outcomes, in order. Calls that wait at
// the same time share an entry; one with a guard has an entry of its own, and
// where the guard fails the outcome's code is CodeGuardFailed. Submit never
// waits for data. An error means that nothing was committed (ErrSessionLost,
// ErrClosed, or ErrNotSent with the context's), or is ErrOutcomeUnknown.
//
// A session's first Submit opens it: it is entry 1 of its control lane.
func (w *WAL) Submit(ctx context.Context, cmds []metadata.Command, guard *metadata.Guard) (metadata.Outcome, error) {
	s := &submission{cmds: cmds, guard: guard, exclusive: guard != nil, done: make(chan struct{})}
	if err := s.measureSize(w.cfg.Session, w.level()); err != nil {
		return metadata.Outcome{}, fmt.Errorf("submit: %w", err)
	}
	if err := w.enqueueSubmission(s); err != nil {
		return metadata.Outcome{}, err
	}
	select {
	case <-s.done:
	case <-ctx.Done():
		if s.state.CompareAndSwap(submissionQueued, submissionCanceled) {
			w.control.box.wakeOwner() // to drop it
			return metadata.Outcome{}, fmt.Errorf("submit: %w: %w", ErrNotSent, ctx.Err())
		}
		select {
		case <-s.done: // at the same moment
		default:
			return metadata.Outcome{}, fmt.Errorf("submit: %w: %w", ErrOutcomeUnknown, ctx.Err())
		}
	}
	return s.outcome, s.err
}

// measureSize encodes the commands by themselves, so that what is invalid or
// too large, or of a feature level that the cluster does not have yet, fails its
// own caller and not those that would have shared its entry.
func (s *submission) measureSize(session metadata.SessionID, level metadata.FeatureLevel) error {
	b, err := metadata.AppendEntry(nil, &metadata.Entry{Level: level, Session: session, Seq: 1, Commands: s.cmds})
	s.size = len(b)
	return err
}

// run is the control lane's goroutine.
func (c *control) run() {
	for {
		c.box.runLaneHook(&c.w.cfg, metadata.LaneControl)
		_, calls := c.box.takeAll(nil, nil)
		for _, call := range calls {
			call()
		}
		c.advance()
		if c.stopped {
			return
		}
		<-c.box.wake
	}
}

func (c *control) enqueueSubmission(s *submission) {
	if c.refuseErr != nil {
		c.answerSubmission(s, metadata.Outcome{}, c.refuseErr)
		return
	}
	c.queue = append(c.queue, s)
}

// advance sends the next entry if the slot is free.
func (c *control) advance() {
	c.dropCanceled()
	if len(c.queue) == 0 || c.refuseErr != nil || !c.slot.tryAcquire() {
		return
	}
	subs := c.takeNextGroup()
	if len(subs) == 0 {
		return
	}
	e := &metadata.Entry{Level: c.w.level(), Session: c.w.cfg.Session, Lane: metadata.LaneControl,
		Time: c.w.cfg.Clock.Now(), Route: c.w.cfg.Route()}
	for _, s := range subs {
		e.Commands = append(e.Commands, s.cmds...)
	}
	c.slot.sendEntry(&pendingCommit{entry: e, guard: subs[0].guard, onDone: func(out metadata.Outcome, err error) { c.answerCommitted(subs, out, err) }})
}

// dropCanceled removes submissions whose callers left before they were sent.
func (c *control) dropCanceled() {
	keep := c.queue[:0]
	for _, s := range c.queue {
		if s.state.Load() == submissionCanceled {
			c.w.countSubmissionDone()
			continue
		}
		keep = append(keep, s)
	}
	clear(c.queue[len(keep):])
	c.queue = keep
}

// takeNextGroup takes the submissions that share the next entry, in order of
// arrival.
func (c *control) takeNextGroup() (subs []*submission) {
	size := 0
	for len(c.queue) > 0 {
		s := c.queue[0]
		if len(subs) > 0 && (s.exclusive || size+s.size > controlEntryBytes) {
			break
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
		if !s.state.CompareAndSwap(submissionQueued, submissionSent) && s.state.Load() == submissionCanceled {
			c.w.countSubmissionDone()
			continue
		}
		subs = append(subs, s)
		size += s.size
		if s.exclusive {
			break
		}
	}
	return subs
}

// answerCommitted gives each caller its own part of the outcome.
func (c *control) answerCommitted(subs []*submission, out metadata.Outcome, err error) {
	if err == nil && out.Code == metadata.CodeRefused && len(subs) > 1 {
		// Nothing of a refused entry was applied: each submission is
		// sent again by itself, so that one bad command fails its own
		// caller only.
		for _, s := range subs {
			s.exclusive = true
		}
		c.queue = append(append([]*submission(nil), subs...), c.queue...)
		c.box.wakeOwner()
		return
	}
	at := 0
	for _, s := range subs {
		own := out
		own.Parts, own.Commands = nil, nil
		failed := err
		if err == nil && out.Code == metadata.CodeOK {
			if at+len(s.cmds) > len(out.Commands) {
				// An entry that was refused as a whole has one outcome (a
				// session that was not admitted).
				if len(subs) > 1 || len(out.Commands) == 0 {
					failed = fmt.Errorf("submit: %w: BUG: %d outcomes of commands", ErrOutcomeUnknown, len(out.Commands))
				} else {
					own.Commands = out.Commands
				}
			} else {
				own.Commands = out.Commands[at : at+len(s.cmds) : at+len(s.cmds)]
			}
			at += len(s.cmds)
		}
		c.answerSubmission(s, own, failed)
	}
}

func (c *control) answerSubmission(s *submission, out metadata.Outcome, err error) {
	s.state.CompareAndSwap(submissionQueued, submissionSent)
	s.outcome, s.err = out, err
	close(s.done)
	c.w.countSubmissionDone()
}

// abandon fails what was not sent; nothing more is accepted.
func (c *control) abandon(err error) {
	if c.refuseErr != nil {
		return
	}
	c.refuseErr = err
	for _, s := range c.queue {
		if s.state.Load() == submissionCanceled {
			c.w.countSubmissionDone()
			continue
		}
		c.answerSubmission(s, metadata.Outcome{}, err)
	}
	c.queue = nil
}
