package sim

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// clockAhead is how far state time may be ahead of the true time: a clock that is
// off by less is not found out, and one that is off by more is only after others
// have published theirs.
const clockAhead = 5 * time.Second

// clock is a process's, which setClock sets wrong.
func (p *process) clock() metadata.UnixMilli {
	return metadata.UnixMilli(time.Now().UnixMilli() + p.clockOff.Load())
}

// setClock sets one broker's clock wrong for a while, by seconds to an hour, while
// there are others enough to find that out: three clocks are the least.
func (r *run) setClock(n int) {
	p := r.victim(n)
	off := r.some("clock", n, 3*time.Second, time.Hour)
	if r.draw("slow", "clock", n)%3 == 0 {
		off = -off
	}
	end := time.Now().Add(r.some("clock set", n, 2*time.Second, 6*time.Second))
	for time.Now().Before(end) && r.clocks() >= 3 {
		p.clockOff.Store(off.Milliseconds())
		time.Sleep(100*time.Millisecond + 1)
	}
	p.clockOff.Store(0)
}

// clocks is how many brokers serve.
func (r *run) clocks() (n int) {
	for _, p := range r.processes {
		if l := p.now.Load(); l != nil && l.node.Ready() == nil {
			n++
		}
	}
	return n
}

// checkTime holds a broker's state time against the true one.
func (r *run) checkTime(l *life, at metadata.UnixMilli) {
	if ahead := time.Duration(int64(at)-time.Now().UnixMilli()) * time.Millisecond; ahead > clockAhead {
		r.history.wrong("state time of %s is %v ahead", l.id, ahead)
	}
}

// clockWatch counts the brokers that found their own clock off.
type clockWatch struct {
	slog.Handler
	w *world
}

func (h clockWatch) Enabled(_ context.Context, l slog.Level) bool {
	return l >= slog.LevelError || h.Handler.Enabled(context.Background(), l)
}

func (h clockWatch) Handle(ctx context.Context, rec slog.Record) error {
	if strings.HasPrefix(rec.Message, "this broker's clock is off") {
		h.w.mu.Lock()
		h.w.seen.c[clockFound]++
		h.w.mu.Unlock()
	}
	if !h.Handler.Enabled(ctx, rec.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, rec)
}

func (h clockWatch) WithAttrs(a []slog.Attr) slog.Handler {
	return clockWatch{h.Handler.WithAttrs(a), h.w}
}
func (h clockWatch) WithGroup(g string) slog.Handler { return clockWatch{h.Handler.WithGroup(g), h.w} }
