package node

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// causeOf tells an object's account by its key: "<incarnation>/<kind>/...".
func causeOf(key string) bucket.Cause {
	switch parts := strings.SplitN(key, "/", 3); {
	case len(parts) > 1 && parts[1] == "archive":
		return bucket.CauseArchive
	case len(parts) > 1 && parts[1] == "checkpoint":
		return bucket.CauseCheckpoint
	}
	return bucket.CauseRecover
}

// platformMeter counts the bucket requests that the service makes for itself.
// PUTs of WAL objects are in commit entries, GETs for fetches in the broker's
// meter; everything else is here.
type platformMeter struct {
	mu    sync.Mutex
	cells map[metadata.CellKey]uint64 // requests
}

func (m *platformMeter) observe(a bucket.Attempt) {
	if !a.Billable() || a.Cause == bucket.CauseWAL || a.Cause == bucket.CauseFetch {
		return
	}
	k := metadata.CellKey{Topic: metadata.RowPlatform}
	switch a.Op {
	case bucket.OpPut:
		k.Component = metadata.ComponentPutPlatform
	case bucket.OpGet:
		k.Component = metadata.ComponentGetPlatform
	case bucket.OpList:
		k.Component = metadata.ComponentListPlatform
	default:
		k.Component = metadata.ComponentDelete
	}
	m.add(k, 1)
}

func (m *platformMeter) add(k metadata.CellKey, requests uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cells == nil {
		m.cells = map[metadata.CellKey]uint64{}
	}
	m.cells[k] += requests
}

func (m *platformMeter) take() (out []metadata.Cell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k, n := range m.cells {
		out = append(out, metadata.Cell{Key: k, Quantity: metadata.Requests(n)})
	}
	clear(m.cells)
	return out
}

// usageCells is how many cells one report carries: about 16 KiB of entry.
const usageCells = 400

// usageReporter commits what this broker counted since its last report.
type usageReporter struct {
	n    *Node
	s    *session
	seq  uint64
	from time.Time

	phase time.Duration // before the first report
}

func newUsageReporter(n *Node, s *session) *usageReporter {
	return &usageReporter{n: n, s: s, from: time.Now(), phase: time.Duration(n.fork().Int64N(int64(n.cfg.Usage)))}
}

func (u *usageReporter) run(ctx context.Context) {
	timer := time.NewTimer(u.phase)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			u.report(ctx, false)
			timer.Reset(u.n.cfg.Usage)
		case <-ctx.Done():
			return
		}
	}
}

// final reports what is left; nothing is lost after it.
func (u *usageReporter) final(ctx context.Context) { u.report(ctx, true) }

// Report commits what was counted up to now (before a statement is read).
func (u *usageReporter) report(ctx context.Context, final bool) {
	cells := append(u.n.server.Meter().Take(), u.n.platform.take()...)
	if len(cells) == 0 && !final {
		return
	}
	metadata.SortCells(cells)
	u.n.traffic.cells(cells)
	now := time.Now()
	for first := true; first || len(cells) > 0; first = false {
		part := cells[:min(len(cells), usageCells)]
		cells = cells[len(part):]
		u.seq++
		cmd := metadata.Usage{Seq: u.seq, From: metadata.UnixMilli(u.from.UnixMilli()), To: metadata.UnixMilli(now.UnixMilli()),
			Cells: part, Final: final && len(cells) == 0}
		if err := u.commit(ctx, cmd); err != nil {
			u.n.cfg.Logger.Warn("usage report", "error", err)
			u.keep(append(part, cells...), err)
			return
		}
	}
	u.from = now
}

func (u *usageReporter) commit(ctx context.Context, cmd metadata.Usage) error {
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

// keep puts cells back that certainly did not count. Where that is not known
// they are given up, and the gap is recorded with the session's end: counting
// twice would be worse.
func (u *usageReporter) keep(cells []metadata.Cell, err error) {
	if !errors.Is(err, wal.ErrSessionLost) && !errors.Is(err, metadata.ErrSessionLost) && !errors.Is(err, wal.ErrNotSent) {
		return
	}
	for _, c := range cells {
		u.n.server.Meter().Add(c.Key, c.Quantity)
	}
}
