package sim

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// maxClockAhead is how far state time may be ahead of the true time: a clock that is
// off by less is not detected, and one that is off by more only after others have
// published theirs.
const maxClockAhead = 5 * time.Second

// readClock returns the process's clock, including the error that setClockWrong sets.
func (p *process) readClock() metadata.UnixMilli {
	return metadata.UnixMilli(time.Now().UnixMilli() + p.clockOffset.Load())
}

// setClockWrong sets one broker's clock wrong for a while, by seconds to an hour, if
// there are enough others to detect it: that takes at least three clocks.
func (r *run) setClockWrong(n int) {
	p := r.pickProcess(n)
	off := r.generateDuration("clock", n, 3*time.Second, time.Hour)
	if r.generateNumber("slow", "clock", n)%3 == 0 {
		off = -off
	}
	end := time.Now().Add(r.generateDuration("clock set", n, 2*time.Second, 6*time.Second))
	for time.Now().Before(end) && r.countReady() >= 3 {
		p.clockOffset.Store(off.Milliseconds())
		time.Sleep(100*time.Millisecond + 1)
	}
	p.clockOffset.Store(0)
}

// countReady returns the number of brokers that serve.
func (r *run) countReady() (n int) {
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil && l.node.Ready() == nil {
			n++
		}
	}
	return n
}

// checkStateTime compares a broker's state time with the true time.
func (r *run) checkStateTime(l *brokerInstance, at metadata.UnixMilli) {
	if ahead := time.Duration(int64(at)-time.Now().UnixMilli()) * time.Millisecond; ahead > maxClockAhead {
		r.history.reportViolation("state time of %s is %v ahead", l.id, ahead)
	}
}

// clockLogHandler counts the brokers that found their own clock off.
type clockLogHandler struct {
	slog.Handler
	w *world
}

func (h clockLogHandler) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelError || h.Handler.Enabled(context.Background(), l)
}

func (h clockLogHandler) Handle(ctx context.Context, rec slog.Record) error {
	if strings.HasPrefix(rec.Message, "this broker's clock is off") {
		h.w.mu.Lock()
		h.w.observed.coverage[clockFound]++
		h.w.mu.Unlock()
	}
	if !h.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, rec)
}

func (h clockLogHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return clockLogHandler{h.Handler.WithAttrs(a), h.w}
}
func (h clockLogHandler) WithGroup(g string) slog.Handler {
	return clockLogHandler{h.Handler.WithGroup(g), h.w}
}
