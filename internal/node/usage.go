package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// causeOf returns the cause of a request by the object's key:
// "<incarnation>/<kind>/...".
func causeOf(key string) bucket.Cause {
	switch parts := strings.SplitN(key, "/", 3); {
	case len(parts) > 1 && (parts[1] == "archive" || parts[1] == "inline"):
		return bucket.CauseArchive
	case len(parts) > 1 && parts[1] == "checkpoint":
		return bucket.CauseCheckpoint
	}
	return bucket.CauseRecover
}

// platformMeter counts the bucket requests that the service makes for itself.
// PUTs of WAL objects are in commit entries, GETs for fetches in the broker's
// meter; everything else is here, and so are the PUTs that a lost session left
// without an entry.
type platformMeter struct {
	mu    sync.Mutex
	cells map[metadata.CellKey]uint64 // requests
}

func (m *platformMeter) countAttempt(a bucket.Attempt) {
	if !a.Billable() || a.Cause == bucket.CauseWAL || a.Cause == bucket.CauseFetch {
		return
	}
	k := metadata.CellKey{Topic: metadata.RowPlatform}
	switch a.Op {
	case bucket.OpPut:
		k.Component = costkeys.ComponentPutPlatform
	case bucket.OpGet:
		k.Component = costkeys.ComponentGetPlatform
	case bucket.OpList:
		k.Component = costkeys.ComponentListPlatform
	default:
		k.Component = costkeys.ComponentDelete
	}
	m.addRequests(k, 1)
}

func (m *platformMeter) addRequests(k metadata.CellKey, requests uint64) {
	if requests == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[metadata.CellKey]uint64{}
	}
	m.cells[k] += requests
}

func (m *platformMeter) takeCells() (out []metadata.Cell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, n := range m.cells {
		out = append(out, metadata.Cell{Key: k, Quantity: costkeys.Requests(n)})
	}
	clear(m.cells)
	return out
}

// maxUsageCells is how many cells one report carries: about 16 KiB of entry.
const maxUsageCells = 400

// usageReporter commits what this broker counted since its last report. Each
// quantity is booked once: a report of unknown outcome is sent again under its
// number, which apply accepts once, before any other.
type usageReporter struct {
	n          *Node
	s          *session
	seq        uint64
	from       metadata.UnixMilli
	unresolved *metadata.Usage // sent with unknown outcome; nil: none

	phase time.Duration // before the first report
}

func newUsageReporter(n *Node, s *session) *usageReporter {
	return &usageReporter{n: n, s: s, from: n.cfg.Clock.Now(), phase: time.Duration(n.newRand().Int64N(int64(n.cfg.UsageInterval)))}
}

func (u *usageReporter) run(ctx context.Context) {
	timer := time.NewTimer(u.phase)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			u.report(ctx, false)
			timer.Reset(u.n.cfg.UsageInterval)
		case <-ctx.Done():
			return
		}
	}
}

// reportFinal reports what is left, and that nothing is lost after it.
func (u *usageReporter) reportFinal(ctx context.Context) { u.report(ctx, true) }

// report commits what was counted up to now. What was not committed is
// restored, or stays in unresolved.
func (u *usageReporter) report(ctx context.Context, final bool) {
	if u.unresolved != nil && !u.commitReport(ctx, u.unresolved) {
		return
	}
	cells := append(u.n.server.Meter().Take(), u.n.platform.takeCells()...)
	if len(cells) == 0 && !final {
		return
	}
	metadata.SortCells(cells)
	now := u.n.cfg.Clock.Now()
	for first := true; first || len(cells) > 0; first = false {
		part := cells[:min(len(cells), maxUsageCells)]
		cells = cells[len(part):]
		u.seq++
		cmd := metadata.Usage{Seq: u.seq, From: u.from, Cells: part, Final: final && len(cells) == 0}
		if cmd.To = cmd.From; len(cells) == 0 {
			cmd.To = now
		}
		if !u.commitReport(ctx, &cmd) {
			u.restoreCells(cells)
			return
		}
	}
	u.from = now
}

// commitReport commits one report, and reports whether the next may follow. The
// cells of a report that was certainly not committed are restored.
func (u *usageReporter) commitReport(ctx context.Context, cmd *metadata.Usage) bool {
	again := u.unresolved == cmd
	err := u.submitUsage(ctx, *cmd)
	switch {
	case err == nil:
		u.unresolved = nil
		u.n.traffic.countCells(cmd.Cells)
		return true
	case errors.Is(err, metadata.CodeInvalidRequest) || errors.Is(err, metadata.CodeRefused):
		// It will never be accepted, so its cells are not sent again.
		u.unresolved = nil
		u.n.cfg.Logger.Error("usage report refused: its usage is missing from the ledger", "cells", len(cmd.Cells), "err", err)
		return true
	case !again && isNotCommitted(err):
		u.restoreCells(cmd.Cells)
	default:
		// Where the session has ended, the gap is recorded with its
		// end: counting twice would be worse.
		u.unresolved = cmd
	}
	u.n.cfg.Logger.Warn("usage report failed: its usage is added to the next one", "cells", len(cmd.Cells), "landed_unknown", u.unresolved != nil, "err", err)
	return false
}

func (u *usageReporter) submitUsage(ctx context.Context, cmd metadata.Usage) error {
	out, err := u.s.wal.Submit(ctx, []metadata.Command{cmd}, nil)
	if err != nil {
		return err
	}
	if out.Code != metadata.CodeOK {
		return out.Code
	}
	if c := out.Commands[0].Code; c != metadata.CodeOK && c != metadata.CodeDuplicate {
		return c
	}
	return nil
}

// isNotCommitted reports whether a submission with this error was certainly not
// committed and never will be.
func isNotCommitted(err error) bool {
	for _, sure := range []error{wal.ErrSessionLost, metadata.ErrSessionLost, wal.ErrNotSent, wal.ErrClosed, metadata.CodeUnknownSession} {
		if errors.Is(err, sure) {
			return true
		}
	}
	return false
}

// restoreCells returns cells to the meter: the next report includes them, of
// this session or the next.
func (u *usageReporter) restoreCells(cells []metadata.Cell) {
	for _, c := range cells {
		u.n.server.Meter().Add(c.Key, c.Quantity)
	}
}
